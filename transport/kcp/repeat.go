// SPDX-License-Identifier: MIT

package kcp

import "time"

const (
	// thin is how many segments in flight a game's stream has at most. A stream with
	// more of them moves bulk: it waits for its window and not for one loss.
	thin = 16

	// hasty is the longest RTO of a stream that hurries (SPEC 5.2): a path that takes
	// more is full.
	hasty = time.Second

	// repeats is how many segments a datagram carries again (SPEC 5.6).
	repeats = 2
)

// lossRate is the share of the segments that were lost lately, of 1<<16.
type lossRate uint16

const (
	lossMemory      = 64            // over about how many segments it is averaged
	lossSignificant = 1 << 16 / 100 // from here on the path is one that loses
)

// observe takes in whether one more segment was lost.
func (l *lossRate) observe(lost bool) {
	if lost {
		*l += (1<<16 - 1 - *l) / lossMemory
	} else {
		*l -= *l / lossMemory
	}
}

func (l lossRate) significant() bool { return l >= lossSignificant }

// repeating reports whether this is a thin stream on a path that loses (SPEC 5.6).
func (c *Conn) repeating() bool {
	return !c.cfg.NoRepeats && c.loss.significant() && c.inFlight <= thin
}

// putRepeats adds segments in flight once more, in front of the new one, if the path
// loses and as far as they fit (SPEC 5.6).
func (c *Conn) putRepeats(p *datagramBuilder, now time.Duration) {
	fresh := c.sndQueue.head
	if !c.repeating() || c.inFlight == 0 || c.toResend > 0 ||
		fresh == nil || fresh.next != nil || c.windowBlocked() {
		return
	}
	var flying, chosen [thin]*segment
	n := 0
	for s := c.sndBuf.head; s != nil; s = s.next {
		if s.sent == now {
			return // another datagram of the same flush has left
		}
		flying[n] = s
		n++
	}
	left, room := repeats, min(p.soft, p.base+c.cfg.cut())-len(p.b)-HeaderSize-len(fresh.data)
	choose := func(i int) {
		s := flying[i]
		if size := HeaderSize + len(s.data); left > 0 && size <= room {
			left--
			room -= size
			chosen[i] = s
		}
	}
	for i := range n { // without those, nothing behind them can be read
		if flying[i].retransmitted {
			choose(i)
		}
	}
	for i := n - 1; i >= 0; i-- {
		if !flying[i].retransmitted {
			choose(i)
		}
	}
	for _, s := range chosen[:n] {
		if s != nil {
			c.cfg.Repeats++
			p.appendPush(s, now)
			s.due = max(s.due, now+c.timeout(s))
		}
	}
}
