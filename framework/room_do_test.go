// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
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
