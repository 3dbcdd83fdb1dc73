// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
)

// TestPartyOfAllServers: its members are at three servers, and get into one room, all or none.
func TestPartyOfAllServers(t *testing.T) {
	playRooms(t, 3, nil, func(rooms *framework.Rooms[*hall]) { rooms.Seats(3).Private() }, func(s *stack, o *house) {
		ctx := context.Background()
		users := []string{"ann", "bob", "cid"}
		for i, user := range users {
			c := s.dial(s.servers[i], user, "")
			_ = c.Send("say", uint64(0)) // a session whose client was never heard does not move
		}
		time.Sleep(time.Second)
		open := func(node uint16) string {
			key, err := o.rooms[node].Open(ctx, struct{}{})
			if err != nil {
				t.Fatal(err)
			}
			return key
		}
		seats := func(i int) int { return s.servers[i].Stats().Rooms["hall"].Players }
		nobody := func(what string, err error, ok bool) {
			t.Helper()
			time.Sleep(2 * time.Second)
			if !ok || seats(0)+seats(1)+seats(2) != 0 || !s.servers[0].has("ann") || !s.servers[1].has("bob") || !s.servers[2].has("cid") {
				t.Errorf("%s: %v, and %d, %d, %d are in", what, err, seats(0), seats(1), seats(2))
			}
		}
		key := open(2)
		err := o.rooms[1].Bring(ctx, key, "ann", "eve", "bob")
		nobody("one is offline", err, errors.Is(err, framework.ErrClosed))
		err = o.rooms[1].Bring(ctx, "red", users...)
		nobody("no room", err, errors.Is(err, framework.ErrNoRoom))
		full := open(3)
		err = o.rooms[3].Reserve(ctx, full, "zoe")
		if err != nil {
			t.Fatal(err)
		}
		err = o.rooms[1].Bring(ctx, full, users...)
		if codeOf(err) != codec.ErrorFull {
			t.Errorf("a seat too few: %v", err)
		}
		time.Sleep(31 * time.Second)
		nobody("a seat too few", err, true)

		if err := o.rooms[1].Bring(ctx, key, users...); err != nil {
			t.Fatal(err)
		}
		s.within(5*time.Second, "all are in", func() bool {
			return s.servers[1].has("ann") && s.servers[1].has("bob") && s.servers[1].has("cid") && seats(1) == 3
		})
		if got := s.who(s.clients[0]); len(got) != len("[ann bob cid at 2]") {
			t.Errorf("in the room: %s", got)
		}
		for i, c := range s.clients {
			s.stayed(c, map[bool]int{true: 0, false: 1}[i == 1])
		}
		if err := o.rooms[3].Bring(ctx, key, users...); err != nil {
			t.Errorf("once more: %v", err)
		}
		other := open(1)
		if code := codeOf(o.rooms[3].Bring(ctx, other, "ann")); code != codec.ErrorInRoom {
			t.Errorf("from another room: code %d", code)
		}
		time.Sleep(31 * time.Second)
		if got := fmt.Sprint(seats(0), seats(1), seats(2)); got != "0 3 0" {
			t.Errorf("seats that are taken: %s", got)
		}
	})
}
