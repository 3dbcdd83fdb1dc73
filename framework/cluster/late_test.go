// SPDX-License-Identifier: MIT

package cluster_test

import (
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/internal/logtest"
)

// TestLateDirectory: a directory that answers late, but in time, is not felt. One that answers
// too late pauses the server, which says why, and nothing is lost.
func TestLateDirectory(t *testing.T) {
	log := new(logtest.Lines)
	change := func(c *framework.Config) { c.Logger = log.Logger() }
	const complaint = "the directory did not answer in time"
	play(t, 2, change, func(s *stack) {
		a := s.servers[0]
		c := s.dial(a, "ann", "")
		a.line.setLate(900 * time.Millisecond)
		for range 30 {
			time.Sleep(time.Second)
			if !a.c.Valid() {
				t.Fatal("paused, though the directory answers in time")
			}
		}
		s.dial(a, "bob", "")
		if log.Count(complaint) > 0 {
			t.Errorf("a complaint, though the directory answers in time: %v", log)
		}
		a.line.setLate(1500 * time.Millisecond)
		s.within(20*time.Second, "paused", func() bool { return !a.c.Valid() })
		if log.Count(complaint) == 0 {
			t.Errorf("no word of a directory that answers too late: %v", log)
		}
		_ = c.Send("say", uint64(1))
		time.Sleep(2 * time.Second)
		a.line.setLate(0)
		s.within(10*time.Second, "handled", func() bool { return len(s.handled("ann")) == 1 })
		if st := c.Stats(); st.Opens != 1 || st.Resets != 0 || s.logins() != 2 || !a.has("ann") {
			t.Errorf("%d logins, %+v", s.logins(), st)
		}
	})
}
