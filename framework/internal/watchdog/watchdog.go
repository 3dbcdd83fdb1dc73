// SPDX-License-Identifier: MIT

// Package watchdog names the game's code that does not return, while it does not:
// what never returns is never counted.
package watchdog

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/framework/internal/logs"
)

// Executor is what runs the game's code.
type Executor uint8

const (
	Loop   Executor = iota // an Inline handler: all players of the loop wait
	Room                   // all members wait
	Worker                 // its player waits
	executors
)

// stuckAfter is when code is named that has not returned yet. On a worker it may
// block.
var stuckAfter = [executors]time.Duration{time.Second, time.Second, 10 * time.Second}

var executorNames = [executors]string{"loop", "room", "worker"}

var stuckTexts = [executors]string{"an Inline handler is blocking its loop", "a room is blocked", "a handler does not return"}

// Activity is the code that a loop, a room or a worker runs at present. Written by
// that, read by the watchdog.
type Activity struct {
	kind  Executor
	where string                 // of a loop its number, of a room its name, of a worker empty
	since atomic.Int64           // when the call began, after the watchdog was made
	user  atomic.Pointer[string] // nil: no player in particular
	what  atomic.Pointer[string] // route or callback, nil without a call; written last

	named int64 // since of the call that was named; the watchdog's own
}

// Watchdog knows all activities. It has a timer only while there is a call. Safe to
// use from any goroutine.
type Watchdog struct {
	// Immutable.
	log   *slog.Logger
	born  time.Time
	since func(time.Time) time.Duration // the clock

	armed atomic.Bool // check will come

	mu         sync.Mutex
	activities map[*Activity]bool       // of all loops and rooms, and of the workers that there were
	loggers    map[string]*logs.Limiter // by route or callback
}

// New makes a watchdog with a clock: now, and how long ago a time is.
func New(log *slog.Logger, now time.Time, since func(time.Time) time.Duration) *Watchdog {
	return &Watchdog{log: log, born: now, since: since, activities: map[*Activity]bool{}, loggers: map[string]*logs.Limiter{}}
}

// Register adds an activity to those that are checked.
func (w *Watchdog) Register(kind Executor, where string) *Activity {
	a := &Activity{kind: kind, where: where, named: -1}
	w.mu.Lock()
	w.activities[a] = true
	w.mu.Unlock()
	return a
}

// Forget ends what Register began.
func (w *Watchdog) Forget(a *Activity) {
	w.mu.Lock()
	delete(w.activities, a)
	w.mu.Unlock()
}

// Begin notes that a call begins, for a user or for nil. The goroutine of the
// activity calls it.
func (w *Watchdog) Begin(a *Activity, user, what *string) (start time.Duration) {
	start = w.since(w.born)
	a.since.Store(int64(start))
	a.user.Store(user)
	a.what.Store(what)
	w.arm()
	return start
}

// Took is how long ago a call began.
func (w *Watchdog) Took(start time.Duration) time.Duration { return w.since(w.born) - start }

// End notes that the call has returned, or never will.
func (a *Activity) End() {
	a.what.Store(nil)
	a.user.Store(nil) // it is within its player
}

func (w *Watchdog) arm() {
	if !w.armed.Load() && w.armed.CompareAndSwap(false, true) {
		time.AfterFunc(stuckAfter[Loop], w.check)
	}
}

// check runs on a goroutine of the runtime, once at a time.
func (w *Watchdog) check() {
	next := w.nameStuck()
	if next == 0 {
		w.armed.Store(false)
		if next = w.nameStuck(); next == 0 || !w.armed.CompareAndSwap(false, true) {
			return // else one has begun since, and may have found it armed
		}
	}
	time.AfterFunc(next, w.check)
}

// nameStuck logs the calls that keep others waiting, and returns when to look again,
// 0 if none runs.
func (w *Watchdog) nameStuck() (next time.Duration) {
	now := w.since(w.born)
	w.mu.Lock()
	defer w.mu.Unlock()
	for a := range w.activities {
		what := a.what.Load()
		if what == nil {
			continue
		}
		since := a.since.Load() // of this call, or of a later one that is young
		left := stuckAfter[a.kind] - (now - time.Duration(since))
		if left <= 0 {
			left = stuckAfter[Loop]
			if since != a.named {
				a.named = since
				w.nameLocked(a, *what, now)
			}
		}
		if next == 0 || left < next {
			next = left
		}
	}
	return next
}

// nameLocked logs a call that does not return: the first of a route or callback,
// then at most one a minute.
func (w *Watchdog) nameLocked(a *Activity, what string, now time.Duration) {
	limiter := w.loggers[what]
	if limiter == nil {
		limiter = new(logs.Limiter)
		w.loggers[what] = limiter
	}
	n, ok := limiter.Allow(w.born.Add(now))
	if !ok {
		return
	}
	user := ""
	if u := a.user.Load(); u != nil {
		user = logs.Label(*u)
	}
	took := now - time.Duration(a.since.Load())
	args := []any{"route", what, "took", took, "user", user, "times", n}
	if a.where != "" {
		args = append(args, executorNames[a.kind], a.where)
	}
	w.log.Warn(stuckTexts[a.kind], args...)
}

// Stuck counts the calls that have not returned for long, by executor.
func (w *Watchdog) Stuck() map[string]int64 {
	n := map[string]int64{}
	for _, name := range executorNames {
		n[name] = 0
	}
	now := w.since(w.born)
	w.mu.Lock()
	defer w.mu.Unlock()
	for a := range w.activities {
		if a.what.Load() != nil && now-time.Duration(a.since.Load()) >= stuckAfter[a.kind] {
			n[executorNames[a.kind]]++
		}
	}
	return n
}

// Busy describes the calls that run, for an error: it begins with a colon, unless
// there are none.
func (w *Watchdog) Busy() string {
	const most = 3
	var all []string
	more := 0
	now := w.since(w.born)
	w.mu.Lock()
	defer w.mu.Unlock()
	for a := range w.activities {
		what := a.what.Load()
		switch {
		case what == nil:
			continue
		case len(all) == most:
			more++
			continue
		}
		s := fmt.Sprintf("%q", *what)
		if u := a.user.Load(); u != nil {
			s += fmt.Sprintf(" of user %q", logs.Label(*u))
		}
		if a.kind == Room {
			s += " in room " + a.where
		}
		all = append(all, fmt.Sprintf("%s for %v", s, (now-time.Duration(a.since.Load())).Round(time.Millisecond)))
	}
	if len(all) == 0 {
		return ""
	}
	s := ": has not returned: " + strings.Join(all, ", ")
	if more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// Rooms counts those whose goroutine has not ended.
func (w *Watchdog) Rooms() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for a := range w.activities {
		if a.kind == Room {
			n++
		}
	}
	return n
}
