// SPDX-License-Identifier: MIT

package transport

import (
	"sync"
	"time"
)

// Task is work posted to a loop: a *T with a Run method is posted without allocation.
type Task interface{ Run(l *Loop) }

// queue is the way into a loop from other goroutines: many writers, one
// reader. gnet's own EventLoop.Execute allocates for every call, loses the
// order beyond 1,024 waiting tasks and runs a task that posts itself before
// any I/O, so only the doorbell is gnet's. Guarded by mu.
type queue struct {
	mu     sync.Mutex
	tasks  []Task
	bell   func()
	awake  bool // rung, or in a batch: whoever clears it looks at the rest first
	timer  bool // the timer fired
	again  bool // wake was called in this batch
	closed bool
	dozing bool          // in doze: nudge takes the place of the bell
	nudge  chan struct{} // 1 deep: nobody waits to ring
	alarm  *time.Timer   // of doze; the loop's own
}

// Post hands t to the loop. Safe to call from any goroutine. Tasks of one
// goroutine run in the order they were posted. It returns ErrStopped once the
// loop takes no more; every task that was taken does run.
func (l *Loop) Post(t Task) error {
	q := &l.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrStopped
	}
	q.tasks = append(q.tasks, t)
	q.wakeLocked()
	return nil
}

// wakeLocked rings once per burst: a loop that is awake looks again before it sleeps.
func (q *queue) wakeLocked() {
	if !q.awake && q.bell != nil {
		q.awake = true
		if q.dozing {
			select {
			case q.nudge <- struct{}{}:
			default: // close: it has been nudged already
			}
			return
		}
		q.bell()
	}
}

// wake makes the loop run a batch that begins after this. Safe to call from any goroutine.
func (q *queue) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.again = q.awake
	q.wakeLocked()
}

// onTimer is what the loop's timer calls, on a goroutine of the runtime.
func (q *queue) onTimer() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.timer = true
	if !q.closed {
		q.wakeLocked()
	}
}

// enter marks the beginning of a batch: no bell is needed until leave.
func (q *queue) enter() {
	q.mu.Lock()
	q.awake, q.again = true, false
	q.mu.Unlock()
}

// doze puts the loop to sleep between two batches, for d or until somebody
// rings. It is a goroutine that waits then, not a thread in a system call: that
// costs the runtime, which looks after those, more than the wait is worth.
func (q *queue) doze(d time.Duration) {
	q.mu.Lock()
	if q.awake {
		q.mu.Unlock() // it has been rung for
		return
	}
	q.dozing = true
	if q.nudge == nil {
		q.nudge, q.alarm = make(chan struct{}, 1), time.NewTimer(d)
	} else {
		q.alarm.Reset(d)
	}
	q.mu.Unlock()
	select {
	case <-q.nudge:
		q.alarm.Stop()
	case <-q.alarm.C:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dozing = false
	if len(q.nudge) > 0 {
		<-q.nudge // rung as the time was up
	}
}

// take returns what waits, in order, and gives spare to the writers. It also
// reports, and clears, that the timer fired.
func (q *queue) take(spare []Task) (tasks []Task, fired, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	fired, q.timer = q.timer, false
	if len(q.tasks) == 0 {
		return spare, fired, q.closed
	}
	tasks, q.tasks = q.tasks, spare
	return tasks, fired, q.closed
}

// leave ends a batch, and rings for another one if anything came meanwhile.
func (q *queue) leave(more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.awake = false
	if more || len(q.tasks) > 0 || q.timer || q.again {
		q.wakeLocked()
	}
}

// setBell says how the loop is woken, or with nil that it can't be now.
func (q *queue) setBell(ring func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bell = ring
	if ring != nil {
		// Whatever came before the loop ran is found by this batch.
		q.awake = true
		ring()
	}
}

// close lets no more tasks in and rings for the last batch.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		q.awake = false
		q.wakeLocked()
	}
}
