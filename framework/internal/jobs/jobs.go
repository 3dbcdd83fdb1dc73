// SPDX-License-Identifier: MIT

// Package jobs does what has to be done some time soon, and not on a loop.
package jobs

import (
	"context"
	"sync"
)

// Queue has jobs that wait, and runs them in order, on a few goroutines that end when
// there is nothing left. The zero value is for Limit to be set.
type Queue struct {
	Limit int // how many run at once, at least 1; not changed once there are jobs

	mu sync.Mutex
	// Guarded by mu.
	waiting []func()
	running int
	done    chan struct{} // closed when nothing is left; nil if nothing waits for that
}

// Add has f run. It does not block. How many may wait is its caller's to bound.
func (q *Queue) Add(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, f)
	if q.running < q.Limit {
		q.running++
		go q.run() // ends when nothing waits
	}
}

func (q *Queue) run() {
	over := false
	defer func() {
		if !over { // a job has ended this goroutine
			go q.run()
		}
	}()
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			q.waiting = nil
			if q.running--; q.running == 0 && q.done != nil {
				close(q.done)
				q.done = nil
			}
			q.mu.Unlock()
			over = true
			return
		}
		f := q.waiting[0]
		q.waiting[0] = nil
		q.waiting = q.waiting[1:]
		q.mu.Unlock()
		f()
	}
}

// Wait waits until nothing is left to do.
func (q *Queue) Wait(ctx context.Context) error {
	q.mu.Lock()
	if q.running == 0 {
		q.mu.Unlock()
		return nil
	}
	if q.done == nil {
		q.done = make(chan struct{})
	}
	done := q.done
	q.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
