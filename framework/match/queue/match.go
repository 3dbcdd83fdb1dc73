// SPDX-License-Identifier: MIT

package queue

import (
	"fmt"
	"math"
	"time"
)

// make makes the match of what the packing has chosen.
func (q *Queue) make(m *Match, now time.Time) {
	s := &q.search
	if m.Room == "" {
		q.balance()
	}
	q.games++
	m.Number = q.games
	m.Bots = make([]int, len(s.teams))
	q.newTimer(&m.timer, m)
	p := q.pools[m.Pool] // which may be gone once its tickets are
	low, high, lowTeam, highTeam := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for i := range s.teams {
		tm := &s.teams[i]
		m.Teams = append(m.Teams, append([]*Ticket(nil), tm.tickets...))
		if m.Room == "" {
			m.Bots[i] = tm.free
			q.stats.Bots += uint64(tm.free)
		}
		if tm.size > 0 {
			mean := tm.sum() / float64(tm.size)
			lowTeam, highTeam = min(lowTeam, mean), max(highTeam, mean)
		}
		for _, t := range tm.tickets {
			low, high = min(low, t.rating), max(high, t.rating)
			m.players += t.size()
			q.unqueue(t)
			t.match = m
			p.wait.add(t.wait(now))
		}
	}
	m.pending = m.players
	m.Spread, m.Imbalance = high-low, highTeam-lowTeam
	q.matches[m.Number] = m
	if q.rules.Accept == 0 {
		m.pending = 0
		q.begin(m)
		return
	}
	q.setState(m, Proposed)
	m.deadline = now.Add(q.rules.Accept)
	q.due.set(&m.timer, m.deadline)
	q.stats.Proposed++
	q.events = append(q.events, Event{Kind: MatchProposed, Match: m})
}

func (q *Queue) setState(m *Match, s State) {
	m.state = s
	for _, t := range m.Tickets() {
		t.state = s
	}
}

// begin asks for the match to be seated.
func (q *Queue) begin(m *Match) {
	q.due.stop(&m.timer)
	q.setState(m, Seating)
	q.events = append(q.events, Event{Kind: MatchMade, Match: m})
}

// Accept tells that a player accepts a match. It may do so more than once.
func (q *Queue) Accept(id string, match uint64) error {
	t := q.players[id]
	if t == nil || t.match == nil || t.match.Number != match {
		return fmt.Errorf("queue: player %q: match %d: %w", id, match, ErrNoMatch)
	}
	p := &t.players[t.index(id)]
	if p.accepted || t.state == Seating {
		return nil
	}
	p.accepted = true
	if t.match.pending--; t.match.pending == 0 {
		q.begin(t.match)
		return nil
	}
	q.events = append(q.events, Event{Kind: MatchAccepted, Match: t.match})
	return nil
}

// Decline tells that a player does not want a match. Its party leaves the queue, the
// other tickets wait again.
func (q *Queue) Decline(id string, match uint64, now time.Time) error {
	t := q.players[id]
	if t == nil || t.match == nil || t.match.Number != match || t.state != Proposed {
		return fmt.Errorf("queue: player %q: match %d: %w", id, match, ErrNoMatch)
	}
	return q.Cancel(id, now)
}

// expire ends a match that not all have accepted in time. Tickets of which a member has
// lost its link keep their place for the rest of the grace.
func (q *Queue) expire(m *Match, now time.Time) {
	out := culprits{}
	var silent []string
	for _, t := range m.Tickets() {
		for i, p := range t.players {
			id := t.Members[i].ID
			switch {
			case p.accepted:
			case !p.absent:
				out[t] = blame{Unanswered, id}
				silent = append(silent, id)
			case !t.until.After(now) && out[t].why == 0:
				out[t] = blame{Dropped, id}
			}
		}
	}
	q.dissolve(m, out, now)
	for _, id := range silent {
		q.strike(id, now)
	}
}

// culprits are the tickets because of which a match does not come about.
type culprits map[*Ticket]blame

type blame struct {
	why Why
	by  string
}

// dissolve takes a match apart: culprits leave, the others wait again.
func (q *Queue) dissolve(m *Match, out culprits, now time.Time) {
	q.due.stop(&m.timer)
	delete(q.matches, m.Number)
	if b := q.fills[m.Room]; m.Room != "" && b != nil {
		for i, team := range m.Teams {
			for _, t := range team {
				b.Free[i] += t.size()
			}
		}
		q.due.set(&b.timer, now)
	}
	why := Declined
	if m.state == Seating {
		why = NotSeated
	}
	for _, t := range m.Tickets() {
		if why == NotSeated {
			t.failures++
		}
		x, over := out[t]
		switch {
		case over:
		case t.left != "":
			x, over = blame{Left, t.left}, true
		case t.failures == maxFailures:
			x, over = blame{why: NotSeated}, true
		}
		t.match = nil
		if over {
			q.endTicket(t, x.why, x.by)
			continue
		}
		q.toWait(t, now)
		q.stats.Returned++
		q.events = append(q.events, Event{Kind: TicketReturned, Ticket: t, Why: why})
	}
}

// maxFailures is how often the match of a ticket may fail to begin.
const maxFailures = 3

// Seated tells that a match has begun: its tickets are over.
func (q *Queue) Seated(match uint64, now time.Time) {
	m := q.matches[match]
	if m == nil || m.state != Seating {
		return
	}
	delete(q.matches, match)
	q.stats.Matches++
	if m.Room != "" {
		q.stats.Backfilled++
		q.endFilled(m.Room)
	}
	for _, t := range m.Tickets() {
		q.over(t)
		q.stats.Players += uint64(t.size())
		q.stats.wait(t.wait(now))
	}
}

// Unseated tells that a match could not begin. Tickets with players that are gone, who
// can't play, are over; the others wait again, with the age that they have, three times at
// most.
func (q *Queue) Unseated(match uint64, gone []string, now time.Time) {
	m := q.matches[match]
	if m == nil || m.state != Seating {
		return
	}
	q.stats.Failed++
	out := culprits{}
	for _, id := range gone {
		if t := q.players[id]; t != nil && t.match == m {
			out[t] = blame{NotSeated, id}
		}
	}
	q.dissolve(m, out, now)
}
