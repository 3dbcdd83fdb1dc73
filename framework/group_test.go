// SPDX-License-Identifier: MIT

package framework_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// A group is there while somebody is in it; who is gone is in none.
func TestGroupsFollowTheirMembers(t *testing.T) {
	var atClose atomic.Int64
	cfg := framework.Config{OnClose: func(p *framework.Player, _ framework.Reason) { atClose.CompareAndSwap(0, int64(p.Data.(func() int)())) }}
	simulate(t, 1, memnet.Conditions{}, cfg, nil, func(e *env) {
		guild := e.srv.Group("guild:7")
		var got atomic.Int64
		var players []*framework.Player
		for _, user := range []string{"ann", "bob", "cid"} {
			c := e.newClient(user, transport.TCP)
			client.OnMessage(c, "chat", func(n int64) { got.Add(n) })
			e.connect(c)
			p := e.srv.User(user)[0]
			p.Data = guild.Len
			players = append(players, p)
		}
		ann, bob := players[0], players[1]
		if !guild.Add(ann) || !guild.Add(bob) || guild.Add(bob) || guild.Remove(players[2]) {
			t.Error("who is in is not what was asked for")
		}
		e.srv.Group("lobby").Add(ann)
		_ = guild.Broadcast("chat", 1)
		_ = guild.Broadcast("chat", 10, ann)
		_ = e.srv.Group("nobody").Broadcast("chat", 100)
		e.within(time.Second, "the chat arrives", func() bool { return got.Load() == 12 })

		ann.Kick(session.Kicked, "")
		e.within(time.Second, "ann is out", func() bool { return guild.Len() == 1 && guild.Members()[0] == bob })
		if n := atClose.Load(); n != 2 {
			t.Errorf("in OnClose the guild has %d members, want both", n)
		}
		if e.srv.Group("lobby").Len() != 0 || e.srv.Groups() != 1 {
			t.Errorf("%d groups are left, want the guild", e.srv.Groups())
		}
		if guild.Add(ann) {
			t.Error("a closed player was added")
		}
		if !guild.Remove(bob) || guild.Remove(bob) || e.srv.Groups() != 0 {
			t.Error("bob is still in, or the guild is")
		}
	})
}

// Groups used as the cells of a map, by everybody at once, while players leave.
func TestGroupsUnderARace(t *testing.T) {
	simulate(t, 1, memnet.Conditions{}, framework.Config{Loops: 2}, nil, func(e *env) {
		var running sync.WaitGroup
		var players []*framework.Player
		for i := range 20 {
			e.dial(fmt.Sprint("p", i), transport.TCP)
			p := e.srv.User(fmt.Sprint("p", i))[0]
			players = append(players, p)
			running.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(i), 1))
				cell := e.srv.Group("0")
				for n := range 200 {
					cell.Remove(p)
					cell = e.srv.Group(fmt.Sprint(rng.IntN(4)))
					cell.Add(p)
					_ = cell.Broadcast("moved", n, p)
					if i%3 == 0 && n == 100 {
						p.Kick(session.Kicked, "")
					}
				}
			})
		}
		running.Wait()
		for _, p := range players {
			p.Kick(session.Kicked, "")
		}
		e.within(time.Second, "nobody is in a group", func() bool { return e.srv.Groups() == 0 })
	})
}
