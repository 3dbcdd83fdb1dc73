// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
)

// TestLoginAtAServerThatDrains: a login that comes to a server that drains is sent to another one
// at once, also if its client does not know that one, and shows its ticket once. So is a
// RESUME of a session that is not there.
func TestLoginAtAServerThatDrains(t *testing.T) {
	change := func(c *framework.Config) { c.Drain.Window = time.Minute }
	play(t, 2, change, func(s *stack) {
		var d deaths
		first, second := s.servers[0], s.servers[1]
		for _, user := range []string{"ann", "bob", "cid"} { // whose turns fill the window
			s.dial(first, user, "")
		}
		stopped := make(chan error, 1)
		go func() { stopped <- first.Shutdown(context.Background()) }()
		s.servers = s.servers[1:]
		time.Sleep(time.Second)
		before := s.logins()
		for user, list := range map[string][]*server{"dan": {first, second}, "eve": {first}} {
			begin := time.Now()
			s.talkerOf(&d, "tcp", user, list)
			if took := time.Since(begin); took > time.Second || !second.has(user) {
				t.Errorf("%s has waited for %v, and is at the second server: %v", user, took, second.has(user))
			}
		}
		if n := s.logins() - before; n != 2 {
			t.Errorf("2 logins showed %d tickets", n)
		}
		fay := s.dial(second, "fay", "")
		token, begin := fay.Token(), time.Now()
		again := s.dial(first, "fay", token)
		if took, st := time.Since(begin), again.Stats(); took > time.Second || st.Opens != 0 || !second.has("fay") {
			t.Errorf("fay has come back after %v: %+v", took, st)
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}
