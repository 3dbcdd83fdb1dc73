// SPDX-License-Identifier: MIT

package kcp

import (
	"errors"
	"time"
)

// MaxPayload is the largest payload of a segment that is accepted: what a
// stock client sends (MTU 1500 at most) fits.
const MaxPayload = largeBuffer

// maxAhead is the furthest that an honest peer can number ahead of what was
// acknowledged to it: the window field has 16 bits.
const maxAhead = 1 << 16

// What is wrong with a datagram that Input refuses (SPEC 3).
var (
	ErrShort     = errors.New("kcp: datagram ends inside a header")
	ErrTruncated = errors.New("kcp: datagram ends inside a payload")
	ErrConv      = errors.New("kcp: segment of another conversation")
	ErrCommand   = errors.New("kcp: unknown command")
	ErrFragment  = errors.New("kcp: fragment count beyond the receive window")
	ErrEmpty     = errors.New("kcp: push without payload")
	ErrTooLarge  = errors.New("kcp: payload larger than its command allows")
	ErrUnsent    = errors.New("kcp: acknowledges what was never sent")
	ErrWindow    = errors.New("kcp: push beyond any window")
)

// ParseConv returns the conversation that a datagram starts with; ok tells
// whether its first header can be KCP at all.
func ParseConv(datagram []byte) (conv uint32, ok bool) {
	if len(datagram) < HeaderSize {
		return 0, false
	}
	h := parseHeader(datagram)
	return h.conv, cmdPush <= h.cmd && h.cmd <= cmdWindowTell
}

// Opens reports whether a new conversation would accept the datagram and gets
// its first bytes from it. Only such a datagram may create one: anything else
// is a late packet of a conversation that is gone (SPEC 3.4).
func Opens(datagram []byte) bool {
	conv, ok := ParseConv(datagram)
	if !ok {
		return false
	}
	c := Conn{conv: conv, cfg: new(Config)} // stays on the stack
	if c.check(datagram) != nil {
		return false
	}
	for b := datagram; len(b) > 0; {
		h := parseHeader(b)
		if h.cmd == cmdPush && h.sn == 0 {
			return true
		}
		b = b[HeaderSize+int(h.size):]
	}
	return false
}

// Input takes one datagram from the peer, with all its segments, or refuses it
// as a whole before anything has changed. Peek tells whether there is something
// to read now; pending acks leave with the next Output.
func (c *Conn) Input(now time.Duration, datagram []byte) error {
	if err := c.check(datagram); err != nil {
		return err
	}
	oldest := c.sndBuf.head
	again := oldest != nil && (oldest.retransmitted || c.backedOff())
	var e rttSample
	for b := datagram; len(b) > 0; {
		h := parseHeader(b)
		payload := b[HeaderSize : HeaderSize+int(h.size)]
		b = b[HeaderSize+len(payload):]
		switch h.cmd {
		case cmdAck:
			c.handleAck(now, h.sn, h.ts, &e)
		case cmdPush:
			c.handlePush(&h, payload)
		case cmdWindowAsk:
			c.pending |= pendingWindowTell
		}
		// After the ack: una may cover its segment as well, and only the ack has a
		// timestamp.
		c.handleUna(now, h.una)
		c.updateSndLimit(h.una, h.wnd)
	}
	if e.rtt > 0 {
		c.updateRTO(e.rtt)
		c.countFastAcks(&e)
	}
	if again && c.inFlight > 0 {
		c.due = 0 // while backed off, the others were not sent again
	}
	if c.sndBuf.head != oldest {
		c.progressAt = now
		if e.rtt == 0 {
			c.rto = c.baseRTO() // no sample, but the peer answers again
		}
	}
	return nil
}

// check is every rule of SPEC 3, for all segments. It changes nothing.
func (c *Conn) check(b []byte) error {
	if len(b) == 0 {
		return ErrShort
	}
	for len(b) > 0 {
		if len(b) < HeaderSize {
			return ErrShort
		}
		h := parseHeader(b)
		b = b[HeaderSize:]
		if err := c.checkSegment(&h, len(b)); err != nil {
			return err
		}
		b = b[h.size:]
	}
	return nil
}

// checkSegment judges one header with rest bytes behind it.
func (c *Conn) checkSegment(h *header, rest int) error {
	switch {
	case h.conv != c.conv:
		return ErrConv
	case h.cmd < cmdPush || h.cmd > cmdWindowTell:
		return ErrCommand
	case uint64(h.size) > uint64(rest): // as int it may be negative on 32 bits
		return ErrTruncated
	case int(h.frg) >= c.cfg.recvWindow():
		return ErrFragment
	case before(c.sndNxt, h.una):
		return ErrUnsent
	case h.cmd == cmdAck && !before(h.sn, c.sndNxt):
		return ErrUnsent
	case h.cmd != cmdPush && h.size != 0, h.size > MaxPayload:
		return ErrTooLarge
	case h.cmd == cmdPush && h.size == 0:
		return ErrEmpty
	case h.cmd == cmdPush && int32(h.sn-c.rcvNxt) >= maxAhead:
		return ErrWindow
	}
	return nil
}

// handlePush takes one push (SPEC 4.1).
func (c *Conn) handlePush(h *header, payload []byte) {
	ahead := int32(h.sn - c.rcvNxt)
	if ahead >= int32(c.window()) {
		c.outOfWindow++
		return // no ack: the peer sends it again when there is room
	}
	c.acquireTraffic()
	switch {
	case ahead < 0:
		c.duplicates++
	case ahead == 0:
		c.appendInOrder(c.newSegment(payload), h.sn)
		for s := c.rcvBuf.head; s != nil && s.sn == c.rcvNxt; s = c.rcvBuf.head {
			c.appendInOrder(c.rcvBuf.pop(), s.sn)
		}
	default:
		c.storeOutOfOrder(h, payload)
		return
	}
	// una acknowledges all that is in order. One ack carries the timestamp.
	c.pending |= pendingAck
	c.ackSN, c.ackTS = h.sn, h.ts
}

// appendInOrder appends the next segment in order to what can be read.
func (c *Conn) appendInOrder(s *segment, sn uint32) {
	c.rcvQueue.push(s)
	c.readable++
	c.rcvNxt = sn + 1
}

// storeOutOfOrder stores a push whose predecessors are missing. The segment
// itself says that its ack is pending: there is no list that a flood of
// duplicates could lengthen.
func (c *Conn) storeOutOfOrder(h *header, payload []byte) {
	prev := c.rcvBuf.tail
	if prev != nil && !before(prev.sn, h.sn) {
		prev = nil
		for s := c.rcvBuf.head; before(s.sn, h.sn); s = s.next {
			prev = s
		}
	}
	s := c.rcvBuf.head
	if prev != nil {
		s = prev.next
	}
	if s != nil && s.sn == h.sn {
		c.duplicates++
	} else {
		s = c.newSegment(payload)
		s.sn = h.sn
		c.rcvBuf.insert(prev, s)
	}
	s.ts, s.pending = h.ts, true
	c.pending |= pendingRcvBufAcks
}
