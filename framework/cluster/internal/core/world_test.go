// SPDX-License-Identifier: MIT

package core

import (
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
	calm    bool // no new faults
	fenced  int  // nodes that were declared dead, and heard of it
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
	quiet          bool // nothing ever goes wrong with one message
	stale          bool // reads may be old
	duplicates     bool // users log in twice
}

// run lets everything happen until end, or until something is wrong.
func (w *world) run(end time.Duration) { w.Run(end, func() bool { return w.oracle.err != nil }) }

// latency is how long a message takes, now and then much longer.
func (w *world) latency() time.Duration {
	switch {
	case w.course.quiet || w.calm || !w.Chance(0.03):
		return w.Between(200*time.Microsecond, 5*time.Millisecond)
	case w.Chance(0.5):
		return w.Between(50*time.Millisecond, 400*time.Millisecond)
	}
	return w.Between(400*time.Millisecond, 3*time.Second)
}

// --- the directory

// directory is the leader of a replicated store as its clients see it: one order of
// writes, with revisions; answers that get lost, writes that come late, reads that
// are old, times without a leader.
type directory struct {
	w       *world
	seq     uint64
	keys    map[string][]version
	names   []string // of keys, in the order they were made
	downTil time.Duration
}

type version struct {
	rev   uint64
	value any
	at    time.Duration
}

// way is whether a node's messages get to the directory, and its answers back.
type way struct{ there, back bool }

const requestTimeout = time.Second

func (d *directory) latest(key string) version {
	if h := d.keys[key]; len(h) > 0 {
		return h[len(h)-1]
	}
	return version{}
}

// request lets apply happen at the directory, once or twice or never, and tells the node.
func (d *directory) request(n *node, apply func() func(lost bool), lost func()) {
	w, boot, answered := d.w, n.inc.Boot, false
	answer := func(f func()) {
		n.deliver(boot, func() {
			if !answered {
				answered = true
				f()
			}
		})
	}
	w.After(requestTimeout, func() { answer(lost) })
	times := 1
	if !w.course.quiet && !w.calm && w.Chance(0.01) {
		times = 2
	}
	for range times {
		if !n.way.there || !w.course.quiet && !w.calm && w.Chance(0.005) {
			continue
		}
		w.After(w.latency(), func() {
			if w.Now < d.downTil {
				return
			}
			result := apply()
			if n.way.back && (w.course.quiet || w.calm || !w.Chance(0.01)) {
				w.After(w.latency(), func() { answer(func() { result(false) }) })
			}
		})
	}
}

// get reads a key, perhaps from a leader that does not know that it is none any more.
func (d *directory) get(n *node, key string, f func(o Outcome, value any, rev uint64)) {
	d.request(n, func() func(bool) {
		v := d.latest(key)
		if h := d.keys[key]; d.w.course.stale && !d.w.calm && d.w.Chance(0.05) {
			for i := len(h) - 1; i > 0 && d.w.Now-h[i].at < 10*time.Second && d.w.Chance(0.7); i-- {
				v = h[i-1]
			}
		}
		return func(bool) { f(Loaded, v.value, v.rev) }
	}, func() { f(LoadFailed, nil, 0) })
}

// cas writes a key if its revision is rev.
func (d *directory) cas(n *node, key string, value any, rev uint64, f func(o Outcome, rev uint64)) {
	d.request(n, func() func(bool) {
		if d.latest(key).rev != rev {
			return func(bool) { f(Conflicted, 0) }
		}
		d.put(key, value)
		at := d.seq
		return func(bool) { f(Written, at) }
	}, func() { f(Uncertain, 0) })
}

// put writes a key, and tells the watchers.
func (d *directory) put(key string, value any) {
	if d.keys == nil {
		d.keys = map[string][]version{}
	}
	if d.keys[key] == nil {
		d.names = append(d.names, key)
	}
	d.seq++
	h := append(d.keys[key], version{d.seq, value, d.w.Now})
	d.keys[key] = h[max(len(h)-8, 0):]
	if !isWatched(key) {
		return
	}
	for _, n := range d.w.nodes {
		d.w.After(d.w.latency(), func() { n.sync() })
	}
}

func isWatched(key string) bool { return key[0] == 'l' || key[0] == 'm' || key[0] == 'd' }
