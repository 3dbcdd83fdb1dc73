// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// TestSeatOfARefusedWish: a player comes to a server with two wishes for rooms of one type. One was
// put off on the way, and the other has a seat there. It gets into one of them, and the seat in the
// other one is free.
func TestSeatOfARefusedWish(t *testing.T) {
	playRooms(t, 3, quickDrain, nil, func(s *stack, _ *house) {
		for _, v := range s.servers[1:] {
			v.line.setMute("rooms/")
		}
		ann := s.dial(s.servers[0], "ann", "")
		s.join(ann, "red")
		s.stop()
		x, y := s.servers[0], s.servers[1]
		s.within(5*time.Second, "there", func() bool { return x.has("ann") || y.has("ann") })
		if y.has("ann") {
			x, y = y, x
		}
		begin := time.Now()
		y.line.setMute()
		cid := s.dial(y, "cid", "")
		s.join(cid, "blue")
		asked := make(chan error)
		go func() { asked <- ann.Join(context.Background(), "hall", "blue") }()
		time.Sleep(4500*time.Millisecond - time.Since(begin)) // the search for red ends after 5 s
		x.line.setMute()
		if err := <-asked; codeOf(err) != codec.ErrorInRoom || !y.has("ann") {
			t.Fatalf("not as it should be tried: %v", err)
		}
		for _, leave := range []func(context.Context) error{ann.Room("hall").Leave, cid.Room("hall").Leave} {
			if err := leave(context.Background()); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Minute)
		for _, v := range s.servers {
			if st := v.Stats().Rooms["hall"]; st.Open != 0 || st.Players != 0 {
				t.Errorf("%s has %+v", v.host, st)
			}
		}
	})
}
