// SPDX-License-Identifier: MIT

package queue

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// witness knows from outside what a queue may do, and checks all that it does. It shares
// nothing with the queue but the tickets' exported fields.
type witness struct {
	rules   Rules
	tickets map[*Ticket]*seen
	players map[string]*Ticket
	until   map[string]time.Time // penalties
	strikes map[string]int
	struck  map[string]time.Time // the last time
	fills   map[string]float64
	faults  []string
	hash    uint64
	made    int
}

// seen is what is known of a ticket.
type seen struct {
	state    State
	match    *Match
	members  string
	absent   map[string]time.Time // since when
	accepted map[string]bool
	left     bool
}

func (w *witness) fault(format string, v ...any) {
	if len(w.faults) < 10 {
		w.faults = append(w.faults, fmt.Sprintf(format, v...))
	}
}

func (w *witness) entered(t *Ticket, now time.Time) {
	for _, m := range t.Members {
		if w.players[m.ID] != nil {
			w.fault("%s is in two tickets", m.ID)
		}
		if w.until[m.ID].After(now) {
			w.fault("%s enters in spite of its penalty", m.ID)
		}
		w.players[m.ID] = t
	}
	w.tickets[t] = &seen{state: Waiting, members: fmt.Sprint(t.Members), absent: map[string]time.Time{}, accepted: map[string]bool{}}
}

func (w *witness) gone(t *Ticket) {
	for _, m := range t.Members {
		delete(w.players, m.ID)
	}
	delete(w.tickets, t)
}

func (w *witness) strike(id string, now time.Time) {
	if w.strikes[id]++; now.Sub(w.struck[id]) >= time.Hour && !w.until[id].After(now) {
		w.strikes[id] = 1
	}
	w.struck[id] = now
	w.until[id] = now.Add(w.rules.Penalty(w.strikes[id]))
}

// told checks an event.
func (w *witness) told(e Event, now time.Time) {
	h := fnv.New64a()
	fmt.Fprint(h, w.hash, e.Kind, e.Why, e.By)
	switch e.Kind {
	case MatchProposed:
		w.matched(e.Match, now)
		for _, t := range e.Match.Tickets() {
			w.tickets[t].state = Proposed
			fmt.Fprint(h, t.number, " ")
		}
	case MatchMade:
		if w.rules.Accept == 0 {
			w.matched(e.Match, now)
		}
		for _, t := range e.Match.Tickets() {
			s := w.tickets[t]
			if s == nil || s.match != e.Match {
				w.fault("match %d is made of a ticket of another one", e.Match.Number)
				continue
			}
			for _, m := range t.Members {
				if w.rules.Accept > 0 && !s.accepted[m.ID] {
					w.fault("%s has not accepted match %d", m.ID, e.Match.Number)
				}
			}
			s.state = Seating
			fmt.Fprint(h, t.number, " ")
		}
		w.made++
	case TicketReturned, TicketOver:
		s := w.tickets[e.Ticket]
		if s == nil {
			w.fault("ticket %d is told of after its end", e.Ticket.number)
			break
		}
		fmt.Fprint(h, e.Ticket.number)
		if e.Kind == TicketReturned {
			s.state, s.match = Waiting, nil
			clear(s.accepted)
			break
		}
		w.ended(e, s, now)
	}
	w.hash = h.Sum64()
}

// ended checks why a ticket is over.
func (w *witness) ended(e Event, s *seen, now time.Time) {
	switch e.Why {
	case Dropped:
		since, absent := s.absent[e.By]
		if !absent || now.Sub(since) < w.rules.Grace {
			w.fault("%s is dropped before its grace is over", e.By)
		}
	case Unanswered:
		for _, m := range e.Ticket.Members {
			if _, absent := s.absent[m.ID]; !absent && !s.accepted[m.ID] {
				w.strike(m.ID, now)
			}
		}
		if s.match == nil || now.Before(s.match.deadline) {
			w.fault("%s has had no time to answer", e.By)
		}
	}
	w.gone(e.Ticket)
}

