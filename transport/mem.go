// SPDX-License-Identifier: MIT

package transport

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
	// rateQueue is how long a datagram may wait for Rate before it is dropped.
	rateQueue = 250 * time.Millisecond
	// overtaken is how long a reordered datagram is kept back besides Delay.
	overtaken = 10 * time.Millisecond
	// memWindow is how many bytes of a stream are on their way or unread.
	memWindow = 64 << 10
	// memInbox is how many events wait for a loop; datagrams beyond are dropped.
	memInbox = 8192
	// memSocket is how many datagrams wait for a client that does not read.
	memSocket = 4096
)

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
	next    netip.Addr // of the next client, if somebody chose it
	ports   uint16
	streams map[netip.AddrPort]*memRunner     // TCP listeners
	sockets map[netip.AddrPort]*memRunner     // datagram servers
	packets map[netip.AddrPort]*MemPacketConn // clients
	conns   map[*MemConn]struct{}
}

// NewNetwork returns an empty network.
func NewNetwork(seed uint64, c Conditions) *Network {
	return &Network{
		start:   clock(),
		rand:    rand.New(rand.NewPCG(seed, 0x6c69666c)),
		cond:    c,
		ports:   20000,
		streams: make(map[netip.AddrPort]*memRunner),
		sockets: make(map[netip.AddrPort]*memRunner),
		packets: make(map[netip.AddrPort]*MemPacketConn),
		conns:   make(map[*MemConn]struct{}),
	}
}

// SetConditions changes the weather for everything sent from now on.
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

// bindLocked registers a server in table. Port 0 picks a free one.
func (n *Network) bindLocked(table map[netip.AddrPort]*memRunner, address string, r *memRunner) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if host == "" || host == "localhost" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	addr, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil {
		return netip.AddrPort{}, err
	}
	for free := addr.Port() == 0; free; _, free = table[addr] {
		n.ports++
		addr = netip.AddrPortFrom(addr.Addr(), n.ports)
	}
	if table[addr] != nil {
		return netip.AddrPort{}, syscall.EADDRINUSE
	}
	table[addr] = r
	return addr, nil
}

// DialTCP opens a byte stream to a server on the network. It takes a round
// trip, and fails when nobody listens there.
func (n *Network) DialTCP(ctx context.Context, addr netip.AddrPort) (*MemConn, error) {
	return n.dialTCP(ctx, nil, addr)
}

func (n *Network) dialTCP(ctx context.Context, line *Line, addr netip.AddrPort) (*MemConn, error) {
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
	r := n.streams[addr]
	if r == nil {
		return nil, fmt.Errorf("transport: dial %v: %w", addr, syscall.ECONNREFUSED)
	}
	c := newMemConnLocked(n, line, n.clientAddrOfLocked(line), addr)
	loop := r.loops[int(c.local.Port())%len(r.loops)]
	c.server = &memStream{conn: c, loop: loop}
	n.conns[c] = struct{}{}
	loop.enqueueLocked(memEvent{kind: memOpen, stream: c.server})
	return c, nil
}

// ListenPacket opens a client's datagram socket.
func (n *Network) ListenPacket() (*MemPacketConn, error) { return n.listenPacket(nil) }

func (n *Network) listenPacket(line *Line) (*MemPacketConn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := &MemPacketConn{n: n, local: n.clientAddrOfLocked(line), wake: make(chan struct{})}
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
	if r := n.sockets[p.to]; r != nil {
		loop := r.loops[int(p.from.Port())%len(r.loops)]
		w := plainWire
		if p.to == r.t.addrs[KCP] {
			w = sealedWire
		}
		loop.enqueueLocked(memEvent{kind: memDatagram, wire: w, from: p.from, data: p.data})
	}
}

// parcel is a datagram, or a piece of a stream, on its way.
type parcel struct {
	due      time.Duration
	from, to netip.AddrPort
	data     []byte
	end      bool // of a stream
}

