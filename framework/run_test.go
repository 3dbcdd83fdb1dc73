// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// Requests are named by ids that begin anew with each run of an app, and each
// session. What one has asked must never be answered to the next.

// slowRoom lets nobody in at once.
type slowRoom struct{}

func (*slowRoom) OnJoin(*framework.Player) error {
	time.Sleep(time.Second)
	return nil
}

func TestAnswersReachTheRunThatAsked(t *testing.T) {
	for _, adopt := range []bool{false, true} {
		name := "by token"
		if adopt {
			name = "by login"
		}
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, carrier transport.Carrier) { anotherRun(t, carrier, adopt) })
		})
	}
}

func anotherRun(t *testing.T, carrier transport.Carrier, adopt bool) {
	var mu sync.Mutex
	var sold []string
	cfg := framework.Config{Session: quick, Loops: 2, Duplicate: framework.DuplicateAdopt}
	simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, cfg, func(s *framework.Server) {
		framework.AddRoom(s, "slow", func(*framework.Room) *slowRoom { return &slowRoom{} })
		framework.OnRequest(s, "price", func(_ *framework.Player, of string) (string, error) {
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			sold = append(sold, of)
			return "price of " + of, nil
		})
		framework.OnRequest(s, "now", func(_ *framework.Player, of string) (string, error) { return of, nil })
	}, func(e *env) {
		first := e.dial("ann", carrier)
		go func() { _ = first.Join(context.Background(), "slow", "") }() // ends with its client, as those below
		time.Sleep(100 * time.Millisecond)
		for _, of := range []string{"sword", "bow", "axe"} { // these wait behind it
			go func() { _ = first.Request(context.Background(), "price", of, nil) }()
			time.Sleep(time.Millisecond)
		}
		time.Sleep(200 * time.Millisecond)
		first.Pause() // and is never seen again

		login := client.Config{Ticket: func(context.Context) ([]byte, error) { return []byte("ann"), nil }}
		if !adopt {
			login.Token = first.Token()
		}
		second, err := client.New([]string{e.addr(carrier)}, e.dialers(login))
		if err != nil {
			t.Fatal(err)
		}
		e.clients = append(e.clients, second)
		e.connect(second)
		for range 4 { // the ids that the first has used
			var got string
			if err := second.Request(context.Background(), "now", "shield", &got); err != nil || got != "shield" {
				t.Errorf("asked for the shield, got %q, %v", got, err)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(sold, []string{"sword", "bow", "axe"}) {
			t.Errorf("what was accepted of the first run was not handled: %q", sold)
		}
	})
}

// What a server has asked is answered to that server only.
func TestAnswersReachTheServerThatAsked(t *testing.T) {
	twoServers(t, memnet.Conditions{Delay: 10 * time.Millisecond}, nil, func(_ *game, a, b *env) {
		c := a.newClient("ann", transport.TCP)
		client.OnRequest(c, "double", func(n int) (int, error) { time.Sleep(5 * time.Second); return 2 * n, nil })
		a.connect(c)
		p := a.srv.User("ann")[0]
		go func() { _ = p.Request(context.Background(), "double", 1, nil) }() // fails with the move
		time.Sleep(time.Second)
		if err := p.Move("tcp://10.0.0.2:7778"); err != nil {
			t.Fatal(err)
		}
		b.within(4*time.Second, "moved", func() bool { return len(b.srv.User("ann")) == 1 })
		var got int
		if err := b.srv.User("ann")[0].Request(context.Background(), "double", 100, &got); err != nil || got != 200 {
			t.Errorf("100 doubled is %d, %v", got, err)
		}
	})
}

// A request of a session that is over is not answered in the next one, be that
// open when the answer is ready or not yet.
func TestAnswersReachTheSessionThatAsked(t *testing.T) {
	for _, away := range []bool{false, true} {
		anotherSession(t, away)
	}
}

func anotherSession(t *testing.T, away bool) {
	simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, framework.Config{Session: quick}, nil, func(e *env) {
		c := e.newClient("ann", transport.TCP)
		client.OnRequest(c, "double", func(n int) (int, error) { time.Sleep(5 * time.Second); return 2 * n, nil })
		e.connect(c)
		p := e.srv.User("ann")[0]
		go func() { _ = p.Request(context.Background(), "double", 1, nil) }() // fails with its session
		time.Sleep(time.Second)
		p.Kick(session.Expired, "")
		if away {
			e.within(time.Second, "the goodbye has come", func() bool { return c.Token() == "" })
			c.Pause()
			time.Sleep(10 * time.Second)
			c.Hurry()
		}
		e.within(4*time.Second, "another session", func() bool {
			all := e.srv.User("ann")
			return len(all) == 1 && all[0] != p
		})
		var got int
		if err := e.srv.User("ann")[0].Request(context.Background(), "double", 100, &got); err != nil || got != 200 {
			t.Errorf("100 doubled is %d, %v", got, err)
		}
		time.Sleep(10 * time.Second) // no handler is left
	})
}

// TestShutdownWithoutPlayersLeavesNobodyBehind, also if its context is over already, which is
// all that it says then.
func TestShutdownWithoutPlayersLeavesNobodyBehind(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 {
		srv, err := framework.New(framework.Config{TCP: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.Start(); err != nil {
			t.Fatal(err)
		}
		if err := srv.Shutdown(over); err != nil && strings.Contains(err.Error(), "sessions") {
			t.Fatal(err)
		}
	}
}
