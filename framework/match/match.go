// SPDX-License-Identifier: MIT

package match

import (
	"context"
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/internal/putoff"
	"github.com/lifeline-go/lifeline/framework/match/queue"
)

// What a game needs of package queue. Each is an alias.
type (
	Rules    = queue.Rules
	Window   = queue.Window
	Ticket   = queue.Ticket
	Member   = queue.Member
	Pool     = queue.Pool
	Backfill = queue.Backfill
	Stats    = queue.Stats
)

// Options are what all queues of a server have in common. The zero value works.
type Options struct {
	// Party returns the players that enter with one that asks: itself and its party, in
	// any order. An error refuses, as of one that does not lead its party. If nil, it
	// enters alone.
	Party func(p *framework.Player) ([]*framework.Player, error)
}

// Config says how one queue works.
type Config struct {
	Rules
	// Ticket makes the ticket of players who enter: their ratings, from the game's own
	// data, and the pools, from the wish. Members are in the order of the players; their
	// IDs are filled in. It may block; an error, as one of framework.Fail, refuses. If nil,
	// all have rating 0 and the one pool.
	Ticket func(ctx context.Context, players []*framework.Player, w Wish) (*Ticket, error)
	// Interval is how often matches are made: the longer, the better they are. If zero,
	// 500 ms.
	Interval time.Duration
	// OnMatch is told of each match that has begun, with the key of its room, on the
	// goroutine that has seated it. If nil, it is not called.
	OnMatch func(m Made, key string)
}

// Made is a match that has been made.
type Made struct {
	*queue.Match
	// Teams are the players by team.
	Teams [][]*framework.Player
}

// Players returns the players of all teams.
func (m *Made) Players() (all []*framework.Player) {
	for _, team := range m.Teams {
		all = append(all, team...)
	}
	return all
}

// Matchmaker holds the queues of a server. Its methods are safe to call from any
// goroutine, but not from Rules.Fits, Together and Penalty.
type Matchmaker struct {
	srv  *framework.Server
	opts Options

	mu putoff.Mutex
	// Guarded by mu.
	queues map[string]*Queue          // immutable once the server runs
	held   map[string]*held           // by the id of a player who waits
	away   map[*framework.Player]bool // players without a link, as the hooks have told
}

// held is a player in a queue.
type held struct {
	p    *framework.Player
	q    *Queue
	told told
}

// told is what the player was told last.
type told struct {
	at     time.Time
	before uint32
	usual  uint32
}

// Queue is where players wait for one type of room. Its methods are safe to call from any
// goroutine, but not from Rules.Fits, Together and Penalty.
type Queue struct {
	maker *Matchmaker
	name  string
	cfg   Config
	room  string
	open  func(ctx context.Context, m Made) (key string, err error)
	seat  func(ctx context.Context, key string, players []*framework.Player) error
	of    func(p *framework.Player) (key string, in bool)

	// Guarded by maker.mu.
	core  *queue.Queue
	timer *time.Timer // nil: not set
	at    time.Time   // when it is due
	last  time.Time   // the last Step
}

// New makes the matchmaking of a server, before its Start, and registers its routes.
func New(srv *framework.Server, opts Options) *Matchmaker {
	mm := &Matchmaker{srv: srv, opts: opts, queues: map[string]*Queue{}, held: map[string]*held{}, away: map[*framework.Player]bool{}}
	framework.SendsAs[Status](srv, framework.DropOldest, RouteTicket)
	framework.OnRequestContext(srv, RouteEnter, mm.onEnter).Max(4 << 10)
	framework.OnRequest(srv, RouteCancel, func(p *framework.Player, _ struct{}) (bool, error) { return true, mm.Cancel(p) }).Max(16)
	framework.OnRequest(srv, RouteAnswer, func(p *framework.Player, a Answer) (bool, error) { return true, mm.answer(p, a) }).Max(64)
	srv.AddHooks(framework.Hooks{
		OnDetach:   func(p *framework.Player) { mm.with(p, true, (*queue.Queue).Detach) },
		OnResume:   func(p *framework.Player) { mm.with(p, false, (*queue.Queue).Attach) },
		OnSnapshot: mm.onSnapshot,
		OnClose:    func(p *framework.Player, _ framework.Reason) { mm.left(p) },
	})
	return mm
}

