// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"testing"
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
