// SPDX-License-Identifier: MIT

package load

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets that grow with them: each is 1/32 of
// its power of two wide, so that a quantile is off by 3 % at most.
type Histogram struct {
	count   uint64
	buckets [(64 - histBits) << histBits]uint32
}

const histBits = 5

func bucketOf(v uint64) int {
	if v < 1<<histBits {
		return int(v)
	}
	shift := bits.Len64(v) - histBits - 1
	return shift<<histBits + int(v>>shift)
}

// middle is the middle of bucket i.
func middle(i int) uint64 {
	if i < 2<<histBits {
		return uint64(i)
	}
	shift := i>>histBits - 1
	low := uint64(i-shift<<histBits) << shift
	return low + 1<<shift/2
}

// Add counts d.
func (h *Histogram) Add(d time.Duration) {
	h.count++
	h.buckets[bucketOf(uint64(max(d, 0)))]++
}

// Count returns how many durations there are.
func (h *Histogram) Count() uint64 { return h.count }

// Quantile returns the duration that a share q of all does not exceed.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.count))
	var seen uint64
	for i, n := range h.buckets {
		if seen += uint64(n); n > 0 && seen > min(rank, h.count-1) {
			return time.Duration(middle(i))
		}
	}
	return 0
}

// Reset forgets everything.
func (h *Histogram) Reset() { *h = Histogram{} }
