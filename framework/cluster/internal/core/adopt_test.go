// SPDX-License-Identifier: MIT

package core

import (
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// briefly shows who owns what.
func briefly(entries []Entry) (list []string) {
	for _, e := range entries {
		s := string('a'+e.Session[0]-1) + " of " + e.Owner.String()
		if e.Record != nil {
			s += ", " + string(e.Record)
		}
		list = append(list, s)
	}
	return list
}

// TestAdoptedIsKept: what a login adopts keeps its entry until the login is open. One that is
// refused gives it back by the write that removes its own.
func TestAdoptedIsKept(t *testing.T) {
	me, old, id := Incarnation{1, 1}, session.ID{1}, session.ID{2}
	for _, opens := range []bool{true, false} {
		var h Holdings
		h.Arrive(id)
		op := NewClaim(me, id, "ann", nil, Adopt, &h)
		a := op.Next(Event{Outcome: Loaded, Entries: []Entry{{Session: old, User: "ann", Gen: 4, Record: []byte("gold")}}, Rev: 7}, &Members{})
		if got, want := briefly(a.Entries), []string{"a of 1.00000001, gold", "b of 1.00000001"}; !slices.Equal(got, want) || a.Entries[0].Gen != 5 {
			t.Fatalf("%q, want %q", got, want)
		}
		if h.Ask(Question{Session: old}) != NoEffect || h.Arrive(old) {
			t.Error("what a claim takes is given away meanwhile")
		}
		if v := op.Next(Event{Outcome: Written}, &Members{}).Verdict; v.Result != Granted || string(v.Record) != "gold" {
			t.Fatalf("%+v", v)
		}
		h.Grant(id, 1)
		stands := a.Entries
		if opens {
			if ended := h.Open(id); !slices.Equal(ended, []session.ID{old}) || h.Gen(id) != 1 {
				t.Errorf("%v ends, generation %d", ended, h.Gen(id))
			}
			a = NewRelease(me, old, &h).Next(Event{Outcome: Loaded, Entries: stands, Rev: 8}, &Members{})
			if got, want := briefly(a.Entries), []string{"b of 1.00000001"}; !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
			h.Forget(old)
			if h.Len() != 1 {
				t.Errorf("%v", h.Counts())
			}
			continue
		}
		if !h.End(id) {
			t.Error("a login that was granted can't end")
		}
		a = NewRelease(me, id, &h).Next(Event{Outcome: Loaded, Entries: stands, Rev: 8}, &Members{})
		if got, want := briefly(a.Entries), []string{"a of 0.00000000, gold"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if h.Forget(id); h.Len() != 0 {
			t.Errorf("%v", h.Counts())
		}
	}
}

// TestAdoptedOnce: a session that is adopted, is on its way or was taken in vain is adopted by one
// login, when nothing else is under way with it.
func TestAdoptedOnce(t *testing.T) {
	me, old, id, next := Incarnation{1, 1}, session.ID{1}, session.ID{2}, session.ID{3}
	parked := []Entry{{Session: old, User: "ann", Gen: 1, Record: []byte("gold")}}
	taken := []Entry{{Session: old, User: "ann", Owner: me, Gen: 2, Record: []byte("gold")}}
	for name, c := range map[string]struct {
		prepare func(h *Holdings)
		entries []Entry
		want    Verb
		record  string
	}{
		"parked":                                {func(*Holdings) {}, parked, Write, "gold"},
		"parked, and found here":                {func(h *Holdings) { h.Arrive(old) }, parked, Wait, ""},
		"parked, and adopted by another login":  {func(h *Holdings) { h.adopt(next, parked[0]) }, parked, Wait, ""},
		"parked from here, which is not known":  {func(h *Holdings) { h.Hold(old, 1); h.Park(old) }, parked, Wait, ""},
		"taken, and adopted by another login":   {func(h *Holdings) { h.adopt(next, parked[0]) }, taken, Wait, ""},
		"taken in vain":                         {func(*Holdings) {}, taken, Write, "gold"},
		"taken, and here":                       {func(h *Holdings) { h.Hold(old, 2) }, taken, Write, ""},
		"taken by this login, and then in vain": {func(h *Holdings) { h.adopt(id, parked[0]) }, taken, Write, "gold"},
	} {
		var h Holdings
		h.Arrive(id)
		c.prepare(&h)
		a := NewClaim(me, id, "ann", nil, Adopt, &h).Next(Event{Outcome: Loaded, Entries: c.entries, Rev: 7}, &Members{})
		if a.Do != c.want || string(a.Verdict.Record) != c.record {
			t.Errorf("%s: verb %d, record %q", name, a.Do, a.Verdict.Record)
		}
	}
}

// TestParkWaitsForLogins: a session is not parked while a login of its user, at the same server,
// may still be refused, or is being removed. A server that finds the session would take that
// for a login that came after, and give the session up.
func TestParkWaitsForLogins(t *testing.T) {
	me, id, login := Incarnation{1, 1}, session.ID{1}, session.ID{2}
	entries := []Entry{{Session: id, User: "ann", Owner: me, Gen: 1}, {Session: login, User: "ann", Owner: me, Gen: 1}}
	var h Holdings
	h.Hold(id, 1)
	gen, _ := h.Park(id)
	op := NewPark(me, id, gen, []byte("gold"), &h)
	h.Arrive(login)
	for _, next := range []func(){func() { h.Grant(login, 1) }, func() { h.End(login) }, func() { h.Forget(login) }} {
		if a := op.Next(Event{Outcome: Loaded, Entries: entries, Rev: 7}, &Members{}); a.Do != Wait || a.Wait <= 0 || a.Wait > time.Second {
			t.Fatalf("%+v", a)
		}
		next()
	}
	a := op.Next(Event{Outcome: Loaded, Entries: entries[:1], Rev: 8}, &Members{})
	if got, want := briefly(a.Entries), []string{"a of 0.00000000, gold"}; a.Do != Write || !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
