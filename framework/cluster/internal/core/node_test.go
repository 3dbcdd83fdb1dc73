// SPDX-License-Identifier: MIT

package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/sim"
	"github.com/lifeline-go/lifeline/session"
)

// node is a server of the world: it does around the cores of this package what package
// cluster and package framework do.
type node struct {
	w          *world
	inc        Incarnation
	alive      bool // its process runs, or is stopped
	stopped    time.Duration
	stopAsking time.Duration // for how long it is stopped when it asks for its lease next
	waiting    []func()      // while it is stopped
	rate       float64       // of its clock
	way        sim.Way
	broken     bool // its watch
	lease      *Lease
	watch      *Watch
	members    *Members
	holdings   Holdings
	sessions   map[session.ID]*simSession
	inHand     map[session.ID]*simSession // on their way to a login, or to the directory
	logins     map[*client]*login
	joined     bool
	draining   bool
	told       map[session.ID]time.Duration // clients that were sent elsewhere
	tombs      map[Incarnation]bool         // written
	suspected  map[uint16]bool              // a write is under way
}

// simSession is a session where it is.
type simSession struct {
	id      session.ID
	user    string
	recv    uint64 // packets accepted
	link    int    // the client's link, 0: none
	c       *client
	attempt int
	restart bool // its client was not seen to know that it is another life

	// What the game knows of it, which goes from one session of the user to the next: Adopt.
	life   int
	played uint64 // packets, in that life
}

func (w *world) newNode(number uint16) *node {
	n := &node{w: w, inc: Incarnation{Node: number}, rate: 1 + (w.Rng.Float64()-0.5)*0.02}
	w.nodes = append(w.nodes, n)
	n.start()
	return n
}

// local is the time by the node's clock.
func (n *node) local() time.Duration { return time.Duration(float64(n.w.Now) * n.rate) }

// start makes a new process.
func (n *node) start() {
	n.inc.Boot++
	n.alive, n.joined, n.draining, n.stopped, n.waiting = true, false, false, 0, nil
	n.way, n.broken = sim.Whole, false
	n.lease, n.watch, n.members = NewLease(n.inc, n.w.timing()), NewWatch(n.inc, n.w.timing()), &Members{}
	n.inHand = map[session.ID]*simSession{}
	n.holdings, n.sessions, n.told = Holdings{}, map[session.ID]*simSession{}, map[session.ID]time.Duration{}
	n.logins = map[*client]*login{}
	n.tombs, n.suspected = map[Incarnation]bool{}, map[uint16]bool{}
	n.w.Note("%v starts", n.inc)
	n.sync()
	n.tick(n.inc.Boot)
}

// ended reports what a mark proves, on the course where all nodes have the same Dir.
func (w *world) ended(i Incarnation) bool {
	if !w.course.marks || i == (Incarnation{}) {
		return false
	}
	m := w.nodes[i.Node-1]
	return m.inc != i || !m.alive || w.mutate == refusedIsProof && m.way != sim.Whole
}

func (n *node) kill() {
	n.w.Note("%v is killed", n.inc)
	n.alive = false
}

// deliver runs f at the node, if it is still that process, when it runs.
func (n *node) deliver(boot uint32, f func()) {
	switch {
	case !n.alive || n.inc.Boot != boot:
	case n.w.Now < n.stopped:
		n.waiting = append(n.waiting, f)
	default:
		f()
	}
}

// Process implements sim.Client.
func (n *node) Process() func(func()) {
	boot := n.inc.Boot
	return func(f func()) { n.deliver(boot, f) }
}

// Way implements sim.Client.
func (n *node) Way() sim.Way { return n.way }

// stop is SIGSTOP for a while.
func (n *node) stop(d time.Duration) {
	if !n.alive || n.w.Now < n.stopped {
		return
	}
	n.w.Note("%v is stopped for %v", n.inc, d)
	n.stopped = n.w.Now + d
	boot := n.inc.Boot
	n.w.After(d, func() {
		if n.inc.Boot != boot || !n.alive {
			return
		}
		waiting := n.waiting
		n.waiting = nil
		for _, f := range waiting {
			f()
		}
	})
}

// acting reports whether the node may do anything for its sessions, by its own clock.
func (n *node) acting() bool {
	if n.w.mutate == actWithoutLease {
		return n.alive && n.joined
	}
	return n.alive && n.joined && n.local() < n.lease.ValidUntil()
}

// serving reports whether the node may do something for a session that has a link: Serve.
func (n *node) serving() bool {
	return n.acting() || n.w.course.serve && n.alive && n.joined && n.local() < n.lease.AloneUntil()
}

