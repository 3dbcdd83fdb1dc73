// SPDX-License-Identifier: MIT

package place

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/sim"
	"github.com/lifeline-go/lifeline/session"
)

// world is a cluster in virtual time: a directory, nodes with rooms, and players that go
// from room to room, with every fault that a seed can think of. One goroutine runs it; it is
// the same for the same seed. Leases, deaths and the moves of sessions are simple here: they
// are what package core decides, and is tested for.
type world struct {
	sim.World
	course  course
	mutate  mutation
	dir     sim.Store
	upSince time.Duration // the directory
	nodes   []*node
	clients []*client
	calm    bool                        // no new faults
	ending  bool                        // nothing new is asked
	made    []string                    // keys that nodes have made
	makers  map[string]core.Incarnation // of them
	dead    map[core.Incarnation]bool
	renewed map[core.Incarnation]time.Duration // as the directory has seen it
	oracle  oracle
	done    tally
}

// tally counts what has happened.
type tally struct {
	joins, moves, drains, kills, faults, handOvers, givenUp int
	fenced                                                  int // nodes that were declared dead
	crashed                                                 int // rooms that were made again
	resets                                                  int // of players
	refused                                                 int
	passed                                                  int // rooms that were handed over on demand
	strayed                                                 int // players that did not get into the room again that they moved with
	made, first, asked, none                                int // rooms by keys that nodes have made, those handed over by these, joins that they sent on, and that found none
}

func (t *tally) add(o tally) {
	t.joins, t.moves, t.drains, t.kills = t.joins+o.joins, t.moves+o.moves, t.drains+o.drains, t.kills+o.kills
	t.faults, t.handOvers, t.givenUp = t.faults+o.faults, t.handOvers+o.handOvers, t.givenUp+o.givenUp
	t.fenced, t.crashed, t.resets = t.fenced+o.fenced, t.crashed+o.crashed, t.resets+o.resets
	t.refused, t.strayed, t.passed = t.refused+o.refused, t.strayed+o.strayed, t.passed+o.passed
	t.made, t.first, t.asked, t.none = t.made+o.made, t.first+o.first, t.asked+o.asked, t.none+o.none
}

// course is what may happen in a run.
type course struct {
	nodes, clients, keys int
	length               time.Duration // of faults; then all heals
	every                time.Duration // a fault happens, at most
	marks                bool          // a process that has ended is known to have
	faults               []fault
}

const (
	roomType = "hall"
	roomSize = 4
	window   = 5 * time.Second // that a draining node lets rooms go on
)

func newWorld(seed uint64, c course, m mutation, traced bool) *world {
	w := &world{World: sim.New(seed, traced), course: c, mutate: m, dead: map[core.Incarnation]bool{}, renewed: map[core.Incarnation]time.Duration{}}
	w.Stale = true
	w.dir.World, w.oracle.w = &w.World, w
	w.oracle.rooms, w.makers = map[string]*fate{}, map[string]core.Incarnation{}
	for i := range c.nodes {
		n := &node{w: w, inc: core.Incarnation{Node: uint16(i + 1)}}
		w.nodes = append(w.nodes, n)
		n.start()
	}
	w.declare()
	for i := range c.clients {
		cl := &client{w: w, name: fmt.Sprint("u", i)}
		w.clients = append(w.clients, cl)
		w.After(w.Between(3*time.Second, 6*time.Second), func() {
			cl.open()
			cl.step()
		})
	}
	return w
}

// run lets everything happen until end, or until something is wrong.
func (w *world) run(end time.Duration) { w.Run(end, func() bool { return w.oracle.err != nil }) }

func (w *world) nodeOf(i core.Incarnation) *node { return w.nodes[i.Node-1] }

// keyOf is the key of a room by its number. Every third room has no snapshot.
func keyOf(i int) string { return fmt.Sprint("k", i) }

// isMade reports whether a node has made the key.
func (w *world) isMade(key string) bool {
	_, made := w.makers[key]
	return made
}

// unmade is Find.Made of a key.
func (w *world) unmade(key string) bool { return w.isMade(key) && w.mutate != madeAnew }

