// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"

	"github.com/lifeline-go/lifeline/session"
)

// Why a player has left a room, or a room has ended, where no session has: the codes
// of a Reason beside those of package session.
const (
	// RoomFinished is why a room ends that was closed without a code of the game's.
	RoomFinished session.Code = 300
	// RoomEmpty is why a room ends that the last member has left, or into which
	// nobody came.
	RoomEmpty session.Code = 301
	// RoomMoved is why a player leaves that has got into another room of the type.
	RoomMoved session.Code = 302
	// RoomRemoved is why a player leaves that Room.Remove took out without a code of
	// the game's.
	RoomRemoved session.Code = 303
)

var roomReasons = map[session.Code]string{
	RoomFinished: "room finished", RoomEmpty: "room empty", RoomMoved: "moved to another room", RoomRemoved: "removed from the room",
}

// Close ends the room: its members leave with this reason, OnLeave runs for each,
// then OnEnd. Nobody gets in any more, and whoever asks for the key gets another
// room. Timers stop at once; work that Async began is waited for. A code of zero
// stands for RoomFinished; the game's own begin at session.Game, 1,000, and another
// one panics. The first Close stands. Safe to call from any goroutine: the members
// leave after what runs in the room at present.
func (r *Room) Close(code session.Code, text string) {
	r.dismissAll(Reason{Code: ownCode(code, RoomFinished), Text: text})
}

// Remove takes a player out of the room with this reason, and reports false if it is
// no member. OnLeave follows on the room's goroutine. A code of zero stands for
// RoomRemoved; the game's own begin at session.Game, 1,000, and another one panics.
// Safe to call from any goroutine.
func (r *Room) Remove(p *Player, code session.Code, text string) bool {
	return r.dismiss(p, Reason{Code: ownCode(code, RoomRemoved), Text: text})
}

func ownCode(code, instead session.Code) session.Code {
	if code == 0 || code == instead {
		return instead
	}
	if code < session.Game {
		panic(fmt.Sprintf("framework: code %d is not the game's: those start at %d", code, session.Game))
	}
	return code
}

// dismissAll ends the room, and lets its members go.
func (r *Room) dismissAll(why Reason) {
	if !r.end(why) {
		return
	}
	r.post(func() {
		r.timers.stop()
		for _, p := range r.members {
			r.dismiss(p, why)
		}
	}, maxPosted+1)
}

// dismiss lets a member go.
func (r *Room) dismiss(p *Player, why Reason) bool {
	p.mu.Lock()
	in := p.room == r && p.leave == nil
	if in {
		p.leaveLocked(why, func() {})
	}
	p.mu.Unlock()
	p.schedule()
	return in
}

// end lets nobody in any more, and the room end once it is empty. It reports false
// if that was so before.
func (r *Room) end(why Reason) bool {
	k := r.kind
	k.mu.Lock()
	defer k.mu.Unlock()
	if r.over != nil {
		return false
	}
	r.over = &why
	if k.open[r.key] == r {
		delete(k.open, r.key)
	}
	r.updateMatchableLocked()
	if r.seatsTaken == 0 {
		r.closeLocked(why)
	}
	return true
}

// ended returns why the room ends, nil before that is known.
func (r *Room) ended() *Reason {
	r.kind.mu.Lock()
	defer r.kind.mu.Unlock()
	return r.over
}
