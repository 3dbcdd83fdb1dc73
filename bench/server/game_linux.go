// SPDX-License-Identifier: MIT

package server

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/proc"
	"github.com/lifeline-go/lifeline/framework"
)

// Game is what the game of a lifeline server counts.
type Game struct {
	Counted    uint64  // numbered requests that were the next one of their player
	Missing    uint64  // numbers that were left out
	Repeated   uint64  // numbers that had been there before
	Pushed     uint64  // numbered messages that were sent
	Ticks      uint64  // of the room
	Overrun    float64 // the longest of a tick, in ms
	Opened     int
	Detached   []int64 // when each OnDetach was called, by proc.Monotonic, latest last
	Detachings int     // how many there were in all
}

// game is what runs on the server: handlers that answer and count, messages
// that are sent unasked, a room.
type game struct {
	o       *Options
	rooms   *framework.Rooms[*arena]
	group   framework.Group // of Options.Fan
	pushing atomic.Bool
	ledger  *ledger // nil: each seat has a page of its own
	rest    []byte
	pad     []byte // what an answer has behind its request

	counted, missing, repeated, pushed, ticks atomic.Uint64
	overrun                                   atomic.Int64

	mu sync.Mutex
	// Guarded by mu.
	players  []*seat
	detached []int64
	opened   int
}

// seat is a player's place in the game.
type seat struct {
	p    *framework.Player
	page *page
	at   int // in players; guarded by game.mu
	gone atomic.Bool
}

func (g *game) routes(srv *framework.Server) {
	g.rest = make([]byte, g.o.Size)
	if g.o.Answer > 0 {
		b := make([]byte, g.o.Answer)
		load.Fill(b)
		g.pad = b[g.o.Ask:]
	}
	framework.OnRaw(srv, "echo", func(_ *framework.Player, payload, dst []byte) ([]byte, error) {
		if g.o.Work > 0 {
			g.work()
		}
		if g.o.Answer > 0 && len(payload) == 3+g.o.Ask {
			return append(append(load.AppendHead(dst, g.o.Answer), payload[3:]...), g.pad...), nil
		}
		return append(dst, payload...), nil
	}).Inline()
	framework.OnRaw(srv, "count", g.count).Inline()
	if g.o.Room > 0 {
		step := time.Duration(float64(time.Second) / g.o.Room)
		g.rooms = framework.AddRoom(srv, "arena", func(r *framework.Room) *arena { return &arena{Room: r, g: g} }).Tick(step)
	}
}

// work is a game that thinks: it keeps the processor busy.
func (g *game) work() {
	for end := proc.Monotonic() + g.o.Work; proc.Monotonic() < end; {
	}
}

// count echoes a request and looks at its number: see load.
func (g *game) count(p *framework.Player, payload, dst []byte) ([]byte, error) {
	s, ok := p.Data.(*seat)
	const head = 3 // of a msgpack bin 16
	if !ok || len(payload) < head+8 {
		return nil, errors.New("no number")
	}
	n := binary.LittleEndian.Uint64(payload[head:]) >> 24
	switch missing, repeated := s.page.count(n); {
	case repeated:
		g.repeated.Add(1)
	case missing > 0:
		g.missing.Add(missing)
	default:
		g.counted.Add(1)
	}
	return append(dst, payload...), nil
}

func (g *game) onOpen(p *framework.Player) {
	s := &seat{p: p, page: new(page)}
	if g.ledger != nil {
		if s.page = g.ledger.of(load.UserIndex(p.User())); s.page == nil {
			return // none of the players
		}
	}
	p.Data = s
	g.mu.Lock()
	g.opened++
	if g.o.Pushes > 0 || g.o.PushEach > 0 {
		s.at = len(g.players)
		g.players = append(g.players, s)
	}
	g.mu.Unlock()
	if g.o.Fan {
		g.group.Add(p)
	}
	if g.rooms != nil {
		_ = g.rooms.JoinAsync(p, "1")
	}
}

func (g *game) onDetach(*framework.Player) {
	now := int64(proc.Monotonic())
	g.mu.Lock()
	g.detached = append(g.detached, now)
	g.mu.Unlock()
}

func (g *game) onClose(p *framework.Player, _ framework.Reason) {
	s, ok := p.Data.(*seat)
	if !ok {
		return
	}
	s.gone.Store(true)
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.players) - 1; s.at <= n && g.players[s.at] == s {
		g.players[s.at] = g.players[n]
		g.players[s.at].at = s.at
		g.players = g.players[:n]
	}
}

// push sends every player a numbered message in turn, at an even rate.
func (g *game) push() {
	last, due := proc.Monotonic(), 0.0
	for at := 0; ; {
		time.Sleep(time.Millisecond)
		now := proc.Monotonic()
		passed := now - last
		last = now
		if !g.pushing.Load() {
			due = 0
			continue
		}
		for due += passed.Seconds() * g.rate(); due >= 1; due-- {
			if s := g.turn(at); s != nil {
				g.pushTo(s)
			}
			at++
		}
	}
}

// rate is how many messages a second are sent at present.
func (g *game) rate() float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.players) == 0 {
		return 0
	}
	return g.o.Pushes + g.o.PushEach*float64(len(g.players))
}

// turn returns the player whose turn it is, nil without one.
func (g *game) turn(at int) *seat {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.players) == 0 {
		return nil
	}
	return g.players[at%len(g.players)]
}

func (g *game) pushTo(s *seat) {
	if s.gone.Load() {
		return
	}
	n := &s.page.pushed
	number := n.Add(1)
	err := s.p.Push("push", load.Push{Number: number, At: int64(proc.Monotonic()), Rest: g.rest})
	if err != nil { // it has just left
		n.CompareAndSwap(number, number-1)
		return
	}
	g.pushed.Add(1)
}

func (g *game) status() Game {
	g.mu.Lock()
	defer g.mu.Unlock()
	const most = 50_000
	return Game{
		Counted: g.counted.Load(), Missing: g.missing.Load(), Repeated: g.repeated.Load(), Pushed: g.pushed.Load(),
		Ticks: g.ticks.Load(), Overrun: float64(g.overrun.Load()) / 1e6, Opened: g.opened,
		Detached: g.detached[max(len(g.detached)-most, 0):], Detachings: len(g.detached),
	}
}

// arena is the room that everybody is in. Each tick tells all members where
// everything is.
type arena struct {
	*framework.Room
	g *game
}

// OnTick implements framework.TickHandler.
func (a *arena) OnTick(t framework.Tick) {
	a.g.ticks.Add(1)
	a.g.overrun.Store(max(a.g.overrun.Load(), int64(t.Overrun)))
	if !a.g.pushing.Load() {
		return
	}
	a.g.pushed.Add(1)
	_ = a.Broadcast("tick", load.Push{Number: a.g.pushed.Load(), At: int64(proc.Monotonic()), Rest: a.g.rest})
}
