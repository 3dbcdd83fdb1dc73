// SPDX-License-Identifier: MIT

package place

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/session"
)

// view is me, other and third, all up, but for what is said of one.
func view(i core.Incarnation, s core.Status) core.View {
	m := &core.Members{}
	for _, up := range []core.Incarnation{me, other, third} {
		switch {
		case up != i || s == core.Up:
			m.Put(core.Member{Incarnation: up})
		case s == core.Draining:
			m.Put(core.Member{Incarnation: up, Draining: true})
		case s == core.Dead:
			m.Tombstone(up)
		}
	}
	return m
}

var allUp = view(me, core.Up)

// finding is a Find by me, of a room that shall be at to.
func finding(to core.Incarnation) Find {
	return Find{Me: me, Type: "hall", Key: "k", User: "ann", Session: session.ID{1}, Choose: func(tried []core.Incarnation) core.Incarnation {
		if slices.Contains(tried, to) {
			return me
		}
		return to
	}}
}

func entry(owner core.Incarnation, gen uint64) *Entry {
	return &Entry{Type: "hall", Key: "k", Owner: owner, Gen: gen}
}

func loaded(e *Entry, rev uint64) Event { return Event{Outcome: core.Loaded, Entry: e, Rev: rev} }

// step is an event, and what an Op wants then.
type step struct {
	ev   Event
	want Action
}

func follow(t *testing.T, o *Op, v core.View, steps ...step) {
	t.Helper()
	for i, s := range steps {
		if got := o.Next(s.ev, v); !reflect.DeepEqual(got, s.want) {
			t.Fatalf("step %d: %+v, want %+v (entries %+v, %+v)", i, got, s.want, got.Entry, s.want.Entry)
		}
	}
}

func writes(e *Entry, rev uint64, v Verdict) Action {
	return Action{Do: core.Write, Entry: e, Rev: rev, Verdict: v}
}

var (
	written  = Event{Outcome: core.Written}
	waits    = Action{Do: core.Wait, Wait: readAgain}
	question = Question{"hall", "k", "ann", session.ID{1}}
)

// TestFind: what comes of an entry that is read.
func TestFind(t *testing.T) {
	moving := &Entry{Type: "hall", Key: "k", Gen: 5, Target: other, Snapshot: []byte("s")}
	crashed := &Entry{Type: "hall", Key: "k", Owner: other, Gen: 5, Snapshot: []byte("s")}
	taken := func(gen uint64, lost bool, snapshot []byte) Action {
		e := &Entry{Type: "hall", Key: "k", Owner: me, Gen: gen, Snapshot: snapshot, Lost: lost}
		return writes(e, 9, Verdict{Result: Here, Gen: gen, Snapshot: snapshot, Crashed: lost})
	}
	mine := entry(me, 3)
	mine.Snapshot, mine.Lost = []byte("s"), true
	for name, c := range map[string]struct {
		find Find
		e    *Entry
		view core.View
		want Action
	}{
		"no entry":                                          {finding(me), nil, allUp, taken(10, false, nil)},
		"no entry, and it shall be elsewhere":               {finding(other), nil, allUp, Action{Do: core.Ask, To: other, Question: question}},
		"no entry, and no server for it":                    {finding(core.Incarnation{}), nil, allUp, done(Verdict{Wait: 2 * time.Second})},
		"the owner lives":                                   {finding(me), entry(other, 3), allUp, Action{Do: core.Ask, To: other, Question: question}},
		"the owner drains":                                  {finding(me), entry(other, 3), view(other, core.Draining), Action{Do: core.Ask, To: other, Question: question}},
		"the owner is not known":                            {finding(me), entry(other, 3), view(other, core.Unknown), done(Verdict{Wait: time.Second})},
		"the owner is dead":                                 {finding(me), crashed, view(other, core.Dead), taken(10, true, []byte("s"))},
		"the owner is dead, and it had a higher generation": {finding(me), entry(other, 30), view(other, core.Dead), taken(31, true, nil)},
		"it is owned here":                                  {finding(other), mine, allUp, taken(10, true, []byte("s"))},
		"it moves, and its target is up":                    {finding(third), moving, allUp, Action{Do: core.Ask, To: other, Question: question}},
		"it moves, and its target drains":                   {finding(third), moving, view(other, core.Draining), Action{Do: core.Ask, To: third, Question: question}},
		"it moves, and its target is dead":                  {finding(me), moving, view(other, core.Dead), taken(10, false, []byte("s"))},
		"it moves, without a target":                        {finding(me), &Entry{Type: "hall", Key: "k", Gen: 5}, allUp, taken(10, false, nil)},
		"another server asks, and it moves":                 {Find{Me: me, Type: "hall", Key: "k", Asked: true}, moving, allUp, taken(10, false, []byte("s"))},
		"another server asks, and it is there":              {Find{Me: me, Type: "hall", Key: "k", Asked: true}, entry(other, 3), allUp, writes(entry(other, 3), 9, Verdict{Result: Elsewhere, To: other, Gen: 3})},
		"another room has the name":                         {finding(me), &Entry{Type: "hall", Key: "l", Owner: me}, allUp, done(Verdict{Result: Refused, Why: Collision})},
		"a key that is too long":                            {Find{Me: me, Type: "hall", Key: strings.Repeat("k", MaxName+1)}, nil, allUp, done(Verdict{Result: Refused, Why: TooLong})},
		"a session that another server expects":             {finding(me), entry(third, 3), view(other, core.Dead), Action{Do: core.Ask, To: third, Question: question}},
	} {
		t.Run(name, func(t *testing.T) {
			follow(t, NewFind(c.find), c.view, step{Event{}, Action{Do: core.Read}}, step{loaded(c.e, 9), c.want})
		})
	}
}

