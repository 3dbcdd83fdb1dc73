// SPDX-License-Identifier: MIT

package poll

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/panjf2000/gnet/v2"
)

// restartDelay is how long a loop waits before it starts a new engine for one
// that ended by itself, and maxRestartDelay what that grows to while engines run for
// less than that.
const (
	restartDelay    = 100 * time.Millisecond
	maxRestartDelay = 10 * time.Second
)

// smallSocketBuffer is worth a warning: a burst of players overflows less.
const smallSocketBuffer = 1 << 20

// Sockets is the network of the system.
type Sockets struct{}

// Runner runs each loop on a gnet engine of its own: so a loop knows its index, has
// its own handler, and all of them share one port. Immutable after Listen, except
// for done, Locals and holds, which Listen, Run and Wait have, one after the other.
type Runner struct {
	backend.Settings
	addrs   []netip.AddrPort // that were bound
	fdLimit int              // descriptors from here on are not for players; 0: unknown
	handing int              // connections of one listener on their way to a loop
	quit    chan struct{}
	done    sync.WaitGroup
	logger  gnetLogger
	Locals  Locals
	holds   []io.Closer // keep other servers away until the first loop does
}

// Listen takes the addresses if they are free, and finds out which ports ":0" means.
// gnet can do neither: it sets SO_REUSEPORT, with which a second server on a
// port starts without an error and takes a share of the players.
func (Sockets) Listen(s backend.Settings) (backend.Runner, error) {
	r := &Runner{
		Settings: s, addrs: make([]netip.AddrPort, len(s.Listeners)), quit: make(chan struct{}), logger: gnetLogger{s.Log},
	}
	if oneLoop {
		r.Settings.Loops, r.CoalesceDelay = 1, 0 // only Linux coalesces
	}
	var reserve int
	var err error
	if r.fdLimit, reserve, err = fileLimit(); err != nil {
		r.Log.Warn("transport: limit of open files unknown", slog.Any("error", err))
	}
	if r.handing = maxHanding; r.fdLimit > 0 { // at most half of the reserve
		r.handing = min(max(reserve/8/s.Loops, 1), maxHanding)
	}
	streams := false
	for i, l := range s.Listeners {
		if l.Address == "" {
			continue
		}
		network := "udp"
		if l.Stream {
			network, streams = "tcp", true
		}
		if r.addrs[i], err = r.hold(network, l.Address); err != nil {
			r.letGo()
			return nil, fmt.Errorf("transport: listen on %s for %s: %w", l.Address, l.Name, err)
		}
	}
	if streams && r.fdLimit > 0 && s.MaxStreams > r.fdLimit {
		r.Log.Warn("transport: the limit of open files allows fewer TCP links than Config.MaxLinks",
			slog.Int("allowed", r.fdLimit), slog.Int("wanted", s.MaxStreams))
	}
	return r, nil
}

// Addrs returns what was bound.
func (r *Runner) Addrs() []netip.AddrPort { return r.addrs }

// Loops returns how many loops can share the ports.
func (r *Runner) Loops() int { return r.Settings.Loops }

// MaxStreams returns how many files there are for players.
func (r *Runner) MaxStreams() int { return r.fdLimit }

// hold binds address, as an ordinary socket that shares with none, and then lets it
// share, with this server's alone: so no other one gets in between. It returns what
// was bound.
func (r *Runner) hold(network, address string) (bound netip.AddrPort, err error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return bound, err
	}
	// For Go "0.0.0.0" means both families, for us only one.
	if ip, err := netip.ParseAddr(host); err == nil && ip == netip.IPv4Unspecified() {
		network += "4"
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	var socket interface {
		io.Closer
		syscall.Conn
	}
	if strings.HasPrefix(network, "udp") {
		pc, err := lc.ListenPacket(context.Background(), network, address)
		if err != nil {
			return bound, err
		}
		bound, socket = pc.LocalAddr().(*net.UDPAddr).AddrPort(), pc.(*net.UDPConn)
	} else {
		ln, err := lc.Listen(context.Background(), network, address)
		if err != nil {
			return bound, err
		}
		bound, socket = ln.Addr().(*net.TCPAddr).AddrPort(), ln.(*net.TCPListener)
	}
	r.holds = append(r.holds, socket)
	if oneLoop {
		r.letGo()
	} else if raw, err := socket.SyscallConn(); err != nil {
		return bound, err
	} else if err := sharePort("", "", raw); err != nil {
		return bound, err
	}
	return netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port()), nil
}

