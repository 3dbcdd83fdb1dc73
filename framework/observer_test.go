// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// seen is an Observer that notes all it is told.
type seen struct {
	mu  sync.Mutex
	all map[string]int
	of  map[string][]string // by user
}

func (s *seen) note(p *framework.Player, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[what]++
	if p != nil {
		_ = p.ID() // no lock is held
		s.of[p.User()] = append(s.of[p.User()], what)
	}
}

func (s *seen) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[what]
}

func (s *seen) observer() framework.Observer {
	return framework.Observer{
		Opened:  func(p *framework.Player, arrived bool) { s.note(p, "opened %v", arrived) },
		Lost:    func(p *framework.Player, reason string) { s.note(p, "lost %s", reason) },
		Resumed: func(p *framework.Player, reset bool) { s.note(p, "resumed %v", reset) },
		Closed:  func(p *framework.Player, why framework.Reason) { s.note(p, "closed %v", why) },
		Refused: func(from netip.AddrPort, c transport.Carrier, why framework.Reason) {
			s.note(nil, "refused %v over %v from somewhere %v", why, c, from.IsValid())
		},
		Handled: func(p *framework.Player, route string, took time.Duration, err error) {
			s.note(p, "handled %s %v %v", route, took, err)
		},
		InlineLate: func(route string, took time.Duration) { s.note(nil, "inline %s %v", route, took) },
		TickLate: func(room string, t framework.Tick, skipped uint64) {
			s.note(nil, "tick %s %d late %v skipped %d", room, t.N, t.Overrun, skipped)
		},
		Dropped: func(p *framework.Player, route string, n int) {
			for range n {
				s.note(nil, "dropped %s", route)
			}
			_ = p.ID()
		},
		Overflowed: func(p *framework.Player, overBudget bool) { s.note(p, "overflowed %v", overBudget) },
	}
}

// sleeper is a room that oversleeps once.
type sleeper struct{ *framework.Room }

func (d *sleeper) OnTick(t framework.Tick) {
	if t.N == 2 {
		time.Sleep(370 * time.Millisecond)
	}
}

// TestObserverIsToldWhatStatsCounts: in the order of each session, with whom it
// concerns, and as often.
func TestObserverIsToldWhatStatsCounts(t *testing.T) {
	s := &seen{all: map[string]int{}, of: map[string][]string{}}
	cfg := framework.Config{Session: quick, Loops: 2, Observer: s.observer(), Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
		if string(l.Ticket) == "eve" {
			return framework.Identity{}, framework.Fail(1001, "not you")
		}
		return framework.Identity{User: string(l.Ticket)}, nil
	}}
	cfg.Session.SendPackets = 64
	simulate(t, 3, memnet.Conditions{Delay: 5 * time.Millisecond}, cfg, func(srv *framework.Server) {
		framework.OnRequest(srv, "work", func(_ *framework.Player, ms int) (int, error) {
			time.Sleep(time.Duration(ms) * time.Millisecond)
			return ms, errors.New("tired")
		})
		framework.OnRequest(srv, "block", func(_ *framework.Player, ms int) (int, error) {
			time.Sleep(time.Duration(ms) * time.Millisecond)
			return ms, nil
		}).Inline()
		framework.OnMessage(srv, "panic", func(*framework.Player, int) { panic("on purpose") })
		framework.AddRoom(srv, "sleepy", func(r *framework.Room) *sleeper { return &sleeper{r} }).Tick(100 * time.Millisecond)
		srv.Sends(framework.DropOldest, "chat")
	}, func(e *env) {
		ctx := e.t.Context()
		ann, bob, cid := e.dial("ann", transport.TCP), e.dial("bob", transport.TCP), e.dial("cid", transport.PlainKCP)
		_ = e.newClient("eve", transport.TCP).Connect(shortly(e.t, time.Minute))

		_ = ann.Request(ctx, "work", 7, nil)
		_ = ann.Request(ctx, "block", 11, nil)
		_ = ann.Request(ctx, "block", 1, nil)
		_ = ann.Join(ctx, "sleepy", "1")
		e.within(5*time.Second, "the room has overslept", func() bool { return e.srv.Stats().Rooms["sleepy"].Ticks > 5 })
		_ = bob.Send("panic", 1)
		e.within(time.Second, "bob is out", func() bool { return len(e.srv.User("bob")) == 0 })
		_ = bob.Close() // or it would log in afresh

		cid.Pause()
		p := e.srv.User("cid")[0]
		e.within(time.Second, "cid is away", func() bool { return !p.Attached() })
		for range 100 {
			_ = p.Push("chat", 1)
		}
		time.Sleep(time.Second)
		for range 100 {
			_ = p.Push("loot", 1)
		}
		cid.Hurry()
		e.within(10*time.Second, "cid is back", func() bool { return cid.Stats().Resets == 1 })
		_ = cid.Close()
		_ = ann.Close()
		e.within(time.Second, "all are gone", func() bool { return e.srv.Stats().Sessions == 0 })

		want := map[string][]string{
			"ann": {"opened false", "handled work 7ms tired", "handled block 11ms <nil>", "handled block 1ms <nil>", "closed left"},
			"bob": {"opened false", "handled panic 0s framework: the handler panicked", "closed internal error"},
			"cid": {"opened false", "lost away", "overflowed false", "resumed true", "closed left"},
		}
		for user, want := range want {
			if got := s.of[user]; !slices.Equal(got, want) {
				t.Errorf("of %s: %q, want %q", user, got, want)
			}
		}
		for what, n := range map[string]int{
			"refused code 1001: not you over tcp from somewhere true": 1,
			"inline block 11ms":                   1,
			"tick sleepy/1 5 late 70ms skipped 2": 1,
		} {
			if got := s.count(what); got != n {
				t.Errorf("%q: %d times, want %d", what, got, n)
			}
		}
		if st := e.srv.Stats(); st.Dropped == 0 || uint64(s.count("dropped chat")) != st.Dropped || st.Overflows != 1 {
			t.Errorf("%d dropped, told %d times; %d overflows", st.Dropped, s.count("dropped chat"), st.Overflows)
		}
		if t.Failed() {
			t.Logf("%+v", s.all)
		}
	})
}