// tick drives the lease and the watch.
func (n *node) tick(boot uint32) {
	n.w.After(100*time.Millisecond, func() { n.deliver(boot, func() { n.tick(boot) }) })
	if n.broken && n.way == sim.Whole && n.w.Now >= n.w.dir.DownTil {
		n.broken = false
		if n.w.mutate != watchBlind {
			n.watch.Blind(n.local())
		}
		n.sync()
	}
	n.renew(boot)
	if n.lease.Over() || n.lease.Left() {
		n.w.Note("%v is over", n.inc)
		if n.lease.Over() {
			n.w.fenced++
		} else {
			n.w.left[n.inc] = true
		}
		n.alive = false // its sessions end with the process, which starts anew
		n.w.After(n.w.Between(100*time.Millisecond, 3*time.Second), func() {
			if !n.alive {
				n.start()
			}
		})
		return
	}
	n.declare(boot)
}

func (n *node) renew(boot uint32) {
	if i := n.lease.Taken(); n.w.ended(i) {
		n.lease.Ended(i)
	}
	do, value, rev, ok := n.lease.Next(n.local())
	if !ok {
		return
	}
	key := fmt.Sprint("l", n.inc.Node)
	if do == Read {
		n.w.dir.get(n, key, func(o Outcome, value any, rev uint64) {
			v, _ := value.(LeaseValue)
			n.lease.Done(o, v, rev, n.local())
			n.joinIfHeld(o)
			n.renew(boot)
		})
		return
	}
	if do == Declare && n.w.mutate == leaseOverwritten {
		n.lease.Done(Written, LeaseValue{}, 0, n.local())
		return
	}
	if do == Declare {
		n.tombstone(value.Owner, func(o Outcome) {
			n.lease.Done(o, LeaseValue{}, 0, n.local())
			n.renew(boot)
		})
		return
	}
	n.w.dir.cas(n, key, value, rev, func(o Outcome, rev uint64) {
		if n.w.mutate == renewedWhenSeen {
			n.lease.sent = n.local()
		}
		n.lease.Done(o, LeaseValue{}, rev, n.local())
		n.joinIfHeld(o)
	})
	if n.stopAsking > 0 && n.joined {
		n.stop(n.stopAsking)
		n.stopAsking = 0
	}
}

// joinIfHeld begins to serve with the first lease.
func (n *node) joinIfHeld(o Outcome) {
	if n.lease.ValidUntil() > n.local() {
		if o == Written || n.w.mutate == watchBlind {
			n.watch.Renewed(n.local())
		}
		if !n.joined {
			n.joined = true
			n.w.Note("%v joins", n.inc)
			n.describe(n.inc.Boot)
		}
	}
	n.w.check("a renewal")
}

// describe writes the node's own record until it stands.
func (n *node) describe(boot uint32) {
	key := fmt.Sprint("m", n.inc.Node)
	want := Member{Incarnation: n.inc, Draining: n.draining}
	n.w.dir.get(n, key, func(o Outcome, value any, rev uint64) {
		if v, _ := value.(Member); o == Loaded && v.Incarnation == want.Incarnation && v.Draining == want.Draining {
			return
		}
		if o != Loaded {
			n.w.After(100*time.Millisecond, func() { n.deliver(boot, func() { n.describe(boot) }) })
			return
		}
		n.w.dir.cas(n, key, want, rev, func(Outcome, uint64) { n.describe(boot) })
	})
}

// declare makes the tombstones of servers that are dead.
func (n *node) declare(boot uint32) {
	for _, i := range n.watch.Living() {
		if n.w.ended(i) {
			n.watch.Ended(i)
		}
	}
	for _, s := range n.watch.Suspects(n.local()) {
		node := s.Value.Owner.Node
		if n.suspected[node] {
			continue
		}
		n.suspected[node] = true
		n.w.Note("%v suspects %v at revision %d", n.inc, s.Value.Owner, s.Rev)
		rev := s.Rev
		if n.w.mutate == declareWithoutRevision {
			rev = n.w.dir.Latest(fmt.Sprint("l", node)).Rev
		}
		n.w.dir.cas(n, fmt.Sprint("l", node), s.Value, rev, func(o Outcome, _ uint64) {
			n.suspected[node] = false
			n.watch.Spared(node, n.local())
		})
	}
	for _, i := range n.watch.Dead() {
		if n.tombs[i] {
			continue
		}
		n.tombs[i] = true
		n.tombstone(i, func(o Outcome) { n.tombs[i] = o == Written })
	}
}

// tombstone makes one, if there is none.
func (n *node) tombstone(i Incarnation, then func(Outcome)) {
	key := "d" + i.String()
	n.w.dir.get(n, key, func(o Outcome, value any, rev uint64) {
		switch {
		case o == Loaded && value != nil:
			then(Written)
		case o == Loaded:
			n.w.dir.cas(n, key, i, rev, func(o Outcome, _ uint64) { then(o) })
		default:
			then(o)
		}
	})
}

