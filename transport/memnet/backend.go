// SPDX-License-Identifier: MIT

package memnet

import (
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
)

// runner runs the loops of one server: each one a goroutine that sleeps on its
// waker. Its loops' inboxes are guarded by Network.mu.
type runner struct {
	n     *Network
	addrs []netip.AddrPort
	loops []*loop
	done  sync.WaitGroup
	dead  bool // by Network.Kill; guarded by its mu
}

// Listen puts a server on the network. It is transport.Start that calls it.
func (n *Network) Listen(s backend.Settings) (backend.Runner, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := &runner{n: n, addrs: make([]netip.AddrPort, len(s.Listeners))}
	for range s.Loops {
		r.loops = append(r.loops, &loop{n: n, r: r, addrs: r.addrs, waker: make(chan struct{}, 1)})
	}
	for i, l := range s.Listeners {
		if l.Address == "" {
			continue
		}
		table := n.sockets
		if l.Stream {
			table = n.streams
		}
		var err error
		if r.addrs[i], err = n.bindLocked(table, l.Address, port{r, i}); err != nil {
			r.unbindLocked()
			return nil, fmt.Errorf("transport: listen on %s for %s: %w", l.Address, l.Name, err)
		}
	}
	return r, nil
}

func (r *runner) Addrs() []netip.AddrPort { return r.addrs }
func (r *runner) Loops() int              { return len(r.loops) }
func (r *runner) MaxStreams() int         { return 0 }

// loopOf is the loop that serves what a client sends.
func (r *runner) loopOf(client netip.AddrPort) *loop {
	return r.loops[int(client.Port())%len(r.loops)]
}

func (r *runner) Run(sink backend.Sink) error {
	l := r.loops[sink.Index()]
	l.sink = sink
	ready := make(chan struct{})
	r.done.Go(func() { // ends when Stop has closed the loop's queue
		sink.Boot(l)
		close(ready)
		l.run()
	})
	<-ready
	sink.Queue().SetWaker(l.wake)
	return nil
}

func (r *runner) Wait() {
	r.done.Wait()
	r.n.mu.Lock()
	defer r.n.mu.Unlock()
	r.unbindLocked()
	// Clients that dialed and were not served any more.
	for _, l := range r.loops {
		for _, e := range l.inbox {
			if e.kind == opened {
				e.stream.conn.breakLocked()
			}
		}
	}
}

func (r *runner) unbindLocked() {
	for _, table := range []map[netip.AddrPort]port{r.n.sockets, r.n.streams} {
		for addr, p := range table {
			if p.r == r {
				delete(table, addr)
			}
		}
	}
}

// event is something that happened on the network.
type event struct {
	kind     eventKind
	listener int            // of datagram and opened
	from     netip.AddrPort // of datagram
	stream   *stream        // of the others
	data     []byte
	err      error
}

type eventKind uint8

const (
	datagram eventKind = iota
	opened
	came
	ended
)

// loop drives one loop of a server. The inbox is guarded by Network.mu, the rest
// is the loop's own.
type loop struct {
	sink  backend.Sink
	n     *Network
	r     *runner
	addrs []netip.AddrPort // the server's
	waker chan struct{}    // 1 deep: a burst wakes once
	alarm backend.Alarm
	inbox []event
	spare []event
	held  int // datagrams in the inbox

	received backend.Inbox
	ready    bool // received is
}

func (l *loop) wake() {
	select {
	case l.waker <- struct{}{}:
	default:
	}
}

// WakeAt wakes the loop by a timer.
func (l *loop) WakeAt(at time.Duration) { l.alarm.Set(at, l.sink.Now(), l.sink.Queue().Wake) }

func (l *loop) enqueueLocked(e event) {
	if e.kind == datagram {
		if l.held >= maxInbox {
			return
		}
		l.held++
	}
	l.inbox = append(l.inbox, e)
	l.wake()
}

func (l *loop) run() {
	for range l.waker {
		l.sink.Begin()
		l.Drain()
		l.sink.End()
		if l.sink.Ended() {
			l.sink.Queue().SetWaker(nil)
			return
		}
	}
}

