// SPDX-License-Identifier: MIT

package jobs

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A job that ends its goroutine keeps no other from being done.
func TestJobsThatEndTheirGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := Queue{Limit: 2}
		var done atomic.Int32
		for range 10 {
			q.Add(runtime.Goexit)
			q.Add(func() { done.Add(1) })
		}
		if err := q.Wait(t.Context()); err != nil || done.Load() != 10 {
			t.Errorf("%d were done, %v", done.Load(), err)
		}
	})
}

// A hundred jobs of a second run ten at a time, each once, the first ones first.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := Queue{Limit: 10}
		begun := time.Now()
		var atOnce, most atomic.Int32
		ran := make([]time.Duration, 100)
		for i := range ran {
			q.Add(func() {
				most.Store(max(most.Load(), atOnce.Add(1)))
				time.Sleep(time.Second)
				atOnce.Add(-1)
				ran[i] = time.Since(begun)
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second+time.Millisecond)
		defer cancel()
		if err := q.Wait(ctx); err == nil {
			t.Error("nothing is left, after half of the time")
		}
		if err := q.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if most.Load() > 10 {
			t.Errorf("%d at once", most.Load())
		}
		for i, at := range ran {
			if want := time.Duration(i/10+1) * time.Second; at != want {
				t.Errorf("job %d was done after %v, want %v", i, at, want)
			}
		}
		if err := q.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
