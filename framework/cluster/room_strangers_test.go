// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
)

// any joins any room, and returns who is in it.
func (s *stack) any(c *client.Client) string {
	s.t.Helper()
	if _, err := c.JoinAny(context.Background(), "hall"); err != nil {
		s.t.Fatalf("join any: %v", err)
	}
	return s.who(c)
}

// TestStrangersMeetEverywhere: they fill rooms of their own server, then those of others, and
// no room is made while one has a free seat.
func TestStrangersMeetEverywhere(t *testing.T) {
	playRooms(t, 3, nil, func(rooms *framework.Rooms[*hall]) { rooms.Seats(3).Everywhere() }, func(s *stack, o *house) {
		at := func(i int, user, want string) *client.Client {
			t.Helper()
			c := s.dial(s.servers[i], user, "")
			if got := s.any(c); got != want {
				t.Errorf("%s is in %s, want %s", user, got, want)
			}
			time.Sleep(2 * time.Second)
			return c
		}
		ann := at(0, "ann", "[ann at 1]")
		bob := at(1, "bob", "[ann bob at 1]")
		s.stayed(bob, 1)
		at(2, "cid", "[ann bob cid at 1]")
		dan := at(1, "dan", "[dan at 2]") // all others are full
		at(2, "eve", "[dan eve at 2]")
		if err := ann.Leave(context.Background()); err != nil {
			t.Error(err)
		}
		at(1, "fay", "[dan eve fay at 2]") // a free seat is here
		at(1, "gil", "[bob cid gil at 1]")
		s.stayed(dan, 0)
		if got := len(o.opened()); got != 2 {
			t.Errorf("%d rooms: %v", got, o.opened())
		}
	})
}

// TestStrangersWithoutOtherServers: a room that has ended since is not made anew, and a
// server that does not answer is waited for no longer than two seconds.
func TestStrangersWithoutOtherServers(t *testing.T) {
	playRooms(t, 2, nil, func(rooms *framework.Rooms[*hall]) { rooms.Seats(3).Everywhere() }, func(s *stack, _ *house) {
		ann, bob := s.dial(s.servers[0], "ann", ""), s.dial(s.servers[1], "bob", "")
		s.any(ann)
		time.Sleep(2 * time.Second)
		s.any(s.dial(s.servers[1], "eve", "")) // server 2 knows of the room now
		for _, c := range []*client.Client{ann, s.clients[2]} {
			if err := c.Leave(context.Background()); err != nil {
				t.Error(err)
			}
		}
		if got := s.any(bob); got != "[bob at 2]" {
			t.Errorf("the other room has ended: %s", got)
		}
		s.stayed(bob, 0)
		if err := bob.Leave(context.Background()); err != nil {
			t.Error(err)
		}
		s.any(ann)
		time.Sleep(2 * time.Second)
		s.servers[0].line.set(true)
		began := time.Now()
		if got := s.any(bob); !strings.HasSuffix(got, " at 2]") || time.Since(began) > 3*time.Second {
			t.Errorf("the other server is silent: %s after %v", got, time.Since(began))
		}
	})
}
