// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// This file is how players wish to get into rooms and out of them. What comes of a
// wish is in room_member.go, and whether there is a seat in room_seats.go.

// seat is a player's place in one room, from the wish to join until OnLeave has run.
// A player has one for each type of room, and a second one while it moves. Guarded
// by the player's mu, except where it says otherwise.
type seat struct {
	next *seat // of the player's list

	// Immutable.
	room     *Room
	watching bool         // it may only listen
	asked    uint8        // how often it was wished for once more; guarded by the player's mu
	from     *seat        // is left once this one is taken: a move; nil else
	refused  func() error // asked before OnJoin: why it does not get in; nil if none asks

	life  lifecycleSeat
	done  func(key string, err error) // called on the room's goroutine once the wish is decided
	leave *leaving

	away *Timer // ends the seat; owned by the room's goroutine
}

// leaving is a way out. done is called on the room's goroutine, nil for no matter.
type leaving struct {
	why  Reason
	done func()
}

// Leave takes the player out of all its rooms. OnLeave follows on their goroutines.
// The error is one of codec.ErrorNotJoined if it is in none.
func (p *Player) Leave() error {
	err := error(notJoined())
	p.mu.Lock()
	for s := p.seats; s != nil; s = s.next {
		if s.life.In() {
			s.leaveLocked(Reason{Code: session.Left}, nil)
			err = nil
		}
	}
	p.mu.Unlock()
	p.schedule()
	return err
}

func notJoined() error { return refusal(codec.ErrorNotJoined, "not in a room") }

func (p *Player) planLeave(k *roomKind, done func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.seatLocked(k)
	if s == nil {
		return notJoined()
	}
	s.leaveLocked(Reason{Code: session.Left}, done)
	return nil
}

// leaveLocked plans the way out of a room that the player is in. The caller holds mu.
func (s *seat) leaveLocked(why Reason, done func()) {
	s.leave = &leaving{why, done}
	s.life.Leave()
}

// seatLocked returns the player's seat of a type, nil without one or if it is on its
// way in or out. The caller holds mu.
func (p *Player) seatLocked(k *roomKind) *seat {
	for s := p.seats; s != nil; s = s.next {
		if s.room.kind == k && s.life.In() {
			return s
		}
	}
	return nil
}

// Rooms returns the rooms that the player is in, as a member or as a spectator: one
// of each type at most.
func (p *Player) Rooms() (all []*Room) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := p.seats; s != nil; s = s.next {
		if s.life.In() {
			all = append(all, s.room)
		}
	}
	return all
}

// maxAsked bounds the wishes for one seat that wait for the same OnJoin.
const maxAsked = 32

// joinWish is a wish to enter a room.
type joinWish struct {
	key   string // empty: any room
	watch bool   // to listen only
	move  bool   // out of the present one
	asked bool   // by the player itself, who pays for a room that has to be made
}

// planJoin plans the player's way into a room. A player that is there already is in at once:
// an app that came back by its token does not know, and asks to make sure.
func (k *roomKind) planJoin(p *Player, w joinWish, done func(string, error)) error {
	if w.key != "" && !k.keys(w.key) {
		return k.deny(refusal(codec.ErrorBadRequest, "this is no key of a room of type "+k.name))
	}
	p.mu.Lock()
	r, err := k.planJoinLocked(p, w, done)
	p.mu.Unlock()
	if err != nil {
		return k.deny(err)
	}
	if r != nil {
		done(r.Key(), nil)
	}
	return nil
}

// planJoinLocked returns the room if the player is in it. The caller holds p.mu.
func (k *roomKind) planJoinLocked(p *Player, w joinWish, done func(string, error)) (in *Room, err error) {
	if p.life.Ending() {
		return nil, session.ErrClosed
	}
	stays, coming := p.seatLocked(k), p.comingLocked(k)
	other := w.move && w.key == "" // than the one it is in
	switch {
	case coming != nil && coming.is(w) && !other:
		if coming.asked++; coming.asked >= maxAsked {
			coming.asked--
			return nil, refusal(codec.ErrorBusy, fmt.Sprintf("on the way into room %s, and asked for it %d times", coming.room.name(), maxAsked))
		}
		first := coming.done
		coming.done = func(key string, err error) {
			first(key, err)
			done(key, err)
		}
		return nil, nil
	case coming != nil:
		return nil, refusal(codec.ErrorInRoom, "on the way into room "+coming.room.name())
	case stays != nil && stays.is(w) && !other:
		return stays.room, nil
	case stays != nil && !w.move:
		return nil, refusal(codec.ErrorInRoom, "in room "+stays.room.name()+", which it must leave first")
	}
	var from *Room
	if stays != nil {
		from = stays.room
	}
	payer := p
	if !w.asked {
		payer = nil
	}
	r, err := k.reserveSeat(w, from, payer)
	if err != nil {
		return nil, err
	}
	p.addSeatLocked(&seat{room: r, watching: w.watch, from: stays, done: done})
	return nil, nil
}

// comingLocked returns the player's seat of a type that is not decided yet, nil
// without one. The caller holds mu.
func (p *Player) comingLocked(k *roomKind) *seat {
	for s := p.seats; s != nil; s = s.next {
		if s.room.kind == k && s.life.Joining() {
			return s
		}
	}
	return nil
}

func (p *Player) addSeatLocked(s *seat) {
	s.next = p.seats
	p.seats = s
}

func (p *Player) removeSeatLocked(s *seat) {
	for at := &p.seats; *at != nil; at = &(*at).next {
		if *at == s {
			*at = s.next
			return
		}
	}
}

// is reports whether the seat is what is wished for; without a key any room of the
// type is.
func (s *seat) is(w joinWish) bool {
	return s.watching == w.watch && (w.key == "" || w.key == s.room.Key())
}

// watches reports whether the player is a spectator of a room of the type.
func (p *Player) watches(k *roomKind) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.seatLocked(k)
	return s != nil && s.watching
}