// TestAnswers: what comes of what the owner says.
func TestAnswers(t *testing.T) {
	says := func(a Answer) Event { return Event{Outcome: core.Answered, Answer: a} }
	ask := step{loaded(entry(other, 3), 9), Action{Do: core.Ask, To: other, Question: question}}
	read := Action{Do: core.Read}
	waited := Event{Outcome: core.Waited}
	for name, steps := range map[string][]step{
		"seated":     {ask, {says(Answer{Says: Seated, Gen: 4}), done(Verdict{Result: Elsewhere, To: other, Gen: 4})}},
		"full":       {ask, {says(Answer{Says: Refuses, Why: Full}), done(Verdict{Result: Refused, Why: Full})}},
		"unanswered": {ask, {Event{Outcome: core.Unanswered}, done(Verdict{Wait: 2 * time.Second})}},
		"it works, and the room moves on": {
			ask, {says(Answer{Says: Working}), waits}, {waited, read}, {loaded(entry(other, 3), 9), waits}, {waited, read},
			{loaded(entry(third, 4), 10), Action{Do: core.Ask, To: third, Question: question}},
		},
		"it works, and then it is gone": {
			ask, {says(Answer{Says: Working}), waits}, {waited, read},
			{loaded(nil, 10), writes(entry(me, 11), 10, Verdict{Result: Here, Gen: 11})},
			{written, done(Verdict{Result: Here, Gen: 11})},
		},
	} {
		t.Run(name, func(t *testing.T) { follow(t, NewFind(finding(me)), allUp, steps...) })
	}
	// A server that does not take a room that has no owner is not asked again.
	for name, ev := range map[string]Event{"unanswered": {Outcome: core.Unanswered}, "not there": says(Answer{Says: NotHere})} {
		o := NewFind(finding(other))
		if a := o.Next(loaded(nil, 9), allUp); a.Do != core.Ask || a.To != other {
			t.Fatalf("%s: %+v", name, a)
		}
		o.Next(ev, allUp)
		if a := o.Next(loaded(nil, 9), allUp); a.Do != core.Write || a.Entry.Owner != me {
			t.Errorf("%s: then %+v", name, a)
		}
	}
}

