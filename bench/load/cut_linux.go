// SPDX-License-Identifier: MIT

package load

import (
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
)

// Cut takes all links away at once, without a word: the sockets are closed,
// and what is on its way in them is lost. The players come back on others.
func (f *Fleet) Cut() error {
	f.clock()
	f.cut = f.now
	f.returns.Reset()
	for i := range f.sockets {
		f.closeSocket(&f.sockets[i])
		if !f.streams {
			if err := f.openSocket(i); err != nil {
				return err
			}
		}
	}
	for i := range f.players {
		if p := &f.players[i]; p.linked {
			f.unlink(p)
			p.session.LinkDown(f.now)
			f.changes(p)
			f.schedule(p)
		}
	}
	return nil
}

// CutSome takes the links of n players away, one after the other in turn. Those
// of datagrams are simply not used any more.
func (f *Fleet) CutSome(n int) {
	f.clock()
	for range n {
		p := &f.players[f.cutTurn]
		f.cutTurn = (f.cutTurn + 1) % len(f.players)
		if p.state == isOpen && p.linked {
			f.dropped(p, nil)
		}
	}
}

// Regain lets the players come back, and play on meanwhile if they do.
func (f *Fleet) Regain(limit time.Duration) error {
	began := f.now
	tell := began + time.Second
	for end := began + limit; f.away > 0; f.turn(end) {
		if f.now > tell {
			tell += time.Second
			f.tell(fmt.Errorf("after %.0f s %d players are back", (f.now - began).Seconds(), f.open-f.away))
		}
		if f.now > end {
			return fmt.Errorf("load: %d of %d players are not back after %v: %+v", f.away, len(f.players), limit, f.counts)
		}
	}
	return nil
}

// Finish stops asking and waits until every request has its answer.
func (f *Fleet) Finish(limit time.Duration) error {
	f.busy = false
	f.clock()
	for end := f.now + limit; f.Waiting() > 0; {
		if f.now > end {
			return fmt.Errorf("load: %d requests have no answer after %v: %+v", f.Waiting(), limit, f.counts)
		}
		for step := f.now + 20*time.Millisecond; f.now < step; {
			f.turn(step)
		}
	}
	return nil
}

// Returns tells how long after the last Cut or Listen players were back, and how
// many streams have begun anew.
func (f *Fleet) Returns() (h *chart.Histogram, resets int) { return &f.returns, f.resets }

// Pushed returns how many messages of the server have arrived in all.
func (f *Fleet) Pushed() (n uint64) {
	for i := range f.players {
		n += f.players[i].pushed
	}
	return n
}
