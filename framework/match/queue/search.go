// SPDX-License-Identifier: MIT

package queue

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// search is the scratch of one look for a match.
type search struct {
	zero   Ticket    // comes before all others
	near   []*Ticket // around the anchor, the nearest first
	chosen []*Ticket // of near and the anchor
	teams  []team
	steps  int // that the packing may still take
}

// team is filled by the packing.
type team struct {
	tickets []*Ticket
	members []Member // of the tickets; kept only if Rules.Fits is there
	size    int
	free    int
}

// look looks for a match with this ticket.
func (q *Queue) look(t *Ticket, now time.Time) bool {
	for _, p := range t.Pools[:t.active] {
		if q.lookIn(t, p.Name, now) {
			return true
		}
	}
	return false
}

func (q *Queue) lookIn(t *Ticket, name string, now time.Time) bool {
	s, r := &q.search, &q.rules
	q.gather(&q.pools[name].order, t, t.rating, t.wait(now), now, r.Teams*r.Size, t.tries)
	have := t.size()
	for _, n := range s.near {
		have += n.size()
	}
	wait := t.wait(now)
	least := r.Size
	if wait >= r.FlexAfter {
		least = r.MinSize
	}
	for size := r.Size; size >= least; size-- {
		if have >= r.Teams*size && size >= t.size() && q.pack(t, size, false) {
			q.make(&Match{Pool: name, Size: size}, now)
			return true
		}
	}
	if r.Bots && wait >= r.BotsAfter {
		q.pack(t, r.Size, true)
		q.make(&Match{Pool: name, Size: r.Size}, now)
		return true
	}
	return false
}

// gather lists the tickets around a rating, the nearest first, of which either window
// allows the distance. How many it looks at is bounded.
func (q *Queue) gather(o *order, anchor *Ticket, rating float64, wait time.Duration, now time.Time, players, tries int) {
	s, r := &q.search, &q.rules
	s.near = s.near[:0]
	looks := (2*players + 32) << min(tries, 4)
	window := r.Window.at(wait)
	// The oldest ticket of all has the widest window: nothing beyond counts.
	widest := window
	if oldest, _, ok := q.ages.next(spot{}); ok {
		widest = max(widest, r.Window.at(oldest.t.wait(now)))
	}
	up := o.find(entry{rating, &s.zero})
	down := up
	above, up, more := o.next(up)
	below, down, less := o.last(down)
	for ; looks > 0 && (more || less); looks-- {
		var e entry
		if more && (!less || above.key-rating <= rating-below.key) {
			e = above
			above, up, more = o.next(up)
		} else {
			e = below
			below, down, less = o.last(down)
		}
		apart := math.Abs(e.key - rating)
		if apart > widest {
			return
		}
		if e.t == anchor || apart > window && apart > r.Window.at(e.t.wait(now)) {
			continue
		}
		if anchor != nil && r.Together != nil && !r.Together(anchor, e.t) {
			continue
		}
		s.near = append(s.near, e.t)
	}
}

// pack chooses among the near tickets so that all teams are full, or with bots as many
// as fit. It leaves the choice in s.teams.
func (q *Queue) pack(anchor *Ticket, size int, bots bool) bool {
	s := &q.search
	for i := range s.teams {
		s.teams[i].reset(size)
	}
	s.chosen = append(s.chosen[:0], anchor)
	s.teams[0].add(anchor, q.rules.Fits != nil)
	if bots {
		for _, t := range s.near {
			if best := q.emptiest(t); best >= 0 {
				s.place(best, t, q.rules.Fits != nil)
			}
		}
		return true
	}
	s.steps = 64 << min(anchor.tries, 5)
	return q.packFrom(0, q.rules.Teams*size-anchor.size())
}

func (t *team) reset(free int) {
	*t = team{tickets: t.tickets[:0], members: t.members[:0], free: free}
}

func (t *team) add(x *Ticket, members bool) {
	t.tickets = append(t.tickets, x)
	t.size += x.size()
	t.free -= x.size()
	if members {
		t.members = append(t.members, x.Members...)
	}
}

func (t *team) pop() {
	x := t.tickets[len(t.tickets)-1]
	t.tickets = t.tickets[:len(t.tickets)-1]
	t.size -= x.size()
	t.free += x.size()
	t.members = t.members[:max(len(t.members)-x.size(), 0)]
}

func (s *search) place(i int, t *Ticket, members bool) {
	s.teams[i].add(t, members)
	s.chosen = append(s.chosen, t)
}

