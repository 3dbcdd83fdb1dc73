// SPDX-License-Identifier: MIT

package poll

import (
	"context"
	"net"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"golang.org/x/sys/unix"
)

// What follows is for the tests of package transport, which see what becomes of
// links when something happens down here that can't be made to happen from above.

// EndEngine ends the loop's engine, as no shortage of files does. Another follows.
func (g *loop) EndEngine() { _ = g.eng.Stop(context.Background()) }

// BreakEngine has the engine end by an error of its epoll, the next time that it looks
// there. On the loop.
func (g *loop) BreakEngine() {
	_ = unix.Dup3(g.waker.fds[0], int(g.watch.fds[len(g.udp)]), unix.O_CLOEXEC)
}

// HoldAcceptor is an acceptor that ends when release is called, and not before.
// Held reports whether it is the only one that has not ended.
func (g *loop) HoldAcceptor() (held func() bool, release func()) {
	g.accepting.Add(1)
	held = func() bool { return g.accepting.Load() == 1 }
	return held, func() {
		g.accepting.Add(-1)
		g.queue.Wake()
	}
}

// HandOver hands the loop a connection, as an acceptor does.
func (g *loop) HandOver(conn *net.TCPConn) {
	(&acceptor{g: g, handing: make(chan struct{}, 1)}).hand(conn)
}

// Coming is a connection that is on its way to the loop until came is called.
func (g *loop) Coming() (came func()) {
	at := g.engineAt.Load()
	at.coming.Add(1)
	return func() { at.coming.Add(-1) }
}

// Coalesce makes the loop wait between batches from now on, as if much came and it
// were worth it. On the loop.
func (g *loop) Coalesce() { g.watch.on, g.watch.until = true, backend.Never }
