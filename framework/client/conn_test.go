// SPDX-License-Identifier: MIT

package client

import (
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// number is a connection that notes when it was closed.
type number struct {
	conn
	n      int
	closed *[]int
}

func (c number) close() { *c.closed = append(*c.closed, c.n) }

func TestCutConnectionsAreClosedWhenTheyWereMissed(t *testing.T) {
	var s silent
	var closed []int
	expect := func(what string, due time.Duration, want ...int) {
		t.Helper()
		if !slices.Equal(closed, want) || s.due() != due {
			t.Errorf("%s: closed %v, due %v; want %v, %v", what, closed, s.due(), want, due)
		}
	}
	expect("none", session.Never)
	for n := range maxSilent {
		s.add(number{n: n, closed: &closed}, time.Duration(n+10))
	}
	expect("as many as may be", 10)
	s.add(number{n: maxSilent, closed: &closed}, 30)
	expect("one more", 11, 0)
	s.expire(10)
	expect("not yet", 11, 0)
	s.expire(12)
	expect("two are due", 13, 0, 1, 2)
	s.expire(session.Never - 1)
	expect("all", session.Never, 0, 1, 2, 3, 4)
}
