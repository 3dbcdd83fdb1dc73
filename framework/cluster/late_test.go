// SPDX-License-Identifier: MIT

package cluster_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
)

// lines is a log that is read.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) has(text string) bool { return strings.Contains(l.String(), text) }

// TestLateDirectory: a directory that answers late, but in time, is not felt. One that answers
// too late pauses the server, which says why, and nothing is lost.
func TestLateDirectory(t *testing.T) {
	log := new(lines)
	change := func(c *framework.Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) }
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
		if log.has(complaint) {
			t.Errorf("a complaint, though the directory answers in time: %v", log)
		}
		a.line.setLate(1500 * time.Millisecond)
		s.within(20*time.Second, "paused", func() bool { return !a.c.Valid() })
		if !log.has(complaint) {
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
