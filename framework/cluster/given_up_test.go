// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
)

// parked returns the token of a session of ann's that a server has parked as it left.
func (s *stack) parked(ctx context.Context, at *server) string {
	c := s.dial(at, "ann", "")
	time.Sleep(time.Second)
	token := c.Token()
	c.Pause()
	if err := at.Shutdown(ctx); err != nil {
		s.t.Fatal(err)
	}
	return token
}

// TestTakenInVainAtAServerThatDrains: a server has become the owner of a session, does not hear
// of it in time, and drains. It gives the session back before it leaves.
func TestTakenInVainAtAServerThatDrains(t *testing.T) {
	change := func(c *framework.Config) { c.AuthTimeout = 3 * time.Second }
	play(t, 3, change, func(s *stack) {
		a, b, c := s.servers[0], s.servers[1], s.servers[2]
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		token := s.parked(ctx, a)
		b.line.setLate(400 * time.Millisecond) // of the read
		soon, stop := context.WithTimeout(ctx, 2*time.Second)
		defer stop()
		go func() { _ = s.client(b, "ann", token).Connect(soon) }()
		time.Sleep(200 * time.Millisecond)
		b.line.setLate(4 * time.Second) // of the write
		time.Sleep(5 * time.Second)
		b.line.setLate(0)
		if err := b.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		s.dial(c, "ann", token)
		if n := s.logins(); n != 1 {
			t.Errorf("%d logins, hooks %q", n, s.hooks())
		}
	})
}

// TestNothingIsTakenWithoutALease: a server that began to look for a session, and has lost its lease
// since, leaves the session to others: it may be declared dead by now.
func TestNothingIsTakenWithoutALease(t *testing.T) {
	play(t, 3, nil, func(s *stack) {
		a, b, c := s.servers[0], s.servers[1], s.servers[2]
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		token := s.parked(ctx, a)
		b.line.setMute("leases/", "sessions/")
		time.Sleep(11 * time.Second)
		soon, stop := context.WithTimeout(ctx, 5*time.Second)
		defer stop()
		go func() { _ = s.client(b, "ann", token).Connect(soon) }()
		s.within(4*time.Second, "no lease", func() bool { return !b.c.HasLease() })
		b.line.setMute("leases/")
		time.Sleep(3 * time.Second)
		s.dial(c, "ann", token)
		if n := s.logins(); n != 1 || !c.has("ann") {
			t.Errorf("%d logins, hooks %q", n, s.hooks())
		}
		b.line.setMute()
		time.Sleep(10 * time.Second)
	})
}

// TestBackBeforeItHasGone: a session goes to another server, and the one that gave it up does not
// hear for a while that this is done. A client that comes back there meanwhile, by a login or a
// RESUME, loses nothing.
func TestBackBeforeItHasGone(t *testing.T) {
	change := func(c *framework.Config) {
		adopts(c)
		c.Address = "" // no client is sent to another server
	}
	for _, resumes := range []bool{false, true} {
		play(t, 2, change, func(s *stack) {
			a, b := s.servers[0], s.servers[1]
			s.dial(a, "ann", "").Pause()
			s.within(20*time.Second, "away", func() bool { return !a.User("ann")[0].Attached() })
			a.line.setLate(400 * time.Millisecond) // of the read
			second := s.client(b, "ann", "")
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			go func() { _ = second.Connect(ctx) }()
			time.Sleep(200 * time.Millisecond)
			a.line.setLate(1500 * time.Millisecond) // of the write
			time.Sleep(800 * time.Millisecond)
			if !b.has("ann") {
				t.Fatalf("the second login did not adopt it: hooks %q", s.hooks())
			}
			token := ""
			if resumes {
				token = second.Token()
			}
			second.Pause()
			a.line.setLate(0)
			a.line.loseOne("sessions/") // what is read after the write
			time.Sleep(time.Second)
			s.dial(a, "ann", token)
			time.Sleep(time.Second)
			if got := s.dataOf("ann"); !slices.Equal(got, []string{"1: gold of ann"}) || resumes && s.logins() != 2 {
				t.Errorf("%q, %d logins, hooks %q", got, s.logins(), s.hooks())
			}
		})
	}
}
