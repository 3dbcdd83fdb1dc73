// SPDX-License-Identifier: MIT

package core

import (
	"testing"

	"github.com/lifeline-go/lifeline/session"
)

// TestReadsDoNotGoBack: a park whose answer was lost, and that reads then what stood there
// before this server took the session, is not taken for done. The next owner would go on
// from an older record.
func TestReadsDoNotGoBack(t *testing.T) {
	me, id := Incarnation{1, 1}, session.ID{1}
	op := NewPark(me, id, 3, []byte("new"))
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
