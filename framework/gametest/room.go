// SPDX-License-Identifier: MIT

package gametest

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
)

// Room is one room that is tested by itself: see RunRoom. The goroutine of the test
// owns it.
type Room[R any] struct {
	g     *Game
	rooms *framework.Rooms[R]
	key   string
}

// never is a step that is longer than any test.
const never = 10 * 365 * 24 * time.Hour

// RunRoom tests one type of room without the rest of its game: make makes it, as for
// framework.AddRoom. There is one room, which is there from the beginning and stays. It has
// no routes and does not tick: the test calls the methods of its handlers, and OnTick,
// by Room.Do. Join, leave, lost links and time come as they always do.
func RunRoom[R any](t *testing.T, make func(r *framework.Room) R, test func(g *Game, room *Room[R])) {
	t.Helper()
	room := &Room[R]{}
	Run(t, func(cfg framework.Config) (*framework.Server, error) {
		srv, err := framework.New(cfg)
		if err != nil {
			return nil, err
		}
		room.rooms = framework.AddRoom(srv, "room", make).Private().Linger(-1)
		if reflect.TypeFor[R]().Implements(reflect.TypeFor[framework.TickHandler]()) {
			room.rooms.Tick(never)
		}
		return srv, nil
	}, func(g *Game) {
		room.g = g
		key, err := room.rooms.Open(g.T.Context(), struct{}{})
		if err != nil {
			g.T.Fatalf("gametest: the room was not made: %v", err)
		}
		room.key = key
		test(g, room)
	})
}

// Join brings players into the room, in this order.
func (r *Room[R]) Join(players ...*Player) {
	r.g.T.Helper()
	for _, p := range players {
		if err := r.JoinError(p); err != nil {
			r.g.T.Fatalf("gametest: %s at %v: join: %v", p.User, r.g.Now(), err)
		}
	}
}

// JoinError brings a player into the room and returns what OnJoin said.
func (r *Room[R]) JoinError(p *Player) error {
	r.g.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), r.g.opts.Patience)
	defer cancel()
	return r.rooms.Join(ctx, p.Seen(), r.key)
}

// Do runs f with the room on the room's goroutine and waits for it: to call its methods,
// to look at its fields, or to change them. It fails the test if the room has ended.
func (r *Room[R]) Do(f func(room R)) {
	r.g.T.Helper()
	Do(r.g, r.rooms, r.key, f)
}

// Do runs f with the room of a key on the room's goroutine and waits for it: to see what
// no client is told, or to bring a match to its last minute. It fails the test if there
// is no such room, if it was not made, or if f panics.
func Do[R, P any](g *Game, rooms *framework.RoomsOf[R, P], key string, f func(room R)) {
	g.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), g.opts.Patience)
	defer cancel()
	if err := rooms.Do(ctx, key, f); err != nil {
		g.T.Fatalf("gametest: at %v: room %q: %v", g.Now(), key, err)
	}
}

// Seen returns the player as its server sees it, and fails the test if it has no session at
// any, or another one.
func (p *Player) Seen() *framework.Player {
	p.g.T.Helper()
	n := p.Node()
	if n == nil {
		p.g.T.Fatalf("gametest: %s at %v: no session at a server", p.User, p.g.Now())
	}
	return n.Server.Player(p.Client.ID())
}