// TestBounds: no Op goes on for ever, and one that has given up goes on when it is asked to.
func TestBounds(t *testing.T) {
	for name, c := range map[string]struct {
		e    *Entry
		then func(a Action) Event
	}{
		"reads that fail":              {nil, func(Action) Event { return Event{Outcome: core.LoadFailed} }},
		"conflicts":                    {nil, func(Action) Event { return Event{Outcome: core.Conflicted} }},
		"writes without an answer":     {nil, func(Action) Event { return Event{Outcome: core.Uncertain} }},
		"an owner that works":          {entry(other, 1), func(Action) Event { return Event{Outcome: core.Answered} }},
		"an owner that has it no more": {entry(other, 1), func(Action) Event { return Event{Outcome: core.Answered, Answer: Answer{Says: NotHere}} }},
	} {
		t.Run(name, func(t *testing.T) {
			o := NewFind(finding(me))
			for range 2 {
				ev, steps := Event{}, 0
				a := o.Next(ev, allUp)
				for ; a.Do != core.Done; steps++ {
					switch {
					case steps > 500:
						t.Fatal("it goes on")
					case a.Do == core.Wait:
						ev = Event{Outcome: core.Waited}
					case a.Do == core.Read && name != "reads that fail":
						ev = loaded(c.e, 9)
					default:
						ev = c.then(a)
					}
					a = o.Next(ev, allUp)
				}
				if a.Verdict.Result != Busy || a.Verdict.Wait == 0 || steps < 4 {
					t.Errorf("after %d steps: %+v", steps, a)
				}
			}
		})
	}
}

// TestGenerations: each owner has a higher one, also when the entry was removed in between.
func TestGenerations(t *testing.T) {
	gen, rev := uint64(0), uint64(0)
	var e *Entry
	for i, owner := range []core.Incarnation{me, other, me, third, other} {
		f := Find{Me: owner, Type: "hall", Key: "k", Asked: true}
		a := NewFind(f).Next(loaded(e, rev), allUp)
		if a.Do != core.Write || a.Entry.Gen <= gen || a.Verdict.Gen != a.Entry.Gen {
			t.Fatalf("after %d: %+v", gen, a)
		}
		gen, e, rev = a.Entry.Gen, nil, rev+uint64(2+i) // it was written, and removed
	}
}

// TestClose: only the entry of the very room is removed, and old reads are tried.
func TestClose(t *testing.T) {
	for name, c := range map[string]struct{ read, written *Entry }{
		"it is owned here":   {entry(me, 3), nil},
		"another owner":      {entry(other, 4), entry(other, 4)},
		"another generation": {entry(me, 4), entry(me, 4)},
		"it is gone":         {nil, nil},
		"a write that was given up has given it to others": {entry(core.Incarnation{}, 3), nil},
		"others have given it to others":                   {entry(core.Incarnation{}, 4), entry(core.Incarnation{}, 4)},
	} {
		t.Run(name, func(t *testing.T) {
			follow(t, NewClose(me, "hall", "k", 3), allUp,
				step{loaded(c.read, 9), writes(c.written, 9, Verdict{Result: Released})},
				step{written, done(Verdict{Result: Released})})
		})
	}
}

