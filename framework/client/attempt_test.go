// SPDX-License-Identifier: MIT

package client

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/lifeline-go/lifeline/session"
)

// Of an attempt the app is told once, with all that went wrong in it and in no other.
func TestAttemptTellsWhatWentWrongInIt(t *testing.T) {
	var a attempt
	moves := func(want bool, states ...session.ClientState) {
		t.Helper()
		for i, s := range states {
			if got := a.over(s); got != (want && i == len(states)-1) {
				t.Errorf("state %d of %v: over is %v", i, states, got)
			}
		}
	}
	one, two := errors.New("one"), errors.New("two")
	moves(false, session.Dialing)
	a.failed(one)
	a.failed(two)
	a.failed(errors.New("one")) // the same again says no more
	moves(false, session.Dialing)
	moves(true, session.Waiting)
	if err := a.why(); err.Error() != "one; two" || !errors.Is(err, one) || !errors.Is(err, two) {
		t.Errorf("the first attempt: %v", err)
	}
	moves(false, session.Waiting, session.Dialing, session.Opening)
	if err := a.why(); err.Error() != "one" { // the last that is known
		t.Errorf("nothing went wrong yet: %v", err)
	}
	a.failed(two)
	moves(true, session.Waiting)
	if err := a.why(); err.Error() != "two" {
		t.Errorf("the second attempt: %v", err)
	}
	moves(false, session.Dialing, session.Opening)
	a.told = true // the server refused, and the app knows
	moves(false, session.Waiting)
	moves(false, session.Dialing, session.Opening)
	moves(true, session.Waiting)
	moves(false, session.Dialing, session.Opening, session.Open)
	moves(false, session.Waiting) // an open link was lost: no attempt
}

// A link that opened nothing is explained by what came on it.
func TestCauseOfALinkThatOpenedNothing(t *testing.T) {
	udp, tcp := address{carrier: carrierPlainKCP, hostport: "a:1"}, address{carrier: carrierTCP, hostport: "a:1"}
	for _, c := range []struct {
		a     address
		heard bool
		err   error
		want  error
	}{
		{udp, false, nil, errNobody},
		{udp, false, errSilent, errNobody},
		{udp, true, nil, errMute},
		{tcp, false, nil, errMute},
		{tcp, false, io.EOF, errHangsUp},
		{tcp, true, io.EOF, io.EOF},
		{tcp, true, session.ErrControl, errStranger},
	} {
		if err := linkCause(c.a, c.heard, c.err); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.a.String()) {
			t.Errorf("%v, heard %v, %v: %v, want %v", c.a, c.heard, c.err, err, c.want)
		}
	}
}
