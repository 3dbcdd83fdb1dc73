// SPDX-License-Identifier: MIT

package cluster_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
)

// TestLastServerOfARelease: the players of the last server with its routes are sent to one of
// the next release, and log in there at once, however long the drain goes on.
func TestLastServerOfARelease(t *testing.T) {
	change := func(c *framework.Config) { c.Drain.Window = time.Minute }
	setup := func(node uint16, s *framework.Server) {
		if node == 2 {
			s.Sends(framework.DeliverAll, "new")
		}
		framework.AddRoom(s, "plain", func(r *framework.Room) *framework.Room { return r })
	}
	playWith(t, "", 2, change, setup, func(s *stack) {
		var d deaths
		var all []*talker
		for i := range 6 {
			k := s.talker(&d, "tcp", fmt.Sprint("p", i), 0)
			if i%2 == 0 {
				s.enterType(k.Client, "plain", fmt.Sprint(i))
			}
			all = append(all, k)
		}
		time.Sleep(5 * time.Second)
		s.stop()
		time.Sleep(10 * time.Second)
		for _, k := range all {
			k.mu.Lock()
			if st := k.Stats(); st.Opens != 2 || slices.Contains(k.kinds, client.EventRefused) {
				t.Errorf("%s was told %v: %+v", k.user, k.kinds, st)
			}
			k.mu.Unlock()
			if !s.servers[0].has(k.user) {
				t.Errorf("%s is not at the next server", k.user)
			}
		}
	})
}
