// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// account is what a login loads.
type account struct {
	Name string
	Gold int
}

func byAccount(_ context.Context, l framework.Login) (framework.Identity, error) {
	user := string(l.Ticket)
	return framework.Identity{User: user, Data: &account{user, 7}}, nil
}

// TestWhatLoginLoadsIsThere: in OnOpen, and in every handler after it.
func TestWhatLoginLoadsIsThere(t *testing.T) {
	var opened atomic.Int64
	cfg := framework.Config{Authenticate: byAccount, OnOpen: func(p *framework.Player) { opened.Store(int64(framework.DataOf[*account](p).Gold)) }}
	simulate(t, 1, memnet.Conditions{}, cfg, func(s *framework.Server) {
		framework.OnRequest(s, "pay", func(p *framework.Player, n int) (int, error) {
			a := framework.DataOf[*account](p)
			a.Gold -= n
			return a.Gold, nil
		})
		framework.OnRequest(s, "wrong", func(p *framework.Player, _ int) (int, error) { return framework.DataOf[int](p), nil })
	}, func(e *env) {
		c := e.dial("ann", transport.TCP)
		for _, want := range []int{5, 3} {
			var got int
			if err := c.Request(context.Background(), "pay", 2, &got); err != nil || got != want || opened.Load() != 7 {
				t.Errorf("%d gold are left, want %d, %d in OnOpen, %v", got, want, opened.Load(), err)
			}
		}
		if framework.DataOf[*account](&framework.Player{}) != nil {
			t.Error("a player without data has some")
		}
		if err := c.Request(context.Background(), "wrong", 0, nil); err == nil {
			t.Error("data of another type is returned")
		}
	})
}

// TestDataGoesWithItsPlayer: to another server, before OnOpen there, whatever
// Config.Pack adds.
func TestDataGoesWithItsPlayer(t *testing.T) {
	for _, packs := range []bool{false, true} {
		d := &diary{}
		g := &game{said: map[string][]uint64{}, state: map[string]uint64{}}
		config := func(node uint16, address string) framework.Config {
			cfg := g.config(node, address)
			cfg.Authenticate, cfg.Pack, cfg.Unpack, cfg.OnClose = byAccount, nil, nil, nil
			cfg.OnOpen = func(p *framework.Player) { d.add("%v", *framework.DataOf[*account](p)) }
			if packs {
				cfg.Pack = func(*framework.Player) []byte { return []byte("hat") }
				cfg.Unpack = func(_ *framework.Player, state []byte) { d.add("unpacked %s", state) }
			}
			return cfg
		}
		routes := func(s *framework.Server) {
			framework.CarryData[*account](s)
			framework.OnMessage(s, "pay", func(p *framework.Player, n int) { framework.DataOf[*account](p).Gold -= n })
		}
		simulate(t, 1, memnet.Conditions{}, config(1, "tcp://10.0.0.1:7778"), routes, func(a *env) {
			b := serve(t, a.net, "10.0.0.2", config(2, "tcp://10.0.0.2:7778"), routes)
			defer b.end()
			c := a.dial("ann", transport.TCP)
			_ = c.Send("pay", 3)
			time.Sleep(time.Second)
			if err := a.srv.User("ann")[0].Move(b.addr(transport.TCP)); err != nil {
				t.Fatal(err)
			}
			b.within(5*time.Second, "she is there", func() bool { return len(b.srv.User("ann")) == 1 })
			time.Sleep(time.Second)
			want := []string{"{ann 7}", "{ann 4}"}
			if packs {
				want = []string{"{ann 7}", "unpacked hat", "{ann 4}"}
			}
			wantDiary(t, d, want...)
		})
	}
}

// TestMinVersionKeepsOldAppsOut: with a code and a link of its own, on every carrier.
func TestMinVersionKeepsOldAppsOut(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		cfg := framework.Config{MinVersion: "1.4.2", UpdateURL: "https://example.org/get"}
		simulate(t, 1, memnet.Conditions{}, cfg, nil, func(e *env) {
			for info, ok := range map[string]bool{
				"": false, "game/1.4.1 ios": false, "game 1.4": false, "1.3.9": false, "game/0.9-beta": false, "ios": false,
				"game/1.4.2 ios": true, "v1.4.2": true, "game/1.10 android 9": true, "2": true, "1.4.2-rc1": true, "1.4.2.1+7": true,
			} {
				c, err := client.New([]string{e.addr(carrier)}, e.dialers(client.Config{Info: info}))
				if err != nil {
					t.Fatal(err)
				}
				e.clients = append(e.clients, c)
				err = c.Connect(context.Background())
				var closed *session.CloseError
				if in := err == nil; in != ok || !in && (!errors.As(err, &closed) || closed.Code != session.Outdated || closed.Text != cfg.UpdateURL) {
					t.Errorf("%q: %v", info, err)
				}
			}
			if n := e.srv.Stats().Refusal["outdated"]; n != 6 {
				t.Errorf("%d refusals are counted", n)
			}
		})
	})
}

