// SPDX-License-Identifier: MIT

package gametest_test

import (
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/gametest"
)

// A test of a chat, in a file that ends in _test.go. newChat is what the game's own
// main calls as well.
func ExampleRun() {
	TestChat := func(t *testing.T) {
		gametest.Run(t, newChat, func(g *gametest.Game) {
			ann, bob := g.Player("ann"), g.Player("bob")
			ann.Join("chat", "1")
			bob.Join("chat", "1")
			bob.Cut() // nobody is told
			ann.Send("say", "are you there?")
			g.Sleep(time.Minute) // the server has missed bob by now, and keeps the seat
			bob.Heal()
			gametest.Expect(bob, "said", "ann: are you there?")
		})
	}
	_ = TestChat
}

// A table of the same test over networks that are bad in one way each.
func ExampleOptions_Run() {
	TestChatOverAnyNetwork := func(t *testing.T) {
		for name, o := range map[string]gametest.Options{
			"good":  {},
			"far":   {Conditions: gametest.Conditions{Delay: 300 * time.Millisecond}},
			"lossy": {Conditions: gametest.Conditions{Loss: 0.2}, Carrier: framework.KCP, Seed: 7},
		} {
			t.Run(name, func(t *testing.T) {
				o.Run(t, newChat, func(g *gametest.Game) {
					ann := g.Player("ann")
					ann.Join("chat", "1")
					ann.Send("say", "hello")
					gametest.Expect(ann, "said", "ann: hello")
				})
			})
		}
	}
	_ = TestChatOverAnyNetwork
}

// A room is at one of three servers, and its players go there. When the server crashes, the
// room is made anew at another one.
func ExampleNode_Kill() {
	TestCrash := func(t *testing.T) {
		gametest.Options{Servers: 3}.Run(t, newChat, func(g *gametest.Game) {
			one, two := g.Nodes()[0], g.Nodes()[1]
			ann, bob := one.Player("ann"), two.Player("bob")
			ann.Join("chat", "1")
			bob.Join("chat", "1")
			one.Kill()
			g.Within("at other servers", func() bool { return ann.Node() != nil && bob.Node() != nil })
			ann.Join("chat", "1")
			bob.Join("chat", "1")
			ann.Send("say", "still there?")
			gametest.Expect(bob, "said", "ann: still there?")
		})
	}
	_ = TestCrash
}

// The tests of the examples, for go test to run.
func TestExamples(t *testing.T) {
	gametest.Run(t, newChat, func(g *gametest.Game) {
		ann, bob := g.Player("ann"), g.Player("bob")
		ann.Join("chat", "1")
		bob.Join("chat", "1")
		bob.Cut()
		ann.Send("say", "are you there?")
		g.Sleep(time.Minute)
		if all := gametest.All[string](bob, "said"); len(all) != 0 {
			g.T.Errorf("a message passed a cut line: %q", all)
		}
		bob.Heal()
		gametest.Expect(bob, "said", "ann: are you there?")
	})
	gametest.Options{Servers: 3}.Run(t, newChat, func(g *gametest.Game) {
		one, two := g.Nodes()[0], g.Nodes()[1]
		ann, bob := one.Player("ann"), two.Player("bob")
		ann.Join("chat", "1")
		bob.Join("chat", "1")
		one.Kill()
		g.Within("at other servers", func() bool { return ann.Node() != nil && bob.Node() != nil })
		ann.Join("chat", "1")
		bob.Join("chat", "1")
		ann.Send("say", "still there?")
		gametest.Expect(bob, "said", "ann: still there?")
	})
}
