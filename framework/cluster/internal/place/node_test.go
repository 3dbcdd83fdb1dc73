// SPDX-License-Identifier: MIT

package place

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/sim"
	"github.com/lifeline-go/lifeline/session"
)

// node is a server of the world: it does around this package what package cluster and
// package framework do.
type node struct {
	w        *world
	inc      core.Incarnation
	alive    bool // its process runs, or is stopped
	joined   bool
	draining bool
	drained  time.Duration // since when
	stopped  time.Duration
	waiting  []func() // while it is stopped
	way      sim.Way
	until    time.Duration // its lease is valid
	members  *core.Members
	silent   map[core.Incarnation]bool // for a mutation
	held     Rooms
	seats    Seats
	rooms    map[string]*room
}

// room is a room where it is.
type room struct {
	key     string
	gen     uint64
	value   uint64 // what players have added up
	members []*client
	frozen  bool // it moves: nothing of it runs
	ending  bool
	listed  bool // it has an entry, or had one: its key was not made by its node
}

// start makes a new process, once the one before is dead.
func (n *node) start() {
	w := n.w
	if n.inc.Boot != 0 && !w.dead[n.inc] {
		w.After(500*time.Millisecond, n.start)
		return
	}
	n.inc.Boot++
	*n = node{w: w, inc: n.inc, alive: true, way: sim.Whole, members: &core.Members{}, rooms: map[string]*room{}, silent: map[core.Incarnation]bool{}}
	w.Note("%v starts", n.inc)
	w.renewed[n.inc] = w.Now
	n.renew()
	n.tick()
}

// Process implements sim.Client.
func (n *node) Process() func(func()) { return n.process() }

// Way implements sim.Client.
func (n *node) Way() sim.Way { return n.way }

// process returns what runs functions in the process that there is now, when it runs.
func (n *node) process() func(func()) {
	inc := n.inc
	return func(f func()) {
		switch {
		case !n.alive || n.inc != inc:
		case n.w.Now < n.stopped:
			n.waiting = append(n.waiting, f)
		default:
			f()
		}
	}
}

func (n *node) later(d time.Duration, f func()) {
	deliver := n.process()
	n.w.After(d, func() { deliver(f) })
}

// whenActing runs f as soon as the node may act.
func (n *node) whenActing(f func()) {
	if n.acting() {
		f()
		return
	}
	n.later(50*time.Millisecond, func() { n.whenActing(f) })
}

func (n *node) runs() bool { return n.alive && n.w.Now >= n.stopped }

// acting reports whether the node may do anything for its rooms.
func (n *node) acting() bool {
	if n.w.mutate == actWithoutLease {
		return n.alive && n.joined
	}
	return n.alive && n.joined && n.w.Now < n.until
}

func (n *node) renew() {
	w, sent, inc := n.w, n.w.Now, n.inc
	n.later(renewEvery, n.renew)
	deliver := n.process()
	if !n.way.There {
		return
	}
	w.After(w.Latency(), func() {
		if w.Now < w.dir.DownTil {
			return
		}
		dead := w.dead[inc]
		if !dead {
			w.renewed[inc] = w.Now
		}
		if !n.way.Back {
			return
		}
		w.After(w.Latency(), func() {
			deliver(func() {
				if dead {
					n.over()
					return
				}
				n.until = max(n.until, sent+validity)
				n.sync()
				if !n.joined {
					n.joined = true
					w.spread()
				}
			})
		})
	})
}

// over ends a process that was declared dead, or has left. Another one follows.
func (n *node) over() {
	n.w.Note("%v is over", n.inc)
	n.alive = false
	n.w.After(n.w.Between(100*time.Millisecond, 3*time.Second), n.start)
}

// sync brings what the node knows of others up to date.
func (n *node) sync() {
	if n.w.Now < n.w.dir.DownTil {
		return
	}
	for _, m := range n.w.nodes {
		if m.joined {
			n.members.Put(core.Member{Incarnation: m.inc, Draining: m.draining})
		}
	}
	for i := range n.w.dead {
		n.members.Tombstone(i)
	}
}

// Status implements core.View.
func (n *node) Status(i core.Incarnation) core.Status {
	if n.w.mutate == silenceIsDeath && n.silent[i] {
		return core.Dead
	}
	return n.members.Status(i)
}

