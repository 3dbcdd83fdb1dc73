// SPDX-License-Identifier: MIT

// Command arena is a server of a game in real time: players steer, and 20 times a second
// each is told where all are. Of that only the newest counts, so what was lost on the way is
// not sent again, and a player that was away for a while is not shown the past.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/lifeline-go/lifeline/framework"
)

// Steer is where a player wants to go: a speed in units a second.
type Steer struct{ X, Y float32 }

// Spot is where a player is.
type Spot struct {
	User string
	X, Y float32
}

// World is one step of the arena.
type World struct {
	Tick  uint64
	Spots []Spot
}

const (
	step  = 50 * time.Millisecond
	side  = 1000 // of the arena, which is a square
	speed = 100  // at most, in each direction
)

// Arena is one room.
type Arena struct {
	*framework.Room
	bodies map[*framework.Player]*body
}

type body struct {
	x, y  float32
	steer Steer
}

// OnJoin puts a player into the middle.
func (a *Arena) OnJoin(p *framework.Player) error {
	a.bodies[p] = &body{x: side / 2, y: side / 2}
	return nil
}

// OnDetach lets a player without a link stand still; its seat is kept.
func (a *Arena) OnDetach(p *framework.Player) { a.bodies[p].steer = Steer{} }

// OnLeave takes the player out.
func (a *Arena) OnLeave(p *framework.Player, _ framework.Reason) { delete(a.bodies, p) }

// Steer notes where a player wants to go until it says something else. A client may
// say so as often as it likes, by Client.SendNewest.
func (a *Arena) Steer(p *framework.Player, s Steer) {
	if s.X != s.X || s.Y != s.Y {
		return // NaN passes min and max
	}
	a.bodies[p].steer = Steer{clamp(s.X, -speed, speed), clamp(s.Y, -speed, speed)}
}

// OnTick moves all, and tells all.
func (a *Arena) OnTick(t framework.Tick) {
	w := World{Tick: t.N}
	dt := float32(t.Step.Seconds())
	for _, p := range a.Members() {
		b := a.bodies[p]
		b.x = clamp(b.x+b.steer.X*dt, 0, side)
		b.y = clamp(b.y+b.steer.Y*dt, 0, side)
		w.Spots = append(w.Spots, Spot{p.User(), b.x, b.y})
	}
	_ = a.Broadcast("world", w)
}

func clamp(v, low, high float32) float32 { return min(max(v, low), high) }

func newServer(cfg framework.Config) (*framework.Server, error) {
	cfg.Strict = true // while it is developed: what comes to nothing is told
	srv, err := framework.New(cfg)
	if err != nil {
		return nil, err
	}
	arenas := framework.AddRoom(srv, "arena", func(r *framework.Room) *Arena {
		return &Arena{r, map[*framework.Player]*body{}}
	}).Tick(step).Seats(50)
	framework.OnRoomMessage(arenas, "steer", (*Arena).Steer)
	srv.Sends(framework.DeliverNewest, "world")
	return srv, nil
}

func main() {
	kcp := flag.String("kcp", "127.0.0.1:7777", "listen `address` of sealed KCP")
	ws := flag.String("ws", "127.0.0.1:7778", "listen `address` of WebSocket")
	flag.Parse()
	if flag.NArg() > 0 { // what follows it would not be read
		log.Fatalf("%q is no flag", flag.Arg(0))
	}
	srv, err := newServer(framework.Config{KCP: *kcp, WebSocket: *ws, Authenticate: byName})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := srv.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// byName takes the ticket for the user's name, which is good for trying out alone: see
// examples/with/jwt.
func byName(_ context.Context, l framework.Login) (framework.Identity, error) {
	return framework.Identity{User: string(l.Ticket)}, nil
}
