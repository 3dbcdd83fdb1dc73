// SPDX-License-Identifier: MIT

package framework

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// inlineLimit is how long an Inline handler may keep its loop. Whoever needs
// longer keeps all players of the loop waiting.
const inlineLimit = 10 * time.Millisecond

// stuckAfter is when one is named that has not returned yet.
const stuckAfter = time.Second

// watched counts an Inline handler that took too long, and names it: the first
// time, the second, the fourth and so on.
func (l *loop) watched(r *Route, took time.Duration) {
	if took <= inlineLimit {
		return
	}
	l.srv.count.inlineLate.Add(1)
	if f := l.srv.cfg.Observer.InlineLate; f != nil {
		l.srv.observe("InlineLate", func() { f(r.name, took) })
	}
	if n := r.late.Add(1); bits.OnesCount64(n) == 1 {
		l.srv.log.Warn("an Inline handler blocks its loop", "route", r.name, "took", took, "times", n, "loop", l.t.Index())
	}
}

// watchdog names the Inline handler that keeps a loop while it does: one that
// never returns is never counted. It has a timer only while handlers run.
type watchdog struct {
	l     *loop
	born  time.Time
	since atomic.Int64          // when the present call began, after born
	route atomic.Pointer[Route] // of that call, nil without one; written after since
	armed atomic.Bool           // look will come
	named int64                 // since of the call that was named; look's own
}

// enter notes that a handler begins, at now after born. Called on the loop.
func (w *watchdog) enter(r *Route, now time.Duration) {
	w.since.Store(int64(now))
	w.route.Store(r)
	w.arm()
}

// leave notes that it has returned, or panicked.
func (w *watchdog) leave() { w.route.Store(nil) }

func (w *watchdog) arm() {
	if !w.armed.Load() && w.armed.CompareAndSwap(false, true) {
		time.AfterFunc(stuckAfter, w.look)
	}
}

// look runs on a goroutine of the runtime, once at a time.
func (w *watchdog) look() {
	r := w.route.Load()
	if r == nil {
		w.armed.Store(false)
		if w.route.Load() != nil { // one has begun since, and may have found it armed
			w.arm()
		}
		return
	}
	since := w.since.Load() // of this call, or of a later one that is young
	took := clock().Sub(w.born) - time.Duration(since)
	if took < stuckAfter {
		time.AfterFunc(stuckAfter-took, w.look)
		return
	}
	if since != w.named {
		w.named = since
		w.l.srv.log.Warn("an Inline handler is blocking its loop", "route", r.name, "took", took, "loop", w.l.t.Index())
	}
	time.AfterFunc(stuckAfter, w.look)
}
