// SPDX-License-Identifier: MIT

package kcp

import "time"

const (
	// thin is how many segments in flight a game's stream has at most. Who has
	// more of them moves bulk, which waits for its window and not for one loss.
	thin = 16

	// repeats is how many segments a datagram carries again (SPEC 5.6).
	repeats = 2
)

// losses is the share of the segments that were lost lately, of 1<<16.
type losses uint16

const (
	lossMemory  = 64            // segments that it looks back, about
	lossEvident = 1 << 16 / 100 // from here on a path loses
)

// note takes the fate of one segment more.
func (l *losses) note(lost bool) {
	if lost {
		*l += (1<<16 - 1 - *l) / lossMemory
	} else {
		*l -= *l / lossMemory
	}
}

func (l losses) evident() bool { return l >= lossEvident }

// putRepeats adds the latest segments in flight once more, in front of the one
// that is new, as far as they fit and if the path loses (SPEC 5.6). It moves no
// timeout: nothing is known to be lost.
func (c *Conn) putRepeats(p *packet, now time.Duration) {
	fresh := c.unsent.head
	if c.cfg.NoRepeats || !c.loss.evident() || c.inFlight == 0 || c.inFlight > thin || c.lost > 0 ||
		fresh == nil || fresh.next != nil || c.blocked() {
		return
	}
	room := min(p.soft, p.base+c.cfg.cut()) - len(p.b) - HeaderSize - len(fresh.data)
	first, extra := c.flight.head, int(c.inFlight)-repeats
	for s := first; s != nil; s = s.next {
		room -= HeaderSize + len(s.data)
	}
	for ; first != nil && (extra > 0 || room < 0); extra-- {
		room += HeaderSize + len(first.data)
		first = first.next
	}
	for s := first; s != nil; s = s.next {
		if s.sent < now { // else it left just before, in another datagram of the same flush
			c.cfg.Repeats++
			p.push(s, now)
		}
	}
}
