// SPDX-License-Identifier: MIT

package place

import (
	"flag"
	"fmt"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/sim"
)

var (
	simSeeds = flag.Int("place.seeds", 0, "run this many seeds of each course")
	simSeed  = flag.Uint64("place.seed", 0, "run this seed alone, and show its events")
)

// fault is something that goes wrong, and heals.
type fault func(w *world)

func (w *world) anyNode() *node { return w.nodes[w.Rng.IntN(len(w.nodes))] }

// cut takes a node's way to and from all others, or one of them.
func cut(least, most time.Duration) fault {
	return func(w *world) {
		n, d := w.anyNode(), w.Between(least, most)
		if n.way != sim.Whole || !n.alive {
			return
		}
		n.way = []sim.Way{{}, {Back: true}, {There: true}}[w.Rng.IntN(3)]
		w.Note("%v is cut: %+v, for %v", n.inc, n.way, d)
		deliver := n.process()
		w.After(d, func() {
			deliver(func() {
				n.way = sim.Whole
				w.Note("%v is back", n.inc)
			})
		})
	}
}

func outage(least, most time.Duration) fault {
	return func(w *world) {
		d := w.Between(least, most)
		w.Note("the directory is away for %v", d)
		w.dir.DownTil = max(w.dir.DownTil, w.Now+d)
	}
}

// stop is SIGSTOP for a while.
func stop(times ...time.Duration) fault {
	return func(w *world) {
		n := w.anyNode()
		if !n.runs() {
			return
		}
		d := times[w.Rng.IntN(len(times))]
		w.Note("%v is stopped for %v", n.inc, d)
		n.stopped = w.Now + d
		inc := n.inc
		w.After(d, func() {
			if n.inc != inc || !n.alive {
				return
			}
			waiting := n.waiting
			n.waiting = nil
			for _, f := range waiting {
				f()
			}
		})
	}
}

func kill(w *world) {
	n := w.anyNode()
	if !n.alive {
		return
	}
	w.Note("%v is killed", n.inc)
	w.done.kills++
	n.alive = false
	w.After(w.Between(500*time.Millisecond, 20*time.Second), n.start)
}

func drain(w *world) { w.anyNode().drain() }

func pass(w *world) { w.anyNode().pass() }

// mutation is a fault that is planted in the world, for a test of the tests.
type mutation uint8

const (
	sound mutation = iota
	actWithoutLease
	deadTooSoon
	silenceIsDeath
	closedWithoutRevision
	closedWithoutOwner
	uncertainIsWritten
	takenWithoutRevision
	genStartsAnew
	genNotRaised
	runsWhileMoving
	snapshotGoesWithTake
	ownTakeNotWritten
	oldReadDecides
	seatsNotCounted
	seatsStay
	answeredTwice
	ranWithoutOwner
	snapshotStays
	forgottenTooSoon
	leavesUnseen
	firstWithoutRevision
	madeAnew
)

// skips reports that a write is left out.
func (m mutation) skips(a Action, ev Event) bool {
	switch m {
	case ownTakeNotWritten:
		return a.Verdict.Result == Here && ev.Entry != nil && ev.Entry.Owner == a.Entry.Owner
	case snapshotStays:
		return a.Verdict.Result == Runs
	case oldReadDecides:
		return a.Entry == ev.Entry && a.Entry != nil && (a.Verdict.Result == Fenced || a.Verdict.Result == Released || a.Verdict.Result == Runs)
	}
	return false
}

// spoil makes a write what it should not be.
func (m mutation) spoil(op *Op, a *Action, me core.Incarnation, latest uint64) {
	takes, closes, ran := a.Verdict.Result == Here, a.Verdict.Result == Released, a.Verdict.Result == Runs
	switch {
	case m == closedWithoutRevision && a.Entry == nil && closes, m == takenWithoutRevision && takes:
		a.Rev = latest
	case m == closedWithoutOwner && closes:
		a.Entry = nil
	case m == genStartsAnew && takes && a.Entry.Snapshot == nil:
		a.Entry.Gen = 1
	case m == genNotRaised && takes && a.Entry.Gen > 1:
		a.Entry.Gen--
	case m == firstWithoutRevision && a.Verdict.Result == Moved && a.Rev == 0:
		a.Rev = latest
	case m == snapshotGoesWithTake && takes:
		a.Entry.Snapshot = nil
	case m == ranWithoutOwner && ran && a.Entry != nil:
		next := *a.Entry
		next.Snapshot, a.Entry = nil, &next
	}
	if takes {
		op.written.Gen = a.Entry.Gen
	}
}

var courses = map[string]course{
	"everything": {
		nodes: 5, clients: 12, keys: 6, length: 120 * time.Second, every: 12 * time.Second,
		faults: []fault{cut(0, 40*time.Second), outage(time.Second, 20*time.Second), stop(10*time.Second, 17*time.Second, 40*time.Second), kill, drain, drain},
	},
	"marks": {
		nodes: 5, clients: 12, keys: 6, length: 120 * time.Second, every: 8 * time.Second, marks: true,
		faults: []fault{cut(0, 30*time.Second), stop(17*time.Second, 40*time.Second), kill, kill, drain},
	},
	"drains": {
		nodes: 3, clients: 9, keys: 3, length: 90 * time.Second, every: 8 * time.Second,
		faults: []fault{drain, drain, cut(0, 5*time.Second), outage(2*time.Second, 9*time.Second), stop(3 * time.Second)},
	},
	"passes": {
		nodes: 3, clients: 9, keys: 3, length: 60 * time.Second, every: 3 * time.Second,
		faults: []fault{pass, pass, pass, pass, cut(0, 5*time.Second), outage(time.Second, 9*time.Second), stop(3 * time.Second), drain, kill},
	},
	"hitches": {
		nodes: 3, clients: 8, keys: 3, length: 90 * time.Second, every: 15 * time.Second,
		faults: []fault{cut(0, 9*time.Second), stop(9*time.Second, 10*time.Second), outage(time.Second, 9*time.Second)},
	},
}

