// SPDX-License-Identifier: MIT

package framework_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// What was used stands around every handler, wherever it runs, and may answer
// in its place.
func TestUseStandsAroundEveryHandler(t *testing.T) {
	d := &diary{}
	note := func(name string) func(framework.Handler) framework.Handler {
		return func(next framework.Handler) framework.Handler {
			return func(c *framework.Call) error {
				start := time.Now()
				if (c.Route == "forbidden" || c.Route == framework.RouteLeave) && name == "inner" {
					return framework.Fail(1403, "not you")
				}
				err := next(c)
				d.add("%s %s %s %v %v %v", name, c.Player.User(), c.Route, c.Request, time.Since(start), err)
				return err
			}
		}
	}
	simulate(t, 1, memnet.Conditions{}, framework.Config{}, func(s *framework.Server) {
		s.Use(note("outer"))
		s.Use(note("inner"))
		framework.OnRequest(s, "double", func(_ *framework.Player, n int) (int, error) { time.Sleep(time.Second); return 2 * n, nil })
		framework.OnRequest(s, "forbidden", func(*framework.Player, int) (int, error) { t.Error("handled"); return 0, nil })
		framework.OnMessage(s, "note", func(*framework.Player, int) {}).Inline()
		hall := framework.AddRoom(s, "hall", func(r *framework.Room) *framework.Room { return r })
		framework.OnRoomRequest(hall, "in", func(_ *framework.Room, _ *framework.Player, n int) (int, error) { return n, framework.Fail(1001, "no") })
	}, func(e *env) {
		c, ctx := e.dial("ann", transport.TCP), context.Background()
		var n int
		if err := c.Request(ctx, "double", 21, &n); err != nil || n != 42 {
			t.Errorf("double: %d, %v", n, err)
		}
		wantCode(t, c.Request(ctx, "forbidden", 1, nil), 1403)
		_ = c.Send("note", 1)
		join(t, c, "1")
		wantCode(t, c.Request(ctx, "in", 1, nil), 1001)
		wantCode(t, c.Join(ctx, "nowhere", "1"), codec.ErrorNoRoute)
		wantCode(t, c.Leave(ctx), 1403)
		wantCode(t, c.Request(ctx, "in", 1, nil), 1001) // as before
		want := `inner ann double true 1s <nil>
outer ann double true 1s <nil>
outer ann forbidden true 0s lifeline: not you (code 1403)
inner ann note false 0s <nil>
outer ann note false 0s <nil>
inner ann room.join true 0s <nil>
outer ann room.join true 0s <nil>
inner ann in true 0s lifeline: no (code 1001)
outer ann in true 0s lifeline: no (code 1001)
inner ann room.join true 0s lifeline: there is no room type nowhere (code 2)
outer ann room.join true 0s lifeline: there is no room type nowhere (code 2)
outer ann room.leave true 0s lifeline: not you (code 1403)
inner ann in true 0s lifeline: no (code 1001)
outer ann in true 0s lifeline: no (code 1001)`
		if got := strings.Join(d.all(), "\n"); got != want {
			t.Errorf("noted\n%s\nwant\n%s", got, want)
		}
	})
}

// An Inline handler that blocks is named, in the log and by a counter.
func TestInlineHandlerThatBlocksIsNamed(t *testing.T) {
	var logged bytes.Buffer // of one loop
	cfg := framework.Config{Loops: 1, Logger: slog.New(slog.NewTextHandler(&logged, nil))}
	simulate(t, 1, memnet.Conditions{}, cfg, func(s *framework.Server) {
		framework.OnRequest(s, "block", func(_ *framework.Player, ms int) (int, error) {
			time.Sleep(time.Duration(ms) * time.Millisecond)
			return ms, nil
		}).Inline()
	}, func(e *env) {
		c := e.dial("ann", transport.TCP)
		for _, ms := range []int{10, 11, 500, 500} {
			if err := c.Request(context.Background(), "block", ms, nil); err != nil {
				t.Fatal(err)
			}
		}
		if n := e.srv.Stats().InlineLate; n != 3 {
			t.Errorf("%d were late, want 3", n)
		}
		if got := logged.String(); strings.Count(got, "route=block") != 1 || !strings.Contains(got, "took=11ms times=1") {
			t.Errorf("logged %s", got)
		}
		time.Sleep(time.Minute) // a line a minute
		if err := c.Request(context.Background(), "block", 12, nil); err != nil {
			t.Fatal(err)
		}
		if got := logged.String(); strings.Count(got, "route=block") != 2 || !strings.Contains(got, "took=12ms times=3") {
			t.Errorf("logged %s", got)
		}
	})
}

