// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
)

func listedHalls(rooms *framework.Rooms[*hall]) { rooms.Seats(2).Listed() }

// told is what a client was told of a list: key and players of each room.
func told(list []client.RoomInfo) string {
	var rooms []string
	for _, r := range list {
		rooms = append(rooms, fmt.Sprintf("%s:%d", r.Key, r.Players))
	}
	slices.Sort(rooms)
	return fmt.Sprint(rooms)
}

// list asks for the rooms that a filter chooses.
func (s *stack) list(c *client.Client, filter string) string {
	s.t.Helper()
	list, total, err := c.Room("hall").List(context.Background(), filter)
	if err != nil || total != len(list) {
		s.t.Errorf("a list: %d of %d, %v", len(list), total, err)
	}
	return told(list)
}

// TestListsHaveTheRoomsOfAllServers, and filters choose among them.
func TestListsHaveTheRoomsOfAllServers(t *testing.T) {
	playRooms(t, 3, nil, listedHalls, func(s *stack, o *house) {
		ann, bob, cid := s.dial(s.servers[0], "ann", ""), s.dial(s.servers[1], "bob", ""), s.dial(s.servers[2], "cid", "")
		s.join(ann, "red")
		s.join(bob, "blue")
		o.rooms[2].Post("blue", func(h *hall) { _ = h.Publish(map[string]string{"map": "ice"}) })
		time.Sleep(100 * time.Millisecond)
		for i, c := range []*client.Client{ann, bob, cid} {
			if got := s.list(c, "") + s.list(c, "map=ice") + s.list(c, "key=red players=1 seats=2"); got != "[blue:1 red:1][blue:1][red:1]" {
				t.Errorf("at server %d: %s", i+1, got)
			}
		}
		s.join(cid, "red") // it goes there
		time.Sleep(2 * time.Second)
		if got := s.list(bob, "") + s.list(bob, "free>0"); got != "[blue:1 red:2][blue:1]" {
			t.Errorf("when one is full: %s", got)
		}
		asked := func() uint64 { return s.servers[1].Stats().Cluster.RoomLists["told"] }
		before := asked()
		for range 3 { // within a second
			s.list(bob, "")
		}
		if n := asked() - before; n != 0 {
			t.Errorf("the others were asked %d times for lists that are known", n)
		}
	})
}

// TestFollowedListsHaveTheRoomsOfAllServers: changes are told, those of a dead server's rooms,
// too. One that is silent has what it said last.
func TestFollowedListsHaveTheRoomsOfAllServers(t *testing.T) {
	playRooms(t, 3, nil, listedHalls, func(s *stack, o *house) {
		var mu sync.Mutex
		var last string
		is := func(want string) func() bool {
			return func() bool {
				mu.Lock()
				defer mu.Unlock()
				return last == want
			}
		}
		ann, bob, cid := s.dial(s.servers[0], "ann", ""), s.dial(s.servers[1], "bob", ""), s.dial(s.servers[2], "cid", "")
		s.join(bob, "blue")
		if err := ann.Room("hall").Follow(context.Background(), "", func(list []client.RoomInfo) {
			mu.Lock()
			last = told(list)
			mu.Unlock()
		}); err != nil {
			t.Fatal(err)
		}
		s.within(3*time.Second, "the room of another server", is("[blue:1]"))
		s.join(cid, "red")
		s.within(4*time.Second, "one more", is("[blue:1 red:1]"))
		if err := cid.Leave(context.Background()); err != nil {
			t.Error(err)
		}
		s.within(4*time.Second, "it has ended", is("[blue:1]"))
		s.join(ann, "green")
		s.within(4*time.Second, "one of this server", is("[blue:1 green:1]"))
		s.servers[1].line.set(true)
		time.Sleep(10 * time.Second)
		if !is("[blue:1 green:1]")() {
			t.Errorf("a server is silent: %s", last)
		}
		if st := s.servers[0].Stats().Cluster.RoomLists; st["silent"] == 0 || st["told"] == 0 {
			t.Errorf("counted %v", st)
		}
		s.within(40*time.Second, "a server is dead", is("[green:1]"))
		if err := ann.Room("hall").Unfollow(context.Background()); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
		asked := func() uint64 { return s.servers[0].Stats().Cluster.RoomLists["told"] }
		before := asked()
		time.Sleep(10 * time.Second)
		if n := asked() - before; n != 0 {
			t.Errorf("the others are asked %d times although no list is followed", n)
		}
	})
}
