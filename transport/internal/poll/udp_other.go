// SPDX-License-Identifier: MIT

//go:build !linux

package poll

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/panjf2000/gnet/v2"
)

const (
	// oneLoop: here the kernel does not spread packets over sockets that
	// share a port.
	oneLoop  = true
	maxInbox = 1024 // datagrams between the reader and the loop; those beyond are dropped
)

// hermitAddr is what an engine listens on, since it needs a listener. This one
// takes no client.
const hermitAddr = "tcp4://127.0.0.1:0"

func (g *loop) hermit(gnet.Engine) error { return nil }

// sharePort: there is one loop.
var sharePort func(network, address string, c syscall.RawConn) error

// udpSocket is the portable datagram socket, for development where the
// server will not run: one datagram a call, read by a goroutine of its own.
// Owned by the loop, except for inbox.
type udpSocket struct {
	g     *loop
	inBox backend.Inbox
	conn  *net.UDPConn
	done  sync.WaitGroup

	mu    sync.Mutex // guards inbox
	inbox []otherDatagram
	spare []otherDatagram // the loop's own
}

type otherDatagram struct {
	from netip.AddrPort
	data []byte
}

func openUDP(g *loop, number int) (*udpSocket, error) {
	network, address := g.r.listen(number, "udp")
	to, err := net.ResolveUDPAddr(network, address)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP(network, to)
	if err != nil {
		return nil, err
	}
	u := &udpSocket{g: g, conn: conn}
	u.inBox.Init(number)
	want := g.r.SocketBuffer
	for ; want >= smallSocketBuffer && conn.SetReadBuffer(want) != nil; want /= 2 {
	}
	_ = conn.SetWriteBuffer(want)
	u.done.Add(1)
	// Ends when close closes the socket.
	go u.read()
	return u, nil
}

func (u *udpSocket) close() {
	if u != nil {
		_ = u.conn.Close()
		u.done.Wait()
	}
}

func (u *udpSocket) read() {
	defer u.done.Done()
	buf := make([]byte, 1<<16)
	for {
		n, from, err := u.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // a report about an earlier datagram
		}
		u.mu.Lock()
		if len(u.inbox) < maxInbox {
			u.inbox = append(u.inbox, otherDatagram{from, append([]byte(nil), buf[:n]...)})
		}
		u.mu.Unlock()
		u.g.queue.Wake()
	}
}

func (u *udpSocket) drain() {
	u.mu.Lock()
	list := u.inbox
	u.inbox, u.spare = u.spare[:0], nil
	u.mu.Unlock()
	b := &u.inBox
	for i := range list {
		d := &list[i]
		b.From[b.N], b.Size[b.N] = d.from, len(d.data)
		copy(b.Slot(b.N), d.data)
		if b.N++; b.N == backend.Slots || i == len(list)-1 {
			u.g.sink.Received(b)
			b.N = 0
		}
	}
	clear(list)
	u.spare = list
}

// watch: the readers wake the loop here, and it waits in gnet.
type watch struct{ alarm backend.Alarm }

// WakeAt wakes the loop by a timer.
func (g *loop) WakeAt(at time.Duration) { g.watch.alarm.Set(at, g.sink.Now(), g.queue.Wake) }

func (g *loop) openWatch() error {
	if g.watch == nil {
		g.watch = &watch{}
	}
	return nil
}

func (g *loop) closeWatch()               {}
func (g *loop) watchGnet(gnet.Conn) error { return nil }
func (g *loop) wake()                     { g.waker.wake() }

// turn is a batch of what woke the loop, and of what the readers have read.
func (g *loop) turn() gnet.Action {
	g.sink.Begin()
	g.Drain()
	g.sink.End()
	return g.after(gnet.None)
}

func (u *udpSocket) send(b *backend.Outbox) bool {
	for ; b.Head < b.N; b.Head++ {
		if _, err := u.conn.WriteToUDPAddrPort(b.Datagram(b.Head), b.To[b.Head]); err != nil {
			u.g.count.SendFailed.Add(1)
		} else {
			u.g.count.DatagramsOut++
		}
	}
	return true
}

// fileLimit: unknown. Servers run on Linux.
func fileLimit() (limit, reserve int, err error) { return 0, 0, nil }

// kernelRTT: unknown, likewise.
func kernelRTT(gnet.Conn) time.Duration { return 0 }