// listen returns what a loop listens on for a listener, as package net takes it.
// Unspecified IPv6 is both families.
func (r *Runner) listen(i int, network string) (_, address string) {
	if r.addrs[i].Addr().Is4() {
		network += "4"
	}
	return network, r.addrs[i].String()
}

// Run starts the engine of a loop and returns when it runs.
func (r *Runner) Run(s backend.Sink) error {
	g := &loop{r: r, sink: s, queue: s.Queue(), count: s.Counters(), udp: make([]*udpSocket, len(r.Listeners)), up: make(chan error, 1)}
	if err := g.listenStreams(); err != nil {
		return fmt.Errorf("transport: start loop %d: %w", s.Index(), err)
	}
	r.done.Add(1)
	// Ends when Stop has closed the loop's queue.
	go g.serve()
	err := <-g.up
	r.letGo()
	return err
}

// letGo ends what hold has begun: a loop has the ports now, or none will.
func (r *Runner) letGo() {
	for _, socket := range r.holds {
		_ = socket.Close()
	}
	r.holds = nil
}

// Wait ends what Stop has told to end.
func (r *Runner) Wait() {
	r.letGo()
	close(r.quit)
	r.done.Wait()
}

// serve runs engines until the loop is stopped. There is a second one only if
// the first ended by itself, which no shortage of files makes it do. Datagram
// links hardly notice: their state is the loop's, and the port is the same.
func (g *loop) serve() {
	defer g.r.done.Done()
	defer g.refuse()
	for wait := time.Duration(0); ; {
		began := g.r.Now()
		err := g.engine()
		wait = restartAfter(wait, g.r.Now()-began)
		if g.sink.Ended() {
			return
		}
		if !g.started {
			g.up <- fmt.Errorf("transport: start loop %d: %w", g.sink.Index(), cmp.Or(err, errEnded))
			<-g.r.quit // Start gives up
		} else {
			g.count.AcceptFailures.Add(1) // the listeners are restarted
			g.r.Log.Error("transport: engine ended, starting another", slog.Int("loop", g.sink.Index()), slog.Any("error", err))
			select {
			case <-time.After(wait):
			case <-g.r.quit:
			}
		}
		// Between two engines the loop is this goroutine.
		if g.booted {
			g.sink.Begin()
			g.sink.End()
		}
		if g.sink.Ended() || !g.started {
			return
		}
	}
}

// restartAfter is how long a loop waits after an engine that ran for a time, where it
// waited last before that.
func restartAfter(last, ran time.Duration) time.Duration {
	if last == 0 || ran >= maxRestartDelay {
		return restartDelay
	}
	return min(2*last, maxRestartDelay)
}

// engine runs one gnet engine to its end.
func (g *loop) engine() error {
	g.bootErr, g.dead, g.round = nil, make(chan struct{}), round{streams: map[int32]bool{}}
	err := gnet.Rotate(g, []string{hermitAddr},
		gnet.WithNumEventLoop(1),
		gnet.WithReusePort(!oneLoop),
		// OnTick is the one place that runs when the loop exists, and is told
		// so without a race: OnBoot is too early, and a UDP server without
		// players has no other event. It ticks once.
		gnet.WithTicker(true),
		gnet.WithLogger(g.r.logger))
	g.queue.SetWaker(nil)
	g.waker.close()
	g.settle()
	g.closeWatch()
	for i, u := range g.udp {
		u.close()
		g.udp[i] = nil
	}
	return cmp.Or(g.bootErr, err)
}

// OnTick gives the loop its waker: ends of pairs of sockets, registered
// with gnet like any connection. Waking by it allocates nothing, which
// EventLoop.Execute does three times, and unlike gnet's own eventfd it is ours
// to close, so that no wake-up goes to a descriptor that is in use for something else.
func (g *loop) OnTick() (time.Duration, gnet.Action) {
	conns, err := g.waker.open()
	for i, conn := range conns {
		defer conn.Close() // gnet has a copy
		if err != nil {
			continue
		}
		var registered <-chan gnet.RegisteredResult
		ctx := gnet.NewContext(gnet.NewNetConnContext(context.Background(), conn), waking{last: i == len(conns)-1})
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

// waking is the context of the loop's ends of its waker.
type waking struct {
	last bool // the loop has them all
}

// OnShutdown runs when the engine is about to end.
func (g *loop) OnShutdown(gnet.Engine) {
	g.engineAt.Store(nil)
	close(g.dead)
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
