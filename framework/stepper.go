// SPDX-License-Identifier: MIT

package framework

import "time"

// stepper fires at fixed steps while it runs. It never drifts: a late step
// is followed by one on time, and steps that were missed altogether are
// skipped, not made up for.
type stepper struct {
	step  time.Duration
	timer *time.Timer // nil: never fires
	on    bool
	start time.Time // what the steps are counted from
	n     uint64
}

func newStepper(step time.Duration, wanted bool) *stepper {
	s := &stepper{step: step}
	if wanted && step > 0 {
		s.timer = time.NewTimer(step)
		s.timer.Stop()
	}
	return s
}

// run lets time go on, or stand still, as it does at first.
func (s *stepper) run(on bool) {
	if s.timer == nil || s.on == on {
		return
	}
	if s.on = on; !on {
		s.timer.Stop()
		return
	}
	s.start = clock().Add(-time.Duration(s.n) * s.step)
	s.timer.Reset(s.step)
}

func (s *stepper) c() <-chan time.Time {
	if s.timer == nil {
		return nil
	}
	return s.timer.C
}

// next returns the step that is due and arms the timer for the one after.
func (s *stepper) next() (Tick, bool) {
	gone := clock().Sub(s.start)
	n := uint64(gone / s.step)
	due := n > s.n
	if due {
		s.n = n
	}
	s.timer.Reset(s.start.Add(time.Duration(s.n+1) * s.step).Sub(clock()))
	return Tick{N: s.n, Step: s.step, Overrun: gone - time.Duration(s.n)*s.step}, due
}

func (s *stepper) stop() {
	if s.timer != nil {
		s.timer.Stop()
	}
}
