// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/mailbox"
	"github.com/lifeline-go/lifeline/session"
)

// This file is how players wish to get into rooms and out of them. The
// seats themselves are in seat.go.

// Leave takes the player out of all its rooms. OnLeave follows on their goroutines.
// The error is one of codec.ErrorNotJoined if it is in none.
func (p *Player) Leave() error {
	err := error(notJoined())
	p.mu.Lock()
	if p.seats.leave(Reason{Code: session.Left}) {
		err = nil
	}
	p.mu.Unlock()
	p.schedule()
	return err
}

func notJoined() error { return refusal(codec.ErrorNotJoined, "not in a room") }

func (p *Player) planLeave(k *roomKind, done func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.seats.in(k)
	if s == nil {
		return notJoined()
	}
	s.leave(Reason{Code: session.Left}, done)
	return nil
}

// Rooms returns the rooms that the player is in, as a member or as a spectator: one
// of each type at most.
func (p *Player) Rooms() (all []*Room) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seats.rooms()
}

// maxAsked bounds the wishes for one seat that wait for the same OnJoin.
const maxAsked = 32

// joinWish is a wish to enter a room.
type joinWish struct {
	key   string // empty: any room
	watch bool   // to listen only
	move  bool   // out of the present one
	asked bool   // by the player itself, who pays for a room that has to be made
	id    ID     // the player's

	request mailbox.Question // asked: the client's
	came    *joining         // it has come with the session from another server; nil else
	kept    *bool            // came: a seat was kept, and is not taken yet; nil else; guarded by kind.mu
	here    bool             // no other server has a room for a stranger

	user string // the player's: a seat may be kept for it, see RoomsOf.Reserve
}

// planJoin plans the player's way into a room. A player that is there already is in at once:
// an app that came back by its token does not know, and asks to make sure.
func (k *roomKind) planJoin(p *Player, w joinWish, done func(string, error)) error {
	if err := k.checkKey(w.key); err != nil {
		return k.deny(err)
	}
	w.user = p.user
	p.mu.Lock()
	w.id = p.s.ID()
	r, sought, err := k.planJoinLocked(p, w, done)
	p.mu.Unlock()
	switch {
	case err != nil:
		return k.deny(err)
	case sought != nil:
		k.seek(p, sought)
	case r != nil:
		done(r.Key(), nil)
	}
	return nil
}

// checkKey asks Rooms.Keys.
func (k *roomKind) checkKey(key string) (err error) {
	if key == "" {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			k.srv.panicked(nil, "Keys", v, "room", k.name)
			err = refusal(codec.ErrorInternal, "internal error")
		}
	}()
	if !k.keys(key) {
		return refusal(codec.ErrorBadRequest, "this is no key of a room of type "+k.name)
	}
	return nil
}

// planJoinLocked returns the room if the player is in it, and the seat if its room has to
// be sought. The caller holds p.mu.
func (k *roomKind) planJoinLocked(p *Player, w joinWish, done func(string, error)) (in *Room, sought *seat, err error) {
	if p.life.Ending() {
		return nil, nil, session.ErrClosed
	}
	stays, coming := p.seats.staying(k), p.seats.coming(k)
	other := w.move && w.key == "" // than the one it is in
	switch {
	case coming != nil && coming.is(w) && !other:
		if coming.asked++; coming.asked >= maxAsked {
			coming.asked--
			return nil, nil, refusal(codec.ErrorBusy, fmt.Sprintf("on the way into room %s, and asked for it %d times", coming.name(), maxAsked))
		}
		first := coming.done
		coming.done = func(key string, err error) {
			first(key, err)
			done(key, err)
		}
		coming.askedBy(w)
		return nil, nil, nil
	case coming != nil:
		return nil, nil, refusal(codec.ErrorInRoom, "on the way into room "+coming.name())
	case stays != nil && stays.is(w) && !other:
		return stays.room, nil, nil
	case stays != nil && !w.move:
		return nil, nil, refusal(codec.ErrorInRoom, "in room "+stays.room.name()+", which it must leave first")
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
	switch {
	case err == errSought:
		sought, err = k.seekLocked(p, w, stays, done)
		return nil, sought, err
	case err != nil:
		return nil, nil, err
	}
	p.seats.add(&seat{kind: k, room: r, watching: w.watch, came: w.came, from: stays, done: done})
	return nil, nil, nil
}

// watches reports whether the player is a spectator of a room of the type.
func (p *Player) watches(k *roomKind) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.seats.in(k)
	return s != nil && s.watching
}
