// SPDX-License-Identifier: MIT

package kcp

import "time"

const (
	// granularity is the least that a timeout leaves above the smoothed round trip: RFC 9002 6.1.2.
	granularity = time.Millisecond

	// burst segments may time out at one moment, the next ones burstGap later:
	// when a whole window is lost, sending it at once loses it again.
	burst    = 32
	burstGap = 10 * time.Millisecond
)

// An rttSample is the best acknowledgement of a datagram: the one of the latest
// segment whose timestamp is one that we sent (SPEC 5.1).
type rttSample struct {
	sn, ts uint32
	rtt    time.Duration // zero: there is none
}

// handleAck handles the acknowledgement of one segment.
func (c *Conn) handleAck(now time.Duration, sn, ts uint32, e *rttSample) {
	var prev *segment
	s := c.sndBuf.head
	for s != nil && before(s.sn, sn) {
		prev, s = s, s.next
	}
	if s == nil || s.sn != sn {
		return // had been acknowledged before
	}
	// The timestamp must lie between the first and the latest transmission. So a
	// forged one measures at worst the time that the segment has waited.
	if ts-s.ts <= stamp(s.sent)-s.ts && (e.rtt == 0 || before(e.sn, sn)) {
		rtt := now - s.sent
		if late := stamp(now) - ts; ts != stamp(s.sent) {
			rtt = time.Duration(late) * time.Millisecond
		}
		*e = rttSample{sn: sn, ts: ts, rtt: max(rtt, 1)}
	}
	c.loss.observe(c.wasLost(s, now) && ts != s.ts)
	c.removeAcked(prev, s)
}

// handleUna handles the cumulative acknowledgement. One that goes backwards
// belongs to an old packet and acknowledges nothing new.
func (c *Conn) handleUna(now time.Duration, una uint32) {
	for s := c.sndBuf.head; s != nil && before(s.sn, una); s = c.sndBuf.head {
		c.loss.observe(c.wasLost(s, now))
		c.removeAcked(nil, s)
	}
}

// wasLost reports whether the first transmission of s did not arrive in time, as far
// as is known: a repeat may have come before the timeout.
func (c *Conn) wasLost(s *segment, now time.Duration) bool {
	return s.retransmitted || s.ts != stamp(s.sent) && stamp(now)-s.ts > stamp(c.rto+c.cfg.ExtraRTO)
}

// removeAcked takes s, which comes behind prev, out of sndBuf.
func (c *Conn) removeAcked(prev, s *segment) {
	c.sndBuf.remove(prev, s)
	if s.pending {
		c.toResend--
	}
	if c.inFlight--; c.inFlight == 0 {
		c.due, c.waiting = Never, false
	}
	c.cfg.Pool.put(s)
}

// updateSndLimit moves the right edge of the send window, never back. An honest
// peer does not take back what it has advertised, so a smaller window comes from
// an older packet (SPEC 4.2).
func (c *Conn) updateSndLimit(una uint32, wnd uint16) {
	// Relative to next, which una doesn't exceed, nothing overflows.
	if room := int32(una-c.sndNxt) + int32(wnd); room > int32(c.sndLimit-c.sndNxt) {
		c.sndLimit = c.sndNxt + uint32(room)
	}
}

// updateRTO updates the retransmission timeout with one round trip (RFC 6298).
func (c *Conn) updateRTO(rtt time.Duration) {
	if c.srtt == 0 {
		c.srtt, c.rttvar = rtt, rtt/2
	} else {
		c.rttvar += ((c.srtt - rtt).Abs() - c.rttvar) / 4
		c.srtt += (rtt - c.srtt) / 8
	}
	c.rto = c.baseRTO()
}

// baseRTO is the retransmission timeout without back-off.
func (c *Conn) baseRTO() time.Duration {
	if c.srtt == 0 {
		return c.cfg.boundRTO(startRTO)
	}
	return c.cfg.boundRTO(c.srtt + max(granularity, 4*c.rttvar))
}

// timeout is how long a transmission of s waits for its acknowledgement (SPEC 5.2).
func (c *Conn) timeout(s *segment) time.Duration {
	rto, base := c.rto, c.baseRTO()
	if c.repeating() && !c.backedOff() && base <= hasty {
		if rto = base; s.retransmitted {
			rto /= 2
		}
	}
	return rto + c.cfg.ExtraRTO
}

// backedOff reports whether the oldest segment has timed out three times, or Slow
// was called, and no acknowledgement came since. Then that segment alone is sent
// again.
func (c *Conn) backedOff() bool { return c.rto >= 3*c.baseRTO() }

// countFastAcks counts, for each segment before the acknowledged one, that a later
// one was acknowledged first. It takes a segment for lost when that has happened
// often enough (SPEC 5.3). One datagram counts once, however many acks it has:
// they were sent together.
func (c *Conn) countFastAcks(e *rttSample) {
	enough := c.cfg.fastResend()
	if enough == 0 {
		return
	}
	// In a thin stream that many acks come late, if ever. One is enough.
	if c.sndQueue.head == nil && c.inFlight <= thin {
		enough = 1
	}
	for s := c.sndBuf.head; s != nil && before(s.sn, e.sn); s = s.next {
		if s.pending || before(e.ts, stamp(s.sent)) {
			continue // sent after the one that arrived: no evidence
		}
		if s.fastAcks++; int(s.fastAcks) >= enough {
			c.markLost(s)
		}
	}
}

// markLost makes Output send s again.
func (c *Conn) markLost(s *segment) {
	s.pending, s.retransmitted = true, true
	c.toResend++
}

// handleTimeouts marks the segments lost whose timeout has passed, and finds the
// next timeout (SPEC 5.2).
func (c *Conn) handleTimeouts(now time.Duration) {
	silent := c.backedOff()
	// Only the oldest segment backs off the timeout, once for each time that it
	// times out itself. The others carry no more information.
	if s := c.sndBuf.head; !s.pending && now >= s.due {
		c.rto = c.cfg.boundRTO(c.rto * 3 / 2)
	}
	c.due = Never
	expired := 0
	for s := c.sndBuf.head; s != nil; s = s.next {
		if silent && s != c.sndBuf.head {
			break
		}
		if s.pending {
			continue
		}
		if now >= s.due {
			if expired < burst {
				c.markLost(s)
			} else {
				s.due = now + time.Duration(expired/burst)*burstGap
			}
			expired++
		}
		if !s.pending {
			c.due = min(c.due, s.due)
		}
	}
}

// Slow lets at least rto pass before a segment is sent again, until the next
// round trip is measured. It is for the last message of a link: its reader has
// often left already, and many of them at once are a storm.
func (c *Conn) Slow(rto time.Duration) {
	c.rto = max(c.rto, rto)
	c.loss = 0 // nor is it in haste
	for s := c.sndBuf.head; s != nil; s = s.next {
		s.due = max(s.due, s.sent+rto) // due of the Conn may be early
	}
}
