// SPDX-License-Identifier: MIT

package queue

import (
	"container/heap"
	"time"
)

// timer says when a ticket, a match or a backfill is due. of is one of these.
type timer struct {
	at    time.Time
	of    any
	order uint64 // among those of one moment
	index int    // in the heap, from 1 on; 0: not in
}

// timers is a heap of those that are set.
type timers []*timer

func (h timers) Len() int { return len(h) }
func (h timers) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].order < h[j].order
}
func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}
func (h *timers) Push(x any) {
	t := x.(*timer)
	*h = append(*h, t)
	t.index = len(*h)
}
func (h *timers) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = 0
	return t
}

// set makes t due at a time, whatever it was before.
func (h *timers) set(t *timer, at time.Time) {
	t.at = at
	if t.index > 0 {
		heap.Fix(h, t.index-1)
		return
	}
	heap.Push(h, t)
}

func (h *timers) stop(t *timer) {
	if t.index > 0 {
		heap.Remove(h, t.index-1)
	}
}
