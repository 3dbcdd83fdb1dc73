// SPDX-License-Identifier: MIT

package logs

import (
	"strings"
	"testing"
	"time"
)

func TestLimiterLetsOneAMinuteThrough(t *testing.T) {
	var l Limiter
	now := time.Unix(1, 0)
	for i, want := range []struct {
		after time.Duration
		times uint64
		ok    bool
	}{{0, 1, true}, {time.Second, 0, false}, {58 * time.Second, 0, false}, {time.Second, 3, true}, {time.Hour, 1, true}} {
		now = now.Add(want.after)
		if times, ok := l.Allow(now); times != want.times || ok != want.ok {
			t.Errorf("line %d: stands for %d, %v, want %d, %v", i, times, ok, want.times, want.ok)
		}
	}
}

func TestLabelIsShortAndValid(t *testing.T) {
	for user, want := range map[string]string{
		"":                      "",
		strings.Repeat("a", 64): strings.Repeat("a", 64),
		strings.Repeat("a", 65): strings.Repeat("a", 64) + "...",
		strings.Repeat("€", 22): strings.Repeat("€", 21) + "...",
	} {
		if got := Label(user); got != want {
			t.Errorf("%q is %q, want %q", user, got, want)
		}
	}
}
