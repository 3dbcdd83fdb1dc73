// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// TestUnheardMemberGoesAlong: the only member of a room has logged in just now, and its client was
// not heard since. The room goes to another server all the same, and the member with it.
func TestUnheardMemberGoesAlong(t *testing.T) {
	for name, goes := range map[string]func(t *testing.T, s *stack, y *yard, key string){
		"its server stops": func(_ *testing.T, s *stack, _ *yard, _ string) { s.stop() },
		"on demand": func(t *testing.T, _ *stack, y *yard, key string) {
			if _, err := y.handOver(t, key); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			playYard(t, 2, quickDrain, nil, func(s *stack, y *yard) {
				var d deaths
				ann := s.talker(&d, "tcp", "ann", 0)
				key := y.opens(t, 0, s.servers[0], "ann")
				goes(t, s, y, key)
				time.Sleep(5 * time.Second)
				if st := ann.Stats(); st.Opens != 1 || st.Resets != 0 || st.Resumes != 1 {
					t.Errorf("%+v", st)
				}
				if at, _ := ann.Room("count").Key(); at != key {
					t.Errorf("it is in %q, not in %s", at, key)
				}
				want := fmt.Sprintf("[create %[1]s join %[1]s ann return %[1]s ann]", key)
				if got := fmt.Sprint(y.told("create", "join", "return", "leave", "missing", "end")); got != want {
					t.Errorf("the game was told %s, want %s", got, want)
				}
			})
		})
	}
}

// TestUnheardClientIsGone: its link is silent. It is waited for until that is known to be dead, and
// no longer than Shutdown may take.
func TestUnheardClientIsGone(t *testing.T) {
	for _, patience := range []time.Duration{4 * time.Second, time.Minute} {
		play(t, 2, quickDrain, func(s *stack) {
			ann := s.rider("ann")
			s.clients = append(s.clients, ann.Client)
			s.connect(ann.Client)
			ann.cut(true, true)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			v, begin := s.servers[0], time.Now()
			s.servers = s.servers[1:]
			if err := v.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			if took := time.Since(begin); took > 15*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestUnheardSessionResumesElsewhere: the link breaks before the client was heard, and the client
// can't get to its server any more. Its token shows that it had its WELCOME: the session goes on at
// another server.
func TestUnheardSessionResumesElsewhere(t *testing.T) {
	play(t, 2, nil, func(s *stack) {
		var d deaths
		ann := s.talker(&d, "tcp", "ann", 0)
		d.lose(s.servers[0].host)
		time.Sleep(10 * time.Second)
		if st := ann.Stats(); st.Opens != 1 || st.Resets != 0 || !s.servers[1].has("ann") {
			t.Errorf("%+v, hooks %q", st, s.hooks())
		}
	})
}
