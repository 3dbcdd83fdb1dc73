// SPDX-License-Identifier: MIT

package framework

import (
	"time"

	"github.com/lifeline-go/lifeline/framework/internal/lifecycle"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// A session that ends: session/SPEC 7.1. For the game that is at once. On the wire
// what was sent before goes out first, then BYE; so the session keeps its link
// until all of that is written. It is closing then.

// closingTime bounds that: a client that does not read, or holds, is told no
// more. What waits is at most Session.SendBytes, and part of Config.BufferBytes.
const closingTime = 5 * time.Second

// hasEnded reports that the session has ended, though it may be closing. Called on
// the owning loop.
func (p *Player) hasEnded() bool { return p.closing || p.s.State() == session.Closed }

// end ends the session, once.
func (l *loop) end(p *Player, why Reason) {
	if p.hasEnded() {
		return
	}
	if l.drainOut(p); p.hasEnded() { // it was too much
		return
	}
	l.recordEnd(p, session.Tombstone{}, why)
	k := l.unlink(p)
	if k != nil && why.Code != session.Left && p.s.Unwritten() {
		l.wheel.Set(p.timer, l.t.Now()+closingTime)
		l.beginClosing(p, k)
	} else {
		l.wheel.Remove(p.timer)
		p.s.Close(why.Code)
		if k != nil {
			endLink(k, why)
		}
	}
	p.mu.Lock()
	p.life.End()
	p.reason = &why
	p.out.Clear(&l.srv.budget)
	_, _ = p.out.Take() // and what became of it
	p.extra.failCalls(session.ErrClosed)
	if why.Code.Final() || l.srv.released.Load() {
		p.in.Drop() // a player that is thrown out does not act any more
	}
	p.mu.Unlock()
	p.release()
	p.schedule()
}

// beginClosing lets k carry what was sent before the end. The caller has set the timer.
func (l *loop) beginClosing(p *Player, k *transport.Link) {
	p.link, p.closing = k, true
	p.s.Hold(true) // its client sends in vain
	l.touch(p)
}

// receiveClosing takes what comes from the client of a session that is closing: its
// acknowledgements and the end of its HOLD. The rest is dropped.
func (l *loop) receiveClosing(p *Player, ev session.Event, err error) {
	if err != nil || ev == session.PeerDetach || ev == session.PeerBye {
		l.finishClosing(p)
		return
	}
	l.touch(p)
}

// finishClosing ends a session that is closing: all is written, or its time is over.
func (l *loop) finishClosing(p *Player) {
	p.closing = false
	l.wheel.Remove(p.timer)
	p.mu.Lock()
	why := *p.reason
	p.mu.Unlock()
	p.s.Close(why.Code)
	k := p.link
	p.link = nil
	endLink(k, why)
}

// announce tells a client when its turn is, if the server drains.
func (l *loop) announce(p *Player) {
	p.mu.Lock()
	var at time.Time
	if p.extra != nil && p.extra.drainTurn != nil {
		at = p.extra.drainTurn.at
		if until := p.seats.playsOn(); until.After(at) {
			at = until
		}
		p.extra.drainTurn.asked = false // this link was not
	}
	p.mu.Unlock()
	if k := p.link; k != nil && !at.IsZero() {
		by, _ := p.leavesTogether()
		to, _ := l.srv.elsewhere(by)
		k.Write(session.AppendMove(nil, max(at.Sub(clock()), 0), to))
	}
}

// quiesce brings a player to rest when its turn has come, step by step, and ends its
// session when nothing is on its way any more. Called whenever it is looked at.
func (l *loop) quiesce(p *Player) {
	if p.link == nil {
		l.end(p, Reason{Code: session.ShuttingDown})
		return
	}
	p.mu.Lock()
	x := p.extra.drainTurn
	ask := !x.asked
	x.asked = true
	todo, _, _ := p.nextLocked()
	idle := todo == lifecycle.Nothing && !p.active && p.out.Len() == 0 && p.in.Len() == 0
	if idle && !ask && p.s.Answered() {
		if p.seats.leave(Reason{Code: session.ShuttingDown}) {
			idle = false
		}
	}
	p.mu.Unlock()
	switch {
	case ask:
		p.s.Settle()
	case !idle:
		p.schedule() // it may have been told to leave its room
	case p.s.Settled():
		if to := l.srv.cfg.Drain.Address; to != "" {
			endLink(l.unlink(p), Reason{Code: session.Moved, Text: to})
		}
		l.end(p, Reason{Code: session.ShuttingDown})
	case p.s.Answered():
		p.s.Settle() // to acknowledge what was sent since
	}
}
