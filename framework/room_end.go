// SPDX-License-Identifier: MIT

package framework

import (
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// Close ends the room: its members leave with this reason, OnLeave runs for each,
// then OnEnd. No player gets in any more: one that asks for the key gets another
// room. Timers stop at once; work that Async began is waited for. A code of zero
// stands for RoomFinished; the game's own begin at session.Game, 1,000, and another
// one panics. The first Close stands. Safe to call from any goroutine: the members
// leave after what runs in the room at present.
func (r *Room) Close(code session.Code, text string) {
	r.end(Reason{Code: ownCode(code, RoomFinished), Text: text})
}

// Remove takes a player out of the room with this reason, and reports false if it is
// no member. OnLeave follows on the room's goroutine. A code of zero stands for
// RoomRemoved; the game's own begin at session.Game, 1,000, and another one panics.
// Safe to call from any goroutine.
func (r *Room) Remove(p *Player, code session.Code, text string) bool {
	return r.dismiss(p, Reason{Code: ownCode(code, RoomRemoved), Text: text})
}

// PlayOn asks Shutdown to let the members of the room play on for as long as d, for a
// match to end: their turn to go comes when the room has ended, or d is over, but not
// before the time that Drain says. To be called in OnShutdown. Drain.Wait and the
// context of Shutdown bound it.
func (r *Room) PlayOn(d time.Duration) {
	d = min(d, r.kind.srv.cfg.Drain.Wait)
	r.kind.mu.Lock()
	defer r.kind.mu.Unlock()
	r.playsOn = clock().Add(d)
}

// end lets nobody in any more, those who are in go, and the room end then.
func (r *Room) end(why Reason) {
	r.kind.mu.Lock()
	defer r.kind.mu.Unlock()
	r.endLocked(why)
}

// dismissAll lets all go who are in. It runs on the room's goroutine.
func (r *Room) dismissAll() {
	r.timers.stop()
	why := *r.ended()
	for _, p := range r.audience() {
		r.dismiss(p, why)
	}
	r.forgetAbsent(false, why)
}

// dismiss lets a member or a spectator go.
func (r *Room) dismiss(p *Player, why Reason) bool {
	p.mu.Lock()
	s := p.seats.in(r.kind)
	in := s != nil && s.room == r
	if in {
		s.leave(why, nil)
	}
	p.mu.Unlock()
	p.schedule()
	return in
}

// ended returns why the room ends, nil before that is known.
func (r *Room) ended() *Reason {
	r.kind.mu.Lock()
	defer r.kind.mu.Unlock()
	return r.over
}
