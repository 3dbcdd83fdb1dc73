// SPDX-License-Identifier: MIT

package core

import (
	"flag"
	"fmt"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/sim"
)

var (
	simSeeds = flag.Int("cluster.seeds", 0, "run this many seeds of each course")
	simSeed  = flag.Uint64("cluster.seed", 0, "run this seed alone, and show its events")
)

// fault is something that goes wrong, and heals.
type fault func(w *world)

func (w *world) anyNode() *node { return w.nodes[w.Rng.IntN(len(w.nodes))] }

// cut takes a node's way to and from all others, or one of them.
func cut(least, most time.Duration) fault {
	return func(w *world) {
		n, d := w.anyNode(), w.Between(least, most)
		old := n.way
		switch w.Rng.IntN(3) {
		case 0:
			n.way = sim.Way{}
		case 1:
			n.way.There = false
		case 2:
			n.way.Back = false
		}
		w.Note("%v is cut: %+v, for %v", n.inc, n.way, d)
		n.broken = true
		if old == sim.Whole {
			w.After(d, func() {
				n.way = sim.Whole
				w.Note("%v is back", n.inc)
			})
		}
	}
}

func outage(least, most time.Duration) fault {
	return func(w *world) {
		d := w.Between(least, most)
		w.Note("the directory is away for %v", d)
		w.dir.DownTil = max(w.dir.DownTil, w.Now+d)
	}
}

func stop(most time.Duration) fault {
	return func(w *world) { w.anyNode().stop(w.Between(100*time.Millisecond, most)) }
}

// stopAsking stops a node while its lease is being renewed: the answer is old when it is seen.
func stopAsking(least, most time.Duration) fault {
	return func(w *world) { w.anyNode().stopAsking = w.Between(least, most) }
}

func kill(w *world) {
	n := w.anyNode()
	if !n.alive {
		return
	}
	n.kill()
	w.After(w.Between(500*time.Millisecond, 30*time.Second), func() {
		if !n.alive {
			n.start()
		}
	})
}

func drain(w *world) { w.anyNode().drain() }

// mutation is a fault that is planted in the world, for a test of the tests.
type mutation uint8

const (
	sound mutation = iota
	actWithoutLease
	timesSwapped
	declareWithoutRevision
	releaseWithoutRevision
	watchBlind
	oldReadDecides
	takenWithoutWrite
	leaseOverwritten
	genNotRaised
	refusedIsProof
	aloneLetsIn
	renewedWhenSeen
	takenWithoutLease
	takenInVain
	parkedBesideLogin
	adoptedForgotten
	adoptedKept
)

// timing is the Timing of the nodes.
func (w *world) timing() Timing {
	t := Default
	switch w.mutate {
	case timesSwapped:
		t.Validity, t.DeclareAfter = t.DeclareAfter, t.Validity
	case watchBlind:
		t.Gap = time.Hour
	}
	return t
}

// lowerGen undoes that a take raises the generation.
func lowerGen(entries []Entry, me Incarnation) []Entry {
	for i := range entries {
		if entries[i].Owner == me && entries[i].Gen > 1 {
			entries[i].Gen--
		}
	}
	return entries
}

