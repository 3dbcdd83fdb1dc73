// SPDX-License-Identifier: MIT

// Package framework is what a game server imports: typed handlers, rooms, and
// players that stay while their links come and go.
//
//	srv, err := framework.New(framework.Config{PlainKCP: ":7777", TCP: ":7777"})
//	framework.OnRequest(srv, "roll", func(p *framework.Player, q Roll) (Rolled, error) { ... })
//	err = srv.Run(ctx)
//
// # What runs where
//
// Packets are received and sent on the event loops of package transport. A
// handler runs on a worker goroutine and may block; a room's callbacks and
// handlers run on the room's one goroutine, so its fields need no lock; only
// an Inline handler runs on the loop itself and must not block. Whatever runs,
// the messages of one player are handled one after the other, in order.
//
// Everything a handler calls on [Player], [Room] and [Server] is safe to call
// from any goroutine unless it says otherwise. Nothing that sends ever blocks.
//
// # What is promised
//
// Every message of a player reaches its handler exactly once and in order, as
// long as the session lives, whatever happens to its links. OnOpen and OnClose
// run exactly once for every session, OnDetach and OnResume alternate between
// them, and nothing of the player runs after OnClose. The end of the process
// ends its sessions.
//
// Package client is the other end.
package framework
