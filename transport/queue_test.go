// SPDX-License-Identifier: MIT

package transport

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestWakeEndsPark: what is sent and what is due wait for nothing.
func TestWakeEndsPark(t *testing.T) {
	for _, c := range []struct {
		name   string
		before bool // it has been woken when the park begins
		wake   func(l *Loop)
		waits  time.Duration
		times  int // the second park begins as clean as the first
	}{
		{"nothing", false, nil, time.Hour, 2},
		{"a task", false, func(l *Loop) { _ = l.Post(taskFunc(func(*Loop) {})) }, time.Second, 2},
		{"a task before", true, func(l *Loop) { _ = l.Post(taskFunc(func(*Loop) {})) }, 0, 2},
		{"the timer", false, func(l *Loop) { l.queue.onTimer() }, time.Second, 2},
		{"the end", false, func(l *Loop) { l.queue.close() }, time.Second, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, wakes := &Loop{}, 0
				l.queue.SetWaker(func() { wakes++ })
				batch := func() {
					l.queue.beginBatch()
					l.queue.take(nil)
					l.queue.endBatch(false)
				}
				batch()
				wakes = 0
				for range c.times {
					began, woken := time.Now(), make(chan struct{})
					go func() {
						defer close(woken)
						if c.wake == nil {
							return
						}
						time.Sleep(c.waits)
						c.wake(l)
					}()
					if c.before {
						<-woken
					}
					l.queue.Park(time.Hour)
					if d := time.Since(began); d != c.waits {
						t.Errorf("dozed %v, want %v", d, c.waits)
					}
					<-woken
					batch()
				}
				if want := map[bool]int{true: 2}[c.before]; wakes != want {
					t.Errorf("the waker was called %d times, want %d", wakes, want)
				}
			})
		})
	}
}

// TestWokenTwiceAsParkEnds: a wake-up waits for nothing, not even when the
// loop has just been woken and is about to look.
func TestWokenTwiceAsParkEnds(t *testing.T) {
	l := &Loop{}
	q := &l.queue
	q.waker = func() {}
	done := make(chan struct{})
	const d = 300 * time.Millisecond
	go func() { q.Park(d); close(done) }()
	for q.mu.Lock(); !q.parked; q.mu.Lock() {
		q.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	time.Sleep(d + 100*time.Millisecond) // its time is up: it waits for the lock
	q.wakeLocked()
	q.awake = false
	twice := make(chan struct{})
	go func() { q.wakeLocked(); q.mu.Unlock(); close(twice) }()
	for _, c := range []chan struct{}{twice, done} {
		select {
		case <-c:
		case <-time.After(10 * time.Second):
			t.Fatal("a wake-up holds the lock for ever")
		}
	}
}
