// SPDX-License-Identifier: MIT

package limit

import (
	"math"
	"sync/atomic"
)

// NoBound is a size of a budget that is never reached, far enough from where sums
// overflow.
const NoBound = math.MaxInt64 / 4

// Budget is the memory in which messages to players may wait, for all players of a
// server. What waits in a queue is taken from it one by one. A loop takes shares for
// its sessions, so that a message it sends itself costs no atomic operation. So the
// bound is never exceeded, and a loop keeps at most two shares that it does not use.
// Safe to use from any goroutine.
type Budget struct {
	// Immutable after Open.
	size  int64
	share int64 // what a loop takes at once

	left atomic.Int64
}

// Open makes a budget of size bytes for so many loops: what they hold ready all
// together is at most a 32nd of it.
func (b *Budget) Open(size int64, loops int) {
	b.size, b.share = size, min(64<<10, size/64/int64(loops))
	b.left.Store(size)
}

// Take takes n bytes if there are so many. The last eighth is for players that are
// there: those that are away, most of which never read it, must not take from those
// that play.
func (b *Budget) Take(n int64, away bool) bool {
	left := b.left.Add(-n)
	if left >= 0 && (!away || left >= b.size/8) {
		return true
	}
	b.left.Add(n)
	return false
}

// TakeShare takes n bytes into the share of a loop, and more in advance if there is more.
func (b *Budget) TakeShare(share *int, n int, away bool) bool {
	for _, n := range []int64{max(int64(n), b.share), int64(n)} {
		if b.Take(n, away) {
			*share += int(n)
			return true
		}
	}
	return false
}

// ReturnShare gives back what the loop does not need any more. It uses so many bytes.
func (b *Budget) ReturnShare(share *int, used int) {
	if n := int64(*share - used); n > 2*b.share {
		*share -= int(n - b.share)
		b.Give(n - b.share)
	}
}

// Give gives n bytes back.
func (b *Budget) Give(n int64) { b.left.Add(n) }

// Used is what waits and what loops hold ready, in bytes.
func (b *Budget) Used() int64 { return b.size - b.left.Load() }
