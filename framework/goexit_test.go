// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// lair is a room whose callbacks do what is asked for their name, when it is about ann.
type lair struct {
	*framework.Room
	do func(place string, p *framework.Player)
}

func (d *lair) OnJoin(p *framework.Player) error                { d.do("OnJoin", p); return nil }
func (d *lair) OnDetach(p *framework.Player)                    { d.do("OnDetach", p) }
func (d *lair) OnResume(p *framework.Player)                    { d.do("room's OnResume", p) }
func (d *lair) OnLeave(p *framework.Player, _ framework.Reason) { d.do("OnLeave", p) }
func (d *lair) OnTick(framework.Tick)                           { d.do("OnTick", nil) }
func (d *lair) OnShutdown(time.Duration)                        { d.do("OnShutdown", nil) }

// TestGoexitIsAPanic: the game's code may end the goroutine that it runs on, or
// panic, wherever it is called. That ends its player's session at most: the room,
// the workers and the server go on.
func TestGoexitIsAPanic(t *testing.T) {
	places := []string{
		"Authenticate", "OnOpen", "OnDetach", "OnResume", "OnClose", "OnClose of the player", "handler", "request", "Use",
		"NewRoom", "OnJoin", "OnDetach", "room's OnResume", "OnLeave", "OnTick", "OnShutdown", "room's handler", "Post", "Observer", "OnPanic",
	}
	for _, place := range places {
		for _, how := range []string{"Goexit", "panic"} {
			t.Run(place+" "+how, func(t *testing.T) { goexit(t, place, how) })
		}
	}
}

func goexit(t *testing.T, place, how string) {
	armed := place != ""
	do := func(at string, p *framework.Player) {
		if at != place || p != nil && p.User() != "ann" || !armed {
			return
		}
		armed = place == "OnPanic"
		if how == "panic" {
			panic("boom")
		}
		runtime.Goexit()
	}
	var rooms *framework.Rooms[*lair]
	cfg := framework.Config{
		Session: quick,
		Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
			if string(l.Ticket) == "ann" {
				do("Authenticate", nil)
			}
			return framework.Identity{User: string(l.Ticket)}, nil
		},
		OnOpen:   func(p *framework.Player) { p.OnClose(func() { do("OnClose of the player", p) }); do("OnOpen", p) },
		OnDetach: func(p *framework.Player) { do("OnDetach", p) },
		OnResume: func(p *framework.Player) { do("OnResume", p) },
		OnClose:  func(p *framework.Player, _ framework.Reason) { do("OnClose", p) },
		OnPanic:  func(p *framework.Player, _ string, _ any) { do("OnPanic", p) },
		Observer: framework.Observer{Handled: func(p *framework.Player, _ string, _ time.Duration, _ error) { do("Observer", p) }},
	}
	simulate(t, 1, memnet.Conditions{}, cfg, func(s *framework.Server) {
		s.Use(func(next framework.Handler) framework.Handler {
			return func(c *framework.Call) error { do("Use", c.Player); return next(c) }
		})
		framework.OnMessage(s, "say", func(p *framework.Player, _ int) {
			do("handler", p)
			if p.User() == "ann" && place == "OnPanic" {
				panic("for OnPanic")
			}
		})
		framework.OnRequest(s, "ask", func(p *framework.Player, n int) (int, error) { do("request", p); return n, nil })
		rooms = framework.AddRoom(s, "lair", func(r *framework.Room) *lair {
			if r.Key() == "ann's" {
				do("NewRoom", nil)
			}
			return &lair{r, do}
		}).Tick(100 * time.Millisecond)
		framework.OnRoomRequest(rooms, "size", func(d *lair, p *framework.Player, _ int) (int, error) {
			do("room's handler", p)
			return d.Len(), nil
		})
	}, func(e *env) {
		bob := e.dial("bob", transport.TCP)
		ann := e.newClient("ann", transport.TCP)
		_ = ann.Connect(short())
		_ = bob.Join(short(), "lair", "1")
		_ = ann.Send("say", 1)
		_ = ann.Request(short(), "ask", 1, nil)
		_ = ann.Join(short(), "lair", "1")
		_ = ann.Leave(short())
		_ = ann.Join(short(), "lair", "ann's")
		_ = ann.Leave(short())
		_ = ann.Join(short(), "lair", "1")
		_ = ann.Request(short(), "size", 1, nil)
		rooms.Post("1", func(*lair) { do("Post", nil) })
		ann.Pause()
		time.Sleep(time.Second)
		ann.Hurry()
		time.Sleep(5 * time.Second)
		_ = ann.Close()
		time.Sleep(time.Second)

		for _, c := range []*client.Client{bob, e.dial("ann", transport.TCP)} { // all goes on
			n := 0
			if err := c.Request(short(), "ask", 7, &n); err != nil || n != 7 {
				t.Errorf("a request: %d, %v", n, err)
			}
			if err := c.Join(short(), "lair", "1"); err != nil && !strings.Contains(err.Error(), "already in") {
				t.Errorf("join: %v", err)
			}
			if err := c.Request(short(), "size", 0, &n); err != nil {
				t.Errorf("the room: %v", err)
			}
		}
		ticks := e.srv.Stats().Rooms["lair"].Ticks
		time.Sleep(time.Second)
		if now := e.srv.Stats().Rooms["lair"].Ticks; now < ticks+9 {
			t.Errorf("%d ticks in a second", now-ticks)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := e.srv.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if n := e.srv.Stats().Panics; n < 1 {
			t.Error("nothing was counted")
		}
	})
}

