// SPDX-License-Identifier: MIT

package kcp

import "time"

// Window probes start at probeMin and slow down to probeMax (SPEC 4.3).
const (
	probeMin = 500 * time.Millisecond
	probeMax = 4 * time.Second
)

// A packet is the datagram under construction: what is behind base in b.
type packet struct {
	b          []byte
	base       int
	soft, hard int // where it should end and must end
	h          header
}

// fits reports whether a segment with n bytes of payload may be added. One
// that is too large by itself may, alone, up to the hard end.
func (p *packet) fits(n int) bool {
	end := len(p.b) + HeaderSize + n
	return end <= p.soft || len(p.b) == p.base && end <= p.hard
}

// control adds a segment without payload.
func (p *packet) control(cmd uint8, sn, ts uint32) {
	p.h.cmd, p.h.sn, p.h.ts, p.h.size = cmd, sn, ts, 0
	p.b = p.h.append(p.b)
}

// push adds s.
func (p *packet) push(s *segment, now time.Duration) {
	s.sent = now
	p.h.cmd, p.h.sn, p.h.ts, p.h.size = cmdPush, s.sn, stamp(now), uint32(len(s.data))
	p.b = p.h.append(p.b)
	p.b = append(p.b, s.data...)
}

// Output appends one datagram of what is due now, and returns dst unchanged
// when nothing is or when limit leaves no room for it (then NextDeadline goes on
// saying now). Call it until it adds nothing. The datagram is at most limit
// bytes long; it exceeds the MTU only for a segment that was numbered before
// SetMTU lowered it.
func (c *Conn) Output(now time.Duration, dst []byte, limit int) []byte {
	c.tick(now)
	if !c.Pending() {
		c.rest()
		return dst
	}
	size := int(c.mtu)
	if c.lost > 0 {
		size = min(size, c.cfg.cut()) // the path may have become narrower
	}
	p := packet{
		b:    dst,
		base: len(dst),
		soft: len(dst) + min(limit, size),
		hard: len(dst) + limit,
		h:    header{conv: c.conv, wnd: c.window(), una: c.await},
	}
	c.putAcks(&p)
	if c.owes&owesAsk != 0 && p.fits(0) {
		p.control(cmdAsk, 0, stamp(now))
		c.owes &^= owesAsk
	}
	c.putLost(&p, now)
	c.putRepeats(&p, now)
	c.putNew(&p, now)
	if c.owes&owesTell != 0 && len(p.b) == p.base && p.fits(0) {
		p.control(cmdTell, 0, stamp(now))
	}
	if len(p.b) > p.base { // every header tells the window
		c.owes &^= owesTell
		c.told = p.h.wnd
	}
	return p.b
}

// Pending reports whether Output has something to send, whatever the time.
func (c *Conn) Pending() bool {
	return !c.stalled && (c.owes != 0 || c.lost != 0 || c.unsent.head != nil && !c.blocked())
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
	if c.blocked() {
		at = min(at, c.probeAt)
	}
	if limit := c.cfg.stallTimeout(); c.waiting && limit != Never {
		at = min(at, c.since+limit)
	}
	return at
}

// blocked reports whether the peer's window alone holds data back.
func (c *Conn) blocked() bool { return c.unsent.head != nil && !before(c.next, c.edge) }

// tick does what only time brings about: stalls, timeouts, window probes.
func (c *Conn) tick(now time.Duration) {
	if c.stalled {
		return
	}
	blocked := c.blocked()
	switch waits := blocked || c.inFlight > 0; {
	case !waits:
		c.waiting = false
	case !c.waiting:
		c.waiting, c.since = true, now
	case now-c.since >= c.cfg.stallTimeout():
		c.stalled = true
		return
	}
	if now >= c.due {
		c.expire(now)
	}
	c.probe(now, blocked)
}

// probe asks for the window from time to time while it holds data back: the
// news that it opened may have been lost.
func (c *Conn) probe(now time.Duration, blocked bool) {
	if !blocked {
		if c.probeAt != Never {
			c.probeAt, c.probes = Never, 0
		}
		return
	}
	if now >= c.probeAt {
		c.owes |= owesAsk
		c.probes++
	}
	if now >= c.probeAt || c.probeAt == Never {
		c.probeAt = now + min(probeMin<<min(c.probes, 8), probeMax)
	}
}

// putAcks adds the acks that are owed, as far as they fit (SPEC 4.4).
func (c *Conn) putAcks(p *packet) {
	if c.owes&owesAck != 0 && p.fits(0) {
		p.control(cmdAck, c.ackSN, c.ackTS)
		c.owes &^= owesAck
	}
	if c.owes&owesEarly == 0 {
		return
	}
	for s := c.early.head; s != nil; s = s.next {
		if !s.owed {
			continue
		}
		if !p.fits(0) {
			return
		}
		p.control(cmdAck, s.sn, s.ts)
		s.owed = false
	}
	c.owes &^= owesEarly
}

// putLost adds segments that are owed again, the oldest first.
func (c *Conn) putLost(p *packet, now time.Duration) {
	for s := c.flight.head; s != nil && c.lost > 0; s = s.next {
		if !s.owed {
			continue
		}
		if !p.fits(len(s.data)) {
			return
		}
		s.owed = false
		c.lost--
		c.retransmits++
		c.cfg.Retransmits++
		c.transmit(p, s, now)
	}
}

// putNew numbers and adds new segments, as the windows allow.
func (c *Conn) putNew(p *packet, now time.Duration) {
	if c.lost > 0 {
		return // they come first, and there was no room for them
	}
	for c.unsent.head != nil && before(c.next, c.edge) {
		s := c.unsent.head
		n := min(len(s.data), c.mss())
		if !p.fits(n) {
			return
		}
		c.unsent.pop()
		if n < len(s.data) { // cut before SetMTU lowered the MTU
			c.unsent.insert(nil, c.segment(s.data[n:]))
			c.queued++
			s.data = s.data[:n]
		}
		c.queued--
		c.inFlight++
		c.flight.push(s)
		s.sn, s.ts = c.next, stamp(now)
		c.next++
		c.transmit(p, s, now)
	}
}

// transmit adds s, which fits, and starts its timeout.
func (c *Conn) transmit(p *packet, s *segment, now time.Duration) {
	s.due, s.skip = now+c.rto+c.cfg.ExtraRTO, 0
	c.due = min(c.due, s.due)
	p.push(s, now)
}
