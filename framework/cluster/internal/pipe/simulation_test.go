// SPDX-License-Identifier: MIT

package pipe

import (
	"errors"
	"flag"
	"fmt"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

var (
	simSeeds = flag.Int("pipe.seeds", 0, "run this many seeds of each course")
	simSeed  = flag.Uint64("pipe.seed", 0, "run this seed alone, and show its events")
)

// course is what may happen in a run.
type course struct {
	servers, users int
	length         time.Duration // of faults; then all heals
	limits         Limits
	every          time.Duration // a server sends something, about
	burst          int           // so many messages at once, at most
	loss, doubled  float64       // of a message between servers
	slow           time.Duration // a message may take so long
	stale          float64       // reads of the directory that are old, or fail
	moves          time.Duration // a session moves, about so often
	leaves, kills  time.Duration // likewise a server; 0 for never
	logouts        time.Duration // likewise a user ends its session; it comes again later
	cuts           time.Duration // likewise no server reaches another one for a time
}

// gentle is a course on which every message is handed over.
func (c course) gentle() bool { return c.kills == 0 && c.logouts == 0 && c.cuts == 0 && c.burst < 100 }

var courses = map[string]course{
	"moves":  {servers: 4, users: 8, length: 40 * time.Second, every: 60 * time.Millisecond, burst: 5, loss: 0.1, doubled: 0.1, slow: 600 * time.Millisecond, moves: 300 * time.Millisecond},
	"leaves": {servers: 4, users: 8, length: 90 * time.Second, every: 80 * time.Millisecond, burst: 5, slow: 100 * time.Millisecond, moves: time.Second, leaves: 5 * time.Second},
	"all": {servers: 4, users: 8, length: 150 * time.Second, every: 150 * time.Millisecond, burst: 8, loss: 0.2, doubled: 0.2, slow: 3 * time.Second, stale: 0.1,
		moves: 2 * time.Second, leaves: 20 * time.Second, kills: 20 * time.Second, logouts: 3 * time.Second, cuts: 15 * time.Second},
	"flood": {servers: 3, users: 4, length: 40 * time.Second, every: 400 * time.Millisecond, burst: 200, loss: 0.2, doubled: 0.2, slow: time.Second, moves: time.Second, cuts: 20 * time.Second,
		limits: Limits{Server: 4000, User: 1500, Batch: 500, Messages: 20, Gather: time.Millisecond, Patience: 30 * time.Second}},
}

// mutation is a fault that is planted in the world, for a test of the tests.
type mutation uint8

const (
	sound mutation = iota
	receiverForgets
	absentOnlyOnce
	shortWayOvertakes
	neverReceived
	answerOfAnother
)

// seeds is how many of each course are run.
func seeds() uint64 {
	switch {
	case *simSeeds > 0:
		return uint64(*simSeeds)
	case testing.Short():
		return 5
	}
	return 40
}

// TestSimulation plays every course by many seeds.
func TestSimulation(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a world is small: it would be collected all the time
	for name, c := range courses {
		t.Run(name, func(t *testing.T) {
			first, last := uint64(1), seeds()
			if *simSeed > 0 {
				first, last = *simSeed, *simSeed
			}
			came := map[string]int{}
			for seed := first; seed <= last; seed++ {
				w := simulate(seed, c, sound, *simSeed > 0)
				if w.err != nil {
					t.Fatalf("seed %d: %v\n%s", seed, w.err, strings.Join(w.Trace, "\n"))
				}
				for _, m := range w.messages {
					came[m.outcome()]++
				}
				came["sent again"] += int(w.moved())
			}
			t.Logf("%d seeds: %v", last-first+1, came)
		})
	}
}

// TestFaultsAreFound plants one fault after the other, which the simulation has to notice.
func TestFaultsAreFound(t *testing.T) {
	for plant, f := range map[mutation]struct{ course, name string }{
		receiverForgets:   {"moves", "a batch that comes twice is handed over twice"},
		absentOnlyOnce:    {"moves", "a message is handed over though the one before met no session"},
		shortWayOvertakes: {"moves", "a message to a user that is here overtakes those on their way"},
		neverReceived:     {"all", "no answer is taken for not received"},
		answerOfAnother:   {"moves", "an answer is taken for that of another batch"},
	} {
		t.Run(f.name, func(t *testing.T) {
			for seed := uint64(1); seed < 300; seed++ {
				if w := simulate(seed, courses[f.course], plant, false); w.err != nil {
					t.Logf("found by seed %d of %s: %v", seed, f.course, w.err)
					return
				}
			}
			t.Error("not noticed")
		})
	}
}

// outcome names what came of a message.
func (m *simMessage) outcome() string {
	switch {
	case m.refused:
		return "backpressure"
	case errors.Is(m.err, ErrOffline):
		return "offline"
	case errors.Is(m.err, ErrUnknown):
		return "unknown"
	case errors.Is(m.err, ErrUnreachable):
		return "unreachable"
	case m.err == nil && m.ended:
		return "handed over"
	case !m.from.alive:
		return "died with its sender"
	}
	return fmt.Sprintf("ended %v: %v", m.ended, m.err)
}
