// SPDX-License-Identifier: MIT

package transport

import (
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// memRunner runs loops on a Network: each one a goroutine that sleeps on its
// waker. Its maps and inboxes are guarded by Network.mu.
type memRunner struct {
	t     *Transport
	n     *Network
	loops []*memLoop
	done  sync.WaitGroup
}

func (r *memRunner) listen() error {
	r.n.mu.Lock()
	defer r.n.mu.Unlock()
	for range r.t.cfg.loops() {
		r.loops = append(r.loops, &memLoop{n: r.n, waker: make(chan struct{}, 1)})
	}
	for _, s := range []struct {
		c       Carrier
		address string
		table   map[netip.AddrPort]*memRunner
	}{
		{PlainKCP, r.t.cfg.PlainKCP, r.n.sockets},
		{KCP, r.t.cfg.KCP, r.n.sockets},
		{TCP, r.t.cfg.TCP, r.n.streams},
		{WebSocket, r.t.cfg.WebSocket, r.n.streams},
	} {
		if s.address == "" {
			continue
		}
		addr, err := r.n.bindLocked(s.table, s.address, r)
		if err != nil {
			return fmt.Errorf("transport: listen on %s for %v: %w", s.address, s.c, err)
		}
		r.t.addrs[s.c] = addr
	}
	return nil
}

func (r *memRunner) run(l *Loop) error {
	m := r.loops[l.index]
	m.l = l
	l.below = m
	ready := make(chan struct{})
	r.done.Add(1)
	// Ends when Stop has closed the loop's queue.
	go func() {
		defer r.done.Done()
		l.boot()
		close(ready)
		m.run()
	}()
	<-ready
	l.queue.setWaker(m.wake)
	return nil
}

func (r *memRunner) wait() {
	r.done.Wait()
	r.n.mu.Lock()
	defer r.n.mu.Unlock()
	for _, table := range []map[netip.AddrPort]*memRunner{r.n.sockets, r.n.streams} {
		for addr, owner := range table {
			if owner == r {
				delete(table, addr)
			}
		}
	}
	// Whoever dialed and was not served any more.
	for _, m := range r.loops {
		for _, e := range m.inbox {
			if e.kind == memOpen {
				e.stream.conn.breakLocked()
			}
		}
	}
}

// memEvent is something that happened on the network.
type memEvent struct {
	kind   memKind
	wire   wire           // memDatagram
	from   netip.AddrPort // memDatagram
	stream *memStream     // the others
	data   []byte
	err    error
}

type memKind uint8

const (
	memDatagram memKind = iota
	memOpen
	memData
	memClose
)

// memLoop is the backend of a loop on a Network. The inbox is guarded by
// Network.mu, the rest is the loop's own.
type memLoop struct {
	l     *Loop
	n     *Network
	waker chan struct{} // 1 deep: a burst wakes once
	inbox []memEvent
	spare []memEvent
	held  int // datagrams in the inbox
}

func (m *memLoop) wake() {
	select {
	case m.waker <- struct{}{}:
	default:
	}
}

func (m *memLoop) enqueueLocked(e memEvent) {
	if e.kind == memDatagram {
		if m.held >= memInbox {
			return
		}
		m.held++
	}
	m.inbox = append(m.inbox, e)
	m.wake()
}

func (m *memLoop) run() {
	for range m.waker {
		m.l.begin()
		m.drain()
		m.l.end()
		if m.l.ended() {
			m.l.queue.setWaker(nil)
			return
		}
	}
}

// drain hands up what has happened.
func (m *memLoop) drain() {
	m.n.mu.Lock()
	events := m.inbox
	m.inbox, m.held = m.spare[:0], 0
	m.spare = nil
	m.n.mu.Unlock()
	for i := range events {
		m.handle(&events[i])
	}
	clear(events)
	m.spare = events
}

func (m *memLoop) handle(e *memEvent) {
	s := e.stream
	switch e.kind {
	case memDatagram:
		m.l.datagram(e.wire, e.from, e.data)
	case memOpen:
		c := TCP
		if s.conn.remote == m.l.t.addrs[WebSocket] {
			c = WebSocket
		}
		if s.link = m.l.openStream(c, s, s.conn.local); s.link == nil {
			s.close()
		}
	case memData:
		if s.link != nil {
			s.in = append(s.in, e.data...)
			m.l.streamData(s.link, s)
		}
	case memClose:
		if s.link != nil {
			m.l.streamClosed(s.link, e.err)
			s.link = nil
			s.gone()
		}
	}
}

func (m *memLoop) send(b *outbox) bool {
	m.n.mu.Lock()
	defer m.n.mu.Unlock()
	from := m.l.t.addrs[wireCarriers[b.wire]]
	for ; b.head < b.n; b.head++ {
		m.l.stats.datagramsOut++
		if c := m.n.packets[b.to[b.head]]; c != nil && !c.cut {
			c.down.datagramLocked(parcel{from: from, to: c.local, data: b.datagram(b.head)})
		}
	}
	return true
}

// memStream is the server's end of a MemConn. in and link are the loop's, the
// rest is guarded by Network.mu.
type memStream struct {
	conn *MemConn
	loop *memLoop
	link *Link
	in   []byte

	out    []byte // waits for the client to read
	ending bool   // closeWrite was called
	ended  bool   // and the end is on its way
	closed bool
}

func (s *memStream) InboundBuffered() int { return len(s.in) }

func (s *memStream) Peek(n int) ([]byte, error) { return s.in[:n], nil }

func (s *memStream) Discard(n int) (int, error) {
	s.in = s.in[n:]
	if len(s.in) == 0 {
		s.in = nil
	}
	return n, nil
}

func (s *memStream) Write(p []byte) (int, error) {
	s.conn.n.mu.Lock()
	defer s.conn.n.mu.Unlock()
	if s.closed || s.conn.broken != nil {
		return 0, syscall.EPIPE
	}
	s.out = append(s.out, p...)
	s.pushLocked()
	return len(p), nil
}

func (s *memStream) OutboundBuffered() int {
	s.conn.n.mu.Lock()
	defer s.conn.n.mu.Unlock()
	return len(s.out)
}

// pushLocked sends what the client's window allows, as a kernel would.
func (s *memStream) pushLocked() {
	c := s.conn
	for len(s.out) > 0 {
		room := memWindow - c.coming - len(c.unread)
		if room <= 0 {
			return
		}
		piece := s.out[:min(len(s.out), room)]
		s.out = s.out[len(piece):]
		if len(s.out) == 0 {
			s.out = nil
		}
		c.coming += len(piece)
		if !c.cut && !c.closed {
			c.down.pieceLocked(parcel{data: append([]byte(nil), piece...)})
		}
	}
	if s.ending && !s.ended {
		s.ended = true
		if !c.cut && !c.closed {
			c.down.pieceLocked(parcel{end: true})
		}
	}
}

func (s *memStream) closeWrite() bool {
	s.conn.n.mu.Lock()
	defer s.conn.n.mu.Unlock()
	s.ending = true
	s.pushLocked()
	return true
}

func (s *memStream) rtt() time.Duration {
	s.conn.n.mu.Lock()
	defer s.conn.n.mu.Unlock()
	return 2 * s.conn.n.condOfLocked(s.conn.up.line).Delay
}

// close ends the connection. What was written and had no room is lost; the
// client learns of the end after what had.
func (s *memStream) close() {
	s.link = nil
	s.conn.n.mu.Lock()
	defer s.conn.n.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.out = nil
	s.ending = true
	s.pushLocked()
	s.conn.up.stopLocked()
	if s.conn.closed || s.conn.broken != nil {
		delete(s.conn.n.conns, s.conn)
	}
}

// gone notes that the client's end is no more.
func (s *memStream) gone() {
	s.conn.n.mu.Lock()
	defer s.conn.n.mu.Unlock()
	s.closed = true
	s.out = nil
}
