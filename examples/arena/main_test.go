// SPDX-License-Identifier: MIT

package main

import (
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/gametest"
)

// steer sends again and again what a player holds down, as clients do.
func steer(g *gametest.Game, p *gametest.Player, s Steer, d time.Duration) {
	for end := g.Now() + d; g.Now() < end; g.Sleep(step) {
		if err := p.Client.SendNewest("steer", s); err != nil {
			g.T.Fatal(err)
		}
	}
}

// On a line that loses a fifth of all datagrams some steps are missing, none comes
// late, and the end is right for all.
func TestNewestWins(t *testing.T) {
	o := gametest.Options{Seed: 1, Carrier: framework.KCP, Conditions: gametest.Conditions{Delay: 40 * time.Millisecond, Jitter: 60 * time.Millisecond, Loss: 0.2}}
	o.Run(t, newServer, func(g *gametest.Game) {
		ann, bob := g.Player("ann"), g.Player("bob")
		ann.Join("arena", "1")
		bob.Join("arena", "1")
		steer(g, ann, Steer{X: speed}, 3*time.Second)
		steer(g, ann, Steer{}, time.Second)

		worlds := gametest.All[World](bob, "world")
		last := worlds[len(worlds)-1]
		for i := range worlds[1:] {
			if worlds[i].Tick >= worlds[i+1].Tick {
				g.T.Errorf("step %d came after step %d", worlds[i+1].Tick, worlds[i].Tick)
			}
		}
		if missing := int(last.Tick) - len(worlds); missing == 0 {
			g.T.Error("a lost step was sent again")
		}
		if a := last.Spots[0]; a.User != "ann" || a.X < side/2+250 || a.X > side/2+350 || a.Y != side/2 {
			g.T.Errorf("after three seconds to the right: %+v", a)
		}
		g.Sleep(time.Second)
		if a, b := gametest.Newest[World](ann, "world").Spots[0], gametest.Newest[World](bob, "world").Spots[0]; a != b || a != last.Spots[0] {
			g.T.Errorf("ann is at %+v for itself, and at %+v for bob", a, b)
		}
	})
}

// Who was away is not shown what it has missed.
func TestThePastIsNotSent(t *testing.T) {
	gametest.Run(t, newServer, func(g *gametest.Game) {
		ann := g.Player("ann")
		ann.Join("arena", "1")
		g.Sleep(time.Second)
		ann.Cut()
		g.Sleep(50 * time.Second) // the server misses it after 35 s
		ann.Heal()
		before := gametest.Newest[World](ann, "world").Tick
		g.Sleep(5 * time.Second)
		worlds := gametest.All[World](ann, "world")
		if n := len(worlds); n == 0 || n > 850 || worlds[n-1].Tick < before+1000 {
			g.T.Errorf("after 50 seconds away %d steps came, the last is %d", n, worlds[n-1].Tick)
		}
	})
}

func TestNoSteerLeadsOutOfTheArena(t *testing.T) {
	gametest.Run(t, newServer, func(g *gametest.Game) {
		ann := g.Player("ann")
		ann.Join("arena", "1")
		ann.Send("steer", Steer{X: -1e30, Y: 1e30})
		g.Sleep(10 * time.Second)
		if w := gametest.Newest[World](ann, "world"); w.Spots[0] != (Spot{"ann", 0, side}) {
			g.T.Errorf("%+v", w)
		}
	})
}
