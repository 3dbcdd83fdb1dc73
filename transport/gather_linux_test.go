// SPDX-License-Identifier: MIT

package transport

import (
	"testing"
	"time"
)

// TestGatheringIsForTheManyAndNotForOne plays a second of datagrams that come
// each so often, from players who wait for their answer or do not.
func TestGatheringIsForTheManyAndNotForOne(t *testing.T) {
	for _, c := range []struct {
		name        string
		every       time.Duration // the next datagram comes this much after the one before
		closed      bool          // or after its answer
		most, least time.Duration // of the second spent in waits
	}{
		{"one that asks again at once", 50 * time.Microsecond, true, 90 * time.Millisecond, time.Millisecond},
		{"now and then", 5 * time.Millisecond, false, 0, 0},
		{"many", 50 * time.Microsecond, false, time.Second, 900 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			const gather = time.Millisecond
			var g gathering
			var waits time.Duration
			now := time.Second // so that a datagram is not the first of all
			next := now
			for end := now + time.Second; next < end; {
				now = max(now, next)
				wait := g.wait(now)
				waits += wait
				now += wait
				n := uint64(0)
				for ; next <= now; n++ {
					if next += c.every; c.closed {
						next = now + c.every
					}
				}
				g.emptied(now, gather, n, wait > 0)
			}
			if waits > c.most || waits < c.least {
				t.Errorf("%v of a second were waited, want %v to %v", waits, c.least, c.most)
			}
		})
	}
}
