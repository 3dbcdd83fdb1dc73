// SPDX-License-Identifier: MIT

package queue

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"
)

var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

func queueOf(t *testing.T, r Rules) *Queue {
	t.Helper()
	q, err := New(r)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// party makes a ticket: "ann,bob".
func party(ids string, rating float64) *Ticket {
	t := &Ticket{}
	for id := range strings.SplitSeq(ids, ",") {
		t.Members = append(t.Members, Member{ID: id, Rating: rating})
	}
	return t
}

func enter(t *testing.T, q *Queue, x *Ticket, seconds float64) *Ticket {
	t.Helper()
	if err := q.Enter(x, at(seconds)); err != nil {
		t.Fatal(err)
	}
	return x
}

// told writes events down: "made ann+bob|eve", "over ann (left by ann)".
func told(events []Event) string {
	var lines []string
	name := func(x *Ticket) string {
		var ids []string
		for _, m := range x.Members {
			ids = append(ids, m.ID)
		}
		return strings.Join(ids, "+")
	}
	for _, e := range events {
		switch e.Kind {
		case TicketReturned, TicketOver:
			lines = append(lines, fmt.Sprintf("%s %s (%v)", map[Kind]string{TicketReturned: "back", TicketOver: "over"}[e.Kind], name(e.Ticket), e.Why))
		default:
			var teams []string
			for i, team := range e.Match.Teams {
				var names []string
				for _, x := range team {
					names = append(names, name(x))
				}
				teams = append(teams, strings.Join(names, " ")+strings.Repeat("*", e.Match.Bots[i]))
			}
			lines = append(lines, map[Kind]string{MatchProposed: "proposed ", MatchAccepted: "accepted ", MatchMade: "made "}[e.Kind]+e.Match.Room+strings.Join(teams, "|"))
		}
	}
	return strings.Join(lines, "; ")
}

func step(t *testing.T, q *Queue, seconds float64, want string) {
	t.Helper()
	if got := told(q.Step(at(seconds))); got != want {
		t.Errorf("at %v s: %q, want %q", seconds, got, want)
	}
}

func TestTheNearestPlayTogether(t *testing.T) {
	q := queueOf(t, Rules{Window: Window{Start: 100}})
	for i, rating := range []float64{1000, 1300, 1090, 1010, 1350} {
		enter(t, q, party(string(rune('a'+i)), rating), 0)
	}
	step(t, q, 0, "made a|d; made b|e")
	if st := q.Stats(); st.Waiting != 1 || st.Seatings != 2 {
		t.Errorf("%+v", st)
	}
}

// The window of the ticket that waits longer decides.
func TestWindowWidensWithTheWait(t *testing.T) {
	q := queueOf(t, Rules{Window: Window{Start: 50, PerSecond: 10, Max: 300}})
	enter(t, q, party("ann", 1000), 0)
	step(t, q, 0, "")
	enter(t, q, party("bob", 1200), 10)
	step(t, q, 10, "")
	for s := 10.0; s < 15; s += 0.25 {
		step(t, q, s, "")
	}
	found := ""
	for s := 15.0; s < 18 && found == ""; s += 0.25 {
		found = told(q.Step(at(s)))
	}
	if found != "made bob|ann" {
		t.Errorf("after 18 s: %q", found)
	}
	enter(t, q, party("eve", 5000), 20)
	enter(t, q, party("joe", 5301), 20)
	for s := 20.0; s < 300; s++ {
		step(t, q, s, "") // beyond Max
	}
}

func TestPartiesStayWhole(t *testing.T) {
	q := queueOf(t, Rules{Size: 3})
	enter(t, q, party("a,b", 10), 0)
	enter(t, q, party("c,d", 10), 1)
	enter(t, q, party("e,f", 10), 2)
	step(t, q, 2, "")
	enter(t, q, party("g", 10), 3)
	step(t, q, 3, "")
	enter(t, q, party("h", 10), 4)
	step(t, q, 4, "made a+b g|c+d h")
}

// What was placed first is taken out again where the teams can't be filled else.
func TestPackingTriesAnotherWay(t *testing.T) {
	q := queueOf(t, Rules{Teams: 1, Size: 5})
	enter(t, q, party("a,b", 0), 0)
	enter(t, q, party("c,d", 1), 0)
	enter(t, q, party("e,f", 2), 0)
	enter(t, q, party("g,h,i", 3), 0)
	step(t, q, 0, "made a+b g+h+i")
}

func TestTeamsAreEqual(t *testing.T) {
	for name, r := range map[string]Rules{"all ways": {Size: 4}, "by exchange": {Size: 2, Teams: 4}} {
		t.Run(name, func(t *testing.T) {
			q := queueOf(t, r)
			for i := range 8 {
				enter(t, q, party(string(rune('a'+i)), float64(100*i)), 0)
			}
			m := q.Step(at(0))[0].Match
			if m.Imbalance > 0.1 || m.Spread != 700 {
				t.Errorf("%s: imbalance %v, spread %v", told([]Event{{Kind: MatchMade, Match: m}}), m.Imbalance, m.Spread)
			}
		})
	}
}

// One healer a team, and nobody with somebody that it has blocked.
func TestTheGamesOwnRules(t *testing.T) {
	healers := func(team []Member) bool {
		n := 0
		for _, m := range team {
			if m.Data == "healer" {
				n++
			}
		}
		return n <= 1
	}
	q := queueOf(t, Rules{Size: 2, Fits: healers, Together: func(a, b *Ticket) bool { return a.Data == nil || a.Data != b.Data }})
	for i, role := range []string{"healer", "healer", "healer", "", ""} {
		x := party(string(rune('a'+i)), float64(i))
		x.Members[0].Data = role
		if i < 2 {
			x.Data = "feud"
		}
		enter(t, q, x, 0)
	}
	step(t, q, 0, "made a e|c d")
	both := party("x,y", 0)
	both.Members[0].Data, both.Members[1].Data = "healer", "healer"
	if err := q.Enter(both, at(0)); !errors.Is(err, ErrTicket) {
		t.Errorf("a party that fits no team: %v", err)
	}
}

func TestPoolsOpenWithTheWait(t *testing.T) {
	q := queueOf(t, Rules{})
	x := party("ann", 0)
	x.Pools = []Pool{{"us", 20 * time.Second}, {"eu", 0}}
	enter(t, q, x, 0)
	y := party("bob", 0)
	y.Pools = []Pool{{"us", 0}}
	enter(t, q, y, 0)
	for s := range 20 {
		step(t, q, float64(s), "")
	}
	e := q.Step(at(20))
	if told(e) != "made ann|bob" || e[0].Match.Pool != "us" {
		t.Errorf("%s", told(e))
	}
}

func TestFewerPlayersAndBotsAfterAWhile(t *testing.T) {
	q := queueOf(t, Rules{Size: 3, MinSize: 2, FlexAfter: 10 * time.Second, Bots: true, BotsAfter: 30 * time.Second})
	for i := range 4 {
		enter(t, q, party(string(rune('a'+i)), 0), 0)
	}
	step(t, q, 9, "")
	step(t, q, 10, "made a b|c d")
	enter(t, q, party("x", 0), 20)
	enter(t, q, party("y,z", 0), 40)
	step(t, q, 49, "")
	step(t, q, 50, "made x**|y+z*")
	if st := q.Stats(); st.Bots != 3 {
		t.Errorf("%+v", st)
	}
}

func TestAllMustAccept(t *testing.T) {
	q := queueOf(t, Rules{Size: 2, Accept: 10 * time.Second, Penalty: func(n int) time.Duration { return time.Duration(n) * time.Minute }})
	a := enter(t, q, party("a,b", 0), 0)
	enter(t, q, party("c", 0), 0)
	enter(t, q, party("d", 0), 0)
	step(t, q, 0, "proposed a+b|c d")
	for _, id := range []string{"a", "b", "b", "c"} {
		if err := q.Accept(id, 1); err != nil {
			t.Fatal(err)
		}
	}
	if all, accepted := a.Match().Players(); all != 4 || accepted != 3 {
		t.Errorf("%d of %d", accepted, all)
	}
	if err := q.Accept("d", 2); !errors.Is(err, ErrNoMatch) {
		t.Errorf("another match: %v", err)
	}
	if err := q.Decline("d", 1, at(5)); err != nil {
		t.Fatal(err)
	}
	step(t, q, 5, "accepted a+b|c d; accepted a+b|c d; accepted a+b|c d; back a+b (declined); back c (declined); over d (declined)")
	var cool *CooldownError
	if err := q.Enter(party("d", 0), at(64)); !errors.As(err, &cool) || !cool.Until.Equal(at(65)) {
		t.Errorf("after declining: %v", err)
	}
	enter(t, q, party("d", 0), 65)
	step(t, q, 65, "proposed a+b|c d")
	_, _ = q.Accept("a", 2), q.Accept("c", 2)
	step(t, q, 74, "accepted a+b|c d; accepted a+b|c d")
	step(t, q, 75, "over a+b (not answered); back c (declined); over d (not answered)")
	if until := q.strikes.until("d"); !until.Equal(at(75 + 120)) {
		t.Errorf("the second time it is %v", until)
	}
	if until := q.strikes.until("a"); !until.IsZero() {
		t.Errorf("a has accepted, and is punished until %v", until)
	}
}

func TestAcceptedByAll(t *testing.T) {
	q := queueOf(t, Rules{Accept: 10 * time.Second})
	enter(t, q, party("a", 0), 0)
	enter(t, q, party("b", 0), 0)
	step(t, q, 0, "proposed a|b")
	_, _ = q.Accept("a", 1), q.Accept("b", 1)
	step(t, q, 1, "accepted a|b; made a|b")
	if err := q.Cancel("a", at(1)); !errors.Is(err, ErrSeating) {
		t.Errorf("cancel: %v", err)
	}
	q.Seated(1, at(2))
	step(t, q, 60, "")
	if st := q.Stats(); st.Matches != 1 || st.Players != 2 || st.Waits[1] != 2 || q.tickets != 0 || len(q.players) != 0 {
		t.Errorf("%+v", st)
	}
}

// A player that is cut keeps its place, and nobody is matched with it meanwhile.
func TestACutPlayerKeepsItsPlace(t *testing.T) {
	q := queueOf(t, Rules{Grace: 20 * time.Second})
	x := enter(t, q, party("ann", 0), 0)
	step(t, q, 0, "")
	q.Detach("ann", at(1))
	enter(t, q, party("bob", 0), 2)
	step(t, q, 20.9, "")
	if before, _ := q.Position(x); before != 0 {
		t.Errorf("%d are before", before)
	}
	q.Attach("ann", at(20.9))
	step(t, q, 20.9, "made ann|bob")

	enter(t, q, party("joe", 0), 30)
	q.Detach("joe", at(31))
	step(t, q, 50.9, "")
	step(t, q, 51, "over joe (connection lost)")
}

// A player that is cut while it is asked is not to blame.
func TestACutPlayerNeedNotAnswer(t *testing.T) {
	q := queueOf(t, Rules{Accept: 5 * time.Second, Grace: 20 * time.Second, Penalty: func(int) time.Duration { return time.Hour }})
	enter(t, q, party("ann", 0), 0)
	enter(t, q, party("bob", 0), 0)
	step(t, q, 0, "proposed ann|bob")
	q.Detach("ann", at(1))
	_ = q.Accept("bob", 1)
	step(t, q, 5, "accepted ann|bob; back ann (declined); back bob (declined)")
	q.Attach("ann", at(10))
	step(t, q, 10, "proposed ann|bob")
}

func TestLeavingForGoodEndsTheTicket(t *testing.T) {
	q := queueOf(t, Rules{Size: 2, Accept: time.Second})
	enter(t, q, party("a,b", 0), 0)
	q.Leave("b", at(1))
	step(t, q, 1, "over a+b (left)")
	enter(t, q, party("a,b", 0), 2)
	enter(t, q, party("c,d", 0), 2)
	step(t, q, 2, "proposed a+b|c+d")
	q.Leave("d", at(2))
	step(t, q, 2, "back a+b (declined); over c+d (left)")
	q.Leave("nobody", at(2))
}

func TestAMatchThatCanNotBegin(t *testing.T) {
	q := queueOf(t, Rules{})
	a := enter(t, q, party("a", 0), 0)
	enter(t, q, party("b", 0), 0)
	step(t, q, 0, "made a|b")
	q.Leave("b", at(1))
	q.Unseated(1, nil, at(1))
	step(t, q, 1, "back a (the match could not begin); over b (left)")
	for n, id := range []string{"c", "d"} {
		enter(t, q, party(id, 0), 2)
		step(t, q, 2, map[string]string{"c": "made a|c", "d": "made d|a"}[id])
		q.Unseated(uint64(n+2), []string{id}, at(2))
		step(t, q, 2, map[string]string{
			"c": "back a (the match could not begin); over c (the match could not begin)",
			"d": "over d (the match could not begin); over a (the match could not begin)",
		}[id])
	}
	if a.State() != Over || q.tickets != 0 {
		t.Errorf("state %v, %d tickets", a.State(), q.tickets)
	}
}

func TestBackfill(t *testing.T) {
	q := queueOf(t, Rules{Size: 3, Accept: 5 * time.Second, Window: Window{Start: 100, PerSecond: 1}})
	if err := q.Backfill(Backfill{Room: "r", Rating: 1000, Free: []int{1, 2}}, at(0)); err != nil {
		t.Fatal(err)
	}
	enter(t, q, party("far", 2000), 0)
	shy := party("shy", 1000)
	shy.NoBackfill = true
	enter(t, q, shy, 0)
	enter(t, q, party("a,b", 1000), 0)
	step(t, q, 0, "proposed r|a+b")
	enter(t, q, party("c", 1000), 1)
	step(t, q, 1, "proposed rc|")
	_ = q.Decline("a", 1, at(2))
	step(t, q, 2, "over a+b (declined)")
	enter(t, q, party("d", 1050), 3)
	_ = q.Accept("c", 2)
	step(t, q, 3, "made rc|; proposed r|d")
	q.Seated(2, at(3))
	// The room says what is free, which those on their way are not taken from.
	if err := q.Backfill(Backfill{Room: "r", Rating: 1000, Free: []int{0, 1}}, at(3)); err != nil {
		t.Fatal(err)
	}
	enter(t, q, party("e", 1000), 3)
	step(t, q, 3, "")
	_ = q.Accept("d", 3)
	step(t, q, 4, "made r|d")
	q.Seated(3, at(4))
	if st := q.Stats(); st.Backfilled != 2 || st.Backfills != 0 {
		t.Errorf("%+v", st)
	}
	step(t, q, 6, "")
	if err := q.Backfill(Backfill{Room: "r", Free: []int{1}}, at(3)); !errors.Is(err, ErrTicket) {
		t.Errorf("one team of two: %v", err)
	}
}

func TestWhatEnterRefuses(t *testing.T) {
	q := queueOf(t, Rules{Size: 2, Tickets: 2})
	enter(t, q, party("ann", 0), 0)
	for name, c := range map[string]struct {
		t    *Ticket
		want error
	}{
		"in already":    {party("ann", 0), ErrQueued},
		"one is in":     {party("bob,ann", 0), ErrQueued},
		"too many":      {party("a,b,c", 0), ErrTicket},
		"nobody":        {&Ticket{}, ErrTicket},
		"twice":         {party("x,x", 0), ErrTicket},
		"no number":     {party("x", math.NaN()), ErrTicket},
		"infinite":      {party("x", math.Inf(1)), ErrTicket},
		"pool twice":    {&Ticket{Members: []Member{{ID: "x"}}, Pools: []Pool{{Name: "p"}, {Name: "p"}}}, ErrTicket},
		"too many pool": {&Ticket{Members: []Member{{ID: "x"}}, Pools: make([]Pool, 17)}, ErrTicket},
	} {
		if err := q.Enter(c.t, at(0)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	x := party("bob", 7)
	enter(t, q, x, 0)
	if err := q.Enter(party("joe", 0), at(0)); !errors.Is(err, ErrFull) {
		t.Errorf("full: %v", err)
	}
	if err := q.Enter(x, at(0)); !errors.Is(err, ErrTicket) || x.Rating() != 7 {
		t.Errorf("twice: %v, rating %v", err, x.Rating())
	}
	if err := q.Cancel("eve", at(0)); !errors.Is(err, ErrAbsent) {
		t.Errorf("cancel of nothing: %v", err)
	}
	if err := q.Cancel("ann", at(0)); err != nil {
		t.Error(err)
	}
	step(t, q, 0, "over ann (cancelled)")
}

func TestRulesThatCanNotBeMeant(t *testing.T) {
	for _, r := range []Rules{
		{Teams: -1}, {Size: 2000}, {Size: 2, MinSize: 3}, {Teams: 1}, {Window: Window{Start: math.NaN()}}, {Window: Window{PerSecond: -1}},
		{Accept: -1}, {FlexAfter: -1}, {Tickets: -1}, {Backfills: -1}, {Teams: math.MaxInt/2 + 1, Size: math.MaxInt/2 + 1},
	} {
		if _, err := New(r); err == nil {
			t.Errorf("%+v is accepted", r)
		}
	}
}

// Who has waited before is served as if it had waited here.
func TestSinceCountsFromBefore(t *testing.T) {
	q := queueOf(t, Rules{Window: Window{Start: 1, PerSecond: 1}})
	enter(t, q, party("new", 50), 0)
	x := party("old", 0)
	x.Since = at(-60)
	enter(t, q, x, 0)
	step(t, q, 0, "made old|new")
}

// Strikes are bounded, and forgotten after an hour.
func TestStrikesAreForgotten(t *testing.T) {
	q := queueOf(t, Rules{Penalty: func(n int) time.Duration { return time.Duration(n) * time.Minute }})
	for i := range maxStrikes + 100 {
		q.strike(fmt.Sprint(i), at(0))
		q.strike("again", at(0))
	}
	if n := len(q.strikes.of); n > maxStrikes || n < maxStrikes/4 {
		t.Errorf("%d strikes are known", n)
	}
	again := q.strikes.of["again"].n
	if again < 1000 {
		t.Errorf("the one that comes again and again has %d strikes", again)
	}
	q.strikes = strikes{of: map[string]*strike{}}
	q.strike("ann", at(0))
	q.strike("ann", at(3599))
	q.strike("ann", at(3599+3599))
	if n := q.strikes.of["ann"].n; n != 3 {
		t.Errorf("%d strikes", n)
	}
	q.strike("bob", at(3*3600))
	if q.strikes.of["ann"] != nil || len(q.strikes.list) != 1 {
		t.Errorf("ann is not forgotten: %v", q.strikes.list)
	}
}

// TestARuleThatEndsTheGoroutine ends the step, not the search of others: they are looked at in
// the next one, though the rule does it each time.
func TestARuleThatEndsTheGoroutine(t *testing.T) {
	goexit := func(members []Member) bool {
		if len(members) > 1 && strings.Contains("eve eva", members[0].ID) {
			runtime.Goexit()
		}
		return true
	}
	q := queueOf(t, Rules{Teams: 1, Size: 2, Fits: goexit, Window: Window{Start: 100}})
	for _, name := range []string{"eve", "eva"} {
		enter(t, q, party(name, 9000), 0)
	}
	for _, name := range []string{"ann", "bob"} {
		enter(t, q, party(name, 1000), 1)
	}
	var got string
	for s := 1.0; s < 5; s += 0.5 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			got += told(q.Step(at(s)))
		}()
		<-done
	}
	if got != "made ann bob" {
		t.Errorf("%q", got)
	}
	if next, ok := q.Next(); !ok || q.Stats().Waiting != 2 {
		t.Errorf("next %v, %v, %+v", next, ok, q.Stats())
	}
}

// TestManyPools: clients may name pools. A new one among many that are in use looks at no other,
// and when the tickets have gone few pools stay.
func TestManyPools(t *testing.T) {
	q := queueOf(t, Rules{})
	name := func(i int) string { return fmt.Sprint("p", i) }
	for i := range 3 * fewPools {
		x := party(name(i), 0)
		x.Pools = []Pool{{Name: name(i)}}
		enter(t, q, x, 0)
	}
	q.pools["planted"] = &pool{} // a look at all pools would end it
	for i := range 2 {
		x := party(fmt.Sprint("late", i), 0)
		x.Pools = []Pool{{Name: "late"}, {Name: fmt.Sprint("late", i)}}
		enter(t, q, x, 0)
	}
	if q.pools["planted"] == nil {
		t.Error("a new pool looks at all others")
	}
	if got := told(q.Step(at(1))); got != "made late0|late1" {
		t.Error(got)
	}
	for i := range 3 * fewPools {
		if err := q.Cancel(name(i), at(2)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(q.pools); n > fewPools {
		t.Errorf("%d pools of no ticket stay", n)
	}
	enter(t, q, party("ann", 0), 3)
	for _, p := range q.pools {
		if p.n > 0 && p != q.pools[""] {
			t.Error("a pool is not empty")
		}
	}
	if q.pools["planted"] != nil {
		t.Error("pools without tickets are kept when there are many")
	}
}

// TestNoTicketStays: a queue that is empty again holds none of the tickets that were in it.
func TestNoTicketStays(t *testing.T) {
	q := queueOf(t, Rules{Size: 2, MinSize: 1, FlexAfter: time.Minute, Window: Window{Start: 1000}})
	var all []weak.Pointer[Ticket]
	for i := range 9 {
		all = append(all, weak.Make(enter(t, q, party(fmt.Sprint("p", i), float64(i)), 0)))
	}
	for _, e := range q.Step(at(1)) {
		q.Seated(e.Match.Number, at(1))
	}
	enter(t, q, party("far", 1e6), 1)
	q.Step(at(2))
	if n := len(q.Looked()); n != 2 {
		t.Fatalf("%d tickets have found nobody", n)
	}
	for id, x := range q.players {
		all = append(all, weak.Make(x))
		q.Leave(id, at(3))
	}
	q.Events()
	runtime.GC()
	for i, x := range all {
		if x.Value() != nil {
			t.Errorf("ticket %d stays", i)
		}
	}
	runtime.KeepAlive(q)
}