// One that does not come back is named all the same, once.
func TestInlineHandlerIsNamedWhileItBlocks(t *testing.T) {
	var logged bytes.Buffer
	cfg := framework.Config{Loops: 1, Logger: slog.New(slog.NewTextHandler(&logged, nil))}
	var free chan struct{} // of the simulation
	simulate(t, 1, memnet.Conditions{}, cfg, func(s *framework.Server) {
		free = make(chan struct{})
		framework.OnMessage(s, "stuck", func(*framework.Player, int) { <-free }).Inline()
		framework.OnMessage(s, "quick", func(*framework.Player, int) {}).Inline()
	}, func(e *env) {
		c := e.dial("ann", transport.TCP)
		_ = c.Send("quick", 1)
		time.Sleep(3 * time.Second) // the dog has gone to sleep
		_ = c.Send("stuck", 1)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := logged.String(); strings.Count(got, "is blocking") != 1 || !strings.Contains(got, "route=stuck took=1s") {
			t.Errorf("logged %s", got)
		}
		close(free)
	})
}

func TestRoutesAreListed(t *testing.T) {
	srv, err := framework.New(framework.Config{})
	if err != nil {
		t.Fatal(err)
	}
	hall := framework.AddRoom(srv, "hall", func(r *framework.Room) *framework.Room { return r })
	framework.OnRoomMessage(hall, "move", func(*framework.Room, *framework.Player, int) {})
	framework.OnRequest(srv, "ping", func(_ *framework.Player, n int) (int, error) { return n, nil }).Inline()
	framework.OnMessage(srv, "chat", func(*framework.Player, string) {})
	srv.Sends(framework.DropOldest, "chat", "kills")
	var got []string
	for _, r := range srv.Routes() {
		got = append(got, strings.Join(strings.Fields(r.String()), " "))
	}
	want := []string{
		"chat message sent: drop oldest", "kills sent: drop oldest", "move message in hall", "ping request inline",
		"room.all sent: every message", "room.follow request (built in)", "room.join request (built in)", "room.joined sent: every message", "room.leave request (built in)",
		"room.left sent: every message", "room.list request (built in)", "room.listed sent: every message", "room.unfollow request (built in)", "room.watch request (built in)",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A handler that blocks for ten seconds keeps nobody waiting but its player.
// When all workers are taken requests are answered BUSY, messages wait and
// their senders are held; rooms and Inline handlers go on, and nothing stays
// stuck.
func TestBlockedHandlersBelowAndAboveTheCap(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		const workers = 4
		var done atomic.Int64
		cfg := framework.Config{Workers: workers, Session: quick}
		cfg.Session.RecvPackets = 16 // the inbox is full soon
		simulate(t, 1, memnet.Conditions{Delay: 5 * time.Millisecond}, cfg, func(s *framework.Server) {
			framework.OnMessage(s, "block", func(*framework.Player, int) { time.Sleep(10 * time.Second); done.Add(1) })
			framework.OnMessage(s, "note", func(*framework.Player, int) { done.Add(1) })
			framework.OnRequest(s, "ping", func(_ *framework.Player, n int) (int, error) { return n, nil })
			framework.OnRequest(s, "fast", func(_ *framework.Player, n int) (int, error) { return n, nil }).Inline()
			hall := framework.AddRoom(s, "hall", func(r *framework.Room) *framework.Room { return r })
			framework.OnRoomRequest(hall, "size", func(r *framework.Room, _ *framework.Player, _ int) (int, error) { return r.Len(), nil })
		}, func(e *env) {
			c, ctx := e.dial("other", carrier), context.Background()
			join(t, c, "1")
			soon := func(route string) error {
				t.Helper()
				begin := time.Now()
				err := c.Request(ctx, route, 1, nil)
				if took := time.Since(begin); took > 200*time.Millisecond {
					t.Errorf("%s took %v", route, took)
				}
				return err
			}
			block := func(n int) {
				b := e.dial(fmt.Sprint("blocked", n), carrier)
				_ = b.Send("block", 1)
				for range 60 { // more than a window: it is held
					_ = b.Send("note", 1)
				}
			}
			for n := range workers - 1 {
				block(n)
			}
			time.Sleep(time.Second)
			for _, route := range []string{"ping", "fast", "size"} {
				if err := soon(route); err != nil {
					t.Errorf("below the cap: %s: %v", route, err)
				}
			}
			block(workers)
			block(workers + 1) // who waits for a worker
			time.Sleep(time.Second)
			wantCode(t, soon("ping"), codec.ErrorBusy)
			if err := errors.Join(soon("fast"), soon("size")); err != nil {
				t.Errorf("above the cap: %v", err)
			}
			if st := e.srv.Stats(); st.Busy != 1 || st.Workers.Busy != workers || st.Workers.Waiting != 1 || st.Overloads != 0 {
				t.Errorf("busy %d, workers %+v, overloads %d", st.Busy, st.Workers, st.Overloads)
			}
			if held := e.srv.Inspect(9, func(in *framework.Info) bool { return in.Holding }); len(held) != workers+1 {
				t.Errorf("%d are held, want the %d who block", len(held), workers+1)
			}
			e.within(time.Minute, "everything is handled", func() bool { return done.Load() == 61*(workers+1) })
			if err := soon("ping"); err != nil {
				t.Errorf("afterwards: %v", err)
			}
			if st := e.srv.Stats(); st.Workers.Busy != 0 || st.Overloads != 0 {
				t.Errorf("workers %+v, overloads %d", st.Workers, st.Overloads)
			}
		})
	})
}
