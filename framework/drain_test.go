// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// den is a room that sends its members numbers all the time and sums up theirs.
type den struct {
	*framework.Room
	told *atomic.Int64
	sent map[*framework.Player]int
	got  *sync.Map // by user: what the room has heard of it
	last *sync.Map // by user: the last number it was sent
}

func (h *den) OnJoin(p *framework.Player) error { h.sent[p] = 0; return nil }

func (h *den) OnTick(framework.Tick) {
	for _, p := range h.Members() {
		if h.sent[p]++; p.Push("n", h.sent[p]) == nil {
			h.last.Store(p.User(), h.sent[p])
		}
	}
}

func (h *den) OnShutdown(within time.Duration) { h.told.Add(int64(within)) }

func (h *den) Say(p *framework.Player, n int) {
	before, _ := h.got.LoadOrStore(p.User(), 0)
	if n != before.(int)+1 {
		panic(fmt.Sprintf("%s said %d after %d", p.User(), n, before))
	}
	h.got.Store(p.User(), n)
}

// guest is a client that hears and says numbers until its server goes.
type guest struct {
	c    *client.Client
	user string

	mu          sync.Mutex
	heard, said int
	moving      []time.Duration
	lostAt      time.Time
	undelivered int
	bad         []string
}

// TestDrain: 60 players with traffic in both directions when their server
// shuts down. Nobody new gets in, each is told when its turn is and is let go
// then, nothing is lost in either direction, and all arrive at the other server.
func TestDrain(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		const window = 10 * time.Second
		players := 60
		if testing.Short() {
			players = 30
		}
		var told atomic.Int64
		var got, last sync.Map
		setup := func(srv *framework.Server) {
			dens := framework.AddRoom(srv, "den", func(r *framework.Room) *den {
				return &den{r, &told, map[*framework.Player]int{}, &got, &last}
			})
			framework.OnRoomMessage(dens.Tick(50*time.Millisecond), "say", (*den).Say)
		}
		cfg := framework.Config{Session: quick, Drain: framework.Drain{Window: window, Address: "tcp://10.0.0.2:7777"}}
		simulate(t, 11, memnet.Conditions{Delay: 20 * time.Millisecond, Jitter: 10 * time.Millisecond}, cfg, setup, func(e *env) {
			next, err := framework.New(framework.Config{
				Network: e.net, TCP: "10.0.0.2:7777", PlainKCP: "10.0.0.2:7777", Logger: slog.New(slog.DiscardHandler), Session: quick,
				Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
					return framework.Identity{User: string(l.Ticket)}, nil
				},
			})
			if err != nil {
				e.t.Fatal(err)
			}
			if err := next.Start(); err != nil {
				e.t.Fatal(err)
			}
			defer func() { _ = next.Shutdown(context.Background()) }()

			var guests []*guest
			for i := range players {
				guests = append(guests, e.guest(fmt.Sprintf("guest%03d", i), carrier))
			}
			for _, g := range guests {
				e.connect(g.c)
				if err := g.c.Join(e.t.Context(), "den", "1"); err != nil {
					e.t.Fatal(err)
				}
			}
			talk, quiet := context.WithCancel(e.t.Context())
			var talking sync.WaitGroup
			for _, g := range guests {
				talking.Go(func() { g.talk(talk, 30*time.Millisecond) })
			}
			time.Sleep(2 * time.Second)

			began := time.Now()
			ctx, cancel := context.WithTimeout(e.t.Context(), time.Minute)
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- e.srv.Shutdown(ctx) }()
			time.Sleep(time.Second)
			stranger := e.newClient("stranger", carrier)
			if err := stranger.Connect(shortly(e.t, 500*time.Millisecond)); err == nil {
				t.Error("somebody new got in")
			}
			if err := <-done; err != nil {
				t.Errorf("shutdown: %v", err)
			}
			if took := time.Since(began); took < window*9/10 || took > window+5*time.Second {
				t.Errorf("the drain took %v", took)
			}
			quiet()
			talking.Wait()
			e.within(time.Minute, "all are at the other server", func() bool { return next.Stats().Sessions == players })
			if told.Load() != int64(window) {
				t.Errorf("OnShutdown told %v", time.Duration(told.Load()))
			}
			for _, g := range guests {
				g.check(t, began, window, &got, &last)
			}
			if s := e.srv.Stats(); s.Closes["shutting_down"] != uint64(players) || s.Full["draining"] == 0 {
				t.Errorf("closes %v, turned away %v", s.Closes, s.Full)
			}
		})
	})
}

