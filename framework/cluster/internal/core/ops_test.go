// SPDX-License-Identifier: MIT

package core

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// TestReadsDoNotGoBack: a park whose answer was lost, and that reads then what stood there
// before this server took the session, is not taken for done. The next owner would go on
// from an older record.
func TestReadsDoNotGoBack(t *testing.T) {
	me, id := Incarnation{1, 1}, session.ID{1}
	op := NewPark(me, id, 3, []byte("new"), &Holdings{})
	now := []Entry{{Session: id, Owner: me, Gen: 3, Record: []byte("old")}}
	old := []Entry{{Session: id, Gen: 2, Record: []byte("old")}}
	for i, step := range []struct {
		ev   Event
		want Verb
	}{
		{Event{}, Read},
		{Event{Outcome: Loaded, Entries: now, Rev: 48}, Write},
		{Event{Outcome: Uncertain}, Read},
		{Event{Outcome: Loaded, Entries: old, Rev: 40}, Wait},
		{Event{Outcome: Waited}, Read},
		{Event{Outcome: Loaded, Rev: 39}, Wait}, // nor before the session was opened
		{Event{Outcome: Waited}, Read},
		{Event{Outcome: Loaded, Entries: now, Rev: 48}, Write},
		{Event{Outcome: Written}, Done},
	} {
		a := op.Next(step.ev, &Members{})
		if a.Do != step.want {
			t.Fatalf("step %d: %+v, want verb %d", i, a, step.want)
		}
		if a.Do == Write && (a.Rev != 48 || string(a.Entries[0].Record) != "new") {
			t.Errorf("step %d writes %+v", i, a)
		}
		if a.Do == Done && a.Verdict.Result != Parked {
			t.Errorf("step %d: %+v", i, a)
		}
	}
}

// TestOldReadsAreTried: what stands in an old read to be given up is written again first.
func TestOldReadsAreTried(t *testing.T) {
	me, other, id := Incarnation{1, 1}, Incarnation{2, 1}, session.ID{1}
	mine := []Entry{{Session: id, User: "ann", Owner: me, Gen: 1}}
	others := []Entry{{Session: id, User: "ann", Owner: other, Gen: 2}}
	for name, c := range map[string]struct {
		op      *Op
		entries []Entry
		want    Result
	}{
		"found, without a record": {NewFind(Find{Me: me, Session: id}), mine, Mine},
		"not found":               {NewFind(Find{Me: me, Session: id, Policy: Allow}), nil, Missing},
		"parked by another":       {NewPark(me, id, 1, nil, &Holdings{}), others, Fenced},
		"released by another":     {NewRelease(me, id, &Holdings{}), others, Released},
		"given back by another":   {NewUnpark(me, id), others, Released},
	} {
		a := c.op.Next(Event{Outcome: Loaded, Entries: c.entries, Rev: 7}, &Members{})
		same := slices.EqualFunc(a.Entries, c.entries, func(a, b Entry) bool { return a.Session == b.Session && a.Owner == b.Owner && a.Gen == b.Gen })
		if a.Do != Write || a.Rev != 7 || !same {
			t.Errorf("%s: %+v", name, a)
		}
		if a = c.op.Next(Event{Outcome: Written}, &Members{}); a.Verdict.Result != c.want {
			t.Errorf("%s: then %+v", name, a)
		}
	}
}

// TestAdoptedByALateWrite: a login that waits after a write without an answer has the record
// of the session that this write has taken over.
func TestAdoptedByALateWrite(t *testing.T) {
	me, id, parked, here := Incarnation{1, 1}, session.ID{1}, session.ID{2}, session.ID{3}
	var h Holdings
	h.Arrive(here)
	h.Hold(here, 1)
	before := []Entry{{Session: here, User: "ann", Owner: me, Gen: 1}, {Session: parked, User: "ann", Gen: 1, Record: []byte("record")}}
	op := NewClaim(me, id, "ann", nil, Adopt, &h)
	a := op.Next(Event{Outcome: Loaded, Entries: before, Rev: 7}, &Members{})
	if a.Do != Write {
		t.Fatalf("%+v", a)
	}
	after := a.Entries
	op.Next(Event{Outcome: Uncertain}, &Members{})
	h.Park(here)
	if a = op.Next(Event{Outcome: Loaded, Entries: before, Rev: 7}, &Members{}); a.Do != Wait {
		t.Fatalf("%+v", a)
	}
	op.Next(Event{Outcome: Waited}, &Members{})
	a = op.Next(Event{Outcome: Loaded, Entries: after, Rev: 8}, &Members{})
	if a.Do != Done || a.Verdict.Result != Granted || string(a.Verdict.Record) != "record" {
		t.Errorf("%+v", a)
	}
}

