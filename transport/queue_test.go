// SPDX-License-Identifier: MIT

package transport

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestRingEndsADoze: what is sent and what is due wait for nobody.
func TestRingEndsADoze(t *testing.T) {
	for _, c := range []struct {
		name   string
		before bool // it has been rung when the doze begins
		wake   func(l *Loop)
		waits  time.Duration
		times  int // the second doze begins as clean as the first
	}{
		{"nobody", false, nil, time.Hour, 2},
		{"a task", false, func(l *Loop) { _ = l.Post(taskFunc(func(*Loop) {})) }, time.Second, 2},
		{"a task before", true, func(l *Loop) { _ = l.Post(taskFunc(func(*Loop) {})) }, 0, 2},
		{"the timer", false, func(l *Loop) { l.queue.onTimer() }, time.Second, 2},
		{"the end", false, func(l *Loop) { l.queue.close() }, time.Second, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, bells := &Loop{}, 0
				l.queue.setBell(func() { bells++ })
				batch := func() {
					l.queue.enter()
					l.queue.take(nil)
					l.queue.leave(false)
				}
				batch()
				bells = 0
				for range c.times {
					began, rung := time.Now(), make(chan struct{})
					go func() {
						defer close(rung)
						if c.wake == nil {
							return
						}
						time.Sleep(c.waits)
						c.wake(l)
					}()
					if c.before {
						<-rung
					}
					l.queue.doze(time.Hour)
					if d := time.Since(began); d != c.waits {
						t.Errorf("dozed %v, want %v", d, c.waits)
					}
					<-rung
					batch()
				}
				if want := map[bool]int{true: 2}[c.before]; bells != want {
					t.Errorf("the bell rang %d times, want %d", bells, want)
				}
			})
		})
	}
}

// TestRungTwiceAsADozeEnds: whoever rings waits for nobody, not even when the
// loop has just been nudged and is about to look.
func TestRungTwiceAsADozeEnds(t *testing.T) {
	l := &Loop{}
	q := &l.queue
	q.bell = func() {}
	done := make(chan struct{})
	const d = 300 * time.Millisecond
	go func() { q.doze(d); close(done) }()
	for q.mu.Lock(); !q.dozing; q.mu.Lock() {
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
			t.Fatal("whoever rings holds the lock for ever")
		}
	}
}
