// SPDX-License-Identifier: MIT

package queue

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Why a call is refused: use errors.Is. A *CooldownError is one more.
var (
	ErrTicket  = errors.New("not a ticket of this queue") // its size, a rating, a player twice
	ErrQueued  = errors.New("in a queue already")
	ErrAbsent  = errors.New("in no queue")
	ErrFull    = errors.New("the queue is full")
	ErrNoMatch = errors.New("no such match to accept")
	ErrSeating = errors.New("the match begins")
)

// CooldownError refuses a player that has declined matches.
type CooldownError struct {
	ID    string
	Until time.Time
}

func (e *CooldownError) Error() string {
	return fmt.Sprintf("queue: player %q has declined and may enter again at %v", e.ID, e.Until.Format(time.TimeOnly))
}

// Why says why a ticket has left the queue, or come back to it.
type Why uint8

const (
	ByPlayer   Why = iota + 1 // a member has cancelled
	Declined                  // a member has declined the match, or a party of another one
	Unanswered                // a member has not answered in time
	Dropped                   // a member had no link for longer than Rules.Grace
	Left                      // a member's session has ended
	NotSeated                 // the match could not begin
)

// String returns the reason in words.
func (w Why) String() string {
	return [...]string{"", "cancelled", "declined", "not answered", "connection lost", "left", "the match could not begin"}[w]
}

// Kind says what an Event tells.
type Kind uint8

const (
	// MatchProposed asks the players of Match to accept.
	MatchProposed Kind = iota + 1
	// MatchAccepted tells that one more player of Match has accepted.
	MatchAccepted
	// MatchMade asks the caller to seat the players of Match, and to call Seated or
	// Unseated.
	MatchMade
	// TicketReturned tells that Ticket waits again, with the age that it has.
	TicketReturned
	// TicketOver tells that Ticket is in the queue no more, without a match.
	TicketOver
)

// Event is what has become of tickets.
type Event struct {
	Kind   Kind
	Match  *Match  // of the first three
	Ticket *Ticket // of the others
	Why    Why     // of the others
	By     string  // of TicketOver: the player who was the reason, if there is one
}

// Queue holds tickets, and makes matches of them. One goroutine at a time may use it.
type Queue struct {
	rules   Rules
	epoch   time.Time // of the first call
	numbers uint64    // of tickets
	games   uint64    // numbers of matches
	orders  uint64    // of timers
	tickets int       // in any state but Over
	players map[string]*Ticket
	pools   map[string]*pool
	ages    order // of the tickets that wait, by Since
	due     timers
	matches map[uint64]*Match // Proposed, Seating
	fills   map[string]*Backfill
	strikes strikes
	events  []Event
	looked  []*Ticket // found nobody in the last Step; some may be matched by now
	search  search    // scratch
	stats   Stats
}

// pool are the tickets that may be matched, by rating.
type pool struct {
	order
	wait average
}

// average is of the last waits, the newest counts most.
type average struct{ seconds float64 }

func (a *average) add(d time.Duration) {
	if s := d.Seconds(); a.seconds == 0 {
		a.seconds = s
	} else {
		a.seconds += (s - a.seconds) / 16
	}
}

// New makes a queue.
func New(r Rules) (*Queue, error) {
	r, err := r.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Queue{
		rules: r, players: map[string]*Ticket{}, pools: map[string]*pool{}, matches: map[uint64]*Match{}, fills: map[string]*Backfill{},
		strikes: strikes{of: map[string]*strike{}}, search: search{teams: make([]team, r.Teams)},
	}, nil
}

// Enter lets a ticket wait. The next Step looks for others.
func (q *Queue) Enter(t *Ticket, now time.Time) error {
	if err := t.check(&q.rules, now); err != nil {
		q.stats.Refused++
		return err
	}
	err := error(nil)
	for _, m := range t.Members {
		if q.players[m.ID] != nil {
			err = fmt.Errorf("queue: player %q: %w", m.ID, ErrQueued)
		} else if until := q.strikes.until(m.ID); until.After(now) {
			err = &CooldownError{m.ID, until}
		}
	}
	if err == nil && q.tickets >= q.rules.Tickets {
		err = fmt.Errorf("queue: %d tickets, the most there may be: %w", q.tickets, ErrFull)
	}
	if err != nil {
		q.stats.Refused++
		return err
	}
	q.numbers++
	t.number = q.numbers
	t.players = make([]presence, t.size())
	q.newTimer(&t.timer, t)
	for _, m := range t.Members {
		q.players[m.ID] = t
	}
	q.tickets++
	q.stats.Entered++
	q.toWait(t, now)
	return nil
}