// gentle courses kill no node, and have no fault that lasts for as long as a lease.
var gentle = map[string]bool{"drains": true, "hitches": true}

// simulate plays a course by a seed.
func simulate(seed uint64, c course, m mutation, traced bool) *world {
	w := newWorld(seed, c, m, traced)
	w.After(8*time.Second, w.misfortune)
	w.run(c.length)
	w.calm = true
	w.run(c.length + 60*time.Second)
	w.Quiet = true
	w.run(c.length + 90*time.Second)
	w.ending = true
	w.run(c.length + 150*time.Second)
	return w
}

// misfortune lets a fault happen, and the next one later.
func (w *world) misfortune() {
	if w.calm {
		return
	}
	w.done.faults++
	w.course.faults[w.Rng.IntN(len(w.course.faults))](w)
	w.After(w.Between(500*time.Millisecond, w.course.every), w.misfortune)
}

// TestSimulation plays every course by many seeds.
func TestSimulation(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a world is small: it would be collected all the time
	seeds := uint64(25)
	switch {
	case *simSeeds > 0:
		seeds = uint64(*simSeeds)
	case testing.Short():
		seeds = 5
	}
	for name, c := range courses {
		t.Run(name, func(t *testing.T) {
			first, last := uint64(1), seeds
			if *simSeed > 0 {
				first, last = *simSeed, *simSeed
			}
			var all tally
			fenced := uint64(0)
			for seed := first; seed <= last; seed++ {
				w := simulate(seed, c, sound, *simSeed > 0)
				err := w.settled()
				if w.done.fenced > 0 {
					fenced++ // two cuts in a row may be too long
				} else if w.done.resets > 0 && err == nil {
					err = fmt.Errorf("no node was declared dead, and there were %d resets", w.done.resets)
				}
				if err != nil {
					t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(w.Trace, "\n"))
				}
				all.add(w.done)
			}
			if gentle[name] && fenced > 1+(last-first)/20 {
				t.Errorf("in %d of %d courses a node was declared dead", fenced, last-first+1)
			}
			t.Logf("%d seeds: %+v", last-first+1, all)
		})
	}
}

// TestFaultsAreFound plants one fault after the other. The simulation has to notice every
// one of them, on the course that is made for it.
func TestFaultsAreFound(t *testing.T) {
	for _, f := range []struct {
		plant  mutation
		course string
		from   uint64 // the seed to begin with: some are rare
		name   string
	}{
		{actWithoutLease, "everything", 1, "a node runs rooms though its lease is over"},
		{deadTooSoon, "everything", 1, "declared dead sooner than the lease is over"},
		{silenceIsDeath, "everything", 1, "a room is taken from an owner that does not answer"},
		{closedWithoutRevision, "everything", 425, "an entry removed without its revision"},
		{closedWithoutOwner, "everything", 1, "an entry removed without a look at its owner"},
		{uncertainIsWritten, "everything", 1, "a write without an answer is taken for done"},
		{genNotRaised, "everything", 30, "a take does not raise the generation"},
		{takenWithoutRevision, "everything", 1, "a room taken without a look at the revision"},
		{genStartsAnew, "everything", 1, "the generation begins anew when a room was closed"},
		{runsWhileMoving, "drains", 1, "a room runs on while it is handed over"},
		{snapshotGoesWithTake, "drains", 15, "a take removes the snapshot"},
		{ownTakeNotWritten, "drains", 1, "a take whose answer was lost is not written again"},
		{oldReadDecides, "everything", 100, "a room is given up for what one read says"},
		{seatsNotCounted, "hitches", 1, "seats that are kept are not counted"},
		{seatsStay, "everything", 1, "seats are kept for ever"},
		{answeredTwice, "hitches", 1, "the server that a player leaves answers, too"},
		{ranWithoutOwner, "drains", 1, "a snapshot removed without a look at the owner"},
		{snapshotStays, "marks", 1, "the snapshot stays in the entry of a room that runs"},
		{forgottenTooSoon, "passes", 1, "a room is looked for by its server before it is handed over for sure"},
		{leavesUnseen, "passes", 1, "a room that is about to go is said not to exist"},
		{firstWithoutRevision, "passes", 1100, "a first entry is written without a look at the revision"},
		{madeAnew, "everything", 1, "a room is made anew that no server knows"},
	} {
		t.Run(f.name, func(t *testing.T) {
			for seed := f.from; seed < f.from+600; seed++ {
				w := simulate(seed, courses[f.course], f.plant, false)
				if err := w.settled(); err != nil {
					t.Logf("found by seed %d of %s: %v", seed, f.course, err)
					return
				}
			}
			t.Error("not noticed")
		})
	}
}
