// SPDX-License-Identifier: MIT

package transport

import (
	"sort"
	"sync/atomic"
)

// Histogram counts values by size. Each loop has its own, so that counting one
// is an atomic add without contention. Safe to use from any goroutine.
type Histogram struct {
	bounds []int64 // ascending; a value counts where it is not above
	cells  []atomic.Uint64
	sum    atomic.Int64
}

// NewHistogram makes a histogram with these upper bounds, and one cell above.
func NewHistogram(bounds []int64) *Histogram {
	return &Histogram{bounds: bounds, cells: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts v.
func (h *Histogram) Observe(v int64) {
	h.cells[sort.Search(len(h.bounds), func(i int) bool { return v <= h.bounds[i] })].Add(1)
	h.sum.Add(v)
}

// Stats returns what was counted.
func (h *Histogram) Stats() HistogramStats {
	s := HistogramStats{Bounds: h.bounds, Counts: make([]uint64, len(h.cells)), Sum: h.sum.Load()}
	for i := range h.cells {
		s.Counts[i] = h.cells[i].Load()
	}
	return s
}

// HistogramStats is what a Histogram has counted: Counts[i] values up to
// Bounds[i] and above the bound before, and in the last cell those above all.
type HistogramStats struct {
	Bounds []int64  `json:"bounds"`
	Counts []uint64 `json:"counts"`
	Sum    int64    `json:"sum"`
}

// Count returns how many values were counted.
func (s *HistogramStats) Count() (n uint64) {
	for _, c := range s.Counts {
		n += c
	}
	return n
}

// Add takes in another histogram with the same bounds.
func (s *HistogramStats) Add(o HistogramStats) {
	if s.Counts == nil {
		*s = o
		return
	}
	for i, c := range o.Counts {
		s.Counts[i] += c
	}
	s.Sum += o.Sum
}