// packFrom fills what is missing with the near tickets from the i-th on: with the first
// that can be placed, and if the rest can't be filled then, without it.
func (q *Queue) packFrom(i, missing int) bool {
	s := &q.search
	for ; missing > 0 && i < len(s.near) && s.steps > 0; i++ {
		t := s.near[i]
		if t.size() > missing {
			continue
		}
		s.steps--
		if !q.together(t) {
			continue
		}
		for n := range s.teams {
			if s.sameBefore(n) || !q.fits(&s.teams[n], t) {
				continue
			}
			s.place(n, t, q.rules.Fits != nil)
			if q.packFrom(i+1, missing-t.size()) {
				return true
			}
			s.teams[n].pop()
			s.chosen = s.chosen[:len(s.chosen)-1]
		}
	}
	return missing == 0
}

// sameBefore reports whether a team before the n-th is as empty: it was tried.
func (s *search) sameBefore(n int) bool {
	return s.teams[n].size == 0 && slices.ContainsFunc(s.teams[:n], func(t team) bool { return t.size == 0 })
}

// together reports whether a ticket may be in one match with those chosen. The anchor was
// asked before.
func (q *Queue) together(t *Ticket) bool {
	if q.rules.Together == nil {
		return true
	}
	for _, c := range q.search.chosen[1:] {
		if !q.rules.Together(c, t) {
			return false
		}
	}
	return true
}

// fits reports whether a ticket may be in a team.
func (q *Queue) fits(tm *team, t *Ticket) bool {
	if t.size() > tm.free {
		return false
	}
	if q.rules.Fits == nil {
		return true
	}
	tm.members = append(tm.members, t.Members...)
	ok := q.rules.Fits(tm.members)
	tm.members = tm.members[:len(tm.members)-t.size()]
	return ok
}

// emptiest returns the team with the fewest players that a ticket may be in, -1 if there
// is none.
func (q *Queue) emptiest(t *Ticket) int {
	best := -1
	if !q.together(t) {
		return best
	}
	for n := range q.search.teams {
		tm := &q.search.teams[n]
		if (best < 0 || tm.free > q.search.teams[best].free) && q.fits(tm, t) {
			best = n
		}
	}
	return best
}

// balance deals the chosen tickets so that the sums of the teams' ratings are as equal as
// they can be: of two teams with few tickets by trying all, else by exchanges. No team
// changes its size.
func (q *Queue) balance() {
	s := &q.search
	if len(s.teams) == 2 && len(s.chosen) <= 12 {
		q.balanceTwo()
		return
	}
	for range 4 {
		better := false
		for a := range s.teams {
			for b := range a {
				better = q.exchange(&s.teams[a], &s.teams[b]) || better
			}
		}
		if !better {
			return
		}
	}
}

func (t *team) sum() (sum float64) {
	for _, x := range t.tickets {
		sum += x.rating * float64(x.size())
	}
	return sum
}

// exchange swaps tickets of one size between two teams while that makes them more equal.
func (q *Queue) exchange(a, b *team) (better bool) {
	apart := a.sum() - b.sum()
	for i := range a.tickets {
		for j := range b.tickets {
			x, y := a.tickets[i], b.tickets[j]
			if x.size() != y.size() {
				continue
			}
			then := apart - 2*(x.rating-y.rating)*float64(x.size())
			if math.Abs(then) >= math.Abs(apart)-1e-9 {
				continue
			}
			a.tickets[i], b.tickets[j] = y, x
			if !q.whole(a.tickets) || !q.whole(b.tickets) {
				a.tickets[i], b.tickets[j] = x, y
				continue
			}
			apart, better = then, true
		}
	}
	return better
}

// whole reports whether tickets may be a team.
func (q *Queue) whole(tickets []*Ticket) bool {
	if q.rules.Fits == nil {
		return true
	}
	var members []Member
	for _, t := range tickets {
		members = append(members, t.Members...)
	}
	return q.rules.Fits(members)
}

// balanceTwo tries all ways to deal few tickets to two teams.
func (q *Queue) balanceTwo() {
	s := &q.search
	a, b := &s.teams[0], &s.teams[1]
	all, total, sizes := s.chosen, a.sum()+b.sum(), a.size
	best, bestMask := math.Abs(a.sum()-b.sum()), 0
	deal := func(mask int) (first, second []*Ticket) {
		for i, t := range all {
			if mask>>i&1 == 1 {
				first = append(first, t)
			} else {
				second = append(second, t)
			}
		}
		return first, second
	}
	for mask := 1; mask < 1<<len(all); mask += 2 { // the anchor is in the first
		n, sum := 0, 0.0
		for m := mask; m != 0; m &= m - 1 {
			t := all[bits.TrailingZeros(uint(m))]
			n += t.size()
			sum += t.rating * float64(t.size())
		}
		apart := math.Abs(total - 2*sum)
		if n != sizes || apart >= best-1e-9 {
			continue
		}
		if q.rules.Fits != nil {
			if first, second := deal(mask); !q.whole(first) || !q.whole(second) {
				continue
			}
		}
		best, bestMask = apart, mask
	}
	if bestMask != 0 {
		first, second := deal(bestMask)
		a.tickets, b.tickets = append(a.tickets[:0], first...), append(b.tickets[:0], second...)
	}
}
