// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestNamesOfUsers: any bytes may be one. Each plays, drops, comes back, moves to another
// server and logs in again.
func TestNamesOfUsers(t *testing.T) {
	for what, user := range map[string]string{
		"empty": "", "a byte": "a", "zero": "\x00", "no UTF-8": "\xff\xfe\xc0", "half a rune": "ann\xe2\x82", "lines": "a\nb\r\n\tc", "a path": "../a/b?c=d&e#f",
		"256 bytes": strings.Repeat("u", 256), "64 KiB": strings.Repeat("ü", 32<<10), "300 KiB": strings.Repeat("\xff", 300<<10),
	} {
		t.Run(what, func(t *testing.T) { playName(t, user) })
	}
}

func playName(t *testing.T, user string) {
	var store framework.MemoryStore
	config := func(node uint16, address string) framework.Config {
		return framework.Config{
			Node: node, Secret: session.Secret{1, 2, 3}, Store: &store, Address: address, Session: quick,
			Authenticate: func(context.Context, framework.Login) (framework.Identity, error) {
				return framework.Identity{User: user}, nil
			},
		}
	}
	routes := func(s *framework.Server) {
		rooms := framework.AddRoom(s, "den", func(r *framework.Room) *framework.Room { return r })
		framework.OnRoomRequest(rooms, "who", func(_ *framework.Room, p *framework.Player, _ int) (string, error) { return p.User(), nil })
		framework.OnRequest(s, "len", func(p *framework.Player, _ int) (int, error) { return len(p.User()), nil })
	}
	simulate(t, 1, memnet.Conditions{}, config(1, "tcp://10.0.0.1:7778"), routes, func(a *env) {
		b := serve(t, a.net, "10.0.0.2", config(2, "tcp://10.0.0.2:7778"), routes)
		defer b.end()
		c := a.dial("x", transport.TCP)
		ask := func(c *client.Client) {
			t.Helper()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			n := 0
			if err := c.Request(ctx, "len", 1, &n); err != nil || n != len(user) {
				t.Errorf("%d bytes, %v", n, err)
			}
			if err := c.Join(ctx, "den", "1"); err != nil {
				t.Error(err)
			}
			var who string
			if err := c.Request(ctx, "who", 1, &who); err != nil && len(user) < 1000 || err == nil && who != user {
				t.Errorf("%q, %v", who, err)
			}
		}
		here := func(s *framework.Server) *framework.Player {
			t.Helper()
			for _, p := range a.players() {
				if s.Player(p.ID()) == p {
					return p
				}
			}
			for _, p := range b.players() {
				if s.Player(p.ID()) == p {
					return p
				}
			}
			return nil
		}
		ask(c)
		c.Cut()
		ask(c)
		if got := a.srv.User(user); (len(got) == 1) != (user != "") {
			t.Errorf("%d sessions", len(got))
		}
		_ = a.srv.Inspect(10, func(*framework.Info) bool { return true })
		p := here(a.srv)
		if p == nil {
			t.Fatal("it is not here")
		}
		_ = p.Move(b.addr(transport.TCP))
		time.Sleep(5 * time.Second)
		ask(c)
		if p := here(b.srv); p == nil || p.User() != user || c.Stats().Opens != 1 {
			t.Errorf("not moved: %+v", c.Stats())
		}
		again := b.dial("x", transport.TCP)
		ask(again)
		time.Sleep(5 * time.Second)
		want := 2 // users without a name are not told apart
		if user != "" {
			want = 1
		}
		if n := b.srv.Stats().Sessions; n != want {
			t.Errorf("%d sessions after another login", n)
		}
	})
}
