// SPDX-License-Identifier: MIT

package place

import (
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/session"
)

// Op is one operation on the entry of a room, as core.Op is one on those of sessions: it
// reads, decides, and writes on the revision that it has read. After a conflict, and after
// a write without an answer, it reads and decides anew; every decision knows its own write
// when it meets it.
//
// Its caller does what Next says and calls Next with what came of it, until Done. If that
// is Busy, it may go on with Next(Event{}).
type Op struct {
	Name      string // of the room in the directory
	typ, key  string
	decide    func(e *Entry, v core.View) Action
	written   Verdict // if the write that is under way succeeds
	rev       uint64  // the last one that was read; none goes before it
	reads     int     // in a row that failed, or were older than rev
	conflicts int     // and writes without an answer
	polls     int     // since asked has said Working
	asks      int
	asked     core.Incarnation   // the last one
	placing   bool               // asked is no owner: the room is wanted there
	choice    core.Incarnation   // where it shall be
	tried     []core.Incarnation // that have not taken it
	none      bool               // it was read that there was no entry yet
}

// Action is what an Op does next: Read its Name, Write Entry (nil removes it) if the
// revision is Rev, Ask the question to To, Wait, or it is Done.
type Action struct {
	Do       core.Verb
	Entry    *Entry
	Rev      uint64
	To       core.Incarnation
	Question Question
	Wait     time.Duration
	Verdict  Verdict
}

// Event is what came of an Action: Entry and Rev of core.Loaded, Answer of core.Answered.
type Event struct {
	Outcome core.Outcome
	Entry   *Entry
	Rev     uint64
	Answer  Answer
}

// Result is what an Op came to.
type Result uint8

const (
	Busy      Result = iota // not now: again after Wait
	Here                    // this server owns the room: it is to be opened
	Elsewhere               // To has the room, and keeps a seat for SeatTime
	Refused                 // Why
	Released                // it is not owned here
	Moved                   // any server that is asked for it may have it
	Fenced                  // it is not owned here any more, and so could not be moved
	Runs                    // the entry has no snapshot of a room that runs here
	None                    // there is no such room, and none is made: see Find.Made
)

// Verdict is the end of an Op.
type Verdict struct {
	Result Result
	Gen    uint64           // of Here and Elsewhere
	To     core.Incarnation // of Elsewhere
	// Snapshot belongs to Here: the room goes on from it, or is a fresh one if that is nil.
	Snapshot []byte
	// Crashed says of Here that the server before is dead: what it did since Snapshot is lost.
	Crashed bool
	Why     Refusal
	Wait    time.Duration
}

const (
	readAgain    = 50 * time.Millisecond // after a read that failed, and while an owner works
	maxReads     = 20                    // that fail in a row
	maxConflicts = 20
	maxPolls     = 20 // of the entry, while its owner works; then it is asked again
	maxAsks      = 4
)

func done(v Verdict) Action { return Action{Do: core.Done, Verdict: v} }

// busy gives up for now. What the Op knows of its own writes it keeps.
func (o *Op) busy(d time.Duration) Action {
	o.reads, o.conflicts, o.polls, o.asks = 0, 0, 0, 0
	o.asked, o.choice, o.tried = core.Incarnation{}, core.Incarnation{}, nil
	return done(Verdict{Result: Busy, Wait: d})
}

// again reads once more, a little later.
func (o *Op) again() Action {
	if o.reads++; o.reads > maxReads {
		return o.busy(2 * time.Second)
	}
	return Action{Do: core.Wait, Wait: readAgain}
}

// Next returns what to do next.
func (o *Op) Next(ev Event, v core.View) Action {
	switch ev.Outcome {
	case core.LoadFailed:
		return o.again()
	case core.Loaded:
		return o.loaded(ev, v)
	case core.Written:
		return done(o.written)
	case core.Conflicted, core.Uncertain:
		if o.conflicts++; o.conflicts > maxConflicts {
			return o.busy(500 * time.Millisecond)
		}
	case core.Answered:
		return o.answered(ev.Answer)
	case core.Unanswered:
		if !o.placing { // it lives, as far as is known, so nothing is taken from it
			return o.busy(2 * time.Second)
		}
		o.tried = append(o.tried, o.asked)
	}
	return Action{Do: core.Read}
}

