// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/session"
)

// TestKickMeetsALatePark: a user is kicked by its name at the server that its session leaves, when
// the directory has the session already and that server has not heard so. Whether another server
// has taken it meanwhile or not, the kick reaches it.
func TestKickMeetsALatePark(t *testing.T) {
	for _, taken := range []bool{true, false} {
		play(t, 2, nil, func(s *stack) {
			var d deaths
			a, b := s.servers[0], s.servers[1]
			ann := s.talkerOf(&d, "tcp", "ann", []*server{a, b})
			_ = ann.Send("say", uint64(1))
			time.Sleep(time.Second)
			a.line.setLate(900 * time.Millisecond)
			if err := a.User("ann")[0].Move("tcp://" + b.host + ":7778"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Millisecond)
			if taken {
				d.lose(a.host) // its client comes to the other one before it is told
			}
			time.Sleep(1500 * time.Millisecond)
			if len(a.User("ann")) != 1 || b.has("ann") != taken {
				t.Fatalf("not in the midst of it: %d, %v", len(a.User("ann")), b.has("ann"))
			}
			want := cluster.Place{}
			if taken {
				want = cluster.Place{Node: 2, Attached: true}
			}
			if at, err := a.c.User("ann").Where(context.Background()); err != nil || at != want {
				t.Errorf("it is at %+v: %v", at, err)
			}
			if err := a.c.User("ann").Kick(0, ""); err != nil {
				t.Error(err)
			}
			a.line.setLate(0)
			time.Sleep(10 * time.Second)
			var end *session.CloseError
			if err := ann.Err(); !errors.As(err, &end) || end.Code != session.Kicked {
				t.Errorf("taken %v: %v, hooks %q, undelivered %q", taken, err, s.hooks(), s.undeliveredOf())
			}
		})
	}
}
