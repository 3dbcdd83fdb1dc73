// SPDX-License-Identifier: MIT

package place

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// The bounds of Seats.
const (
	SeatTime     = 15 * time.Second // that a seat is kept
	MaxRoomSeats = 1024             // that are kept in a room
	MaxSeats     = 16384            // and at a server
)

// Seat is a seat of a room that is kept for a session on its way.
type Seat struct {
	Name    string // of the room in the directory
	Session session.ID
}

// Seats are the seats that are kept at a server. The zero value has none.
type Seats struct {
	m     map[Seat]time.Duration // until when
	rooms map[string]int         // how many
	next  time.Duration          // no seat ends before, if there is one
}

// Keep keeps a seat for SeatTime. sit takes it from the room, or says why not. It is not
// called if a seat is kept for the session already, which is kept for longer then.
func (s *Seats) Keep(name string, id session.ID, now time.Duration, sit func() Refusal) Refusal {
	at := Seat{name, id}
	if _, ok := s.m[at]; !ok {
		if len(s.m) >= MaxSeats || s.rooms[name] >= MaxRoomSeats {
			return TooMany
		}
		if why := sit(); why != Granted {
			return why
		}
		if s.m == nil {
			s.m, s.rooms = map[Seat]time.Duration{}, map[string]int{}
		}
		s.rooms[name]++
	}
	s.m[at] = now + SeatTime
	if len(s.m) == 1 {
		s.next = now + SeatTime
	}
	return Granted
}

// Use gives the seat to the session, which has come. False says that none is kept.
func (s *Seats) Use(name string, id session.ID) bool {
	at := Seat{name, id}
	_, ok := s.m[at]
	if ok {
		s.remove(at)
	}
	return ok
}

// Drop forgets the seats of a room that is over, or moves: they end with it.
func (s *Seats) Drop(name string) {
	if s.rooms[name] == 0 {
		return
	}
	for at := range s.m {
		if at.Name == name {
			s.remove(at)
		}
	}
}

func (s *Seats) remove(at Seat) {
	delete(s.m, at)
	if s.rooms[at.Name]--; s.rooms[at.Name] == 0 {
		delete(s.rooms, at.Name)
	}
}

// Expired returns the seats whose time is over, and forgets them. They are to be given back
// to their rooms.
func (s *Seats) Expired(now time.Duration) (list []Seat) {
	if len(s.m) == 0 || now < s.next {
		return nil
	}
	s.next = now + SeatTime
	for at, until := range s.m {
		if until <= now {
			list = append(list, at)
			s.remove(at)
		} else {
			s.next = min(s.next, until)
		}
	}
	slices.SortFunc(list, func(a, b Seat) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return bytes.Compare(a.Session[:], b.Session[:])
	})
	return list
}

// NextAt returns a time before which no seat ends, and false if none is kept.
func (s *Seats) NextAt() (time.Duration, bool) { return s.next, len(s.m) > 0 }

// Of returns how many seats of a room are kept.
func (s *Seats) Of(name string) int { return s.rooms[name] }

// Len returns how many seats are kept.
func (s *Seats) Len() int { return len(s.m) }
