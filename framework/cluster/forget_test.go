// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster"
)

// TestNothingIsRemembered: servers have died, sessions have moved, users have been banned for a
// time. When that is over, a server that goes on remembers none of it.
func TestNothingIsRemembered(t *testing.T) {
	play(t, 3, nil, func(s *stack) {
		ctx := context.Background()
		a := s.servers[0]
		for i := range 3 {
			node := uint16(2 + i%2)
			for j, v := range s.servers {
				s.dial(v, fmt.Sprint("user", i, j), "")
			}
			time.Sleep(time.Second)
			for j := range s.servers {
				for _, from := range s.servers {
					if err := from.c.User(fmt.Sprint("user", i, j)).Push("note", 1); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := a.c.User(fmt.Sprint("user", i, 2)).Move(ctx, 1); err != nil {
				t.Fatal(err)
			}
			if err := a.c.Ban(ctx, fmt.Sprint("bad", i), time.Now().Add(time.Minute), "cheats"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			dead := s.servers[1] // the one that was started first of those two
			s.servers = append(s.servers[:1], s.servers[2:]...)
			dead.line.set(true)
			s.within(time.Minute, "known to all", func() bool {
				return !slices.ContainsFunc(a.c.Members(), func(m cluster.Member) bool { return m.Node == node })
			})
			dead.line.set(false)
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			if err := dead.Shutdown(ctx); err != nil {
				t.Fatal(err)
			}
			s.add(node)
		}
		if left := fmt.Sprint(a.c.Left()); !strings.Contains(left, "bans: 3") {
			t.Errorf("it knows only %s", left)
		}
		if err := a.c.Ban(ctx, "worse", time.Time{}, "cheats"); err != nil {
			t.Fatal(err)
		}
		for _, c := range s.clients {
			_ = c.Close()
		}
		time.Sleep(2 * time.Hour)
		if n := a.c.MessageStats().Bans; n != 1 {
			t.Errorf("%d bans, want that for ever", n)
		}
		if err := a.c.Unban(ctx, "worse"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		for _, v := range s.servers {
			for _, what := range v.c.Left() {
				t.Errorf("%s remembers %s", v.host, what)
			}
		}
	})
}
