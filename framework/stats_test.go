// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestStatsTellWhatHappened: each way a link or a session can end is counted by
// its own name, and the states add up.
func TestStatsTellWhatHappened(t *testing.T) {
	cfg := framework.Config{Session: quick, MaxSessions: 4, Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
		if string(l.Ticket) == "eve" {
			return framework.Identity{}, framework.Fail(1001, "not you")
		}
		return framework.Identity{User: string(l.Ticket)}, nil
	}}
	cfg.Session.Grace = 5 * time.Second
	simulate(t, 3, memnet.Conditions{Delay: 5 * time.Millisecond}, cfg, nil, func(e *env) {
		ann := e.dial("ann", transport.TCP)
		bob := e.dial("bob", transport.PlainKCP)
		cid := e.dial("cid", transport.TCP)
		_ = e.dial("dan", transport.TCP)
		eve := e.newClient("eve", transport.TCP)
		full := eve.Connect(shortly(e.t, 3*time.Second))
		if s := e.srv.Stats(); full == nil || s.Full["sessions"] == 0 || s.Refusal["busy"] != s.Full["sessions"] || s.Attached["tcp"] != 3 || s.Attached["plain-kcp"] != 1 || s.Detached != 0 {
			t.Errorf("four of four: %v, %+v", full, s)
		}
		e.srv.User("cid")[0].Kick(session.Banned, "")
		e.within(time.Second, "cid is out", func() bool { return cid.Err() != nil })
		err := e.newClient("eve", transport.TCP).Connect(shortly(e.t, time.Minute))
		if s := e.srv.Stats(); err == nil || s.Refusal["game"] != 1 || s.Closes["banned"] != 1 || s.Sessions != 3 {
			t.Errorf("eve is denied: %v, %+v", err, s)
		}
		ann.Cut() // silence on TCP: the server has to find out, unless she is back before
		e.within(time.Minute, "ann is back", func() bool { return ann.Stats().Resumes == 1 })
		if s := e.srv.Stats(); s.Lost["replaced"]+s.Lost["timeout"]+s.Lost["closed"] != 1 || s.Resumed != 1 || s.Attached["tcp"] != 2 {
			t.Errorf("ann came back: %+v", s)
		}
		bob.Pause()
		e.within(20*time.Second, "bob's grace is over", func() bool { return e.srv.Stats().Closes["expired"] == 1 })
		_ = ann.Close()
		time.Sleep(time.Second)
		s := e.srv.Stats()
		if s.Lost["away"] != 1 || s.Closes["left"] != 1 || s.Sessions != 1 || s.Attached["tcp"] != 1 || s.Attached["plain-kcp"] != 0 {
			t.Errorf("at the end: %+v", s)
		}
		if s.Ended != 3 || s.Opened != 4 || s.Refused != s.Refusal["busy"]+s.Refusal["game"] {
			t.Errorf("sums: %+v", s)
		}
		time.Sleep(30 * time.Second) // the wheel has looked at dan
		if s := e.srv.Stats(); s.Queued.Count() == 0 || s.Workers.Limit == 0 || len(s.Transport.Loops) == 0 {
			t.Errorf("samples: %+v", s)
		}
	})
}

func shortly(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestQuietServerIsNotLate: what comes after a long silence finds the loop on time.
func TestQuietServerIsNotLate(t *testing.T) {
	simulate(t, 1, memnet.Conditions{}, framework.Config{Loops: 1}, nil, func(e *env) {
		for _, quiet := range []time.Duration{time.Minute, 2 * time.Minute, time.Hour} {
			time.Sleep(quiet)
			_ = e.dial("ann", transport.TCP).Close()
			time.Sleep(time.Second)
			if st := e.srv.Stats().Transport.Loops[0].Lateness; st.Sum > int64(10*time.Millisecond) {
				t.Errorf("late by %v after %v of silence", time.Duration(st.Sum), quiet)
			}
		}
	})
}
