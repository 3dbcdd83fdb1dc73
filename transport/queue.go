// SPDX-License-Identifier: MIT

package transport

import "sync"

// queue is the way into a loop from other goroutines: many writers, one
// reader. gnet's own EventLoop.Execute allocates for every call, loses the
// order beyond 1,024 waiting tasks and runs a task that posts itself before
// any I/O, so only the wake-up is gnet's. Guarded by mu.
type queue[T any] struct {
	mu     sync.Mutex
	tasks  []T
	waker  func()
	awake  bool // woken, or in a batch: what clears it looks at the rest first
	again  bool // wake was called in this batch
	closed bool
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
		q.waker()
	}
}

// Wake makes the loop run a batch that begins after this. Safe to call from any goroutine.
func (q *queue[T]) Wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.again = q.awake
	q.wakeLocked()
}

// beginBatch marks the beginning of a batch: no wake-up is needed until endBatch.
func (q *queue[T]) beginBatch() {
	q.mu.Lock()
	q.awake, q.again = true, false
	q.mu.Unlock()
}

// take returns what waits, in order, and gives spare to the writers.
func (q *queue[T]) take(spare []T) (tasks []T, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.tasks) == 0 {
		return spare, q.closed
	}
	tasks, q.tasks = q.tasks, spare
	return tasks, q.closed
}

// endBatch ends a batch, and wakes the loop for another one if anything came
// meanwhile.
func (q *queue[T]) endBatch(more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.awake = false
	if more || len(q.tasks) > 0 || q.again {
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
