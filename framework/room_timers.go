// SPDX-License-Identifier: MIT

package framework

import (
	"container/heap"
	"time"
)

// Timer is a call to come of a room's own code. It belongs to the room's goroutine.
type Timer struct {
	at    time.Time
	every time.Duration // 0: once
	f     func()
	seq   uint64  // of two that are due at once, the one that was made first comes first
	in    *timers // nil: it has run or was stopped
	place int     // in the heap
}

// timers are those of a room: a heap, and one timer of the runtime for the first of
// them. The room's goroutine owns them.
type timers struct {
	wake    func() // wakes the room, from any goroutine
	heap    timerHeap
	seq     uint64
	alarm   *time.Timer // wakes the room, nil before the first
	armed   time.Time   // when alarm goes off, zero if it does not
	stopped bool        // for good
}

// Stop keeps the timer from running. It reports false if it has run, or was stopped.
// To be called on the room's goroutine.
func (t *Timer) Stop() bool {
	ts := t.in
	if ts == nil {
		return false
	}
	heap.Remove(&ts.heap, t.place)
	t.in = nil
	return true
}

func (ts *timers) add(d, every time.Duration, f func()) *Timer {
	if f == nil {
		panic("framework: a timer without a function")
	}
	t := &Timer{at: clock().Add(max(d, 0)), every: every, f: f}
	if ts.stopped {
		return t
	}
	ts.push(t)
	ts.arm()
	return t
}

func (ts *timers) push(t *Timer) {
	ts.seq++
	t.seq, t.in = ts.seq, ts
	heap.Push(&ts.heap, t)
}

// empty reports that there is no timer.
func (ts *timers) empty() bool { return len(ts.heap) == 0 }

// last is the newest of the timers there are.
func (ts *timers) last() uint64 { return ts.seq }

// due returns the function of a timer that is due, one after the other, and nil when
// there is none: of the timers up to last, as a call may make another one. Once it has
// returned nil the timer of the runtime is set.
func (ts *timers) due(now time.Time, last uint64) func() {
	if len(ts.heap) == 0 {
		return nil
	}
	if first := ts.heap[0]; first.at.After(now) || first.seq > last {
		ts.arm()
		return nil
	}
	t := heap.Pop(&ts.heap).(*Timer)
	t.in = nil
	if t.every > 0 {
		t.at = t.at.Add(t.every * (1 + now.Sub(t.at)/t.every))
		ts.push(t)
	}
	return t.f
}

// arm sets the runtime's timer for the first one.
func (ts *timers) arm() {
	if len(ts.heap) == 0 || ts.stopped {
		return
	}
	first := ts.heap[0].at
	if ts.armed.Equal(first) && first.After(clock()) {
		return
	}
	ts.armed = first
	d := first.Sub(clock())
	if d <= 0 { // no timer, see stepper.arm
		ts.wake()
		return
	}
	if ts.alarm == nil {
		ts.alarm = time.AfterFunc(d, ts.wake)
		return
	}
	ts.alarm.Reset(d)
}

// stop ends all timers for good.
func (ts *timers) stop() {
	ts.stopped = true
	for _, t := range ts.heap {
		t.in = nil
	}
	ts.heap = nil
	if ts.alarm != nil {
		ts.alarm.Stop()
	}
}

// timerHeap implements heap.Interface.
type timerHeap []*Timer

func (h timerHeap) Len() int { return len(h) }

func (h timerHeap) Less(i, j int) bool {
	if c := h[i].at.Compare(h[j].at); c != 0 {
		return c < 0
	}
	return h[i].seq < h[j].seq
}

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *timerHeap) Push(x any) {
	t := x.(*Timer)
	t.place = len(*h)
	*h = append(*h, t)
}

func (h *timerHeap) Pop() any {
	n := len(*h) - 1
	t := (*h)[n]
	(*h)[n] = nil
	*h = (*h)[:n]
	return t
}
