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

	// startWindow is the peer's window before it has advertised one: the
	// smaller one of the defaults in use (kcp-go 32, ikcp.c 128).
	startWindow = 32
)

// A Conn is one KCP conversation. Bytes and the time go in, bytes come out. While
// nothing is queued, in flight or unread it holds no memory but its own: there is
// one for each player. Its state has the names of ikcp.c and RFC 793.
//
// Owned by its loop, as every value here. Call Init first.
type Conn struct {
	cfg *Config
	*traffic

	conv     uint32
	sndNxt   uint32 // number of the next new segment
	sndLimit uint32 // snd_una + rmt_wnd, never moved back: the peer takes segments before it (SPEC 4.2)
	rcvNxt   uint32 // number of the next segment in order

	advertised uint16 // receive window, as last advertised to the peer
	mtu        uint16
	loss       lossRate
	pending    pendingSet
	waiting    bool // progressAt counts
	stalled    bool // it is over

	retransmits, duplicates, outOfWindow uint32

	srtt, rttvar, rto time.Duration // SPEC 5.1
}

// traffic is the state of a conversation that has segments. It comes from the
// Pool with the first segment and goes back after the last: see acquireTraffic
// and releaseTraffic. The fields are in the order in which a message touches
// them, to stay in few cache lines. Owned by its Conn, or by the Pool.
type traffic struct {
	sndBuf   queue // in flight: sent, not acknowledged, by number
	sndQueue queue // not sent, not numbered
	rcvQueue queue // received in order, to be read
	rcvBuf   queue // received out of order, by number

	ackSN, ackTS uint32 // what to acknowledge while pending has pendingAck

	inFlight uint16 // segments in flight
	queued   uint16 // segments in sndQueue
	readable uint16 // segments in rcvQueue
	toResend uint16 // segments in sndBuf that must be sent again
	offset   uint16 // bytes of the first segment in rcvQueue that were discarded
	probes   uint8  // window probes sent in a row

	due        time.Duration // no segment in flight times out before; Never when none is
	progressAt time.Duration // waiting: when the peer last made progress
	probeAt    time.Duration // window blocked: the next window probe; Never until it is known

	free *traffic // the next one in the Pool
}

// idleTraffic stands for the traffic of each Conn that has none. It is never
// written to.
var idleTraffic = traffic{due: Never, probeAt: Never}

// acquireTraffic gives c traffic of its own, if it has none.
func (c *Conn) acquireTraffic() {
	if c.traffic == &idleTraffic {
		c.traffic = c.cfg.Pool.getTraffic()
	}
}

// releaseTraffic gives the traffic of c back once it has no segments.
func (c *Conn) releaseTraffic() {
	t := c.traffic
	if t == &idleTraffic || c.pending&pendingAck != 0 ||
		t.sndBuf.head != nil || t.sndQueue.head != nil || t.rcvQueue.head != nil || t.rcvBuf.head != nil {
		return
	}
	c.traffic, c.waiting = &idleTraffic, false
	c.cfg.Pool.putTraffic(t)
}

// pendingSet is what the next Output sends besides data.
type pendingSet uint8

const (
	pendingAck        pendingSet = 1 << iota // the ack in ackSN, ackTS
	pendingRcvBufAcks                        // the acks of segments in rcvBuf that are pending
	pendingWindowAsk                         // a question for the peer's window (ikcp: WASK)
	pendingWindowTell                        // our window, in any segment (ikcp: WINS)
)

// Init makes c the conversation conv. It allocates nothing.
func (c *Conn) Init(conv uint32, cfg *Config) {
	*c = Conn{
		cfg:        cfg,
		traffic:    &idleTraffic,
		conv:       conv,
		sndLimit:   startWindow,
		advertised: uint16(cfg.recvWindow()),
		mtu:        uint16(cfg.mtu()),
		rto:        cfg.boundRTO(startRTO),
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

// Moved tells that the peer's path has changed. The round trip of the old path is
// forgotten, and datagrams are small until SetMTU says more.
func (c *Conn) Moved() {
	c.srtt, c.rttvar, c.rto = 0, 0, c.cfg.boundRTO(startRTO)
	c.mtu, c.loss = uint16(min(int(c.mtu), c.cfg.cut())), 0
	if c.inFlight > 0 {
		c.due = 0 // the old path may have been dead
	}
}

// MTU returns the size of the datagrams to come.
func (c *Conn) MTU() int { return int(c.mtu) }

// Retransmits returns how many segments were sent again.
func (c *Conn) Retransmits() uint32 { return c.retransmits }

// SRTT returns the smoothed round trip, 0 before the first.
func (c *Conn) SRTT() time.Duration { return c.srtt }

// Silence returns for how long the peer has made no progress while it should
// acknowledge a segment or open its window; 0 while it need not.
func (c *Conn) Silence(now time.Duration) time.Duration {
	if !c.waiting {
		return 0
	}
	return now - c.progressAt
}

// Early returns how many bytes of memory the segments in rcvBuf take: those that
// came out of order.
func (c *Conn) Early() (n int) {
	for s := c.rcvBuf.head; s != nil; s = s.next {
		n += footprint(s)
	}
	return n
}

// Room returns how many bytes Write takes now.
func (c *Conn) Room() int {
	mss := c.mss()
	room := max(c.cfg.sendWindow()-int(c.inFlight)-int(c.queued), 0) * mss
	if last := c.sndQueue.tail; last != nil {
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
		c.acquireTraffic()
	}
	mss := c.mss()
	if last := c.sndQueue.tail; last != nil {
		n := min(max(mss-len(last.data), 0), len(b))
		c.extend(last, b[:n])
		b = b[n:]
	}
	for len(b) > 0 {
		n := min(mss, len(b))
		c.sndQueue.push(c.newSegment(b[:n]))
		c.queued++
		b = b[n:]
	}
	return nil
}

// newSegment returns a segment with a copy of b.
func (c *Conn) newSegment(b []byte) *segment {
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
	if c.rcvQueue.head == nil {
		return nil
	}
	return c.rcvQueue.head.data[c.offset:]
}

// Discard consumes the next n bytes, or all there are if that is less. The
// next Output advertises the window if it was nearly closed (SPEC 4.1).
func (c *Conn) Discard(n int) {
	for c.rcvQueue.head != nil && n > 0 {
		rest := len(c.rcvQueue.head.data) - int(c.offset)
		if n < rest {
			c.offset += uint16(n)
			return
		}
		n -= rest
		c.offset = 0
		c.readable--
		c.cfg.Pool.put(c.rcvQueue.pop())
	}
	if int(c.advertised)*4 < c.cfg.recvWindow() && c.window() > c.advertised {
		c.pending |= pendingWindowTell
	}
}

// window is the receive window: how many segments from rcvNxt on there is room for.
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
	for _, q := range []*queue{&c.sndBuf, &c.sndQueue, &c.rcvQueue, &c.rcvBuf} {
		for q.head != nil {
			c.cfg.Pool.put(q.pop())
		}
	}
	c.pending = 0
	c.releaseTraffic()
	*c = Conn{cfg: c.cfg, traffic: &idleTraffic, conv: c.conv, stalled: true}
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
		Dropped:     c.outOfWindow,
		InFlight:    int(c.inFlight),
		Queued:      int(c.queued),
		Readable:    int(c.readable),
		PeerWindow:  max(int(int32(c.sndLimit-c.sndNxt)), 0),
	}
}
