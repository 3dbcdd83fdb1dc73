// SPDX-License-Identifier: MIT

package transport

import (
	"errors"
	"net"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
)

var errEnded = errors.New("transport: engine ended")

// yieldEvery is how long a busy loop goes without a word to Go's scheduler,
// which gnet does not have while there is something to read. After 10 ms the
// runtime takes the processor away from the loop's thread, which nearly always
// is in a system call, wakes another thread to have it, and then looks every 20
// microseconds for a while: an eighth of the loop's own time went there.
const yieldEvery = 4 * time.Millisecond

// gnetLoop is the backend of a loop on sockets, and gnet's event handler for
// its engine. Owned by the loop, except for waker, which Loop.queue guards, and
// for bootErr, which is written before the engine ends and read after.
type gnetLoop struct {
	gnet.BuiltinEventEngine

	r       *socketRunner
	l       *Loop
	eng     gnet.Engine
	waker   waker
	udp     [wires]*udpSocket // nil what is not served, and between engines
	watch   *udpWatch         // nil where there is none of them
	up      chan error        // 1 deep: takes the outcome of the first start
	started bool              // it was a success
	bootErr error
	yielded time.Duration // when it last gave way to other goroutines
	round   round
	dead    chan struct{} // closed when this engine is about to end

	acceptors []*acceptor              // immutable once the loop runs
	accepts   bool                     // they were started
	refuses   bool                     // their listeners were closed
	accepting atomic.Int32             // those that run
	engineAt  atomic.Pointer[engineAt] // nil between engines
}

func (g *gnetLoop) wake() { g.waker.wake() }

func (g *gnetLoop) send(b *outbox) bool {
	u := g.udp[b.wire]
	return u != nil && u.send(b)
}

func (g *gnetLoop) drain() {
	for _, u := range g.udp {
		if u != nil {
			u.drain()
		}
	}
}

// OnBoot runs when the sockets are bound.
func (g *gnetLoop) OnBoot(eng gnet.Engine) gnet.Action {
	g.eng = eng
	if err := g.hermit(eng); err != nil {
		g.bootErr = err
		return gnet.Shutdown
	}
	for w, address := range g.r.udp {
		if address == "" {
			continue
		}
		u, err := openUDP(g, wire(w))
		if err != nil {
			g.bootErr = err
			return gnet.Shutdown
		}
		g.udp[w] = u
	}
	if err := g.openWatch(); err != nil {
		g.bootErr = err
		return gnet.Shutdown
	}
	return gnet.None
}

// boot runs OnLoop before whatever comes first on the loop.
func (g *gnetLoop) boot() {
	if !g.l.booted {
		g.l.boot()
	}
}

// after is the end of every event: it says so when the loop has nothing more to do.
func (g *gnetLoop) after(action gnet.Action) gnet.Action {
	if !g.round.open {
		g.yield()
	}
	if g.l.ended() && g.refused() {
		return gnet.Shutdown
	}
	return action
}

// yield gives way to other goroutines now and then.
func (g *gnetLoop) yield() {
	if g.l.now-g.yielded > yieldEvery {
		g.yielded = g.l.now
		runtime.Gosched()
	}
}

// OnOpen takes the waker, and connections from an acceptor.
func (g *gnetLoop) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	g.boot()
	if c.Context() == g {
		g.round.waker = c
		g.l.queue.setWaker(g.wake)
		g.engineAt.Store(&engineAt{loop: c.EventLoop(), dead: g.dead})
		g.accept()
		if !g.started {
			g.started = true
			g.up <- nil
		}
		return nil, gnet.None
	}
	a, ok := c.Context().(*acceptor)
	addr, isTCP := c.RemoteAddr().(*net.TCPAddr)
	if !ok || !isTCP {
		return nil, gnet.Close
	}
	if at := g.engineAt.Load(); at != nil {
		at.coming.Add(-1)
	}
	// The kernel gives the lowest free descriptor, so its number says how many
	// are left, whoever uses them. The last ones are not for players.
	if limit := g.r.fdLimit; limit > 0 && c.Fd() >= limit && !g.evict() {
		a.count()
		return nil, gnet.Close
	}
	s := &gnetStream{Conn: c, busy: true}
	c.SetContext(s)
	g.l.begin()
	s.k = g.l.openStream(a.carrier, s, addr.AddrPort())
	g.l.end()
	return nil, g.after(s.rest())
}

// evict makes room among the descriptors: connections that say nothing must
// keep no player out.
func (g *gnetLoop) evict() bool {
	g.settle() // a descriptor is free at the end of a batch
	g.l.begin()
	defer g.l.end()
	return g.l.evictPending()
}

// OnTraffic takes what arrived: a wake-up, or bytes of a stream.
func (g *gnetLoop) OnTraffic(c gnet.Conn) gnet.Action {
	g.boot()
	switch s := c.Context().(type) {
	case *gnetStream:
		return g.traffic(s)
	case *gnetLoop:
		n := c.InboundBuffered()
		if n == 0 && g.round.woken { // nobody rang: gnet did what it was asked to
			g.ends()
			return g.after(gnet.None)
		}
		if n > 0 {
			_, _ = c.Discard(n)
		}
		g.turn()
		g.settle()
	}
	return g.after(gnet.None)
}

// OnClose tells that a connection is gone. gnet calls it from within Write as
// well, and for every connection when the engine ends.
func (g *gnetLoop) OnClose(c gnet.Conn, err error) gnet.Action {
	s, ok := c.Context().(*gnetStream)
	if !ok {
		return gnet.None
	}
	if g.l.depth == 1 {
		g.settle() // an answer to what came just before the end
	}
	s.Conn = nil
	k := s.k
	s.k = nil
	if k == nil || k.tcp.stream != stream(s) {
		return gnet.None // we closed it
	}
	g.l.begin()
	g.l.streamClosed(k, err)
	g.l.end()
	return g.after(gnet.None)
}

// gnetStream is a TCP connection. Owned by the loop. Conn is nil once gnet has
// closed it: its descriptor may be somebody else's then.
type gnetStream struct {
	gnet.Conn
	k    *Link
	busy bool // gnet is in a callback for it: it closes by the callback's result
	end  bool // close was called meanwhile
}

func (s *gnetStream) Write(p []byte) (int, error) {
	if s.Conn == nil {
		return 0, net.ErrClosed
	}
	return s.Conn.Write(p)
}

func (s *gnetStream) OutboundBuffered() int {
	if s.Conn == nil {
		return 0
	}
	return s.Conn.OutboundBuffered()
}

func (s *gnetStream) closeWrite() bool { return s.Conn != nil && shutdownWrite(s.Conn) }

func (s *gnetStream) rtt() time.Duration {
	if s.Conn == nil {
		return 0
	}
	return kernelRTT(s.Conn)
}

func (s *gnetStream) close() {
	switch {
	case s.Conn == nil:
	case s.busy:
		s.end = true
	default:
		_ = s.Conn.EventLoop().Close(s.Conn)
	}
}

// rest ends a callback for s.
func (s *gnetStream) rest() gnet.Action {
	s.busy = false
	if s.Conn != nil && (s.end || s.k == nil) {
		return gnet.Close
	}
	return gnet.None
}