func (e *env) guest(user string, carrier transport.Carrier) *guest {
	g := newGuest(e.t, user, []string{e.addr(carrier), "tcp://10.0.0.1:1"}, e.dialers) // a carrier that MOVE may name
	e.clients = append(e.clients, g.c)
	return g
}

// newGuest makes a guest with what how makes of its configuration.
func newGuest(t *testing.T, user string, addrs []string, how func(client.Config) client.Config) *guest {
	g := &guest{user: user}
	c, err := client.New(addrs, how(client.Config{Ticket: func(context.Context) ([]byte, error) { return []byte(user), nil }, OnEvent: g.state}))
	if err != nil {
		t.Fatal(err)
	}
	g.c = c
	client.OnMessage(c, "n", func(n int) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.heard++; n != g.heard {
			g.bad = append(g.bad, fmt.Sprintf("heard %d in place of %d", n, g.heard))
		}
	})
	return g
}

func (g *guest) state(s client.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch s.Kind {
	case client.EventMoving:
		g.moving = append(g.moving, s.Delay)
	case client.EventLost:
		if g.lostAt.IsZero() {
			g.lostAt = time.Now()
		}
	case client.EventGone:
		g.undelivered += len(s.Undelivered)
	}
}

// talk says numbers at a pace until the link to the first server is gone.
func (g *guest) talk(ctx context.Context, pace time.Duration) {
	for n := 1; ctx.Err() == nil; n++ {
		g.mu.Lock()
		gone := !g.lostAt.IsZero()
		if !gone && g.c.Send("say", n) == nil {
			g.said = n
		}
		g.mu.Unlock()
		if gone {
			return
		}
		time.Sleep(pace)
	}
}

func (g *guest) check(t *testing.T, began time.Time, window time.Duration, got, last *sync.Map) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.moving) != 1 || g.moving[0] < 0 || g.moving[0] > window {
		t.Errorf("%s was told %v", g.user, g.moving)
		return
	}
	turn := began.Add(g.moving[0])
	if late := g.lostAt.Sub(turn); late < -100*time.Millisecond || late > time.Second {
		t.Errorf("%s was let go %v after its turn", g.user, late)
	}
	if err := g.lossless(got, last, new(sync.Map)); err != nil {
		t.Error(err)
	}
}

// lossless tells what has not arrived of what was said and sent. A guest may
// have said something to the next server before it heard of the end of the first. mu is held.
func (g *guest) lossless(got, last, next *sync.Map) error {
	accepted, _ := got.LoadOrStore(g.user, 0)
	later, _ := next.LoadOrStore(g.user, 0)
	if accepted.(int)+g.undelivered+later.(int) != g.said {
		return fmt.Errorf("%s said %d: %d arrived, %d are reported undelivered, %d came to the next server", g.user, g.said, accepted, g.undelivered, later)
	}
	sent, _ := last.Load(g.user)
	if g.heard != sent || len(g.bad) > 0 {
		return fmt.Errorf("%s was sent %v and heard %d; %v", g.user, sent, g.heard, g.bad)
	}
	return nil
}

// TestDrainKeepsWhoIsAway: who comes back during the window is told again; who
// does not is let go at its end.
func TestDrainKeepsWhoIsAway(t *testing.T) {
	cfg := framework.Config{Session: quick, Drain: framework.Drain{Window: 10 * time.Second}}
	simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, cfg, nil, func(e *env) {
		back, away := e.guest("back", transport.TCP), e.guest("away", transport.TCP)
		for _, g := range []*guest{back, away} {
			e.connect(g.c)
			g.c.Pause()
		}
		time.Sleep(time.Second)
		done := make(chan error, 1)
		go func() { done <- e.srv.Shutdown(e.t.Context()) }()
		time.Sleep(5 * time.Second)
		back.c.Hurry()
		e.within(time.Second, "it is back", func() bool { return back.c.Stats().Resumes == 1 })
		time.Sleep(time.Second)
		back.mu.Lock()
		if len(back.moving) != 1 || back.moving[0] > 5*time.Second || back.moving[0] < 4*time.Second {
			t.Errorf("who came back was told %v", back.moving)
		}
		back.mu.Unlock()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := e.of("away"); !slices.Equal(got, []string{"open", "detach", "close shutting down"}) {
			t.Errorf("away: %v", got)
		}
	})
}

