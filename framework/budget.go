// SPDX-License-Identifier: MIT

package framework

import "github.com/lifeline-go/lifeline/session"

// takeBudget takes a share for the sessions of the loop: session.Shard.More.
func (l *loop) takeBudget(n int, away bool) bool {
	b := &l.srv.budget
	for _, n := range []int64{max(int64(n), b.Share()), int64(n)} {
		if b.Take(n, away) {
			l.shard.Share += int(n)
			return true
		}
	}
	return false
}

// returnBudget gives back what the loop's sessions do not need any more.
func (l *loop) returnBudget() {
	b := &l.srv.budget
	if n := int64(l.shard.Share - l.shard.Pool.Held()); n > 2*b.Share() {
		l.shard.Share -= int(n - b.Share())
		b.Give(n - b.Share())
	}
}

// cost is what an outgoing message takes of the budget, in a queue as in a session.
func (m *message) cost() int { return session.Cost(len(m.content()), m.shared != nil) }

// fate is what became of a message that a loop has not collected.
type fate uint8

const (
	kept       fate = iota
	overQueue       // it was more than one player may have waiting
	overBudget      // ... than all of them may
)

// queueLocked puts m into the queue of what was sent, if it fits into that and
// into the budget, for which it leaves out what may be left out. Else all of it
// is given up: the loop makes a RESET of it. gone is what was dropped, for
// countDropped once mu is released.
func (p *Player) queueLocked(m *message) (gone queue) {
	if p.dropped != kept {
		m.free()
		return gone
	}
	lacks := p.reserveLocked(m)
	for lacks != kept && p.dropOneLocked(m.route, &gone) {
		lacks = p.reserveLocked(m)
	}
	switch {
	case lacks == kept:
		p.out.push(m)
	case m.droppable():
		gone.push(m)
	default:
		m.free()
		p.clearOutLocked()
		p.dropped = lacks
	}
	return gone
}

// countDropped counts and frees what queueLocked has left out.
func (p *Player) countDropped(gone *queue) {
	for m := gone.pop(); m != nil; m = gone.pop() {
		p.srv.dropped(p, m.route, 1)
		m.free()
	}
}

// reserveLocked takes the room for m, or tells what lacks it.
func (p *Player) reserveLocked(m *message) fate {
	cfg := &p.srv.cfg.Session
	switch {
	case p.out.len() >= cfg.SendPackets || p.out.size()+len(m.content()) > cfg.SendBytes:
		return overQueue
	case !p.srv.budget.Take(int64(m.cost()), !p.life.Attached()):
		return overBudget
	}
	return kept
}

// dropOneLocked moves the oldest message that may be dropped to out, of the given
// route if there is such.
func (p *Player) dropOneLocked(of *Route, out *queue) bool {
	gone := p.out.remove(func(m *message) bool { return m.route == of && m.droppable() })
	if gone == nil {
		gone = p.out.remove((*message).droppable)
	}
	if gone == nil {
		return false
	}
	p.srv.budget.Give(int64(gone.cost()))
	out.push(gone)
	return true
}

// clearOutLocked gives up what the loop has not taken over.
func (p *Player) clearOutLocked() {
	for m := p.out.pop(); m != nil; m = p.out.pop() {
		p.srv.budget.Give(int64(m.cost()))
		m.free()
	}
}