func (q *Queue) newTimer(t *timer, of any) {
	q.orders++
	t.of, t.order = of, q.orders
}

// age is the ticket's place among those that wait.
func (q *Queue) age(t *Ticket) entry {
	if q.epoch.IsZero() {
		q.epoch = t.Since
	}
	return entry{t.Since.Sub(q.epoch).Seconds(), t}
}

// toWait lets a ticket wait, or wait again.
func (q *Queue) toWait(t *Ticket, now time.Time) {
	t.state, t.match, t.tries = Waiting, nil, 0
	for i := range t.players {
		t.players[i].accepted = false
	}
	q.ages.insert(q.age(t))
	if t.absent > 0 {
		q.due.set(&t.timer, t.until)
		return
	}
	q.activate(t, now)
	q.due.set(&t.timer, now)
}

// activate shows the ticket to others, in the pools in which it looks by now.
func (q *Queue) activate(t *Ticket, now time.Time) {
	for t.active < len(t.Pools) && t.Pools[t.active].After <= t.wait(now) {
		q.pool(t.Pools[t.active].Name).insert(entry{t.rating, t})
		t.active++
	}
}

// hide keeps the ticket from being matched.
func (q *Queue) hide(t *Ticket) {
	for _, at := range t.Pools[:t.active] {
		p := q.pools[at.Name]
		if p.remove(entry{t.rating, t}); p.n == 0 && len(q.pools) > fewPools {
			delete(q.pools, at.Name)
		}
	}
	t.active = 0
}

// fewPools is how many pools there are at most that have no tickets.
const fewPools = 1024

// pool finds or makes a pool. Those without tickets are kept for their average, while
// there are few. Clients may name pools, so a new one among many looks at no other.
func (q *Queue) pool(name string) *pool {
	p := q.pools[name]
	if p == nil {
		if len(q.pools) == fewPools {
			maps.DeleteFunc(q.pools, func(_ string, p *pool) bool { return p.n == 0 })
		}
		p = &pool{}
		q.pools[name] = p
	}
	return p
}

// unqueue ends the wait of a ticket.
func (q *Queue) unqueue(t *Ticket) {
	q.hide(t)
	q.ages.remove(q.age(t))
	q.due.stop(&t.timer)
}

// over ends a ticket that is in no order any more.
func (q *Queue) over(t *Ticket) {
	t.state = Over
	if q.tickets--; q.tickets == 0 { // no Step is to come, until which these would stay
		q.looked, q.search = nil, search{teams: make([]team, q.rules.Teams)}
	}
	for _, m := range t.Members {
		delete(q.players, m.ID)
	}
}

// cancel ends a ticket that waits.
func (q *Queue) cancel(t *Ticket, why Why, by string) {
	q.unqueue(t)
	q.endTicket(t, why, by)
}

func (q *Queue) endTicket(t *Ticket, why Why, by string) {
	q.over(t)
	q.stats.count(why)
	q.events = append(q.events, Event{Kind: TicketOver, Ticket: t, Why: why, By: by})
}

// Cancel takes the ticket of a player out: its party does not wait any more. In a match
// that is to be accepted it is to decline.
func (q *Queue) Cancel(id string, now time.Time) error {
	t := q.players[id]
	switch {
	case t == nil:
		return fmt.Errorf("queue: player %q: %w", id, ErrAbsent)
	case t.state == Proposed:
		q.dissolve(t.match, culprits{t: {Declined, id}}, now)
		q.strike(id, now)
	case t.state == Seating:
		return fmt.Errorf("queue: player %q: %w", id, ErrSeating)
	default:
		q.cancel(t, ByPlayer, id)
	}
	return nil
}

// Leave tells that a player's session has ended. Its ticket ends; in a match that is to be
// accepted it has declined.
func (q *Queue) Leave(id string, now time.Time) {
	t := q.players[id]
	if t == nil {
		return
	}
	switch t.state {
	case Proposed:
		q.dissolve(t.match, culprits{t: {Left, id}}, now)
		q.strike(id, now)
	case Seating:
		t.left = id
	default:
		q.cancel(t, Left, id)
	}
}