// TestLeaseIsNotOverByAnOldRead: a server that has its lease, and reads what stood there
// before, is not dead.
func TestLeaseIsNotOverByAnOldRead(t *testing.T) {
	me, former := Incarnation{1, 2}, Incarnation{1, 1}
	l := NewLease(me, Default)
	now := time.Second
	for i, step := range []struct {
		want  Verb // of Next
		o     Outcome
		value LeaseValue
		rev   uint64
	}{
		{Read, Loaded, LeaseValue{former, 9, true}, 5},
		{Declare, Written, LeaseValue{}, 0},
		{Write, Written, LeaseValue{}, 6},
		{Write, Uncertain, LeaseValue{}, 0},
		{Read, Loaded, LeaseValue{former, 9, true}, 5},
		{Read, Loaded, LeaseValue{me, 2, false}, 7},
		{Write, Written, LeaseValue{}, 8},
	} {
		now = max(now, l.NextAt())
		if do, _, _, ok := l.Next(now); do != step.want || !ok {
			t.Fatalf("step %d: verb %d, %v, want %d", i, do, ok, step.want)
		}
		l.Done(step.o, step.value, step.rev, now)
		if l.Over() {
			t.Fatalf("step %d: the lease is over", i)
		}
	}
	if l.ValidUntil() != now+Default.Validity {
		t.Error(l.ValidUntil(), now)
	}
}

// TestEndedProcessIsNotWaitedFor: what proves that a process has ended spares the 20 s, and
// holds for that process alone.
func TestEndedProcessIsNotWaitedFor(t *testing.T) {
	me, other, next := Incarnation{1, 1}, Incarnation{2, 7}, Incarnation{2, 8}
	w := NewWatch(me, Default)
	w.Saw(2, LeaseValue{Owner: other, Counter: 3}, 5, time.Second)
	w.Ended(next)
	if list := w.Suspects(2 * time.Second); len(list) != 0 {
		t.Errorf("the end of another process: %v", list)
	}
	w.Ended(other)
	if list := w.Suspects(2 * time.Second); len(list) != 1 || list[0].Rev != 5 || !list[0].Value.Dead || list[0].Value.Owner != other {
		t.Errorf("it has ended: %v", list)
	}
	w.Saw(2, LeaseValue{Owner: next, Counter: 1}, 6, 2*time.Second)
	if list := w.Suspects(3 * time.Second); len(list) != 0 {
		t.Errorf("the next one has its number: %v", list)
	}

	l := NewLease(next, Default)
	now := time.Second
	for i, step := range []struct {
		want  Verb
		o     Outcome
		value LeaseValue // loaded, or to be written
		rev   uint64
		ended Incarnation // told afterwards
	}{
		{Read, Loaded, LeaseValue{other, 3, false}, 5, next},
		{Read, Loaded, LeaseValue{other, 4, false}, 6, other},
		{Write, Conflicted, LeaseValue{other, 4, true}, 6, Incarnation{}},
		{Read, Loaded, LeaseValue{other, 5, false}, 7, other},
		{Write, Written, LeaseValue{other, 5, true}, 7, Incarnation{}},
		{Read, Loaded, LeaseValue{other, 5, true}, 8, Incarnation{}},
		{Declare, Written, LeaseValue{Owner: other}, 0, Incarnation{}},
		{Write, Written, LeaseValue{next, 1, false}, 8, Incarnation{}},
	} {
		now = max(now, l.NextAt())
		do, value, rev, ok := l.Next(now)
		if do != step.want || !ok || do == Write && (value != step.value || rev != step.rev) {
			t.Fatalf("step %d: verb %d of %+v at %d, %v", i, do, value, rev, ok)
		}
		l.Done(step.o, step.value, step.rev, now)
		l.Ended(step.ended)
	}
	if l.ValidUntil() == 0 {
		t.Error("it has no lease")
	}
}

