// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
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

// TestResumeAtAnotherRelease: the client of a parked session comes to a server with other routes.
// It is sent to one that takes the session; one that can't get there logs in.
func TestResumeAtAnotherRelease(t *testing.T) {
	setup := func(node uint16, s *framework.Server) {
		if node == 2 {
			s.Sends(framework.DeliverAll, "new")
		}
	}
	for name, reaches := range map[string]bool{"is sent on": true, "can't get there": false} {
		t.Run(name, func(t *testing.T) {
			change := func(c *framework.Config) {
				if !reaches && c.TCP == "10.0.0.3:7778" {
					c.Address = "tcp://10.0.0.99:7778"
				}
			}
			playWith(t, "", 3, change, setup, func(s *stack) {
				other, same := s.servers[1], s.servers[2]
				ann := s.dial(s.servers[0], "ann", "")
				token := ann.Token()
				ann.Pause()
				time.Sleep(time.Second)
				s.stop()
				begin := time.Now()
				again := s.dial(other, "ann", token)
				if took, logins := time.Since(begin), s.logins(); took > 2*time.Second || (logins == 1) != reaches {
					t.Errorf("%d logins: it took %v: %+v", logins, took, again.Stats())
				}
				if same.has("ann") != reaches || other.has("ann") == reaches {
					t.Errorf("ann is at the server of its release: %v, at the other: %v", same.has("ann"), other.has("ann"))
				}
			})
		})
	}
}

// TestDrainTellsWhatItHasEnded: rooms with members that don't go on at another server are
// counted, and told in one line. One that was handed over, or that the game has ended, is not.
func TestDrainTellsWhatItHasEnded(t *testing.T) {
	var mu sync.Mutex
	var lines []string
	change := func(c *framework.Config) {
		quickDrain(c)
		c.Logger = slog.New(lineHandler{slog.DiscardHandler, func(r slog.Record) {
			r.Attrs(func(a slog.Attr) bool {
				if a.Key == "rooms" {
					mu.Lock()
					lines = append(lines, fmt.Sprint(r.Message, ": ", a.Value))
					mu.Unlock()
				}
				return true
			})
		}})
	}
	y := &yard{last: map[string]uint64{}}
	var plain []*framework.Rooms[*framework.Room]
	setup := func(node uint16, s *framework.Server) {
		framework.AddRoom(s, "count", func(r *framework.Room) *count {
			return &count{Room: r, of: y, node: node, In: map[string]bool{}}
		}).Tick(50 * time.Millisecond)
		plain = append(plain, framework.AddRoom(s, "plain", func(r *framework.Room) *framework.Room { return r }))
	}
	playWith(t, "", 2, change, setup, func(s *stack) {
		first, second := s.servers[0], s.servers[1]
		s.enter(s.dial(first, "ann", ""), "red")
		for _, user := range []string{"bob", "cid", "dan"} {
			s.dial(first, user, "")
			key, err := plain[0].Open(context.Background(), struct{}{})
			if err == nil {
				err = plain[0].Seat(context.Background(), key, first.User(user)...)
			}
			if err == nil && user == "dan" {
				err = plain[0].Do(context.Background(), key, func(r *framework.Room) {
					r.PlayOn(10 * time.Second)
					r.After(5*time.Second, func() { r.Close(0, "") })
				})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3 * time.Second)
		s.stop()
		if st := first.Stats().Rooms; st["plain"].Drained != 2 || st["count"].HandedOver != 1 || st["count"].Drained != 0 || st["count"].StateLost != 0 {
			t.Errorf("the first server: %+v", st)
		}
		time.Sleep(3 * time.Second)
		s.stop()
		if st := second.Stats().Rooms["count"]; st.Drained != 1 || st.HandedOver != 0 {
			t.Errorf("the last server: %+v", st)
		}
	})
	const line = "rooms have ended with the server"
	if got := fmt.Sprint(lines); got != fmt.Sprintf("[%s: 2 %s: 1]", line, line) {
		t.Error(got)
	}
}

// lineHandler hands on what is logged.
type lineHandler struct {
	slog.Handler
	f func(slog.Record)
}

func (h lineHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h lineHandler) Handle(_ context.Context, r slog.Record) error {
	h.f(r)
	return nil
}
func (h lineHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
