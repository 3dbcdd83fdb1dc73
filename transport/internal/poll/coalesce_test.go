// SPDX-License-Identifier: MIT

package poll

import (
	"testing"
	"time"
)

// TestCoalescingIsForManyPeers plays seconds of datagrams that come each
// so often, or when they were answered.
func TestCoalescingIsForManyPeers(t *testing.T) {
	const length, delay = 20 * time.Second, time.Millisecond
	type peers struct {
		players int
		every   time.Duration // one of them sends this much after the one before
		closed  bool          // and all only after their last answer
	}
	for _, c := range []struct {
		name        string
		peers       func(now time.Duration) peers
		least, most time.Duration // spent in waits
	}{
		{"one that asks again at once", func(time.Duration) peers { return peers{1, 50 * time.Microsecond, true} }, 100 * time.Millisecond, length / 16},
		{"twenty of them", func(time.Duration) peers { return peers{20, 10 * time.Microsecond, true} }, 100 * time.Millisecond, length / 16},
		{"now and then", func(time.Duration) peers { return peers{1, 5 * time.Millisecond, false} }, 0, 0},
		{"many", func(time.Duration) peers { return peers{1, 50 * time.Microsecond, false} }, length * 9 / 10, length},
		{"many idle ones", func(time.Duration) peers { return peers{1, 200 * time.Microsecond, false} }, length * 7 / 10, length},
		{"a thousand that ask again at once", func(time.Duration) peers { return peers{1000, 8 * time.Microsecond, true} }, length / 20, length},
		{"many, and then half of them", func(now time.Duration) peers {
			if now > length/2 {
				return peers{1, 100 * time.Microsecond, false}
			}
			return peers{1, 50 * time.Microsecond, false}
		}, length * 8 / 10, length},
		{"twenty that ask again at once, after many", func(now time.Duration) peers {
			if now > length/2 {
				return peers{20, 10 * time.Microsecond, true}
			}
			return peers{1, 50 * time.Microsecond, false}
		}, length * 4 / 10, length * 6 / 10},
		{"twenty that ask again at once, after idle ones", func(now time.Duration) peers {
			if now > length*11/20 {
				return peers{20, 10 * time.Microsecond, true}
			}
			return peers{1, 400 * time.Microsecond, false}
		}, length * 30 / 100, length * 45 / 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			var g coalescer
			var waits time.Duration
			now := time.Hour // the server has been there for a while
			begin, next := now, now
			asked := 0 // of those who wait for an answer
			for now < begin+length {
				who := c.peers(now - begin)
				if now = max(now, next); who.closed && asked == 0 {
					asked, next = who.players, now
				}
				wait := g.wait(now)
				waits += wait
				now += wait
				n := uint64(0)
				for next <= now && (!who.closed || asked > 0) {
					next += who.every
					if asked--; who.closed && asked == 0 {
						next = now + who.every
					}
					n++
				}
				asked = max(asked, 0)
				g.emptied(now, delay, n)
			}
			if waits > c.most || waits < c.least {
				t.Errorf("%v of %v were waited, want %v to %v", waits, length, c.least, c.most)
			}
		})
	}
}
