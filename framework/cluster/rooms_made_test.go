// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
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

// opens opens a room at a server of a yard, and puts these users of it in.
func (y *yard) opens(t *testing.T, at int, v *server, users ...string) (key string) {
	t.Helper()
	key, err := y.rooms[at].Open(context.Background(), struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range users {
		if err := y.rooms[at].Seat(context.Background(), key, v.User(user)...); err != nil {
			t.Fatal(err)
		}
	}
	return key
}

// gone checks that there is no room of a key, neither for a client nor for these servers, and no
// entry in the directory.
func (s *stack) gone(c *client.Client, y *yard, key string, at ...int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var no *codec.Error
	if err := c.Join(ctx, "count", key); !errors.As(err, &no) || no.Code != codec.ErrorRefused || no.Text != "there is no such room" {
		s.t.Errorf("join: %v", err)
	}
	for _, i := range at {
		if err := y.rooms[i].Reserve(ctx, key, "zoe"); !errors.Is(err, framework.ErrNoRoom) {
			s.t.Errorf("reserve: %v", err)
		}
	}
	time.Sleep(time.Second)
	if b, _, err := s.bus.Get(ctx, "rooms/"+msg.Name("count", key)); err != nil || len(b) > 0 {
		s.t.Errorf("the directory has %q, %v", b, err)
	}
}

// TestOpenedRoomGoesAlong: a room that the game has opened goes on at the next server when its own
// is stopped, and at the one after that, and is found by its key from every server.
func TestOpenedRoomGoesAlong(t *testing.T) {
	playYard(t, 3, quickDrain, nil, func(s *stack, y *yard) {
		var d deaths
		first := s.servers[0]
		ann, bob := s.talker(&d, "tcp", "ann", 0), s.talker(&d, "tcp", "bob", 0)
		key := y.opens(t, 0, first, "ann", "bob")
		all := []*talker{ann, bob}
		sent := uint64(0)
		goesOn := func() {
			t.Helper()
			for range 5 {
				sent++
				for _, k := range all {
					_ = k.Send("add", sent)
				}
			}
			time.Sleep(time.Second)
			for _, k := range all {
				got := s.sums(k.Client)
				if at, _ := k.Room("count").Key(); at != key || got["ann"] != sent || got["bob"] != sent {
					t.Errorf("%s is in %s, which has %v", k.user, at, got)
				}
			}
		}
		goesOn()
		for i, user := range []string{"cid", "dan"} {
			s.stop()
			goesOn()
			for j := range s.servers {
				c := s.dial(s.servers[j], fmt.Sprint(user, j), "")
				s.enter(c, key)
				if got := s.sums(c); got["ann"] != sent {
					t.Errorf("from server %d: %v", j, got)
				}
			}
			for j := range s.servers {
				if err := y.rooms[i+1+j].Reserve(context.Background(), key, "eve"); err != nil {
					t.Errorf("reserve: %v", err)
				}
			}
		}
		if got := fmt.Sprint(y.told("create", "leave", "missing", "end")); got != "[create "+key+"]" {
			t.Error(got)
		}
		if st := first.Stats().Rooms["count"]; st.HandedOver != 1 || st.Drained != 0 || st.StateLost != 0 {
			t.Errorf("%+v", st)
		}
		for _, k := range all {
			if st := k.Stats(); st.Opens != 1 || st.Resets != 0 {
				t.Errorf("%s: %+v", k.user, st)
			}
		}
		_ = y.rooms[2].Do(context.Background(), key, func(c *count) { c.Close(0, "") })
		time.Sleep(time.Second)
		s.gone(s.dial(s.servers[0], "fay", ""), y, key, 2)
	})
}

// TestOpenedRoomOnDemand: it is handed over while its server serves on. Players that ask for
// it at that moment get in where it goes on, also at the server that has made its key; and it comes
// back.
func TestOpenedRoomOnDemand(t *testing.T) {
	playYard(t, 2, nil, nil, func(s *stack, y *yard) {
		y.saving = func() { time.Sleep(700 * time.Millisecond) } // only its server knows of the room meanwhile
		ann, bob, cid := s.dial(s.servers[0], "ann", ""), s.dial(s.servers[0], "bob", ""), s.dial(s.servers[1], "cid", "")
		key := y.opens(t, 0, s.servers[0], "ann")
		_ = ann.Send("add", 1)
		time.Sleep(time.Second)
		if _, err := y.handOver(t, key); err != nil {
			t.Fatal(err)
		}
		s.within(time.Second, "saved", func() bool { return y.told("save") != nil })
		var joining sync.WaitGroup
		for _, c := range []*client.Client{bob, cid} {
			joining.Go(func() { s.enter(c, key) })
		}
		for i := range y.rooms {
			joining.Go(func() {
				if err := y.rooms[i].Reserve(context.Background(), key, "dan"); err != nil {
					t.Errorf("reserve at that moment: %v", err)
				}
			})
		}
		joining.Wait()
		for round := range 3 {
			for _, c := range []*client.Client{ann, bob, cid} {
				if got := fmt.Sprint(s.sums(c)); got != "map[ann:1]" {
					t.Errorf("the room has %s", got)
				}
			}
			if from, err := y.handOver(t, key); err != nil || from != (round+1)%2 {
				t.Errorf("handed over by %d: %v", from, err)
			}
		}
		time.Sleep(time.Second)
		for i, c := range []*client.Client{ann, bob, cid} {
			s.stayed(c, []int{4, 4, 3}[i])
		}
		if got := y.told("create", "leave", "missing", "end"); len(got) != 1 {
			t.Errorf("%q", got)
		}
	})
}

// TestOpenedRoomOutlivesItsMaker: the server that has made the key crashes after it has handed the
// room over. Players get in at once, before the crash is known.
func TestOpenedRoomOutlivesItsMaker(t *testing.T) {
	playYard(t, 3, nil, nil, func(s *stack, y *yard) {
		var d deaths
		ann := s.talker(&d, "tcp", "ann", 0)
		key := y.opens(t, 0, s.servers[0], "ann")
		_ = ann.Send("add", 1)
		time.Sleep(time.Second)
		if _, err := y.handOver(t, key); err != nil {
			t.Fatal(err)
		}
		s.within(5*time.Second, "it goes on", func() bool { return len(y.told("return")) == 1 })
		d.kill(s.servers[0])
		for i, v := range s.servers[1:] {
			c := s.dial(v, fmt.Sprint("bob", i), "")
			s.enter(c, key)
			if got := s.sums(c); got["ann"] != 1 {
				t.Errorf("from server %d: %v", i+1, got)
			}
			if err := y.rooms[i+1].Reserve(context.Background(), key, "cid"); err != nil {
				t.Errorf("from server %d: %v", i+1, err)
			}
		}
		s.stayed(ann.Client, 1)
	})
}

// TestOpenedRoomIsNotMadeAnew: a room that was handed over ends with its next server when that
// dies. No server knows what it was: it is not made anew, and its members are told.
func TestOpenedRoomIsNotMadeAnew(t *testing.T) {
	playYard(t, 3, reopens, nil, func(s *stack, y *yard) {
		var d deaths
		ann := s.talker(&d, "tcp", "ann", 0)
		w := seated{told: map[string][]string{}}
		w.follow(ann, "count")
		key := y.opens(t, 0, s.servers[0], "ann")
		time.Sleep(time.Second)
		if _, err := y.handOver(t, key); err != nil {
			t.Fatal(err)
		}
		s.within(5*time.Second, "it goes on", func() bool { return len(y.told("return")) == 1 })
		time.Sleep(time.Second)
		dead := slices.IndexFunc(s.servers, func(v *server) bool { return v.has("ann") })
		d.kill(s.servers[dead])
		time.Sleep(time.Minute)
		if got := w.of("ann"); len(got) != 2 || !strings.HasPrefix(got[1], "out of "+key) {
			t.Errorf("told %q", got)
		}
		for i, v := range s.servers {
			if i != dead {
				s.gone(s.dial(v, fmt.Sprint("bob", i), ""), y, key, i)
			}
		}
		if got := y.told("create"); len(got) != 1 {
			t.Errorf("%q", got)
		}
	})
}

// TestOpenedRoomIsGivenUp: a room ends if its hand-over can't be written, and is open nowhere
// when the directory is back.
func TestOpenedRoomIsGivenUp(t *testing.T) {
	playYard(t, 2, nil, nil, func(s *stack, y *yard) {
		first := s.servers[0]
		ann := s.dial(first, "ann", "")
		key := y.opens(t, 0, first, "ann")
		time.Sleep(time.Second)
		first.line.setMute("rooms/")
		if _, err := y.handOver(t, key); err != nil {
			t.Fatal(err)
		}
		s.within(time.Minute, "it ends", func() bool { return len(y.told("end")) == 1 })
		if st := first.Stats().Rooms["count"]; st.StateLost != 1 || st.HandedOver != 0 {
			t.Errorf("%+v", st)
		}
		first.line.setMute()
		time.Sleep(10 * time.Second)
		s.gone(ann, y, key, 0, 1)
		if got := first.Stats().Cluster.Rooms; got["closing"]+got["moving"]+got["open"] != 0 {
			t.Errorf("%v", got)
		}
	})
}

// TestRoomForStrangersGoesAlong: strangers fill it where it goes on.
func TestRoomForStrangersGoesAlong(t *testing.T) {
	set := func(rooms *framework.Rooms[*count]) { rooms.Seats(3) }
	playYard(t, 2, quickDrain, set, func(s *stack, y *yard) {
		ann := s.dial(s.servers[0], "ann", "")
		any := func(c *client.Client) string {
			t.Helper()
			key, err := c.JoinAny(context.Background(), "count")
			if err != nil {
				t.Fatal(err)
			}
			return key
		}
		key := any(ann)
		_ = ann.Send("add", 1)
		s.stop()
		for i, in := range []bool{true, true, false} {
			c := s.dial(s.servers[0], fmt.Sprint("p", i), "")
			if got := any(c); (got == key) != in {
				t.Errorf("stranger %d is in %s, not in %s: %v", i, got, key, in)
			}
			if in && fmt.Sprint(s.sums(c)) != "map[ann:1]" {
				t.Errorf("the room has %v", s.sums(c))
			}
		}
		s.stayed(ann, 1)
	})
}

// TestReserveWhileARoomGoes: the room that is being handed over, and has no entry yet, is not said
// to be none.
func TestReserveWhileARoomGoes(t *testing.T) {
	playYard(t, 2, nil, nil, func(s *stack, y *yard) {
		ann := s.dial(s.servers[0], "ann", "")
		key := y.opens(t, 0, s.servers[0], "ann")
		_ = ann.Send("add", 1)
		time.Sleep(time.Second)
		s.servers[0].line.setMute("rooms/")
		if _, err := y.handOver(t, key); err != nil {
			t.Fatal(err)
		}
		s.within(time.Second, "saved", func() bool { return y.told("save") != nil })
		time.Sleep(100 * time.Millisecond)
		if err := y.rooms[1].Reserve(context.Background(), key, "dan"); errors.Is(err, framework.ErrNoRoom) {
			t.Error(err)
		}
		s.servers[0].line.setMute()
		time.Sleep(5 * time.Second)
		if got := fmt.Sprint(s.sums(ann)); got != "map[ann:1]" {
			t.Errorf("the room has %s", got)
		}
	})
}

// TestOpenedRoomWaitsElsewhere: a room that was opened, and waits for its players, goes along
// when its server stops: it would not be made anew.
func TestOpenedRoomWaitsElsewhere(t *testing.T) {
	playYard(t, 2, quickDrain, nil, func(s *stack, y *yard) {
		key := y.opens(t, 0, s.servers[0])
		time.Sleep(time.Second) // each server knows of the other
		s.stop()
		s.enter(s.dial(s.servers[0], "bob", ""), key)
	})
}

// TestGuessedKey: a client asks for the next room for strangers before it is made. That keeps
// the room from being handed over only until the search is over.
func TestGuessedKey(t *testing.T) {
	playYard(t, 2, nil, nil, func(s *stack, y *yard) {
		ann, eve := s.dial(s.servers[0], "ann", ""), s.dial(s.servers[0], "eve", "")
		key, err := eve.JoinAny(context.Background(), "count")
		if err != nil {
			t.Fatal(err)
		}
		_ = eve.Room("count").Leave(context.Background())
		next := strings.TrimSuffix(key, "-1") + "-2"
		s.servers[0].line.setMute("rooms/")
		done := make(chan error)
		go func() { done <- eve.Join(context.Background(), "count", next) }()
		time.Sleep(500 * time.Millisecond)
		if got, err := ann.JoinAny(context.Background(), "count"); err != nil || got != next {
			t.Fatalf("%q, want %q: %v", got, next, err)
		}
		_ = ann.Send("add", 1)
		time.Sleep(200 * time.Millisecond)
		if _, err := y.handOver(t, next); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		s.servers[0].line.setMute()
		time.Sleep(10 * time.Second)
		<-done
		if got := fmt.Sprint(s.sums(ann)); got != "map[ann:1]" {
			t.Errorf("the room has %s", got)
		}
		if st := s.servers[0].Stats().Rooms["count"]; st.StateLost != 0 || st.HandedOver != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// TestSnapshotOfARoomThatNoPlayerWants: the next server does not open the room at once, and its
// members are gone. It is opened all the same, and ends.
func TestSnapshotOfARoomThatNoPlayerWants(t *testing.T) {
	playYard(t, 2, nil, nil, func(s *stack, y *yard) {
		ann := s.dial(s.servers[0], "ann", "")
		key := y.opens(t, 0, s.servers[0], "ann")
		time.Sleep(time.Second)
		s.servers[1].line.setMute("rooms/")
		if _, err := y.handOver(t, key); err != nil {
			t.Fatal(err)
		}
		_ = ann.Close()
		time.Sleep(10 * time.Second)
		s.servers[1].line.setMute()
		time.Sleep(10 * time.Minute)
		if b, _, err := s.bus.Get(context.Background(), "rooms/"+msg.Name("count", key)); err != nil || len(b) > 0 {
			t.Errorf("the directory has %d bytes, %v; the game was told %q", len(b), err, y.told(""))
		}
	})
}

// TestSearchesWriteNothing: for a room that has ended.
func TestSearchesWriteNothing(t *testing.T) {
	playYard(t, 2, nil, nil, func(s *stack, y *yard) {
		ann := s.dial(s.servers[0], "ann", "")
		key := y.opens(t, 0, s.servers[0], "ann")
		time.Sleep(time.Second)
		if _, err := y.handOver(t, key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		_ = y.rooms[1].Do(context.Background(), key, func(c *count) { c.Close(0, "") })
		time.Sleep(3 * time.Second)
		rev := func() uint64 {
			_, rev, _ := s.bus.Get(context.Background(), "rooms/"+msg.Name("count", key))
			return rev
		}
		before := rev()
		for range 5 {
			if _, err := ann.Room("count").Join(context.Background(), key); codeOf(err) != codec.ErrorRefused {
				t.Error(err)
			}
		}
		if after := rev(); before == 0 || after != before {
			t.Errorf("revision %d, then %d", before, after)
		}
	})
}
