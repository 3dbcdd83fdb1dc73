// SPDX-License-Identifier: MIT

package poll

import (
	"errors"
	"net"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/panjf2000/gnet/v2"
)

var errEnded = errors.New("transport: engine ended")

// yieldEvery is how long a busy loop goes without a word to Go's scheduler,
// which gnet does not have while there is something to read. After 10 ms the
// runtime takes the processor away from the loop's thread, which nearly always
// is in a system call, wakes another thread to have it, and then looks every 20
// microseconds for a while: an eighth of the loop's own time went there.
const yieldEvery = 4 * time.Millisecond

// loop is the backend of a loop on sockets, and gnet's event handler for
// its engine. Owned by the loop, except for waker, which Loop.queue guards, and
// for bootErr, which is written before the engine ends and read after.
type loop struct {
	gnet.BuiltinEventEngine

	r       *Runner
	sink    backend.Sink
	queue   backend.Queue     // the sink's
	count   *backend.Counters // likewise
	eng     gnet.Engine
	waker   waker
	udp     []*udpSocket // by the number of the listener; nil what is not served, and between engines
	watch   *watch       // where it waits; it may be nil between engines
	booted  bool
	up      chan error // 1 deep: takes the outcome of the first start
	started bool       // it was a success
	bootErr error
	came    uint64        // datagrams
	yielded time.Duration // when it last gave way to other goroutines
	round   round
	wakeAt  time.Duration // when it is to run a batch at the latest
	dead    chan struct{} // closed when this engine is about to end

	acceptors []*acceptor              // immutable once the loop runs
	accepts   bool                     // they were started
	refuses   bool                     // their listeners were closed
	accepting atomic.Int32             // those that run
	engineAt  atomic.Pointer[engineAt] // nil between engines
}

// Send sends what one socket is to send.
func (g *loop) Send(b *backend.Outbox) bool {
	u := g.udp[b.Listener]
	return u != nil && u.send(b)
}

// Drain takes what waits in all sockets.
func (g *loop) Drain() {
	for _, u := range g.udp {
		if u != nil {
			u.drain()
		}
	}
}

// OnBoot runs when the sockets are bound.
func (g *loop) OnBoot(eng gnet.Engine) gnet.Action {
	g.eng = eng
	if err := g.hermit(eng); err != nil {
		g.bootErr = err
		return gnet.Shutdown
	}
	for i, l := range g.r.Listeners {
		if l.Stream || l.Address == "" {
			continue
		}
		u, err := openUDP(g, i)
		if err != nil {
			g.bootErr = err
			return gnet.Shutdown
		}
		g.udp[i] = u
	}
	if err := g.openWatch(); err != nil {
		g.bootErr = err
		return gnet.Shutdown
	}
	return gnet.None
}

// boot runs OnLoop before whatever comes first on the loop.
func (g *loop) boot() {
	if !g.booted {
		g.booted = true
		g.sink.Boot(g)
	}
}

// after is the end of every event: it says so when the loop has nothing more to do.
func (g *loop) after(action gnet.Action) gnet.Action {
	if !g.round.open {
		g.yield()
	}
	if g.sink.Ended() && g.refused() {
		return gnet.Shutdown
	}
	return action
}

// yield gives way to other goroutines now and then.
func (g *loop) yield() {
	if g.sink.Now()-g.yielded > yieldEvery {
		g.yielded = g.sink.Now()
		runtime.Gosched()
	}
}

// OnOpen takes the waker, and connections from an acceptor.
func (g *loop) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	g.boot()
	if w, ok := c.Context().(waking); ok {
		if !w.last {
			return nil, gnet.None
		}
		if g.bootErr = g.watchGnet(c); g.bootErr != nil {
			return nil, gnet.Shutdown
		}
		g.waker.wake() // gnet calls back; before others may wake it
		g.queue.SetWaker(g.wake)
		g.engineAt.Store(&engineAt{loop: c.EventLoop(), dead: g.dead})
		g.accept()
		if !g.started {
			g.started = true
			g.up <- nil
		}
		return nil, gnet.None
	}
	a, ok := c.Context().(*newcomer)
	addr, isTCP := c.RemoteAddr().(*net.TCPAddr)
	if !ok || !isTCP {
		return nil, gnet.Close
	}
	a.opened = true
	if at := g.engineAt.Load(); at != nil {
		at.coming.Add(-1)
	}
	// The kernel gives the lowest free descriptor, so its number says how many
	// are left, whatever uses them. The last ones are not for players.
	if limit := g.r.fdLimit; limit > 0 && c.Fd() >= limit && !g.evict() {
		a.count()
		return nil, gnet.Close
	}
	s := &stream{Conn: c, busy: true}
	c.SetContext(s)
	g.round.streams[int32(c.Fd())] = true
	g.sink.Begin()
	s.k = g.sink.Open(a.number, s, addr.AddrPort())
	g.sink.End()
	return nil, g.after(s.rest())
}

// evict makes room among the descriptors: connections that say nothing must
// keep no player out.
func (g *loop) evict() bool {
	g.settle() // a descriptor is free at the end of a batch
	return g.sink.Evict()
}

// OnTraffic takes what arrived: a wake-up, or bytes of a stream.
func (g *loop) OnTraffic(c gnet.Conn) gnet.Action {
	g.boot()
	switch s := c.Context().(type) {
	case *stream:
		return g.traffic(s)
	case waking:
		_, _ = c.Discard(c.InboundBuffered())
		g.settle()
		return g.turn()
	}
	return g.after(gnet.None)
}

// OnClose tells that a connection is gone. gnet calls it from within Write as
// well, and for every connection when the engine ends.
func (g *loop) OnClose(c gnet.Conn, err error) gnet.Action {
	s, ok := c.Context().(*stream)
	if !ok {
		return gnet.None
	}
	delete(g.round.streams, int32(c.Fd()))
	if g.round.left > 0 { // it may be one of them
		g.round.left = 0
		g.waker.wake()
	}
	if g.sink.Depth() == 1 {
		g.settle() // an answer to what came just before the end
	}
	s.Conn = nil
	k := s.k
	s.k = nil
	if k == nil || !k.Closed(s, err) {
		return gnet.None // the loop closed it
	}
	return g.after(gnet.None)
}

// stream is a TCP connection. Owned by the loop. Conn is nil once gnet has
// closed it: its descriptor may be another connection's then.
type stream struct {
	gnet.Conn
	k    backend.Link
	busy bool // gnet is in a callback for it: it closes by the callback's result
	end  bool // End was called meanwhile
}

func (s *stream) Write(p []byte) (int, error) {
	if s.Conn == nil {
		return 0, net.ErrClosed
	}
	return s.Conn.Write(p)
}

func (s *stream) OutboundBuffered() int {
	if s.Conn == nil {
		return 0
	}
	return s.Conn.OutboundBuffered()
}

func (s *stream) CloseWrite() bool { return s.Conn != nil && shutdownWrite(s.Conn) }

func (s *stream) RTT() time.Duration {
	if s.Conn == nil {
		return 0
	}
	return kernelRTT(s.Conn)
}

func (s *stream) End() {
	switch {
	case s.Conn == nil:
	case s.busy:
		s.end = true
	default:
		_ = s.Conn.EventLoop().Close(s.Conn)
	}
}

// rest ends a callback for s.
func (s *stream) rest() gnet.Action {
	s.busy = false
	if s.Conn != nil && (s.end || s.k == nil) {
		return gnet.Close
	}
	return gnet.None
}
