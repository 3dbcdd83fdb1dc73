// SPDX-License-Identifier: MIT

package client

import "time"

// clock is the only place that asks for the time. Immutable once the client is
// connected.
type clock struct {
	start time.Time
	speed time.Duration // 1; how many times faster than real time it goes, where framework/conform plays scripts
}

func newClock() *clock { return &clock{time.Now(), 1} }

// now is monotonic: the time since New.
func (k *clock) now() time.Duration { return time.Since(k.start) * k.speed }

// real is how long it takes until d has passed.
func (k *clock) real(d time.Duration) time.Duration { return d / k.speed }

// both returns now and the wall clock without its monotonic reading, so that
// the difference of two shows how long a device slept.
func (k *clock) both() (now time.Duration, wall time.Time) {
	t := time.Now()
	passed := t.Sub(k.start)
	now = passed * k.speed
	return now, t.Round(0).Add(now - passed)
}

// wall returns the time that sockets want for their deadlines.
func (k *clock) wall(at time.Duration) time.Time { return k.start.Add(k.real(at)) }

// until is the time that is left until t, as the deadline of a context.
func until(t time.Time) time.Duration { return time.Until(t) }
