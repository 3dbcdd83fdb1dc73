// SPDX-License-Identifier: MIT

// Package memnet is a network in memory, for tests: transport.Config.Network, or
// framework.Config.Network, puts a server on it, and clients dial it. It delays,
// loses, reorders and cuts as its [Conditions] say, and runs under testing/synctest.
package memnet

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Conditions say how badly a Network behaves. They hold for each direction of
// each client connection.
type Conditions struct {
	Delay     time.Duration // one way
	Jitter    time.Duration // up to this much more, drawn for each datagram; it reorders
	Loss      float64       // share of datagrams that are lost, 0 to 1
	Duplicate float64       // share of datagrams that arrive twice
	Reorder   float64       // share of datagrams that others overtake
	Rate      int           // bytes per second; 0 is unlimited
	MTU       int           // longer datagrams are lost; 0 is unlimited
}

const (
	// window is how many bytes of a stream are on their way or unread.
	window = 64 << 10
	// maxInbox is how many events wait for a loop; datagrams beyond are dropped.
	maxInbox = 8192
	// maxUnread is how many datagrams wait for a client that does not read.
	maxUnread = 4096
)

// clock is the only place where the package reads the time.
func clock() time.Time { return time.Now() }

// Network is a network in memory: Config.Network puts servers on it, DialTCP
// and ListenPacket their clients. Nothing in it does real I/O or sleeps
// outside timers, so that it runs under testing/synctest. For the same seed
// it loses and delays the same things, as far as the scheduler lets the same
// things happen. Guarded by mu; its methods are safe to call from any goroutine.
type Network struct {
	mu      sync.Mutex
	start   time.Time
	rand    *rand.Rand
	cond    Conditions
	clients uint32     // ever
	next    netip.Addr // of the next client, if it was chosen
	ports   uint16
	streams map[netip.AddrPort]port        // TCP listeners
	sockets map[netip.AddrPort]port        // datagram servers
	packets map[netip.AddrPort]*PacketConn // clients
	conns   map[*Conn]struct{}
}

// New returns an empty network.
func New(seed uint64, c Conditions) *Network {
	return &Network{
		start:   clock(),
		rand:    rand.New(rand.NewPCG(seed, 0x6c69666c)),
		cond:    c,
		ports:   20000,
		streams: make(map[netip.AddrPort]port),
		sockets: make(map[netip.AddrPort]port),
		packets: make(map[netip.AddrPort]*PacketConn),
		conns:   make(map[*Conn]struct{}),
	}
}

// SetConditions changes the conditions for everything sent from now on.
func (n *Network) SetConditions(c Conditions) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cond = c
}

// CutAll cuts every client connection and socket that is open.
func (n *Network) CutAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		c.cut = true
	}
	for _, c := range n.packets {
		c.cut = true
	}
}

// Kill ends the servers of a host for all others, as when their processes are killed: nothing
// listens there any more, so that others may, streams break, and what they send gets
// nowhere. The servers themselves are not told.
func (n *Network) Kill(host netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, table := range []map[netip.AddrPort]port{n.sockets, n.streams} {
		for addr, p := range table {
			if addr.Addr() == host {
				p.r.dead = true
				delete(table, addr)
			}
		}
	}
	for c := range n.conns {
		if c.server.loop.r.dead {
			c.breakLocked()
		}
	}
}

// NextAddr chooses the address of the next client, IPv4 or IPv6. Its port is
// one that no client had before.
func (n *Network) NextAddr(a netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.next = a
}

// Links returns how many client connections and sockets are open.
func (n *Network) Links() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.conns) + len(n.packets)
}

// clientAddrLocked returns an address that no client had before.
func (n *Network) clientAddrLocked() netip.AddrPort {
	n.clients++
	ip := [4]byte{10}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n.clients)
	copy(ip[1:], b[1:])
	addr := netip.AddrFrom4(ip)
	if n.next.IsValid() {
		addr, n.next = n.next, netip.Addr{}
	}
	return netip.AddrPortFrom(addr, 40000+uint16(n.clients%20000))
}

// port is what a server has bound.
type port struct {
	r        *runner
	listener int
}

// bindLocked registers a server in table. Port 0 picks a free one.
func (n *Network) bindLocked(table map[netip.AddrPort]port, address string, p port) (netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if host == "" || host == "localhost" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	addr, err := netip.ParseAddrPort(net.JoinHostPort(host, service))
	if err != nil {
		return netip.AddrPort{}, err
	}
	for taken := addr.Port() == 0; taken; _, taken = table[addr] {
		n.ports++
		addr = netip.AddrPortFrom(addr.Addr(), n.ports)
	}
	if _, taken := table[addr]; taken {
		return netip.AddrPort{}, syscall.EADDRINUSE
	}
	table[addr] = p
	return addr, nil
}

// DialTCP opens a byte stream to a server on the network. It takes a round
// trip, and fails where no server listens.
func (n *Network) DialTCP(ctx context.Context, addr netip.AddrPort) (*Conn, error) {
	return n.dialTCP(ctx, nil, addr)
}

func (n *Network) dialTCP(ctx context.Context, line *Line, addr netip.AddrPort) (*Conn, error) {
	n.mu.Lock()
	rtt := 2 * n.condOfLocked(line).Delay
	n.mu.Unlock()
	if rtt > 0 {
		t := time.NewTimer(rtt)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-t.C:
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	p, served := n.streams[addr]
	if !served {
		return nil, fmt.Errorf("memnet: dial %v: %w", addr, syscall.ECONNREFUSED)
	}
	c := newConnLocked(n, line, n.clientAddrOfLocked(line), addr)
	l := p.r.loopOf(c.local)
	c.server = &stream{conn: c, loop: l}
	n.conns[c] = struct{}{}
	l.enqueueLocked(event{kind: opened, listener: p.listener, stream: c.server})
	return c, nil
}

// ListenPacket opens a client's datagram socket.
func (n *Network) ListenPacket() (*PacketConn, error) { return n.listenPacket(nil) }

func (n *Network) listenPacket(line *Line) (*PacketConn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := &PacketConn{n: n, local: n.clientAddrOfLocked(line), wake: make(chan struct{})}
	c.up = n.flightLocked(line, false, n.toServerLocked)
	c.down = n.flightLocked(line, false, c.receiveLocked)
	n.packets[c.local] = c
	return c, nil
}

// toServerLocked delivers a client's datagram.
func (n *Network) toServerLocked(p parcel) {
	if c := n.packets[p.from]; c != nil && c.cut {
		return
	}
	if s, served := n.sockets[p.to]; served {
		s.r.loopOf(p.from).enqueueLocked(event{kind: datagram, listener: s.listener, from: p.from, data: p.data})
	}
}

func (n *Network) now() time.Duration { return clock().Sub(n.start) }
