// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster"
)

// callHalls is playRooms with handlers of calls: "tell" runs in a hall, and "near" beside it.
func callHalls(t *testing.T, n int, f func(s *stack, o *house)) {
	var c *cluster.Cluster
	change := func(cfg *framework.Config) { c = cfg.Cluster.(*cluster.Cluster) }
	set := func(halls *framework.Rooms[*hall]) {
		cluster.HandleRoom(c, halls, "tell", func(h *hall, from cluster.Member, text string) (string, error) {
			switch text {
			case "no":
				return "", framework.Fail(1234, "not now")
			case "bomb":
				panic("bang")
			case "close":
				h.Close(0, "")
			}
			return fmt.Sprintf("%s: %d in %s at %d from %d", text, h.Len(), h.Key(), h.node, from.Node), nil
		})
		cluster.Handle(c, "near", func(_ context.Context, from cluster.Member, text string) (string, error) {
			return text + " from " + fmt.Sprint(from.Node), nil
		})
	}
	playRooms(t, n, change, set, f)
}

func (v *server) tell(to cluster.Target, text string) (string, error) {
	return cluster.Call[string](context.Background(), v.c, to, "tell", text)
}

// TestCallOfARoom: it runs in the room, wherever that is, and never makes one.
func TestCallOfARoom(t *testing.T) {
	callHalls(t, 3, func(s *stack, o *house) {
		a, b := s.servers[0], s.servers[1]
		s.join(s.dial(a, "ann", ""), "red")
		for i, v := range s.servers {
			want := fmt.Sprintf("hi: 1 in red at 1 from %d", i+1)
			if got, err := v.tell(cluster.RoomOf("hall", "red"), "hi"); err != nil || got != want {
				t.Errorf("from server %d: %q, %v, want %q", i+1, got, err, want)
			}
		}
		if got, err := cluster.Call[string](context.Background(), b.c, cluster.RoomOf("hall", "red"), "near", "hi"); err != nil || got != "hi from 2" {
			t.Errorf("a handler beside the room: %q, %v", got, err)
		}
		opened, err := o.rooms[3].Open(context.Background(), struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.tell(cluster.RoomOf("hall", opened), "hi"); err != nil || got != "hi: 0 in "+opened+" at 3 from 1" {
			t.Errorf("a room that was opened: %q, %v", got, err)
		}
		for kind, key := range map[string]string{"hall": "blue", "hell": "red"} {
			began := time.Now()
			if got, err := b.tell(cluster.RoomOf(kind, key), "hi"); !errors.Is(err, cluster.ErrNoRoom) || time.Since(began) > 0 {
				t.Errorf("no room: %q, %v after %v", got, err, time.Since(began))
			}
		}
		if got := fmt.Sprint(o.opened()); got != fmt.Sprintf("[red at 1 %s at 3]", opened) {
			t.Errorf("rooms: %s", got)
		}
	})
}

// TestCallsOfRoomsThatFail: the caller is told why, and the room goes on.
func TestCallsOfRoomsThatFail(t *testing.T) {
	callHalls(t, 2, func(s *stack, _ *house) {
		a, b := s.servers[0], s.servers[1]
		ann := s.dial(a, "ann", "")
		s.join(ann, "red")
		red := cluster.RoomOf("hall", "red")
		for text, want := range map[string]framework.Error{
			"no": {Code: 1234, Text: "not now"}, "bomb": {Code: framework.ErrorInternal, Text: "internal error"},
		} {
			var no *framework.Error
			if _, err := b.tell(red, text); !errors.As(err, &no) || *no != want {
				t.Errorf("%s: %v, want %v", text, err, want)
			}
		}
		var no *framework.Error
		if _, err := b.tell(cluster.Node(1), "hi"); !errors.As(err, &no) || no.Code != framework.ErrorBadRequest {
			t.Errorf("a call of a room to a server: %v", err)
		}
		if got, err := b.tell(red, "close"); err != nil || got != "close: 1 in red at 1 from 2" {
			t.Errorf("%q, %v", got, err)
		}
		time.Sleep(time.Second)
		if got, err := b.tell(red, "hi"); !errors.Is(err, cluster.ErrNoRoom) {
			t.Errorf("a room that has ended: %q, %v", got, err)
		}
		s.join(ann, "red")
		a.line.set(true)
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if got, err := cluster.Call[string](ctx, b.c, red, "tell", "hi"); err == nil || ctx.Err() != nil {
			t.Errorf("a room whose server is cut off: %q, %v", got, err)
		}
		time.Sleep(40 * time.Second)
		if got, err := b.tell(red, "hi"); !errors.Is(err, cluster.ErrNoRoom) {
			t.Errorf("a room whose server is dead: %q, %v", got, err)
		}
	})
}
