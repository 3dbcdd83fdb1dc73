// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

type sum struct{ A, B int }

func TestRequestsAndMessagesReachTypedHandlers(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		var noted atomic.Int64
		simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, framework.Config{}, func(s *framework.Server) {
			framework.OnRequest(s, "add", func(_ *framework.Player, q sum) (int, error) { return q.A + q.B, nil })
			framework.OnRequest(s, "no", func(_ *framework.Player, _ sum) (int, error) { return 0, framework.Fail(1234, "not today") })
			framework.OnRequest(s, "broken", func(_ *framework.Player, _ sum) (int, error) { return 0, errors.New("secret detail") })
			framework.OnMessage(s, "note", func(_ *framework.Player, n int64) { noted.Add(n) })
		}, func(e *env) {
			c := e.dial("ann", carrier)
			ctx := context.Background()
			var got int
			if err := c.Request(ctx, "add", sum{2, 40}, &got); err != nil || got != 42 {
				t.Fatalf("add: %d, %v", got, err)
			}
			wantCode(t, c.Request(ctx, "no", sum{}, &got), 1234)
			err := c.Request(ctx, "broken", sum{}, &got)
			wantCode(t, err, codec.ErrorInternal)
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the player was told %q", err)
			}
			wantCode(t, c.Request(ctx, "nowhere", sum{}, &got), codec.ErrorNoRoute)
			wantCode(t, c.Request(ctx, "add", "no struct", &got), codec.ErrorBadRequest)
			if err := c.Send("note", 7); err != nil {
				t.Fatal(err)
			}
			e.within(time.Second, "the message arrives", func() bool { return noted.Load() == 7 })
			_ = c.Close()
			e.within(time.Second, "the goodbye arrives", func() bool {
				return e.srv.Stats().Sessions == 0 && slices.Equal(e.of("ann"), []string{"open", "close left"})
			})
		})
	})
}

func wantCode(t *testing.T, err error, code codec.ErrorCode) {
	t.Helper()
	var e *codec.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("got %v, want code %d", err, code)
	}
}

// TestMessagesOfAPlayerKeepTheirOrder mixes inline and worker handlers: an
// inline one must not overtake what waits for a worker.
func TestMessagesOfAPlayerKeepTheirOrder(t *testing.T) {
	var got []int
	simulate(t, 1, memnet.Conditions{}, framework.Config{}, func(s *framework.Server) {
		take := func(_ *framework.Player, n int) { got = append(got, n) }
		framework.OnMessage(s, "slow", func(p *framework.Player, n int) { time.Sleep(time.Second); take(p, n) })
		framework.OnMessage(s, "fast", take).Inline()
	}, func(e *env) {
		c := e.dial("ann", transport.TCP)
		for n := range 10 {
			route := "fast"
			if n%3 == 0 {
				route = "slow"
			}
			if err := c.Send(route, n); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if !slices.Equal(got, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) {
			t.Errorf("order %v", got)
		}
		_ = c.Close()
	})
}

// TestPushesComeBeforeTheAnswer: what a handler pushes was sent before it answered.
func TestPushesComeBeforeTheAnswer(t *testing.T) {
	for _, inline := range []bool{false, true} {
		simulate(t, 1, memnet.Conditions{}, framework.Config{}, func(s *framework.Server) {
			r := framework.OnRequest(s, "burst", func(p *framework.Player, n int) (int, error) {
				for i := range n {
					if err := p.Push("tick", i); err != nil {
						return 0, err
					}
				}
				return n, nil
			})
			if inline {
				r.Inline()
			}
		}, func(e *env) {
			c := e.newClient("ann", transport.PlainKCP)
			var ticks atomic.Int64
			client.OnMessage(c, "tick", func(int) { ticks.Add(1) })
			e.connect(c)
			var n int
			if err := c.Request(context.Background(), "burst", 50, &n); err != nil || n != 50 {
				t.Fatalf("burst: %d %v", n, err)
			}
			e.within(time.Second, "the ticks arrive", func() bool { return ticks.Load() == 50 })
			_ = c.Close()
		})
	}
}

// Scenario 70: a handler that blocks makes the client wait by HOLD; no link is
// cut, nothing is lost, and nobody else notices.
func TestSlowHandlerHoldsItsClientAndNobodyElse(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		var mu sync.Mutex
		var got []int
		simulate(t, 1, memnet.Conditions{Delay: 20 * time.Millisecond}, framework.Config{Session: quick}, func(s *framework.Server) {
			framework.OnMessage(s, "work", func(_ *framework.Player, n int) {
				if n == 0 {
					time.Sleep(10 * time.Second)
				}
				mu.Lock()
				got = append(got, n)
				mu.Unlock()
			})
			framework.OnRequest(s, "ping", func(_ *framework.Player, n int) (int, error) { return n, nil })
		}, func(e *env) {
			c, other := e.dial("busy", carrier), e.dial("other", carrier)
			const n = 3000
			for i := 0; i < n; {
				if err := c.Send("work", i); errors.Is(err, session.ErrFull) {
					time.Sleep(10 * time.Millisecond)
					if i < 1500 || time.Now().UnixNano()%5 != 0 {
						continue
					}
				} else if err != nil {
					t.Fatal(err)
				} else {
					i++
				}
				if i%500 == 0 {
					begin := time.Now()
					var pong int
					if err := other.Request(context.Background(), "ping", i, &pong); err != nil || time.Since(begin) > 200*time.Millisecond {
						t.Fatalf("the other player waited %v: %v", time.Since(begin), err)
					}
				}
			}
			e.within(time.Minute, "everything is handled", func() bool { mu.Lock(); defer mu.Unlock(); return len(got) == n })
			for i, v := range got {
				if v != i {
					t.Fatalf("message %d came as the %d-th", v, i)
				}
			}
			if st := c.Stats(); st.Losses != 0 || e.srv.Stats().Overloads != 0 {
				t.Errorf("the link was cut: %+v", st)
			}
			_, _ = c.Close(), other.Close()
		})
	})
}