// Add makes a queue for a type of room, before the server's Start. params makes what each
// room is opened with; an error keeps the match from beginning. What can't work panics.
func Add[R, P any](mm *Matchmaker, name string, rooms *framework.RoomsOf[R, P], cfg Config, params func(m Made) (P, error)) *Queue {
	q := &Queue{maker: mm, name: name, cfg: cfg, room: rooms.Name()}
	q.guardRules()
	core, err := queue.New(q.cfg.Rules)
	switch {
	case err != nil:
		panic(fmt.Sprintf("match: queue %q: %v", name, err))
	case params == nil:
		panic(fmt.Sprintf("match: queue %q: params is nil", name))
	case mm.queues[name] != nil:
		panic(fmt.Sprintf("match: queue %q made twice", name))
	case cfg.Interval < 0:
		panic(fmt.Sprintf("match: queue %q: an Interval of %v is less than 0", name, cfg.Interval))
	case cfg.Interval == 0:
		q.cfg.Interval = 500 * time.Millisecond
	}
	q.core = core
	q.open = func(ctx context.Context, m Made) (string, error) {
		p, err := params(m)
		if err != nil {
			return "", err
		}
		return rooms.Open(ctx, p)
	}
	q.seat = func(ctx context.Context, key string, players []*framework.Player) error {
		return rooms.Seat(ctx, key, players...)
	}
	q.of = func(p *framework.Player) (string, bool) {
		if r := rooms.Of(p); r != nil {
			return r.Key(), true
		}
		return "", false
	}
	mm.srv.AddStats("match."+name, q.partStats)
	mm.queues[name] = q
	return q
}

// pushLocked tells a player of its ticket.
func (mm *Matchmaker) pushLocked(p *framework.Player, s *Status) {
	then, _ := p.PushThen(RouteTicket, s)
	mm.mu.Then(then)
}

// id is how a player is called in a queue: a user waits once, whatever sessions it has.
func id(p *framework.Player) string {
	if user := p.User(); user != "" {
		return user
	}
	return "session " + p.ID().String()
}

// with tells the queue of a player what has become of it, and notes whether it is away.
func (mm *Matchmaker) with(p *framework.Player, away bool, f func(q *queue.Queue, id string, now time.Time)) {
	mm.mu.Lock()
	defer mm.mu.Unlock()
	if away {
		mm.away[p] = true
	} else {
		delete(mm.away, p)
	}
	if h := mm.heldLocked(p); h != nil {
		defer h.q.happenedLocked()
		f(h.q.core, id(p), clock())
	}
}

// left tells the player's queue that its session has ended. If its match begins, the client is
// told now: what the queue says later does not get to a session that has moved.
func (mm *Matchmaker) left(p *framework.Player) {
	mm.with(p, false, (*queue.Queue).Leave)
	mm.mu.Lock()
	defer mm.mu.Unlock()
	if h := mm.heldLocked(p); h != nil {
		mm.pushLocked(p, &Status{Queue: h.q.name, Why: uint8(queue.Left), Text: queue.Left.String()})
	}
}

// heldLocked finds a player that waits: with this session, not another of its user.
func (mm *Matchmaker) heldLocked(p *framework.Player) *held {
	if h := mm.held[id(p)]; h != nil && h.p == p {
		return h
	}
	return nil
}

func (mm *Matchmaker) onEnter(ctx context.Context, p *framework.Player, w Wish) (Status, error) {
	if err := w.check(); err != nil {
		return Status{}, err
	}
	q := mm.queues[w.Queue]
	if q == nil {
		return Status{}, &framework.Error{Code: framework.ErrorNoRoute, Text: "there is no such queue"}
	}
	players := []*framework.Player{p}
	if f := mm.opts.Party; f != nil {
		var err error
		if players, err = f(p); err != nil {
			return Status{}, err
		}
	}
	t := &Ticket{}
	if q.cfg.Ticket != nil {
		var err error
		if t, err = q.cfg.Ticket(ctx, players, w); err != nil {
			return Status{}, err
		}
	}
	if err := q.Enter(t, players...); err != nil {
		return Status{}, err
	}
	st, _ := mm.Status(p)
	return st, nil
}