// tick gives back seats whose sessions have not come.
func (n *node) tick() {
	n.later(500*time.Millisecond, n.tick)
	if !n.acting() || n.w.mutate == seatsStay {
		return
	}
	for _, s := range n.seats.Expired(n.w.Now) {
		n.endIfEmpty(s.Name)
	}
}

// choose is where a room shall be.
func (n *node) choose(tried []core.Incarnation) core.Incarnation {
	load := map[core.Incarnation]int{}
	for _, c := range n.w.clients {
		load[c.at]++
	}
	most := 1 + len(n.w.clients)/len(n.w.nodes)
	here := Load{Node: n.inc, Players: load[n.inc], Capacity: most}
	if n.draining || slices.Contains(tried, n.inc) {
		here.Node = core.Incarnation{}
	}
	var others []Load
	for _, m := range n.members.Living() {
		if i := m.Incarnation; i != n.inc && !m.Draining && !slices.Contains(tried, i) {
			others = append(others, Load{i, load[i], most})
		}
	}
	if here.Node == n.inc && n.w.Chance(0.3) && len(others) > 0 { // as if it were full
		here.Node = others[n.w.Rng.IntN(len(others))].Node
	}
	return Choose(here, others, n.w.Rng.IntN)
}

// --- what players ask

func (n *node) request(c *client, r *request) {
	if !n.acting() || c.at != n.inc || c.req != r || r.working {
		return
	}
	name := Name(roomType, r.key)
	if r.kind == join && r.key == "" {
		r.key = n.make()
		name = Name(roomType, r.key)
	}
	if r.kind == join {
		r.working = true
		n.join(&joining{c: c, id: c.id, r: r, key: r.key, name: name})
		return
	}
	at := n.rooms[name]
	switch {
	case at == nil || !slices.Contains(at.members, c):
		if c.in == "" {
			c.answer(n, r, "not in it")
		} // else it moves
	case at.frozen && n.w.mutate != runsWhileMoving:
	case r.kind == add:
		at.value++
		n.w.oracle.added(n, at)
		c.answer(n, r, "")
	default:
		n.leave(c, at)
		c.answer(n, r, "")
	}
}

func (n *node) leave(c *client, r *room) {
	r.members = slices.DeleteFunc(r.members, func(other *client) bool { return other == c })
	c.in = ""
	n.endIfEmpty(Name(roomType, r.key))
}

// joining is a session's way into a room. It goes along when the session moves.
type joining struct {
	c           *client
	id          session.ID
	r           *request // nil: the room moves, and the player with it
	key, name   string
	hops, waits int
	perhaps     bool // the node that has made its key has not said whether it is there
}

const maxHops = 4

func (n *node) answer(j *joining, why string) {
	if why == "" {
		j.c.in = j.key
	} else {
		j.c.in = ""
		if j.r == nil {
			n.w.Note("%s does not get into %s again: %s", j.c.name, j.key, why)
			n.w.done.strayed++
		}
	}
	if j.r != nil {
		j.c.answer(n, j.r, why)
	}
}

// join brings a session of this node into a room, here or elsewhere.
func (n *node) join(j *joining) {
	if j.c.id != j.id || j.c.at != n.inc {
		return // it was reset
	}
	if !n.acting() {
		n.later(50*time.Millisecond, func() { n.join(j) })
		return
	}
	if maker, made := n.w.makers[j.key]; made && !n.joinMade(j, maker) {
		return
	}
	switch state := n.held.State(j.name); {
	case state == Open:
		n.enter(j)
	case state != Free:
		n.again(j)
	case j.r == nil && n.draining: // it came before
		j.c.depart(j, n.w.anyNode().inc)
	case n.draining || j.r != nil && j.hops > maxHops:
		n.answer(j, "busy")
	default:
		n.look(j)
	}
}

// look looks for a room in the directory.
func (n *node) look(j *joining) {
	switch {
	case n.held.State(j.name) != Free:
		n.later(50*time.Millisecond, func() { n.join(j) })
	default:
		n.held.Arrive(j.name)
		op := NewFind(Find{Me: n.inc, Type: roomType, Key: j.key, User: j.c.name, Session: j.id, Choose: n.choose, Made: n.w.unmade(j.key)})
		n.run(op, func(v Verdict) { n.found(j, v) })
	}
}

