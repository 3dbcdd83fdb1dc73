// SPDX-License-Identifier: MIT

package queue

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// Rules say what a match is. The zero value makes matches of two players of any rating.
type Rules struct {
	// Teams is how many teams a match has; 1 is everybody against everybody. If zero, 2.
	Teams int
	// Size is how many players a team has. If zero, 1.
	Size int
	// MinSize is with how few players in each team a match may begin, once its oldest
	// ticket has waited for FlexAfter. All teams are of one size. If zero, Size.
	MinSize   int
	FlexAfter time.Duration
	// Bots tells that places may be left to bots, once the oldest ticket has waited for
	// BotsAfter: see Match.Bots.
	Bots      bool
	BotsAfter time.Duration
	// Window is how far apart the ratings of two tickets may be.
	Window Window
	// Fits reports whether these may be in one team, if more may come: not two healers,
	// say. Each part of a team that fits must fit as well. team is the queue's and is not
	// to be kept. If nil, any may.
	Fits func(team []Member) bool
	// Together reports whether two tickets may be in one match, whichever comes first. If
	// nil, any two may.
	Together func(a, b *Ticket) bool

	// Accept is how long the players have to accept a match. If zero, they are not asked.
	Accept time.Duration
	// Penalty returns for how long a player may not enter that has declined a match, or
	// has not answered, for the strikes-th time. A strike is forgotten after an hour. If
	// nil, there is none.
	Penalty func(strikes int) time.Duration
	// Grace is how long a ticket keeps its place while a member of it has no link. It is
	// not matched meanwhile. If zero, 30 s. If negative, none: it ends at once.
	Grace time.Duration

	// Tickets bounds how many wait or are in a match that has not begun. If zero, 100,000.
	Tickets int
	// Backfills bounds the rooms that look for players. If zero, 10,000.
	Backfills int
}

// Window is how far apart the ratings of two tickets may be: Start, and PerSecond more
// for each second that the longer one has waited, at most Max. If all are zero, ratings
// do not matter. If Max is zero, there is none.
type Window struct{ Start, PerSecond, Max float64 }

// at returns the window after a wait.
func (w Window) at(wait time.Duration) float64 {
	if w == (Window{}) {
		return math.Inf(1)
	}
	d := w.Start + w.PerSecond*max(wait.Seconds(), 0)
	if w.Max > 0 {
		d = min(d, w.Max)
	}
	return d
}

const (
	maxPlayers = 1000 // of a match
	maxPools   = 16   // of a ticket
	maxStrikes = 1 << 16
	forgiven   = time.Hour // after that a strike is forgotten
)

func (r Rules) withDefaults() (Rules, error) {
	for _, v := range []struct {
		n   *int
		def int
	}{{&r.Teams, 2}, {&r.Size, 1}, {&r.Tickets, 100_000}, {&r.Backfills, 10_000}} {
		if *v.n == 0 {
			*v.n = v.def
		}
	}
	r.MinSize = cmp.Or(r.MinSize, r.Size)
	switch {
	case r.Grace == 0:
		r.Grace = 30 * time.Second
	case r.Grace < 0:
		r.Grace = 0
	}
	w := r.Window
	switch {
	case r.Teams < 1 || r.Size < 1 || r.Teams > maxPlayers || r.Size > maxPlayers/r.Teams:
		return r, fmt.Errorf("queue: Teams %d, Size %d: want 1 to %d players", r.Teams, r.Size, maxPlayers)
	case r.MinSize < 1 || r.MinSize > r.Size:
		return r, fmt.Errorf("queue: MinSize %d: want 1 to %d", r.MinSize, r.Size)
	case r.Teams*r.MinSize < 2 && !r.Bots:
		return r, fmt.Errorf("queue: a match of one player needs Bots")
	case !(w.Start >= 0 && w.PerSecond >= 0 && w.Max >= 0) || math.IsInf(w.Start+w.PerSecond+w.Max, 0):
		return r, fmt.Errorf("queue: Window %+v: want finite numbers of at least 0", w)
	case r.FlexAfter < 0 || r.BotsAfter < 0 || r.Accept < 0:
		return r, fmt.Errorf("queue: FlexAfter %v, BotsAfter %v, Accept %v: want at least 0", r.FlexAfter, r.BotsAfter, r.Accept)
	case r.Tickets < 1 || r.Backfills < 1:
		return r, fmt.Errorf("queue: Tickets %d, Backfills %d: want at least 1", r.Tickets, r.Backfills)
	}
	return r, nil
}