// Enter lets players wait together, as a party that is never torn. The members of the
// ticket are in their order, and get their IDs; if it has none, all have rating 0. Each is
// told by RouteTicket. An error of the queue is a *framework.Error: ErrorRefused if one
// waits already or has declined too often, ErrorBusy if the queue is full, ErrorInRoom if
// one is in a room of the type, ErrorBadRequest if the ticket is none of this queue.
func (q *Queue) Enter(t *Ticket, players ...*framework.Player) error {
	if len(t.Members) == 0 {
		t.Members = make([]Member, len(players))
	}
	if len(t.Members) != len(players) {
		return &framework.Error{Code: framework.ErrorBadRequest, Text: fmt.Sprintf("a ticket of %d members for %d players", len(t.Members), len(players))}
	}
	for i, p := range players {
		t.Members[i].ID = id(p)
		if _, in := q.of(p); in {
			return &framework.Error{Code: framework.ErrorInRoom, Text: t.Members[i].ID + " is in a room " + q.room}
		}
		if i > 0 && !p.Attached() {
			return &framework.Error{Code: framework.ErrorRefused, Text: t.Members[i].ID + " is away"}
		}
	}
	mm := q.maker
	mm.mu.Lock()
	defer mm.mu.Unlock()
	now := clock()
	for _, m := range t.Members {
		if h := mm.held[m.ID]; h != nil {
			return &framework.Error{Code: framework.ErrorRefused, Text: m.ID + " waits in queue " + h.q.name + " already"}
		}
	}
	if err := q.core.Enter(t, now); err != nil {
		return refused(err)
	}
	for i, p := range players {
		mm.held[t.Members[i].ID] = &held{p: p, q: q}
	}
	q.tellLocked(t, now, 0)
	for i, p := range players {
		// What was before it was held is not told of by a hook any more.
		if p.Context().Err() != nil {
			q.core.Leave(t.Members[i].ID, now)
		} else if mm.away[p] {
			q.core.Detach(t.Members[i].ID, now)
		}
	}
	q.afterLocked(q.core.Events())
	return nil
}

// Cancel takes a player and its party out of the queue. A match to be accepted is
// declined. The error is as Enter's: ErrorRefused if it waits in none, or if the match
// begins already.
func (mm *Matchmaker) Cancel(p *framework.Player) error {
	mm.mu.Lock()
	defer mm.mu.Unlock()
	h := mm.heldLocked(p)
	if h == nil {
		return refused(queue.ErrAbsent)
	}
	defer h.q.happenedLocked()
	return refused(h.q.core.Cancel(id(p), clock()))
}

func (mm *Matchmaker) answer(p *framework.Player, a Answer) error {
	mm.mu.Lock()
	defer mm.mu.Unlock()
	h := mm.heldLocked(p)
	if h == nil {
		return refused(queue.ErrNoMatch)
	}
	defer h.q.happenedLocked()
	if a.Accept {
		return refused(h.q.core.Accept(id(p), a.Match))
	}
	return refused(h.q.core.Decline(id(p), a.Match, clock()))
}

// Status returns what a player waits for. ok is false if it is in no queue.
func (mm *Matchmaker) Status(p *framework.Player) (s Status, ok bool) {
	mm.mu.Lock()
	defer mm.mu.Unlock()
	h := mm.heldLocked(p)
	if h == nil {
		return Status{}, false
	}
	return h.q.statusLocked(h.q.core.Ticket(id(p)), id(p), clock(), 0), true
}

// onSnapshot tells a client again what it may have lost.
func (mm *Matchmaker) onSnapshot(p *framework.Player) {
	s, _ := mm.Status(p)
	_ = p.Push(RouteTicket, &s)
}

// Backfill looks for players for a room that runs, until its places are taken or
// EndBackfill is called; Room is its key, and Free counts the places of those that are on
// their way. To be called again when a player has left. The error is as Enter's.
func (q *Queue) Backfill(b Backfill) error {
	q.maker.mu.Lock()
	defer q.maker.mu.Unlock()
	err := q.core.Backfill(b, clock())
	q.armLocked()
	return refused(err)
}

// EndBackfill ends the search for players for a room, as in its OnEnd.
func (q *Queue) EndBackfill(key string) {
	q.maker.mu.Lock()
	defer q.maker.mu.Unlock()
	q.core.EndBackfill(key)
}

// Stats returns the counters of the queue.
func (q *Queue) Stats() Stats {
	q.maker.mu.Lock()
	defer q.maker.mu.Unlock()
	return q.core.Stats()
}

func (q *Queue) partStats() framework.PartStats {
	s := q.Stats()
	return framework.PartStats{
		Now: map[string]int64{"waiting": int64(s.Waiting), "proposals": int64(s.Proposals), "seatings": int64(s.Seatings), "backfills": int64(s.Backfills)},
		Total: map[string]uint64{
			"entered": s.Entered, "refused": s.Refused, "matches": s.Matches, "backfilled": s.Backfilled, "players": s.Players, "bots": s.Bots,
			"proposed": s.Proposed, "failed": s.Failed, "returned": s.Returned, "strikes": s.Strikes, "cancelled": s.Cancelled, "declined": s.Declined,
			"unanswered": s.Unanswered, "dropped": s.Dropped, "left": s.Left, "not_seated": s.NotSeated, "waited_ms": uint64(s.WaitSum.Milliseconds()),
		},
	}
}
