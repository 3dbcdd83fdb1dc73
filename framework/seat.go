// SPDX-License-Identifier: MIT

package framework

import (
	"iter"
	"time"

	"github.com/lifeline-go/lifeline/framework/internal/lifecycle"
)

// This file is the seats of a player. What comes of a wish is in room_member.go, and
// whether there is a seat in room_seats.go.

// seat is a player's place in one room, from the wish to join until OnLeave has run.
// Guarded by the player's mu, except where it says otherwise.
type seat struct {
	next *seat // of the player's list

	// Immutable.
	kind     *roomKind
	room     *Room        // nil while it is sought; it is set once, under the player's mu
	watching bool         // it may only listen
	came     *joining     // with the session, from the server before; nil else, and once it is decided
	asked    uint8        // how often it was wished for once more; guarded by the player's mu
	from     *seat        // is left once this one is taken: a move; nil else
	refused  func() error // asked before OnJoin: why it does not get in; nil if none asks

	sought *search // nil if the room is known
	life   lifecycle.Seat
	done   func(key string, err error) // called on the room's goroutine once the wish is decided
	out    *leaving

	away *Timer // ends the seat; owned by the room's goroutine
}

// leaving is a way out. done is called on the room's goroutine, nil for no matter.
type leaving struct {
	why   Reason
	done  func()
	rises bool // into the same room: the client is in, and is not told that it is out
}

// seatList is the seats of a player: one of each type of room, and a second one while
// it moves. The zero value is empty. Guarded by the player's mu.
type seatList struct{ first *seat }

// all visits every seat, also those that are only wished for.
func (l seatList) all() iter.Seq[*seat] {
	return func(yield func(*seat) bool) {
		for s := l.first; s != nil; s = s.next {
			if !yield(s) {
				return
			}
		}
	}
}

// find returns the first seat for which is holds, nil without one.
func (l seatList) find(is func(*seat) bool) *seat {
	for s := l.first; s != nil; s = s.next {
		if is(s) {
			return s
		}
	}
	return nil
}

// in returns the seat of a type, nil without one or if it is on its way in or out.
func (l seatList) in(k *roomKind) *seat {
	return l.find(func(s *seat) bool { return s.kind == k && s.life.In() })
}

// staying is in, but for a room that ends: the player leaves that one at once, as all its members
// do. It takes k.mu.
func (l seatList) staying(k *roomKind) *seat {
	s := l.in(k)
	if s != nil {
		if why := s.room.ended(); why != nil {
			s.leave(*why, nil)
			return nil
		}
	}
	return s
}

// coming returns the seat of a type that is not decided yet, nil without one.
func (l seatList) coming(k *roomKind) *seat {
	return l.find(func(s *seat) bool { return s.kind == k && s.life.Joining() })
}

// wish returns the most urgent wish of the seats of a player. Rooms are left in the order of
// their types: of two that move, and wait for members of each other, one goes first. Of two of
// one type it is the older.
func (l seatList) wish(of *lifecycle.State) (wish lifecycle.Task, from *seat) {
	for s := l.first; s != nil; s = s.next {
		if s.room == nil {
			continue // there is nothing to be done until it is found
		}
		if w := s.life.Wish(of); w.Before(wish) || w == wish && s.kind.name <= from.kind.name {
			wish, from = w, s
		}
	}
	return wish, from
}

func (l *seatList) add(s *seat) {
	s.next = l.first
	l.first = s
}

func (l *seatList) remove(s *seat) {
	for at := &l.first; *at != nil; at = &(*at).next {
		if *at == s {
			*at = s.next
			return
		}
	}
}

// has reports whether a seat is in the list.
func (l seatList) has(s *seat) bool {
	return l.find(func(other *seat) bool { return other == s }) != nil
}

// replace takes note that a new link took over from one that looked alive.
func (l seatList) replace() {
	for s := range l.all() {
		s.life.Replace()
	}
}

// reset takes note that the client has come back to a RESET.
func (l seatList) reset() {
	for s := range l.all() {
		s.life.Reset()
	}
}

// leave plans the way out of every room that the player is in, and reports whether
// there is one.
func (l seatList) leave(why Reason) (left bool) {
	for s := range l.all() {
		if s.life.In() {
			s.leave(why, nil)
			left = true
		}
	}
	return left
}

// playsOn returns until when a server that drains lets the player be, for the sake of
// its rooms. It takes their kinds' mu.
func (l seatList) playsOn() (until time.Time) {
	for s := range l.all() {
		r := s.room
		if r == nil {
			continue
		}
		r.kind.mu.Lock()
		if r.over == nil && r.playsOn.After(until) && !s.watching {
			until = r.playsOn
		}
		r.kind.mu.Unlock()
	}
	return until
}

// rooms returns the rooms that the player is in.
func (l seatList) rooms() (all []*Room) {
	for s := range l.all() {
		if s.life.In() {
			all = append(all, s.room)
		}
	}
	return all
}

// is reports whether the seat is what is wished for; without a key any room of the
// type is.
func (s *seat) is(w joinWish) bool {
	return s.watching == w.watch && (w.key == "" || w.key == s.key())
}

// key returns the key of the room, which may be sought.
func (s *seat) key() string {
	if s.room == nil {
		return s.sought.wish.key
	}
	return s.room.Key()
}

func (s *seat) name() string { return s.kind.name + "/" + s.key() }

// leave plans the way out of a room that the player is in. The caller holds mu.
func (s *seat) leave(why Reason, done func()) {
	s.out = &leaving{why: why, done: done}
	s.life.Leave()
}
