// SPDX-License-Identifier: MIT

package kcp

import (
	"errors"
	"math"
	"time"
)

// Never is the deadline of a Conn that waits for nothing.
const Never time.Duration = math.MaxInt64

var (
	ErrFull    = errors.New("kcp: send window is full")
	ErrMTU     = errors.New("kcp: mtu out of range")
	ErrStalled = errors.New("kcp: peer makes no progress")
)

const (
	startRTO = 200 * time.Millisecond // before the first sample, as in KCP

	// startWindow is what a peer is believed to take before it tells: the
	// smaller one of the defaults in use (kcp-go 32, ikcp.c 128).
	startWindow = 32
)

// A Conn is one KCP conversation: bytes in, bytes out, and the time as it is
// told. While nothing is on the way it holds no memory but its own, of which
// there is one for every player.
//
// It is owned by its loop, and every call needs it alone. The zero value must
// be given to Init first.
type Conn struct {
	cfg *Config
	*traffic

	conv  uint32
	next  uint32 // number of the next segment to be sent first
	edge  uint32 // the peer takes segments before this number (SPEC 4.2)
	await uint32 // number of the next segment in order

	told    uint16 // receive window, as last told to the peer
	mtu     uint16
	loss    losses
	owes    debt
	waiting bool // since counts
	stalled bool // it is over

	retransmits, duplicates, outOfReach uint32

	srtt, rttvar, rto time.Duration // SPEC 5.1
}

// traffic is what a conversation has on the way. It comes from the Pool with
// the first segment and goes back after the last: see carry and rest. The
// fields are in the order in which a message touches them, to stay in few cache
// lines. Owned by its Conn, or by the Pool.
type traffic struct {
	flight queue // sent, not acknowledged, by number
	unsent queue // not sent, not numbered
	ready  queue // received in order, to be read
	early  queue // received out of order, by number

	ackSN, ackTS uint32 // what to acknowledge while owes has ack

	inFlight uint16 // segments in flight
	queued   uint16 // segments in unsent
	readable uint16 // segments in ready
	lost     uint16 // segments in flight that are owed again
	offset   uint16 // bytes of the first ready segment already discarded
	probes   uint8  // window probes sent in a row

	due     time.Duration // no segment in flight times out before; Never when none is
	since   time.Duration // waiting: the latest progress
	probeAt time.Duration // blocked: the next window probe; Never until it is known

	free *traffic // the next one in the Pool
}

// quiet is the traffic of all who have none. Nobody writes to it.
var quiet = traffic{due: Never, probeAt: Never}

// carry gives c traffic of its own, if it has none.
func (c *Conn) carry() {
	if c.traffic == &quiet {
		c.traffic = c.cfg.Pool.carry()
	}
}

// rest takes the traffic of c back once nothing is on the way.
func (c *Conn) rest() {
	t := c.traffic
	if t == &quiet || c.owes&owesAck != 0 ||
		t.flight.head != nil || t.unsent.head != nil || t.ready.head != nil || t.early.head != nil {
		return
	}
	c.traffic, c.waiting = &quiet, false
	c.cfg.Pool.drop(t)
}

// debt is what the next Output owes the peer besides data.
type debt uint8

const (
	owesAck   debt = 1 << iota // the ack in ackSN, ackTS
	owesEarly                  // acks of early segments that are owed
	owesAsk                    // a question for the window
	owesTell                   // our window, in whatever segment
)

// Init makes c the conversation conv. It allocates nothing.
func (c *Conn) Init(conv uint32, cfg *Config) {
	*c = Conn{
		cfg:     cfg,
		traffic: &quiet,
		conv:    conv,
		edge:    startWindow,
		told:    uint16(cfg.recvWindow()),
		mtu:     uint16(cfg.mtu()),
		rto:     cfg.boundRTO(startRTO),
	}
}

// Conv returns the conversation's number.
func (c *Conn) Conv() uint32 { return c.conv }

// SetMTU changes the size of the datagrams to come. A segment that has a
// number keeps its size, and travels alone if it is too large now (SPEC 6.2).
func (c *Conn) SetMTU(n int) error {
	if n < MinMTU || n > maxMTU {
		return ErrMTU
	}
	c.mtu = uint16(n)
	return nil
}

// mss is the largest payload that is cut now.
func (c *Conn) mss() int { return min(int(c.mtu), c.cfg.cut()) - HeaderSize }

// Moved tells that the peer's path is another one now: what was measured on
// the old one counts no more, and datagrams are small until SetMTU says more.
func (c *Conn) Moved() {
	c.srtt, c.rttvar, c.rto = 0, 0, c.cfg.boundRTO(startRTO)
	c.mtu, c.loss = uint16(min(int(c.mtu), c.cfg.cut())), 0
	if c.inFlight > 0 {
		c.due = 0 // it may have been silent there
	}
}

// MTU returns the size of the datagrams to come.
func (c *Conn) MTU() int { return int(c.mtu) }

// Retransmits returns how many segments were sent again.
func (c *Conn) Retransmits() uint32 { return c.retransmits }

