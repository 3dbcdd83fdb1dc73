// SPDX-License-Identifier: MIT

package framework

import (
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// birth is how a room comes into being. Owned by the room's goroutine, but for what
// whoever opens the room has set before that ran.
type birth struct {
	params any             // what Open was called with, nil without that
	gen    uint64          // immutable: see Room.Generation
	owned  bool            // by the cluster this server is the owner of the key
	state  *roomState      // of the server before, nil without that
	told   func(err error) // Open waits for it; nil without that
	done   bool
	err    error // why there is no room, nil if there is one
}

// run is the room's goroutine.
func (r *Room) run() {
	over := false
	defer func() {
		if over {
			r.kind.srv.watch.Forget(r.activity)
			r.kind.srv.running.Done()
			return
		}
		r.activity.End()
		go r.run() // the game's code ended this goroutine: the room goes on in another
	}()
	if !r.born.done {
		r.born.done = true
		r.awaitLease() // the room may be another server's by now
		r.create()
	}
	ticker, _ := r.value.(TickHandler)
	if r.steps == nil {
		step := r.kind.step
		if ticker == nil {
			step = 0
		}
		r.steps = newStepper(step, r.wake)
		r.steps.n = r.last
	}
	ended := r.serve() // what the goroutine before this one has left
	for !ended {
		r.awaitLease()
		r.moveOn()
		r.steps.run(len(r.members) > 0 && r.move == nil)
		if r.move == nil && !r.kind.srv.released.Load() { // else it ends: its server is the owner no more
			r.tick(ticker)
			r.runTimers()
		}
		<-r.wakes
		r.awaitLease() // posted functions wait too
		ended = r.serve()
	}
	over = true
	r.finish()
}

// create makes the game's own room.
func (r *Room) create() {
	defer r.created() // also if the game's code ends this goroutine
	b := &r.born
	made := func() (err error) {
		r.value, err = r.kind.make(r, b.params)
		return err
	}
	if r.ended() == nil {
		r.begin(&callNewRoom, made)
	} else {
		b.err = refusal(codec.ErrorRefused, "the room is closed") // before it has begun
	}
	restored := false
	if b.err == nil && b.state != nil {
		b.err = refusal(codec.ErrorInternal, "internal error")
		if restored = r.restore(); restored {
			b.err = nil
		} else {
			r.begin(&callNewRoom, made)
		}
	}
	if v, ok := r.value.(CreateHandler); ok && b.err == nil && !restored {
		r.begin(&callCreate, v.OnCreate)
	}
}

// begin runs the game's code without which there is no room.
func (r *Room) begin(what *string, f func() error) {
	r.born.err = refusal(codec.ErrorInternal, "internal error") // if it panics
	r.guard(what, func() {
		err := f()
		examine(err)
		r.born.err = err
	})
}

// created tells whoever opens the room what became of it, and ends one that was not made.
func (r *Room) created() {
	b := &r.born
	b.params, b.state = nil, nil
	if b.err != nil {
		b.err = r.kind.srv.roomFailure(b.err, r)
		r.timers.stop()
		r.end(Reason{Code: session.Denied, Text: "the room was not made"})
	}
	if b.told != nil {
		b.told(b.err)
	}
	if within, drains := r.kind.srv.drainsWithin(); drains {
		r.tellShutdown(within) // it was made while the others were told, or later
	}
}

// tellShutdown lets the game prepare for the end of the server, once.
func (r *Room) tellShutdown(within time.Duration) {
	if v, ok := r.value.(ShutdownHandler); ok && !r.toldEnd && r.born.err == nil {
		r.toldEnd = true
		r.guard(&callShutdown, func() { v.OnShutdown(within) })
	}
}

// finish is the end of the room: nothing of it runs any more but OnEnd.
func (r *Room) finish() {
	r.steps.stop()
	r.timers.stop()
	r.work.cancel()
	r.kind.mu.Lock()
	why, drained := *r.over, r.drained
	r.leftLocked() // if its move was not even begun
	if r.returnTime != nil {
		r.returnTime.Stop()
	}
	r.kind.mu.Unlock()
	if r.gone() {
		return
	}
	if drained && (why.Code == RoomEmpty || why.Code == session.ShuttingDown) { // else the game has ended it
		r.kind.drained.Add(1)
	}
	if r.born.owned { // also if OnEnd ends this goroutine
		defer r.kind.srv.rooms.CloseRoom(r.kind.name, r.Key())
	}
	if v, ok := r.value.(EndHandler); ok && r.born.err == nil {
		r.guard(&callEnd, func() { v.OnEnd(why) })
	}
}

// maxTickPanics ticks in a row that panic end a room: it is not the room that it
// should be any more, and would be logged for ever.
const maxTickPanics = 10

// tick lets a step of the room's time happen, if it is due.
func (r *Room) tick(ticker TickHandler) {
	t, due := r.steps.next()
	if !due {
		return
	}
	r.ticked(t, t.N-r.last-1)
	r.last = t.N
	if r.panics++; r.panics > maxTickPanics {
		r.fail()
		return
	}
	if r.guard(&callTick, func() { ticker.OnTick(t) }) {
		r.panics = 0
	}
}

// runTimers runs what is due, each timer once.
func (r *Room) runTimers() {
	if r.timers.empty() {
		return
	}
	now, last := clock(), r.timers.last()
	for f := r.timers.due(now, last); f != nil && !r.ends.Load(); f = r.timers.due(now, last) {
		r.guard(&callTimer, f)
	}
}

// fail ends a room that can't go on, and with it the sessions of its members:
// they are told, and log in anew. A player that asks for its key meanwhile gets another room.
func (r *Room) fail() {
	r.kind.srv.log.Error("a room has failed and ends", "room", r.name(), "times", maxTickPanics)
	r.steps.stop()
	r.end(Reason{Code: session.Internal, Text: "the room has failed"})
	for _, p := range r.members {
		p.Kick(session.Internal, "the room has failed")
	}
}

func (r *Room) ticked(t Tick, skipped uint64) {
	k := r.kind
	k.ticks.Add(1)
	k.skipped.Add(skipped)
	late := t.Overrun > t.Step/2
	if late {
		k.overruns.Add(1)
	}
	if f := k.srv.cfg.Observer.TickLate; f != nil && (late || skipped > 0) {
		k.srv.observe("TickLate", func() { f(r.name(), t, skipped) })
	}
}

// serve lets every member with work do it, and runs what was posted. It
// reports whether the room is closed and idle.
func (r *Room) serve() (over bool) {
	r.mu.Lock()
	r.todo, r.ready = append(r.todo, r.ready...), nil
	r.calls, r.posted = append(r.calls, r.posted...), nil
	over = r.closed && len(r.todo) == 0
	r.mu.Unlock()
	r.serving = nil
	for len(r.calls) > 0 {
		f := r.calls[0]
		r.calls[0] = nil
		r.calls = r.calls[1:]
		r.guard(&callPost, f)
	}
	worked := len(r.todo) > 0
	for len(r.todo) > 0 {
		r.serving = r.todo[0]
		r.serving.work(r, r.activity) // again, should the game's code end this goroutine
		r.todo[0] = nil
		r.todo = r.todo[1:]
	}
	r.serving, r.todo, r.calls = nil, nil, nil
	if worked {
		r.wake() // once more: the last member may just have left
	}
	return over && r.work.await()
}

// guard runs the game's code that serves no one player, and reports whether it
// returned. A panic is logged and the room goes on.
func (r *Room) guard(what *string, f func()) (ok bool) {
	r.kind.srv.watch.Begin(r.activity, nil, what)
	defer func() {
		r.activity.End()
		if v := unwinding(ok, recover()); v != nil {
			r.kind.srv.panicked(nil, *what, v, "room", r.name())
		}
	}()
	f()
	return true
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
	callSave     = "OnSave"
	callRestore  = "OnRestore"
	callMissing  = "OnMissing"
)