func TestLoginIsRefusedByTheGame(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		cfg := framework.Config{Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
			if string(l.Ticket) == "banned" {
				return framework.Identity{}, framework.Fail(2000, "you are banned")
			}
			return framework.Identity{User: string(l.Ticket)}, nil
		}}
		simulate(t, 1, memnet.Conditions{}, cfg, nil, func(e *env) {
			c := e.newClient("banned", carrier)
			err := c.Connect(context.Background())
			var closed *session.CloseError
			if !errors.As(err, &closed) || closed.Code != 2000 || closed.Text != "you are banned" {
				t.Errorf("connect: %v", err)
			}
			_ = c.Close()
			if n := e.srv.Stats().Sessions; n != 0 {
				t.Errorf("%d sessions", n)
			}
		})
	})
}

// Scenario 55: a user logs in who has a session already.
func TestDuplicateLoginFollowsThePolicy(t *testing.T) {
	slowClose := func(*framework.Player, framework.Reason) { time.Sleep(3 * time.Second) }
	t.Run("replace", func(t *testing.T) {
		simulate(t, 1, memnet.Conditions{}, framework.Config{OnClose: slowClose}, nil, func(e *env) {
			old := e.dial("ann", transport.TCP)
			c := e.dial("ann", transport.PlainKCP)
			<-old.Done()
			var closed *session.CloseError
			if err := old.Err(); !errors.As(err, &closed) || closed.Code != session.TakenOver {
				t.Errorf("the old client ended with %v", err)
			}
			time.Sleep(10 * time.Second)
			if want := []string{"ann open", "ann close taken over", "ann open"}; !slices.Equal(e.all(), want) {
				t.Errorf("hooks %v, want %v", e.all(), want)
			}
			_ = c.Close()
		})
	})
	t.Run("reject", func(t *testing.T) {
		simulate(t, 1, memnet.Conditions{}, framework.Config{Duplicate: framework.DuplicateReject, Loops: 2}, nil, func(e *env) {
			old := e.dial("ann", transport.TCP)
			var closed *session.CloseError
			if err := e.newClient("ann", transport.TCP).Connect(context.Background()); !errors.As(err, &closed) || closed.Code != session.AlreadyIn {
				t.Errorf("the second one: %v, want %v", err, session.AlreadyIn)
			}
			if old.ID() == (session.ID{}) || e.srv.Stats().Sessions != 1 {
				t.Error("the first session is disturbed")
			}
			old.Pause() // its app may have crashed: it has no link
			time.Sleep(time.Second)
			next := e.dial("ann", transport.TCP)
			time.Sleep(time.Second)
			old.Hurry()
			<-old.Done()
			if err := old.Err(); !errors.As(err, &closed) || closed.Code != session.TakenOver {
				t.Errorf("the session without a link ended with %v", err)
			}
			if next.Err() != nil || e.srv.Stats().Sessions != 1 {
				t.Errorf("%v, %d sessions", next.Err(), e.srv.Stats().Sessions)
			}
		})
	})
	t.Run("adopt", func(t *testing.T) {
		var resets atomic.Int64
		cfg := framework.Config{Duplicate: framework.DuplicateAdopt, Loops: 3, OnSnapshot: func(p *framework.Player) {
			resets.Add(1)
			_ = p.Push("snapshot", 1)
		}}
		simulate(t, 1, memnet.Conditions{Delay: time.Millisecond}, cfg, nil, func(e *env) {
			old := e.dial("ann", transport.TCP)
			p := e.srv.User("ann")[0]
			c := e.newClient("ann", transport.PlainKCP)
			var snapshots atomic.Int64
			client.OnMessage(c, "snapshot", func(int) { snapshots.Add(1) })
			e.connect(c)
			if now := e.srv.User("ann"); len(now) != 1 || now[0] != p || p.ID() != c.ID() || p.ID() == old.ID() {
				t.Errorf("%d sessions of ann; the player is %v, the client %v, was %v", len(now), p.ID(), c.ID(), old.ID())
			}
			<-old.Done()
			e.within(time.Second, "the snapshot arrives", func() bool { return snapshots.Load() == 1 && resets.Load() == 1 })
			_ = c.Close()
		})
	})
}

