// SPDX-License-Identifier: MIT

package queue

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Member is a player of a ticket.
type Member struct {
	// ID names the player: it is in one ticket at a time.
	ID string
	// Rating is how good it plays. A ticket's is the mean of its members'.
	Rating float64
	// Data is the game's own, for Rules.Fits: a role, a level.
	Data any
}

// Pool is a group of tickets that may play together: a mode, a region, both. A ticket
// looks in each pool that it names, once it has waited for After.
type Pool struct {
	Name  string
	After time.Duration
}

// Ticket is a player, or a party that is never torn, who waits. What is exported is
// the caller's until Enter, and immutable from then on.
type Ticket struct {
	// Members are 1 to Rules.Size players.
	Members []Member
	// Pools are where it looks, at most 16. If empty, in the pool without a name.
	Pools []Pool
	// Data is the game's own, for Rules.Together and what makes the match.
	Data any
	// Since is when the wait began, if that was before Enter: for a player whose match was
	// lost by a crash. It is served as if it had waited since then. If zero, now.
	Since time.Time
	// NoBackfill keeps it out of matches that run already.
	NoBackfill bool

	// Owned by the queue.
	number   uint64 // in the order of Enter
	rating   float64
	state    State
	timer    timer
	active   int       // pools that it is in, the first ones
	absent   int       // members without a link
	until    time.Time // of the grace, while one is absent
	tries    int       // looks that found nothing
	failures int       // matches whose room could not be had
	left     string    // a member that has gone for good while the ticket was being seated
	match    *Match    // Proposed, Seating
	players  []presence
}

// presence is what a queue knows of a member. Owned by the queue.
type presence struct{ absent, accepted bool }

// State says what a ticket waits for.
type State uint8

const (
	Waiting  State = iota + 1 // for others
	Proposed                  // for the players to accept the match
	Seating                   // for the match to begin
	Over                      // for nothing: the match has begun, or it was cancelled
)

// Number is the ticket's in its queue, from 1 on.
func (t *Ticket) Number() uint64 { return t.number }

// Rating is the mean of the members'.
func (t *Ticket) Rating() float64 { return t.rating }

// State says what the ticket waits for.
func (t *Ticket) State() State { return t.state }

// Match returns what the ticket was matched to, nil while it waits.
func (t *Ticket) Match() *Match { return t.match }

func (t *Ticket) size() int { return len(t.Members) }

func (t *Ticket) index(id string) int {
	return slices.IndexFunc(t.Members, func(m Member) bool { return m.ID == id })
}

func (t *Ticket) wait(now time.Time) time.Duration { return now.Sub(t.Since) }

// check fills in the defaults of a ticket that enters.
func (t *Ticket) check(r *Rules, now time.Time) error {
	if t.number != 0 {
		return fmt.Errorf("queue: a ticket enters once: %w", ErrTicket)
	}
	if n := t.size(); n < 1 || n > r.Size {
		return fmt.Errorf("queue: a ticket of %d players, want 1 to %d: %w", n, r.Size, ErrTicket)
	}
	if len(t.Pools) > maxPools {
		return fmt.Errorf("queue: a ticket with %d pools, want at most %d: %w", len(t.Pools), maxPools, ErrTicket)
	}
	t.rating = 0
	for i, m := range t.Members {
		if math.IsNaN(m.Rating) || math.Abs(m.Rating) > 1e12 {
			return fmt.Errorf("queue: player %q has a rating of %v, want at most 1e12: %w", m.ID, m.Rating, ErrTicket)
		}
		if t.index(m.ID) != i {
			return fmt.Errorf("queue: player %q twice: %w", m.ID, ErrTicket)
		}
		t.rating += m.Rating / float64(t.size())
	}
	if r.Fits != nil && !r.Fits(t.Members) {
		return fmt.Errorf("queue: the members fit no team: %w", ErrTicket)
	}
	t.Pools = slices.Clone(t.Pools)
	if len(t.Pools) == 0 {
		t.Pools = []Pool{{}}
	}
	slices.SortStableFunc(t.Pools, func(a, b Pool) int { return int(min(max(a.After-b.After, -1), 1)) })
	for i, p := range t.Pools {
		if slices.ContainsFunc(t.Pools[:i], func(o Pool) bool { return o.Name == p.Name }) {
			return fmt.Errorf("queue: pool %q twice: %w", p.Name, ErrTicket)
		}
	}
	if t.Since.IsZero() || t.Since.After(now) {
		t.Since = now
	}
	return nil
}

// Match is tickets that play together.
type Match struct {
	// Number is the match's in its queue, from 1 on.
	Number uint64
	// Pool is the one that all of its tickets are in.
	Pool string
	// Room is the one that is filled up, empty for a new match.
	Room string
	// Teams are the tickets by team.
	Teams [][]*Ticket
	// Bots are the places by team that are left to bots.
	Bots []int
	// Size is how many players and bots each team has. Of a Room, 0.
	Size int
	// Spread is how far apart the ratings of its tickets are.
	Spread float64
	// Imbalance is how far apart the mean ratings of its teams are.
	Imbalance float64

	// Owned by the queue.
	state    State
	deadline time.Time
	timer    timer
	pending  int // players that have not accepted
	players  int
}

// Tickets returns all tickets of the match, team by team.
func (m *Match) Tickets() []*Ticket { return slices.Concat(m.Teams...) }

// Players returns how many players it has, and how many of them have accepted.
func (m *Match) Players() (all, accepted int) { return m.players, m.players - m.pending }

// Deadline is until when the players may accept. Zero if they are not asked.
func (m *Match) Deadline() time.Time { return m.deadline }

// Accepted reports whether a member has accepted the match.
func (t *Ticket) Accepted(id string) bool {
	i := t.index(id)
	return i >= 0 && i < len(t.players) && t.players[i].accepted
}
