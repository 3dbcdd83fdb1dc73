// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
)

// TestSeatsOfUsersElsewhere: a seat that a game keeps for a user holds wherever the room is,
// wherever the user is, and whichever server asks.
func TestSeatsOfUsersElsewhere(t *testing.T) {
	playRooms(t, 3, nil, func(rooms *framework.Rooms[*hall]) { rooms.Seats(3) }, func(s *stack, o *house) {
		ctx := context.Background()
		key, err := o.rooms[1].Open(ctx, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		ann, bob := s.dial(s.servers[1], "ann", ""), s.dial(s.servers[2], "bob", "")
		s.join(s.dial(s.servers[0], "zoe", ""), "red")
		for _, room := range []string{key, "red"} { // known by its prefix, and by the directory
			if err := o.rooms[3].Reserve(ctx, room, "ann", "bob"); err != nil {
				t.Fatalf("%s: %v", room, err)
			}
			free := 3 - map[bool]int{true: 3, false: 2}[room == "red"]
			for i := range free + 1 {
				c := s.dial(s.servers[1], fmt.Sprint(room, i), "")
				if err := c.Join(ctx, "hall", room); (err == nil) != (i < free) || err != nil && codeOf(err) != codec.ErrorFull {
					t.Errorf("stranger %d into %s: %v", i, room, err)
				}
			}
			if code := codeOf(o.rooms[2].Reserve(ctx, room, "cid")); code != codec.ErrorFull {
				t.Errorf("a seat too many: code %d", code)
			}
		}
		s.join(ann, key)
		s.join(bob, "red")
		s.stayed(ann, 1)
		s.stayed(bob, 1)
		if got := s.who(bob); got != "[zoe bob at 1]" {
			t.Errorf("in the room: %s", got)
		}
		if err := o.rooms[2].Reserve(ctx, "blue", "cid"); !errors.Is(err, framework.ErrNoRoom) {
			t.Errorf("no room: %v", err)
		}
		if err := o.rooms[1].Do(ctx, key, func(h *hall) { h.SetOpen(false) }); err != nil {
			t.Fatal(err)
		}
		if code := codeOf(o.rooms[2].Reserve(ctx, key, "cid")); code != codec.ErrorRefused {
			t.Errorf("a closed room: code %d", code)
		}
		time.Sleep(31 * time.Second)
		if n := s.servers[0].Stats().Rooms["hall"].Players; n != 4 { // ann, bob, zoe, and a stranger
			t.Errorf("%d seats are taken when none is kept any more", n)
		}
	})
}

// TestSeatsOfADeadServer: they end with it, and do not hold up one that is stopped.
func TestSeatsOfADeadServer(t *testing.T) {
	playRooms(t, 3, nil, nil, func(s *stack, o *house) {
		ctx := context.Background()
		var keys []string
		for node := range uint16(2) {
			key, err := o.rooms[node+1].Open(ctx, struct{}{})
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, key)
		}
		s.servers[0].line.set(true)
		time.Sleep(40 * time.Second)
		if err := o.rooms[3].Reserve(ctx, keys[0], "ann"); !errors.Is(err, framework.ErrNoRoom) {
			t.Errorf("its server is dead: %v", err)
		}
		s.join(s.dial(s.servers[1], "bob", ""), keys[1])
		if err := o.rooms[3].Reserve(ctx, keys[1], "ann"); err != nil {
			t.Error(err)
		}
		began := time.Now()
		if err := s.servers[1].Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d > 20*time.Second {
			t.Errorf("a seat that is kept has held up the end of its server for %v", d)
		}
		s.servers = slices.Delete(s.servers, 1, 2)
		if err := o.rooms[3].Reserve(ctx, keys[1], "ann"); !errors.Is(err, framework.ErrNoRoom) {
			t.Errorf("its server has left: %v", err)
		}
	})
}
