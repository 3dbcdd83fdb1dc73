// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
)

// TestNamesOfUsers: any bytes may be one, at every server of a cluster.
func TestNamesOfUsers(t *testing.T) {
	for what, user := range map[string]string{
		"a byte": "a", "zero": "\x00", "no UTF-8": "\xff\xfe\xc0", "a path": "../a/b.*.>?c=d&e#f ", "256 bytes": strings.Repeat("u", 256), "64 KiB": strings.Repeat("ü", 32<<10),
	} {
		t.Run(what, func(t *testing.T) {
			named := func(c *framework.Config) {
				c.Authenticate = func(_ context.Context, l framework.Login) (framework.Identity, error) {
					if string(l.Ticket) == "x" {
						return framework.Identity{User: user}, nil
					}
					return framework.Identity{User: string(l.Ticket)}, nil
				}
			}
			setup := func(_ uint16, s *framework.Server) {
				framework.AddRoom(s, "den", func(r *framework.Room) *framework.Room { return r })
			}
			playWith(t, "", 2, named, setup, func(s *stack) {
				a, b := s.servers[0], s.servers[1]
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				c := s.dial(a, "x", "")
				time.Sleep(time.Second)
				if err := b.c.User(user).Push("one", 1); err != nil {
					t.Errorf("push: %v", err)
				}
				if err := c.Join(ctx, "den", "1"); err != nil {
					t.Errorf("join: %v", err)
				}
				other := s.dial(b, "x", "")
				time.Sleep(5 * time.Second)
				if a.has(user) || !b.has(user) {
					t.Errorf("here %v, there %v", a.has(user), b.has(user))
				}
				if err := other.Join(ctx, "den", "1"); err != nil { // at whichever server it is
					t.Errorf("join: %v", err)
				}
				if err := a.c.Ban(ctx, user, time.Time{}, "no"); err != nil {
					t.Errorf("ban: %v", err)
				}
				time.Sleep(5 * time.Second)
				if a.has(user) || b.has(user) || other.Err() == nil {
					t.Errorf("banned, and here %v, there %v: %v", a.has(user), b.has(user), other.Err())
				}
				if err := a.c.Unban(ctx, user); err != nil {
					t.Errorf("unban: %v", err)
				}
			})
		})
	}
}
