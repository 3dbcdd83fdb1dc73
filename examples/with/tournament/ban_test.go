// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/gametest"
)

// A user who is banned loses its match and is kept out; in maintenance everybody is, until it
// is over.
func TestBanAndMaintenance(t *testing.T) {
	var all *game
	gametest.Run(t, inMemory(&all), func(g *gametest.Game) {
		g.T.Cleanup(func() { _ = all.store.db.Close() })
		x, o, again, late := g.Player("x"), g.Player("o"), g.NewPlayer("x"), g.NewPlayer("late")
		enter(x)
		enter(o)
		x.In("match")
		x.Cut() // it is told when it is back
		if err := all.ban(g.T.Context(), "x"); err != nil {
			g.T.Fatal(err)
		}
		gametest.Until(o, "result", func(b Board) bool { return b.Winner == "o" })
		x.Heal()
		_ = again.Client.Connect(g.T.Context())
		for _, p := range []*gametest.Player{x, again} {
			var why *framework.CloseError
			if e := p.Event(client.EventClosed); !errors.As(e.Err, &why) || why.Code != codeBanned {
				g.T.Errorf("a banned user is told %v", e.Err)
			}
		}
		all.srv.Maintenance("back soon", 20*time.Second)
		time.AfterFunc(time.Minute, func() { all.srv.Maintenance("", 0) })
		late.Connect()
		var why *framework.CloseError
		if e := late.Event(client.EventRefused); !errors.As(e.Err, &why) || why.Text != "back soon" || g.Now() < time.Minute {
			g.T.Errorf("in after %v, and told %v", g.Now(), e.Err)
		}
	})
}
