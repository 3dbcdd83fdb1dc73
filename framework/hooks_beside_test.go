// SPDX-License-Identifier: MIT

package framework_test

import (
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// What is built on a server has hooks of its own: before the game's, and after them at
// the end, also if they panic.
func TestHooksBesideTheGames(t *testing.T) {
	var e *env
	cfg := framework.Config{Session: quick}
	cfg.OnClose = func(*framework.Player, framework.Reason) { panic("the game's") }
	note := func(what string) func(*framework.Player) {
		return func(p *framework.Player) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.order = append(e.order, p.User()+" "+what)
		}
	}
	simulate(t, 1, memnet.Conditions{}, cfg, func(srv *framework.Server) {
		srv.AddHooks(framework.Hooks{
			OnOpen: note("first open"), OnDetach: note("first detach"), OnResume: note("first resume"), OnSnapshot: note("first snapshot"),
			OnClose: func(p *framework.Player, _ framework.Reason) { note("last close")(p) },
		})
		srv.AddHooks(framework.Hooks{})
		srv.AddStats("a part", func() framework.PartStats {
			return framework.PartStats{Now: map[string]int64{"waiting": 3}, Total: map[string]uint64{"entered": 4}}
		})
	}, func(env *env) {
		e = env
		c := e.dial("ann", transport.TCP)
		c.Cut()
		e.within(time.Minute, "ann is back", func() bool { return c.Stats().Resumes == 1 })
		if st := e.srv.Stats().Parts["a part"]; st.Now["waiting"] != 3 || st.Total["entered"] != 4 {
			t.Errorf("%+v", st)
		}
		_ = c.Close()
		e.within(time.Minute, "ann is gone", func() bool { return len(e.all()) == 8 })
		want := []string{"first open", "open", "first detach", "detach", "first resume", "resume", "close left", "last close"}
		for i, got := range e.all() {
			if got != "ann "+want[i] {
				t.Errorf("%q, want %q", got, want[i])
			}
		}
	})
}
