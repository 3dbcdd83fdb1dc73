// SPDX-License-Identifier: MIT

package main

import "github.com/lifeline-go/lifeline/framework"

// lobbyKey is the only lobby. A player stays in it while it plays: it is in one room of
// each type at a time.
const lobbyKey = "main"

// Lobby is where players talk, and hear of results.
type Lobby struct {
	*framework.Room
}

// Say talks to all.
func (l *Lobby) Say(p *framework.Player, text string) {
	_ = l.Broadcast("said", p.User()+": "+text)
}
