// SPDX-License-Identifier: MIT

package fan

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/sim"
)

var (
	simSeeds = flag.Int("fan.seeds", 0, "run this many seeds of each course")
	simSeed  = flag.Uint64("fan.seed", 0, "run this seed alone, and show its events")
)

// course is what may happen in a run.
type course struct {
	servers, tags int
	length        time.Duration // of faults; then all heals
	every         time.Duration // a server broadcasts, about
	idle          time.Duration // now and then nothing is broadcast for so long
	loss, doubled float64
	slow          time.Duration // a message may take so long
	cuts          time.Duration // about so often a server hears nothing for a time
	changes       time.Duration // likewise a tag gets its first member at a server, or loses its last
}

var courses = map[string]course{
	"faults":  {servers: 4, tags: 5, length: 60 * time.Second, every: 100 * time.Millisecond, loss: 0.1, doubled: 0.1, slow: 800 * time.Millisecond, cuts: 10 * time.Second},
	"members": {servers: 4, tags: 5, length: 60 * time.Second, every: 100 * time.Millisecond, loss: 0.05, slow: 300 * time.Millisecond, changes: 400 * time.Millisecond},
	"quiet":   {servers: 3, tags: 3, length: 2 * time.Hour, every: 30 * time.Second, idle: 10 * time.Minute, loss: 0.3, slow: 300 * time.Millisecond, cuts: 5 * time.Minute},
	"clean":   {servers: 4, tags: 40, length: 60 * time.Second, every: 50 * time.Millisecond, changes: 100 * time.Millisecond},
}

// mutation is a fault that is planted in the world, for a test of the tests.
type mutation uint8

const (
	sound mutation = iota
	noMarks
	lateDelivered
	countsFromOne
	endsAtOnce
	oneSender
)

func seeds() uint64 {
	switch {
	case *simSeeds > 0:
		return uint64(*simSeeds)
	case testing.Short():
		return 5
	}
	return 15
}

// TestSimulation plays every course by many seeds.
func TestSimulation(t *testing.T) {
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
				for what, n := range w.came {
					came[what] += n
				}
			}
			t.Logf("%d seeds: %v", last-first+1, came)
			if came["delivered"] == 0 || c.loss > 0 && came["missed"] == 0 || c.loss == 0 && came["missed"] > 0 {
				t.Errorf("came %v", came)
			}
		})
	}
}