// Detach tells that a player has lost its link. Its ticket keeps its place for
// Rules.Grace, and is not matched meanwhile.
func (q *Queue) Detach(id string, now time.Time) {
	t := q.players[id]
	if t == nil || t.players[t.index(id)].absent {
		return
	}
	t.players[t.index(id)].absent = true
	if t.absent++; t.absent == 1 {
		t.until = now.Add(q.rules.Grace)
	}
	if t.state == Waiting {
		q.hide(t)
		q.due.set(&t.timer, t.until)
	}
}

// Attach tells that a player has a link again.
func (q *Queue) Attach(id string, now time.Time) {
	t := q.players[id]
	if t == nil || !t.players[t.index(id)].absent {
		return
	}
	t.players[t.index(id)].absent = false
	if t.absent--; t.absent == 0 && t.state == Waiting {
		q.activate(t, now)
		q.due.set(&t.timer, now)
	}
}

// Ticket returns the ticket of a player, nil if it is in none.
func (q *Queue) Ticket(id string) *Ticket { return q.players[id] }

// Position returns how many tickets that wait are older, and for how long tickets of its
// first pool have waited of late; 0 if that is not known.
func (q *Queue) Position(t *Ticket) (before int, usual time.Duration) {
	if t.state == Waiting {
		before = q.ages.rank(q.age(t))
	}
	if p := q.pools[t.Pools[0].Name]; p != nil {
		usual = time.Duration(p.wait.seconds * float64(time.Second))
	}
	return before, usual
}

// Next returns when Step has something to do. ok is false if it has nothing.
func (q *Queue) Next() (at time.Time, ok bool) {
	if len(q.due) == 0 {
		return time.Time{}, false
	}
	return q.due[0].at, true
}

// Step makes the matches that can be made now, and returns what has happened since the
// last one. The slice is the queue's until the next call.
func (q *Queue) Step(now time.Time) []Event {
	var look []*Ticket
	clear(q.looked)
	q.looked = q.looked[:0]
	at := -1
	defer func() { // if a rule ends the goroutine, the next Step goes on with the others
		for i := max(at, 0); i < len(look); i++ {
			if i == at {
				q.due.set(&look[i].timer, now.Add(maxAgain))
			} else if look[i].state == Waiting {
				q.due.set(&look[i].timer, now)
			}
		}
	}()
	for len(q.due) > 0 && !q.due[0].at.After(now) {
		switch of := q.due[0].of.(type) {
		case *Match:
			q.expire(of, now)
		case *Backfill:
			q.fill(of, now)
		case *Ticket:
			q.due.stop(&of.timer)
			look = append(look, of)
		}
	}
	slices.SortFunc(look, func(a, b *Ticket) int { return q.age(a).compare(q.age(b)) })
	for at = 0; at < len(look); at++ {
		t := look[at]
		switch {
		case t.state != Waiting: // matched by an older one, or over
		case t.absent > 0 && !t.until.After(now):
			q.cancel(t, Dropped, t.Members[slices.IndexFunc(t.players, func(p presence) bool { return p.absent })].ID)
		case t.absent > 0:
			q.due.set(&t.timer, t.until)
		default:
			q.activate(t, now)
			if !q.look(t, now) {
				q.looked = append(q.looked, t)
				q.due.set(&t.timer, q.again(t, now))
			}
		}
	}
	return q.Events()
}

// Events returns what has happened since the last call, without a look for matches.
func (q *Queue) Events() []Event {
	events := q.events
	q.events = nil
	return events
}

// Looked returns the tickets that have found nobody in the last Step: those to be told how
// long it may take. The slice is the queue's until the next Step.
func (q *Queue) Looked() []*Ticket { return q.looked }

// maxAgain is when a ticket that found nobody looks again at the latest.
const maxAgain = 5 * time.Second

// again returns when a ticket that found nobody looks the next time.
func (q *Queue) again(t *Ticket, now time.Time) time.Time {
	t.tries++
	wait := t.wait(now)
	next := now.Add(min(max(wait/8, 250*time.Millisecond), maxAgain))
	sooner := func(after time.Duration) {
		if at := t.Since.Add(after); at.After(now) && at.Before(next) {
			next = at
		}
	}
	if q.rules.MinSize < q.rules.Size {
		sooner(q.rules.FlexAfter)
	}
	if q.rules.Bots {
		sooner(q.rules.BotsAfter)
	}
	if t.active < len(t.Pools) {
		sooner(t.Pools[t.active].After)
	}
	return next
}
