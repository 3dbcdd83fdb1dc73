// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/match"
	"github.com/lifeline-go/lifeline/framework/social"
)

// addQueue adds what brings players together. Those who come alone meet somebody of about
// their rating; a party is two friends, who play each other, and for no rating.
func (g *game) addQueue() {
	g.parties = social.NewParties(g.srv, social.PartyConfig{Size: 2, OnChange: func(players []*framework.Player) {
		for _, p := range players {
			_ = g.maker.Cancel(p) // an error: it is in no queue
		}
	}})
	g.maker = match.New(g.srv, match.Options{Party: g.parties.Together})
	match.Add(g.maker, "duel", g.matches, match.Config{
		Rules: match.Rules{
			Teams: 1, Size: 2, // two players, and no sides
			Window: match.Window{Start: 100, PerSecond: 20},
		},
		Ticket: g.ticket,
	}, params)
}

// ticket has the players' ratings, as they are now.
func (g *game) ticket(ctx context.Context, players []*framework.Player, _ match.Wish) (*match.Ticket, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	t := &match.Ticket{}
	for _, p := range players {
		profile, err := g.store.profile(ctx, p.User())
		if err != nil {
			return nil, framework.Later(5*time.Second, "ratings can't be read at present")
		}
		t.Members = append(t.Members, match.Member{Rating: profile.Rating})
	}
	return t, nil
}

// params is what a match is opened with: x is the player that has waited longer.
func params(m match.Made) (Params, error) {
	players := m.Players()
	return Params{Players: Players{players[0].User(), players[1].User()}, Friendly: len(m.Tickets()) == 1}, nil
}