func snapshotted(key string) bool { return (key[len(key)-1]-'0')%3 != 2 }

// --- life and death

const (
	renewEvery   = 2 * time.Second
	validity     = 14 * time.Second
	declareAfter = 20 * time.Second
)

// declare finds the nodes that are dead.
func (w *world) declare() {
	w.After(500*time.Millisecond, w.declare)
	if w.Now < w.dir.DownTil {
		w.upSince = w.dir.DownTil
		return
	}
	after := declareAfter
	if w.mutate == deadTooSoon {
		after = 6 * time.Second
	}
	for _, n := range w.nodes {
		proof := w.course.marks && !n.alive
		if n.inc.Boot != 0 && !w.dead[n.inc] && (proof || w.Now-max(w.renewed[n.inc], w.upSince) >= after) {
			w.Note("%v is declared dead", n.inc)
			w.done.fenced++
			w.tombstone(n.inc)
		}
	}
}

// tombstone makes a tombstone.
func (w *world) tombstone(i core.Incarnation) {
	w.dead[i] = true
	w.spread()
}

// spread tells all nodes what has changed of others.
func (w *world) spread() {
	for _, n := range w.nodes {
		deliver := n.process()
		w.After(w.Latency(), func() {
			if n.way == sim.Whole {
				deliver(n.sync)
			}
		})
	}
}

// --- what players do

// client is a player with its session, which is at one node, or on its way.
type client struct {
	w     *world
	name  string
	id    session.ID
	at    core.Incarnation // zero: on its way
	in    string           // the key of the room that it is in, or moves with
	req   *request
	count uint64 // of sessions
}

type request struct {
	kind    requestKind
	key     string
	working bool
	answers int
}

type requestKind uint8

const (
	join requestKind = iota
	add
	leave
)

// open begins another session.
func (c *client) open() {
	c.count++
	c.id = session.ID{}
	copy(c.id[:], c.name)
	binary.BigEndian.PutUint64(c.id[8:], c.count)
	c.at, c.in = core.Incarnation{}, ""
	c.travel(nil, c.w.anyNode().inc, 0)
}

// reset is what comes of a session whose node is dead: what it has asked is answered by
// that, and it begins anew elsewhere.
func (c *client) reset() {
	c.w.Note("%s is reset", c.name)
	c.w.done.resets++
	if c.req != nil {
		c.req.answers++
		c.req = nil
	}
	c.open()
}

// step is what a player does now and then.
func (c *client) step() {
	w := c.w
	w.After(w.Between(100*time.Millisecond, 900*time.Millisecond), c.step)
	switch {
	case c.at == core.Incarnation{}:
		return
	case w.dead[c.at]:
		c.reset()
		return
	case c.req == nil && !w.ending:
		c.wish()
	}
	if r := c.req; r != nil && !r.working {
		n := w.nodeOf(c.at)
		deliver := n.process()
		w.After(w.Latency(), func() { deliver(func() { n.request(c, r) }) })
	}
}

// wish is the next thing that the player wants.
func (c *client) wish() {
	w := c.w
	switch {
	case c.in == "" && w.Chance(0.1):
		if to := w.anyNode(); to.inc != c.at && w.nodeOf(c.at).acting() { // it roams
			c.depart(nil, to.inc)
		}
	case c.in == "":
		c.req = &request{kind: join, key: keyOf(w.Rng.IntN(w.course.keys))}
		if w.Chance(0.4) { // a room of its own, or one of the last ones
			c.req.key = ""
			if last := w.made[max(len(w.made)-4, 0):]; len(last) > 0 && w.Chance(0.7) {
				c.req.key = last[w.Rng.IntN(len(last))]
			}
		}
		w.done.joins++
		w.oracle.asked++
	case w.Chance(0.25):
		c.req = &request{kind: leave, key: c.in}
		w.oracle.asked++
	default:
		c.req = &request{kind: add, key: c.in}
		w.oracle.asked++
	}
}