func handOver(t *testing.T) *Op {
	t.Helper()
	o, err := NewHandOver(HandOver{Me: me, Type: "hall", Key: "k", Gen: 3, Target: other, Snapshot: []byte("s")})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestHandOver(t *testing.T) {
	given := &Entry{Type: "hall", Key: "k", Gen: 3, Target: other, Snapshot: []byte("s")}
	give := step{loaded(entry(me, 3), 9), writes(given, 9, Verdict{Result: Moved})}
	moved, lost := done(Verdict{Result: Moved}), Event{Outcome: core.Uncertain}
	read := Action{Do: core.Read}
	for name, steps := range map[string][]step{
		"written":                            {give, {written, moved}},
		"the answer was lost":                {give, {lost, read}, {loaded(given, 10), moved}},
		"it was lost, and the room is taken": {give, {lost, read}, {loaded(entry(other, 11), 11), moved}},
		"it was lost, and the room is gone":  {give, {lost, read}, {loaded(nil, 12), moved}},
		"it was lost, and an old read":       {give, {lost, read}, {loaded(entry(third, 2), 8), waits}},
		"another owner":                      {{loaded(entry(other, 4), 9), writes(entry(other, 4), 9, Verdict{Result: Fenced})}, {written, done(Verdict{Result: Fenced})}},
		"no entry":                           {{loaded(nil, 9), writes(nil, 9, Verdict{Result: Fenced})}, {written, done(Verdict{Result: Fenced})}},
		"another owner, in an old read":      {{loaded(entry(other, 2), 8), writes(entry(other, 2), 8, Verdict{Result: Fenced})}, {Event{Outcome: core.Conflicted}, read}, give, {written, moved}},
	} {
		t.Run(name, func(t *testing.T) { follow(t, handOver(t), allUp, steps...) })
	}
	if _, err := NewHandOver(HandOver{Snapshot: make([]byte, MaxSnapshot+1)}); !errors.Is(err, ErrSnapshot) {
		t.Errorf("%d bytes: %v", MaxSnapshot+1, err)
	}
}

// TestRuns: the snapshot goes from the entry of a room that runs here, and from no other.
func TestRuns(t *testing.T) {
	mine := &Entry{Type: "hall", Key: "k", Owner: me, Gen: 3, Snapshot: []byte("s"), Lost: true}
	ran := &Entry{Type: "hall", Key: "k", Owner: me, Gen: 3, Lost: true}
	given := &Entry{Type: "hall", Key: "k", Gen: 3, Target: other, Snapshot: []byte("s")}
	again := &Entry{Type: "hall", Key: "k", Owner: me, Gen: 4, Snapshot: []byte("t")}
	runs := done(Verdict{Result: Runs})
	same := func(e *Entry) step { return step{loaded(e, 9), writes(e, 9, Verdict{Result: Runs})} }
	takes := step{loaded(mine, 9), writes(ran, 9, Verdict{Result: Runs})}
	for name, steps := range map[string][]step{
		"written":                {takes, {written, runs}},
		"the answer was lost":    {takes, {Event{Outcome: core.Uncertain}, Action{Do: core.Read}}, {loaded(ran, 10), runs}},
		"it has none":            {{loaded(ran, 9), runs}},
		"it moves":               {same(given), {written, runs}},
		"of the next generation": {same(again), {written, runs}},
		"of another server":      {same(entry(other, 3)), {written, runs}},
		"an old read":            {same(nil), {Event{Outcome: core.Conflicted}, Action{Do: core.Read}}, takes, {written, runs}},
	} {
		t.Run(name, func(t *testing.T) { follow(t, NewRuns(me, "hall", "k", 3), allUp, steps...) })
	}
}

// TestFirstHandOver: a room by a key that its server has made has no entry before, and none was ever
// removed: else it was written already, or given up.
func TestFirstHandOver(t *testing.T) {
	given := &Entry{Type: "hall", Key: "k", Gen: 3, Target: other, Snapshot: []byte("s")}
	give := step{loaded(nil, 0), writes(given, 0, Verdict{Result: Moved})}
	moved, lost, read := done(Verdict{Result: Moved}), Event{Outcome: core.Uncertain}, Action{Do: core.Read}
	for name, steps := range map[string][]step{
		"written":                             {give, {written, moved}},
		"the answer was lost":                 {give, {lost, read}, {loaded(given, 10), moved}},
		"it was lost, and nothing is written": {give, {lost, read}, give, {written, moved}},
		"it was lost, and the room is taken":  {give, {lost, read}, {loaded(entry(other, 11), 11), moved}},
		"it was lost, and the room is gone":   {give, {lost, read}, {loaded(nil, 12), moved}},
		"it was given up":                     {{loaded(nil, 9), writes(nil, 9, Verdict{Result: Fenced})}, {written, done(Verdict{Result: Fenced})}},
		"another owner":                       {{loaded(entry(other, 4), 9), writes(entry(other, 4), 9, Verdict{Result: Fenced})}, {written, done(Verdict{Result: Fenced})}},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := NewHandOver(HandOver{Me: me, Type: "hall", Key: "k", Gen: 3, Target: other, Snapshot: []byte("s"), First: true})
			if err != nil {
				t.Fatal(err)
			}
			follow(t, o, allUp, steps...)
		})
	}
}

