// SPDX-License-Identifier: MIT

//go:build !linux

package transport

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"

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

func (g *gnetLoop) hermit(gnet.Engine) error { return nil }

// sharePort: there is one loop.
var sharePort func(network, address string, c syscall.RawConn) error

// udpSocket is the portable datagram socket, for those who develop where the
// server will not run: one datagram a call, read by a goroutine of its own.
// Owned by the loop, except for inbox.
type udpSocket struct {
	l    *Loop
	wire wire
	conn *net.UDPConn
	done sync.WaitGroup

	mu    sync.Mutex // guards inbox
	inbox []otherDatagram
	spare []otherDatagram // the loop's own
}

type otherDatagram struct {
	from netip.AddrPort
	data []byte
}

func openUDP(g *gnetLoop, w wire) (*udpSocket, error) {
	network, address, _ := strings.Cut(g.r.udp[w], "://")
	to, err := net.ResolveUDPAddr(network, address)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP(network, to)
	if err != nil {
		return nil, err
	}
	u := &udpSocket{l: g.l, wire: w, conn: conn}
	want := g.r.t.cfg.socketBuffer()
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
			if isClosed(err) {
				return
			}
			continue // a report about an earlier datagram
		}
		u.mu.Lock()
		if len(u.inbox) < maxInbox {
			u.inbox = append(u.inbox, otherDatagram{from, append([]byte(nil), buf[:n]...)})
		}
		u.mu.Unlock()
		u.l.queue.wake()
	}
}

func (u *udpSocket) drain() {
	u.mu.Lock()
	list := u.inbox
	u.inbox, u.spare = u.spare[:0], nil
	u.mu.Unlock()
	for i := range list {
		u.l.datagram(u.wire, list[i].from, list[i].data)
	}
	clear(list)
	u.spare = list
}

// udpWatch: the readers wake the loop here.
type udpWatch struct{}

func (g *gnetLoop) openWatch() error { return nil }
func (g *gnetLoop) closeWatch()      {}

// turn is a batch of what woke the loop, and of what the readers have read.
func (g *gnetLoop) turn() {
	g.l.begin()
	g.drain()
	g.l.end()
}

func (u *udpSocket) send(b *outbox) bool {
	for ; b.head < b.n; b.head++ {
		if _, err := u.conn.WriteToUDPAddrPort(b.datagram(b.head), b.to[b.head]); err != nil {
			u.l.stats.sendFailed.Add(1)
		} else {
			u.l.stats.datagramsOut++
		}
	}
	return true
}
