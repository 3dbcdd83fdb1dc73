// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"time"
)

// Queue is the client's view of the server's matchmaking (framework/match): a player
// waits in one queue at a time. Make one for a client, by NewQueue, before it connects. Its
// methods are safe to call from any goroutine.
type Queue struct {
	c      *Client
	ticket view[Ticket]
}

// Wish is what a player asks for.
type Wish struct {
	// Queue names the queue.
	Queue string
	// Regions are where the player would play, at most 16.
	Regions []Region
	// Fields are what else the game's server reads, as a mode or a role: at most 16, of 64
	// bytes each.
	Fields []WishField
}

// Region is a place where matches may run, and the round trip to it in milliseconds; 0: not
// measured.
type Region struct {
	Name         string
	Milliseconds uint32
}

// WishField is a name with a value.
type WishField struct{ Name, Value string }

// TicketState says what a player waits for.
type TicketState uint8

// The states of a Ticket.
const (
	TicketNone     TicketState = iota // in no queue; Text says why, if it was in one
	TicketWaiting                     // for others
	TicketProposed                    // for all to accept: see Queue.Accept
	TicketSeating                     // for the room
	TicketMatched                     // in the room, or on the way into it
)

// Ticket is how it stands with a player that waits.
type Ticket struct {
	Queue string
	State TicketState
	// Before is how many tickets are older.
	Before int
	// Usual is how long tickets have waited of late; 0: not known.
	Usual time.Duration
	// Waited is how long this one had, when it was told.
	Waited time.Duration
	// Match is to be accepted, once Proposed. It has Players, Accepted of them have
	// accepted, this one if You, and there is Left to do so, when it was told.
	Match             uint64
	Players, Accepted int
	You               bool
	Left              time.Duration
	// Text says why the ticket has come back or is over.
	Text string
	// Type and Key name the room, once Matched.
	Type, Key string
}

const (
	routeEnter  = "match.enter"
	routeCancel = "match.cancel"
	routeAnswer = "match.answer"
	routeTicket = "match.ticket"
)

// ticketNews is what routeTicket tells.
type ticketNews struct {
	Queue                 string
	State                 TicketState
	Before, Usual, Waited uint32
	Match                 uint64
	Players, Accepted     uint32
	You                   bool
	Left                  uint32
	Why                   uint8
	Text                  string
	Type, Key             string
}

func (n *ticketNews) ticket() Ticket {
	ms := func(n uint32) time.Duration { return time.Duration(n) * time.Millisecond }
	return Ticket{
		Queue: n.Queue, State: n.State, Before: int(n.Before), Usual: ms(n.Usual), Waited: ms(n.Waited), Match: n.Match,
		Players: int(n.Players), Accepted: int(n.Accepted), You: n.You, Left: ms(n.Left), Text: n.Text, Type: n.Type, Key: n.Key,
	}
}

// NewQueue makes the view. A second one for the same client panics.
func NewQueue(c *Client) *Queue {
	q := &Queue{c: c}
	OnMessage(c, routeTicket, func(n ticketNews) { q.ticket.take(n.ticket()) })
	c.onEnd(func(Reason) {
		if q.Ticket().State != TicketNone {
			q.ticket.take(Ticket{Text: "the session has ended"})
		}
	})
	return q
}

// OnTicket sets what is called whenever the ticket has changed. It runs where the handlers
// of OnMessage do.
func (q *Queue) OnTicket(f func(Ticket)) { q.ticket.call(f) }

// Ticket returns how it stands.
func (q *Queue) Ticket() Ticket { return q.ticket.get() }

// Enter waits for a match, with the player's party. OnTicket tells of what follows. The
// error is as Request's: ErrorRefused if it waits already or has declined too often, ErrorBusy
// if the queue is full, ErrorInRoom if it is in such a room.
func (q *Queue) Enter(ctx context.Context, w Wish) error {
	return q.c.Request(ctx, routeEnter, &w, nil)
}

// Cancel leaves the queue. The error is as Request's: ErrorRefused if the player waits in
// none, or if the match begins already.
func (q *Queue) Cancel(ctx context.Context) error {
	return q.c.Request(ctx, routeCancel, nil, nil)
}

// matchAnswer accepts or declines a match.
type matchAnswer struct {
	Match  uint64
	Accept bool
}

// Accept accepts the match of a Ticket that is Proposed. The error is as Request's:
// ErrorRefused if it is too late.
func (q *Queue) Accept(ctx context.Context, match uint64) error {
	return q.c.Request(ctx, routeAnswer, matchAnswer{match, true}, nil)
}

// Decline declines it. The party is out of the queue, and the game may let it wait before
// it enters again.
func (q *Queue) Decline(ctx context.Context, match uint64) error {
	return q.c.Request(ctx, routeAnswer, matchAnswer{match, false}, nil)
}
