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

// TestOnChangePanicsAtTheEnd: what a user that has gone leaves behind is forgotten all the same.
func TestOnChangePanicsAtTheEnd(t *testing.T) {
	var armed atomic.Bool
	game := func(c framework.Config) (*framework.Server, error) {
		srv, err := framework.New(c)
		if err != nil {
			return nil, err
		}
		social.NewParties(srv, social.PartyConfig{InviteFor: time.Hour, OnChange: func([]*framework.Player) {
			if armed.Load() {
				panic("boom")
			}
		}})
		return srv, nil
	}
	gametest.Run(t, game, func(k *gametest.Game) {
		ann, bob, eve := k.Player("ann"), k.Player("bob"), k.Player("eve")
		invite(ann, "bob")
		join(bob)
		invite(eve, "bob")
		i := gametest.Next[social.Invitation](bob, social.RouteInvited)
		armed.Store(true)
		bob.Close()
		k.Sleep(time.Second)
		armed.Store(false)
		if n := k.Server.Stats().Panics; n != 1 {
			t.Errorf("%d panics", n)
		}
		sees(ann, "ann")
		again := k.Player("bob")
		refused(t, again, social.RouteJoin, i.Party, framework.ErrorRefused)
	})
}