// answer is what a node tells a player that has its session there.
func (c *client) answer(n *node, r *request, why string) {
	w := c.w
	if !n.acting() || c.at != n.inc {
		w.oracle.fail("%v answers %s, whose session is at %v, acting %v", n.inc, c.name, c.at, n.acting())
	}
	if r.answers++; r.answers > 1 || c.req != r {
		w.oracle.fail("a request of %s for %s was answered %d times", c.name, r.key, r.answers)
	}
	if why != "" {
		w.done.refused++
	}
	w.oracle.answered++
	c.req = nil
}

// depart takes the session from its node, with what it is about to join.
func (c *client) depart(j *joining, to core.Incarnation) {
	c.w.Note("%s goes from %v to %v", c.name, c.at, to)
	c.w.done.moves++
	c.at = core.Incarnation{}
	c.travel(j, to, 0)
}

// travel lets the session come to a node, or to another one if it can't get there.
func (c *client) travel(j *joining, to core.Incarnation, tries int) {
	w, id := c.w, c.id
	d := w.Latency()
	if !w.Quiet && w.Chance(0.02) {
		d = w.Between(time.Second, 20*time.Second) // longer than a seat is kept
	}
	w.After(d, func() {
		n := w.nodeOf(to)
		switch {
		case c.id != id:
		case n.inc == to && n.acting() && n.runs() && !n.draining:
			c.at = n.inc
			if j != nil {
				n.join(j)
			}
		case tries < 3 && n.inc == to && !w.dead[to]:
			w.After(300*time.Millisecond, func() { c.travel(j, to, tries+1) })
		default:
			w.After(300*time.Millisecond, func() { c.travel(j, w.anyNode().inc, 0) })
		}
	})
}

// --- the oracle

// oracle knows what all rooms should be.
type oracle struct {
	w               *world
	err             error
	asked, answered int
	rooms           map[string]*fate
}

// fate is a room as players know it.
type fate struct {
	gen   uint64 // the highest that it was opened with
	value uint64 // what was acknowledged
	open  bool   // it was opened, and has not ended since
	given bool   // it was given up while it was handed over: it may go on from its snapshot
	ran   bool   // its snapshot is older than the room for sure
}

func (o *oracle) fail(format string, args ...any) {
	if o.err == nil {
		o.err = fmt.Errorf("at %v: "+format, append([]any{o.w.Now}, args...)...)
	}
}

func (o *oracle) fate(key string) *fate {
	if o.rooms[key] == nil {
		o.rooms[key] = &fate{}
	}
	return o.rooms[key]
}

// opened looks at a room that begins to run.
func (o *oracle) opened(n *node, r *room, v Verdict) {
	f := o.fate(r.key)
	switch {
	case r.gen <= f.gen:
		o.fail("%v opens %s with generation %d, and there was %d", n.inc, r.key, r.gen, f.gen)
	case o.w.isMade(r.key) && v.Snapshot == nil && f.gen > 0:
		o.fail("%v makes %s anew", n.inc, r.key)
	case v.Crashed:
		o.w.done.crashed++
		if f.open && r.value != f.value && o.w.done.fenced == 0 {
			o.fail("%v opens %s with %d, and %d was acknowledged, and no node has died", n.inc, r.key, r.value, f.value)
		}
	case v.Snapshot != nil && f.given && r.value == f.value: // the write was late, and its node died
	case v.Snapshot == nil && f.given && r.value == 0:
	case v.Snapshot != nil && !f.open:
		o.fail("%v opens %s from a snapshot, and it has ended", n.inc, r.key)
	case f.open && r.value != f.value:
		o.fail("%v opens %s with %d, and %d was acknowledged", n.inc, r.key, r.value, f.value)
	}
	if r.value > f.value && !v.Crashed { // else it may be one that has ended, whose node died before its entry was gone
		o.fail("%v opens %s with %d, and %d was acknowledged", n.inc, r.key, r.value, f.value)
	}
	if v.Snapshot != nil && f.ran {
		o.fail("%v opens %s from a snapshot that a room has run from before", n.inc, r.key)
	}
	f.gen, f.value, f.open, f.given, f.ran = r.gen, r.value, true, false, false
	o.check("a room was opened")
}

// givenUp takes that a node has ended a room which it could not hand over for sure.
func (o *oracle) givenUp(r *room) {
	if f := o.fate(r.key); f.gen == r.gen {
		f.open, f.given = false, true
	}
}

