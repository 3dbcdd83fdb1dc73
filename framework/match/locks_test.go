// SPDX-License-Identifier: MIT

package match_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/gametest"
	"github.com/lifeline-go/lifeline/framework/match"
)

// TestHooksMayAskTheMatchmaker: what it makes the server call runs without its lock.
func TestHooksMayAskTheMatchmaker(t *testing.T) {
	g := &game{}
	var dropped, panics atomic.Int64
	fits := func(team []match.Member) bool {
		if len(team) > 1 {
			panic("boom")
		}
		return true
	}
	make := g.new(match.Config{Rules: match.Rules{Teams: 1, Size: 2, Fits: fits}}, match.Options{})
	game := func(c framework.Config) (*framework.Server, error) {
		c.Session.SendPackets = 16
		c.Observer.Dropped = func(p *framework.Player, route string, n int) {
			if route == match.RouteTicket {
				g.maker.Status(p)
				g.queue.Stats()
				dropped.Add(1)
			}
		}
		c.OnPanic = func(*framework.Player, string, any) {
			g.queue.Stats()
			panics.Add(1)
		}
		srv, err := make(c)
		if err != nil {
			return nil, err
		}
		framework.SendsAs[int](srv, framework.DeliverAll, "fill")
		framework.OnMessage(srv, "cancel", func(p *framework.Player, _ int) {
			for range 16 {
				_ = p.Push("fill", 1)
			}
			_ = g.maker.Cancel(p)
		}).Inline() // so that what is sent waits
		return srv, nil
	}
	gametest.Run(t, game, func(k *gametest.Game) {
		ann, bob := k.Player("ann 1500"), k.Player("bob 1500")
		wait(ann)
		wait(bob)
		k.Sleep(time.Second)
		if err := ann.Client.Send("cancel", 1); err != nil {
			t.Fatal(err)
		}
		k.Sleep(time.Second)
		if dropped.Load() != 1 || panics.Load() == 0 {
			t.Errorf("%d dropped, %d panics", dropped.Load(), panics.Load())
		}
		gametest.Request[bool](bob, match.RouteCancel, struct{}{}) // the lock is free
	})
}
