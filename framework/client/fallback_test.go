// SPDX-License-Identifier: MIT

package client

import (
	"log/slog"
	"slices"
	"testing"
	"time"
)

func TestWhatFailedWhereAnotherWorkedStandsBack(t *testing.T) {
	w := newWays(make([]address, 3), time.Second, slog.New(slog.DiscardHandler))
	now := time.Duration(0)
	order := func(what string, want ...int) {
		t.Helper()
		if got := w.order(now); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	order("nothing is known", 0, 1, 2)
	w.failed(0)
	order("within an attempt", 1, 2, 0)
	w.failed(1)
	order("two have failed", 2, 0, 1)
	w.failed(2)
	order("nobody can be reached", 0, 1, 2)
	w.failed(0)
	w.failed(1)
	w.worked(2, now)
	order("the third worked", 2, 0, 1)
	now = minAvoid - 1
	order("it is preferred for a while", 2, 0, 1)
	now = minAvoid
	order("but not for ever", 0, 1, 2)
	for want := 2 * minAvoid; ; want *= 2 {
		w.failed(0)
		w.worked(1, now)
		want = min(want, maxAvoid)
		now += want - 1
		order("twice in a row", 1, 2, 0)
		now++
		order("after twice the time", 0, 1, 2)
		if want == maxAvoid {
			break
		}
	}
	w.failed(0)
	w.worked(1, now)
	now += maxAvoid
	w.worked(0, now)
	w.failed(0)
	w.worked(1, now)
	now += minAvoid
	order("what worked begins anew", 0, 1, 2)
	w.failed(-1) // where a server had sent us
	order("an address that is not on the list", 0, 1, 2)
	if w.astray != 1 {
		t.Errorf("astray %d times", w.astray)
	}
	w.worked(-1, now)
	order("it works", 0, 1, 2)
	if w.astray != 0 {
		t.Errorf("astray %d times", w.astray)
	}
}
