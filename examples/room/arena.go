// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
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
// from top to bottom as the life of a player. What is exported goes along to another server.
type Arena struct {
	*framework.Room
	*game
	Seats map[string]*Seat // by user
	Free  []int            // ids that were given back
	Last  int              // the highest id given
}

// Seat is what the arena knows of a player, present or dropped.
type Seat struct {
	ID      int
	X, Y    float32
	Said    uint64 // number of its last chat message
	Home    uint16 // the server that it logged in at
	Dropped bool
}

func (g *game) newArena(r *framework.Room) *Arena {
	return &Arena{Room: r, game: g, Seats: map[string]*Seat{}}
}

// OnJoin seats a player around the middle.
func (a *Arena) OnJoin(p *framework.Player) error {
	s := &Seat{ID: a.takeID(), Home: p.ID().Node()}
	sin, cos := math.Sincos(2.4 * float64(s.ID)) // as the seeds of a sunflower
	far := min(60*math.Sqrt(float64(s.ID)), side/2)
	s.X, s.Y = float32(side/2+far*cos), float32(side/2+far*sin)
	a.Seats[p.User()] = s
	p.Data = Place{a.Key()}
	_ = p.Push("seat", swarm.Seat{ID: s.ID, Side: side}) // to one whose session has ended; OnLeave follows
	return nil
}

// Move is where a player wants to be.
func (a *Arena) Move(p *framework.Player, m swarm.Move) {
	s := a.Seats[p.User()]
	if m.X != m.X || m.Y != m.Y {
		return // NaN is no place, and passes min and max
	}
	s.X = min(max(m.X, 0), side)
	s.Y = min(max(m.Y, 0), side)
}

// Chat goes to everybody, its sender included.
func (a *Arena) Chat(p *framework.Player, c swarm.Chat) {
	c.From = p.User()
	s := a.Seats[c.From]
	s.Said = max(s.Said, c.N)
	if err := a.Broadcast("chat", c); err != nil {
		a.log.Warn("chat", "player", p.User(), "error", err)
	}
}

// Look tells a player who is who.
func (a *Arena) Look(p *framework.Player, _ struct{}) (swarm.View, error) {
	me := a.Seats[p.User()]
	v := swarm.View{ID: me.ID, Side: side, Step: float32(a.tick.Milliseconds()), Said: me.Said, Server: a.number}
	for name, s := range a.Seats {
		v.Players = append(v.Players, swarm.Name{ID: s.ID, Name: name, Server: s.Home})
	}
	if a.cluster != nil {
		_, v.Other = a.cluster.Elsewhere(p.ID())
	}
	return v, nil
}

// Pass hands the arena over to another server, with all who are in it.
func (a *Arena) Pass(p *framework.Player, _ struct{}) (struct{}, error) {
	if err := a.HandOver(); err != nil {
		return struct{}{}, framework.Fail(1002, err.Error())
	}
	a.log.Info("handed over", "player", p.User(), "room", a.Key())
	return struct{}{}, nil
}

// OnTick shows everybody where everybody is.
func (a *Arena) OnTick(t framework.Tick) {
	state := swarm.State{Tick: t.N, Players: make([]swarm.Spot, 0, len(a.Seats))}
	for _, s := range a.Seats {
		state.Players = append(state.Players, swarm.Spot{ID: s.ID, X: s.X, Y: s.Y, Dropped: s.Dropped})
	}
	if err := a.Broadcast("state", state); err != nil {
		a.log.Error("state", "error", err)
	}
}

// OnDetach keeps the seat: the link is gone, the player is not.
func (a *Arena) OnDetach(p *framework.Player) {
	a.Seats[p.User()].Dropped = true
	a.log.Info("link lost, seat kept", "player", p.User(), "room", a.Key())
}

// OnResume goes on as if nothing had happened: nothing was lost.
func (a *Arena) OnResume(p *framework.Player) {
	a.Seats[p.User()].Dropped = false
	a.log.Info("session resumed", "player", p.User(), "room", a.Key())
}

// OnLeave runs exactly once, whatever happened. A player who goes to another server is put
// into the arena there: see game.open.
func (a *Arena) OnLeave(p *framework.Player, why framework.Reason) {
	if why.Code != framework.CodeMoved {
		p.Data = nil
	}
	a.OnMissing(p.User(), why)
}

// OnMissing frees the seat of a player who has left, or has not come along to this server.
func (a *Arena) OnMissing(user string, why framework.Reason) {
	a.Free = append(a.Free, a.Seats[user].ID)
	delete(a.Seats, user)
	a.log.Info("left", "player", user, "room", a.Key(), "why", why)
}

// OnSave is the last of all at a server that hands the arena over.
func (a *Arena) OnSave() ([]byte, error) { return json.Marshal(a) }

// OnRestore goes on from there at the next one. OnReturn follows for each player.
func (a *Arena) OnRestore(state []byte) error { return json.Unmarshal(state, a) }

// OnReturn lets the player ask where it is now: see Look.
func (a *Arena) OnReturn(p *framework.Player) {
	a.Seats[p.User()].Dropped = false
	_ = p.Push("seat", swarm.Seat{ID: a.Seats[p.User()].ID, Side: side})
}

// takeID returns a number that no member has, a low one if that is easily found.
func (a *Arena) takeID() int {
	if n := len(a.Free); n > 0 {
		id := a.Free[n-1]
		a.Free = a.Free[:n-1]
		return id
	}
	a.Last++
	return a.Last
}
