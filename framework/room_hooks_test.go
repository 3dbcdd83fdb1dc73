// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// Corners where two things happen at once. Every test here failed before.

// TestLeaveThenJoinMovesBetweenRooms: who leaves and joins in one breath is out
// of the old room before it is in the new one.
func TestLeaveThenJoinMovesBetweenRooms(t *testing.T) {
	hallServer(t, framework.Config{}, func(e *env, d *diary, rooms *framework.Rooms[*hall]) {
		e.dial("ann", transport.TCP)
		p := e.srv.User("ann")[0]
		if err := rooms.Join(context.Background(), p, "1"); err != nil {
			t.Fatal(err)
		}
		// The room is busy, so that both wishes wait for it.
		rooms.Post("1", func(*hall) { time.Sleep(time.Second) })
		if err := p.Leave(); err != nil {
			t.Fatal(err)
		}
		if err := rooms.Join(context.Background(), p, "2"); err != nil {
			t.Fatal(err)
		}
		if rooms.Post("1", func(*hall) {}) {
			t.Error("the old room is still there")
		}
		if got, want := d.all(), []string{"ann joins", "ann leaves: left", "ann joins"}; !slices.Equal(got, want) {
			t.Errorf("the rooms saw %v, want %v", got, want)
		}
	})
}

// TestEndedMembersTouchNoTimer: a session that ends in a room with a profile of
// its own gives that up, and has no timer any more.
func TestEndedMembersTouchNoTimer(t *testing.T) {
	simulate(t, 1, memnet.Conditions{}, framework.Config{Loops: 1}, func(s *framework.Server) {
		framework.AddRoom(s, "duel", func(r *framework.Room) *duel { return &duel{r} }).Heartbeat(framework.HeartbeatDemanding)
	}, func(e *env) {
		for _, u := range []string{"ann", "bob", "cid"} {
			c := e.dial(u, transport.TCP)
			if err := c.Join(context.Background(), "duel", u); err != nil {
				t.Fatal(err)
			}
			if u != "bob" {
				_ = c.Close()
			}
		}
		time.Sleep(time.Second)
		if n := e.srv.Stats().Transport.Panics; n != 0 {
			t.Errorf("%d panics", n)
		}
	})
}