// TestClientIsSentToALivingOwner: a client is sent to the owner of its session when that has
// answered. Else each server would send it there, and it would log in at last.
func TestClientIsSentToALivingOwner(t *testing.T) {
	me, other, id := Incarnation{1, 1}, Incarnation{2, 1}, session.ID{1}
	var m Members
	m.Put(Member{Incarnation: other})
	entries := []Entry{{Session: id, User: "ann", Owner: other, Gen: 1}}
	for _, c := range []struct {
		ev   Event
		want Verdict
	}{
		{Event{Outcome: Unanswered}, Verdict{Result: Busy, Wait: 2 * time.Second}},
		{Event{Outcome: Answered, Answer: Here}, Verdict{Result: Redirect, To: other}},
	} {
		op := NewFind(Find{Me: me, Session: id, Dialable: func(Incarnation) bool { return true }})
		op.Next(Event{}, &m)
		a := op.Next(Event{Outcome: Loaded, Entries: entries, Rev: 7}, &m)
		if a.Do != Ask || a.To != other || !a.Question.Look {
			t.Fatalf("%+v", a)
		}
		a = op.Next(c.ev, &m)
		for range maxLooks {
			if a.Do == Wait {
				a = op.Next(Event{Outcome: Waited}, &m)
			}
		}
		if a.Do != Done || !reflect.DeepEqual(a.Verdict, c.want) {
			t.Errorf("%+v, want %+v", a, c.want)
		}
	}
	op := NewFind(Find{Me: me, Session: id, Dialable: func(Incarnation) bool { return true }})
	op.Next(Event{}, &m)
	op.Next(Event{Outcome: Loaded, Entries: entries, Rev: 7}, &m)
	if a := op.Next(Event{Outcome: Unanswered}, &m); a.Do != Wait {
		t.Errorf("%+v, while its tombstone may be on its way", a)
	}
	m.Tombstone(other)
	if a := op.Next(Event{Outcome: Waited}, &m); a.Do != Read {
		t.Errorf("%+v, once it has its tombstone", a)
	}
	var h Holdings
	if q := (Question{Look: true, Session: id}); h.Ask(q) != GiveBack || !h.Arrive(id) || h.Ask(q) != NoEffect {
		t.Error("asked for a session that is not there")
	}
	h.Hold(id, 1)
	if h.Ask(Question{Look: true, Session: id}) != SayHere || h.Ask(Question{Session: id}) != ParkIt {
		t.Error("asked for a session that is there")
	}
}