// sync brings what the node sees of the directory up to date.
func (n *node) sync() {
	boot := n.inc.Boot
	if n.way != sim.Whole || n.w.Now < n.w.dir.DownTil {
		n.broken = true
		return
	}
	if n.broken {
		return // the next tick makes a new watch
	}
	type seen struct {
		key string
		v   sim.Version
	}
	var all []seen
	for _, key := range n.w.dir.names {
		if isWatched(key) {
			all = append(all, seen{key, n.w.dir.Latest(key)})
		}
	}
	n.deliver(boot, func() {
		for _, s := range all {
			switch v := s.v.Value.(type) {
			case LeaseValue:
				n.watch.Saw(v.Owner.Node, v, s.v.Rev, n.local())
			case Member:
				n.members.Put(v)
				n.watch.Expect(v.Incarnation, n.local())
			case Incarnation:
				n.members.Tombstone(v)
			}
		}
	})
}

// run takes an operation through the directory.
func (n *node) run(op *Op, then func(Verdict)) {
	n.step(op, Event{}, nil, then)
}

// runTaking is run of an operation that takes a session. It gives up, with Busy, though what it has
// begun may still be done; and it takes nothing without a lease.
func (n *node) runTaking(op *Op, then func(Verdict)) {
	boot, over := n.inc.Boot, false
	once := func(v Verdict) {
		if !over {
			over = true
			then(v)
		}
	}
	n.w.After(n.w.Between(time.Second, 10*time.Second), func() { n.deliver(boot, func() { once(Verdict{}) }) })
	n.step(op, Event{}, &over, once)
}

// step goes on with an operation. over is of one that takes: it was given up.
func (n *node) step(op *Op, ev Event, over *bool, then func(Verdict)) {
	if over != nil && *over {
		return
	}
	boot := n.inc.Boot
	next := func(ev Event) { n.deliver(boot, func() { n.step(op, ev, over, then) }) }
	a := op.Next(ev, n.members)
	if n.w.Traced {
		n.w.Note("%v %p after %d(rev %d): %v rev %d %v %+v", n.inc, op, ev.Outcome, ev.Rev, a.Do, a.Rev, brief(a.Entries), a.Verdict)
	}
	switch a.Do {
	case Read:
		n.w.dir.get(n, "s"+op.Key, func(o Outcome, value any, rev uint64) {
			b, _ := value.([]byte)
			entries, err := ParseEntries(b)
			if err != nil {
				n.w.oracle.fail("%v", err)
			}
			next(Event{Outcome: o, Entries: entries, Rev: rev})
		})
	case Write:
		if over != nil && !n.acting() && n.w.mutate != takenWithoutLease {
			then(Verdict{Wait: time.Second})
			return
		}
		if n.w.mutate.skips(a.Verdict.Result, ev.Entries, n.inc) {
			then(a.Verdict)
			return
		}
		if n.w.mutate == adoptedForgotten && a.Verdict.Record != nil && a.Verdict.Result == Granted {
			a.Entries = a.Entries[len(a.Entries)-1:]
		}
		if n.w.mutate == genNotRaised && a.Verdict.Result == Taken {
			a.Entries = lowerGen(a.Entries, n.inc)
		}
		rev := a.Rev
		if n.w.mutate == releaseWithoutRevision && a.Verdict.Result == Released {
			rev = n.w.dir.Latest("s" + op.Key).Rev
		}
		n.w.dir.cas(n, "s"+op.Key, AppendEntries(nil, a.Entries), rev, func(o Outcome, _ uint64) { next(Event{Outcome: o}) })
	case Ask:
		n.ask(a.To, a.Question, next)
	case Wait:
		n.w.After(a.Wait, func() { next(Event{Outcome: Waited}) })
	case Done:
		then(a.Verdict)
	}
}

// ask brings a question to its node, and the answer back.
func (n *node) ask(to Incarnation, q Question, next func(Event)) {
	w, answered := n.w, false
	answer := func(ev Event) {
		if !answered {
			answered = true
			next(ev)
		}
	}
	w.After(2*time.Second, func() { answer(Event{Outcome: Unanswered}) })
	for _, m := range w.nodes {
		if m.inc == to && n.way.There && m.way.There {
			w.After(w.Latency(), func() {
				m.deliver(to.Boot, func() {
					a, ok := m.asked(q)
					if ok && m.way.Back && n.way.Back {
						w.After(w.Latency(), func() { answer(Event{Outcome: Answered, Answer: a}) })
					}
				})
			})
		}
	}
}

// skips reports that a write is left out.
func (m mutation) skips(r Result, read []Entry, me Incarnation) bool {
	switch m {
	case oldReadDecides:
		return r == Missing || r == Superseded || r == Fenced
	case takenWithoutWrite:
		return r == Taken && slices.ContainsFunc(read, func(e Entry) bool { return e.Owner == me && e.Record != nil })
	}
	return false
}

// brief shows entries in a line.
func brief(entries []Entry) (list []string) {
	for _, e := range entries {
		list = append(list, fmt.Sprintf("%x.. of %v gen %d, %d bytes", e.Session[12:], e.Owner, e.Gen, len(e.Record)))
	}
	return list
}
