// SPDX-License-Identifier: MIT

package framework

import (
	"sync/atomic"
	"time"
)

// stepper says when a step of a room's time is due, while it runs. It never
// drifts: a late step is followed by one on time, and steps that were missed
// altogether are skipped, not made up for. The room's goroutine owns it; only due
// is set by the timer.
type stepper struct {
	step  time.Duration // 0: there are no steps
	wake  func()        // wakes the room, from the timer's goroutine
	timer *time.Timer   // nil before the first run
	due   atomic.Bool   // the timer has fired
	on    bool
	start time.Time // what the steps are counted from
	n     uint64
}

func newStepper(step time.Duration, wake func()) *stepper {
	return &stepper{step: max(step, 0), wake: wake}
}

// run lets time go on, or stand still, as it does at first.
func (s *stepper) run(on bool) {
	if s.step == 0 || s.on == on {
		return
	}
	if s.on = on; !on {
		s.stop()
		return
	}
	s.start = clock().Add(-time.Duration(s.n) * s.step)
	s.arm(s.step)
}

// arm sets the timer. It is no channel that the room selects on, and never due at
// once: such timers run on the goroutine that meets them, and in a test with
// virtual time two of them at once crash Go's race detector.
func (s *stepper) arm(d time.Duration) {
	if d <= 0 {
		s.due.Store(true)
		s.wake()
		return
	}
	if s.timer == nil {
		s.timer = time.AfterFunc(d, func() {
			s.due.Store(true)
			s.wake()
		})
		return
	}
	s.timer.Reset(d)
}

// next returns the step that is due, if one is, and arms the timer for the one
// after it.
func (s *stepper) next() (Tick, bool) {
	if !s.due.Swap(false) || !s.on {
		return Tick{}, false
	}
	gone := clock().Sub(s.start)
	n := uint64(gone / s.step)
	due := n > s.n
	if due {
		s.n = n
	}
	s.arm(s.start.Add(time.Duration(s.n+1) * s.step).Sub(clock()))
	return Tick{N: s.n, Step: s.step, Overrun: gone - time.Duration(s.n)*s.step}, due
}

func (s *stepper) stop() {
	if s.timer != nil {
		s.timer.Stop()
	}
}

// Tick is one step of a room's time.
type Tick struct {
	N       uint64        // counts from 1; skipped steps are counted too
	Step    time.Duration // the fixed length of a step
	Overrun time.Duration // how late this step is
}
