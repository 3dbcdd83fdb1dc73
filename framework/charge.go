// SPDX-License-Identifier: MIT

package framework

import (
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// This file is what a player pays for what it makes the server do. A packet is
// charged when it comes (loop.withinRate), what its handler sends to others when it
// is sent. A player that owes too much for the latter has its messages wait, in
// its inbox and then, by HOLD, at its client.

// Charge adds to what the player owes by Config.Rate, as if it had sent so many
// bytes more: for what the game does on its behalf, as a Server.Broadcast or a
// costly query. Broadcasts of a room in the player's own handlers and callbacks,
// and those of Group.By, charge it themselves: their bytes, for each member but
// one. One charge counts as an eighth of Rate.Burst at most. A player that owes
// more than Rate.Burst has its messages wait until it does not; that alone never
// ends its session. Safe to call from any goroutine.
func (p *Player) Charge(bytes int) { p.charge(int64(bytes)) }

// charge slows p down if it owes too much by then.
func (p *Player) charge(bytes int64) {
	rate, now := &p.srv.cfg.Rate, p.srv.now()
	cost := rate.Cost(0, bytes)
	if p.updateDebt(func(d *session.Debt) session.Excess { return d.AddFor(rate, cost, now) }) == session.Within {
		return
	}
	p.mu.Lock()
	first := !p.slowed
	p.slowed = true
	p.mu.Unlock()
	if first {
		p.srv.count.throttled.Add(1)
		p.srv.log.Debug("slowed down", "session", p.ID(), "user", p.label())
		p.wakeLoop() // for the loop to set a deadline
	}
}

// affords charges p for as many messages, if it does not owe too much by then.
func (p *Player) affords(messages int) bool {
	rate, now := &p.srv.cfg.Rate, p.srv.now()
	cost := rate.Cost(messages, 0)
	return session.Within == p.updateDebt(func(d *session.Debt) session.Excess {
		before := *d
		x := d.AddFor(rate, cost, now)
		if x != session.Within {
			*d = before
		}
		return x
	})
}

// now is the time of the loops, for other goroutines.
func (s *Server) now() time.Duration {
	if t := s.t.Load(); t != nil {
		return t.Now()
	}
	return 0 // Start has yet to return
}

// chargeReceived charges p for what it has sent.
func (p *Player) chargeReceived(cost, now time.Duration) session.Excess {
	rate := &p.srv.cfg.Rate
	return p.updateDebt(func(d *session.Debt) session.Excess { return d.Add(rate, cost, now) })
}

// updateDebt changes the debt. f may be called again, with the debt as it is by then.
func (p *Player) updateDebt(f func(d *session.Debt) session.Excess) session.Excess {
	for {
		old := p.debt.Load()
		d := session.Debt(old)
		x := f(&d)
		if p.debt.CompareAndSwap(old, uint32(d)) {
			return x
		}
	}
}

// forgiveDebt forgets a debt that was made good.
func (p *Player) forgiveDebt(now time.Duration) {
	p.updateDebt(func(d *session.Debt) session.Excess {
		d.Settle(&p.srv.cfg.Rate, now)
		return session.Within
	})
}

// due is when the wheel must visit p. Called on the owning loop.
func (p *Player) due(now time.Duration) time.Duration {
	at := p.s.Due()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.slowed {
		d := session.Debt(p.debt.Load())
		at = min(at, now+d.Ahead(&p.srv.cfg.Rate, now))
	}
	return at
}

// endSlowdown lets the messages of a player be handled again once it has made good.
// Called on the owning loop.
func (l *loop) endSlowdown(p *Player) {
	d := session.Debt(p.debt.Load())
	p.mu.Lock()
	done := p.slowed && d.Ahead(&l.srv.cfg.Rate, l.t.Now()) == 0
	if done {
		p.slowed = false
	}
	p.mu.Unlock()
	if done {
		p.schedule()
	}
}
