// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"time"

	"github.com/lifeline-go/lifeline/framework/internal/seats"
)

// This file lets strangers get into rooms of other servers: see Rooms.Everywhere.

const (
	// anyTime bounds how long a room for a stranger is looked for at other servers.
	anyTime = 2 * time.Second
	// anyTries is how many rooms are tried.
	anyTries = 3
)

// looksElsewhere reports whether a wish for any room may come true at another server.
func (k *roomKind) looksElsewhere(w joinWish) bool {
	return k.everywhere && k.clustered() && w.key == "" && w.user != "" && !w.watch && !w.here
}

// leaves returns the room that the player leaves for a seat, nil without one.
func (s *seat) leaves() *Room {
	if s.from == nil {
		return nil
	}
	return s.from.room
}

// seekAny finds a room for a stranger: the fullest of another server, or else one here.
func (k *roomKind) seekAny(p *Player, s *seat) {
	ctx, cancel := context.WithTimeout(context.Background(), anyTime)
	defer cancel()
	for range anyTries {
		key, ok := k.fullestElsewhere(p, s)
		if !ok {
			break
		}
		// A seat first: to find a room that is gone would make it anew, for one player alone.
		if k.srv.rooms.ReserveSeats(ctx, k.name, key, []string{p.user}) == nil {
			q := RoomQuery{Type: k.name, Key: key, Session: p.ID(), User: p.user}
			k.srv.rooms.FindRoom(q, func(at RoomPlace, err error) {
				if err != nil || at.Address == "" {
					k.makeAny(p, s)
					return
				}
				p.mu.Lock()
				s.sought.wish.key = key
				p.mu.Unlock()
				k.found(p, s, at, nil)
			})
			return
		}
		k.mu.Lock()
		k.others.NotFree(key)
		k.mu.Unlock()
	}
	k.makeAny(p, s)
}

// fullestElsewhere returns the key of the fullest room for strangers of another server. It
// reports false if there is none, or if there is one here by now.
func (k *roomKind) fullestElsewhere(p *Player, s *seat) (key string, ok bool) {
	p.mu.Lock()
	from := s.leaves()
	p.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.plan.Find("", from.seatsOf()) != nil {
		return "", false
	}
	return k.others.Fullest()
}

// makeAny lets the player into a room of this server.
func (k *roomKind) makeAny(p *Player, s *seat) {
	p.mu.Lock()
	if s.sought != nil {
		s.sought.wish.here = true
	}
	p.mu.Unlock()
	k.found(p, s, RoomPlace{}, nil)
}

// seatsOf returns the seats of a room, nil without one.
func (r *Room) seatsOf() *seats.Room[*Room] {
	if r == nil {
		return nil
	}
	return r.seats
}
