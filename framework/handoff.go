// SPDX-License-Identifier: MIT

package framework

import (
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

type handoffKind uint8

const (
	resumed  handoffKind = iota // RESUME
	reopened                    // a repeated HELLO whose WELCOME was lost
	adopted                     // a new login takes the user's session over
)

// handoff is a link's request for a session that another loop may own. It runs
// on the owner's loop, where all is decided in one go: whether the request is
// good, the end of the old link, the counts and the answer. Then the session,
// with the answer, lands on the link's loop. Between the two no loop owns it,
// and what is sent to it waits in its queue.
type handoff struct {
	p    *Player
	kind handoffKind
	r    *session.ResumeRequest
	key  session.OpeningKey
	id   session.ID // adopted: the new one
	l    *loop      // of the link
	o    *opening   // of its fields only what HELLO said is read on the owner's loop

	decided bool
	answer  []byte
	reset   bool
	refusal *session.CloseError
}

// handOff starts a hand-off from the link's loop.
func (l *loop) handOff(c *handoff) { c.Run(l.t) }

// Run implements transport.Task.
func (c *handoff) Run(t *transport.Loop) {
	l := loopOf(t)
	if c.decided {
		c.complete()
		return
	}
	switch owner := c.p.owner.Load(); owner {
	case l:
		c.decide(l)
	case nil:
		c.awaitLanding()
	default:
		_ = owner.t.Post(c)
	}
}

// awaitLanding waits for the hand-off that is moving the session. The loop where it lands
// may stand still: ours must not ask it again and again.
func (c *handoff) awaitLanding() {
	p := c.p
	p.mu.Lock()
	landed := p.owner.Load() != nil
	if !landed {
		x := p.extraLocked()
		x.landing = append(x.landing, c)
	}
	p.mu.Unlock()
	if landed {
		_ = c.l.t.Post(c)
	}
}

// land makes l the owner, with the hand-offs that waited for it.
func (p *Player) land(l *loop) {
	p.mu.Lock()
	p.owner.Store(l)
	var waiting []*handoff
	if p.extra != nil {
		waiting, p.extra.landing = p.extra.landing, nil
	}
	p.mu.Unlock()
	for _, c := range waiting {
		_ = l.t.Post(c)
	}
}

// decide runs on the owner's loop.
func (c *handoff) decide(l *loop) {
	p, now := c.p, l.t.Now()
	l.drainOut(p) // in the order sent, whatever follows; it may end the session
	if c.refusal = c.refuse(l, now); c.refusal != nil {
		c.returnToLink(l)
		return
	}
	switch c.kind {
	case resumed:
		if p.numbers { // changed on this loop only
			c.r.Routes = l.srv.dict.names
		}
		if c.answer, c.reset, c.refusal = p.s.Resume(nil, c.r, now); c.refusal == nil {
			l.confirmLogin(p) // it had its WELCOME
		}
	case reopened:
		if p.hello == nil {
			c.refusal = busy("this login is over") // it had its WELCOME after all: no honest client asks again
			break
		}
		c.reset = p.s.Reopen(now)
		c.answer = l.welcome(p, c.o)
	case adopted:
		c.adopt(l)
	}
	if c.refusal != nil {
		if c.refusal.Code == session.Inconsistent {
			l.srv.log.Warn("counts contradict", "session", p.ID(), "user", p.label(), "claims", c.r.Recv)
			l.end(p, Reason{Code: session.Inconsistent})
		}
		c.returnToLink(l)
		return
	}
	if c.kind == adopted || c.kind == resumed && c.r.Fresh {
		p.mu.Lock()
		p.extraLocked().run++ // what the app before it has asked is not answered any more
		p.mu.Unlock()
	}
	// The old link is fenced from here on, dead or half alive.
	if k := l.unlink(p); k != nil {
		l.srv.lost(p, lostReplaced)
		endOldLink(k)
		if c.kind != reopened {
			p.mu.Lock()
			p.life.Replace()
			p.seats.replace()
			p.mu.Unlock()
		}
	}
	p.dirty = false // l finds another owner in its list
	p.s.Leave()
	l.wheel.Remove(p.timer)
	p.owner.Store(nil)
	c.returnToLink(l)
}

// refuse returns why the session can't be handed over, nil if it can.
func (c *handoff) refuse(l *loop, now time.Duration) *session.CloseError {
	p := c.p
	if p.hasEnded() {
		if c.kind != resumed {
			return busy("the session has just ended") // its user may log in afresh
		}
		return l.srv.closeReason(p.s.ID(), now)
	}
	if p.migrating() {
		if c.kind == adopted { // the game is asked each time
			return busyFor(time.Second, "the user's session is on its way")
		}
		return retrySoon()
	}
	if c.kind == resumed {
		if wait := p.backoff(now); wait > 0 {
			return busyFor(wait, "more was sent than may wait, again and again")
		}
		if c.r.ID != p.s.ID() { // adopted meanwhile
			return l.srv.closeReason(c.r.ID, now)
		}
	}
	if l.srv.cfg.SealedStaysSealed && p.sealed && !c.o.sealed && c.kind != adopted {
		return &session.CloseError{Code: session.Unsealed, Text: "the session goes on over sealed links only"}
	}
	return nil
}

// adopt gives the session to a new login, under a new id: a client that had the old
// token can't come back with it.
func (c *handoff) adopt(l *loop) {
	p, s, now := c.p, l.srv, l.t.Now()
	old, id := p.s.ID(), c.id
	s.mu.Lock()
	s.confirmLoginLocked(p)
	s.table.Remove(old, p.user, session.Tombstone{Code: session.TakenOver, Recv: p.s.Received()}, now)
	s.table.Put(id, p.user, p)
	s.table.SetOpening(c.key, p)
	s.mu.Unlock()
	p.mu.Lock()
	p.s.Rename(id)
	if p.numbers != c.o.numbers {
		p.out.Clear(&s.budget) // sent meanwhile, in the other client's way: part of what is given up
		p.numbers = c.o.numbers
	}
	p.mu.Unlock()
	s.releaseID(old)
	s.opened(id)
	p.hello, p.sealed = &c.key, c.o.sealed
	p.s.Takeover(now)
	c.reset = true
	c.answer = l.welcome(p, c.o)
}

// returnToLink brings the decision to the loop of the link.
func (c *handoff) returnToLink(l *loop) {
	c.decided = true
	if c.l == l {
		c.complete()
		return
	}
	_ = c.l.t.Post(c)
}

// complete takes over the session, or refuses, on the loop of the link.
func (c *handoff) complete() {
	l, p := c.l, c.p
	if c.refusal != nil {
		if c.kind == adopted {
			l.srv.releaseID(c.id)
		}
		l.refuse(c.o, c.refusal)
		return
	}
	p.s.Adopt(&l.shard)
	p.timer = l.wheel.Add(p, p.s.Due())
	p.land(l)
	if c.kind != reopened {
		p.resumes++
		l.srv.count.resumed.Add(1)
		if f := l.srv.cfg.Observer.Resumed; f != nil {
			l.srv.observeOnLoop("Resumed", func() { f(p, c.reset) })
		}
	}
	if c.reset {
		l.srv.count.resets.Add(1)
		p.mu.Lock()
		p.life.Reset()
		p.seats.reset()
		if p.extra != nil {
			p.extra.over.Reset()
		}
		p.extra.failCalls(&codec.Error{Code: codec.ErrorReset, Text: "the session was reset before the answer came"})
		p.mu.Unlock()
	}
	l.attach(p, c.o, c.answer)
	l.announce(p)
	l.onWake(p)
}

// backoff is how long a client that overflowed has to wait until it may come back.
func (p *Player) backoff(now time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.extra == nil {
		return 0
	}
	return p.extra.over.Backoff(now, p.srv.cfg.Session.Grace)
}
