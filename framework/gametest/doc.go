// SPDX-License-Identifier: MIT

// Package gametest tests a game: its server and real clients in one process, on
// a network in memory and a virtual clock, so that minutes of play with every kind of
// bad luck take milliseconds and are the same in each run.
//
//	func TestChat(t *testing.T) {
//		gametest.Run(t, chat.New, func(g *gametest.Game) {
//			ann, bob := g.Player("ann"), g.Player("bob")
//			ann.Join("chat", "1")
//			bob.Join("chat", "1")
//			bob.Cut()
//			ann.Send("say", "hi")
//			g.Sleep(time.Minute)
//			bob.Heal()
//			gametest.Expect(bob, "said", "ann: hi") // nothing was lost
//		})
//	}
//
// The game gives the kit one function, [New], that makes its server from a
// configuration; its main calls the same one.
//
// # Several servers
//
// With Options.Servers the game runs on several servers of one cluster. Node.Kill,
// Node.Partition and Node.Drain do to one of them what a crash, a network and a deployment do.
//
// # What is the same in each run
//
// For one seed the players of one test send, receive and lose the same at the same
// moments of virtual time, as long as the game itself asks for no other chance than
// Config.Rand's and reads no map in Go's random order. That holds for TCP and
// WebSocket. On the KCP carriers with loss it may differ by what shares a datagram.
//
// # What it is not
//
// It measures nothing: the clock stands still while the machine works. For load there is
// framework/client and the bots of examples/room.
package gametest
