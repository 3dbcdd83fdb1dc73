// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	msg "github.com/lifeline-go/lifeline/framework/cluster/internal/place"
	"github.com/lifeline-go/lifeline/session"
)

// TestSeatsOfTheRoomBefore: a room whose key its server has made ends, and is made anew for a
// player who asks for it. Seats that were kept in the one before are none of it.
func TestSeatsOfTheRoomBefore(t *testing.T) {
	playRooms(t, 1, nil, func(rooms *framework.Rooms[*hall]) { rooms.Seats(1) }, func(s *stack, o *house) {
		a := s.servers[0]
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		key, err := o.rooms[1].Open(ctx, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		ask := func(session session.ID) msg.Says {
			t.Helper()
			q := msg.Question{Type: "hall", Key: key, User: "ann", Session: session}
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			b, err := s.bus.Ask(ctx, a.c.Name()+".rooms", q.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := msg.ParseAnswer(b)
			if err != nil {
				t.Fatal(err)
			}
			return answer.Says
		}
		if says := ask(session.ID{1}); says != msg.Seated {
			t.Fatalf("the first one: %d", says)
		}
		time.Sleep(10 * time.Second)
		o.rooms[1].Post(key, func(h *hall) { h.Close(1001, "over") })
		time.Sleep(time.Second)
		if says := ask(session.ID{2}); says != msg.Seated {
			t.Fatalf("the second one, in a new room: %d", says)
		}
		time.Sleep(7 * time.Second) // the time of the first one is over
		if says := ask(session.ID{3}); says != msg.Refuses {
			t.Errorf("the only seat is kept for the second one, and given away: %d", says)
		}
	})
}

// TestOpenBeforeStart is refused: the room would wait for the server's place in the cluster, and
// its key could not say where it is.
func TestOpenBeforeStart(t *testing.T) {
	early := map[string]error{}
	setup := func(node uint16, srv *framework.Server) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		hall := framework.AddRoom(srv, "hall", func(r *framework.Room) *framework.Room { return r })
		yard := framework.AddRoom(srv, "yard", func(r *framework.Room) *framework.Room { return r }).Local()
		_, early["hall"] = hall.Open(ctx, struct{}{})
		_, early["yard"] = yard.Open(ctx, struct{}{})
	}
	playWith(t, "", 1, nil, setup, func(s *stack) {
		for what, err := range early {
			if err == nil || !strings.Contains(err.Error(), "Open before Start") {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}
