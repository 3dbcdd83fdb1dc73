// SPDX-License-Identifier: MIT

package core

import (
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// NewClaim makes a login the owner of its session: me, under an id that no other login
// has had. Sessions of the user at other servers are evicted by their owners first.
// Those that are here are left to the server, which has its policy: so one user may have
// several entries, and all have one owner. One that is on its way from here is waited for.
// What the login adopts is taken by the same write, and keeps its entry and its record: until
// Holdings.Open it can be given back. login is kept in the entry.
func NewClaim(me Incarnation, id session.ID, user string, login []byte, policy Policy, here *Holdings) *Op {
	var granted Verdict // by the last write
	return &Op{Key: Key(id), decide: func(entries []Entry, v View) Action {
		if i := find(entries, id); i >= 0 {
			if entries[i].Owner == me {
				return done(granted)
			}
			return done(Verdict{Result: Fenced}) // this server was declared dead meanwhile
		}
		rest := make([]Entry, 0, len(entries)+2)
		var adopted *Entry
		for _, e := range entries {
			switch {
			case e.User == user && user != "" && e.Owner == me && (here.Parking(e.Session) || policy == Adopt && here.comes(e.Session, id)):
				return Action{Do: Wait, Wait: readAgain}
			case e.User != user || user == "" || policy == Allow || e.Owner == me && !here.left(e, id):
				rest = append(rest, e)
			case e.Owner == Incarnation{} || e.Owner == me:
				adopted = &e
			case v.Status(e.Owner) == Dead: // it is void
			default:
				return Action{Do: Ask, To: e.Owner, Question: Question{Evict: true, Policy: policy, Session: e.Session, User: user}}
			}
		}
		verdict := Verdict{Result: Granted, Gen: 1}
		if adopted != nil && policy == Adopt {
			if !here.adopt(id, *adopted) {
				return Action{Do: Wait, Wait: readAgain}
			}
			adopted.Owner, adopted.Gen = me, adopted.Gen+1
			rest = append(rest, *adopted)
			verdict.Record = adopted.Record
		}
		granted = verdict
		rest = append(rest, Entry{Session: id, User: user, Owner: me, Gen: 1, Login: login})
		return Action{Do: Write, Entries: rest, Verdict: granted}
	}}
}

// Find says how a client's RESUME is answered whose session is not here.
type Find struct {
	Me      Incarnation
	Session session.ID
	Policy  Policy
	// Orphan makes the record of a session whose server is dead, without what that server
	// alone knew. If it is nil, or makes none, the session is gone.
	Orphan func(user string, login []byte) (record []byte)
	// Redirected tells that the client was sent to the owner before, and came here again.
	Redirected bool
	// Dialable tells whether clients can be sent to an incarnation.
	Dialable func(Incarnation) bool
	// Home returns the server that the client of a parked session is sent to, since the session
	// can't go on at Me. It is zero if there is none. If Home is nil, all go on at Me.
	Home func(record []byte) Incarnation
}

// NewFind makes me the owner of a session if it may be.
func NewFind(f Find) *Op {
	return &Op{Key: Key(f.Session), decide: func(entries []Entry, v View) Action {
		i := find(entries, f.Session)
		if i < 0 {
			if f.Policy != Allow && len(entries) > 0 { // of the same user, who has logged in afresh
				return confirm(entries, Superseded)
			}
			return confirm(entries, Missing)
		}
		e := entries[i]
		next, home := e, f.home(e)
		next.Owner, next.Gen = f.Me, e.Gen+1
		switch status := v.Status(e.Owner); {
		case e.Owner == f.Me && e.Record == nil:
			return confirm(entries, Mine)
		case f.superseded(entries, i, v):
			return Action{Do: Write, Entries: without(entries, i), Verdict: Verdict{Result: Superseded}}
		case home != Incarnation{}:
			return done(Verdict{Result: Redirect, To: home})
		case e.Owner == f.Me || e.Owner == Incarnation{}:
			// If it is owned here, an answer was lost: see Entry.Record. It is written all
			// the same: a write of this server that is late, and would give the session
			// back, can't be done then.
			return Action{Do: Write, Entries: with(entries, i, next), Verdict: Verdict{Result: Taken, Record: e.Record, User: e.User, Gen: next.Gen}}
		case status == Dead:
			// Its record, if it has one, is of a move before: it is old.
			if next.Record = f.orphan(e); next.Record != nil {
				return Action{Do: Write, Entries: with(entries, i, next), Verdict: Verdict{Result: Taken, Record: next.Record, User: e.User, Gen: next.Gen}}
			}
			return Action{Do: Write, Entries: without(entries, i), Verdict: Verdict{Result: Missing}}
		case status == Unknown:
			return busy(time.Second)
		}
		// A client that is sent to server after server in vain logs in at last. So the owner
		// is asked first: it may be dead, and not be declared so yet.
		look := v.Status(e.Owner) == Up && !f.Redirected && f.Dialable(e.Owner)
		return Action{Do: Ask, To: e.Owner, Question: Question{Look: look, Session: e.Session, User: e.User}}
	}}
}

// home returns where the client of a parked session goes, once.
func (f *Find) home(e Entry) Incarnation {
	if f.Home == nil || f.Redirected || e.Owner != (Incarnation{}) {
		return Incarnation{}
	}
	return f.Home(e.Record)
}

// orphan returns the record of a session whose owner is dead, nil if it is gone.
func (f *Find) orphan(e Entry) []byte {
	if f.Orphan == nil {
		return nil
	}
	return f.Orphan(e.User, e.Login)
}

// confirm writes what was read. A read may be old: from a leader that does not know yet
// that it is none. That the same can be written proves that it was not. So no session is
// given up for what one read says.
func confirm(entries []Entry, r Result) Action {
	return Action{Do: Write, Entries: entries, Verdict: Verdict{Result: r}}
}

// superseded reports that the user of entry i has logged in afresh at another server, or later at
// the one that is dead.
func (f *Find) superseded(entries []Entry, i int, v View) bool {
	e := entries[i]
	if e.User == "" || f.Policy == Allow {
		return false
	}
	dead := v.Status(e.Owner) == Dead
	for j, o := range entries {
		if o.User != e.User || j == i {
			continue
		}
		if dead && j > i || o.Owner != (Incarnation{}) && o.Owner != e.Owner && v.Status(o.Owner) != Dead {
			return true
		}
	}
	return false
}

// NewPark gives a session up to the server that asks for it next, with its record. me has
// stopped to act for it before. gen is what it was owned with. What else of its user comes or
// ends here is waited for: to whoever finds the session it would be a login that came after.
func NewPark(me Incarnation, id session.ID, gen uint64, record []byte, here *Holdings) *Op {
	tried := false
	return &Op{Key: Key(id), decide: func(entries []Entry, _ View) Action {
		i := find(entries, id)
		switch {
		case i < 0 || entries[i].Gen != gen:
			if tried { // an answer was lost, and it has been taken since
				return done(Verdict{Result: Parked})
			}
			return confirm(entries, Fenced)
		case entries[i].Owner == Incarnation{}:
			return done(Verdict{Result: Parked})
		case entries[i].Owner != me:
			return confirm(entries, Fenced)
		}
		e := entries[i]
		unsettled := func(o Entry) bool {
			return o.Owner == me && o.User == e.User && (here.is(o.Session, arriving) || here.is(o.Session, ending))
		}
		if e.User != "" && slices.ContainsFunc(entries, unsettled) {
			return Action{Do: Wait, Wait: readAgain}
		}
		tried = true
		e.Owner, e.Record = Incarnation{}, record
		return Action{Do: Write, Entries: with(entries, i, e), Verdict: Verdict{Result: Parked}}
	}}
}

// NewUnpark gives a session back that me owns by a take whose answer was lost, and never
// had. Without a record there is nothing to give back: it is released.
func NewUnpark(me Incarnation, id session.ID) *Op {
	return &Op{Key: Key(id), decide: func(entries []Entry, _ View) Action {
		i := find(entries, id)
		if i < 0 || entries[i].Owner != me {
			return confirm(entries, Released)
		}
		if entries[i].Record == nil {
			return Action{Do: Write, Entries: without(entries, i), Verdict: Verdict{Result: Released}}
		}
		e := entries[i]
		e.Owner = Incarnation{}
		return Action{Do: Write, Entries: with(entries, i, e), Verdict: Verdict{Result: Released}}
	}}
}

// NewRelease removes the entry of a session that has ended at me, or of one that was claimed in
// vain: what that claim has taken is given back by the same write. Whatever else stands there is
// not me's to touch.
func NewRelease(me Incarnation, id session.ID, here *Holdings) *Op {
	return &Op{Key: Key(id), decide: func(entries []Entry, _ View) Action {
		rest, changed := make([]Entry, 0, len(entries)), false
		for _, e := range entries {
			switch {
			case e.Owner == me && e.Session == id:
				changed = true
				continue
			case e.Owner == me && here.adopting(id, e.Session):
				e.Owner, changed = Incarnation{}, true
			}
			rest = append(rest, e)
		}
		if !changed {
			return confirm(entries, Released)
		}
		return Action{Do: Write, Entries: rest, Verdict: Verdict{Result: Released}}
	}}
}
