// SPDX-License-Identifier: MIT

package transport

import (
	"math"
	"time"
)

// Never is the time of a timer that is not armed.
const Never time.Duration = math.MaxInt64

// Task is work posted to a loop: a *T with a Run method is posted without allocation.
type Task interface{ Run(l *Loop) }

// Loop is one event loop.
type Loop struct {
	Value any // the handler's state for this loop
}

// Post hands t to the loop. Safe to call from any goroutine. Tasks of one
// goroutine run in the order they were posted. It returns ErrStopped once the
// loop takes no more.
func (l *Loop) Post(t Task) error { return ErrStopped }

// Index returns the loop's place in Transport.Loops.
func (l *Loop) Index() int { return 0 }

// Now returns the time since Start, the same base for all loops, read once per batch.
func (l *Loop) Now() time.Duration { return 0 }

// WakeAt asks for one OnTimer at or after at and replaces the earlier wish.
// Never asks for none.
func (l *Loop) WakeAt(at time.Duration) {}

// Lateness returns how late the loop's timer last fired.
func (l *Loop) Lateness() time.Duration { return 0 }
