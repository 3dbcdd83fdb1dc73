// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestDoWaitsForTheRoom: f runs in the room, or an error says that it does not.
func TestDoWaitsForTheRoom(t *testing.T) {
	boutServer(t, framework.Config{}, func(_ *env, _ *diary, rooms *bouts) {
		ctx, inside := context.Background(), ""
		key := open(t, rooms, boutParams{Map: "ice"})
		if err := rooms.Do(ctx, key, func(b *bout) { inside = b.Key() }); err != nil || inside != key {
			t.Errorf("it ran in %q, %v", inside, err)
		}
		if err := rooms.Do(ctx, "blue", func(*bout) { t.Error("there is no room") }); !errors.Is(err, framework.ErrNoRoom) {
			t.Errorf("no room: %v", err)
		}
		wantCode(t, rooms.Do(ctx, key, func(*bout) { panic("bang") }), codec.ErrorInternal)
		rooms.Post(key, func(*bout) { time.Sleep(2 * time.Second) })
		soon, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := rooms.Do(soon, key, func(*bout) { t.Error("its caller has gone") }); err != context.DeadlineExceeded {
			t.Errorf("a busy room: %v", err)
		}
		if err := rooms.Do(ctx, key, func(b *bout) { b.Close(0, "") }); err != nil {
			t.Errorf("it goes on after a panic: %v", err)
		}
		if err := rooms.Do(ctx, key, func(*bout) {}); !errors.Is(err, framework.ErrNoRoom) {
			t.Errorf("it has ended: %v", err)
		}
	})
}

// TestPostToARoomThatIsNotMade: what was posted does not run, and is not blamed.
func TestPostToARoomThatIsNotMade(t *testing.T) {
	var rooms *framework.Rooms[*lair]
	simulate(t, 1, memnet.Conditions{}, framework.Config{Session: quick}, func(s *framework.Server) {
		rooms = framework.AddRoomWith(s, "lair", func(*framework.Room, struct{}) (*lair, error) {
			time.Sleep(time.Second)
			return nil, framework.Fail(1001, "no")
		}).Tick(time.Second)
	}, func(e *env) {
		c := e.dial("ann", transport.TCP)
		time.AfterFunc(time.Millisecond, func() {
			rooms.Post("1", func(*lair) { t.Error("the room was not made") })
			if err := rooms.Do(context.Background(), "1", func(*lair) { t.Error("the room was not made") }); !errors.Is(err, framework.ErrNoRoom) {
				t.Error(err)
			}
		})
		if err := c.Join(context.Background(), "lair", "1"); err == nil {
			t.Error("the room was made")
		}
		time.Sleep(time.Second)
		if n := e.srv.Stats().Panics; n != 0 {
			t.Errorf("%d panics", n)
		}
	})
}
