// SPDX-License-Identifier: MIT

package session

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// course is a life as the simulation plays it: what happens to whom, one after
// the other. With its seed, which gives the configuration, and the network's
// chance it decides all.
type course struct {
	seed    uint64
	chance  uint64
	players int
	events  []event
}

// event is a verb that happens to a player, and the time until the next one.
type event struct {
	who  int
	verb string
	n    int
	wait time.Duration
}

// String writes the course as parseCourse reads it.
func (c *course) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d chance %d players %d\n", c.seed, c.chance, c.players)
	for _, ev := range c.events {
		fmt.Fprintf(&b, "p%d %s %d wait %v\n", ev.who, ev.verb, ev.n, ev.wait)
	}
	return b.String()
}

func parseCourse(text string) (*course, error) {
	c := new(course)
	head, rest, _ := strings.Cut(text, "\n")
	if _, err := fmt.Sscanf(head, "seed %d chance %d players %d", &c.seed, &c.chance, &c.players); err != nil || c.players < 1 || c.players > 10 {
		return nil, fmt.Errorf("%q is no head of a script: %v", head, err)
	}
	for line := range strings.Lines(rest) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		var ev event
		var wait string
		if _, err := fmt.Sscanf(line, "p%d %s %d wait %s", &ev.who, &ev.verb, &ev.n, &wait); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		var err error
		if ev.wait, err = time.ParseDuration(wait); err != nil || verbs[ev.verb].do == nil || ev.who < 0 || ev.n < 0 || ev.wait < 0 {
			return nil, fmt.Errorf("%q is no event: %v", line, err)
		}
		c.events = append(c.events, ev)
	}
	return c, nil
}

func (c *course) world(t testing.TB) *world { return newWorld(t, c.chance, simConfig(c.seed)) }

// witnessed plays the course with faults and returns what the oracle found.
func (c *course) witnessed(t testing.TB, f faults) (*world, string) {
	wit := &witness{TB: t}
	w := c.world(wit)
	w.fault = f
	done := make(chan struct{})
	go func() { // ends with play, or with the oracle's first complaint
		defer close(done)
		c.play(w)
	}()
	<-done
	return w, wit.failure
}

// shrink looks for the shortest part of a course that fails, however. It leaves
// out ever smaller pieces as long as what remains fails, and then makes what is
// left simpler.
func (c *course) shrink(t testing.TB, f faults, failure string) (*course, string) {
	best := *c
	runs := 0
	// Without an event the network's chance falls otherwise: a few are tried.
	try := func(events []event, players int) bool {
		for _, chance := range []uint64{best.chance, 1, 2, 3, 4, 5} {
			next := course{seed: c.seed, chance: chance, players: players, events: events}
			if runs++; runs > 5000 {
				return false
			}
			if _, found := next.witnessed(t, f); found != "" {
				best, failure = next, found
				return true
			}
		}
		return false
	}
	for size := len(best.events); size > 0; {
		removed := false
		for at := 0; at+size <= len(best.events); {
			if try(slices.Delete(slices.Clone(best.events), at, at+size), best.players) {
				removed = true
			} else {
				at += size
			}
		}
		if !removed || size > len(best.events) {
			size = min(size/2, len(best.events))
		}
	}
	for best.players > 1 && try(best.events, best.players-1) {
		continue
	}
	for i := range best.events {
		for _, simpler := range []event{{n: 0}, {n: best.events[i].n, wait: time.Second}, {n: best.events[i].n}} {
			events := slices.Clone(best.events)
			ev := &events[i]
			ev.n = simpler.n
			if simpler.n != 0 || ev.n == best.events[i].n {
				ev.wait = simpler.wait
			}
			if *ev != best.events[i] {
				try(events, best.players)
			}
		}
	}
	return &best, failure
}

// TestCourseIsReplayable: what is printed of a failing seed fails in the same way
// when it is read again, and is short.
func TestCourseIsReplayable(t *testing.T) {
	for name, f := range map[string]faults{"no fence": {noFence: true}, "wake-up lost": {loseWakeUp: true}, "trims": {trimTooMany: true}} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(60) {
				c := drawCourse(seed)
				_, failure := c.witnessed(t, f)
				if failure == "" {
					continue
				}
				short, failure := c.shrink(t, f, failure)
				read, err := parseCourse(short.String() + "\n# the end\n")
				if err != nil || read.String() != short.String() {
					t.Fatalf("read as\n%v, %v", read, err)
				}
				if _, again := read.witnessed(t, f); again != failure {
					t.Errorf("it failed with %q and fails with %q", failure, again)
				}
				if len(short.events) > 12 {
					t.Errorf("%d of %d events are left", len(short.events), len(c.events))
				}
				t.Logf("%s\n%s", failure, short)
				return
			}
			t.Error("no seed fails")
		})
	}
}

func TestScriptsThatAreNone(t *testing.T) {
	for _, text := range []string{"", "seed x", "seed 1 chance 1 players 0", "seed 1 chance 1 players 2\np0 fly 1 wait 1s", "seed 1 chance 1 players 2\np0 cut 1", "seed 1 chance 1 players 2\np0 cut 1 wait -1s"} {
		if c, err := parseCourse(text); err == nil {
			t.Errorf("%q is read as %v", text, c)
		}
	}
}
