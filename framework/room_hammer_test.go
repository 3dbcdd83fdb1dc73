// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// anvil is a room that counts who comes and goes.
type anvil struct {
	*framework.Room
	in, seen, ended *atomic.Int64
}

func (a *anvil) OnJoin(*framework.Player) error                { a.in.Add(1); return nil }
func (a *anvil) OnLeave(*framework.Player, framework.Reason)   { a.in.Add(-1) }
func (a *anvil) OnWatch(*framework.Player) error               { a.seen.Add(1); return nil }
func (a *anvil) OnUnwatch(*framework.Player, framework.Reason) { a.seen.Add(-1) }
func (a *anvil) OnEnd(framework.Reason)                        { a.ended.Add(1) }

// TestRoomsUnderTheHammer: many goroutines call all that may be called from any, for the same
// few rooms and players, while the rooms close and the players are thrown out.
func TestRoomsUnderTheHammer(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { hammer(t, seed) })
	}
}

func hammer(t *testing.T, seed uint64) {
	var in, seen, ended, made atomic.Int64
	var rooms *framework.Rooms[*anvil]
	simulate(t, seed, memnet.Conditions{}, framework.Config{Session: quick, Loops: 2}, func(s *framework.Server) {
		rooms = framework.AddRoom(s, "anvil", func(r *framework.Room) *anvil {
			made.Add(1)
			return &anvil{r, &in, &seen, &ended}
		}).Seats(3).Spectators(2).Most(4).Listed()
	}, func(e *env) {
		const smiths, blows = 8, 300
		for i := range 5 {
			e.dial(fmt.Sprint("p", i), transport.TCP)
		}
		var all sync.WaitGroup
		for n := range smiths {
			rng := rand.New(rand.NewPCG(seed, uint64(n)))
			all.Go(func() {
				for range blows {
					strikeRoom(e, rooms, rng)
					if rng.IntN(4) == 0 {
						time.Sleep(time.Duration(rng.IntN(10)) * time.Millisecond)
					}
				}
			})
		}
		all.Wait()
		for _, p := range e.srv.User("p0") {
			p.Kick(session.Kicked, "")
		}
		for _, c := range e.clients {
			_ = c.Close()
		}
		time.Sleep(2 * time.Minute)
		if left := e.srv.Left(); left != nil {
			t.Errorf("left: %q", left)
		}
		checkCounts(t, e.srv.Stats())
		if in.Load() != 0 || seen.Load() != 0 || made.Load() != ended.Load() || made.Load() < 10 {
			t.Errorf("%d are in, %d watch; %d rooms made, %d ended", in.Load(), seen.Load(), made.Load(), ended.Load())
		}
	})
}

// strikeRoom does one thing to a room and its players.
func strikeRoom(e *env, rooms *framework.Rooms[*anvil], rng *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rng.IntN(20))*time.Millisecond)
	defer cancel()
	key, other := fmt.Sprint(rng.IntN(3)), fmt.Sprint(rng.IntN(3))
	users := []string{fmt.Sprint("p", rng.IntN(5)), fmt.Sprint("p", rng.IntN(5))}
	players := e.srv.User(users[0])
	if len(players) == 0 {
		return
	}
	p, r := players[0], rooms.Of(players[0])
	switch n := rng.IntN(20); n {
	case 0, 1, 2:
		_ = rooms.Join(ctx, p, key)
	case 3:
		_ = rooms.JoinAsync(p, "")
	case 4:
		_ = rooms.Move(p, other)
	case 5:
		_ = rooms.Leave(p)
	case 6:
		_ = rooms.Seat(ctx, key, append(players, e.srv.User(users[1])...)...)
	case 7:
		_ = rooms.Watch(ctx, p, key)
	case 8:
		_ = rooms.Reserve(ctx, key, users...)
	case 9:
		_ = rooms.Bring(ctx, key, users...)
	case 10:
		_ = rooms.Do(ctx, key, func(a *anvil) { _ = a.Broadcast("hello", key) })
	case 11:
		rooms.Post(key, func(a *anvil) {
			framework.Async(a, func(context.Context) (int, error) { time.Sleep(time.Millisecond); return 1, nil }, func(int, error) {})
		})
	case 12:
		if key, err := rooms.Open(ctx, struct{}{}); err == nil {
			_ = rooms.JoinAsync(p, key)
		}
	case 13, 14:
		if r != nil {
			r.Close(0, "struck")
		}
	case 15:
		if r != nil {
			r.Remove(p, 0, "struck")
		}
	case 16:
		if r != nil {
			r.SetOpen(n%2 == 0)
			_ = r.Publish(map[string]string{"n": key})
		}
	case 17:
		rooms.Post(key, func(a *anvil) { a.After(0, func() { a.Close(0, "struck") }) })
	case 18:
		if rng.IntN(30) == 0 {
			p.Kick(session.Gone, "") // it logs in anew
		}
	case 19:
		_ = e.srv.Broadcast("all", 1)
		_ = e.srv.InspectRooms(10, func(*framework.RoomInfo) bool { return true })
	}
}
