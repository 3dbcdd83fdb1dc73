// SPDX-License-Identifier: MIT

package main

import (
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/gametest"
)

// begin puts two players together.
func begin(g *gametest.Game) (x, o *gametest.Player) {
	x, o = g.Player("x"), g.Player("o")
	if a, b := x.JoinAny("tictactoe"), o.JoinAny("tictactoe"); a != b {
		g.T.Fatalf("x is in %s, o in %s", a, b)
	}
	return x, o
}

// Each game ends as it should, though each player's link is lost before each of its
// moves, in one of several ways.
func TestGames(t *testing.T) {
	luck := map[string]func(g *gametest.Game, p *gametest.Player){
		"good":     func(*gametest.Game, *gametest.Player) {},
		"drops":    func(_ *gametest.Game, p *gametest.Player) { p.Drop() },
		"restarts": func(_ *gametest.Game, p *gametest.Player) { p.Restart() },
		"cuts": func(g *gametest.Game, p *gametest.Player) {
			p.Cut()
			g.Sleep(40 * time.Second) // the server misses it after 35 s
			p.Heal()
		},
	}
	for _, game := range []struct {
		moves         []int
		cells, winner string
	}{
		{[]int{0, 3, 1, 4, 2}, "xxxoo....", "x"},
		{[]int{8, 2, 0, 4, 1, 6}, "xxo.o.o.x", "o"},
		{[]int{0, 1, 2, 4, 3, 5, 7, 6, 8}, "xoxxoooxx", ""},
	} {
		for name, happens := range luck {
			t.Run(name+"/"+game.winner, func(t *testing.T) {
				gametest.Run(t, newServer, func(g *gametest.Game) {
					x, o := begin(g)
					for i, cell := range game.moves {
						p := []*gametest.Player{x, o}[i%2]
						happens(g, p)
						gametest.Request[struct{}](p, "move", cell)
					}
					for _, p := range g.Players() {
						s := gametest.Until(p, "state", func(s State) bool { return s.Over })
						if s.Cells != game.cells || s.Winner != game.winner {
							g.T.Errorf("%s was told %+v", p.User, s)
						}
					}
				})
			})
		}
	}
}

// An app that was started anew is shown the game as it stands.
func TestRestartedAppSeesTheGame(t *testing.T) {
	gametest.Run(t, newServer, func(g *gametest.Game) {
		x, _ := begin(g)
		gametest.Request[struct{}](x, "move", 4)
		g.Settle()
		gametest.All[State](x, "state")
		x.Restart()
		gametest.Expect(x, "state", State{Cells: "....x....", Players: [2]string{"x", "o"}, Turn: "o"})
	})
}

func TestWhoDoesNotComeBackHasLost(t *testing.T) {
	gametest.Run(t, newServer, func(g *gametest.Game) {
		x, o := begin(g)
		x.Cut()
		s := gametest.Until(o, "state", func(s State) bool { return s.Over })
		if s.Winner != "o" || g.Now() < time.Minute {
			g.T.Errorf("after %v: %+v", g.Now(), s)
		}
	})
}

func TestRefusedMoves(t *testing.T) {
	gametest.Run(t, newServer, func(g *gametest.Game) {
		x, o := begin(g)
		gametest.Request[struct{}](x, "move", 0)
		for _, m := range []struct {
			p    *gametest.Player
			cell int
			code framework.ErrorCode
		}{{x, 1, codeNotYourTurn}, {o, 0, codeTaken}, {o, 9, codeNoSuchCell}, {o, -1, codeNoSuchCell}} {
			if e := m.p.RequestError("move", m.cell); e.Code != m.code {
				g.T.Errorf("%s, cell %d: %v", m.p.User, m.cell, e)
			}
		}
	})
}
