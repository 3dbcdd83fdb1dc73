// SPDX-License-Identifier: MIT

package client

import (
	"slices"
	"testing"
	"time"
)

func TestWhatFailedWhereAnotherWorkedStandsBack(t *testing.T) {
	c := &Client{addrs: make([]address, 3), standings: make([]standing, 3)}
	now := time.Duration(0)
	order := func(what string, want ...int) {
		t.Helper()
		if got := c.orderLocked(now); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	order("nothing is known", 0, 1, 2)
	c.failedLocked(0)
	order("within an attempt", 1, 2, 0)
	c.failedLocked(1)
	order("two have failed", 2, 0, 1)
	c.failedLocked(2)
	order("nobody can be reached", 0, 1, 2)
	c.failedLocked(0)
	c.failedLocked(1)
	c.workedLocked(2, now)
	order("the third worked", 2, 0, 1)
	now = minAvoid - 1
	order("it is preferred for a while", 2, 0, 1)
	now = minAvoid
	order("but not for ever", 0, 1, 2)
	for want := 2 * minAvoid; ; want *= 2 {
		c.failedLocked(0)
		c.workedLocked(1, now)
		want = min(want, maxAvoid)
		now += want - 1
		order("twice in a row", 1, 2, 0)
		now++
		order("after twice the time", 0, 1, 2)
		if want == maxAvoid {
			break
		}
	}
	c.failedLocked(0)
	c.workedLocked(1, now)
	now += maxAvoid
	c.workedLocked(0, now)
	c.failedLocked(0)
	c.workedLocked(1, now)
	now += minAvoid
	order("what worked begins anew", 0, 1, 2)
	c.failedLocked(-1) // where a server had sent us
	order("an address that is not on the list", 0, 1, 2)
	if c.astray != 1 {
		t.Errorf("astray %d times", c.astray)
	}
	c.workedLocked(-1, now)
	order("it works", 0, 1, 2)
	if c.astray != 0 {
		t.Errorf("astray %d times", c.astray)
	}
}
