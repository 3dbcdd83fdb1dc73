// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"sync"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// party are players who get into a room together or not at all.
type party struct {
	room *Room
	done chan struct{} // closed when all are decided

	mu      sync.Mutex
	waiting int // for OnJoin, and for Seat itself
	in      []*Player
	err     error // the first
}

// Seat brings players into the room of a key, all or none, and waits for OnJoin,
// whose first error it returns. A room must be there, at this server: see Open, and Bring for
// users and rooms of all servers of a cluster. Each must be in no other room of the type; a player
// that is in this room already is in. A player for whose user Reserve keeps a seat takes that. If
// one is refused, or ctx ends (after half a minute if it has no deadline), those who are in leave
// again with RoomRemoved, and the others stay outside: each is where it was before.
// Not to be called by a room's callback, or a hook or handler of one of the players:
// it would wait for itself. From a room call it by Async.
func (rs *RoomsOf[R, P]) Seat(ctx context.Context, key string, players ...*Player) error {
	k := rs.kind
	ctx, cancel := bounded(ctx)
	defer cancel()
	var come []*Player // those not in yet
	for _, p := range players {
		if r := rs.Of(p); r == nil || r.Key() != key || r.ended() != nil || p.watches(k) {
			come = append(come, p)
		}
	}
	r, err := k.reserveSeats(key, come)
	if err != nil {
		return k.deny(err)
	}
	g := &party{room: r, done: make(chan struct{}), waiting: 1}
	for i, p := range come {
		if err := g.plan(p); err != nil {
			for range come[i:] {
				r.releaseSeat(false, Reason{})
			}
			g.decided(nil, err)
			break
		}
	}
	for _, p := range come {
		p.schedule()
	}
	g.decided(nil, nil)
	select {
	case <-g.done:
	case <-ctx.Done():
		g.fail(ctx.Err()) // those to come are refused without OnJoin
	}
	return g.failed()
}

// plan plans one player's way in, for whom a seat is kept. On an error it is kept
// still.
func (g *party) plan(p *Player) error {
	k := g.room.kind
	p.mu.Lock()
	defer p.mu.Unlock()
	stays, coming := p.seats.staying(k), p.seats.coming(k)
	switch {
	case p.life.Ending():
		return session.ErrClosed
	case stays != nil:
		return refusal(codec.ErrorInRoom, "in room "+stays.room.name()+", which it must leave first")
	case coming != nil:
		return refusal(codec.ErrorInRoom, "on the way into room "+coming.name())
	}
	g.mu.Lock()
	g.waiting++
	g.mu.Unlock()
	p.seats.add(&seat{kind: k, room: g.room, refused: g.failed, done: func(_ string, err error) { g.decided(p, err) }})
	return nil
}

// failed returns why the party does not get in, nil if it does as far as is known.
func (g *party) failed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// fail keeps the party out if it is not decided yet.
func (g *party) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil && g.waiting > 0 {
		g.err = err
	}
}

// decided takes note of what became of one player; nil is Seat itself. The last one
// decides on all.
func (g *party) decided(p *Player, err error) {
	g.mu.Lock()
	if g.err == nil {
		g.err = err
	}
	if p != nil && err == nil {
		g.in = append(g.in, p)
	}
	if p != nil || err == nil {
		g.waiting--
	}
	over, all := g.waiting == 0, g.in
	failed := g.err != nil
	g.mu.Unlock()
	if !over {
		return
	}
	if failed {
		for _, p := range all {
			g.room.dismiss(p, Reason{Code: RoomRemoved, Text: "not all got in"})
		}
	}
	close(g.done)
}
