// SPDX-License-Identifier: MIT

// Package match puts players who look for a game into rooms together. Package
// framework/match/queue decides who plays with whom; here its decisions meet the server:
// players enter, watch their ticket, accept, and are seated, all or none.
//
//	maker := match.New(srv, match.Options{})
//	ranked := match.Add(maker, "ranked", matches, match.Config{
//		Rules: match.Rules{Size: 5, Window: match.Window{Start: 50, PerSecond: 10}},
//		Ticket: func(ctx context.Context, players []*framework.Player, w match.Wish) (*match.Ticket, error) { ... },
//	}, func(m match.Made) (Params, error) { return Params{...}, nil })
//
// # What players live through
//
// A player whose link is lost keeps its place for Rules.Grace, and is not matched
// meanwhile. One whose session ends is out, and so is its party. The routes of clients are
// in framework/client/CLIENT.md 9: client.Queue speaks them in Go, Queue in TypeScript,
// Client.Queue in C#.
//
// # Many servers
//
// In a cluster each server has queues of its own: a ticket stays where its player is, and
// meets the tickets of that server. Whoever matches players of all servers lets
// framework.RoomsOf.Bring seat them; framework/docs/matchmaking.md shows it.
//
// # What runs where
//
// A Matchmaker has one lock, under which the queues decide; the game's Rules.Fits,
// Together and Penalty run under it and must not call the Matchmaker. Config.Ticket runs
// in the handler of the player's request. What makes a room and seats its players runs on
// a goroutine for each match, for half a minute at most. There is no goroutine, and no
// timer, while nobody waits.
package match
