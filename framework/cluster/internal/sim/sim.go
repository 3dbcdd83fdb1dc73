// SPDX-License-Identifier: MIT

// Package sim is what the simulations of a cluster have in common: events in virtual time,
// chance, and a trace. Only tests use it.
package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"
)

// World lets events happen one after the other. It is the same for the same Rng.
type World struct {
	Rng    *rand.Rand
	Now    time.Duration
	Traced bool
	Trace  []string // what was noted, if Traced
	Quiet  bool     // nothing goes wrong with one message
	Stale  bool     // reads may be old
	Lost   float64  // how often an answer of the store is lost, while it is not quiet

	events eventHeap
	order  uint64
}

// New returns a World for a seed.
func New(seed uint64, traced bool) World {
	return World{Rng: rand.New(rand.NewPCG(seed, 7)), Traced: traced, Lost: 0.01}
}

type event struct {
	at    time.Duration
	order uint64
	f     func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].order < h[j].order
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *eventHeap) Push(x any) { *h = append(*h, x.(event)) }

// Pop implements heap.Interface.
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}

// After runs f when d has passed.
func (w *World) After(d time.Duration, f func()) {
	w.order++
	heap.Push(&w.events, event{w.Now + d, w.order, f})
}

// Run lets everything happen until end, or until failed.
func (w *World) Run(end time.Duration, failed func() bool) {
	for len(w.events) > 0 && w.events[0].at <= end && !failed() {
		e := heap.Pop(&w.events).(event)
		w.Now = e.at
		e.f()
	}
	w.Now = max(w.Now, end)
}

// Between draws a duration.
func (w *World) Between(a, b time.Duration) time.Duration {
	return a + time.Duration(w.Rng.Int64N(int64(b-a)+1))
}

// Chance draws whether something with the probability p happens.
func (w *World) Chance(p float64) bool { return w.Rng.Float64() < p }

// Latency is how long a message takes, now and then much longer.
func (w *World) Latency() time.Duration {
	switch {
	case w.Quiet || !w.Chance(0.03):
		return w.Between(200*time.Microsecond, 5*time.Millisecond)
	case w.Chance(0.5):
		return w.Between(50*time.Millisecond, 400*time.Millisecond)
	}
	return w.Between(400*time.Millisecond, 3*time.Second)
}

// Note adds a line to the trace.
func (w *World) Note(format string, args ...any) {
	if w.Traced {
		w.Trace = append(w.Trace, fmt.Sprintf("%9.4f ", w.Now.Seconds())+fmt.Sprintf(format, args...))
	}
}
