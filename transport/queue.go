// SPDX-License-Identifier: MIT

package transport

import (
	"sync"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
)

// queue is the way into a loop from other goroutines: many writers, one
// reader. gnet's own EventLoop.Execute allocates for every call, loses the
// order beyond 1,024 waiting tasks and runs a task that posts itself before
// any I/O, so only the wake-up is gnet's. Guarded by mu.
type queue[T any] struct {
	mu        sync.Mutex
	tasks     []T
	waker     func()
	awake     bool // woken, or in a batch: what clears it looks at the rest first
	timer     bool // the timer fired
	again     bool // wake was called in this batch
	closed    bool
	inside    bool          // the loop waits in park alone, and looks at awake before that
	parked    bool          // in park: unpark takes the place of waker
	unpark    chan struct{} // 1 deep: waking never blocks
	parkTimer *time.Timer   // of park; the loop's own
}

// post takes a task, and reports false once no more are taken.
func (q *queue[T]) post(t T) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.tasks = append(q.tasks, t)
	q.wakeLocked()
	return true
}

// wakeLocked wakes once per burst: a loop that is awake looks again before it sleeps.
func (q *queue[T]) wakeLocked() {
	if !q.awake && q.waker != nil {
		q.awake = true
		if q.parked {
			select {
			case q.unpark <- struct{}{}:
			default: // close: it has been woken already
			}
			return
		}
		if !q.inside {
			q.waker()
		}
	}
}

// Stay says whether the loop waits in park alone from now on: nothing calls
// waker then. It must not while gnet waits for what comes to the loop.
func (q *queue[T]) Stay(inside bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.inside = inside
	if !inside && q.awake && q.waker != nil {
		q.waker()
	}
}

// CallBack wakes a loop that stays, so that it goes back to gnet.
func (q *queue[T]) CallBack() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.inside {
		q.wakeLocked()
	}
}

// Wake makes the loop run a batch that begins after this. Safe to call from any goroutine.
func (q *queue[T]) Wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.again = q.awake
	q.wakeLocked()
}

// onTimer is what the loop's timer calls, on a goroutine of the runtime.
func (q *queue[T]) onTimer() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.timer = true
	if !q.closed {
		q.wakeLocked()
	}
}

// beginBatch marks the beginning of a batch: no wake-up is needed until endBatch.
func (q *queue[T]) beginBatch() {
	q.mu.Lock()
	q.awake, q.again = true, false
	q.mu.Unlock()
}

// Park lets the loop wait between two batches, for d, with Never without end, or
// until it is woken. A
// goroutine waits then, not a thread in a system call: the runtime looks after
// those, and that costs more than the wait is worth.
func (q *queue[T]) Park(d time.Duration) {
	q.mu.Lock()
	if q.awake {
		q.mu.Unlock() // it has been woken
		return
	}
	q.parked = true
	if q.unpark == nil {
		q.unpark, q.parkTimer = make(chan struct{}, 1), time.NewTimer(d)
	} else if d != backend.Never {
		q.parkTimer.Reset(d)
	}
	q.mu.Unlock()
	if d == backend.Never {
		<-q.unpark
	} else {
		select {
		case <-q.unpark:
			q.parkTimer.Stop()
		case <-q.parkTimer.C:
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.parked = false
	if len(q.unpark) > 0 {
		<-q.unpark // woken as the time was up
	}
}

// take returns what waits, in order, and gives spare to the writers. It also
// reports, and clears, that the timer fired.
func (q *queue[T]) take(spare []T) (tasks []T, fired, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	fired, q.timer = q.timer, false
	if len(q.tasks) == 0 {
		return spare, fired, q.closed
	}
	tasks, q.tasks = q.tasks, spare
	return tasks, fired, q.closed
}

// endBatch ends a batch, and wakes the loop for another one if anything came
// meanwhile.
func (q *queue[T]) endBatch(more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.awake = false
	if more || len(q.tasks) > 0 || q.timer || q.again {
		q.wakeLocked()
	}
}

// SetWaker says how the loop is woken, or with nil that it can't be now.
func (q *queue[T]) SetWaker(wake func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waker = wake
	if wake != nil {
		// Whatever came before the loop ran is found by this batch.
		q.awake = true
		wake()
	}
}

// close lets no more tasks in and wakes the loop for the last batch.
func (q *queue[T]) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		q.awake, q.again = false, true // in the middle of a batch, too
		q.wakeLocked()
	}
}