var courses = map[string]course{
	"everything": {
		nodes: 4, clients: 6, length: 150 * time.Second, reopen: true, stale: true, duplicates: true,
		faults: []fault{cut(0, 40*time.Second), outage(4*time.Second, 9*time.Second), outage(time.Second, 30*time.Second), stop(40 * time.Second), kill, drain},
	},
	"everything, login": {
		nodes: 3, clients: 5, length: 120 * time.Second, stale: true, policy: Adopt, duplicates: true,
		faults: []fault{cut(0, 30*time.Second), outage(4*time.Second, 9*time.Second), stop(40 * time.Second), kill, drain},
	},
	"reject": {
		nodes: 3, clients: 6, length: 120 * time.Second, stale: true, policy: Reject, reopen: true, duplicates: true,
		faults: []fault{cut(0, 30*time.Second), outage(4*time.Second, 9*time.Second), stop(40 * time.Second), kill, drain},
	},
	"allow": {
		nodes: 3, clients: 6, length: 120 * time.Second, stale: true, policy: Allow, reopen: true, duplicates: true,
		faults: []fault{cut(0, 30*time.Second), stop(40 * time.Second), kill, drain},
	},
	"moves": {
		nodes: 3, clients: 6, length: 90 * time.Second,
		faults: []fault{drain, drain, outage(4*time.Second, 9*time.Second), cut(0, 5*time.Second)},
	},
	"hitches": {
		nodes: 3, clients: 5, length: 120 * time.Second,
		faults: []fault{cut(0, 9*time.Second), stop(9 * time.Second), outage(time.Second, 9*time.Second)},
	},
	"edges": {
		nodes: 3, clients: 4, length: 150 * time.Second, reopen: true,
		faults: []fault{cut(18*time.Second, 22*time.Second), stop(22 * time.Second)},
	},
	"asleep": {
		nodes: 3, clients: 6, length: 120 * time.Second, reopen: true,
		faults: []fault{stopAsking(18*time.Second, 40*time.Second), cut(0, 5*time.Second)},
	},
	"marks": {
		nodes: 4, clients: 6, length: 150 * time.Second, reopen: true, stale: true, duplicates: true, marks: true,
		faults: []fault{cut(0, 30*time.Second), outage(4*time.Second, 9*time.Second), stop(30 * time.Second), kill, kill, drain},
	},
	"serve": {
		nodes: 3, clients: 6, length: 150 * time.Second, reopen: true, stale: true, duplicates: true, serve: true,
		faults: []fault{cut(0, 40*time.Second), outage(20*time.Second, 60*time.Second), stop(40 * time.Second), kill, drain},
	},
	"adoptions": {
		nodes: 3, clients: 6, length: 120 * time.Second, stale: true, policy: Adopt, duplicates: true, again: true,
		faults: []fault{drain, drain, outage(time.Second, 9*time.Second), cut(0, 5*time.Second), stop(5 * time.Second)},
	},
	"adoptions, deaths": {
		nodes: 4, clients: 6, length: 150 * time.Second, stale: true, policy: Adopt, duplicates: true, again: true, reopen: true,
		faults: []fault{drain, drain, cut(0, 30*time.Second), outage(4*time.Second, 9*time.Second), stop(40 * time.Second), kill},
	},
	"adoptions, lost answers": {
		nodes: 3, clients: 6, length: 120 * time.Second, stale: true, policy: Adopt, duplicates: true, again: true, lossy: true,
		faults: []fault{drain, drain, cut(0, 5*time.Second)},
	},
	"adoptions, edges": {
		nodes: 3, clients: 8, length: 180 * time.Second, policy: Adopt, duplicates: true, again: true,
		faults: []fault{cut(19*time.Second, 23*time.Second)},
	},
	"outages": {
		nodes: 3, clients: 5, length: 180 * time.Second, reopen: true,
		faults: []fault{outage(20*time.Second, 60*time.Second)},
	},
}

// simulate plays a course by a seed.
func simulate(seed uint64, c course, m mutation, traced bool) *world {
	w := &world{World: sim.New(seed, traced), course: c, mutate: m, left: map[Incarnation]bool{}}
	w.Stale = c.stale
	if c.lossy {
		w.Lost = 0.2
	}
	w.dir.World, w.dir.Changed, w.oracle.w = &w.World, w.changed, w
	for i := range c.nodes {
		w.newNode(uint16(i + 1))
	}
	for i := range c.clients {
		user := fmt.Sprint("u", i)
		if c.duplicates && i%3 == 2 {
			user = fmt.Sprint("u", i-1)
		}
		w.newClient(user)
	}
	w.After(8*time.Second, w.misfortune)
	w.run(c.length)
	w.Quiet = true
	w.run(c.length + 120*time.Second)
	w.oracle.ending = true
	w.run(c.length + 150*time.Second)
	return w
}

// misfortune lets a fault happen, and the next one later.
func (w *world) misfortune() {
	if w.Quiet {
		return
	}
	w.oracle.faults++
	w.course.faults[w.Rng.IntN(len(w.course.faults))](w)
	w.After(w.Between(500*time.Millisecond, 20*time.Second), w.misfortune)
}

// seeds is how many of each course are run.
func seeds(t *testing.T) uint64 {
	switch {
	case *simSeeds > 0:
		return uint64(*simSeeds)
	case testing.Short():
		return 20
	}
	return 40
}

