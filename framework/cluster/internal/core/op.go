// SPDX-License-Identifier: MIT

package core

import (
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// Op is one operation on the directory: it reads the entries under a key, decides, and
// writes them if no other server has meanwhile. A write that fails is decided anew on what is
// there then, and so is one whose answer is lost: every decision knows its own write
// when it meets it. So a lost answer needs no rule of its own.
//
// Its caller does what Next says and calls Next with what came of it, until Done. It may
// give up in between; see SPEC.md 3.4 for what it owes then.
type Op struct {
	Key     string
	decide  func(entries []Entry, v View) Action
	written Verdict // if the write that is under way succeeds
	rev     uint64  // the last one that was read; none goes before it
	reads   int     // in a row that failed, or were older than rev
	polls   int     // since the owner was asked
	asks    int
	asked   Incarnation // the last one
	silent  int         // looks at whether it is dead, since it did not answer
	tried   bool        // it has written
}

// Tried reports that a write was begun: if the operation is given up, it may be done all the same.
func (o *Op) Tried() bool { return o.tried }

// Verb is what an Action wants to be done.
type Verb uint8

const (
	Read    Verb = iota // of Op.Key, from the leader
	Write               // Entries, if the key's revision is Rev
	Ask                 // the question to To
	Wait                // for Wait
	Done                // Verdict
	Declare             // a tombstone: only a Lease wants that
)

// Action is what an Op does next.
type Action struct {
	Do       Verb
	Entries  []Entry
	Rev      uint64
	To       Incarnation
	Question Question
	Wait     time.Duration
	Verdict  Verdict
}

// Question is what an Op asks the owner of a session, whose entry it has read.
type Question struct {
	// Evict ends the session, by Policy, for another login of its user. If false, the
	// session shall be parked, for a client that can't get to its owner.
	Evict bool
	// Look parks nothing: is the session there? A client is about to be sent there.
	Look    bool
	Policy  Policy
	Session session.ID
	User    string
}

// Answer is what the owner says.
type Answer uint8

const (
	Working Answer = iota // the entry will tell
	Present               // the session has a link, and its policy keeps others out
	Here                  // the session is here, and clients may come
)

// Policy is what to do with a user's second login. They are those of package framework.
type Policy uint8

const (
	Replace Policy = iota
	Reject
	Allow
	Adopt
)

// Result is what an Op came to.
type Result uint8

const (
	Busy       Result = iota // not now: again after Wait
	Granted                  // the login owns its session; Record is of one that it adopts
	AlreadyIn                // another session of the user keeps the login out
	Taken                    // the session is owned here: Record
	Redirect                 // To has the session
	Mine                     // it is owned here already, and there is no record of it
	Missing                  // no server has the session
	Superseded               // its user has logged in afresh, elsewhere
	Released                 // it is not owned here
	Parked                   // any server that asks for it may have it
	Fenced                   // it is not owned here any more, and so could not be parked
)

// Verdict is the end of an Op.
type Verdict struct {
	Result Result
	Record []byte
	User   string // of what is Taken
	Gen    uint64
	To     Incarnation
	Wait   time.Duration
}

// Outcome is what came of an Action.
type Outcome uint8

const (
	Begin      Outcome = iota // nothing was done yet
	Loaded                    // Entries, Rev
	LoadFailed                // or nothing came in time
	Written                   // the write was done
	Conflicted                // another one was faster
	Uncertain                 // no answer came: it was written, or not, or will be
	Answered                  // Answer
	Unanswered                // in time
	Waited
)

// Event is an Outcome with what belongs to it.
type Event struct {
	Outcome Outcome
	Entries []Entry
	Rev     uint64
	Answer  Answer
}

const (
	readAgain = 50 * time.Millisecond // after a read that failed, and while an owner works
	maxReads  = 20                    // that fail in a row
	maxPolls  = 20                    // of the entry, while its owner works; then it is asked again
	maxAsks   = 3
	maxLooks  = 20 // at whether an owner that does not answer is dead: its tombstone is often on its way
)

func busy(d time.Duration) Action {
	return Action{Do: Done, Verdict: Verdict{Result: Busy, Wait: d}}
}

func done(v Verdict) Action { return Action{Do: Done, Verdict: v} }

// Next returns what to do next.
func (o *Op) Next(ev Event, v View) Action {
	if ev.Outcome == Loaded && ev.Rev < o.rev {
		// It is older than what was read before. What a decision remembers of its own write
		// would be taken for what came of it.
		ev.Outcome = LoadFailed
	}
	switch ev.Outcome {
	case LoadFailed:
		if o.reads++; o.reads > maxReads {
			return busy(2 * time.Second)
		}
		return Action{Do: Wait, Wait: readAgain}
	case Loaded:
		o.reads, o.rev = 0, ev.Rev
		return o.next(o.decide(ev.Entries, v))
	case Written:
		return done(o.written)
	case Answered:
		switch ev.Answer {
		case Present:
			return done(Verdict{Result: AlreadyIn})
		case Here:
			return done(Verdict{Result: Redirect, To: o.asked})
		}
		o.polls = 1
		return Action{Do: Wait, Wait: readAgain}
	case Unanswered:
		return o.awaitTombstone(v)
	case Waited:
		if o.silent > 0 {
			return o.awaitTombstone(v)
		}
	}
	return Action{Do: Read}
}

// awaitTombstone waits for the tombstone of an owner that does not answer. Until there is one it
// lives, as far as is known, and nothing is taken from it.
func (o *Op) awaitTombstone(v View) Action {
	switch o.silent++; {
	case v.Status(o.asked) == Dead:
		o.silent = 0
		return Action{Do: Read}
	case o.silent > maxLooks:
		return busy(2 * time.Second)
	}
	return Action{Do: Wait, Wait: readAgain}
}

// next completes a decision.
func (o *Op) next(a Action) Action {
	switch {
	case a.Do == Write:
		a.Rev, o.written, o.tried = o.rev, a.Verdict, true
	case a.Do == Ask && o.polls > 0 && o.polls < maxPolls: // it was, and is at it
		o.polls++
		return Action{Do: Wait, Wait: readAgain}
	case a.Do == Ask:
		if o.asks++; o.asks > maxAsks {
			return busy(time.Second)
		}
		o.polls, o.asked = 0, a.To
	}
	return a
}
