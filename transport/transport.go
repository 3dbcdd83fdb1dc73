// SPDX-License-Identifier: MIT

package transport

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/internal/poll"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// Carrier says what carries the frames of a link.
type Carrier uint8

// The carriers that this version serves.
const (
	PlainKCP  Carrier = iota + 1 // stock KCP over UDP, no encryption
	TCP                          // frames on a TCP stream
	KCP                          // KCP over UDP, sealed: SPEC 6
	WebSocket                    // frames in binary messages: SPEC 7

	carriers // one more than there are
)

var carrierNames = [carriers]string{"none", "plain-kcp", "tcp", "kcp", "ws"}

// String returns the carrier's name as logs and metrics write it.
func (c Carrier) String() string {
	if c < carriers {
		return carrierNames[c]
	}
	return "unknown"
}

// Handler is what a Transport calls. Every method is called on the loop that
// owns the link and must not block. A panic in one closes the link that it
// was called for, and nothing else.
type Handler interface {
	// OnLoop is called once per loop, before anything else happens on it.
	OnLoop(l *Loop)
	// OnOpen tells of a new link. nonce is what the handshake of a sealed link made:
	// the same at both ends, and for no other link. It is zero on other carriers.
	OnOpen(k *Link, nonce [16]byte)
	// OnPacket brings a packet and says how it arrived. p.Body lives until the call
	// returns.
	OnPacket(k *Link, p codec.Packet, a Arrival)
	// OnWritable tells that a Write left less than half of the room of the
	// link, and that half of it is free again: a largest frame fits.
	OnWritable(k *Link)
	// OnClose is called exactly once for every OnOpen, at the end of a batch
	// and never from within a method of Link or Loop. Nothing follows it.
	OnClose(k *Link, err error)
	// OnMigrate tells that the peer of a sealed link has another address now,
	// Link.RemoteAddr, and not from any more. Nothing else has changed.
	OnMigrate(k *Link, from netip.AddrPort)
	// OnTimer tells that the time given to WakeAt has come.
	OnTimer(l *Loop)
	// OnBatch is called at the end of every batch, when input is drained,
	// tasks have run and timers have fired, and before the output is flushed:
	// the place to write what the batch brought about.
	OnBatch(l *Loop)
}

// Transport serves links on its loops. Its methods are safe to call from any
// goroutine. Immutable after Start, except for the counters.
type Transport struct {
	cfg   Config
	log   *slog.Logger
	start time.Time
	key   seal.PublicKey // of sealed KCP
	loops []*Loop
	addrs [carriers]netip.AddrPort
	below backend.Runner

	maxPending     int // arrivals on one loop; immutable once loops run
	maxUnvalidated int // plain-KCP links on one loop whose addresses are not validated; likewise

	pending   atomic.Int64 // connections that are no links yet
	admission admission
	over      overKeys

	stop    sync.Once
	stopped chan struct{} // closed when every loop has ended
}

// Network is what loops run on in place of the system's sockets. Package
// transport/memnet has one.
type Network interface{ backend.Network }

// Start listens and returns once every loop runs.
func Start(cfg Config, h Handler) (*Transport, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if h == nil {
		return nil, errors.New("transport: no Handler")
	}
	t := &Transport{cfg: cfg, log: cfg.logger(), start: clock(), stopped: make(chan struct{})}
	t.admission.init(&t.cfg)
	var err error
	if t.below, err = t.network().Listen(t.settings()); err != nil {
		return nil, err
	}
	copy(t.addrs[:], t.below.Addrs())
	if err := t.checkBound(); err != nil {
		t.below.Wait()
		return nil, err
	}
	n := t.below.Loops()
	t.maxPending = max(t.maxStreams()/2/n, 1)
	t.maxUnvalidated = unvalidatedShare(&t.cfg, n)
	for i := range n {
		l := &Loop{t: t, h: h, index: i}
		l.init()
		t.loops = append(t.loops, l)
	}
	if cfg.KCP != "" {
		if err := t.initSealed(); err != nil {
			t.below.Wait()
			return nil, err
		}
	}
	for _, l := range t.loops {
		if err := t.below.Run((*sink)(l)); err != nil {
			_ = t.Stop(context.Background())
			return nil, err
		}
	}
	return t, nil
}

// network is what the loops run on.
func (t *Transport) network() backend.Network {
	if t.cfg.Network != nil {
		return t.cfg.Network
	}
	return poll.Sockets{}
}

// settings say what is served. The number of a listener is its carrier.
func (t *Transport) settings() backend.Settings {
	c := &t.cfg
	s := backend.Settings{
		Listeners: make([]backend.Listener, carriers),
		Loops:     c.loops(), MaxStreams: c.MaxLinks,
		SocketBuffer: c.socketBuffer(), CoalesceDelay: c.coalesceDelay(),
		Start: t.start, Now: t.now, Log: t.log,
	}
	s.Listeners[PlainKCP] = backend.Listener{Address: c.PlainKCP}
	s.Listeners[KCP] = backend.Listener{Address: c.KCP, Whole: true}
	s.Listeners[TCP] = backend.Listener{Address: c.TCP, Stream: true}
	s.Listeners[WebSocket] = backend.Listener{Address: c.WebSocket, Stream: true}
	for i := range s.Listeners {
		s.Listeners[i].Name = Carrier(i).String()
	}
	return s
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
	if t.cfg.KCP == "" {
		return ""
	}
	return t.key.String()
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
	case <-ctx.Done():
		return ctx.Err()
	}
}

// maxStreams bounds the connections that there can be.
func (t *Transport) maxStreams() int {
	if most := t.below.MaxStreams(); most > 0 {
		return min(t.cfg.maxLinks(), most)
	}
	return t.cfg.maxLinks()
}

// now is the time since Start.
func (t *Transport) now() time.Duration { return since(t.start) }

// Now returns the time since Start, as Loop.Now does, but read afresh. Safe to
// call from any goroutine.
func (t *Transport) Now() time.Duration { return t.now() }
