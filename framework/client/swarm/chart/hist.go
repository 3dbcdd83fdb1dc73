// SPDX-License-Identifier: MIT

package chart

import (
	"encoding/json"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Histogram counts durations from a microsecond to two minutes, to three
// digits. The zero value is ready to use. Its owner sees to that one call runs at a time.
type Histogram struct{ h *hdrhistogram.Histogram }

const (
	shortest = int64(time.Microsecond)
	longest  = int64(2 * time.Minute)
)

// Add counts d.
func (h *Histogram) Add(d time.Duration) {
	if h.h == nil {
		h.h = hdrhistogram.New(shortest, longest, 3)
	}
	_ = h.h.RecordValue(min(max(int64(d), 0), longest)) // in range by now
}

// Count returns how many durations there are.
func (h *Histogram) Count() uint64 {
	if h.h == nil {
		return 0
	}
	return uint64(h.h.TotalCount())
}

// Quantile returns the duration that a share q of all does not exceed.
func (h *Histogram) Quantile(q float64) time.Duration {
	switch {
	case h.h == nil:
		return 0
	case q == 0:
		return time.Duration(h.h.Min())
	}
	return time.Duration(h.h.ValueAtQuantile(100 * q))
}

// Max returns the longest duration.
func (h *Histogram) Max() time.Duration {
	if h.h == nil {
		return 0
	}
	return time.Duration(h.h.Max())
}

// Reset forgets everything.
func (h *Histogram) Reset() {
	if h.h != nil {
		h.h.Reset()
	}
}

// Merge adds what other has counted.
func (h *Histogram) Merge(other *Histogram) {
	switch {
	case other.h == nil:
	case h.h == nil:
		h.h = hdrhistogram.Import(other.h.Export())
	default:
		h.h.Merge(other.h)
	}
}

// Mean returns the arithmetic mean.
func (h *Histogram) Mean() time.Duration {
	if h.h == nil {
		return 0
	}
	return time.Duration(h.h.Mean())
}

// MarshalJSON takes a histogram to another process.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	if h.h == nil {
		return []byte("null"), nil
	}
	return json.Marshal(h.h.Export())
}

// UnmarshalJSON takes it from there.
func (h *Histogram) UnmarshalJSON(b []byte) error {
	var s *hdrhistogram.Snapshot
	if err := json.Unmarshal(b, &s); err != nil || s == nil {
		h.h = nil
		return err
	}
	h.h = hdrhistogram.Import(s)
	return nil
}

// Point is a place on a curve of latencies: a share of all took so long at most.
type Point struct {
	Share float64 `json:"share"`
	Us    float64 `json:"us"`
}

// Curve returns the distribution, denser where there is less: up to 99.99 %.
func (h *Histogram) Curve() []Point {
	if h.Count() == 0 {
		return nil
	}
	var c []Point
	for _, q := range curveShares {
		c = append(c, Point{q, float64(h.Quantile(q)) / 1e3})
	}
	return c
}

var curveShares = []float64{
	0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.985, 0.99,
	0.9925, 0.995, 0.997, 0.998, 0.999, 0.9995, 0.9999,
}