// TestDrainIsBounded: neither a client that is held by nobody's answer nor a
// handler that sleeps keeps the server longer than its context allows.
func TestDrainIsBounded(t *testing.T) {
	cfg := framework.Config{Session: quick, Drain: framework.Drain{Window: time.Second}}
	cfg.Session.Timeout = 30 * time.Second
	setup := func(srv *framework.Server) {
		framework.OnRequest(srv, "nap", func(p *framework.Player, _ int) (int, error) { time.Sleep(20 * time.Second); return 1, nil })
	}
	for _, c := range []struct {
		what   string
		within time.Duration
		before func(e *env, c *client.Client)
		clean  bool
	}{
		{"dead client", 10 * time.Second, func(e *env, _ *client.Client) { e.net.SetConditions(memnet.Conditions{Loss: 1}) }, true},
		{"cancelled", 0, func(*env, *client.Client) {}, true},
		{"handler asleep", 10 * time.Second, func(e *env, c *client.Client) {
			go func() { _ = c.Request(e.t.Context(), "nap", 1, new(int)) }()
			time.Sleep(time.Second)
		}, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, cfg, setup, func(e *env) {
				cl := e.dial("ann", transport.PlainKCP)
				c.before(e, cl)
				ctx, cancel := context.WithTimeout(context.Background(), c.within)
				defer cancel()
				began := time.Now()
				err := e.srv.Shutdown(ctx)
				if took := time.Since(began); took > c.within+100*time.Millisecond {
					t.Errorf("it took %v of %v", took, c.within)
				}
				if c.clean && c.within > 0 && err != nil || !c.clean && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("shutdown: %v", err)
				}
				_ = cl.Close()
				if !c.clean {
					time.Sleep(20 * time.Second) // the handler returns, and OnClose runs
				}
			})
		})
	}
}

// TestRunEndsInTime: what kills a server that does not end waits for Drain.Window and ten
// seconds. One player is enough to be late: one without a network, or one in a handler. A
// room that plays on is waited for before.
func TestRunEndsInTime(t *testing.T) {
	const window = 5 * time.Second
	for name, c := range map[string]struct {
		slow, playOn time.Duration
		cut          bool
		least, most  time.Duration
		fails        bool
	}{
		"nothing to wait for": {most: window + time.Second},
		"no network":          {cut: true, least: window, most: window + 10*time.Second},
		"a slow handler":      {slow: time.Minute, least: window, most: window + 11*time.Second, fails: true},
		"a match":             {playOn: time.Minute, least: time.Minute, most: time.Minute + 2*time.Second},
		"a match and a slow handler": {
			playOn: time.Minute, slow: 2 * time.Minute, least: time.Minute, most: time.Minute + 11*time.Second, fails: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := framework.Config{Network: memnet.New(1, memnet.Conditions{}), Drain: framework.Drain{Window: window}}
				cfg.Logger = slog.New(slog.DiscardHandler)
				serveAll(&cfg, "10.0.0.1")
				srv, err := framework.New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				e := &env{t: t, net: cfg.Network.(*memnet.Network), srv: srv}
				framework.AddRoom(srv, "match", func(r *framework.Room) *playsFor { return &playsFor{r, c.playOn} })
				framework.OnMessage(srv, "slow", func(*framework.Player, int) { time.Sleep(c.slow) })
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- srv.Run(ctx) }()
				synctest.Wait()
				ann := e.dial("ann", transport.KCP)
				defer ann.Close()
				if err := ann.Join(t.Context(), "match", ""); err != nil {
					t.Fatal(err)
				}
				_ = ann.Send("slow", 1)
				time.Sleep(time.Second)
				if c.cut {
					e.net.SetConditions(memnet.Conditions{Loss: 1})
				}
				began := time.Now()
				stop()
				if err := <-done; (err != nil) != c.fails {
					t.Error(err)
				}
				if took := time.Since(began); took < c.least || took > c.most {
					t.Errorf("it took %v", took)
				}
				e.net.SetConditions(memnet.Conditions{})
				time.Sleep(3 * time.Minute) // the handler
			})
		})
	}
}

// playsFor is a room that plays on.
type playsFor struct {
	*framework.Room
	d time.Duration
}

func (p *playsFor) OnShutdown(time.Duration) { p.PlayOn(p.d) }