// TestFindOfAMadeKey: the room is had if another server has handed it over, and is not made anew.
func TestFindOfAMadeKey(t *testing.T) {
	given := &Entry{Type: "hall", Key: "k", Gen: 3, Target: me, Snapshot: []byte("s")}
	taken := &Entry{Type: "hall", Key: "k", Owner: me, Gen: 10, Snapshot: []byte("s")}
	saved := &Entry{Type: "hall", Key: "k", Owner: third, Gen: 3, Snapshot: []byte("s")}
	fromDead := &Entry{Type: "hall", Key: "k", Owner: me, Gen: 10, Snapshot: []byte("s"), Lost: true}
	none, removes := done(Verdict{Result: None}), writes(nil, 9, Verdict{Result: None})
	again := Event{Outcome: core.Waited}
	asks := Action{Do: core.Ask, To: other, Question: Question{Type: "hall", Key: "k"}}
	for name, steps := range map[string][]step{
		"it never had an entry":   {{loaded(nil, 0), waits}, {again, Action{Do: core.Read}}, {loaded(nil, 0), none}},
		"its entry was removed":   {{loaded(nil, 9), none}},
		"its server has died":     {{loaded(entry(third, 3), 9), removes}, {written, none}},
		"that had not begun":      {{loaded(saved, 9), writes(fromDead, 9, Verdict{Result: Here, Gen: 10, Snapshot: []byte("s"), Crashed: true})}},
		"it was owned here":       {{loaded(entry(me, 3), 9), removes}, {written, none}},
		"it moves":                {{loaded(given, 9), writes(taken, 9, Verdict{Result: Here, Gen: 10, Snapshot: []byte("s")})}},
		"another one has it":      {{loaded(entry(other, 3), 9), asks}},
		"an old read, then it is": {{loaded(nil, 0), waits}, {again, Action{Do: core.Read}}, {loaded(entry(other, 3), 10), asks}},
	} {
		t.Run(name, func(t *testing.T) {
			o := NewFind(Find{Me: me, Type: "hall", Key: "k", Made: true, Choose: func([]core.Incarnation) core.Incarnation { return me }})
			follow(t, o, view(third, core.Dead), steps...)
		})
	}
}

func TestChoose(t *testing.T) {
	drawn := 0
	draw := func(n int) int { drawn++; return drawn % n }
	load := func(i core.Incarnation, players int) Load { return Load{i, players, 100} }
	for name, c := range map[string]struct {
		here   Load
		others []Load
		want   core.Incarnation
	}{
		"here":                           {load(me, 99), []Load{load(other, 0)}, me},
		"here, of no capacity":           {Load{me, 1000, 0}, []Load{load(other, 0)}, me},
		"full":                           {load(me, 100), []Load{load(other, 50)}, other},
		"full, the better of two":        {load(me, 100), []Load{load(other, 50), load(third, 40)}, third},
		"full, as the others":            {load(me, 100), []Load{load(other, 100), load(third, 120)}, me},
		"full, and another one, too":     {load(me, 100), []Load{load(other, 100), load(third, 99)}, third},
		"alone":                          {load(me, 100), nil, me},
		"it drains":                      {Load{}, []Load{load(other, 50)}, other},
		"it drains, and others are full": {Load{}, []Load{load(other, 100)}, other},
		"it drains, alone":               {Load{}, nil, core.Incarnation{}},
	} {
		for range 4 {
			if got := Choose(c.here, c.others, draw); got != c.want {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
		}
	}
	// Capacities differ: 30 of 100 is less than 20 of 40.
	if got := Choose(Load{}, []Load{{other, 30, 100}, {third, 20, 40}}, draw); got != other {
		t.Errorf("the better of two is %v", got)
	}
	// Of many the draw decides which two are looked at.
	var many []Load
	for i := range 10 {
		many = append(many, Load{core.Incarnation{Node: uint16(i + 10)}, i, 100})
	}
	seen := map[core.Incarnation]bool{}
	for range 100 {
		seen[Choose(Load{}, many, draw)] = true
	}
	if len(seen) < 3 {
		t.Errorf("only %v are ever drawn", seen)
	}
}