func (o *Op) loaded(ev Event, v core.View) Action {
	if ev.Rev < o.rev {
		// It is older than what was read before. What a decision remembers of its own write
		// would be taken for what came of it.
		return o.again()
	}
	if len(o.typ) > MaxName || len(o.key) > MaxName {
		return done(Verdict{Result: Refused, Why: TooLong})
	}
	if e := ev.Entry; e != nil && (e.Type != o.typ || e.Key != o.key) {
		return done(Verdict{Result: Refused, Why: Collision})
	}
	o.reads, o.rev = 0, ev.Rev
	a := o.decide(ev.Entry, v)
	switch {
	case a.Do == core.Write:
		a.Rev, o.written = o.rev, a.Verdict
	case a.Do == core.Ask && a.To == o.asked && o.polls > 0 && o.polls < maxPolls: // it was, and is at it
		o.polls++
		return Action{Do: core.Wait, Wait: readAgain}
	case a.Do == core.Ask:
		if o.asks++; o.asks > maxAsks {
			return o.busy(time.Second)
		}
		o.polls, o.asked = 0, a.To
	}
	return a
}

func (o *Op) answered(a Answer) Action {
	switch a.Says {
	case Seated:
		return done(Verdict{Result: Elsewhere, To: o.asked, Gen: a.Gen})
	case Refuses:
		return done(Verdict{Result: Refused, Why: a.Why})
	case NotHere:
		o.tried = append(o.tried, o.asked)
	case Working:
		o.polls = 1
	}
	return Action{Do: core.Wait, Wait: readAgain}
}

// nextGen is the generation of the next owner. The revision of a key rises with every
// write and stays when the entry is removed, so it is higher than all that were before.
func (o *Op) nextGen(e *Entry) uint64 {
	if e == nil {
		return o.rev + 1
	}
	return max(e.Gen, o.rev) + 1
}

// Find is a look for a room that is not here.
type Find struct {
	Me        core.Incarnation
	Type, Key string
	User      string
	Session   session.ID // zero: no seat is wanted, only that the room is open
	// Choose returns where the room shall be if it has no owner, none of tried, which do not
	// take it. Zero: nowhere.
	Choose func(tried []core.Incarnation) core.Incarnation
	// Asked says that another server asks for the room: it is made here, or nothing is done.
	// Elsewhere has no seat then.
	Asked bool
	// Made says that a server has made the key. Then the room has an entry if that server has
	// handed it over, and without its state it is not made anew: no server knows what it was.
	Made bool
}

// NewFind brings a player to the room of a key: the room is opened here, or at another
// server, or a seat is kept where it is.
func NewFind(f Find) *Op {
	o := &Op{Name: Name(f.Type, f.Key), typ: f.Type, key: f.Key}
	o.decide = func(e *Entry, v core.View) Action {
		if f.Made && f.isOver(e, v) {
			return o.over(e)
		}
		if e == nil || e.Owner == (core.Incarnation{}) {
			return f.place(o, e, v)
		}
		if e.Owner == f.Me {
			// An answer was lost, or a Find was given up. It is written again: a write of this
			// server that is late, and would give the room away, can't be done then.
			return f.take(o, e, e.Lost)
		}
		switch v.Status(e.Owner) {
		case core.Dead:
			return f.place(o, e, v)
		case core.Unknown:
			return o.busy(time.Second)
		}
		if f.Asked {
			return confirm(e, Verdict{Result: Elsewhere, To: e.Owner, Gen: e.Gen})
		}
		o.placing = false
		return f.ask(e.Owner)
	}
	return o
}

// isOver reports whether nothing is left of a room by a key that a server has made.
func (f *Find) isOver(e *Entry, v core.View) bool {
	return e == nil || e.Snapshot == nil && (e.Owner == f.Me || v.Status(e.Owner) == core.Dead)
}

// over removes the entry of such a room. One that was removed is not written again by any server
// (HandOver.First), so no search writes anything then; nor for a key that never had one, where a
// second read confirms the first.
func (o *Op) over(e *Entry) Action {
	switch {
	case e != nil:
		return Action{Do: core.Write, Verdict: Verdict{Result: None}}
	case o.rev == 0 && !o.none:
		o.none = true
		return o.again()
	}
	return done(Verdict{Result: None})
}

func (f *Find) ask(to core.Incarnation) Action {
	return Action{Do: core.Ask, To: to, Question: Question{f.Type, f.Key, f.User, f.Session}}
}