// TestGoexitWhileARoomIsMade: there is no room then, and whoever opens it is told.
func TestGoexitWhileARoomIsMade(t *testing.T) {
	var rooms *framework.Rooms[*lair]
	simulate(t, 1, memnet.Conditions{}, framework.Config{Session: quick}, func(s *framework.Server) {
		rooms = framework.AddRoom(s, "lair", func(*framework.Room) *lair {
			runtime.Goexit()
			return nil
		}).Tick(time.Second).Linger(-1)
	}, func(e *env) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := rooms.Open(ctx, struct{}{}); err == nil || ctx.Err() != nil {
			t.Errorf("the room is open: %v", err)
		}
		if err := e.dial("ann", transport.TCP).Join(ctx, "lair", "1"); err == nil || ctx.Err() != nil {
			t.Errorf("join: %v", err)
		}
		time.Sleep(time.Second)
		if n := e.srv.Stats().Rooms["lair"].Open; n != 0 {
			t.Errorf("%d rooms are left", n)
		}
	})
}

// TestTickThatAlwaysPanicsEndsItsRoom: its members are told, and whoever asks
// for its key gets a new one.
func TestTickThatAlwaysPanicsEndsItsRoom(t *testing.T) {
	made := 0
	simulate(t, 1, memnet.Conditions{}, framework.Config{Session: quick}, func(s *framework.Server) {
		framework.AddRoom(s, "lair", func(r *framework.Room) *lair {
			made++
			bad := made == 1
			return &lair{r, func(place string, _ *framework.Player) {
				if bad && place == "OnTick" {
					panic(fmt.Sprint("tick of room ", made))
				}
			}}
		}).Tick(50 * time.Millisecond).Linger(-1)
	}, func(e *env) {
		c := e.dial("ann", transport.TCP)
		if err := c.Join(context.Background(), "lair", "1"); err != nil {
			t.Fatal(err)
		}
		e.within(10*time.Second, "the player has been told and has logged in anew", func() bool { return c.Stats().Opens == 2 })
		if got := e.of("ann"); !slices.Contains(e.all(), "ann close internal error: the room has failed") {
			t.Errorf("hooks %v", got)
		}
		if err := c.Join(context.Background(), "lair", "1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if st := e.srv.Stats(); st.Panics != 10 || made != 2 || st.Rooms["lair"].Open != 1 {
			t.Errorf("%d panics, %d rooms made: %+v", st.Panics, made, st.Rooms["lair"])
		}
	})
}