// Drain hands up what has happened.
func (l *loop) Drain() {
	l.n.mu.Lock()
	events := l.inbox
	l.inbox, l.held = l.spare[:0], 0
	l.spare = nil
	l.n.mu.Unlock()
	for i := range events {
		l.handle(&events[i])
	}
	clear(events)
	l.spare = events
}

func (l *loop) handle(e *event) {
	s := e.stream
	switch e.kind {
	case datagram:
		l.receive(e)
	case opened:
		if s.link = l.sink.Open(e.listener, s, s.conn.local); s.link == nil {
			s.End()
		}
	case came:
		if s.link != nil {
			s.in = append(s.in, e.data...)
			s.link.Data(s)
		}
	case ended:
		if k := s.link; k != nil {
			s.link = nil
			k.Closed(s, e.err)
			s.gone()
		}
	}
}

// receive hands up one datagram.
func (l *loop) receive(e *event) {
	b := &l.received
	if !l.ready {
		l.ready = true
		b.Init(e.listener)
	}
	b.Listener, b.N, b.From[0], b.Size[0] = e.listener, 1, e.from, len(e.data)
	copy(b.Slot(0), e.data)
	l.sink.Received(b)
}

func (l *loop) Send(b *backend.Outbox) bool {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	from := l.addrs[b.Listener]
	for ; b.Head < b.N; b.Head++ {
		l.sink.Counters().DatagramsOut++
		if c := l.n.packets[b.To[b.Head]]; c != nil && !c.cut && !l.r.dead {
			c.down.datagramLocked(parcel{from: from, to: c.local, data: b.Datagram(b.Head)})
		}
	}
	return true
}

// stream is the server's end of a Conn. in and link are the loop's, the rest is
// guarded by Network.mu.
type stream struct {
	conn *Conn
	loop *loop
	link backend.Link // nil if there is none, or none any more
	in   []byte

	out    []byte // waits for the client to read
	ending bool   // CloseWrite was called
	ended  bool   // and the end is on its way
	closed bool
}

func (s *stream) InboundBuffered() int { return len(s.in) }

func (s *stream) Peek(n int) ([]byte, error) { return s.in[:n], nil }

func (s *stream) Discard(n int) (int, error) {
	s.in = s.in[n:]
	if len(s.in) == 0 {
		s.in = nil
	}
	return n, nil
}

func (s *stream) Write(p []byte) (int, error) {
	s.conn.n.mu.Lock()
	defer s.conn.n.mu.Unlock()
	if s.closed || s.conn.broken != nil {
		return 0, syscall.EPIPE
	}
	s.out = append(s.out, p...)
	s.pushLocked()
	return len(p), nil
}

func (s *stream) OutboundBuffered() int {
	s.conn.n.mu.Lock()
	defer s.conn.n.mu.Unlock()
	return len(s.out)
}

// pushLocked sends what the client's window allows, as a kernel would.
func (s *stream) pushLocked() {
	c := s.conn
	for len(s.out) > 0 {
		room := window - c.coming - len(c.unread)
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

func (s *stream) CloseWrite() bool {
	s.conn.n.mu.Lock()
	defer s.conn.n.mu.Unlock()
	s.ending = true
	s.pushLocked()
	return true
}

func (s *stream) RTT() time.Duration {
	s.conn.n.mu.Lock()
	defer s.conn.n.mu.Unlock()
	return 2 * s.conn.n.condOfLocked(s.conn.up.line).Delay
}

// End ends the connection. What was written and had no room is lost; the client
// learns of the end after what had.
func (s *stream) End() {
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
	s.conn.wakeLocked()
	if s.conn.closed || s.conn.broken != nil {
		delete(s.conn.n.conns, s.conn)
	}
}

// gone notes that the client's end is no more.
func (s *stream) gone() {
	s.conn.n.mu.Lock()
	defer s.conn.n.mu.Unlock()
	s.closed = true
	s.out = nil
}
