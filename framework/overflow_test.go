// SPDX-License-Identifier: MIT

package framework_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/internal/logtest"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

var chunk = strings.Repeat("x", 60_000)

// TestSnapshotThatDoesNotFitIsNoLoop: a game that pushes more at once than may
// wait is told, and so is the log; its player is sent away for longer each time.
func TestSnapshotThatDoesNotFitIsNoLoop(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		var log logtest.Lines
		var last error
		worlds := 0
		world := func(p *framework.Player) {
			worlds++
			for range 20 {
				last = p.Push("chunk", chunk)
			}
		}
		cfg := framework.Config{Logger: log.Logger(), OnOpen: world, OnSnapshot: world}
		simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, cfg, nil, func(e *env) {
			c := e.newClient("ann", carrier)
			client.OnMessage(c, "chunk", func(string) {})
			e.connect(c)
			time.Sleep(time.Minute)
			synctest.Wait() // what the callbacks wrote is read below
			var over *framework.OverflowError
			if !errors.As(last, &over) || !errors.Is(last, session.ErrOverflow) || over.MaxBytes != 256<<10 {
				t.Errorf("Push: %v", last)
			}
			// At 0, 0, 1, 2, 4, 8, 16 and 30 s, and a little more each.
			if st := e.srv.Stats(); st.Opened != 1 || worlds < 4 || worlds > 9 {
				t.Errorf("%d worlds in a minute, %d logins, %v", worlds, st.Opened, st.Closes)
			}
			if n := log.Count("more was sent at once than may wait"); n < 1 || n > 2 {
				t.Errorf("%d lines: %s", n, log.String())
			}
		})
	})
}

// TestPushAllIsPaced: 4 MB arrive in order, on each carrier and over a slow line
// too, and nothing is given up.
func TestPushAllIsPaced(t *testing.T) {
	const chunks = 70
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		var failed atomic.Value
		cfg := framework.Config{OnOpen: func(p *framework.Player) {
			parts := func(yield func(string) bool) {
				for range chunks {
					if !yield(chunk) {
						return
					}
				}
			}
			if err := framework.PushAll(p.Context(), p, "chunk", parts); err != nil {
				failed.Store(err)
			}
			_ = p.Push("chunk", "end")
		}}
		simulate(t, 1, memnet.Conditions{Delay: 30 * time.Millisecond}, cfg, nil, func(e *env) {
			c := e.newClient("ann", carrier)
			var got []int
			ended := make(chan struct{})
			client.OnMessage(c, "chunk", func(s string) {
				if s == "end" {
					close(ended)
					return
				}
				got = append(got, len(s))
			})
			e.connect(c)
			select {
			case <-ended:
			case <-time.After(2 * time.Minute):
				t.Error("never came to an end")
			}
			if len(got) != chunks || slices.Min(got) != len(chunk) {
				t.Errorf("%d chunks", len(got))
			}
			if st := e.srv.Stats(); st.Overflows != 0 || failed.Load() != nil {
				t.Errorf("%d overflows, %v", st.Overflows, failed.Load())
			}
			p := e.srv.User("ann")[0]
			e.within(time.Minute, "nothing waits", func() bool { n, bytes := p.Queued(); return n == 0 && bytes == 0 })
		})
	})
}

// TestPushAllEndsWithItsSession, and with the reset of it: who waits is let go.
func TestPushAllEndsWithItsSession(t *testing.T) {
	forever := func(yield func(string) bool) {
		for yield(chunk) {
		}
	}
	var done chan error // of the simulation
	cfg := framework.Config{Session: quick, OnOpen: func(p *framework.Player) {
		go func() { done <- framework.PushAll(p.Context(), p, "chunk", forever) }()
	}}
	for what, end := range map[string]func(e *env, p *framework.Player){
		"kick": func(_ *env, p *framework.Player) { p.Kick(session.Kicked, "") },
		"overflow": func(_ *env, p *framework.Player) {
			for p.Push("x", chunk) == nil {
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			simulate(t, 1, memnet.Conditions{}, cfg, func(*framework.Server) { done = make(chan error, 9) }, func(e *env) {
				c := e.dial("ann", transport.TCP)
				c.Pause()
				time.Sleep(3 * time.Second)
				end(e, e.srv.User("ann")[0])
				if err := <-done; err == nil {
					t.Error("ended without an error")
				}
			})
		})
	}
}
