// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestKeysThatPanic: Rooms.Keys is asked wherever a player wants in.
func TestKeysThatPanic(t *testing.T) {
	for _, how := range []string{"panic", "Goexit"} {
		t.Run(how, func(t *testing.T) {
			f := &fit{at: "Keys", how: how}
			simulate(t, 1, memnet.Conditions{}, framework.Config{Session: quick}, func(s *framework.Server) {
				framework.AddRoom(s, "den", func(r *framework.Room) *framework.Room { return r }).Keys(func(key string) bool {
					if key == "bad" {
						f.strike("Keys")
					}
					return true
				})
			}, func(e *env) {
				join := func(c *client.Client, key string) (err error, late bool) {
					ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
					defer cancel()
					return c.Join(ctx, "den", key), ctx.Err() != nil
				}
				ann, bob := e.dial("ann", transport.TCP), e.dial("bob", transport.TCP)
				f.armed.Store(true)
				if err, late := join(ann, "bad"); err == nil || late {
					t.Errorf("join: %v", err)
				}
				for _, c := range []*client.Client{bob, e.dial("cat", transport.TCP)} {
					if err, _ := join(c, "good"); err != nil {
						t.Error(err)
					}
				}
				if n := e.srv.Stats().Panics; n != 1 {
					t.Errorf("%d panics", n)
				}
			})
		})
	}
}
