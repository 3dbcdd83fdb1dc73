// SPDX-License-Identifier: MIT

package transport

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/internal/poll"
)

// Transport serves links on its loops. Its methods are safe to call from any
// goroutine. Immutable after Start, except for the counters.
type Transport struct {
	shared
	addrs [carriers]netip.AddrPort
	below backend.Runner

	stop    sync.Once
	stopped chan struct{} // closed when every loop has ended
}

// Start listens and returns once every loop runs.
func Start(cfg Config, h Handler) (*Transport, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if h == nil {
		return nil, errors.New("transport: no Handler")
	}
	t := &Transport{shared: shared{cfg: cfg, log: cfg.logger(), start: clock()}, stopped: make(chan struct{})}
	t.admission.init(&t.cfg)
	var err error
	network := cmp.Or[backend.Network](t.cfg.Network, poll.Sockets{})
	if t.below, err = network.Listen(t.settings()); err != nil {
		return nil, err
	}
	copy(t.addrs[:], t.below.Addrs())
	if err := t.checkBound(); err != nil {
		t.below.Wait()
		return nil, err
	}
	n := t.below.Loops()
	streams := min(t.cfg.maxLinks(), cmp.Or(t.below.MaxStreams(), math.MaxInt))
	t.maxPending = max(streams/2/n, 1)
	t.maxUnvalidated = unvalidatedShare(&t.cfg, n)
	for i := range n {
		t.loops = append(t.loops, newLoop(&t.shared, h, i))
	}
	if err := serve(&t.shared); err != nil {
		t.below.Wait()
		return nil, err
	}
	for _, l := range t.loops {
		if err := t.below.Run((*sink)(l)); err != nil {
			_ = t.Stop(context.Background())
			return nil, err
		}
	}
	return t, nil
}

// settings say what is served.
func (t *Transport) settings() backend.Settings {
	c := &t.cfg
	return backend.Settings{
		Listeners: listeners(c),
		Loops:     c.loops(), MaxStreams: c.MaxLinks,
		SocketBuffer: c.socketBuffer(), CoalesceDelay: c.coalesceDelay(),
		Start: t.start, Now: t.now, Log: t.log,
	}
}

// unvalidatedShare is a loop's share of the plain-KCP links whose addresses are not
// validated.
func unvalidatedShare(c *Config, loops int) int { return max((c.maxPlainLinks()+1)/2/loops, 1) }

// Loops returns the event loops, in the order of their Index.
func (t *Transport) Loops() []*Loop { return t.loops }

// Addr returns the address that c is served on, the zero AddrPort if it is not.
func (t *Transport) Addr(c Carrier) netip.AddrPort {
	if c < carriers {
		return t.addrs[c]
	}
	return netip.AddrPort{}
}

// PublicKey returns what clients must know of this server to use sealed KCP,
// as text. Empty if that is not served.
func (t *Transport) PublicKey() string {
	if len(t.keys) == 0 {
		return ""
	}
	return t.keys[0].Public().String()
}

// Stop closes every link, with OnClose for each, and ends the loops. Tasks
// that were posted before still run. It returns when all that is done, or
// with ctx's error if that ends first; the loops end even so. It must not be
// called on a loop, which would wait for itself.
func (t *Transport) Stop(ctx context.Context) error {
	t.stop.Do(func() {
		for _, l := range t.loops {
			l.queue.close()
		}
		// Ends when the loops have: their handlers must return.
		go func() {
			t.below.Wait()
			close(t.stopped)
		}()
	})
	select {
	case <-t.stopped:
		return nil
	default:
	}
	select {
	case <-t.stopped:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Now returns the time since Start, as Loop.Now does, but read afresh. Safe to
// call from any goroutine.
func (t *Transport) Now() time.Duration { return t.now() }