// Scenario 53: a kick reaches a player with and without a link, once and for good.
func TestKickIsFinal(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		simulate(t, 1, memnet.Conditions{Delay: 5 * time.Millisecond}, framework.Config{Session: quick}, nil, func(e *env) {
			attached, detached := e.dial("a", carrier), e.dial("d", carrier)
			detached.Pause()
			e.within(time.Second, "the session is detached", func() bool { return slices.Contains(e.of("d"), "detach") })
			for _, u := range []string{"a", "d"} {
				for _, p := range e.srv.User(u) {
					p.Kick(session.Kicked, "cheating")
					p.Kick(session.Banned, "twice") // the first word stands
				}
			}
			<-attached.Done()
			detached.Hurry()
			<-detached.Done()
			for _, c := range []*client.Client{attached, detached} {
				var closed *session.CloseError
				if err := c.Err(); !errors.As(err, &closed) || closed.Code != session.Kicked {
					t.Errorf("ended with %v", err)
				}
			}
			if got := e.of("d"); !slices.Equal(got, []string{"open", "detach", "close kicked: cheating"}) {
				t.Errorf("hooks %v", got)
			}
		})
	})
}

// Scenario 58: a panic of the game closes the player that it served.
func TestPanicClosesOnlyItsPlayer(t *testing.T) {
	simulate(t, 1, memnet.Conditions{}, framework.Config{}, func(s *framework.Server) {
		framework.OnMessage(s, "boom", func(_ *framework.Player, _ int) { panic("boom") })
		framework.OnMessage(s, "inline-boom", func(_ *framework.Player, _ int) { panic("boom") }).Inline()
		framework.OnRequest(s, "ping", func(_ *framework.Player, n int) (int, error) { return n, nil })
	}, func(e *env) {
		bystander := e.dial("bystander", transport.TCP)
		for _, route := range []string{"boom", "inline-boom"} {
			c := e.dial(route, transport.TCP)
			if err := c.Send(route, 1); err != nil {
				t.Fatal(err)
			}
			e.within(10*time.Second, "the player is closed", func() bool {
				return slices.Contains(e.of(route), "close internal error")
			})
			_ = c.Close()
		}
		var n int
		if err := bystander.Request(context.Background(), "ping", 3, &n); err != nil || n != 3 {
			t.Errorf("the bystander: %d %v", n, err)
		}
		if e.srv.Stats().Panics != 2 {
			t.Errorf("%d panics counted", e.srv.Stats().Panics)
		}
		_ = bystander.Close()
	})
}

