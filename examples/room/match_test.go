// SPDX-License-Identifier: MIT

package main

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/examples/room/swarm"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/gametest"
)

func newServer(cfg framework.Config) (*framework.Server, error) {
	g := &game{log: slog.New(slog.DiscardHandler), tick: 50 * time.Millisecond, length: 30 * time.Second, number: cfg.Node}
	return g.newServer(cfg)
}

// A player drops out of a match and comes back, another one's app is started anew, and
// both are told of every gem once, in order, and of the same result.
func TestMatchSurvivesDrops(t *testing.T) {
	gametest.Run(t, newServer, func(g *gametest.Game) {
		ann, bob := g.Player("ann"), g.Player("bob")
		key := ann.JoinAny("match")
		if other := bob.JoinAny("match"); other != key {
			g.T.Fatalf("ann is in match %s, bob in %s", key, other)
		}
		me := gametest.Next[Lineup](ann, "lineup").ID
		g.Sleep(countdown + 5*time.Second)
		if late := g.Player("eve").JoinAny("match"); late == key {
			g.T.Error("a match that has begun lets somebody in")
		}
		ann.Cut()
		g.Sleep(time.Second)
		bob.Restart()
		gametest.Next[Lineup](bob, "lineup")
		g.Sleep(10 * time.Second)
		ann.Heal()
		ann.Send("go", swarm.Move{}) // the seat is still ann's
		gametest.Until(ann, "round", func(r Round) bool { return r.Players[me-1].X == 0 && r.Players[me-1].Y == 0 })
		result := gametest.Next[Result](ann, "result")
		gametest.Expect(bob, "result", result)
		for _, p := range []*gametest.Player{ann, bob} {
			p.Out("match")
		}
		total := uint64(0)
		for _, s := range result.Scores {
			total += uint64(s.Gems)
		}
		for i, got := range gametest.All[Got](ann, "got") {
			if got.N != uint64(i+1) {
				g.T.Fatalf("gem %d is told as number %d", i+1, got.N)
			}
			total--
		}
		if total != 0 {
			g.T.Errorf("%d gems were not told", total)
		}
	})
}

// The server plays the seats that are free, also those of players who leave.
func TestMatchPlaysFreeSeats(t *testing.T) {
	gametest.Run(t, newServer, func(g *gametest.Game) {
		ann, bob := g.Player("ann"), g.Player("bob")
		ann.JoinAny("match")
		bob.JoinAny("match")
		g.Sleep(countdown + time.Second)
		bob.Leave("match")
		result := gametest.Next[Result](ann, "result")
		i := slices.IndexFunc(result.Scores, func(s Score) bool { return s.Name == "bob" })
		if len(result.Scores) != matchSeats || i < 0 || result.Scores[i].Gems == 0 {
			g.T.Errorf("%+v", result)
		}
	})
}
