// SPDX-License-Identifier: MIT

package kcp

import "time"

const (
	// granularity is the least that a timeout leaves above the smoothed round
	// trip: how late stock peers acknowledge (their update interval).
	granularity = 10 * time.Millisecond

	// burst segments may time out at one moment, the next ones burstGap later:
	// when a whole window is lost, sending it at once loses it again.
	burst    = 32
	burstGap = 10 * time.Millisecond
)

// An echo is the best acknowledgement of a datagram: the one of the latest
// segment whose stamp is one that we really sent (SPEC 5.1).
type echo struct {
	sn, ts uint32
	rtt    time.Duration // zero: there is none
}

// acked handles the acknowledgement of one segment.
func (c *Conn) acked(now time.Duration, sn, ts uint32, e *echo) {
	var prev *segment
	s := c.flight.head
	for s != nil && before(s.sn, sn) {
		prev, s = s, s.next
	}
	if s == nil || s.sn != sn {
		return // had been acknowledged before
	}
	// The stamp must lie between the first and the latest transmission. So a
	// forged one measures at worst the time that the segment really waited.
	if ts-s.ts <= stamp(s.sent)-s.ts && (e.rtt == 0 || before(e.sn, sn)) {
		rtt := now - s.sent
		if late := stamp(now) - ts; ts != stamp(s.sent) {
			rtt = time.Duration(late) * time.Millisecond
		}
		*e = echo{sn: sn, ts: ts, rtt: max(rtt, 1)}
	}
	c.loss.note(s.again && ts != s.ts)
	c.settle(prev, s)
}

// ackedBefore handles the cumulative acknowledgement. One that goes backwards
// is an old packet, and acknowledges nothing new.
func (c *Conn) ackedBefore(una uint32) {
	for s := c.flight.head; s != nil && before(s.sn, una); s = c.flight.head {
		c.loss.note(s.again)
		c.settle(nil, s)
	}
}

// settle ends the flight of s, which comes behind prev.
func (c *Conn) settle(prev, s *segment) {
	c.flight.remove(prev, s)
	if s.owed {
		c.lost--
	}
	if c.inFlight--; c.inFlight == 0 {
		c.due, c.waiting = Never, false
	}
	c.cfg.Pool.put(s)
}

// widen moves the edge of the peer's window, never back: an honest peer does
// not take back what it allowed, so a smaller window is older news (SPEC 4.2).
func (c *Conn) widen(una uint32, wnd uint16) {
	// Relative to next, which una doesn't exceed, nothing overflows.
	if room := int32(una-c.next) + int32(wnd); room > int32(c.edge-c.next) {
		c.edge = c.next + uint32(room)
	}
}

// sample updates the timeout with one measured round trip (RFC 6298).
func (c *Conn) sample(rtt time.Duration) {
	if c.srtt == 0 {
		c.srtt, c.rttvar = rtt, rtt/2
	} else {
		c.rttvar += ((c.srtt - rtt).Abs() - c.rttvar) / 4
		c.srtt += (rtt - c.srtt) / 8
	}
	c.rto = c.measured()
}

// measured is the timeout as the round trip tells it, without its backing off.
func (c *Conn) measured() time.Duration {
	if c.srtt == 0 {
		return c.cfg.boundRTO(startRTO)
	}
	return c.cfg.boundRTO(c.srtt + max(granularity, 4*c.rttvar))
}

// silent reports whether the oldest segment has timed out three times, or Slow
// was called, and nothing was heard since: then it alone is sent again.
func (c *Conn) silent() bool { return c.rto >= 3*c.measured() }

// countSkips finds the segments that the acknowledged one overtook, and takes
// those for lost that were overtaken often enough (SPEC 5.3). One datagram
// counts once, however many acks it has: they were sent together.
func (c *Conn) countSkips(e *echo) {
	enough := c.cfg.fastResend()
	if enough == 0 {
		return
	}
	// In a thin stream that many acks come late, if ever: one must do.
	if c.unsent.head == nil && c.inFlight <= thin {
		enough = 1
	}
	for s := c.flight.head; s != nil && before(s.sn, e.sn); s = s.next {
		if s.owed || before(e.ts, stamp(s.sent)) {
			continue // sent after the one that arrived: no evidence
		}
		if s.skip++; int(s.skip) >= enough {
			c.lose(s)
		}
	}
}

// lose makes Output send s again.
func (c *Conn) lose(s *segment) {
	s.owed, s.again = true, true
	c.lost++
}

// expire takes for lost what has been silent for too long, and finds the next
// moment at which that can be (SPEC 5.2).
func (c *Conn) expire(now time.Duration) {
	silent := c.silent()
	// Only the oldest segment backs off, once for each of its timeouts: the
	// others tell nothing that it doesn't tell.
	if s := c.flight.head; !s.owed && now >= s.due {
		c.rto = c.cfg.boundRTO(c.rto * 3 / 2)
	}
	c.due = Never
	expired := 0
	for s := c.flight.head; s != nil; s = s.next {
		if silent && s != c.flight.head {
			break
		}
		if s.owed {
			continue
		}
		if now >= s.due {
			if expired < burst {
				c.lose(s)
			} else {
				s.due = now + time.Duration(expired/burst)*burstGap
			}
			expired++
		}
		if !s.owed {
			c.due = min(c.due, s.due)
		}
	}
}

// Slow lets at least rto pass before anything is sent again, until the next
// sample. It is for last words: their reader is gone more often than not, and
// many of them at once are a storm.
func (c *Conn) Slow(rto time.Duration) {
	c.rto = max(c.rto, rto)
	for s := c.flight.head; s != nil; s = s.next {
		s.due = max(s.due, s.sent+rto) // due of the Conn may be early
	}
}
