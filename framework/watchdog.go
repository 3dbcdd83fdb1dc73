// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/framework/internal/lifecycle"
)

// inlineLimit is how long an Inline handler may keep its loop. Whoever needs
// longer keeps all players of the loop waiting.
const inlineLimit = 10 * time.Millisecond

// countInline counts an Inline handler that took too long, and names it.
func (l *loop) countInline(r *Route, took time.Duration) {
	if took <= inlineLimit {
		return
	}
	l.srv.count.inlineLate.Add(1)
	if f := l.srv.cfg.Observer.InlineLate; f != nil {
		l.srv.observe("InlineLate", func() { f(r.name, took) })
	}
	if n, ok := r.lateLog.allow(clock()); ok {
		l.srv.log.Warn("an Inline handler blocks its loop", "route", r.name, "took", took, "times", n, "loop", l.t.Index())
	}
}

// executor is what runs the game's code.
type executor uint8

const (
	onItsLoop executor = iota // an Inline handler: all players of the loop wait
	inRoom                    // all members wait
	onWorker                  // its player waits
	executors
)

// stuckAfter is when the game's code is named that has not returned yet. On a
// worker it may block.
var stuckAfter = [executors]time.Duration{time.Second, time.Second, 10 * time.Second}

var executorNames = [executors]string{"loop", "room", "worker"}

var stuckTexts = [executors]string{"an Inline handler is blocking its loop", "a room is blocked", "a handler does not return"}

// activity is the game's code that a loop, a room or a worker runs at present. Written
// by that, read by the watchdog.
type activity struct {
	kind   executor
	where  string                 // of a loop its number, of a room its name
	since  atomic.Int64           // when the call began, after the watchdog was born
	player atomic.Pointer[Player] // nil: nobody in particular
	what   atomic.Pointer[string] // route or callback, nil without a call; written last

	named int64 // since of the call that was named; the watchdog's own
}

// The callbacks that serve no one player.
var (
	callNewRoom  = "NewRoom"
	callCreate   = "OnCreate"
	callTick     = "OnTick"
	callTimer    = "timer"
	callEnd      = "OnEnd"
	callPost     = "Post"
	callShutdown = "OnShutdown"
)

// tasks are what the game is called for, where that is not a route.
var taskNames = [...]string{
	lifecycle.Open: "OnOpen", lifecycle.Detach: "OnDetach", lifecycle.Resume: "OnResume", lifecycle.Close: "OnClose",
	lifecycle.JoinRoom: "OnJoin", lifecycle.LeaveRoom: "OnLeave", lifecycle.RoomDetach: "OnDetach", lifecycle.RoomResume: "OnResume",
}

// watchdog names the game's code that does not return while it does not: what
// never returns is never counted. It has a timer only while there is any.
type watchdog struct {
	srv   *Server
	born  time.Time
	armed atomic.Bool // look will come

	mu         sync.Mutex
	activities map[*activity]bool     // of all loops and rooms, and of the workers that there were
	loggers    map[string]*logLimiter // by route or callback
}

// register adds an activity to those that are checked.
func (w *watchdog) register(kind executor, where string) *activity {
	d := &activity{kind: kind, where: where, named: -1}
	w.mu.Lock()
	w.activities[d] = true
	w.mu.Unlock()
	return d
}

func (w *watchdog) forget(d *activity) {
	w.mu.Lock()
	delete(w.activities, d)
	w.mu.Unlock()
}

// begin notes that a call begins. The goroutine of the activity calls it.
func (w *watchdog) begin(d *activity, who *Player, what *string) (start time.Duration) {
	start = since(w.born)
	d.since.Store(int64(start))
	d.player.Store(who)
	d.what.Store(what)
	w.arm()
	return start
}

// end notes that the call has returned, or never will.
func (d *activity) end() { d.what.Store(nil) }

func (w *watchdog) arm() {
	if !w.armed.Load() && w.armed.CompareAndSwap(false, true) {
		time.AfterFunc(stuckAfter[onItsLoop], w.check)
	}
}

// check runs on a goroutine of the runtime, once at a time.
func (w *watchdog) check() {
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
func (w *watchdog) nameStuck() (next time.Duration) {
	now := clock()
	w.mu.Lock()
	defer w.mu.Unlock()
	for d := range w.activities {
		what := d.what.Load()
		if what == nil {
			continue
		}
		since := d.since.Load() // of this call, or of a later one that is young
		left := stuckAfter[d.kind] - (now.Sub(w.born) - time.Duration(since))
		if left <= 0 {
			left = stuckAfter[onItsLoop]
			if since != d.named {
				d.named = since
				w.nameLocked(d, *what, now)
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
func (w *watchdog) nameLocked(d *activity, what string, now time.Time) {
	said := w.loggers[what]
	if said == nil {
		said = new(logLimiter)
		w.loggers[what] = said
	}
	n, ok := said.allow(now)
	if !ok {
		return
	}
	user := ""
	if p := d.player.Load(); p != nil {
		user = p.label()
	}
	took := now.Sub(w.born) - time.Duration(d.since.Load())
	text, log := stuckTexts[d.kind], w.srv.log
	switch d.kind {
	case onItsLoop:
		log.Warn(text, "route", what, "took", took, "user", user, "times", n, "loop", d.where)
	case inRoom:
		log.Warn(text, "route", what, "took", took, "user", user, "times", n, "room", d.where)
	default:
		log.Warn(text, "route", what, "took", took, "user", user, "times", n)
	}
}

// stuck counts the calls that do not return: see Stats.Stuck.
func (w *watchdog) stuck() map[string]int64 {
	n := map[string]int64{}
	for _, name := range executorNames {
		n[name] = 0
	}
	now := clock().Sub(w.born)
	w.mu.Lock()
	defer w.mu.Unlock()
	for d := range w.activities {
		if d.what.Load() != nil && now-time.Duration(d.since.Load()) >= stuckAfter[d.kind] {
			n[executorNames[d.kind]]++
		}
	}
	return n
}

// busy describes what the game's code is at, for the error of Shutdown: it begins
// with a blank, unless there is nothing.
func (w *watchdog) busy() string {
	const most = 3
	var all []string
	more := 0
	now := clock().Sub(w.born)
	w.mu.Lock()
	defer w.mu.Unlock()
	for d := range w.activities {
		what := d.what.Load()
		switch {
		case what == nil:
			continue
		case len(all) == most:
			more++
			continue
		}
		s := fmt.Sprintf("%q", *what)
		if p := d.player.Load(); p != nil {
			s += fmt.Sprintf(" of user %q", p.label())
		}
		if d.kind == inRoom {
			s += " in room " + d.where
		}
		all = append(all, fmt.Sprintf("%s for %v", s, (now-time.Duration(d.since.Load())).Round(time.Millisecond)))
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

// rooms counts those whose goroutine has not ended.
func (w *watchdog) rooms() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for d := range w.activities {
		if d.kind == inRoom {
			n++
		}
	}
	return n
}
