// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestLoginsThatOutliveTheServer: Authenticate returns when the loops have stopped. Nothing of
// the login is left.
func TestLoginsThatOutliveTheServer(t *testing.T) {
	for _, how := range []string{"returns", "panics", "Goexit"} {
		t.Run(how, func(t *testing.T) {
			cfg := framework.Config{Session: quick, AuthTimeout: 2 * time.Second, Authenticate: func(context.Context, framework.Login) (framework.Identity, error) {
				time.Sleep(20 * time.Second)
				switch how {
				case "panics":
					panic("boom")
				case "Goexit":
					runtime.Goexit()
				}
				return framework.Identity{User: "ann"}, nil
			}}
			simulate(t, 1, memnet.Conditions{}, cfg, nil, func(e *env) {
				for range 3 {
					c := e.newClient("ann", transport.TCP)
					go func() { _ = c.Connect(context.Background()) }()
				}
				time.Sleep(time.Second)
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				defer cancel()
				if err := e.srv.Shutdown(ctx); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Minute)
				if st := e.srv.Stats(); st.Logins != 0 || st.StrayLogins != 0 {
					t.Errorf("%d logins, %d of them stray", st.Logins, st.StrayLogins)
				}
			})
		})
	}
}

// TestManyLoginsOfOneUser at once, with hooks that take their time, over links of which some are
// gone when the hook returns.
func TestManyLoginsOfOneUser(t *testing.T) {
	for policy := framework.DuplicateReplace; policy <= framework.DuplicateAdopt; policy++ {
		for _, slow := range []time.Duration{0, time.Second, 4 * time.Second} {
			t.Run(fmt.Sprint(policy, " ", slow), func(t *testing.T) { manyLogins(t, policy, slow) })
		}
	}
}

func manyLogins(t *testing.T, policy framework.Duplicate, slow time.Duration) {
	const links = 20
	var n, open, most atomic.Int64
	cfg := framework.Config{
		Loops: 3, Session: quick, Duplicate: policy, SessionsPerUser: 5,
		Authenticate: func(context.Context, framework.Login) (framework.Identity, error) {
			time.Sleep(slow * time.Duration(n.Add(1)%3))
			return framework.Identity{User: "ann"}, nil
		},
		OnOpen:  func(*framework.Player) { most.Store(max(most.Load(), open.Add(1))) },
		OnClose: func(*framework.Player, framework.Reason) { open.Add(-1); time.Sleep(100 * time.Millisecond) },
	}
	simulate(t, uint64(policy), memnet.Conditions{Delay: 5 * time.Millisecond}, cfg, nil, func(e *env) {
		for i := range links {
			c := e.newClient("ann", carriers[i%len(carriers)])
			go func() { _ = c.Connect(context.Background()) }()
			if i%4 == 3 {
				time.AfterFunc(slow/2+7*time.Millisecond, c.Cut)
			}
		}
		time.Sleep(time.Minute)
		in := slices.DeleteFunc(slices.Clone(e.clients), func(c *client.Client) bool { return c.Err() != nil || c.ID() == framework.ID{} })
		want := int64(1)
		if policy == framework.DuplicateAllow {
			want = 5
		}
		if got := len(e.srv.User("ann")); int64(got) != want || most.Load() > want || open.Load() != want || policy != framework.DuplicateAllow && len(in) != 1 {
			t.Errorf("%d sessions, %d open, %d at once, %d clients are in", got, open.Load(), most.Load(), len(in))
		}
		for _, c := range e.clients {
			_ = c.Close()
		}
		time.Sleep(3 * time.Minute)
		if left := e.srv.Left(); left != nil {
			t.Errorf("left: %q", left)
		}
		checkCounts(t, e.srv.Stats())
	})
}
