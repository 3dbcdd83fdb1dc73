// SPDX-License-Identifier: MIT

package poll

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
)

const (
	// maxHanding connections of one listener, or fewer where there are few files,
	// are on their way to the loop: each has two files then.
	maxHanding = 8
	// retryAccept is how long a listener rests after a failure, and what that
	// grows to while it fails.
	retryAccept    = 10 * time.Millisecond
	maxRetryAccept = time.Second
	// spareWait bounds the wait for the connection that a spare file is for.
	spareWait = time.Second
	// warnAccept is how often the log says that connections can't be accepted.
	warnAccept = time.Minute
)

// acceptor takes the connections of one listener and hands them to its loop. It
// is not gnet that accepts: gnet ends an engine, with every link on it and its
// datagram sockets, when that fails. Owned by its goroutine, except for ln
// and handing.
type acceptor struct {
	g       *loop
	number  int // of the listener
	ln      *net.TCPListener
	spare   *os.File      // closed to accept, and refuse, a connection when files have run out
	handing chan struct{} // has a place for each connection on its way
	local   net.IP        // that the last connection came to: most come to the same
	short   bool          // files have run out: look for a connection before the next accept
	rest    time.Duration // after the next failure
	warned  time.Duration // when the log last said so
}

// engineAt is where acceptors hand connections to. dead is closed before the
// engine takes no more.
type engineAt struct {
	loop   gnet.EventLoop
	dead   chan struct{}
	coming atomic.Int32 // connections on their way: the loop lets gnet look
}

// newcomer is a connection on its way to the engine.
type newcomer struct {
	*acceptor
	opened bool // written before the engine says that it has it, and read after
}

// listenStreams opens the listeners of a loop. Those of all loops share their port.
func (g *loop) listenStreams() error {
	for i, l := range g.r.Listeners {
		if !l.Stream || l.Address == "" {
			continue
		}
		network, address := g.r.listen(i, "tcp")
		lc := net.ListenConfig{KeepAlive: -1, Control: sharePort}
		lc.SetMultipathTCP(false)
		ln, err := lc.Listen(context.Background(), network, address)
		if err != nil {
			g.refuse()
			return err
		}
		a := &acceptor{g: g, number: i, ln: ln.(*net.TCPListener), rest: retryAccept, warned: -warnAccept, handing: make(chan struct{}, g.r.handing)}
		a.keepSpare()
		g.acceptors = append(g.acceptors, a)
	}
	return nil
}

// accept starts the acceptors, once.
func (g *loop) accept() {
	if g.accepts {
		return
	}
	g.accepts = true
	for _, a := range g.acceptors {
		g.accepting.Add(1)
		// Ends when refuse closes its listener.
		go a.run()
	}
}

// refuse closes the listeners.
func (g *loop) refuse() {
	for _, a := range g.acceptors {
		_ = a.ln.Close()
	}
}

// refused closes the listeners and reports whether nothing is on its way from
// them any more. Until then the loop must run: gnet never answers otherwise.
func (g *loop) refused() bool {
	if !g.refuses {
		g.refuses = true
		g.refuse()
	}
	return g.accepting.Load() == 0
}

func (a *acceptor) run() {
	for {
		if a.short {
			awaitConn(a.ln)
		}
		conn, err := a.ln.AcceptTCP()
		switch {
		case err == nil:
			a.short, a.rest = false, retryAccept
			a.hand(conn)
		case errors.Is(err, net.ErrClosed):
			a.end()
			return
		case noFiles(err) && !a.short:
			a.short = true // the kernel says so even when there is no connection
		default:
			a.failed(err)
		}
	}
}

// end is the end of run.
func (a *acceptor) end() {
	for range cap(a.handing) {
		a.handing <- struct{}{}
	}
	if a.spare != nil {
		_ = a.spare.Close()
	}
	if a.g.accepting.Add(-1) == 0 {
		a.g.queue.Wake() // it may be what the loop waits for to end
	}
}

// hand gives a connection to the engine, as it takes them. gnet keeps both of its
// addresses while it lasts: they let go of the socket addresses that they point
// into. And gnet takes the memory of a zone for its own when the connection closes.
func (a *acceptor) hand(conn *net.TCPConn) {
	if tcp, ok := conn.LocalAddr().(*net.TCPAddr); ok {
		if !a.local.Equal(tcp.IP) {
			a.local = slices.Clone(tcp.IP)
		}
		tcp.IP, tcp.Zone = a.local, strings.Clone(tcp.Zone)
	}
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		tcp.IP, tcp.Zone = slices.Clone(tcp.IP), strings.Clone(tcp.Zone)
	}
	a.handing <- struct{}{}
	if e := a.g.engineAt.Load(); e != nil {
		e.coming.Add(1)
		n := &newcomer{acceptor: a}
		if taken, err := e.loop.Enroll(gnet.NewContext(context.Background(), n), conn); err == nil {
			// gnet tells its epoll of the first of several connections, and the loop may
			// sleep by now where it was told of that one and has yet to return to gnet.
			a.g.queue.Wake()
			go n.settle(e, conn, taken) // ends when the engine has it, or has not, or is dead
			return
		}
		e.coming.Add(-1)
	}
	<-a.handing
	_ = conn.Close()
	a.count()
}

// settle waits until the engine has a connection that was handed over. gnet has closed
// it if that failed, which it does not say where its epoll did not take it: the loop must
// not go on looking for it. What an engine that ends has not taken keeps gnet's goroutine
// and copy of the descriptor for ever, which can't be closed: its peer is told here.
func (n *newcomer) settle(e *engineAt, conn *net.TCPConn, taken <-chan gnet.RegisteredResult) {
	defer func() { <-n.handing }()
	for {
		select {
		case res, more := <-taken:
			if !more {
				return // and our own descriptor is closed
			}
			if res.Err != nil || !n.opened {
				e.coming.Add(-1)
				n.count()
			}
		case <-e.dead: // gnet never answers then
			_ = conn.CloseRead() // of the connection itself, not of one descriptor
			_ = conn.CloseWrite()
			_ = conn.Close()
			return
		}
	}
}

// failed sees to a connection that can't be accepted. Where files have run out
// it is refused at once, with the help of the spare one: it would hang in the
// kernel's queue otherwise, and those behind it too.
func (a *acceptor) failed(err error) {
	a.count()
	if now := a.g.r.Now(); now >= a.warned+warnAccept {
		a.warned = now
		a.g.r.Log.Warn("transport: connections can't be accepted", slog.Int("loop", a.g.sink.Index()),
			slog.String("carrier", a.g.r.Listeners[a.number].Name), slog.Any("error", err))
	}
	if a.short && a.spare != nil {
		_ = a.spare.Close()
		_ = a.ln.SetDeadline(a.g.r.Start.Add(a.g.r.Now() + spareWait))
		if conn, err := a.ln.AcceptTCP(); err == nil {
			_ = conn.Close()
		}
		_ = a.ln.SetDeadline(time.Time{})
		a.keepSpare()
		if a.spare != nil {
			return
		}
	}
	time.Sleep(a.rest)
	a.rest = min(2*a.rest, maxRetryAccept)
	if a.spare == nil {
		a.keepSpare()
	}
}

// keepSpare opens the spare file. There is none where that fails.
func (a *acceptor) keepSpare() { a.spare, _ = os.Open(os.DevNull) }

// count counts a connection that was refused for want of a file.
func (a *acceptor) count() {
	a.g.count.AcceptFailures.Add(1)
	a.g.sink.Refuse(a.number)
}