// matched checks a match that was just put together.
func (w *witness) matched(m *Match, now time.Time) {
	sizes := make([]int, len(m.Teams))
	oldest := time.Duration(0)
	for i, team := range m.Teams {
		var members []Member
		for _, t := range team {
			s := w.tickets[t]
			if s == nil || s.state != Waiting {
				w.fault("match %d has ticket %d, which does not wait", m.Number, t.number)
				continue
			}
			if s.members != fmt.Sprint(t.Members) {
				w.fault("match %d has ticket %d with other players than those that entered", m.Number, t.number)
			}
			s.match = m
			s.state = 0 // until all are looked at: one that comes twice is found
			oldest = max(oldest, now.Sub(t.Since))
			if len(s.absent) > 0 {
				w.fault("match %d has a player without a link", m.Number)
			}
			if !slices.ContainsFunc(t.Pools, func(p Pool) bool { return p.Name == m.Pool && p.After <= now.Sub(t.Since) }) {
				w.fault("match %d is in pool %q, and ticket %d is not", m.Number, m.Pool, t.number)
			}
			for _, x := range t.Members {
				if w.players[x.ID] != t {
					w.fault("match %d has %s, which is elsewhere", m.Number, x.ID)
				}
			}
			members = append(members, t.Members...)
		}
		sizes[i] = len(members)
		if w.rules.Fits != nil && !w.rules.Fits(members) {
			w.fault("match %d has a team that does not fit", m.Number)
		}
	}
	all := m.Tickets()
	for i, a := range all {
		for _, b := range all[:i] {
			if !w.rules.Together(a, b) {
				w.fault("match %d has two that may not be together", m.Number)
			}
		}
	}
	if m.Room == "" {
		w.sizes(m, sizes, oldest)
	}
	// All are near to one of them, or to what the room wants.
	near := func(rating float64, wait time.Duration) bool {
		for _, t := range all {
			if d := math.Abs(t.rating - rating); d > w.rules.Window.at(wait) && d > w.rules.Window.at(now.Sub(t.Since)) {
				return false
			}
		}
		return true
	}
	if m.Room == "" && !slices.ContainsFunc(all, func(t *Ticket) bool { return near(t.rating, now.Sub(t.Since)) }) || m.Room != "" && !near(w.fills[m.Room], now.Sub(start)) {
		w.fault("match %d has ratings that are too far apart", m.Number)
	}
}

func (w *witness) sizes(m *Match, sizes []int, oldest time.Duration) {
	bots, least := 0, w.rules.Size
	for i, n := range sizes {
		if n+m.Bots[i] != m.Size {
			w.fault("match %d has %d players and %d bots in a team, want %d", m.Number, n, m.Bots[i], m.Size)
		}
		bots += m.Bots[i]
	}
	if oldest >= w.rules.FlexAfter {
		least = w.rules.MinSize
	}
	if m.Size < least || m.Size > w.rules.Size || bots > 0 && (oldest < w.rules.BotsAfter || m.Size != w.rules.Size) {
		w.fault("match %d has teams of %d with %d bots after %v", m.Number, m.Size, bots, oldest)
	}
}

// games are the rules that chance plays by.
func games() []Rules {
	penalty := func(n int) time.Duration { return time.Duration(min(n, 3)) * 5 * time.Second }
	apart := func(a, b *Ticket) bool { return (a.number+b.number)%7 != 0 }
	roles := func(team []Member) bool {
		n := 0
		for _, m := range team {
			if m.Data.(int) == 0 {
				n++
			}
		}
		return n <= 1
	}
	return []Rules{
		{Window: Window{Start: 20, PerSecond: 5}, Penalty: penalty, Together: apart},
		{Size: 3, Window: Window{Start: 100, PerSecond: 20, Max: 800}, Accept: 8 * time.Second, Penalty: penalty, Together: apart, Grace: 10 * time.Second},
		{Size: 5, MinSize: 3, FlexAfter: 20 * time.Second, Bots: true, BotsAfter: 40 * time.Second, Accept: 5 * time.Second, Penalty: penalty, Together: apart, Fits: roles},
		{Teams: 4, Size: 2, Penalty: penalty, Together: apart, Fits: roles, Window: Window{Start: 200, PerSecond: 30}},
		{Teams: 1, Size: 6, MinSize: 2, FlexAfter: 5 * time.Second, Penalty: penalty, Together: apart, Grace: -1},
	}
}

// play lets n random events happen. sabotage, if there is one, spoils the queue as it
// goes.
func play(t *testing.T, seed uint64, rules Rules, n int, sabotage func(q *Queue, r *rand.Rand)) *witness {
	t.Helper()
	q, err := New(rules)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 1))
	w := &witness{
		rules: q.rules, tickets: map[*Ticket]*seen{}, players: map[string]*Ticket{},
		until: map[string]time.Time{}, strikes: map[string]int{}, struck: map[string]time.Time{}, fills: map[string]float64{},
	}
	w.rules.Together = func(a, b *Ticket) bool { return rules.Together(a, b) }
	g := &play1{q: q, w: w, r: r, now: start}
	for range n {
		if r.IntN(3) == 0 {
			g.now = g.now.Add(time.Duration(r.IntN(800)) * time.Millisecond)
		}
		if sabotage != nil && r.IntN(10) == 0 {
			sabotage(q, r)
		}
		g.event()
		if len(w.faults) > 0 && sabotage != nil {
			return w
		}
	}
	g.step()
	if q.tickets != len(w.tickets) || len(q.players) != len(w.players) {
		w.fault("the queue has %d tickets with %d players, and should have %d with %d", q.tickets, len(q.players), len(w.tickets), len(w.players))
	}
	waiting := 0
	for x, s := range w.tickets {
		if x.state != s.state {
			w.fault("ticket %d is %v, and should be %v", x.number, x.state, s.state)
		}
		if s.state == Waiting {
			waiting++
		}
	}
	if q.ages.n != waiting {
		w.fault("%d tickets wait, and should be %d", q.ages.n, waiting)
	}
	return w
}

