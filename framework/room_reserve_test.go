// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/transport"
)

// reserving plays rooms of three seats that clients may join.
func reserving(t *testing.T, f func(e *env, rooms *bouts)) {
	boutServer(t, framework.Config{}, func(e *env, _ *diary, rooms *bouts) { f(e, rooms) },
		func(_ *framework.Server, rooms *bouts, _ *diary) { rooms.Seats(3) })
}

// TestSeatsAreReservedForUsers: all or none, and no one else gets them.
func TestSeatsAreReservedForUsers(t *testing.T) {
	reserving(t, func(e *env, rooms *bouts) {
		ctx := context.Background()
		key := open(t, rooms, boutParams{Map: "ice"})
		reserve := func(users ...string) error { return rooms.Reserve(ctx, key, users...) }
		for range 2 { // it is the same seats
			if err := reserve("ann", "bob", "ann"); err != nil {
				t.Fatal(err)
			}
		}
		err := reserve("cid", "dan") // and none for cid
		wantCode(t, err, codec.ErrorFull)
		if want := "2 seats are wanted, and 2 of 3 are taken"; !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		cid, dan := e.dial("cid", transport.TCP), e.dial("dan", transport.TCP)
		if err := cid.Join(ctx, "match", key); err != nil {
			t.Errorf("the third seat is free: %v", err)
		}
		wantCode(t, dan.Join(ctx, "match", key), codec.ErrorFull)
		rooms.Post(key, func(b *bout) { b.SetOpen(false) })
		if err := e.dial("ann", transport.TCP).Join(ctx, "match", key); err != nil {
			t.Errorf("a seat is kept, and the room is closed to others: %v", err)
		}
		wantCode(t, reserve("dan"), codec.ErrorRefused)
		if err := reserve("ann", "cid", "bob"); err != nil {
			t.Errorf("two are members, and one has a seat: %v", err)
		}
		rooms.Post(key, func(b *bout) { b.SetOpen(true) })
		wantCode(t, dan.Join(ctx, "match", key), codec.ErrorFull)
		time.Sleep(31 * time.Second)
		if err := dan.Join(ctx, "match", key); err != nil {
			t.Errorf("bob has not come: %v", err)
		}
		wantCode(t, e.dial("bob", transport.TCP).Join(ctx, "match", key), codec.ErrorFull)
	})
}

// TestSeatTakesTheSeatsThatAreReserved for its players, also where no other one is free or the
// room lets no others in.
func TestSeatTakesTheSeatsThatAreReserved(t *testing.T) {
	for _, shut := range []bool{false, true} {
		reserving(t, func(e *env, rooms *bouts) {
			ctx := context.Background()
			key := open(t, rooms, boutParams{Map: "ice"})
			if err := rooms.Reserve(ctx, key, "ann", "bob", "cid"); err != nil {
				t.Fatal(err)
			}
			all := map[string]*framework.Player{}
			for _, user := range []string{"ann", "bob", "dan"} {
				e.dial(user, transport.TCP)
				all[user] = e.srv.User(user)[0]
			}
			rooms.Post(key, func(b *bout) { b.SetOpen(!shut) })
			time.Sleep(time.Second)
			refused := codec.ErrorFull
			if shut {
				refused = codec.ErrorRefused
			}
			wantCode(t, rooms.Seat(ctx, key, all["ann"], all["dan"]), refused)
			if err := rooms.Seat(ctx, key, all["ann"], all["bob"]); err != nil {
				t.Error(err)
			}
			if st := e.srv.Stats().Rooms["match"]; st.Players != 3 { // cid's is kept
				t.Errorf("%d seats are taken", st.Players)
			}
			time.Sleep(31 * time.Second)
			if st := e.srv.Stats().Rooms["match"]; st.Players != 2 {
				t.Errorf("%d seats are taken, of two members", st.Players)
			}
		})
	}
}

// TestReservedSeatsKeepTheRoomOpen for as long as they last.
func TestReservedSeatsKeepTheRoomOpen(t *testing.T) {
	reserving(t, func(e *env, rooms *bouts) {
		ctx := context.Background()
		ann := e.dial("ann", transport.TCP)
		if err := ann.Join(ctx, "match", "red"); err != nil {
			t.Fatal(err)
		}
		if err := rooms.Reserve(ctx, "red", "bob"); err != nil {
			t.Fatal(err)
		}
		if err := ann.Leave(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(29 * time.Second)
		if st := e.srv.Stats().Rooms["match"]; st.Open != 1 {
			t.Errorf("%d rooms while a seat is kept", st.Open)
		}
		time.Sleep(2 * time.Second)
		if st := e.srv.Stats().Rooms["match"]; st.Open != 0 {
			t.Errorf("%d rooms after that", st.Open)
		}
		if err := rooms.Reserve(ctx, "red", "bob"); !errors.Is(err, framework.ErrNoRoom) {
			t.Errorf("no room: %v", err)
		}
		wantCode(t, rooms.Reserve(ctx, "red", "bob", ""), codec.ErrorBadRequest)
	})
}

// TestReservedSeatsDoNotHoldUpShutdown: no user comes any more.
func TestReservedSeatsDoNotHoldUpShutdown(t *testing.T) {
	reserving(t, func(e *env, rooms *bouts) {
		ctx := context.Background()
		if err := rooms.Reserve(ctx, open(t, rooms, boutParams{Map: "ice"}), "ann"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := e.srv.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// TestReservedSeatsEndWithTheRoom.
func TestReservedSeatsEndWithTheRoom(t *testing.T) {
	reserving(t, func(e *env, rooms *bouts) {
		ctx := context.Background()
		key := open(t, rooms, boutParams{Map: "ice"})
		if err := rooms.Reserve(ctx, key, "ann", "bob"); err != nil {
			t.Fatal(err)
		}
		if err := rooms.Do(ctx, key, func(b *bout) { b.Close(0, "") }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if st := e.srv.Stats().Rooms["match"]; st.Open != 0 || st.Players != 0 {
			t.Errorf("%+v", st)
		}
		time.Sleep(31 * time.Second)
	})
}
