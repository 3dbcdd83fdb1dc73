// SPDX-License-Identifier: MIT

package match

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/match/queue"
)

// This file does what a queue has decided.

// afterLocked does what events ask for, and sets the timer.
func (q *Queue) afterLocked(events []queue.Event) {
	now := clock()
	for _, e := range events {
		switch e.Kind {
		case queue.TicketReturned:
			q.tellLocked(e.Ticket, now, e.Why)
		case queue.TicketOver:
			q.overLocked(e.Ticket, Status{Queue: q.name, Why: uint8(e.Why), Text: e.Why.String()})
		default:
			for _, t := range e.Match.Tickets() {
				q.tellLocked(t, now, 0)
			}
			if e.Kind == queue.MatchMade {
				m := q.madeLocked(e.Match)
				go q.begin(m) // ends in half a minute at most
			}
		}
	}
	q.armLocked()
}

// happenedLocked is afterLocked for all that has happened. It is deferred where a rule may end
// the goroutine.
func (q *Queue) happenedLocked() { q.afterLocked(q.core.Events()) }

// armLocked sets the timer for what is due next, an Interval after the last Step at least.
func (q *Queue) armLocked() {
	at, ok := q.core.Next()
	if !ok {
		if q.timer != nil {
			q.timer.Stop()
			q.timer = nil
		}
		return
	}
	if soonest := q.last.Add(q.cfg.Interval); at.Before(soonest) {
		at = soonest
	}
	if q.timer != nil && !at.Before(q.at) {
		return // it comes, and sets the next one
	}
	if q.timer != nil {
		q.timer.Stop()
	}
	q.at = at
	q.timer = time.AfterFunc(max(at.Sub(clock()), 1), q.step)
}

// step lets the queue decide. It runs on the timer's goroutine.
func (q *Queue) step() {
	q.maker.mu.Lock()
	defer q.maker.mu.Unlock()
	now := clock()
	if q.timer == nil || now.Before(q.at) {
		return // another one is set
	}
	q.timer = nil
	q.last = now
	var events []queue.Event
	defer func() { q.afterLocked(append(events, q.core.Events()...)) }() // also if a rule ends this goroutine
	events = q.core.Step(now)
	for _, t := range q.core.Looked() {
		if t.State() == queue.Waiting {
			q.tellAgainLocked(t, now)
		}
	}
}

// tellAfter is how often a player that waits is told at most how it stands.
const tellAfter = 2 * time.Second

// tellLocked tells the members of a ticket how it stands.
func (q *Queue) tellLocked(t *queue.Ticket, now time.Time, why queue.Why) {
	for _, m := range t.Members {
		if h := q.maker.held[m.ID]; h != nil && h.q == q {
			s := q.statusLocked(t, m.ID, now, why)
			h.told = told{now, s.Before, s.Usual}
			q.maker.pushLocked(h.p, &s)
		}
	}
}

// tellAgainLocked tells those that wait, if it is time and there is news.
func (q *Queue) tellAgainLocked(t *queue.Ticket, now time.Time) {
	h := q.maker.held[t.Members[0].ID]
	if h == nil || now.Sub(h.told.at) < tellAfter {
		return
	}
	before, usual := q.core.Position(t)
	if uint32(before) != h.told.before || milliseconds(usual) != h.told.usual {
		q.tellLocked(t, now, 0)
	}
}

// statusLocked is what a member of a ticket is told.
func (q *Queue) statusLocked(t *queue.Ticket, id string, now time.Time, why queue.Why) Status {
	before, usual := q.core.Position(t)
	s := Status{
		Queue: q.name, State: Waiting, Before: uint32(before), Usual: milliseconds(usual), Waited: milliseconds(now.Sub(t.Since)),
		Why: uint8(why), Text: why.String(),
	}
	if m := t.Match(); m != nil {
		all, accepted := m.Players()
		s.Match, s.Players, s.Accepted, s.You = m.Number, uint32(all), uint32(accepted), t.Accepted(id)
		s.State = Seating
		if t.State() == queue.Proposed {
			s.State, s.Left = Proposed, milliseconds(m.Deadline().Sub(now))
		}
	}
	return s
}

