// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"testing"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// TestWhatIsReopened: which sessions of dead servers are reopened here.
func TestWhatIsReopened(t *testing.T) {
	hook := func(context.Context, string) (any, error) { return nil, nil }
	s := &Server{cfg: Config{Reopen: hook}, dict: dictionary{hash: []byte("12345678")}}
	note := func(n loginNote) []byte {
		b, err := codec.AppendBody(nil, &n)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ours, names := note(loginNote{Routes: s.dict.hash, Sealed: true}), note(loginNote{})
	runs := session.ResumeRequest{Attempt: 7, Lowest: 1, Can: session.CanRestart}
	for name, c := range map[string]struct {
		hook bool
		r    session.ResumeRequest
		note []byte
		want bool
	}{
		"an app that ran on":        {true, runs, ours, true},
		"by names":                  {true, runs, names, true},
		"the game does not":         {false, runs, ours, false},
		"it would send again":       {true, session.ResumeRequest{Attempt: 7, Lowest: 1}, ours, false},
		"an app that was started":   {true, session.ResumeRequest{Attempt: 7, Lowest: 1, Fresh: true}, ours, true},
		"other routes":              {true, runs, note(loginNote{Routes: []byte("87654321")}), false},
		"a login before there were": {true, runs, nil, false},
	} {
		if s.cfg.Reopen = nil; c.hook {
			s.cfg.Reopen = hook
		}
		var b []byte
		if f := s.orphan(&c.r); f != nil {
			b = f("ann", c.note)
		}
		if (b != nil) != c.want {
			t.Errorf("%s: %x", name, b)
		}
		if b == nil {
			continue
		}
		rec, err := session.ParseRecord(b)
		if err != nil || !rec.Orphan || rec.User != "ann" || rec.Sealed != (string(c.note) == string(ours)) || (rec.Routes != nil) != rec.Sealed {
			t.Errorf("%s: %+v, %v", name, rec, err)
		}
	}
}
