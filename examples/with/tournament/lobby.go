// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"log/slog"
	"slices"

	"github.com/lifeline-go/lifeline/framework"
)

// lobbyKey is the only lobby. A player stays in it while it plays: it is in one room of
// each type at a time.
const lobbyKey = "main"

// Lobby is where players talk and wait for each other.
type Lobby struct {
	*framework.Room
	game  *game
	queue []*framework.Player
}

// OnLeave forgets a player who waits. It does not run for a lost link.
func (l *Lobby) OnLeave(p *framework.Player, _ framework.Reason) { l.leaveQueue(p) }

func (l *Lobby) leaveQueue(p *framework.Player) {
	l.queue = slices.DeleteFunc(l.queue, func(q *framework.Player) bool { return q == p })
}

// Say talks to all.
func (l *Lobby) Say(p *framework.Player, text string) {
	_ = l.Broadcast("said", p.User()+": "+text)
}

// Ready puts a player into the queue, and the first two of it into a match.
func (l *Lobby) Ready(p *framework.Player, _ struct{}) (int, error) {
	if l.game.matches.Of(p) != nil {
		return 0, framework.Fail(codePlaying, "you are in a match")
	}
	l.leaveQueue(p)
	l.queue = append(l.queue, p)
	if len(l.queue) < 2 {
		return 1, nil
	}
	l.pair(l.queue[0], l.queue[1])
	l.queue = nil
	return 2, nil
}

// pair opens a match for two players and seats both or none. That may wait, so it does so
// off the lobby's goroutine.
func (l *Lobby) pair(x, o *framework.Player) {
	framework.Async(l, func(ctx context.Context) (string, error) {
		key, err := l.game.matches.Open(ctx, Players{x.User(), o.User()})
		if err != nil {
			return "", err
		}
		return key, l.game.matches.Seat(ctx, key, x, o)
	}, func(key string, err error) {
		if err != nil {
			slog.Warn("no match was made", "x", x.User(), "o", o.User(), "error", err)
			for _, p := range []*framework.Player{x, o} {
				_ = p.Push("again", struct{}{}) // it may say that it is ready again
			}
		}
	})
}
