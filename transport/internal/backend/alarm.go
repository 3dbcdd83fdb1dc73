// SPDX-License-Identifier: MIT

package backend

import "time"

// Alarm is Driver.WakeAt by a timer of the runtime. One that is set for an earlier time
// stays: it costs one wake-up, and setting it anew costs every batch. Owned by the loop.
type Alarm struct {
	timer *time.Timer
	at    time.Duration // when it rings, unless that is over
}

// Set has ring called at a time, on a goroutine of the runtime: always the same ring.
func (a *Alarm) Set(at, now time.Duration, ring func()) {
	switch {
	case at == Never:
		if a.timer != nil {
			a.timer.Stop()
			a.at = 0
		}
	case a.at > now && a.at <= at:
	case a.timer == nil:
		a.at = at
		a.timer = time.AfterFunc(max(at-now, 1), ring) // never 0: in virtual time that would run it here
	default:
		a.at = at
		a.timer.Reset(max(at-now, 1))
	}
}