// TestMinVersionAtItsEdges: an app without a version is older than any.
func TestMinVersionAtItsEdges(t *testing.T) {
	const large = "4294967295"
	for _, c := range []struct {
		least, info string
		ok          bool
	}{
		{"0", "ios", false}, {"0", "", false}, {"0", "game/0 ios", true}, {"0.0", "0.0.0", true}, {"0.0.1", "0", false},
		{"1", "1.0.0", true}, {"1.0.0", "1", true}, {"1.0", "0.9999", false}, {large, large, true}, {large, "4294967294", false},
		{"1", "4294967296", false}, {"1", "game/ 1", true}, {"1", "1.", false}, {"1", "-1", false}, {"1", "iphone 15,2 v1", true},
	} {
		simulate(t, 1, memnet.Conditions{}, framework.Config{MinVersion: c.least}, nil, func(e *env) {
			cfg := e.dialers(client.Config{Info: c.info})
			cl, err := client.New([]string{e.addr(transport.TCP)}, cfg)
			if err != nil {
				t.Fatal(err)
			}
			e.clients = append(e.clients, cl)
			if err := cl.Connect(context.Background()); (err == nil) != c.ok {
				t.Errorf("at least %s, %q: %v", c.least, c.info, err)
			}
		})
	}
}

// TestMaintenanceTextReachesWhoLogsIn, and those who are in go on.
func TestMaintenanceTextReachesWhoLogsIn(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		simulate(t, 1, memnet.Conditions{}, framework.Config{}, func(s *framework.Server) {
			framework.OnRequest(s, "echo", func(_ *framework.Player, n int) (int, error) { return n, nil })
		}, func(e *env) {
			ann := e.dial("ann", carrier)
			e.srv.Maintenance("back at six", 20*time.Second)
			told := &diary{}
			cfg := e.dialers(client.Config{OnEvent: func(ev client.Event) {
				if ev.Kind == client.EventRefused {
					told.add("%s", ev.Err.(*session.CloseError).Text)
				}
			}})
			bob, err := client.New([]string{e.addr(carrier)}, cfg)
			if err != nil {
				t.Fatal(err)
			}
			e.clients = append(e.clients, bob)
			go func() { _ = bob.Connect(context.Background()) }()
			time.Sleep(10 * time.Second)
			if err := ann.Request(context.Background(), "echo", 1, nil); err != nil {
				t.Error(err)
			}
			wantDiary(t, told, "back at six")
			e.srv.Maintenance("", 0)
			e.within(20*time.Second, "bob is in", func() bool { return bob.Stats().Opens == 1 })
			if n := e.srv.Stats().Full["maintenance"]; n != 1 {
				t.Errorf("%d are counted", n)
			}
		})
	})
}

// TestDrainTextReachesWhoLogsIn while the server shuts down.
func TestDrainTextReachesWhoLogsIn(t *testing.T) {
	cfg := framework.Config{Drain: framework.Drain{Window: 20 * time.Second, Text: "moving house"}}
	simulate(t, 1, memnet.Conditions{}, cfg, nil, func(e *env) {
		e.dial("ann", transport.TCP)
		e.dial("eve", transport.TCP) // its turn is later
		done := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			done <- e.srv.Shutdown(ctx)
		}()
		time.Sleep(time.Second)
		told := &diary{}
		bob, err := client.New([]string{e.addr(transport.TCP)}, e.dialers(client.Config{OnEvent: func(ev client.Event) {
			if ev.Kind == client.EventRefused {
				told.add("%s", ev.Err.(*session.CloseError).Text)
			}
		}}))
		if err != nil {
			t.Fatal(err)
		}
		e.clients = append(e.clients, bob)
		go func() { _ = bob.Connect(context.Background()) }()
		time.Sleep(3 * time.Second)
		wantDiary(t, told, "moving house")
		_ = bob.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