// TestFaultsAreFound plants one fault after the other, which the simulation has to notice.
func TestFaultsAreFound(t *testing.T) {
	for plant, f := range map[mutation]struct{ course, name string }{
		noMarks:       {"quiet", "the last number is not told again"},
		lateDelivered: {"faults", "what is late is delivered"},
		countsFromOne: {"quiet", "a count that was forgotten begins at one"},
		endsAtOnce:    {"clean", "a subscription ends with the last member, and is taken for one that lingers"},
		oneSender:     {"faults", "two senders are taken for one"},
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

// world is some servers in virtual time that broadcast to each other.
type world struct {
	sim.World
	course  course
	mutate  mutation
	calm    bool // no new faults
	servers []*server
	came    map[string]int
	err     error
}

// server is one of a world.
type server struct {
	w       *world
	inc     core.Incarnation
	counter Counter
	inbox   Inbox
	deaf    bool // nothing reaches it
	members map[Key]bool
	hears   [Buckets]bool
	sent    map[Key][]*cast
	reached map[count]uint64 // the last number that it could know of
	newest  map[stream]int   // the serial of the last that was delivered
	marking bool             // a look for marks is due
	leaving bool             // a step of the inbox is
}

// stream is what one server tells under one key, count one of its counts.
type (
	stream struct {
		from *server
		key  Key
	}
	count struct {
		stream
		first uint64
	}
)

// cast is a broadcast, and what came of it at each server.
type cast struct {
	from *server
	key  Key
	Position
	serial int // of its sender and key, from 1 on
	at     map[*server]*fate
}

// fate is what came of a broadcast at one server.
type fate struct {
	sent      bool // the server had subscribed
	lost      bool // or late: by the network
	delivered bool
	missed    bool
}

func (b *cast) fate(s *server) *fate {
	if b.at[s] == nil {
		b.at[s] = &fate{}
	}
	return b.at[s]
}

func (w *world) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// again lets f happen about every d, as long as there are faults.
func (w *world) again(d time.Duration, f func()) {
	if d == 0 {
		return
	}
	w.After(w.Between(d/2, 3*d/2), func() {
		if !w.calm {
			f()
			w.again(d, f)
		}
	})
}

func simulate(seed uint64, c course, m mutation, traced bool) *world {
	w := &world{World: sim.New(seed, traced), course: c, mutate: m, came: map[string]int{}}
	var keys []Key
	for i := range c.tags {
		keys = append(keys, Key{Tag: fmt.Sprint(i)})
	}
	for i := range c.servers {
		s := &server{w: w, inc: core.Incarnation{Node: uint16(i + 1), Boot: 1}, members: map[Key]bool{}, sent: map[Key][]*cast{},
			reached: map[count]uint64{}, newest: map[stream]int{}}
		w.servers = append(w.servers, s)
		for _, k := range keys {
			if c.changes == 0 || w.Chance(0.5) {
				s.change(k)
			}
		}
		w.again(c.every, func() { s.broadcast(keys[w.Rng.IntN(len(keys))]) })
		w.again(c.changes, func() { s.change(keys[w.Rng.IntN(len(keys))]) })
		w.again(c.cuts, s.cut)
	}
	running := func() bool { return w.err != nil }
	w.Run(c.length, running)
	w.calm = true
	w.Run(w.Now+10*time.Minute, running) // all marks are told
	w.check(keys)
	return w
}

func (s *server) cut() {
	s.deaf = true
	s.w.Note("%v hears nothing", s.inc)
	s.w.After(s.w.Between(100*time.Millisecond, 5*time.Second), func() { s.deaf = false })
}

// change lets the first member of a tag come, or the last one leave.
func (s *server) change(k Key) {
	if s.members[k] = !s.members[k]; s.members[k] {
		s.w.Note("%v has a member of %s", s.inc, k.Tag)
		s.inbox.Add(k)
	} else {
		s.w.Note("%v has none of %s", s.inc, k.Tag)
		s.inbox.Remove(k, s.w.Now)
		if s.w.mutate == endsAtOnce {
			s.hears[Bucket(k.Tag)] = false
			s.inbox.Failed(Bucket(k.Tag))
		}
	}
	s.step()
}

// step does what the inbox wants.
func (s *server) step() {
	begin, end := s.inbox.Step(s.w.Now)
	for _, i := range begin {
		s.hears[i] = true
	}
	for _, i := range end {
		s.hears[i] = false
	}
	if at, ok := s.inbox.NextStep(); ok && !s.leaving {
		s.leaving = true
		s.w.After(at-s.w.Now, func() {
			s.leaving = false
			s.step()
		})
	}
}

func (s *server) broadcast(k Key) {
	if s.w.course.idle > 0 && int(s.w.Now/s.w.course.idle)%2 == 1 {
		return
	}
	b := &cast{from: s, key: k, Position: s.counter.Next(k, s.w.Now), serial: len(s.sent[k]) + 1, at: map[*server]*fate{}}
	s.sent[k] = append(s.sent[k], b)
	s.w.Note("%v tells %s %+v", s.inc, k.Tag, b.Position)
	s.publish(k, b.Position, b)
	s.marks()
}

// marks tells what is due, and looks again when something will be.
func (s *server) marks() {
	for _, m := range s.counter.Marks(s.w.Now) {
		s.w.Note("%v has told %s %+v", s.inc, m.Key.Tag, m.Position)
		s.publish(m.Key, m.Position, nil)
	}
	if s.w.mutate == countsFromOne && len(s.counter.keys) == 0 {
		s.counter = Counter{}
	}
	if at, ok := s.counter.NextMark(); ok && !s.marking {
		s.marking = true
		s.w.After(max(at-s.w.Now, 0), func() {
			s.marking = false
			s.marks()
		})
	}
}

// publish brings a broadcast, or a mark if it is nil, to all that have subscribed.
func (s *server) publish(k Key, p Position, b *cast) {
	for _, to := range s.w.servers {
		if to == s || !to.hears[Bucket(k.Tag)] {
			continue
		}
		if b != nil {
			b.fate(to).sent = true
		}
		times := 1
		if !s.w.calm && s.w.Chance(s.w.course.doubled) {
			times = 2
		}
		for range times {
			if to.deaf || !s.w.calm && s.w.Chance(s.w.course.loss) {
				if b != nil {
					b.fate(to).lost = true
				}
				continue
			}
			// Messages of one server on one subject come in its order, unless one is slow.
			d := time.Millisecond
			if !s.w.calm && s.w.course.slow > 0 && s.w.Chance(0.05) {
				d = s.w.Between(time.Millisecond, s.w.course.slow)
				if b != nil {
					b.fate(to).lost = true
				}
			}
			s.w.After(d, func() { to.arrive(s, k, p, b) })
		}
	}
}

func (s *server) arrive(from *server, k Key, p Position, b *cast) {
	if !s.hears[Bucket(k.Tag)] {
		return
	}
	at := count{stream{from, k}, p.First}
	s.reached[at] = max(s.reached[at], p.Number)
	if b == nil && s.w.mutate == noMarks {
		return
	}
	if b != nil && !s.members[k] {
		b.fate(s).lost = true // it is not wanted
	}
	inc := from.inc
	if s.w.mutate == oneSender {
		inc = core.Incarnation{Node: 1, Boot: 1}
	}
	a := s.inbox.Arrive(inc, k, p, b == nil)
	if a.Deliver || a.Late && s.w.mutate == lateDelivered {
		s.w.Note("%v delivers %s %d of %v", s.inc, k.Tag, p.Number, from.inc)
		s.w.came["delivered"]++
		s.deliver(b)
	}
	if a.Missed > 0 {
		s.w.Note("%v has missed %d of %s %+v of %v", s.inc, a.Missed, k.Tag, p, from.inc)
		s.w.came["missed"] += int(a.Missed)
		last := p.Number
		if b != nil {
			last--
		}
		s.missed(from, k, last, a.Missed)
	}
}

func (s *server) deliver(b *cast) {
	f := b.fate(s)
	switch {
	case !s.members[b.key]:
		s.w.fail("%v has no member of %s, and delivers", s.inc, b.key.Tag)
	case f.delivered:
		s.w.fail("%v delivers %d of %v twice", s.inc, b.Number, b.from.inc)
	case f.missed:
		s.w.fail("%v delivers %d of %v, which it has missed", s.inc, b.Number, b.from.inc)
	}
	f.delivered = true
	at := stream{b.from, b.key}
	if b.serial < s.newest[at] {
		s.w.fail("%v delivers %d of %v after a later one", s.inc, b.Number, b.from.inc)
	}
	s.newest[at] = b.serial
}

// missed takes the n broadcasts up to a number.
func (s *server) missed(from *server, k Key, last, n uint64) {
	first, found := last-n+1, uint64(0)
	for _, b := range from.sent[k] {
		if b.Number < first || b.Number > last {
			continue
		}
		found++
		f := b.fate(s)
		switch {
		case f.delivered || f.missed:
			s.w.fail("%v has missed %d of %v, which was there, or missed before", s.inc, b.Number, from.inc)
		case f.sent && !f.lost:
			s.w.fail("%v has missed %d of %v, which was not lost", s.inc, b.Number, from.inc)
		case !f.sent:
			s.w.fail("%v has missed %d of %v, which it did not subscribe to", s.inc, b.Number, from.inc)
		}
		f.missed = true
	}
	if found != n {
		s.w.fail("%v has missed %d of %v, and there were %d", s.inc, n, from.inc, found)
	}
}

// check finds what was lost and never noticed though a later number has come. Where members
// stay, that may be the first of a sender only.
func (w *world) check(keys []Key) {
	if w.course.changes > 0 {
		return
	}
	for _, s := range w.servers {
		for _, from := range w.servers {
			for _, k := range keys {
				if from == s {
					continue
				}
				heard := false
				for _, b := range from.sent[k] {
					f := b.fate(s)
					heard = heard || f.delivered
					known := s.reached[count{stream{from, k}, b.First}] >= b.Number
					if heard && known && !f.delivered && !f.missed {
						w.fail("%v did not get %d of %s of %v, and never notices", s.inc, b.Number, k.Tag, from.inc)
					}
				}
			}
		}
	}
}