// TestObserverOfAMove: one server is told that the session has closed, the other
// that it has arrived, and each as often as it counts.
func TestObserverOfAMove(t *testing.T) {
	var observers []*seen
	change := func(cfg *framework.Config) {
		s := &seen{all: map[string]int{}, of: map[string][]string{}}
		observers = append(observers, s)
		cfg.Observer = s.observer()
	}
	twoServers(t, memnet.Conditions{Delay: 5 * time.Millisecond}, change, func(_ *game, a, b *env) {
		c := a.dial("ann", transport.TCP)
		if err := c.Request(a.t.Context(), "slow", 1, nil); err != nil {
			t.Error(err)
		}
		if err := a.srv.User("ann")[0].Move(b.addr(transport.TCP)); err != nil {
			t.Error(err)
		}
		a.within(5*time.Second, "ann is there", func() bool { return c.Stats().Resumes == 1 })
		_ = c.Close()
		a.within(time.Second, "ann is gone", func() bool { return b.srv.Stats().Sessions == 0 })
		for i, want := range [][]string{
			{"opened false", "handled slow 3s <nil>", "closed moved: " + b.addr(transport.TCP)},
			{"opened true", "resumed false", "closed left"},
		} {
			if got := observers[i].of["ann"]; !slices.Equal(got, want) {
				t.Errorf("server %d: %q, want %q", i, got, want)
			}
		}
	})
}

// TestObserverThatPanicsHarmsNobody: not even the handler it looks at.
func TestObserverThatPanicsHarmsNobody(t *testing.T) {
	cfg := framework.Config{Session: quick, Observer: framework.Observer{
		Opened:  func(*framework.Player, bool) { panic("observer") },
		Handled: func(*framework.Player, string, time.Duration, error) { panic("observer") },
		Closed:  func(*framework.Player, framework.Reason) { panic("observer") },
	}}
	var mu sync.Mutex
	var told []string
	cfg.OnPanic = func(p *framework.Player, in string, _ any) {
		mu.Lock()
		told = append(told, fmt.Sprint(in, " ", p == nil))
		mu.Unlock()
	}
	simulate(t, 1, memnet.Conditions{}, cfg, func(srv *framework.Server) {
		framework.OnRequest(srv, "ping", func(_ *framework.Player, n int) (int, error) { return n, nil })
		framework.OnMessage(srv, "panic", func(*framework.Player, int) { panic("handler") })
	}, func(e *env) {
		c := e.dial("ann", transport.TCP)
		var n int
		if err := c.Request(e.t.Context(), "ping", 7, &n); err != nil || n != 7 {
			t.Errorf("%d, %v", n, err)
		}
		_ = c.Send("panic", 1)
		e.within(time.Second, "the handler's panic ends the session as ever", func() bool { return e.srv.Stats().Closes[framework.CodeName(session.Internal)] == 1 })
		want := []string{"Observer.Opened true", "Observer.Handled true", "Observer.Handled true", "panic false", "Observer.Closed true"}
		mu.Lock()
		defer mu.Unlock()
		if got := told[:min(len(told), len(want))]; !slices.Equal(got, want) { // its client logs in anew
			t.Errorf("%q, want %q", told, want)
		}
	})
}