// overLocked lets the players of a ticket go, and tells them.
func (q *Queue) overLocked(t *queue.Ticket, s Status) {
	for _, m := range t.Members {
		if h := q.maker.held[m.ID]; h != nil && h.q == q {
			delete(q.maker.held, m.ID)
			q.maker.pushLocked(h.p, &s)
		}
	}
}

// madeLocked finds the players of a match.
func (q *Queue) madeLocked(m *queue.Match) Made {
	made := Made{m, make([][]*framework.Player, len(m.Teams))}
	for i, team := range m.Teams {
		for _, t := range team {
			for _, member := range t.Members {
				made.Teams[i] = append(made.Teams[i], q.maker.held[member.ID].p)
			}
		}
	}
	return made
}

// begin opens the room of a match and seats its players. It is a goroutine of its own.
func (q *Queue) begin(m Made) {
	key, err := "", errGoexit
	defer func() { q.ended(m, key, err) }() // also if the game's code ends this goroutine
	key, err = q.begun(m)
}

// ended takes what came of begin.
func (q *Queue) ended(m Made, key string, err error) {
	mm := q.maker
	if err != nil {
		mm.srv.Logger().Warn("match: no room for a match", "room", q.room, "error", err)
	}
	mm.mu.Lock()
	now := clock()
	if err == nil {
		q.core.Seated(m.Number, now)
		for _, t := range m.Tickets() {
			q.overLocked(t, Status{Queue: q.name, State: Matched, Match: m.Number, Waited: milliseconds(now.Sub(t.Since)), Type: q.room, Key: key})
		}
	} else {
		var gone []string
		for _, p := range m.Players() {
			if in, ok := q.of(p); ok && in != key || p.Context().Err() != nil {
				gone = append(gone, id(p))
			}
		}
		q.core.Unseated(m.Number, gone, now)
	}
	q.afterLocked(q.core.Events())
	mm.mu.Unlock()
	if f := q.cfg.OnMatch; f != nil && err == nil {
		_ = q.guard("OnMatch", func() error { f(m, key); return nil })
	}
}

// begun opens the room, unless it runs already, and seats the players.
func (q *Queue) begun(m Made) (key string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if key = m.Room; key == "" {
		if err = q.guard("params", func() error { key, err = q.open(ctx, m); return err }); err != nil {
			return key, err
		}
	}
	return key, q.seat(ctx, key, m.Players())
}

// errGoexit is why a match does not begin whose code has ended its goroutine.
var errGoexit = errors.New("match: runtime.Goexit was called")

// guard calls the game's code. A panic is an error, and told; so is runtime.Goexit, which
// ends the goroutine too.
func (q *Queue) guard(what string, f func() error) error {
	return q.guarded(what, f, q.maker.srv.Panicked)
}

// guardLocked is guard for a rule.
func (q *Queue) guardLocked(what string, f func()) {
	_ = q.guarded(what, func() error { f(); return nil }, func(in string, v any) {
		q.maker.mu.Then(q.maker.srv.PanickedThen(in, v))
	})
}

func (q *Queue) guarded(what string, f func() error, tell func(in string, v any)) (err error) {
	returned := false
	defer func() {
		v := recover()
		if v == nil && !returned {
			v = errGoexit
		}
		if v != nil {
			err = fmt.Errorf("match: %s of queue %q panicked: %v", what, q.name, v)
			tell(what+" of queue "+q.name, v)
		}
	}()
	err = f()
	returned = true
	return err
}

// guardRules keeps a rule of the game's that panics from ending the server: nothing fits
// then.
func (q *Queue) guardRules() {
	r := &q.cfg.Rules
	if f := r.Fits; f != nil {
		r.Fits = func(team []Member) (ok bool) {
			q.guardLocked("Fits", func() { ok = f(team) })
			return ok
		}
	}
	if f := r.Together; f != nil {
		r.Together = func(a, b *Ticket) (ok bool) {
			q.guardLocked("Together", func() { ok = f(a, b) })
			return ok
		}
	}
	if f := r.Penalty; f != nil {
		r.Penalty = func(n int) (d time.Duration) {
			q.guardLocked("Penalty", func() { d = f(n) })
			return d
		}
	}
}