// flight is one direction of a client connection: what is in the air, in the
// order of arrival, behind one timer. Guarded by Network.mu.
type flight struct {
	n       *Network
	line    *Line        // nil: it has the network's conditions
	draws   draws        // of the line
	stream  bool         // it loses nothing: what is on its way waits for a line that is down
	deliver func(parcel) // called with mu held
	q       []parcel
	timer   *time.Timer
	free    time.Duration // when the line has sent what it has to send at Rate
	last    time.Duration // arrival of the last piece of a stream
}

func (n *Network) now() time.Duration { return clock().Sub(n.start) }

// transmitLocked is when the line has sent size more bytes.
func (f *flight) transmitLocked(now time.Duration, size int) time.Duration {
	rate := f.n.condOfLocked(f.line).Rate
	if rate <= 0 {
		return now
	}
	f.free = max(f.free, now) + time.Duration(size)*time.Second/time.Duration(rate)
	return f.free
}

// datagramLocked sends a datagram through the weather.
func (f *flight) datagramLocked(p parcel) {
	n, c := f.n, f.n.condOfLocked(f.line)
	now := n.now()
	random := n.rand
	if f.line != nil {
		random = f.draws.at(now)
	}
	copies := 1
	// Each condition draws only if it is set, so that one does not change
	// what another does.
	if c.Loss > 0 && random.Float64() < c.Loss {
		return
	}
	if c.Duplicate > 0 && random.Float64() < c.Duplicate {
		copies = 2
	}
	if f.free > now+rateQueue || c.MTU > 0 && len(p.data) > c.MTU {
		return
	}
	sent := f.transmitLocked(now, len(p.data))
	p.data = append([]byte(nil), p.data...)
	for range copies {
		p.due = sent + c.Delay
		if c.Jitter > 0 {
			p.due += time.Duration(random.Int64N(int64(c.Jitter) + 1))
		}
		if c.Reorder > 0 && random.Float64() < c.Reorder {
			p.due += overtaken
		}
		f.putLocked(now, p)
	}
}

// pieceLocked sends a piece of a stream: late perhaps, but whole and in order.
func (f *flight) pieceLocked(p parcel) {
	now := f.n.now()
	p.due = max(f.transmitLocked(now, len(p.data))+f.n.condOfLocked(f.line).Delay, f.last)
	f.last = p.due
	f.putLocked(now, p)
}

// putLocked delivers p at once, or puts it behind everything that arrives no later.
func (f *flight) putLocked(now time.Duration, p parcel) {
	down := f.line != nil && f.line.down
	if down && !f.stream {
		return
	}
	if p.due <= now && len(f.q) == 0 && !down {
		f.deliver(p)
		return
	}
	i := len(f.q)
	for i > 0 && f.q[i-1].due > p.due {
		i--
	}
	f.q = append(f.q, parcel{})
	copy(f.q[i+1:], f.q[i:])
	f.q[i] = p
	if down {
		f.line.holdLocked(f)
	} else if i == 0 {
		f.armLocked(now)
	}
}

func (f *flight) armLocked(now time.Duration) {
	wait := max(f.q[0].due-now, 0)
	if f.timer == nil {
		f.timer = time.AfterFunc(wait, f.arrive)
	} else {
		f.timer.Reset(wait)
	}
}

// arrive is what the timer calls.
func (f *flight) arrive() {
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	now := f.n.now()
	down := f.line != nil && f.line.down
	if down && f.stream {
		f.line.holdLocked(f)
		return
	}
	for len(f.q) > 0 && f.q[0].due <= now {
		p := f.q[0]
		f.q[0] = parcel{}
		f.q = f.q[1:]
		if !down {
			f.deliver(p)
		}
	}
	if len(f.q) > 0 {
		f.armLocked(now)
	}
}

// stopLocked forgets what is in the air.
func (f *flight) stopLocked() {
	f.q = nil
	if f.timer != nil {
		f.timer.Stop()
	}
}
