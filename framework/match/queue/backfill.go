// SPDX-License-Identifier: MIT

package queue

import (
	"fmt"
	"slices"
	"time"
)

// Backfill is a match that runs and has free places. What is exported is the caller's
// until Queue.Backfill.
type Backfill struct {
	// Room names it.
	Room string
	// Pool is where it looks for players.
	Pool string
	// Rating is what those who come shall be near to.
	Rating float64
	// Free are the free places by team, those for players on their way included.
	Free []int

	// Owned by the queue.
	since time.Time
	tries int
	timer timer
}

// Backfill looks for players for a room, until its places are taken or EndBackfill is
// called. Tickets that have come so far keep their places. It is served before new
// matches. A second one for the same room takes the place of the first.
func (q *Queue) Backfill(b Backfill, now time.Time) error {
	n := 0
	for _, f := range b.Free {
		if f < 0 || f > maxPlayers {
			return fmt.Errorf("queue: backfill of %q: %d free places: %w", b.Room, f, ErrTicket)
		}
		n += f
	}
	if b.Room == "" || len(b.Free) != q.rules.Teams {
		return fmt.Errorf("queue: backfill of room %q with %d teams, want %d: %w", b.Room, len(b.Free), q.rules.Teams, ErrTicket)
	}
	old := q.fills[b.Room]
	if old == nil && len(q.fills) >= q.rules.Backfills {
		return fmt.Errorf("queue: %d backfills, the most there may be: %w", len(q.fills), ErrFull)
	}
	q.EndBackfill(b.Room)
	if n == 0 {
		return nil
	}
	b.Free, b.since = slices.Clone(b.Free), now
	q.onTheirWay(b.Room, func(team int, t *Ticket) { b.Free[team] -= t.size() })
	q.newTimer(&b.timer, &b)
	q.fills[b.Room] = &b
	q.due.set(&b.timer, now)
	return nil
}

// onTheirWay calls f for the tickets that were found for a room and are not in it yet.
func (q *Queue) onTheirWay(room string, f func(team int, t *Ticket)) {
	for _, m := range q.matches {
		if m.Room != room {
			continue
		}
		for i, team := range m.Teams {
			for _, t := range team {
				f(i, t)
			}
		}
	}
}

// EndBackfill ends the search for players for a room. Those who were found come.
func (q *Queue) EndBackfill(room string) {
	if b := q.fills[room]; b != nil {
		q.due.stop(&b.timer)
		delete(q.fills, room)
	}
}

// endFilled ends the search for a room that all have come to.
func (q *Queue) endFilled(room string) {
	if b := q.fills[room]; b != nil && b.free() == 0 {
		n := 0
		q.onTheirWay(room, func(int, *Ticket) { n++ })
		if n == 0 {
			q.EndBackfill(room)
		}
	}
}

func (b *Backfill) free() (n int) {
	for _, f := range b.Free {
		n += max(f, 0)
	}
	return n
}

// fill looks for players for a room.
func (q *Queue) fill(b *Backfill, now time.Time) {
	s := &q.search
	for i, free := range b.Free {
		s.teams[i].reset(max(free, 0))
	}
	s.chosen = append(s.chosen[:0], nil) // no anchor
	free := b.free()
	if free == 0 {
		q.due.stop(&b.timer) // until one of those on their way does not come
		return
	}
	q.due.set(&b.timer, now.Add(min(max(now.Sub(b.since)/8, 250*time.Millisecond), time.Second)))
	if p := q.pools[b.Pool]; p != nil {
		q.gather(&p.order, nil, b.Rating, now.Sub(b.since), now, free, b.tries)
		for _, t := range s.near {
			if t.NoBackfill {
				continue
			}
			if best := q.emptiest(t); best >= 0 {
				s.place(best, t, q.rules.Fits != nil)
			}
		}
	}
	b.tries++
	if len(s.chosen) == 1 {
		return
	}
	b.tries = 0
	for i := range s.teams {
		b.Free[i] -= s.teams[i].size
	}
	q.make(&Match{Pool: b.Pool, Room: b.Room}, now)
}
