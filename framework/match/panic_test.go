// SPDX-License-Identifier: MIT

package match_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/gametest"
	"github.com/lifeline-go/lifeline/framework/match"
)

// TestTheGamesCodePanics once, wherever a queue calls it: that is counted, and the players that
// still wait, or ask again, are matched.
func TestTheGamesCodePanics(t *testing.T) {
	for _, at := range []string{"Party", "Ticket", "Fits", "Together", "Penalty", "params", "OnMatch"} {
		for _, how := range []string{"panic", "Goexit"} {
			t.Run(at+" "+how, func(t *testing.T) { playPanic(t, at, how) })
		}
	}
}

func playPanic(t *testing.T, at, how string) {
	var armed atomic.Bool
	armed.Store(true)
	strike := func(here string) {
		switch {
		case here != at || !armed.CompareAndSwap(true, false):
		case how == "panic":
			panic("boom")
		default:
			runtime.Goexit()
		}
	}
	cfg := match.Config{
		Rules: match.Rules{
			Accept:   5 * time.Second,
			Fits:     func([]match.Member) bool { strike("Fits"); return true },
			Together: func(a, b *match.Ticket) bool { strike("Together"); return true },
			Penalty:  func(int) time.Duration { strike("Penalty"); return time.Second },
		},
		Ticket: func(_ context.Context, players []*framework.Player, _ match.Wish) (*match.Ticket, error) {
			strike("Ticket")
			return &match.Ticket{}, nil
		},
		OnMatch: func(match.Made, string) { strike("OnMatch") },
	}
	opts := match.Options{Party: func(p *framework.Player) ([]*framework.Player, error) {
		strike("Party")
		return []*framework.Player{p}, nil
	}}
	var maker *match.Matchmaker
	game := func(c framework.Config) (*framework.Server, error) {
		srv, err := framework.New(c)
		if err != nil {
			return nil, err
		}
		rooms := framework.AddRoomWith(srv, "arena", func(r *framework.Room, teams string) (*arena, error) { return &arena{r, teams}, nil }).Private()
		maker = match.New(srv, opts)
		match.Add(maker, "ranked", rooms, cfg, func(m match.Made) (string, error) { strike("params"); return names(m), nil })
		return srv, nil
	}
	gametest.Run(t, game, func(k *gametest.Game) {
		ann, bob := k.Player("ann"), k.Player("bob")
		in := func(p *gametest.Player) bool { _, ok := p.Client.Room("arena").Key(); return ok }
		ask := func(p *gametest.Player) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_ = p.Client.Request(ctx, match.RouteEnter, match.Wish{Queue: "ranked"}, nil)
		}
		ask(ann)
		ask(bob)
		status := func(user string) (s match.Status) {
			for _, p := range k.Server.User(user) {
				s, _ = maker.Status(p)
			}
			return s
		}
		answer := func(p *gametest.Player, a match.Answer) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_ = p.Client.Request(ctx, match.RouteAnswer, a, nil)
		}
		if at == "Penalty" { // of one that declines
			answer(bob, match.Answer{Match: until(bob, match.Proposed).Match})
		}
		for range 120 {
			for user, p := range map[string]*gametest.Player{"ann": ann, "bob": bob} {
				switch s := status(user); {
				case in(p):
				case s.State == match.Proposed && !s.You:
					answer(p, match.Answer{Match: s.Match, Accept: true})
				case s.State == match.None:
					ask(p)
				}
			}
			if in(ann) && in(bob) {
				break
			}
			k.Sleep(time.Second)
		}
		if !in(ann) || !in(bob) {
			t.Errorf("not matched: %+v and %+v, %+v", status("ann"), status("bob"), k.Server.Stats().Parts)
		}
		k.Sleep(time.Second)
		if n := k.Server.Stats().Panics; n < 1 || n > 2 || armed.Load() {
			t.Errorf("%d panics, struck %v", n, !armed.Load())
		}
	})
}
