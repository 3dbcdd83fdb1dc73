// SPDX-License-Identifier: MIT

package load

import (
	"math"
	"testing"
	"time"
)

func TestBucketsAreContiguousAndNarrow(t *testing.T) {
	for _, v := range []uint64{0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 1000, 123456, 1e9, 1 << 40, math.MaxInt64} {
		if got := middle(bucketOf(v)); math.Abs(float64(got)-float64(v)) > float64(v)/32 {
			t.Errorf("%d is counted as %d", v, got)
		}
		if v > 0 && bucketOf(v)-bucketOf(v-1) > 1 {
			t.Errorf("a bucket is left out before %d", v)
		}
	}
}

func TestQuantile(t *testing.T) {
	var h Histogram
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("median of nothing is %v", got)
	}
	for i := range 1000 {
		h.Add(time.Duration(i+1) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Microsecond, 0.99: 990 * time.Microsecond, 1: time.Millisecond} {
		if got := h.Quantile(q); (got - want).Abs() > want/30 {
			t.Errorf("quantile %v is %v, want about %v", q, got, want)
		}
	}
}
