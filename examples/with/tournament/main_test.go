// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/gametest"
	"github.com/lifeline-go/lifeline/framework/match"
	"github.com/lifeline-go/lifeline/framework/social"
)

// Players are cut at random all the time, and each match ends as its claims say: for
// both of them, and in the database.
func TestEachMatchEndsRight(t *testing.T) {
	for seed := range uint64(5) {
		var all *game
		gametest.Options{Seed: seed}.Run(t, inMemory(&all), func(g *gametest.Game) {
			g.T.Cleanup(func() { _ = all.store.db.Close() })
			for i := range 4 {
				x, o := g.Player(fmt.Sprint("x", i)), g.Player(fmt.Sprint("o", i))
				enter(x)
				enter(o)
				play(g, all, x, o)
			}
			var ratings float64
			if err := all.store.db.QueryRow(`SELECT SUM(rating) FROM users`).Scan(&ratings); err != nil || math.Abs(ratings-8*1500) > 1e-6 {
				g.T.Errorf("ratings are %v together: %v", ratings, err)
			}
		})
	}
}

// inMemory makes a game whose database is in memory, and notes it in all.
func inMemory(all **game) func(framework.Config) (*framework.Server, error) {
	return func(cfg framework.Config) (*framework.Server, error) {
		s, err := openStore(":memory:")
		if err == nil {
			*all, err = newGame(cfg, s)
		}
		return (*all).srv, err
	}
}

func enter(p *gametest.Player) {
	gametest.Request[match.Status](p, match.RouteEnter, match.Wish{Queue: "duel"})
}

// Two friends play each other, through drops, and for no rating; nobody is put between
// them.
func TestAPartyPlaysForNoRating(t *testing.T) {
	var all *game
	gametest.Run(t, inMemory(&all), func(g *gametest.Game) {
		g.T.Cleanup(func() { _ = all.store.db.Close() })
		ann, bob, eve := g.Player("ann"), g.Player("bob"), g.Player("eve")
		enter(eve)
		gametest.Request[social.PartyState](ann, social.RouteInvite, "bob")
		i := gametest.Next[social.Invitation](bob, social.RouteInvited)
		gametest.Request[social.PartyState](bob, social.RouteJoin, i.Party)
		bob.Drop()
		g.Sleep(2 * time.Second) // it is back by then
		enter(ann)
		play(g, all, ann, bob)
		if _, in := eve.Client.Room("match").Key(); in {
			g.T.Error("eve plays")
		}
		profile, err := all.store.profile(g.T.Context(), "ann")
		if err != nil || profile.Played != 1 || profile.Rating != 1500 {
			g.T.Errorf("%+v: %v", profile, err)
		}
	})
}

// play lets two players claim cells in turn, and compares what came of it.
func play(g *gametest.Game, all *game, pair ...*gametest.Player) {
	luck := []func(*gametest.Player){(*gametest.Player).Drop, (*gametest.Player).Rebind, (*gametest.Player).Restart, func(p *gametest.Player) {
		p.Cut()
		time.AfterFunc(time.Duration(g.Rand.IntN(45)+1)*time.Second, p.Heal)
	}, func(*gametest.Player) {}}
	key, want := pair[0].In("match"), Board{Players: Players{pair[0].User, pair[1].User}, Over: true}
	cells := []byte(".........")
	for turn := 0; turn < 9 && want.Winner == ""; turn++ {
		i := turn % 2
		luck[g.Rand.IntN(len(luck))](pair[0])
		luck[g.Rand.IntN(len(luck))](pair[1])
		cell, err := 0, error(framework.ErrClosed)
		for err != nil { // again, where another has been
			pair[i].Send("steer", Point{speed * (2*g.Rand.Float32() - 1), speed * (2*g.Rand.Float32() - 1)})
			g.Sleep(time.Second)
			err = pair[i].Client.Request(g.T.Context(), "claim", nil, &cell)
		}
		if cells[cell] = "xo"[i]; won(string(cells), "xo"[i]) {
			want.Winner = pair[i].User
		}
	}
	want.Cells = string(cells)
	for _, p := range pair {
		gametest.Until(p, "result", func(b Board) bool { return b == want })
	}
	stored := Board{Over: true}
	err := all.store.db.QueryRow(`SELECT x, o, winner, cells FROM results WHERE match = ?`, key).
		Scan(&stored.Players[0], &stored.Players[1], &stored.Winner, &stored.Cells)
	if err != nil || stored != want {
		g.T.Errorf("stored %+v, want %+v: %v", stored, want, err)
	}
}
