// SPDX-License-Identifier: MIT

package main

import (
	"math"

	"github.com/lifeline-go/lifeline/examples/room/swarm"
	"github.com/lifeline-go/lifeline/framework"
)

// maxChat bounds a chat message, in bytes of msgpack: each member gets it.
const maxChat = 1 << 10

// side is the length of the arena, which is a square.
const side = 1000

// Arena is one room: a square in which players move, chat and see each other.
// All of it runs on the room's goroutine, so plain fields are enough. Read it
// from top to bottom as the life of a player.
type Arena struct {
	*framework.Room
	*game
	seats map[*framework.Player]*seat
	free  []int // ids that were given back
	last  int   // the highest id given
}

// seat is what the arena knows of a player, present or dropped.
type seat struct {
	id      int
	x, y    float32
	said    uint64 // number of its last chat message
	dropped bool
}

func (g *game) newArena(r *framework.Room) *Arena {
	return &Arena{Room: r, game: g, seats: map[*framework.Player]*seat{}}
}

// OnJoin seats a player around the middle.
func (a *Arena) OnJoin(p *framework.Player) error {
	s := &seat{id: a.takeID()}
	sin, cos := math.Sincos(2.4 * float64(s.id)) // as the seeds of a sunflower
	far := min(60*math.Sqrt(float64(s.id)), side/2)
	s.x, s.y = float32(side/2+far*cos), float32(side/2+far*sin)
	a.seats[p] = s
	p.Data = Place{a.Key()}
	_ = p.Push("seat", swarm.Seat{ID: s.id, Side: side}) // to one whose session has ended; OnLeave follows
	return nil
}

// Move is where a player wants to be.
func (a *Arena) Move(p *framework.Player, m swarm.Move) {
	s := a.seats[p]
	if m.X != m.X || m.Y != m.Y {
		return // NaN is no place, and passes min and max
	}
	s.x = min(max(m.X, 0), side)
	s.y = min(max(m.Y, 0), side)
}

// Chat goes to everybody, its sender included.
func (a *Arena) Chat(p *framework.Player, c swarm.Chat) {
	c.From = p.User()
	a.seats[p].said = max(a.seats[p].said, c.N)
	if err := a.Broadcast("chat", c); err != nil {
		a.log.Warn("chat", "player", p.User(), "error", err)
	}
}

// Look tells a player who is who.
func (a *Arena) Look(p *framework.Player, _ struct{}) (swarm.View, error) {
	me := a.seats[p]
	v := swarm.View{ID: me.id, Side: side, Step: float32(a.tick.Milliseconds()), Said: me.said, Server: a.number}
	for _, p := range a.Members() {
		v.Players = append(v.Players, swarm.Name{ID: a.seats[p].id, Name: p.User(), Server: p.ID().Node()})
	}
	return v, nil
}

// OnTick shows everybody where everybody is.
func (a *Arena) OnTick(t framework.Tick) {
	state := swarm.State{Tick: t.N, Players: make([]swarm.Spot, 0, len(a.seats))}
	for _, p := range a.Members() {
		s := a.seats[p]
		state.Players = append(state.Players, swarm.Spot{ID: s.id, X: s.x, Y: s.y, Dropped: s.dropped})
	}
	if err := a.Broadcast("state", state); err != nil {
		a.log.Error("state", "error", err)
	}
}

// OnDetach keeps the seat: the link is gone, the player is not.
func (a *Arena) OnDetach(p *framework.Player) {
	a.seats[p].dropped = true
	a.log.Info("link lost, seat kept", "player", p.User(), "room", a.Key())
}

// OnResume goes on as if nothing had happened: nothing was lost.
func (a *Arena) OnResume(p *framework.Player) {
	a.seats[p].dropped = false
	a.log.Info("session resumed", "player", p.User(), "room", a.Key())
}

// OnLeave runs exactly once, whatever happened. A player who goes to another server is put
// into the arena there: see game.open.
func (a *Arena) OnLeave(p *framework.Player, why framework.Reason) {
	if why.Code != framework.CodeMoved {
		p.Data = nil
	}
	a.free = append(a.free, a.seats[p].id)
	delete(a.seats, p)
	a.log.Info("left", "player", p.User(), "room", a.Key(), "why", why)
}

// takeID returns a number that no member has, a low one if that is easily found.
func (a *Arena) takeID() int {
	if n := len(a.free); n > 0 {
		id := a.free[n-1]
		a.free = a.free[:n-1]
		return id
	}
	a.last++
	return a.last
}
