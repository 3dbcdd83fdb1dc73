// SPDX-License-Identifier: MIT

package framework

import (
	"time"
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
	cost := rate.cost(0, bytes)
	if p.debt.update(func(d *debt) excess { return d.addFor(rate, cost, now) }) == withinRate {
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
	cost := rate.cost(messages, 0)
	return withinRate == p.debt.update(func(d *debt) excess {
		before := *d
		x := d.addFor(rate, cost, now)
		if x != withinRate {
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

// due is when the wheel must visit p. Called on the owning loop.
func (p *Player) due(now time.Duration) time.Duration {
	at := p.s.Due()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.slowed {
		d := p.debt.now()
		at = min(at, now+d.ahead(&p.srv.cfg.Rate, now))
	}
	return at
}

// endSlowdown lets the messages of a player be handled again once it has made good.
// Called on the owning loop.
func (l *loop) endSlowdown(p *Player) {
	d := p.debt.now()
	p.mu.Lock()
	done := p.slowed && d.ahead(&l.srv.cfg.Rate, l.t.Now()) == 0
	if done {
		p.slowed = false
	}
	p.mu.Unlock()
	if done {
		p.schedule()
	}
}