// joinMade joins a room by a key that a node has made, at that node. It reports true if the
// directory knows more.
func (n *node) joinMade(j *joining, maker core.Incarnation) bool {
	status := n.members.Status(maker)
	switch r := n.rooms[j.name]; {
	case n.held.State(j.name) != Free:
		return true
	case maker == n.inc && r != nil && r.frozen && n.w.mutate != leavesUnseen:
		n.later(50*time.Millisecond, func() { n.join(j) })
	case maker == n.inc && r != nil && !r.ending && !r.frozen:
		n.enter(j)
	case maker == n.inc || status != core.Up && status != core.Draining:
		return n.handedOver(j)
	default:
		n.ask(maker, Question{roomType, j.key, j.c.name, j.id}, func(ev Event) { n.madeAnswered(j, maker, ev) })
	}
	return false
}

// handedOver reports whether the room of a key that a node has made may be elsewhere.
func (n *node) handedOver(j *joining) bool {
	if !snapshotted(j.key) {
		n.answer(j, "none")
		return false
	}
	return true
}

// madeAnswered takes the answer of the node that has made a key.
func (n *node) madeAnswered(j *joining, maker core.Incarnation, ev Event) {
	n.whenActing(func() {
		switch a := ev.Answer; {
		case j.c.id != j.id || j.c.at != n.inc:
		case ev.Outcome == core.Answered && a.Says == Seated:
			j.hops++
			j.c.depart(j, maker)
		case ev.Outcome == core.Answered && a.Says == Refuses:
			n.answer(j, a.Why.String())
		case ev.Outcome == core.Answered && a.Says == NotHere:
			if n.handedOver(j) {
				n.w.done.asked++
				n.look(j)
			}
		case snapshotted(j.key):
			j.perhaps = true
			n.look(j)
		default:
			n.again(j)
		}
	})
}

// again joins a little later, but not for ever.
func (n *node) again(j *joining) {
	if j.waits++; j.r != nil && j.waits > 100 {
		n.answer(j, "busy")
		return
	}
	n.later(50*time.Millisecond, func() { n.join(j) })
}

// enter takes a seat of a room that is here.
func (n *node) enter(j *joining) {
	r := n.rooms[j.name]
	if n.seats.Use(j.name, j.id) || len(r.members)+n.seats.Of(j.name) < roomSize {
		r.members = append(r.members, j.c)
		n.answer(j, "")
		n.w.oracle.check("a join")
		return
	}
	n.answer(j, Full.String())
}

func (n *node) found(j *joining, v Verdict) {
	if v.Result == Here {
		n.open(j.key, v, func() { n.join(j) })
		return
	}
	n.held.Forget(j.name)
	perhaps := j.perhaps
	j.perhaps = false
	n.whenActing(func() {
		switch {
		case j.c.id != j.id || j.c.at != n.inc:
		case v.Result == Elsewhere:
			if n.w.mutate == answeredTwice && j.r != nil {
				j.r.answers++
			}
			j.hops++
			j.c.depart(j, v.To)
		case v.Result == Busy && j.r == nil: // a member goes on until it is told
			n.later(v.Wait, func() { n.join(j) })
		case v.Result == Busy:
			n.answer(j, "busy")
		case v.Result == None && perhaps:
			n.again(j)
		case v.Result == None:
			n.w.oracle.none(n, j.key)
			n.answer(j, "none")
		default:
			n.answer(j, v.Why.String())
		}
	})
}

// --- rooms

// make makes a room by a key of the node's own: it has no entry.
func (n *node) make() (key string) {
	w := n.w
	w.done.made++
	key = fmt.Sprintf("%v-%d", n.inc, w.done.made)
	w.made, w.makers[key] = append(w.made, key), n.inc
	r := &room{key: key, gen: uint64(len(w.made))}
	n.rooms[Name(roomType, key)] = r
	w.Note("%v makes %s", n.inc, key)
	w.oracle.opened(n, r, Verdict{})
	n.later(SeatTime, func() { n.endIfEmpty(Name(roomType, key)) })
	return key
}

