// SPDX-License-Identifier: MIT

package framework

import (
	"crypto/sha256"
	"io"
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// This file lets rooms go from a server that drains, if it is one of many. The members of
// a room go at once and to one server, where their wish to be in the room goes along. A
// room that keeps its state is handed over: see room_move.go. Another one ends here when the
// last has left, and is made anew there by the first who comes.

// leavesTogether is where the player's client is sent, and what it wishes for there. A
// player that is in no room that moves goes anywhere.
func (p *Player) leavesTogether() (by session.ID, rejoin []joining) {
	by = p.ID()
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := range p.seats.all() {
		if s.room == nil || !s.room.goesAlong() || !s.life.In() {
			continue
		}
		if rejoin == nil { // of several rooms one decides
			by = s.room.id()
		}
		rejoin = append(rejoin, s.again())
	}
	return by, rejoin
}

// again is the wish to be in the same room at another server.
func (s *seat) again() joining {
	return joining{Type: s.kind.name, Key: s.room.Key(), Watch: s.watching, Hops: 1}
}

// id stands for the room where a session's id chooses a server.
func (r *Room) id() (id session.ID) {
	sum := sha256.New()
	_, _ = io.WriteString(sum, r.name())
	copy(id[:], sum.Sum(nil))
	return id
}

// sendAway lets the player go to another server, with its rooms.
func (p *Player) sendAway() {
	by, _ := p.leavesTogether()
	p.sendAfter(by)
}

// sendAfter lets the player go to the server that follows from by, with its rooms. Those
// that keep their state go there too.
func (p *Player) sendAfter(by session.ID) {
	_, rejoin := p.leavesTogether()
	p.mu.Lock()
	if p.life.Ending() {
		p.mu.Unlock()
		return
	}
	if len(rejoin) > 0 {
		p.extraLocked().rejoin = rejoin
	}
	var rooms []*Room
	for s := range p.seats.all() {
		switch {
		case s.sought != nil:
			s.sought.moving = false // it is not for its sake any more
		case s.life.In() && s.room.keepsState():
			rooms = append(rooms, s.room)
		}
	}
	p.mu.Unlock()
	for _, r := range rooms {
		r.handOver(by)
	}
	to, _ := p.srv.elsewhere(by)
	p.dismiss(Reason{Code: session.Moved, Text: to})
}

// followRoom lets the player go after a room that was handed over while this server serves on,
// and leave its other rooms. One that goes elsewhere already, also for the sake of a room that
// it wishes for, leaves this one.
func (p *Player) followRoom(r *Room) {
	to, _ := p.srv.elsewhere(r.move.by)
	p.mu.Lock()
	x, s := p.extraLocked(), p.seats.in(r.kind)
	if p.life.Ending() || x.kick != nil || p.seats.moves() || s == nil || s.room != r {
		p.mu.Unlock()
		return
	}
	x.rejoin = []joining{s.again()}
	x.kick = &Reason{Code: session.Moved, Text: to}
	p.mu.Unlock()
	p.wakeLoop()
}

// sendAway lets all go who are in the room. Another server wants it, and this one drains.
// The caller holds kind.mu.
func (r *Room) sendAwayLocked() {
	if r.sentAway || clock().Before(r.playsOn) {
		return
	}
	r.sentAway = r.post(func() {
		if r.keepsState() && r.handOver(r.id()) {
			return
		}
		for _, p := range r.audience() {
			p.sendAway()
		}
	}, unbounded)
}

// endEmptyRooms lets no room linger that others may have.
func (s *Server) endEmptyRooms() {
	for _, k := range s.kinds {
		if !k.clustered() {
			continue
		}
		k.mu.Lock()
		k.plan.Ending()
		k.mu.Unlock()
	}
	for _, r := range s.roomList() {
		if !r.kind.clustered() {
			continue
		}
		r.kind.mu.Lock()
		r.dropKeptLocked() // nobody can come any more
		r.kind.mu.Unlock()
		r.endDeserted()
		if r.goesAlong() {
			r.closeEmpty(Reason{Code: session.ShuttingDown})
		}
	}
}

// endDeserted hands a room over, or ends it, that no member will take along: they have not
// come yet, or it is kept though it is empty. So is one that was just opened.
func (r *Room) endDeserted() {
	r.kind.mu.Lock()
	taken := r.seats.Taken()
	deserted := taken > 0 && taken == r.absentLocked() || taken == 0 && (r.kind.plan.Linger != 0 || !r.born.owned)
	r.kind.mu.Unlock()
	if deserted && r.goesAlong() && !(r.keepsState() && r.handOver(r.id())) {
		r.kind.mu.Lock()
		r.drained = r.drained || r.keepsState()
		r.endLocked(Reason{Code: session.ShuttingDown})
		r.kind.mu.Unlock()
	}
}

// turnsOf spreads the turns of players over the window, in the order of the list, those of
// one room at once. It returns when each goes.
func (s *Server) turnsOf(players []*Player, window time.Duration) []time.Duration {
	groups, of := map[session.ID]int{}, make([]int, len(players))
	for i, p := range players {
		by, _ := p.leavesTogether()
		if _, ok := groups[by]; !ok {
			groups[by] = len(groups)
		}
		of[i] = groups[by]
	}
	turns := make([]time.Duration, len(players))
	for i := range players {
		turns[i] = window * time.Duration(of[i]) / time.Duration(len(groups))
	}
	return turns
}
