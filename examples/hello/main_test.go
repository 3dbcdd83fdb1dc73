// SPDX-License-Identifier: MIT

package main

import (
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework/gametest"
)

func TestGreetingReachesWhoIsAway(t *testing.T) {
	gametest.Run(t, newServer, func(g *gametest.Game) {
		ann, bob := g.Player("ann"), g.Player("bob")
		ann.Join("lobby", "1")
		bob.Join("lobby", "1")
		gametest.Expect(ann, "joined", "bob")

		ann.Cut()
		g.Sleep(time.Minute)
		if ticks := gametest.Request[uint64](bob, "greet", Hello{"Bob"}); ticks < 1000 {
			g.T.Errorf("the room has ticked %d times in a minute", ticks)
		}
		ann.Heal()
		gametest.Expect(ann, "hello", Hello{"Bob"})
	})
}
