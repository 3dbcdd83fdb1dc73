// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/framework"
)

// TestLoginAtAServerThatBeginsToDrain: the server begins to drain while Authenticate runs. The
// login is refused, and the session that its user has at another server is as it was: neither
// ended, nor taken from there and lost.
func TestLoginAtAServerThatBeginsToDrain(t *testing.T) {
	for _, policy := range []framework.Duplicate{framework.DuplicateReplace, framework.DuplicateAdopt} {
		slow := func(c *framework.Config) {
			c.Duplicate = policy
			authenticate := c.Authenticate
			c.Authenticate = func(ctx context.Context, l framework.Login) (framework.Identity, error) {
				time.Sleep(time.Second)
				return authenticate(ctx, l)
			}
		}
		play(t, 2, slow, func(s *stack) {
			a, b := s.servers[0], s.servers[1]
			first := s.dial(a, "ann", "")
			time.Sleep(time.Second)
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			go func() { _ = s.client(b, "ann", "").Connect(ctx) }()
			time.Sleep(500 * time.Millisecond)
			if err := b.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			time.Sleep(3 * time.Second)
			if !a.has("ann") || first.Err() != nil || len(s.hooks()) != 1 {
				t.Errorf("policy %d: %v, hooks %q", policy, first.Err(), s.hooks())
			}
		})
	}
}

// adopts lets logins adopt, with what a player has got: its server opens it with the user's name.
func adopts(c *framework.Config) {
	c.Duplicate = framework.DuplicateAdopt
	c.Pack = func(p *framework.Player) []byte { return []byte("gold of " + p.User()) }
	c.Unpack = func(p *framework.Player, b []byte) { p.Data = string(b) }
}

// dataOf returns what the servers have of a user, each for each session.
func (s *stack) dataOf(user string) (list []string) {
	synctest.Wait() // callbacks may write it
	for i, v := range s.servers {
		for _, p := range v.User(user) {
			list = append(list, fmt.Sprintf("%d: %v", i+1, p.Data))
		}
	}
	return list
}

// TestAdoptAtAServerThatDrains: a login adopts the session of another server, at one that begins
// to drain at some moment of that. Whatever the moment, the next login finds what the session
// takes along.
func TestAdoptAtAServerThatDrains(t *testing.T) {
	drained := func(at, late time.Duration) {
		play(t, 3, adopts, func(s *stack) {
			a, b, c := s.servers[0], s.servers[1], s.servers[2]
			s.dial(a, "ann", "")
			time.Sleep(time.Second)
			b.line.setLate(late)
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			go func() { _ = s.client(b, "ann", "").Connect(ctx) }()
			time.Sleep(at)
			if err := b.Shutdown(ctx); err != nil {
				t.Errorf("drained after %v: %v", at, err)
			}
			s.dial(c, "ann", "")
			time.Sleep(time.Second)
			if got := s.dataOf("ann"); !slices.Equal(got, []string{"3: gold of ann"}) {
				t.Errorf("drained after %v: %q, hooks %q", at, got, s.hooks())
			}
		})
	}
	for at := 50 * time.Millisecond; at <= 2*time.Second; at += 50 * time.Millisecond {
		drained(at, 300*time.Millisecond) // of the directory
	}
	for at := time.Duration(0); at <= 100*time.Millisecond; at += time.Millisecond {
		drained(at, 0) // also before the client has heard of it
	}
}
