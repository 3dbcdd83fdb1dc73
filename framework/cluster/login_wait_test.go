// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"testing"
	"time"
)

// TestLoginBesideALatePark: a user starts the app anew while the session is about to leave with its
// room, and the directory does not answer. The login comes again now and then, and not ten times a
// second: each time the game is asked.
func TestLoginBesideALatePark(t *testing.T) {
	playYard(t, 2, adopts, nil, func(s *stack, y *yard) {
		a := s.servers[0]
		ann := s.dial(a, "ann", "")
		key := y.opens(t, 0, a, "ann")
		time.Sleep(time.Second)
		a.line.setMute("rooms/")
		if _, err := y.handOver(t, key); err != nil {
			t.Fatal(err)
		}
		s.within(time.Second, "saved", func() bool { return y.told("save") != nil })
		before := s.logins()
		again := s.client(a, "ann", "")
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		done := make(chan error)
		go func() { done <- again.Connect(ctx) }()
		time.Sleep(10 * time.Second)
		if n := s.logins() - before; n == 0 || n > 12 {
			t.Errorf("the game was asked %d times", n)
		}
		a.line.setMute()
		if err := <-done; err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
		if n := len(s.dataOf("ann")); n != 1 || ann.Err() == nil {
			t.Errorf("%q, the first: %v", s.dataOf("ann"), ann.Err())
		}
	})
}
