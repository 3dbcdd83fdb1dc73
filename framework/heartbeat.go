// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"
	"time"
)

// HeartbeatProfile says how soon a dead link is found: an idle client is heard every
// Interval, and a link silent for Timeout is dead.
type HeartbeatProfile struct{ Interval, Timeout time.Duration }

// The usual profiles. Demanding costs five times the heartbeats: give it to the
// rooms where seconds decide, not to all.
var (
	HeartbeatNormal    = HeartbeatProfile{10 * time.Second, 35 * time.Second}
	HeartbeatDemanding = HeartbeatProfile{2 * time.Second, 8 * time.Second}
)

// SetHeartbeat changes the player's profile for the rest of its session; the
// client is told. The error says why a profile can't work.
func (p *Player) SetHeartbeat(f HeartbeatProfile) error {
	if err := p.srv.cfg.Session.CheckProfile(f.Interval, f.Timeout); err != nil {
		return err
	}
	p.mu.Lock()
	p.extraLocked().heartbeat = &f
	p.mu.Unlock()
	p.wakeLoop()
	return nil
}

// Heartbeat gives the members of these rooms a profile of their own. A player that
// leaves has the server's again.
func (rs *RoomsOf[R, P]) Heartbeat(f HeartbeatProfile) *RoomsOf[R, P] {
	k := rs.kind.setting("Heartbeat")
	if err := k.srv.cfg.Session.CheckProfile(f.Interval, f.Timeout); err != nil {
		panic(fmt.Sprintf("framework: room %q: %v", k.name, err))
	}
	k.heartbeat = &f
	return rs
}

// roomHeartbeat applies the profile of a room of type k that p has entered or left:
// of all its rooms that which finds a dead link soonest.
func (p *Player) roomHeartbeat(k *roomKind) {
	if k.heartbeat == nil {
		return
	}
	f := HeartbeatProfile{p.srv.cfg.Session.Interval, p.srv.cfg.Session.Timeout}
	p.mu.Lock()
	own := false
	for s := p.seats; s != nil; s = s.next {
		if h := s.room.kind.heartbeat; h != nil && s.life.In() && (!own || h.Timeout < f.Timeout) {
			f, own = *h, true
		}
	}
	p.mu.Unlock()
	_ = p.SetHeartbeat(f) // all were checked at start
}

// tune takes over a profile that was set. Called on the owning loop.
func (l *loop) tune(p *Player) {
	p.mu.Lock()
	var f *HeartbeatProfile
	if p.extra != nil {
		f, p.extra.heartbeat = p.extra.heartbeat, nil
	}
	p.mu.Unlock()
	if f != nil && p.s.Tune(f.Interval, f.Timeout) == nil {
		l.wheel.Set(p.timer, p.due(l.t.Now()))
	}
}
