// SPDX-License-Identifier: MIT

package kcp

import "time"

const (
	// thin is how many segments in flight a game's stream has at most. A stream with
	// more of them moves bulk: it waits for its window and not for one loss.
	thin = 16

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

// putRepeats adds the latest segments in flight once more, in front of the new
// one, if the path loses and as far as they fit (SPEC 5.6). It moves no timeout:
// nothing is known to be lost.
func (c *Conn) putRepeats(p *datagramBuilder, now time.Duration) {
	fresh := c.sndQueue.head
	if c.cfg.NoRepeats || !c.loss.significant() || c.inFlight == 0 || c.inFlight > thin || c.toResend > 0 ||
		fresh == nil || fresh.next != nil || c.windowBlocked() {
		return
	}
	room := min(p.soft, p.base+c.cfg.cut()) - len(p.b) - HeaderSize - len(fresh.data)
	first, extra := c.sndBuf.head, int(c.inFlight)-repeats
	for s := first; s != nil; s = s.next {
		room -= HeaderSize + len(s.data)
	}
	for ; first != nil && (extra > 0 || room < 0); extra-- {
		room += HeaderSize + len(first.data)
		first = first.next
	}
	for s := first; s != nil; s = s.next {
		if s.sent < now { // else another datagram of the same flush has it
			c.cfg.Repeats++
			p.appendPush(s, now)
		}
	}
}