// TestParkedSessionOfAnotherRelease: its client is sent to a server that it can go on at, once.
// Nothing is written. One that can't get there, or that another server has, is as ever.
func TestParkedSessionOfAnotherRelease(t *testing.T) {
	me, other, home, id := Incarnation{1, 1}, Incarnation{2, 1}, Incarnation{3, 1}, session.ID{1}
	var m Members
	m.Put(Member{Incarnation: other})
	for name, c := range map[string]struct {
		home, owner Incarnation
		redirected  bool
		want        Verb
	}{
		"another release":    {home, Incarnation{}, false, Done},
		"this one, or none":  {Incarnation{}, Incarnation{}, false, Write},
		"it was sent before": {home, Incarnation{}, true, Write},
		"it has an owner":    {home, other, false, Ask},
	} {
		f := Find{Me: me, Session: id, Redirected: c.redirected, Dialable: func(Incarnation) bool { return true }}
		f.Home = func([]byte) Incarnation { return c.home }
		entries := []Entry{{Session: id, User: "ann", Owner: c.owner, Gen: 1, Record: []byte("record")}}
		a := NewFind(f).Next(Event{Outcome: Loaded, Entries: entries, Rev: 7}, &m)
		if a.Do != c.want || a.Do == Done && !reflect.DeepEqual(a.Verdict, Verdict{Result: Redirect, To: home}) {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// TestAloneUntil: a server that may serve without a lease does so for as long as its requests
// have no answer. One that has asked nothing, as it was stopped, or that may have been declared
// dead, does not.
func TestAloneUntil(t *testing.T) {
	me := Incarnation{1, 7}
	write := func(l *Lease, at, after time.Duration, o Outcome) {
		t.Helper()
		if do, _, _, ok := l.Next(at); !ok || do == Declare {
			t.Fatalf("nothing to do at %v", at)
		}
		l.Done(o, LeaseValue{}, 1, at+after)
	}
	held := func() *Lease {
		l := NewLease(me, Default)
		write(l, 0, 0, Loaded)
		write(l, 0, 0, Written)
		if l.ValidUntil() == 0 || l.AloneUntil() != 0 {
			t.Fatalf("valid until %v, alone until %v", l.ValidUntil(), l.AloneUntil())
		}
		return l
	}
	const at = 10 * time.Second
	l := held()
	write(l, at, time.Second, Uncertain)
	if got, want := l.AloneUntil(), at+time.Second+Default.Gap; got != want {
		t.Errorf("a write without an answer: alone until %v, want %v", got, want)
	}
	write(l, 2*at, time.Second, LoadFailed)
	if got, want := l.AloneUntil(), 2*at+time.Second+Default.Gap; got != want {
		t.Errorf("a read without an answer: alone until %v, want %v", got, want)
	}
	write(l, 3*at, time.Minute, LoadFailed)
	if got, want := l.AloneUntil(), 2*at+time.Second+Default.Gap; got != want {
		t.Errorf("a process that was stopped: alone until %v, want %v", got, want)
	}
	l = held()
	write(l, at, 0, Conflicted)
	write(l, at+time.Second, time.Second, LoadFailed)
	if l.AloneUntil() != 0 {
		t.Errorf("after a conflict: alone until %v", l.AloneUntil())
	}
	l.Next(at + 3*time.Second)
	l.Done(Loaded, LeaseValue{Owner: me, Counter: 1, Dead: true}, 9, at+3*time.Second)
	if !l.Over() || l.AloneUntil() != 0 {
		t.Errorf("declared dead: over %v, alone until %v", l.Over(), l.AloneUntil())
	}
	l = NewLease(me, Default)
	write(l, 0, time.Second, LoadFailed)
	if l.AloneUntil() != 0 {
		t.Error("alone before it ever had a lease")
	}
}

// TestSuspendedLease: what was sent before the clock stood still renews nothing.
func TestSuspendedLease(t *testing.T) {
	me := Incarnation{1, 1}
	l := NewLease(me, Default)
	l.Next(0)
	l.Done(Loaded, LeaseValue{}, 0, 0)
	l.Next(0)
	l.Done(Written, LeaseValue{}, 1, 0)
	at := Default.Renew
	_, value, _, _ := l.Next(at)
	l.Done(Uncertain, LeaseValue{}, 0, at)
	at += time.Second
	l.Suspended(at)
	if do, _, _, ok := l.Next(at); !ok || do != Read {
		t.Fatalf("it does %d, want a read", do)
	}
	l.Done(Loaded, value, 2, at) // it was written, long ago perhaps
	if l.ValidUntil() > at {
		t.Errorf("valid until %v, at %v", l.ValidUntil(), at)
	}
	do, _, _, ok := l.Next(at)
	l.Done(Written, LeaseValue{}, 3, at)
	if !ok || do != Write || l.ValidUntil() != at+Default.Validity {
		t.Errorf("valid until %v after a write at %v", l.ValidUntil(), at)
	}
}

// TestParkedAndTaken: the answer to a park was lost, and another server has the session by now: it is
// done, its client is told that the session moves on, and not that it is lost.
func TestParkedAndTaken(t *testing.T) {
	me, other, id := Incarnation{1, 1}, Incarnation{2, 1}, session.ID{1}
	op := NewPark(me, id, 3, []byte("record"), &Holdings{})
	op.Next(Event{Outcome: Loaded, Entries: []Entry{{Session: id, Owner: me, Gen: 3}}, Rev: 7}, &Members{})
	op.Next(Event{Outcome: Uncertain}, &Members{})
	a := op.Next(Event{Outcome: Loaded, Entries: []Entry{{Session: id, Owner: other, Gen: 4}}, Rev: 9}, &Members{})
	if a.Do != Done || a.Verdict.Result != Parked {
		t.Errorf("%+v", a)
	}
}

// TestOnlyTheLastIsReopened: of a user's sessions whose server is dead, the one that logged in last
// is reopened. The others are given up, for their user has logged in afresh.
func TestOnlyTheLastIsReopened(t *testing.T) {
	me, dead, first, last := Incarnation{1, 1}, Incarnation{2, 1}, session.ID{1}, session.ID{2}
	var m Members
	m.Tombstone(dead)
	for _, c := range []struct {
		id     session.ID
		other  Incarnation // has the last one
		policy Policy
		want   Result
	}{
		{first, dead, Replace, Superseded},
		{first, Incarnation{}, Replace, Superseded}, // the last one was reopened, and is parked
		{first, me, Replace, Superseded},
		{first, dead, Allow, Taken},
		{last, dead, Replace, Taken},
	} {
		entries := []Entry{{Session: first, User: "ann", Owner: dead, Gen: 1}, {Session: last, User: "ann", Owner: c.other, Gen: 1}}
		orphan := func(string, []byte) []byte { return []byte("orphan") }
		a := NewFind(Find{Me: me, Session: c.id, Policy: c.policy, Orphan: orphan}).Next(Event{Outcome: Loaded, Entries: entries, Rev: 7}, &m)
		if a.Do != Write || a.Verdict.Result != c.want {
			t.Errorf("%v, the last at %v, policy %d: %+v", c.id, c.other, c.policy, a)
		}
	}
}

// TestForgetfulDirectory: if the lease of a server replaces an older one than it had, the directory
// has forgotten that, with all that the server owns. It acts no more, and says that it is dead. Others may have
// written there since.
func TestForgetfulDirectory(t *testing.T) {
	me := Incarnation{1, 2}
	for name, c := range map[string]struct {
		before  LeaseValue
		rev     uint64
		next    uint64
		unheard bool
	}{
		"emptied": {LeaseValue{}, 0, 3, false}, "emptied, and others were faster": {LeaseValue{}, 0, 30, false},
		"set back": {LeaseValue{me, 1, false}, 2, 30, false}, "an answer is lost": {LeaseValue{}, 0, 30, true},
	} {
		l := NewLease(me, Default)
		now := time.Second
		type step struct {
			want  Verb // of Next
			dead  bool // likewise
			o     Outcome
			value LeaseValue
			rev   uint64
			valid bool
		}
		steps := []step{
			{Read, false, Loaded, LeaseValue{}, 0, false},
			{Write, false, Written, LeaseValue{}, 6, true},
			{Write, false, Written, LeaseValue{}, 8, true},
			{Write, false, Conflicted, LeaseValue{}, 0, true},
			{Read, false, Loaded, c.before, c.rev, true}, // perhaps an old read
			{Write, false, Written, LeaseValue{}, c.next, false},
			{Write, true, Uncertain, LeaseValue{}, 0, false},
			{Read, false, Loaded, LeaseValue{me, 4, false}, c.next, false},
			{Write, true, Written, LeaseValue{}, c.next + 1, false},
		}
		if c.unheard {
			steps = slices.Replace(steps, 5, 6, step{Write, false, Uncertain, LeaseValue{}, 0, true}, step{Read, false, Loaded, LeaseValue{me, 4, false}, c.next, false})
		}
		for i, step := range steps {
			now = max(now, l.NextAt())
			do, value, _, ok := l.Next(now)
			if do != step.want || !ok || value.Dead != step.dead {
				t.Fatalf("%s, step %d: verb %d, %v, %v, want %d", name, i, do, value, ok, step.want)
			}
			l.Done(step.o, step.value, step.rev, now)
			if valid := l.ValidUntil() > now; valid != step.valid || !valid && l.AloneUntil() > now {
				t.Fatalf("%s, step %d: valid: %v, alone until %v", name, i, valid, l.AloneUntil())
			}
		}
		if !l.Over() || !l.Lost() {
			t.Errorf("%s: over: %v, lost: %v", name, l.Over(), l.Lost())
		}
	}
}