// Scenario 59: handlers and hooks act on their own player without a deadlock.
func TestHooksMaySendAndKick(t *testing.T) {
	cfg := framework.Config{
		OnOpen:  func(p *framework.Player) { _ = p.Push("hi", 1) },
		OnClose: func(p *framework.Player, _ framework.Reason) { _ = p.Push("bye", 1); p.Kick(session.Kicked, "") },
	}
	simulate(t, 1, memnet.Conditions{}, cfg, func(s *framework.Server) {
		framework.OnMessage(s, "quit", func(p *framework.Player, _ int) { p.Kick(1500, "as you wish") })
	}, func(e *env) {
		c := e.newClient("ann", transport.TCP)
		var hi atomic.Int64
		client.OnMessage(c, "hi", func(int) { hi.Add(1) })
		e.connect(c)
		e.within(time.Second, "the greeting arrives", func() bool { return hi.Load() == 1 })
		_ = c.Send("quit", 1)
		<-c.Done()
		var closed *session.CloseError
		if err := c.Err(); !errors.As(err, &closed) || closed.Code != 1500 || closed.Text != "as you wish" {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestContextAndOnCloseEndWithTheSession(t *testing.T) {
	simulate(t, 1, memnet.Conditions{}, framework.Config{}, nil, func(e *env) {
		c := e.dial("ann", transport.TCP)
		p := e.srv.User("ann")[0]
		ctx := p.Context()
		var order []int
		p.OnClose(func() { order = append(order, 1) })
		p.OnClose(func() { order = append(order, 2) })
		if ctx.Err() != nil {
			t.Fatal("done too early")
		}
		_ = c.Close()
		<-ctx.Done()
		synctest.Wait() // OnClose comes after it
		p.OnClose(func() { order = append(order, 3) })
		if !slices.Equal(order, []int{2, 1, 3}) {
			t.Errorf("order %v", order)
		}
		if err := p.Push("x", 1); !errors.Is(err, session.ErrClosed) {
			t.Errorf("push after close: %v", err)
		}
	})
}

// Scenario 48 and 49: a player that does not read costs its cap, and comes
// back to a RESET and a snapshot.
func TestOverflowEndsInReset(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		var resets atomic.Int64
		cfg := framework.Config{Session: quick, OnSnapshot: func(*framework.Player) { resets.Add(1) }}
		simulate(t, 1, memnet.Conditions{Delay: 5 * time.Millisecond}, cfg, nil, func(e *env) {
			c := e.dial("ann", carrier)
			c.Pause()
			p := e.srv.User("ann")[0]
			e.within(time.Second, "the session is detached", func() bool { return !p.Attached() })
			for i := range 5000 {
				err := p.Push("flood", i)
				if i < 1000 && err != nil || i == 4999 && !errors.Is(err, session.ErrOverflow) {
					t.Fatalf("push %d: %v", i, err)
				}
			}
			c.Hurry()
			e.within(10*time.Second, "the session is reset", func() bool { return resets.Load() == 1 && c.Stats().Resets == 1 })
			if c.ID() != p.ID() || e.srv.Stats().Overflows != 1 {
				t.Errorf("session %v, %d overflows", c.ID(), e.srv.Stats().Overflows)
			}
			_ = c.Close()
		})
	})
}

func TestShutdownClosesEverySessionOnce(t *testing.T) {
	simulate(t, 1, memnet.Conditions{}, framework.Config{}, nil, func(e *env) {
		var all []*client.Client
		for _, u := range []string{"a", "b", "c"} {
			all = append(all, e.dial(u, transport.PlainKCP))
		}
		if err := e.srv.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		for _, u := range []string{"a", "b", "c"} {
			if got := e.of(u); !slices.Equal(got, []string{"open", "close shutting down"}) {
				t.Errorf("%s: hooks %v", u, got)
			}
		}
		for _, c := range all {
			_ = c.Close()
		}
	})
}