// play1 is one random game.
type play1 struct {
	q       *Queue
	w       *witness
	r       *rand.Rand
	now     time.Time
	seating []*Match
}

const people, rooms = 300, 5

func (g *play1) step() {
	for _, e := range slices.Clone(g.q.Step(g.now)) {
		g.w.told(e, g.now)
		if e.Kind == MatchMade {
			g.seating = append(g.seating, e.Match)
		}
	}
}

// event lets one thing happen.
func (g *play1) event() {
	q, w, r, now := g.q, g.w, g.r, g.now
	id := fmt.Sprint("p", r.IntN(people))
	x := w.players[id]
	switch r.IntN(12) {
	case 0, 1, 2:
		g.enter()
	case 3, 4:
		g.step()
	case 5:
		if r.IntN(4) > 0 {
			return
		}
		err := q.Cancel(id, now)
		if (err == nil) != (x != nil && w.tickets[x].state != Seating) {
			w.fault("cancel of %s: %v", id, err)
		}
		if err == nil && w.tickets[x].state == Proposed {
			w.strike(id, now)
		}
		g.step()
	case 6:
		if x != nil && r.IntN(8) == 0 {
			if w.tickets[x].state == Proposed {
				w.strike(id, now)
			}
			w.tickets[x].left = true
			q.Leave(id, now)
			g.step()
		}
	case 7:
		if x != nil && r.IntN(2) == 0 {
			if s := w.tickets[x]; len(s.absent) == 0 || s.absent[id].IsZero() {
				// A ticket's grace begins with the first of its members.
				since := now
				for _, other := range s.absent {
					since = other
				}
				s.absent[id] = since
			}
			q.Detach(id, now)
		}
	case 8:
		if x != nil {
			delete(w.tickets[x].absent, id)
		}
		q.Attach(id, now)
	case 9, 10:
		g.answer(id, x)
	case 11:
		g.seatOrFill()
	}
}

func (g *play1) enter() {
	t := &Ticket{}
	n := 1
	if g.r.IntN(3) == 0 {
		n += g.r.IntN(g.w.rules.Size)
	}
	for range n {
		t.Members = append(t.Members, Member{ID: fmt.Sprint("p", g.r.IntN(people)), Rating: 1000 + 300*g.r.NormFloat64(), Data: g.r.IntN(4)})
	}
	for range g.r.IntN(3) {
		t.Pools = append(t.Pools, Pool{fmt.Sprint(g.r.IntN(2)), time.Duration(g.r.IntN(10)) * time.Second})
	}
	if g.q.Enter(t, g.now) == nil {
		g.w.entered(t, g.now)
	}
}

// answer lets everybody of a match answer, most with yes.
func (g *play1) answer(id string, x *Ticket) {
	if x == nil || g.w.tickets[x].state != Proposed {
		return
	}
	m := g.w.tickets[x].match
	for _, t := range m.Tickets() {
		for _, p := range t.Members {
			if g.r.IntN(10) == 0 || g.w.tickets[t] == nil || g.w.tickets[t].match != m || g.w.tickets[t].state != Proposed {
				continue
			}
			if err := g.q.Accept(p.ID, m.Number); err != nil {
				g.w.fault("%s can't accept: %v", p.ID, err)
			}
			g.w.tickets[t].accepted[p.ID] = true
		}
	}
	g.step() // it may be made by now
	if g.r.IntN(20) == 0 && g.w.players[id] == x && g.w.tickets[x].state == Proposed {
		if err := g.q.Decline(id, g.w.tickets[x].match.Number, g.now); err != nil {
			g.w.fault("%s can't decline: %v", id, err)
		}
		g.w.strike(id, g.now)
		g.step()
	}
}