// released takes that a node has given back a room that has ended: no other one may have it from
// here on.
func (o *oracle) released(n *node, name, key string, gen uint64) {
	b, _ := o.w.dir.Latest(name).Value.([]byte)
	if e, err := ParseEntry(b); err != nil || e != nil && e.Gen == gen && e.Owner == (core.Incarnation{}) {
		o.fail("%v has released %s, gen %d, and any node may have it: %+v, %v", n.inc, key, gen, e, err)
	}
}

// none takes note that a room by a key that a node has made is found nowhere.
func (o *oracle) none(n *node, key string) {
	o.w.done.none++
	ends := slices.ContainsFunc(o.w.nodes, func(n *node) bool {
		r := n.rooms[Name(roomType, key)]
		return r != nil && r.ending
	})
	unknown := n.members.Status(o.w.makers[key]) == core.Unknown
	if o.fate(key).open && !ends && !unknown && o.w.done.fenced+o.w.done.kills == 0 {
		o.fail("%v finds no room %s, and it is open", n.inc, key)
	}
}

// ran takes that a room which was opened from a snapshot has none in its entry any more.
func (o *oracle) ran(key string, gen uint64) {
	if f := o.fate(key); f.gen == gen {
		f.ran = true
	}
}

func (o *oracle) added(n *node, r *room) {
	f := o.fate(r.key)
	f.value++
	if f.value != r.value || f.gen != r.gen {
		o.fail("%v has %s with %d and generation %d, and there is %d, %d", n.inc, r.key, r.value, r.gen, f.value, f.gen)
	}
	o.check("an addition")
}

// ended takes that a room has ended, with all that was in it.
func (o *oracle) ended(n *node, r *room) {
	f := o.fate(r.key)
	if f.gen != r.gen || !f.open {
		o.fail("%v ends %s of generation %d, and there is %d, open %v", n.inc, r.key, r.gen, f.gen, f.open)
	}
	f.open, f.value = false, 0
}

// check is the rule of all rules: no two nodes that may act run one room. And none has more
// members than seats.
func (o *oracle) check(when string) {
	runs := map[string]*node{}
	for _, n := range o.w.nodes {
		if !n.acting() {
			continue
		}
		for name, r := range n.rooms {
			if r.frozen {
				continue
			}
			if other := runs[name]; other != nil {
				o.fail("after %s: %v and %v both run %s", when, other.inc, n.inc, r.key)
			}
			runs[name] = n
			if len(r.members) > roomSize {
				o.fail("after %s: %s has %d members at %v", when, r.key, len(r.members), n.inc)
			}
		}
	}
}

// settled says what is not as it should be once all faults are over.
func (w *world) settled() error {
	if w.oracle.err != nil {
		return w.oracle.err
	}
	for _, c := range w.clients {
		n := (*node)(nil)
		if c.at != (core.Incarnation{}) {
			n = w.nodeOf(c.at)
		}
		switch {
		case c.req != nil:
			return fmt.Errorf("%s at %v is not answered: %+v", c.name, c.at, *c.req)
		case n == nil || n.inc != c.at:
			return fmt.Errorf("%s is nowhere: %v", c.name, c.at)
		case c.in != "" && (n.rooms[Name(roomType, c.in)] == nil || !slices.Contains(n.rooms[Name(roomType, c.in)].members, c)):
			return fmt.Errorf("%s is in %s, which is not at %v, where it is", c.name, c.in, c.at)
		}
	}
	for _, n := range w.nodes {
		for _, r := range n.rooms {
			if len(r.members) == 0 {
				return fmt.Errorf("%v has %s, and no player is in it; %d seats are kept", n.inc, r.key, n.seats.Len())
			}
		}
		listed := 0
		for _, r := range n.rooms {
			if r.listed {
				listed++
			}
		}
		if n.seats.Len() > 0 || n.held.Len() != listed {
			return fmt.Errorf("%v keeps %d seats, and has %v, and %d rooms", n.inc, n.seats.Len(), n.held.Counts(), len(n.rooms))
		}
	}
	return nil
}
