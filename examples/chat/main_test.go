// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/gametest"
)

// Whatever happens to their links, all read the same lines in the same order.
func TestAllReadTheSame(t *testing.T) {
	gametest.Options{Seed: 1, Conditions: gametest.Conditions{Delay: 30 * time.Millisecond}}.Run(t, newServer, func(g *gametest.Game) {
		for i := range 5 {
			g.Player(fmt.Sprint("p", i)).Join("chat", "1")
		}
		const lines = 200
		for i := range lines {
			p := g.Players()[g.Rand.IntN(5)]
			switch g.Rand.IntN(10) {
			case 0:
				p.Cut()
			case 1:
				p.Drop()
			case 2:
				p.Rebind()
			}
			p.Heal()
			gametest.Request[uint64](p, "say", fmt.Sprint(i))
		}
		for _, p := range g.Players() {
			for i := range lines {
				if l := gametest.Next[Line](p, "line"); l.N != uint64(i+1) || l.Text != fmt.Sprint(i) {
					g.T.Fatalf("%s read %+v as line %d", p.User, l, i+1)
				}
			}
		}
	})
}

// A newcomer is shown the last lines, and so is who was away for too long.
func TestNewcomersReadTheLastLines(t *testing.T) {
	small := func(cfg framework.Config) (*framework.Server, error) {
		cfg.Session.SendPackets = 100
		return newServer(cfg)
	}
	gametest.Run(t, small, func(g *gametest.Game) {
		ann, bob := g.Player("ann"), g.Player("bob")
		ann.Join("chat", "1")
		bob.Join("chat", "1")
		gametest.Expect(bob, "lines", []Line(nil))
		bob.Cut()
		for i := range 150 {
			gametest.Request[uint64](ann, "say", fmt.Sprint(i))
		}
		g.Sleep(time.Minute)
		bob.Heal()
		eve := g.Player("eve")
		eve.Join("chat", "1")
		for _, p := range []*gametest.Player{bob, eve} {
			lines := gametest.Next[[]Line](p, "lines")
			if n := len(lines); n != keptBack || lines[n-1].N != 150 {
				g.T.Errorf("%s is shown %d lines, the last is %+v", p.User, n, lines[n-1])
			}
		}
	})
}

func TestWhatCannotBeSaid(t *testing.T) {
	gametest.Run(t, newServer, func(g *gametest.Game) {
		ann := g.Player("ann")
		if e := ann.RequestError("say", "hi"); e.Code != framework.ErrorNotJoined {
			g.T.Errorf("outside of a room: %v", e)
		}
		ann.Join("chat", "1")
		if e := ann.RequestError("say", " "); e.Code != codeEmpty {
			g.T.Errorf("an empty line: %v", e)
		}
		if e := ann.RequestError("say", strings.Repeat("x", maxText)); e.Code != framework.ErrorBadRequest {
			g.T.Errorf("a long line: %v", e)
		}
	})
}
