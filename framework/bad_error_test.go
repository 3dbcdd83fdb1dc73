// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// shopError is an error of a game. A nil pointer of it in an error is no nil, and its methods
// panic: the usual mistake.
type shopError struct{ cause error }

func (e *shopError) Error() string { return "shop: " + e.cause.Error() }
func (e *shopError) Unwrap() error { return e.cause }

func sold() *shopError { return nil }

// sulky is a room that returns such an error at one place.
type sulky struct {
	*framework.Room
	at string
}

func (d *sulky) say(at string) error {
	if d.at == at {
		return sold()
	}
	return nil
}

func (d *sulky) OnCreate() error                 { return d.say("OnCreate") }
func (d *sulky) OnJoin(*framework.Player) error  { return d.say("OnJoin") }
func (d *sulky) OnWatch(*framework.Player) error { return d.say("OnWatch") }

// TestErrorsWhoseMethodsPanic: an error of the game is the game's code. Wherever it comes
// from, it is counted as a panic, the client that waits is told, and all goes on.
func TestErrorsWhoseMethodsPanic(t *testing.T) {
	places := []string{
		"Authenticate", "request", "message", "inline", "inline message", "room's request", "room's later request", "Use", "Use of a built-in request",
		"make", "OnCreate", "OnJoin", "OnWatch", "nil of Error",
	}
	for _, at := range places {
		t.Run(at, func(t *testing.T) { badError(t, at) })
	}
}

func badError(t *testing.T, at string) {
	say := func(here string) error {
		if here == at {
			return sold()
		}
		return nil
	}
	cfg := framework.Config{Session: quick, Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
		if string(l.Ticket) == "eve" {
			return framework.Identity{User: "eve"}, say("Authenticate")
		}
		return framework.Identity{User: string(l.Ticket)}, nil
	}}
	simulate(t, 1, memnet.Conditions{}, cfg, func(s *framework.Server) {
		s.Use(func(next framework.Handler) framework.Handler {
			return func(c *framework.Call) error {
				if c.Player.User() == "eve" && (c.Route == "ask" && at == "Use" || c.Route == framework.RouteJoin && at == "Use of a built-in request") {
					return sold()
				}
				err := next(c)
				if c.Player.User() == "eve" && (c.Route == "say" && at == "message" || c.Route == "now say" && at == "inline message") {
					return sold()
				}
				return err
			}
		})
		answers := func(here string) func(p *framework.Player, n int) (int, error) {
			return func(p *framework.Player, n int) (int, error) {
				switch {
				case p.User() != "eve":
					return n, nil
				case at == "nil of Error":
					var e *framework.Error
					return n, e
				}
				return n, say(here)
			}
		}
		framework.OnRequest(s, "ask", answers("request"))
		framework.OnRequest(s, "now", answers("inline")).Inline()
		framework.OnMessage(s, "say", func(*framework.Player, int) {})
		framework.OnMessage(s, "now say", func(*framework.Player, int) {}).Inline()
		rooms := framework.AddRoomWith(s, "den", func(r *framework.Room, _ int) (*sulky, error) {
			if r.Key() == "eve's" {
				return &sulky{r, at}, say("make")
			}
			if at == "OnWatch" {
				return &sulky{r, at}, nil
			}
			return &sulky{r, ""}, nil
		}).Spectators(3)
		framework.OnRoomRequest(rooms, "size", func(_ *sulky, p *framework.Player, n int) (int, error) {
			return answers("room's request")(p, n)
		})
		framework.OnRoomRequestAsync(rooms, "later", func(d *sulky, p *framework.Player, n int, reply framework.Reply[int]) {
			d.After(time.Second, func() { reply(answers("room's later request")(p, n)) })
		})
	}, func(e *env) {
		bob := e.dial("bob", transport.TCP)
		if err := bob.Join(short(), "den", "1"); err != nil {
			t.Fatal(err)
		}
		eve := e.newClient("eve", transport.TCP)
		_ = eve.Connect(short())
		_ = eve.Send("say", 1)
		_ = eve.Send("now say", 1)
		time.Sleep(time.Second)
		waited := func(what string, err error) {
			if errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s was not answered", what)
			}
		}
		if at != "Authenticate" { // after which it logs in again and again
			waited("a request", eve.Request(short(), "ask", 1, nil))
			waited("an inline request", eve.Request(short(), "now", 1, nil))
			waited("a watch", eve.Request(short(), framework.RouteWatch, [2]string{"den", "1"}, nil))
			_ = eve.Leave(short())
			waited("a join", eve.Join(short(), "den", "eve's"))
			_ = eve.Leave(short())
			_ = eve.Join(short(), "den", "eve's")
			_ = eve.Leave(short())
			_ = eve.Join(short(), "den", "1")
			waited("a request of a room", eve.Request(short(), "size", 1, nil))
			waited("a later one", eve.Request(short(), "later", 1, nil))
		}
		_ = eve.Close()
		time.Sleep(time.Second)
		for _, c := range []*client.Client{bob, e.dial("cat", transport.TCP)} {
			n := 0
			if err := c.Request(short(), "ask", 7, &n); err != nil || n != 7 {
				t.Errorf("a request: %d, %v", n, err)
			}
			if err := c.Join(short(), "den", "1"); err != nil {
				t.Errorf("join: %v", err)
			}
			if err := c.Request(short(), "size", 7, &n); err != nil || n != 7 {
				t.Errorf("the room: %d, %v", n, err)
			}
			_ = c.Close()
		}
		time.Sleep(time.Minute)
		st := e.srv.Stats()
		if st.Panics == 0 {
			t.Error("nothing was counted")
		}
		if n := st.Full["undecided"]; (n > 0) != (at == "Authenticate") {
			t.Errorf("%d logins were told to come again", n)
		}
		if den := st.Rooms["den"]; st.Sessions != 0 || st.Logins != 0 || den.Open != 0 || den.Players != 0 || den.Watched != 0 {
			t.Errorf("%d sessions, %d logins, rooms %+v", st.Sessions, st.Logins, den)
		}
	})
}
