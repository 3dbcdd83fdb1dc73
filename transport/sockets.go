// SPDX-License-Identifier: MIT

package transport

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// restartDelay is how long a loop waits before it starts a new engine for one
// that ended by itself, and maxRestartDelay what that grows to.
const (
	restartDelay    = 100 * time.Millisecond
	maxRestartDelay = 10 * time.Second
)

// socketRunner runs each loop on a gnet engine of its own: so a loop knows its
// index, has its own handler, and all of them share one port. Immutable after
// listen, except for done.
type socketRunner struct {
	t       *Transport
	udp     [wires]string // listen addresses as gnet takes them, with the port resolved
	tcp     string
	ws      string
	fdLimit int // descriptors from here on are not for players; 0: unknown
	handing int // connections of one listener on their way to a loop
	quit    chan struct{}
	done    sync.WaitGroup
	logger  gnetLogger
}

func newSocketRunner(t *Transport) *socketRunner {
	return &socketRunner{t: t, quit: make(chan struct{}), logger: gnetLogger{t.log}}
}

// listen finds out whether the addresses are free, and which ports ":0" means.
// gnet can do neither: it sets SO_REUSEPORT, with which a second server on a
// port starts without an error and takes a share of the players.
func (r *socketRunner) listen() (err error) {
	t := r.t
	var reserve int
	if r.fdLimit, reserve, err = fileLimit(); err != nil {
		t.log.Warn("transport: limit of open files unknown", slog.Any("error", err))
	}
	if r.handing = maxHanding; r.fdLimit > 0 { // at most half of the reserve
		r.handing = min(max(reserve/8/t.cfg.loops(), 1), maxHanding)
	}
	if n := t.cfg.maxLinks(); t.cfg.TCP+t.cfg.WebSocket != "" && t.cfg.MaxLinks != 0 && r.fdLimit > 0 && n > r.fdLimit {
		t.log.Warn("transport: the limit of open files allows fewer TCP links than Config.MaxLinks",
			slog.Int("allowed", r.fdLimit), slog.Int("wanted", n))
	}
	for w, c := range wireCarriers {
		if address := t.cfg.address(wire(w)); address != "" {
			if t.addrs[c], r.udp[w], err = probe("udp", address); err != nil {
				return fmt.Errorf("transport: listen on %s for %v: %w", address, c, err)
			}
		}
	}
	for _, s := range []struct {
		c       Carrier
		address string
		listen  *string
	}{
		{TCP, t.cfg.TCP, &r.tcp},
		{WebSocket, t.cfg.WebSocket, &r.ws},
	} {
		if s.address == "" {
			continue
		}
		if t.addrs[s.c], *s.listen, err = probe("tcp", s.address); err != nil {
			return fmt.Errorf("transport: listen on %s for %v: %w", s.address, s.c, err)
		}
	}
	return t.checkBound()
}

// probe binds address for a moment, as an ordinary socket that shares with
// nobody. It returns what was bound, and the same for gnet.
func probe(network, address string) (netip.AddrPort, string, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, "", err
	}
	// For Go "0.0.0.0" means both families, for gnet and for us only one.
	four := ""
	if ip, err := netip.ParseAddr(host); err == nil && ip == netip.IPv4Unspecified() {
		four = "4"
	}
	var bound netip.AddrPort
	if network == "udp" {
		var lc net.ListenConfig
		pc, err := lc.ListenPacket(context.Background(), network+four, address)
		if err != nil {
			return netip.AddrPort{}, "", err
		}
		bound = pc.LocalAddr().(*net.UDPAddr).AddrPort()
		_ = pc.Close()
	} else {
		ln, err := net.Listen(network+four, address)
		if err != nil {
			return netip.AddrPort{}, "", err
		}
		bound = ln.Addr().(*net.TCPAddr).AddrPort()
		_ = ln.Close()
	}
	bound = netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port())
	switch {
	case bound.Addr() == netip.IPv6Unspecified():
		// gnet makes "[::]" an IPv6-only socket, and no host at all both.
		return bound, network + "://:" + strconv.Itoa(int(bound.Port())), nil
	case bound.Addr().Is4():
		return bound, network + "4://" + bound.String(), nil
	}
	return bound, network + "://" + bound.String(), nil
}

