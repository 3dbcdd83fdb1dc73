// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
)

var drainPlayers = flag.Int("drain.players", 60, "players of TestDrainOverSockets, half of them on TCP, half on plain KCP")

// TestDrainOverSockets is TestDrain over real ones, where nothing can be said
// of how soon each goes: all are told, nothing is lost in either direction, the
// server ends inside its deadline, and everybody arrives at the other one.
//
//	go test -run TestDrainOverSockets -v ./framework -drain.players 5000
func TestDrainOverSockets(t *testing.T) {
	players := *drainPlayers
	window := time.Duration(players) * 2 * time.Millisecond                     // 500 a second
	pace := max(time.Duration(players)*time.Millisecond/2, 50*time.Millisecond) // 2,000 messages a second each way
	var told atomic.Int64
	var got, last, later sync.Map
	next := socketServer(t, framework.Drain{}, func(srv *framework.Server) {
		framework.OnMessage(srv, "say", func(p *framework.Player, _ int) {
			n, _ := later.LoadOrStore(p.User(), 0)
			later.Store(p.User(), n.(int)+1)
		})
	})
	defer func() { _ = next.Shutdown(context.Background()) }()
	srv := socketServer(t, framework.Drain{Window: window, Address: fmt.Sprintf("tcp://%v", next.Addr(transport.TCP))}, func(srv *framework.Server) {
		dens := framework.AddRoom(srv, "den", func(r *framework.Room) *den {
			return &den{r, &told, map[*framework.Player]int{}, &got, &last}
		})
		framework.OnRoomMessage(dens.Tick(pace).Seats(50), "say", (*den).Say)
	})
	came := time.Now()
	guests := socketGuests(t, srv, players)
	t.Logf("%d came within %v", players, time.Since(came).Round(time.Millisecond))
	defer func() {
		for _, g := range guests {
			_ = g.c.Close()
		}
	}()
	talk, quiet := context.WithCancel(t.Context())
	var talking sync.WaitGroup
	for _, g := range guests {
		talking.Go(func() { g.talk(talk, pace) })
	}
	time.Sleep(2 * pace)

	began, deadline := time.Now(), window+20*time.Second
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	took := time.Since(began)
	quiet()
	talking.Wait()
	for end := time.Now().Add(20 * time.Second); next.Stats().Sessions < players && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	if n := next.Stats().Sessions; n != players {
		t.Errorf("%d of %d are at the other server", n, players)
	}
	if st := srv.Stats(); st.Closes["shutting_down"] != uint64(players) {
		t.Errorf("closes %v", st.Closes)
	}
	var late []time.Duration
	said, heard := 0, 0
	for _, g := range guests {
		g.mu.Lock()
		if len(g.moving) != 1 {
			t.Errorf("%s was told %v", g.user, g.moving)
		} else {
			late = append(late, g.lostAt.Sub(began.Add(g.moving[0])))
		}
		// It may be there before it has heard what was not delivered.
		err := g.lossless(&got, &last, &later)
		for end := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(end); err = g.lossless(&got, &last, &later) {
			g.mu.Unlock()
			time.Sleep(20 * time.Millisecond)
			g.mu.Lock()
		}
		if err != nil {
			t.Error(err)
		}
		said, heard = said+g.said, heard+g.heard
		g.mu.Unlock()
	}
	slices.Sort(late)
	if n := len(late); n > 0 {
		t.Logf("%d players, window %v: drained in %v of %v; %d messages said, %d heard; let go after their turn p50 %v, p99 %v, at most %v",
			players, window, took.Round(time.Millisecond), deadline, said, heard, late[n/2], late[n*99/100], late[n-1])
	}
}

// socketServer starts a server on the loopback interface.
func socketServer(t *testing.T, drain framework.Drain, setup ...func(*framework.Server)) *framework.Server {
	t.Helper()
	srv, err := framework.New(framework.Config{
		Logger: slog.New(slog.DiscardHandler), Drain: drain,
		Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
			return framework.Identity{User: string(l.Ticket)}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range setup {
		f(srv)
	}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	return srv
}

// socketGuests brings so many guests into rooms, 64 at a time.
func socketGuests(t *testing.T, srv *framework.Server, players int) []*guest {
	t.Helper()
	addr := func(c transport.Carrier) string { return fmt.Sprintf("%v://%v", c, srv.Addr(c)) }
	quiet := func(cfg client.Config) client.Config {
		cfg.Logger = slog.New(slog.DiscardHandler)
		return cfg
	}
	guests := make([]*guest, players)
	var coming sync.WaitGroup
	door := make(chan struct{}, 64)
	for i := range guests {
		addrs := []string{addr(transport.TCP)}
		if i%2 == 0 {
			addrs = []string{addr(transport.PlainKCP), "tcp://127.0.0.1:1"} // the carrier that MOVE names
		}
		g := newGuest(t, fmt.Sprintf("guest%04d", i), addrs, quiet)
		guests[i] = g
		door <- struct{}{}
		coming.Go(func() {
			defer func() { <-door }()
			if err := g.c.Connect(t.Context()); err != nil {
				t.Errorf("%s: %v", g.user, err)
			} else if _, err := g.c.JoinAny(t.Context(), "den"); err != nil {
				t.Errorf("%s: %v", g.user, err)
			}
		})
	}
	coming.Wait()
	return guests
}
