// SPDX-License-Identifier: MIT

package client

import "time"

// clock is the only place that asks for the time. Immutable.
type clock struct{ start time.Time }

func newClock() clock { return clock{time.Now()} }

// now is monotonic: the time since New.
func (k clock) now() time.Duration { return time.Since(k.start) }

// both returns now and the wall clock without its monotonic reading, so that
// the difference of two shows how long a device slept.
func (k clock) both() (now time.Duration, wall time.Time) {
	t := time.Now()
	return t.Sub(k.start), t.Round(0)
}

// wall returns the time that sockets want for their deadlines.
func (k clock) wall(at time.Duration) time.Time { return k.start.Add(at) }

// until is the time that is left until t, as the deadline of a context.
func until(t time.Time) time.Duration { return time.Until(t) }