// run starts the engine of l and returns when its loop runs.
func (r *socketRunner) run(l *Loop) error {
	g := &gnetLoop{r: r, l: l, up: make(chan error, 1)}
	l.below = g
	if err := g.listenStreams(); err != nil {
		return fmt.Errorf("transport: start loop %d: %w", l.index, err)
	}
	r.done.Add(1)
	// Ends when Stop has closed the loop's queue.
	go g.serve()
	return <-g.up
}

func (r *socketRunner) wait() {
	select {
	case <-r.quit:
	default:
		close(r.quit)
	}
	r.done.Wait()
}

// serve runs engines until the loop is stopped. There is a second one only if
// the first ended by itself, which no shortage of files makes it do. Datagram
// links hardly notice: their state is the loop's, and the port is the same.
func (g *gnetLoop) serve() {
	defer g.r.done.Done()
	defer g.refuse()
	for wait := restartDelay; ; wait = min(2*wait, maxRestartDelay) {
		err := g.engine()
		if g.l.ended() {
			return
		}
		if !g.started {
			g.up <- fmt.Errorf("transport: start loop %d: %w", g.l.index, errOr(err))
			<-g.r.quit // Start gives up
		} else {
			g.r.t.log.Error("transport: engine ended, starting another", slog.Int("loop", g.l.index), slog.Any("error", err))
			select {
			case <-time.After(wait):
			case <-g.r.quit:
			}
		}
		// Between two engines the loop is this goroutine.
		if g.l.booted {
			g.l.begin()
			g.l.end()
		}
		if g.l.ended() || !g.started {
			return
		}
	}
}

func errOr(err error) error {
	if err == nil {
		return errEnded
	}
	return err
}

// engine runs one gnet engine to its end.
func (g *gnetLoop) engine() error {
	g.bootErr, g.dead = nil, make(chan struct{})
	err := gnet.Rotate(g, []string{hermitAddr},
		gnet.WithNumEventLoop(1),
		gnet.WithReusePort(!oneLoop),
		// OnTick is the one place that runs when the loop exists, and is told
		// so without a race: OnBoot is too early, and a UDP server without
		// players has no other event. It ticks once.
		gnet.WithTicker(true),
		gnet.WithLogger(g.r.logger))
	g.l.queue.setWaker(nil)
	g.waker.close()
	g.settle()
	g.round = round{}
	g.closeWatch()
	for w, u := range g.udp {
		u.close()
		g.udp[w] = nil
	}
	if g.bootErr != nil {
		return g.bootErr
	}
	return err
}

// OnTick gives the loop its waker: one end of a pair of sockets, registered
// with gnet like any connection. Waking by it allocates nothing, which
// EventLoop.Execute does three times, and unlike gnet's own eventfd it is ours
// to close, so that no wake-up goes to a descriptor that is in use for something else.
func (g *gnetLoop) OnTick() (time.Duration, gnet.Action) {
	conn, err := g.waker.open()
	if err == nil {
		var registered <-chan gnet.RegisteredResult
		ctx := gnet.NewContext(gnet.NewNetConnContext(context.Background(), conn), g)
		if registered, err = g.eng.Register(ctx); err == nil {
			select {
			case res := <-registered:
				err = res.Err
			case <-g.dead: // before the loop took it; gnet never answers then
				return math.MaxInt64, gnet.None
			}
		}
	}
	if err != nil {
		g.bootErr = err
		return math.MaxInt64, gnet.Shutdown
	}
	return math.MaxInt64, gnet.None
}

// OnShutdown runs when the engine is about to end.
func (g *gnetLoop) OnShutdown(gnet.Engine) {
	g.engineAt.Store(nil)
	close(g.dead)
	g.l.queue.callBack()
}

// gnetLogger is gnet's logger: what it has to say is a warning at most, since
// serve reports the end of an engine itself.
type gnetLogger struct{ log *slog.Logger }

func (g gnetLogger) Debugf(string, ...any) {}
func (g gnetLogger) Infof(string, ...any)  {}
func (g gnetLogger) Warnf(format string, args ...any) {
	g.log.Warn("gnet: " + fmt.Sprintf(format, args...))
}
func (g gnetLogger) Errorf(format string, args ...any) { g.Warnf(format, args...) }
func (g gnetLogger) Fatalf(format string, args ...any) { g.Warnf(format, args...) }
