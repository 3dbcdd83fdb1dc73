// SPDX-License-Identifier: MIT

package kcp

import "time"

// Window probes start at probeMin and slow down to probeMax (SPEC 4.3).
const (
	probeMin = 500 * time.Millisecond
	probeMax = 4 * time.Second
)

// A datagramBuilder is the datagram under construction: what is behind base in b.
type datagramBuilder struct {
	b          []byte
	base       int
	soft, hard int // where it should end and must end
	header     header
}

// fits reports whether a segment with n bytes of payload may be added. One
// that is too large by itself may, alone, up to the hard end.
func (p *datagramBuilder) fits(n int) bool {
	end := len(p.b) + HeaderSize + n
	return end <= p.soft || len(p.b) == p.base && end <= p.hard
}

// appendControl adds a segment without payload.
func (p *datagramBuilder) appendControl(cmd uint8, sn, ts uint32) {
	p.header.cmd, p.header.sn, p.header.ts, p.header.size = cmd, sn, ts, 0
	p.b = p.header.append(p.b)
}

// appendPush adds s.
func (p *datagramBuilder) appendPush(s *segment, now time.Duration) {
	s.sent = now
	p.header.cmd, p.header.sn, p.header.ts, p.header.size = cmdPush, s.sn, stamp(now), uint32(len(s.data))
	p.b = p.header.append(p.b)
	p.b = append(p.b, s.data...)
}

// Output appends one datagram of what is due now. It returns dst unchanged when
// nothing is due, or when limit leaves no room for it (then NextDeadline still
// says now). Call it until it adds nothing. The datagram is at most limit bytes
// long. It exceeds the MTU only for a segment that was numbered before SetMTU
// lowered it.
func (c *Conn) Output(now time.Duration, dst []byte, limit int) []byte {
	c.update(now)
	if !c.Pending() {
		c.releaseTraffic()
		return dst
	}
	size := int(c.mtu)
	if c.toResend > 0 {
		size = min(size, c.cfg.cut()) // the path may have become narrower
	}
	p := datagramBuilder{
		b:      dst,
		base:   len(dst),
		soft:   len(dst) + min(limit, size),
		hard:   len(dst) + limit,
		header: header{conv: c.conv, wnd: c.window(), una: c.rcvNxt},
	}
	c.putAcks(&p)
	if c.pending&pendingWindowAsk != 0 && p.fits(0) {
		p.appendControl(cmdWindowAsk, 0, stamp(now))
		c.pending &^= pendingWindowAsk
	}
	c.putResends(&p, now)
	c.putRepeats(&p, now)
	c.putNew(&p, now)
	if c.pending&pendingWindowTell != 0 && len(p.b) == p.base && p.fits(0) {
		p.appendControl(cmdWindowTell, 0, stamp(now))
	}
	if len(p.b) > p.base { // every header advertises the window
		c.pending &^= pendingWindowTell
		c.advertised = p.header.wnd
	}
	return p.b
}

// Pending reports whether Output has something to send, whatever the time.
func (c *Conn) Pending() bool {
	return !c.stalled && (c.pending != 0 || c.toResend != 0 || c.sndQueue.head != nil && !c.windowBlocked())
}

// NextDeadline returns when Output has something to do: now if it has already,
// Never if only Input or Write can change that. It may be early, never late.
func (c *Conn) NextDeadline(now time.Duration) time.Duration {
	if c.stalled {
		return Never
	}
	if c.Pending() {
		return now
	}
	at := c.due
	if c.windowBlocked() {
		at = min(at, c.probeAt)
	}
	if limit := c.cfg.stallTimeout(); c.waiting && limit != Never {
		at = min(at, c.progressAt+limit)
	}
	return at
}

// windowBlocked reports whether only the peer's window holds data back.
func (c *Conn) windowBlocked() bool { return c.sndQueue.head != nil && !before(c.sndNxt, c.sndLimit) }

// update does what time brings about: stalls, timeouts, window probes.
func (c *Conn) update(now time.Duration) {
	if c.stalled {
		return
	}
	blocked := c.windowBlocked()
	switch waits := blocked || c.inFlight > 0; {
	case !waits:
		c.waiting = false
	case !c.waiting:
		c.waiting, c.progressAt = true, now
	case now-c.progressAt >= c.cfg.stallTimeout():
		c.stalled = true
		return
	}
	if now >= c.due {
		c.handleTimeouts(now)
	}
	c.probeWindow(now, blocked)
}

// probeWindow asks for the window from time to time while it holds data back: the
// segment that opened it may have been lost.
func (c *Conn) probeWindow(now time.Duration, blocked bool) {
	if !blocked {
		if c.probeAt != Never {
			c.probeAt, c.probes = Never, 0
		}
		return
	}
	if now >= c.probeAt {
		c.pending |= pendingWindowAsk
		c.probes++
	}
	if now >= c.probeAt || c.probeAt == Never {
		c.probeAt = now + min(probeMin<<min(c.probes, 8), probeMax)
	}
}

// putAcks adds the pending acks, as far as they fit (SPEC 4.4).
func (c *Conn) putAcks(p *datagramBuilder) {
	if c.pending&pendingAck != 0 && p.fits(0) {
		p.appendControl(cmdAck, c.ackSN, c.ackTS)
		c.pending &^= pendingAck
	}
	if c.pending&pendingRcvBufAcks == 0 {
		return
	}
	for s := c.rcvBuf.head; s != nil; s = s.next {
		if !s.pending {
			continue
		}
		if !p.fits(0) {
			return
		}
		p.appendControl(cmdAck, s.sn, s.ts)
		s.pending = false
	}
	c.pending &^= pendingRcvBufAcks
}

// putResends adds the segments that must be sent again, the oldest first.
func (c *Conn) putResends(p *datagramBuilder, now time.Duration) {
	for s := c.sndBuf.head; s != nil && c.toResend > 0; s = s.next {
		if !s.pending {
			continue
		}
		if !p.fits(len(s.data)) {
			return
		}
		s.pending = false
		c.toResend--
		c.retransmits++
		c.cfg.Retransmits++
		c.transmit(p, s, now)
	}
}

// putNew numbers and adds new segments, as the windows allow.
func (c *Conn) putNew(p *datagramBuilder, now time.Duration) {
	if c.toResend > 0 {
		return // resends come first, and there was no room for them
	}
	for c.sndQueue.head != nil && before(c.sndNxt, c.sndLimit) {
		s := c.sndQueue.head
		n := min(len(s.data), c.mss())
		if !p.fits(n) {
			return
		}
		c.sndQueue.pop()
		if n < len(s.data) { // cut before SetMTU lowered the MTU
			c.sndQueue.insert(nil, c.newSegment(s.data[n:]))
			c.queued++
			s.data = s.data[:n]
		}
		c.queued--
		c.inFlight++
		c.sndBuf.push(s)
		s.sn, s.ts = c.sndNxt, stamp(now)
		c.sndNxt++
		c.transmit(p, s, now)
	}
}

// transmit adds s, which fits, and starts its timeout.
func (c *Conn) transmit(p *datagramBuilder, s *segment, now time.Duration) {
	s.due, s.fastAcks = now+c.timeout(s), 0
	c.due = min(c.due, s.due)
	p.appendPush(s, now)
}
