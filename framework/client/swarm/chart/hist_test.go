// SPDX-License-Identifier: MIT

package chart

import (
	"testing"
	"time"
)

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

func TestWhatIsOutsideOfTheRangeCountsAtItsEnd(t *testing.T) {
	var h Histogram
	h.Add(-time.Second)
	h.Add(time.Hour)
	if n := h.Count(); n != 2 {
		t.Errorf("%d counted, want 2", n)
	}
	if got := h.Max(); (got - time.Duration(longest)).Abs() > time.Duration(longest)/1000 {
		t.Errorf("the longest is %v", got)
	}
	h.Reset()
	if h.Count() != 0 || h.Curve() != nil {
		t.Errorf("after Reset there are %d", h.Count())
	}
}
