// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// final is a match that asks to be played to its end.
type final struct {
	*framework.Room
	d *diary
}

func (f *final) OnShutdown(time.Duration) { f.PlayOn(time.Minute) }
func (f *final) OnLeave(p *framework.Player, why framework.Reason) {
	f.d.add("%s leaves: %v", p.User(), why)
}
func (f *final) OnEnd(why framework.Reason) { f.d.add("ends: %v", why) }

// TestDrainWaitsForMatches: the members of a room that plays on are left alone until
// it has ended, for as long as it asked and Drain.Wait allows; others go at once.
func TestDrainWaitsForMatches(t *testing.T) {
	for name, c := range map[string]struct {
		wait, ends, want time.Duration // ends 0: not by itself
		last             string
	}{
		"ended":  {0, 20 * time.Second, 20 * time.Second, "ends: code 1000: red wins"},
		"asked":  {0, 0, time.Minute, "ends: shutting down"},
		"config": {30 * time.Second, 0, 30 * time.Second, "ends: shutting down"},
		"never":  {-1, 0, 0, "ends: shutting down"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &diary{}
			cfg := framework.Config{Session: quick, Drain: framework.Drain{Wait: c.wait}}
			simulate(t, 1, memnet.Conditions{}, cfg, func(s *framework.Server) {
				rooms := framework.AddRoom(s, "final", func(r *framework.Room) *final {
					if c.ends > 0 {
						r.After(time.Second+c.ends, func() { r.Close(session.Game, "red wins") })
					}
					return &final{r, d}
				})
				framework.OnRoomRequest(rooms, "move", func(_ *final, _ *framework.Player, n int) (int, error) { return n, nil })
			}, func(e *env) {
				ann := e.dial("ann", transport.KCP)
				if err := ann.Join(context.Background(), "final", "1"); err != nil {
					t.Fatal(err)
				}
				e.dial("bob", transport.TCP)
				time.Sleep(time.Second)
				begin := time.Now()
				if c.want > 10*time.Second {
					time.AfterFunc(10*time.Second, func() {
						if err := ann.Request(context.Background(), "move", 1, nil); err != nil || len(e.srv.User("bob")) != 0 {
							t.Errorf("ann can't play on: %v, bob has %d sessions", err, len(e.srv.User("bob")))
						}
					})
				}
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
				defer cancel()
				if err := e.srv.Shutdown(ctx); err != nil {
					t.Error(err)
				}
				if took := time.Since(begin); took < c.want || took > c.want+5*time.Second {
					t.Errorf("it took %v, want %v", took, c.want)
				}
				if got := d.all(); len(got) != 2 || got[1] != c.last {
					t.Errorf("the room saw %q, want %q last", got, c.last)
				}
			})
		})
	}
}

// late is a room that notes that it is told.
type late struct {
	*framework.Room
	d *diary
}

func (l *late) OnShutdown(within time.Duration) {
	l.d.add("told %v", within)
	l.PlayOn(time.Minute)
}

// TestARoomThatIsMadeInADrainIsTold: once, and it may play on as those that were there.
func TestARoomThatIsMadeInADrainIsTold(t *testing.T) {
	d := &diary{}
	cfg := framework.Config{Session: quick, Drain: framework.Drain{Window: 20 * time.Second}}
	var rooms *framework.Rooms[*late]
	simulate(t, 1, memnet.Conditions{}, cfg, func(s *framework.Server) {
		rooms = framework.AddRoom(s, "late", func(r *framework.Room) *late { return &late{r, d} })
	}, func(e *env) {
		e.dial("ann", transport.TCP)
		e.dial("bob", transport.TCP)
		begin, done := time.Now(), make(chan error)
		go func() { done <- e.srv.Shutdown(context.Background()) }()
		time.Sleep(5 * time.Second) // one has had its turn, the other one's is after 10 s
		p := append(e.srv.User("ann"), e.srv.User("bob")...)[0]
		if err := rooms.Join(context.Background(), p, "1"); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took < time.Minute {
			t.Errorf("it took %v", took)
		}
		if got := d.all(); len(got) != 1 || got[0] != "told 15s" {
			t.Errorf("the room was %q", got)
		}
	})
}

// TestHandOverWithoutACluster: the room of a server that is alone stays there.
func TestHandOverWithoutACluster(t *testing.T) {
	var rooms *framework.Rooms[*final]
	d := &diary{}
	simulate(t, 1, memnet.Conditions{}, framework.Config{Session: quick}, func(s *framework.Server) {
		rooms = framework.AddRoom(s, "final", func(r *framework.Room) *final { return &final{r, d} })
	}, func(e *env) {
		ann := e.dial("ann", transport.TCP)
		if err := ann.Join(context.Background(), "final", "1"); err != nil {
			t.Fatal(err)
		}
		if err := rooms.Do(context.Background(), "1", func(f *final) {
			if err := f.HandOver(); !errors.Is(err, framework.ErrRoomStays) {
				t.Error(err)
			}
		}); err != nil {
			t.Error(err)
		}
	})
}
