// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/internal/logtest"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestWhatDoesNotReturnIsNamed: in a room, on a worker, in a callback; in the log,
// once, in Stats while it lasts, and in the error of Shutdown.
func TestWhatDoesNotReturnIsNamed(t *testing.T) {
	var log logtest.Lines
	var free chan struct{} // of the simulation
	block := func(*framework.Player, int) { <-free }
	simulate(t, 1, memnet.Conditions{}, framework.Config{Session: quick, Logger: log.Logger()}, func(s *framework.Server) {
		free = make(chan struct{})
		framework.OnMessage(s, "slow query", block)
		rooms := framework.AddRoom(s, "lair", func(r *framework.Room) *lair {
			return &lair{r, func(string, *framework.Player) {}}
		}).Tick(time.Hour)
		framework.OnRoomMessage(rooms, "dig", func(_ *lair, p *framework.Player, n int) { block(p, n) })
	}, func(e *env) {
		want := func(loop, room, worker int64) {
			t.Helper()
			if st := e.srv.Stats().Stuck; st["loop"] != loop || st["room"] != room || st["worker"] != worker {
				t.Errorf("stuck: %v", st)
			}
		}
		ann, bob := e.dial("ann", transport.TCP), e.dial("bob", transport.TCP)
		if err := bob.Join(context.Background(), "lair", "7"); err != nil {
			t.Fatal(err)
		}
		_, _ = ann.Send("slow query", 1), bob.Send("dig", 1)
		time.Sleep(5 * time.Second)
		want(0, 1, 0)
		time.Sleep(10 * time.Minute)
		want(0, 1, 1)
		for _, line := range []string{
			`msg="a room is blocked" route=dig took=1s user=bob times=1 room=lair/7`,
			`msg="a handler does not return" route="slow query" took=10s user=ann times=1`,
		} {
			if log.Count(line) != 1 || log.Count("route=dig") != 1 {
				t.Errorf("want once %s in\n%s", line, log.String())
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
		defer cancel()
		err := e.srv.Shutdown(ctx)
		for _, want := range []string{`"slow query" of user "ann" for 10m`, `"dig" of user "bob" in room lair/7 for 10m`, "1 rooms are still busy"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("shutdown: %v, want %s", err, want)
			}
		}
		close(free)
		time.Sleep(time.Second)
		want(0, 0, 0)
	})
}

// TestContextEndsWithTheSession, not when its handlers have returned, which may
// be what they wait for.
func TestContextEndsWithTheSession(t *testing.T) {
	var rooms *framework.Rooms[*lair]
	var joined error
	released := 0
	simulate(t, 1, memnet.Conditions{}, framework.Config{Session: quick}, func(s *framework.Server) {
		rooms = framework.AddRoom(s, "lair", func(r *framework.Room) *lair {
			return &lair{r, func(string, *framework.Player) {}}
		}).Tick(time.Hour)
		framework.OnMessage(s, "wait", func(p *framework.Player, _ int) { <-p.Context().Done(); released++ })
		framework.OnMessage(s, "join", func(p *framework.Player, _ int) { joined = rooms.Join(p.Context(), p, "1"); released++ })
	}, func(e *env) {
		for _, route := range []string{"wait", "join"} {
			c := e.dial(route, transport.TCP)
			_ = c.Send(route, 1)
			time.Sleep(time.Second)
			ctx := e.srv.User(route)[0].Context()
			_ = c.Close()
			time.Sleep(time.Second)
			if ctx.Err() == nil {
				t.Errorf("%s: the context lives", route)
			}
		}
		stays := e.dial("stays", transport.TCP)
		_ = stays.Send("join", 1)
		time.Sleep(time.Minute)
		synctest.Wait() // what the handlers wrote is read below
		if !errors.Is(joined, context.DeadlineExceeded) || released != 3 {
			t.Errorf("join from a handler: %v; %d of 3 released", joined, released)
		}
		late := e.players()[0]
		if late.Context().Err() == nil {
			t.Error("the context of a session that is over")
		}
	})
}