// open makes the room that this node owns now, once it may act.
func (n *node) open(key string, v Verdict, then func()) {
	n.whenActing(func() {
		r := &room{key: key, gen: v.Gen, listed: true}
		value, expect := unpack(v.Snapshot)
		r.value = value
		name := Name(roomType, key)
		n.rooms[name] = r
		n.held.Opened(name, v.Gen)
		n.w.Note("%v opens %s, gen %d, with %d, for %d", n.inc, key, v.Gen, r.value, len(expect))
		n.w.oracle.opened(n, r, v)
		for _, id := range expect {
			n.seats.Keep(name, id, n.w.Now, func() Refusal { return n.sit(name) })
		}
		n.later(SeatTime, func() { n.endIfEmpty(name) }) // of an opening without a player
		n.runsAt(key, v)
		then()
	})
}

// runsAt takes the snapshot of a room that runs here out of its entry, some time.
func (n *node) runsAt(key string, v Verdict) {
	if v.Snapshot == nil {
		return
	}
	gen, op := v.Gen, NewRuns(n.inc, roomType, key, v.Gen)
	var try func()
	try = func() {
		n.run(op, func(v Verdict) {
			if v.Result != Runs {
				n.later(300*time.Millisecond, try)
				return
			}
			if r := n.rooms[Name(roomType, key)]; r != nil && !r.frozen { // else it has another snapshot by now
				n.w.oracle.ran(key, gen)
			}
		})
	}
	n.later(n.w.Between(0, 500*time.Millisecond), func() { n.whenActing(try) })
}

// pack makes the snapshot of a room: its value, and its members.
func (r *room) pack() []byte {
	b := binary.BigEndian.AppendUint64(nil, r.value)
	for _, c := range r.members {
		b = append(b, c.id[:]...)
	}
	return b
}

// unpack reads what pack made, nil for a room that is fresh.
func unpack(b []byte) (value uint64, members []session.ID) {
	if b == nil {
		return 0, nil
	}
	for id := range slices.Chunk(b[8:], len(session.ID{})) {
		members = append(members, session.ID(id))
	}
	return binary.BigEndian.Uint64(b), members
}

// sit takes a seat, which is to be kept.
func (n *node) sit(name string) Refusal {
	if len(n.rooms[name].members)+n.seats.Of(name) >= roomSize && n.w.mutate != seatsNotCounted {
		return Full
	}
	return Granted
}

// endIfEmpty ends a room that no player is in, or on the way to.
func (n *node) endIfEmpty(name string) {
	r := n.rooms[name]
	if r == nil || r.frozen || len(r.members) > 0 || n.seats.Of(name) > 0 {
		return
	}
	if gen, ok := n.held.Close(name); ok || !r.listed && !r.ending {
		r.ending = true
		n.later(n.w.Between(0, 200*time.Millisecond), func() { // of OnEnd
			n.whenActing(func() {
				n.w.Note("%v ends %s, gen %d", n.inc, r.key, gen)
				n.w.oracle.ended(n, r)
				delete(n.rooms, name)
				if !r.listed {
					return
				}
				n.close(name, r.key, gen, NewClose(n.inc, roomType, r.key, gen))
			})
		})
	}
}

// close removes the entry, until that is sure.
func (n *node) close(name, key string, gen uint64, op *Op) {
	n.run(op, func(v Verdict) {
		if v.Result != Released {
			n.later(300*time.Millisecond, func() { n.close(name, key, gen, op) })
			return
		}
		n.w.oracle.released(n, name, key, gen)
		n.held.Forget(name)
	})
}

// asked answers a question of another node, unless it may not act.
func (n *node) asked(q Question, answer func(Answer)) {
	if !n.acting() {
		return
	}
	name := Name(q.Type, q.Key)
	says := func(s Says, why Refusal) { answer(Answer{Says: s, Why: why, Gen: n.held.Gen(name)}) }
	seat := func() {
		if q.Session == (session.ID{}) {
			says(Seated, Granted)
		} else if why := n.seats.Keep(name, q.Session, n.w.Now, func() Refusal { return n.sit(name) }); why != Granted {
			says(Refuses, why)
		} else {
			says(Seated, Granted)
		}
	}
	maker, made := n.w.makers[q.Key]
	mine := n.rooms[name]
	if mine != nil && (mine.listed || maker != n.inc) {
		mine = nil
	}
	switch state := n.held.State(name); {
	case mine != nil && state == Free && (mine.frozen && n.w.mutate != leavesUnseen || n.draining):
		says(Working, Granted)
	case mine != nil && state == Free && !mine.ending && !mine.frozen:
		seat()
	case made && !snapshotted(q.Key):
		says(NotHere, Granted)
	case state == Free && n.draining:
		says(NotHere, Granted)
	case state != Free && state != Open, n.draining:
		says(Working, Granted)
	case state == Open:
		seat()
	default:
		n.held.Arrive(name)
		n.run(NewFind(Find{Me: n.inc, Type: q.Type, Key: q.Key, Asked: true, Made: n.w.unmade(q.Key)}), func(v Verdict) {
			if v.Result == Here {
				n.open(q.Key, v, seat)
				return
			}
			n.held.Forget(name)
			says(NotHere, Granted)
		})
	}
}

