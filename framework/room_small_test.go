// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestNewsOfRoomsFitIntoSmallBodies: what clients are told of their rooms and of lists gets
// there whatever MaxBody is.
func TestNewsOfRoomsFitIntoSmallBodies(t *testing.T) {
	const types = 6
	cfg := framework.Config{Session: quick}
	cfg.Session.MaxBody, cfg.Session.SendPackets = 512, 64
	var kinds []*framework.Rooms[*framework.Room]
	// No acknowledgement comes while nothing waits.
	simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, cfg, func(s *framework.Server) {
		for i := range types {
			k := framework.AddRoom(s, fmt.Sprint("type", i), func(r *framework.Room) *framework.Room { return r }).Linger(-1).Listed()
			kinds = append(kinds, k.Keys(func(key string) bool { return len(key) < 400 }))
		}
	}, func(e *env) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		told := &diary{}
		ann := e.newClient("ann", transport.TCP)
		for i := range types {
			follow(ann, fmt.Sprint("type", i), "ann", told)
		}
		e.connect(ann)
		key := strings.Repeat("k", 300)
		for i := range types {
			if err := ann.Join(ctx, fmt.Sprint("type", i), key); err != nil {
				t.Fatal(err)
			}
		}
		p := e.srv.User("ann")[0]
		for range 100 {
			_ = p.Push("flood", 1)
		}
		last := types - 1
		kinds[last].Post(key, func(r *framework.Room) { r.Remove(p, 1000, "") }) // of which it is not told
		time.Sleep(10 * time.Second)
		if n := e.srv.Stats().Resets; n != 1 {
			t.Fatalf("%d resets", n)
		}
		for i := range types {
			if got, ok := ann.Room(fmt.Sprint("type", i)).Key(); ok != (i < last) || ok && got != key {
				t.Errorf("type%d after a reset: in %.5q, %v", i, got, ok)
			}
		}
		kinds[0].Post(key, func(r *framework.Room) { r.Remove(p, 1000, strings.Repeat("x", 250)) })
		time.Sleep(time.Second)
		if _, ok := ann.Room("type0").Key(); ok {
			t.Error("ann was not told that it is out")
		}

		seen := make(chan int, 1000) // more than there are
		if err := ann.Room("type1").Follow(ctx, "", func(all []client.RoomInfo) { seen <- len(all) }); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			bob := e.dial(fmt.Sprint("bob", i), transport.TCP)
			if err := bob.Join(ctx, "type1", fmt.Sprint(i, strings.Repeat("k", 200))); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second)
		late := make(chan int, 1000)
		if err := e.dial("eve", transport.TCP).Room("type1").Follow(ctx, "", func(all []client.RoomInfo) { late <- len(all) }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		for _, seen := range []chan int{seen, late} {
			n := 0
			for len(seen) > 0 {
				n = <-seen
			}
			if n != 11 {
				t.Errorf("the list has %d rooms, want 11", n)
			}
		}
	})
}
