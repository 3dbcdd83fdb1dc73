// SPDX-License-Identifier: MIT

package cluster_test

import (
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster"
)

// TestSuspended: a server whose machine was suspended, for a time that its clock did not count,
// acts for no player until its lease is renewed.
func TestSuspended(t *testing.T) {
	for _, isolation := range []cluster.Isolation{cluster.Pause, cluster.Serve} {
		play(t, 2, nil, func(s *stack) {
			s.alone = isolation
			s.add(3)
			a := s.servers[2]
			s.dial(a, "ann", "")
			time.Sleep(100 * time.Millisecond)
			a.line.setLate(50 * time.Millisecond)
			a.c.Suspend(time.Second) // and everything goes on
			if !a.c.Valid() || !a.c.HasLease() {
				t.Error("paused after a second")
			}
			time.Sleep(3 * time.Second)
			a.c.Suspend(10 * time.Second)
			if a.c.Valid() || a.c.HasLease() {
				t.Error("it acts, and does not know whether it was declared dead")
			}
			time.Sleep(40 * time.Millisecond)
			if a.c.Valid() || a.c.HasLease() {
				t.Error("it acts, and its lease was not renewed")
			}
			time.Sleep(100 * time.Millisecond)
			if !a.c.Valid() || !a.c.HasLease() || !a.has("ann") {
				t.Error("it does not go on, though its lease was renewed")
			}
			a.c.Suspend(-time.Hour) // a wall clock that is set back
			if !a.c.Valid() || !a.c.HasLease() {
				t.Error("paused by a wall clock that goes back")
			}
		})
	}
}
