// SPDX-License-Identifier: MIT

package social_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/gametest"
	"github.com/lifeline-go/lifeline/framework/social"
)

// TestHooksMayAskWhatTheyHearOf: an Observer that is told what parties and presence could not
// send may call both.
func TestHooksMayAskWhatTheyHearOf(t *testing.T) {
	g := &game{}
	var party, presence atomic.Int64
	make := g.new(social.PartyConfig{})
	game := func(c framework.Config) (*framework.Server, error) {
		c.Session.SendPackets = 16
		c.Observer.Dropped = func(p *framework.Player, route string, n int) {
			g.parties.State(p)
			g.presence.Of("bob")
			switch route {
			case social.RouteParty:
				party.Add(1)
			case "fill":
				presence.Add(1)
			}
		}
		srv, err := make(c)
		if err != nil {
			return nil, err
		}
		framework.SendsAs[int](srv, framework.DropOldest, "fill")
		framework.SendsAs[int](srv, framework.DeliverAll, "fill up")
		framework.OnMessage(srv, "party", func(p *framework.Player, _ int) {
			for range 16 {
				_ = p.Push("fill up", 1)
			}
			_ = g.parties.Leave(p)
		}).Inline() // so that what is sent waits
		framework.OnMessage(srv, "presence", func(p *framework.Player, _ int) {
			for range 16 {
				_ = p.Push("fill", 1)
			}
			g.presence.Set("bob", social.Status{Playing: true})
		}).Inline()
		return srv, nil
	}
	gametest.Run(t, game, func(k *gametest.Game) {
		ann, bob := k.Player("ann"), k.Player("bob")
		invite(ann, "bob")
		join(bob)
		gametest.Request[[]social.UserState](ann, social.RouteWatch, []string{"bob"})
		for _, route := range []string{"party", "presence"} {
			k.Sleep(time.Second)
			if err := ann.Client.Send(route, 1); err != nil {
				t.Fatal(err)
			}
		}
		k.Sleep(time.Second)
		if party.Load() != 1 || presence.Load() == 0 {
			t.Errorf("%d drops of parties, %d of presence", party.Load(), presence.Load())
		}
		gametest.Request[bool](bob, social.RouteLeave, struct{}{}) // the locks are free
		gametest.Request[bool](ann, social.RouteUnwatch, []string{})
	})
}