// SRTT returns the smoothed round trip, 0 before the first.
func (c *Conn) SRTT() time.Duration { return c.srtt }

// Silence returns for how long the peer, who owes an acknowledgement or a wider
// window, has made no progress; 0 while it owes none.
func (c *Conn) Silence(now time.Duration) time.Duration {
	if !c.waiting {
		return 0
	}
	return now - c.since
}

// Early returns how many bytes of memory the segments take that wait for one
// before them.
func (c *Conn) Early() (n int) {
	for s := c.early.head; s != nil; s = s.next {
		n += footprint(s)
	}
	return n
}

// Room returns how many bytes Write takes now.
func (c *Conn) Room() int {
	mss := c.mss()
	room := max(c.cfg.sendWindow()-int(c.inFlight)-int(c.queued), 0) * mss
	if last := c.unsent.tail; last != nil {
		room += max(mss-len(last.data), 0)
	}
	return room
}

// Write appends b to the stream to the peer: all of it, or nothing and ErrFull
// when b is longer than Room. Output sends it; until then what is written
// shares segments with what was written before.
func (c *Conn) Write(b []byte) error {
	if len(b) > c.Room() {
		return ErrFull
	}
	if len(b) > 0 {
		c.carry()
	}
	mss := c.mss()
	if last := c.unsent.tail; last != nil {
		n := min(max(mss-len(last.data), 0), len(b))
		c.extend(last, b[:n])
		b = b[n:]
	}
	for len(b) > 0 {
		n := min(mss, len(b))
		c.unsent.push(c.segment(b[:n]))
		c.queued++
		b = b[n:]
	}
	return nil
}

// segment returns a segment with a copy of b.
func (c *Conn) segment(b []byte) *segment {
	s := c.cfg.Pool.get(len(b))
	s.data = append(s.data, b...)
	return s
}

// extend appends b to s, in a large buffer if the small one can't hold both.
func (c *Conn) extend(s *segment, b []byte) {
	if len(s.data)+len(b) > cap(s.data) {
		large := c.cfg.Pool.get(largeBuffer)
		s.data, large.data = append(large.data, s.data...), s.data
		c.cfg.Pool.put(large)
	}
	s.data = append(s.data, b...)
}

// Peek returns the next bytes received in order, as many as arrived in one
// segment, or nil. They are valid until the next Discard or Release.
func (c *Conn) Peek() []byte {
	if c.ready.head == nil {
		return nil
	}
	return c.ready.head.data[c.offset:]
}

// Discard consumes the next n bytes, or all there are if that is less. The
// peer is told at the next Output if its window was nearly closed (SPEC 4.1).
func (c *Conn) Discard(n int) {
	for c.ready.head != nil && n > 0 {
		rest := len(c.ready.head.data) - int(c.offset)
		if n < rest {
			c.offset += uint16(n)
			return
		}
		n -= rest
		c.offset = 0
		c.readable--
		c.cfg.Pool.put(c.ready.pop())
	}
	if int(c.told)*4 < c.cfg.recvWindow() && c.window() > c.told {
		c.owes |= owesTell
	}
}

// window is how many segments from await on there is room for.
func (c *Conn) window() uint16 { return uint16(c.cfg.recvWindow()) - c.readable }

// Err returns ErrStalled once an Output found that the peer makes no progress
// (SPEC 5.4), else nil. It is final: such a Conn sends nothing any more.
func (c *Conn) Err() error {
	if c.stalled {
		return ErrStalled
	}
	return nil
}

// Release gives all memory back to the pool. Only Init may follow.
func (c *Conn) Release() {
	for _, q := range []*queue{&c.flight, &c.unsent, &c.ready, &c.early} {
		for q.head != nil {
			c.cfg.Pool.put(q.pop())
		}
	}
	c.owes = 0
	c.rest()
	*c = Conn{cfg: c.cfg, traffic: &quiet, conv: c.conv, stalled: true}
}

// Stats is what a Conn knows about its traffic.
type Stats struct {
	SRTT, RTTVar time.Duration // zero before the first sample
	RTO          time.Duration // without Config.ExtraRTO

	Retransmits uint32 // segments sent again
	Duplicates  uint32 // pushes that had arrived before
	Dropped     uint32 // pushes outside the receive window

	InFlight   int // segments sent, not acknowledged
	Queued     int // segments not sent yet
	Readable   int // segments that wait for Discard
	PeerWindow int // segments that the peer takes now
}

// Stats returns what is known now.
func (c *Conn) Stats() Stats {
	return Stats{
		SRTT:        c.srtt,
		RTTVar:      c.rttvar,
		RTO:         c.rto,
		Retransmits: c.retransmits,
		Duplicates:  c.duplicates,
		Dropped:     c.outOfReach,
		InFlight:    int(c.inFlight),
		Queued:      int(c.queued),
		Readable:    int(c.readable),
		PeerWindow:  max(int(int32(c.edge-c.next)), 0),
	}
}