func (g *play1) seatOrFill() {
	if len(g.seating) > 0 && g.r.IntN(5) > 0 {
		m := g.seating[0]
		g.seating = g.seating[1:]
		if g.r.IntN(6) == 0 {
			var gone []string
			if t := m.Tickets()[0]; g.r.IntN(2) == 0 {
				gone = append(gone, t.Members[0].ID)
			}
			g.q.Unseated(m.Number, gone, g.now)
			g.step()
			return
		}
		g.q.Seated(m.Number, g.now)
		for _, t := range m.Tickets() {
			g.w.gone(t)
		}
		return
	}
	b := Backfill{Room: fmt.Sprint("room", g.r.IntN(rooms)), Pool: fmt.Sprint(g.r.IntN(2)), Rating: 1000, Free: make([]int, g.w.rules.Teams)}
	for i := range b.Free {
		b.Free[i] = g.r.IntN(g.w.rules.Size + 1)
	}
	if g.r.IntN(3) == 0 {
		g.q.EndBackfill(b.Room)
	} else if g.q.Backfill(b, g.now) == nil {
		g.w.fills[b.Room] = b.Rating
	}
}

// A million random events: nobody twice, no party torn, no rule broken, and the same
// again for the same seed.
func TestChance(t *testing.T) {
	events := 200_000 // for each of five games
	if testing.Short() {
		events = 5_000
	}
	for i, rules := range games() {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			w := play(t, uint64(i), rules, events, nil)
			for _, f := range w.faults {
				t.Error(f)
			}
			if w.made < events/2000 {
				t.Errorf("only %d matches were made", w.made)
			}
			a, b := play(t, 7, rules, events/20, nil), play(t, 7, rules, events/20, nil)
			if a.hash != b.hash {
				t.Error("the same events have led to something else")
			}
		})
	}
}

// The witness finds what is wrong: each of these faults, planted, is seen.
func TestPlantedFaultsAreFound(t *testing.T) {
	first := func(q *Queue, s State) *Ticket {
		for _, id := range slices.Sorted(maps.Keys(q.players)) {
			if x := q.players[id]; x.state == s {
				return x
			}
		}
		return nil
	}
	for name, c := range map[string]struct {
		game     int
		sabotage func(q *Queue, r *rand.Rand)
	}{
		"matched twice": {0, func(q *Queue, _ *rand.Rand) {
			if x := first(q, Seating); x != nil && x.active == 0 {
				q.pool(x.Pools[0].Name).insert(entry{x.rating, x})
			}
		}},
		"a player in two tickets": {1, func(q *Queue, _ *rand.Rand) {
			if x := first(q, Waiting); x != nil {
				delete(q.players, x.Members[0].ID)
			}
		}},
		"the window ignored":  {3, func(q *Queue, _ *rand.Rand) { q.rules.Window = Window{} }},
		"the grace too short": {1, func(q *Queue, _ *rand.Rand) { q.rules.Grace = time.Millisecond }},
		"an absent player": {1, func(q *Queue, _ *rand.Rand) {
			for _, id := range slices.Sorted(maps.Keys(q.players)) {
				if x := q.players[id]; x.state == Waiting && x.absent > 0 {
					x.absent = 0
					q.due.set(&x.timer, start)
				}
			}
		}},
		"not all asked": {1, func(q *Queue, _ *rand.Rand) {
			if x := first(q, Proposed); x != nil && x.match.pending > 1 {
				x.match.pending--
			}
		}},
		"no time to answer": {1, func(q *Queue, _ *rand.Rand) {
			if x := first(q, Proposed); x != nil {
				q.due.set(&x.match.timer, start)
			}
		}},
		"no penalty":       {1, func(q *Queue, _ *rand.Rand) { q.strikes.of = map[string]*strike{} }},
		"together ignored": {3, func(q *Queue, _ *rand.Rand) { q.rules.Together = nil }},
		"roles ignored":    {3, func(q *Queue, _ *rand.Rand) { q.rules.Fits = nil }},
		"bots too early":   {2, func(q *Queue, _ *rand.Rand) { q.rules.BotsAfter = 0 }},
		"too small":        {2, func(q *Queue, _ *rand.Rand) { q.rules.MinSize, q.rules.FlexAfter = 1, 0 }},
		"the wrong pool": {0, func(q *Queue, _ *rand.Rand) {
			if a, b := q.pools["0"], q.pools["1"]; a != nil && b != nil && b.n > 0 {
				e, _, _ := b.next(spot{})
				if at := a.find(e); a.n == 0 || at.b == len(a.blocks) || a.blocks[at.b][at.i] != e {
					a.insert(e)
				}
			}
		}},
		"a ticket forgotten": {0, func(q *Queue, _ *rand.Rand) {
			if x := first(q, Waiting); x != nil {
				q.unqueue(x)
				q.over(x)
			}
		}},
		"a party torn": {1, func(q *Queue, _ *rand.Rand) {
			for _, id := range slices.Sorted(maps.Keys(q.players)) {
				if x := q.players[id]; x.state == Waiting && x.size() > 1 {
					x.Members[1].ID = "a stranger"
					return
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if w := play(t, 3, games()[c.game], 20_000, c.sabotage); len(w.faults) == 0 {
				t.Error("nothing was noticed")
			}
		})
	}
}
