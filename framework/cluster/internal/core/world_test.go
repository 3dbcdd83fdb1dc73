// SPDX-License-Identifier: MIT

package core

import (
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/sim"
)

// world is a cluster in virtual time: a directory, nodes and clients, with every fault
// that a seed can think of. One goroutine runs it; it is the same for the same seed.
type world struct {
	sim.World
	dir     directory
	nodes   []*node
	clients []*client
	course  course
	mutate  mutation
	fenced  int // nodes that were declared dead, and heard of it
	alone   int // packets that were accepted without a lease
	left    map[Incarnation]bool
	oracle  oracle
}

// course is what may happen in a run.
type course struct {
	nodes, clients int
	length         time.Duration // of faults; then all heals
	policy         Policy
	reopen         bool
	marks          bool // Dir: a process that has ended is known to have
	faults         []fault
	stale          bool // reads may be old
	lossy          bool // many answers are lost
	duplicates     bool // users log in twice
	again          bool // those that are taken over come again
	serve          bool // nodes that can't reach the directory serve on
}

// run lets everything happen until end, or until something is wrong.
func (w *world) run(end time.Duration) { w.Run(end, func() bool { return w.oracle.err != nil }) }

// --- the directory

// directory is the store, with the outcomes of this package.
type directory struct {
	sim.Store
	names []string // of keys, in the order they were made
}

func (d *directory) get(n *node, key string, f func(o Outcome, value any, rev uint64)) {
	d.Get(n, key, func(v sim.Version, a sim.Answer) {
		o := Loaded
		if a != sim.Done {
			o = LoadFailed
		}
		f(o, v.Value, v.Rev)
	})
}

// cas writes a key if its revision is rev.
func (d *directory) cas(n *node, key string, value any, rev uint64, f func(o Outcome, rev uint64)) {
	d.Put(n, key, value, rev, func(next uint64, a sim.Answer) {
		f([...]Outcome{sim.Done: Written, sim.Refused: Conflicted, sim.Lost: Uncertain}[a], next)
	})
}

// changed tells the watchers of a key.
func (w *world) changed(key string) {
	if !slices.Contains(w.dir.names, key) {
		w.dir.names = append(w.dir.names, key)
	}
	if !isWatched(key) {
		w.checkLives("a write")
		return
	}
	for _, n := range w.nodes {
		w.After(w.Latency(), func() { n.sync() })
	}
}

func isWatched(key string) bool { return key[0] == 'l' || key[0] == 'm' || key[0] == 'd' }
