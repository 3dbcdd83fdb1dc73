// SPDX-License-Identifier: MIT

// Command readme is the server of the program in the README of the client.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/transport"
)

// The messages of the program, as it names them.
type (
	Move struct{ X, Y float32 }
	Spot struct {
		ID uint32
		At Move
	}
	State struct {
		Tick    uint32
		Players []Spot
	}
	Hello struct{ Text string }
)

// Arena shows its players where they are.
type Arena struct {
	*framework.Room
	at map[*framework.Player]Move
}

// full refuses eve once, as a room does that has no seat at the moment.
var full sync.Once

// OnJoin decides on a player.
func (a *Arena) OnJoin(p *framework.Player) (err error) {
	if p.User() == "eve" {
		full.Do(func() { err = framework.Fail(framework.GameError, "full") })
	}
	return err
}

func (a *Arena) OnTick(t framework.Tick) {
	s := State{Tick: uint32(t.N)}
	for i, p := range a.Members() {
		s.Players = append(s.Players, Spot{ID: uint32(i + 1), At: a.at[p]})
	}
	_ = a.Broadcast("state", s)
}

func main() {
	ws := flag.String("ws", "127.0.0.1:0", "address of the WebSocket")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	srv, err := framework.New(framework.Config{
		WebSocket: *ws, Logger: slog.New(slog.DiscardHandler),
		Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
			return framework.Identity{User: string(l.Ticket)}, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	arena := framework.AddRoom(srv, "arena", func(r *framework.Room) *Arena {
		return &Arena{Room: r, at: map[*framework.Player]Move{}}
	}).Tick(50 * time.Millisecond)
	framework.OnRoomMessage(arena, "move", func(a *Arena, p *framework.Player, m Move) { a.at[p] = m })
	framework.OnRequest(srv, "greet", func(p *framework.Player, h Hello) (Hello, error) {
		return Hello{h.Text + " " + p.User()}, nil
	})
	if err := srv.Start(); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("ws://%v\n", srv.Addr(transport.WebSocket))
	<-ctx.Done()
	_ = srv.Shutdown(context.Background())
}