// --- drain

// drain lets all rooms and players go, and then the node.
func (n *node) drain() {
	if !n.alive || !n.joined || n.draining {
		return
	}
	n.w.Note("%v drains", n.inc)
	n.w.done.drains++
	n.draining, n.drained = true, n.w.Now
	n.w.spread()
	n.drainOn()
}

func (n *node) drainOn() {
	n.later(300*time.Millisecond, n.drainOn)
	if !n.acting() {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(n.rooms)) {
		switch r := n.rooms[name]; {
		case r.frozen || r.ending:
		case snapshotted(r.key):
			n.handOver(name, r)
		case n.w.Now-n.drained > window:
			for _, c := range slices.Clone(r.members) {
				n.leave(c, r)
			}
		}
	}
	empty := n.held.Len() == 0 && len(n.rooms) == 0
	for _, c := range n.w.clients {
		if c.at != n.inc {
			continue
		}
		empty = false
		if c.in == "" && (c.req == nil || !c.req.working) {
			c.depart(nil, n.w.anyNode().inc)
		}
	}
	if empty {
		n.w.tombstone(n.inc)
		n.over()
	}
}

// chooseOther is choose, and this node is the last that is chosen.
func (n *node) chooseOther(tried []core.Incarnation) core.Incarnation {
	return cmpOr(n.choose(append(slices.Clone(tried), n.inc)), n.choose(tried))
}

// pass hands a room over on demand: the node serves on, and may be asked for it at once.
func (n *node) pass() {
	if !n.acting() || !n.runs() || n.draining {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(n.rooms)) {
		if r := n.rooms[name]; !r.frozen && !r.ending && snapshotted(r.key) {
			n.w.done.passed++
			n.handOver(name, r)
			if n.w.mutate == forgottenTooSoon {
				n.held.Forget(name)
			}
			return
		}
	}
}

// handOver gives a room to the others, with its members.
func (n *node) handOver(name string, r *room) {
	r.frozen = true
	if r.listed {
		n.handOverNow(name, r)
		return
	}
	n.later(n.w.Between(0, 300*time.Millisecond), func() { // until it is saved, no other node knows
		n.whenActing(func() { n.handOverNow(name, r) })
	})
}

func (n *node) handOverNow(name string, r *room) {
	first := !r.listed
	if first {
		n.held.Opened(name, r.gen)
		n.w.done.first++
	}
	gen, ok := n.held.Move(name)
	if !ok {
		return
	}
	n.w.done.handOvers++
	n.w.oracle.fate(r.key).ran = false // the next snapshot is a new one
	h := HandOver{Me: n.inc, Type: roomType, Key: r.key, Gen: gen, Target: n.choose([]core.Incarnation{n.inc}), Snapshot: r.pack(), First: first}
	op, err := NewHandOver(h)
	if err != nil {
		n.w.oracle.fail("%v", err)
		return
	}
	n.handingOver(name, r, op, h.Target)
}

// handingOver runs the operation, or gives up while it still runs, and its writes with it.
func (n *node) handingOver(name string, r *room, op *Op, target core.Incarnation) {
	over := false
	if n.w.Chance(0.2) {
		n.later(n.w.Between(0, 30*time.Millisecond), func() {
			if !over {
				over = true
				n.giveUp(name, r)
			}
		})
	}
	n.run(op, func(v Verdict) {
		switch {
		case over:
		case v.Result == Busy:
			n.later(300*time.Millisecond, func() { n.handingOver(name, r, op, target) })
		default:
			over = true
			n.w.Note("%v has given %s away: %d", n.inc, r.key, v.Result)
			n.sendOff(name, r, target)
		}
	})
}

