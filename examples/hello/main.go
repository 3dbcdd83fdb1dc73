// SPDX-License-Identifier: MIT

// Command hello is the server of the README: a room whose members hear of each
// other.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/lifeline-go/lifeline/framework"
)

// Hello is what a player says of itself.
type Hello struct{ Name string }

// Lobby is one room. Its methods run on the room's goroutine: no locks.
type Lobby struct {
	*framework.Room
	ticks uint64
}

func (l *Lobby) OnJoin(p *framework.Player) error { return l.Broadcast("joined", p.User(), p) }

func (l *Lobby) OnDetach(p *framework.Player) { log.Print(p.User(), " is away; its seat is kept") }

func (l *Lobby) OnResume(p *framework.Player) { log.Print(p.User(), " is back; nothing was lost") }

func (l *Lobby) OnLeave(p *framework.Player, why framework.Reason) {
	log.Print(p.User(), " left: ", why)
}

func (l *Lobby) OnTick(t framework.Tick) { l.ticks = t.N }

// Greet tells the others, and answers with the time of the room.
func (l *Lobby) Greet(p *framework.Player, h Hello) (uint64, error) {
	return l.ticks, l.Broadcast("hello", h, p)
}

// newServer makes the server. The test calls it too, with another configuration.
func newServer(cfg framework.Config) (*framework.Server, error) {
	srv, err := framework.New(cfg)
	if err != nil {
		return nil, err
	}
	lobby := framework.AddRoom(srv, "lobby", func(r *framework.Room) *Lobby { return &Lobby{Room: r} })
	framework.OnRoomRequest(lobby.Tick(50*time.Millisecond), "greet", (*Lobby).Greet).Max(256) // bytes
	return srv, nil
}

func main() {
	srv, err := newServer(framework.Config{PlainKCP: ":7777", TCP: ":7777"})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second one does not wait
	if err := srv.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
