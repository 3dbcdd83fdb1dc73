// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"testing"
	"time"
)

// TestRefusedWrites: what the directory refuses at once, as its disk is full, is not tried
// without a pause, and is done when there is room again.
func TestRefusedWrites(t *testing.T) {
	play(t, 1, nil, func(s *stack) {
		a := s.servers[0]
		s.dial(a, "ann", "")
		a.line.setFull(true)
		_ = a.c.User("ann").Kick(0, "") // its entry is to be removed
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := s.client(a, "bob", "").Connect(ctx); err == nil {
			t.Error("a login that the directory does not know")
		}
		if n := a.line.setFull(false); n == 0 || n > 100 {
			t.Errorf("%d writes in two seconds, for two sessions", n)
		}
		s.dial(a, "bob", "")
	})
}