// giveUp ends a room that could not be given away for sure, and its members are out. A write that
// is late may give it away all the same, until its entry is removed.
func (n *node) giveUp(name string, r *room) {
	n.whenActing(func() {
		n.w.done.givenUp++
		n.w.Note("%v gives %s up, gen %d", n.inc, r.key, r.gen)
		n.w.oracle.givenUp(r)
		delete(n.rooms, name)
		n.seats.Drop(name)
		for _, c := range r.members {
			c.in = ""
		}
		n.held.Opened(name, r.gen)
		n.held.Close(name)
		n.close(name, r.key, r.gen, NewClose(n.inc, roomType, r.key, r.gen))
	})
}

// sendOff sends the members of a room that was given away after it, and wakes it.
func (n *node) sendOff(name string, r *room, target core.Incarnation) {
	n.whenActing(func() {
		delete(n.rooms, name)
		n.seats.Drop(name)
		n.held.Forget(name)
		for _, c := range r.members {
			c.depart(&joining{c: c, id: c.id, key: r.key, name: name}, cmpOr(target, n.w.anyNode().inc))
		}
		n.openElsewhere(name, r.key)
	})
}

// openElsewhere asks the next node to open a room that was given away, and opens it here if no
// other one does.
func (n *node) openElsewhere(name, key string) {
	if n.held.Arrive(name) != Free {
		return
	}
	n.run(NewFind(Find{Me: n.inc, Type: roomType, Key: key, Choose: n.chooseOther, Made: n.w.unmade(key)}), func(v Verdict) {
		if v.Result == Here {
			n.open(key, v, func() {})
			return
		}
		n.held.Forget(name)
	})
}

func cmpOr(i, or core.Incarnation) core.Incarnation {
	if i == (core.Incarnation{}) {
		return or
	}
	return i
}

// --- operations

// run takes an operation through the directory.
func (n *node) run(op *Op, then func(Verdict)) { n.step(op, Event{}, then) }

func (n *node) step(op *Op, ev Event, then func(Verdict)) {
	w, deliver := n.w, n.process()
	next := func(ev Event) { deliver(func() { n.step(op, ev, then) }) }
	a := op.Next(ev, n)
	if w.Traced {
		w.Note("%v %p after %d (rev %d): %v rev %d %+v %+v", n.inc, op, ev.Outcome, ev.Rev, a.Do, a.Rev, a.Entry, a.Verdict)
	}
	switch a.Do {
	case core.Read:
		w.dir.Get(n, op.Name, func(v sim.Version, got sim.Answer) {
			if got != sim.Done {
				next(Event{Outcome: core.LoadFailed})
				return
			}
			b, _ := v.Value.([]byte)
			e, err := ParseEntry(b)
			if err != nil {
				w.oracle.fail("%v", err)
			}
			next(Event{Outcome: core.Loaded, Entry: e, Rev: v.Rev})
		})
	case core.Write:
		if w.mutate.skips(a, ev) {
			then(a.Verdict)
			return
		}
		w.mutate.spoil(op, &a, n.inc, w.dir.Latest(op.Name).Rev)
		w.dir.Put(n, op.Name, a.Entry.Append(nil), a.Rev, func(_ uint64, got sim.Answer) {
			if w.mutate == uncertainIsWritten && got == sim.Lost {
				got = sim.Done
			}
			next(Event{Outcome: [...]core.Outcome{core.Written, core.Conflicted, core.Uncertain}[got]})
		})
	case core.Ask:
		n.ask(a.To, a.Question, next)
	case core.Wait:
		w.After(a.Wait, func() { next(Event{Outcome: core.Waited}) })
	case core.Done:
		then(a.Verdict)
	}
}

// ask brings a question to its node, and the answer back.
func (n *node) ask(to core.Incarnation, q Question, next func(Event)) {
	w, answered := n.w, false
	answer := func(ev Event) {
		if !answered {
			answered = true
			next(ev)
		}
	}
	w.After(2*time.Second, func() {
		if !answered {
			n.silent[to] = true
		}
		answer(Event{Outcome: core.Unanswered})
	})
	m := w.nodeOf(to)
	if !n.way.There || !m.way.There || m.inc != to {
		return
	}
	deliver := m.process()
	w.After(w.Latency(), func() {
		deliver(func() {
			m.asked(q, func(a Answer) {
				if m.way.Back && n.way.Back {
					w.After(w.Latency(), func() { answer(Event{Outcome: core.Answered, Answer: a}) })
				}
			})
		})
	})
}
