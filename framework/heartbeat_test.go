// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

type duel struct{ *framework.Room }

// Scenario 5: two profiles in one server, each player judged by its own.
func TestRoomsMayDemandMore(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		setup := func(s *framework.Server) {
			framework.AddRoom(s, "duel", func(r *framework.Room) *duel { return &duel{r} }).Heartbeat(framework.HeartbeatDemanding)
		}
		simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, framework.Config{}, setup, func(e *env) {
			ctx := context.Background()
			e.dial("calm", carrier)
			fighting, left := e.dial("fighting", carrier), e.dial("left", carrier)
			if err := fighting.Join(ctx, "duel", "1"); err != nil {
				t.Fatal(err)
			}
			if err := left.Join(ctx, "duel", "1"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(15 * time.Second) // all beat as they should
			if err := left.Leave(ctx); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			for _, u := range []string{"calm", "fighting", "left"} {
				if got := e.of(u); !slices.Equal(got, []string{"open"}) {
					t.Fatalf("%s: hooks %v before anything happened", u, got)
				}
			}
			// Everybody's clients fall silent: no goodbye, no more dialling.
			cut := time.Now()
			e.net.CutAll()
			gone := map[string]time.Duration{}
			for len(gone) < 3 && time.Since(cut) < time.Minute {
				time.Sleep(50 * time.Millisecond)
				for _, u := range []string{"calm", "fighting", "left"} {
					if _, ok := gone[u]; !ok && slices.Contains(e.of(u), "detach") {
						gone[u] = time.Since(cut)
					}
				}
			}
			within := func(u string, timeout, interval time.Duration) {
				// The last sign of life came at most an interval and its jitter before the cut.
				if d := gone[u]; d < timeout-interval*12/10 || d > timeout+500*time.Millisecond {
					t.Errorf("%s was given up after %v; its timeout is %v", u, d, timeout)
				}
			}
			within("fighting", 8*time.Second, 2*time.Second)
			for _, u := range []string{"calm", "left"} {
				within(u, 35*time.Second, 10*time.Second)
			}
		})
	})
}

func TestProfilesThatCannotWorkAreRefused(t *testing.T) {
	simulate(t, 1, memnet.Conditions{}, framework.Config{}, nil, func(e *env) {
		e.dial("ann", transport.TCP)
		if err := e.srv.User("ann")[0].SetHeartbeat(framework.HeartbeatProfile{Interval: time.Second, Timeout: time.Second}); err == nil {
			t.Error("a timeout of one interval was taken")
		}
	})
}