// gentle courses have no fault that lasts for as long as a lease.
var gentle = map[string]bool{"moves": true, "hitches": true, "outages": true, "adoptions": true, "adoptions, lost answers": true}

// TestSimulation plays every course by many seeds.
func TestSimulation(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a world is small: it would be collected all the time
	for name, c := range courses {
		t.Run(name, func(t *testing.T) {
			first, last := uint64(1), seeds(t)
			if *simSeed > 0 {
				first, last = *simSeed, *simSeed
			}
			var packets, reported, resets, logins, faults, fenced, alone, adoptions int
			for seed := first; seed <= last; seed++ {
				w := simulate(seed, c, sound, *simSeed > 0)
				err := w.settled()
				if w.fenced > 0 {
					fenced++ // two cuts in a row may be too long
				} else if gentle[name] && err == nil {
					err = w.undisturbed()
				}
				if err != nil {
					t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(w.Trace, "\n"))
				}
				adoptions += w.oracle.adoptions
				packets, faults, alone = packets+len(w.oracle.packets), faults+w.oracle.faults, alone+w.alone
				for _, f := range w.oracle.packets {
					reported += f.reported
				}
				for _, c := range w.clients {
					resets, logins = resets+c.resets, logins+c.logins
				}
			}
			if gentle[name] && uint64(fenced) > 1+(last-first)/20 {
				t.Errorf("in %d of %d courses a server was declared dead", fenced, last-first+1)
			}
			if c.serve != (alone > 0) {
				t.Errorf("%d packets were accepted without a lease", alone)
			}
			t.Logf("%d seeds: %d faults, %d packets, %d of them without a lease, %d uncertain, %d resets, %d logins, %d adoptions", last-first+1, faults, packets, alone, reported, resets, logins, adoptions)
		})
	}
}

// TestFaultsAreFound plants one fault after the other. The simulation has to notice
// every one of them, on the course that is made for it.
func TestFaultsAreFound(t *testing.T) {
	for _, f := range []struct {
		plant  mutation
		course string
		from   uint64 // the seed to begin with: some are rare
		name   string
	}{
		{actWithoutLease, "allow", 1, "a node acts though its lease is over"},
		{timesSwapped, "everything", 1, "dead sooner than the lease is over"},
		{declareWithoutRevision, "edges", 190, "declared dead without a look at the revision"},
		{releaseWithoutRevision, "everything", 270, "an entry removed without its revision"},
		{watchBlind, "outages", 1, "a watcher counts while it is blind"},
		{oldReadDecides, "allow", 190, "a session is given up for what one read says"},
		{takenWithoutWrite, "allow", 1, "a take whose answer was lost is not written again"},
		{leaseOverwritten, "allow", 1, "the lease of a dead server is overwritten before it has a tombstone"},
		{genNotRaised, "everything", 1, "a take does not raise the generation"},
		{refusedIsProof, "marks", 1, "a server that can't be reached is taken for one whose process has ended"},
		{renewedWhenSeen, "asleep", 1, "a lease is valid from when its renewal was answered"},
		{aloneLetsIn, "serve", 50, "a server without a lease gives a link to a session"},
		{takenWithoutLease, "adoptions, edges", 1, "a server without a lease takes a session"},
		{takenInVain, "adoptions, lost answers", 1, "a server leaves with a session that it has taken in vain"},
		{parkedBesideLogin, "adoptions", 40, "a session is parked while a login of its user may be refused"},
		{adoptedForgotten, "adoptions", 1, "a claim removes what it adopts"},
		{adoptedKept, "adoptions", 20, "a claim in vain does not give back what it has adopted"},
	} {
		t.Run(f.name, func(t *testing.T) {
			for seed := f.from; seed < f.from+600; seed++ {
				w := simulate(seed, courses[f.course], f.plant, false)
				resets := 0
				for _, c := range w.clients {
					resets += c.resets
				}
				if err := w.settled(); err != nil || f.plant == watchBlind && resets > 0 {
					t.Logf("found by seed %d of %s: %v, %d resets", seed, f.course, err, resets)
					return
				}
			}
			t.Error("not noticed")
		})
	}
}