// place makes the room where it shall be. No server makes another one the owner: that one
// is asked for a seat, and takes the room itself.
func (f *Find) place(o *Op, e *Entry, v core.View) Action {
	dead := e != nil && e.Owner != (core.Incarnation{})
	if f.Asked {
		return f.take(o, e, dead)
	}
	may := func(i core.Incarnation) bool {
		return i != (core.Incarnation{}) && v.Status(i) == core.Up && !slices.Contains(o.tried, i)
	}
	if !may(o.choice) {
		if e != nil && !dead && may(e.Target) {
			o.choice = e.Target
		} else {
			o.choice = f.Choose(o.tried)
		}
	}
	switch o.choice {
	case core.Incarnation{}:
		return o.busy(2 * time.Second)
	case f.Me:
		return f.take(o, e, dead)
	}
	o.placing = true
	return f.ask(o.choice)
}

// take makes this server the owner.
func (f *Find) take(o *Op, e *Entry, lost bool) Action {
	next := &Entry{Type: f.Type, Key: f.Key, Owner: f.Me, Gen: o.nextGen(e), Lost: lost}
	if e != nil {
		next.Snapshot = e.Snapshot
	}
	return Action{Do: core.Write, Entry: next, Verdict: Verdict{
		Result: Here, Gen: next.Gen, Snapshot: next.Snapshot, Crashed: lost,
	}}
}

// confirm writes what was read. A read may be old; that the same can be written proves
// that it was not. So no room is given up for what one read says.
func confirm(e *Entry, v Verdict) Action { return Action{Do: core.Write, Entry: e, Verdict: v} }

// NewClose removes the entry of a room that has ended at me, which owned it with gen.
// It does so too if that was given to others by a write that was given up. Whatever else
// stands there is not me's to touch.
func NewClose(me core.Incarnation, typ, key string, gen uint64) *Op {
	return &Op{Name: Name(typ, key), typ: typ, key: key, decide: func(e *Entry, _ core.View) Action {
		if e == nil || e.Owner != me && e.Owner != (core.Incarnation{}) || e.Gen != gen {
			return confirm(e, Verdict{Result: Released})
		}
		return Action{Do: core.Write, Verdict: Verdict{Result: Released}}
	}}
}

// NewRuns takes the snapshot out of the entry of a room that goes on from it at me, which
// owns it with gen: from here on it is older than the room, and no one may go on from it.
func NewRuns(me core.Incarnation, typ, key string, gen uint64) *Op {
	return &Op{Name: Name(typ, key), typ: typ, key: key, decide: func(e *Entry, _ core.View) Action {
		if e == nil || e.Owner != me || e.Gen != gen {
			return confirm(e, Verdict{Result: Runs})
		}
		if e.Snapshot == nil {
			return done(Verdict{Result: Runs})
		}
		next := *e
		next.Snapshot = nil
		return Action{Do: core.Write, Entry: &next, Verdict: Verdict{Result: Runs}}
	}}
}

// HandOver is a room that me gives to others. It stands still before.
type HandOver struct {
	Me        core.Incarnation
	Type, Key string
	Gen       uint64           // that it was owned with
	Target    core.Incarnation // where its members are sent
	Snapshot  []byte           // nil: the room begins anew there
	First     bool             // it has no entry yet: me has made its key
}

// NewHandOver gives a room to the server that is asked for it next.
func NewHandOver(h HandOver) (*Op, error) {
	if len(h.Snapshot) > MaxSnapshot {
		return nil, ErrSnapshot
	}
	tried := false
	o := &Op{Name: Name(h.Type, h.Key), typ: h.Type, key: h.Key}
	o.decide = func(e *Entry, _ core.View) Action {
		switch {
		case h.First && e == nil && o.rev == 0: // none was written, nor removed
		case e == nil || e.Gen != h.Gen:
			if tried { // an answer was lost, and it has been taken since
				return done(Verdict{Result: Moved})
			}
			return confirm(e, Verdict{Result: Fenced})
		case e.Owner == core.Incarnation{}:
			return done(Verdict{Result: Moved})
		case e.Owner != h.Me:
			return confirm(e, Verdict{Result: Fenced})
		}
		tried = true
		next := &Entry{Type: h.Type, Key: h.Key, Gen: h.Gen, Target: h.Target, Snapshot: h.Snapshot}
		return Action{Do: core.Write, Entry: next, Verdict: Verdict{Result: Moved}}
	}
	return o, nil
}
