// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// Room is the client's view of one type of room: of which one it is in, by its own
// wish or the server's, and why it is out again. A client is in one room of each type
// at a time. Its methods are safe to call from any goroutine.
type Room struct {
	all  *rooms
	name string

	// Guarded by rooms.mu.
	key      string
	in       bool
	watching bool
	again    *again   // the room is lost, and asked for again; nil: it is not
	behind   []string // the rooms that it was moved out of, until routeLeft of them comes
	onJoined func(key string)
	onLeft   func(key string, why Reason)
	list     map[string]RoomInfo // that is followed
	onList   func([]RoomInfo)    // nil: none is
	follows  int                 // calls of Follow and Unfollow
}

// Reason is why a client has left a room: a code of a session's end, one of a room's
// (CodeRoomFinished and the like) or one of the game's, from 1,000 on.
// The code is 0 if that was told while the client was away and is lost.
type Reason struct {
	Code session.Code
	Text string
}

// What the server tells of rooms, and what it is asked.
const (
	routeJoined = "room.joined"
	routeLeft   = "room.left"
	routeRooms  = "room.all"
	routeJoin   = "room.join"
	routeLeave  = "room.leave"
	routeWatch  = "room.watch"
)

// rooms are the views of all types. Their methods are safe to call from any goroutine,
// except for what takes news: that runs on the delivery goroutine.
type rooms struct {
	ask   func(ctx context.Context, route string, v, reply any) error // Client.Request
	begin func(route string, v any, done func(error))                 // Client.begin
	later func(f func())                                              // Client.later
	pause func(most time.Duration) time.Duration                      // a random one

	// order is held while the client asks again by itself, and while the app's own wish ends
	// that: so the app's comes last. mu, and that of the client, are below it.
	order sync.Mutex

	mu      sync.Mutex // guards the rest, and what the views hold
	byType  map[string]*Room
	restart bool // the server of the session was lost, and room.all has not come since
}

// get returns the view of a type, always the same one.
func (s *rooms) get(name string) *Room {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.getLocked(name)
}

func (s *rooms) getLocked(name string) *Room {
	r := s.byType[name]
	if r == nil {
		r = &Room{all: s, name: name}
		if s.byType == nil {
			s.byType = map[string]*Room{}
		}
		s.byType[name] = r
	}
	return r
}

// OnJoined sets what is called when the client gets into a room of the type, by Join
// or because the server has put it there. It runs where the handlers of OnMessage do:
// after those of what the server's OnJoin has sent, and before Join returns. If a server
// has crashed, the client joins its rooms again by itself. OnJoined is then called once
// more, with the same key and without OnLeft: the room was made anew, and knows nothing of
// what the client has told it.
func (r *Room) OnJoined(f func(key string)) {
	r.all.mu.Lock()
	defer r.all.mu.Unlock()
	r.onJoined = f
}

// OnLeft sets what is called when the client is out of a room of the type, and why:
// by Leave, because the room has ended, the server has taken it out or moved it to
// another room (OnJoined comes first then), because the session has ended, or because the
// server has crashed and the room does not let it in again (CodeRoomLost). It runs where the
// handlers of OnMessage do, after those of what the room has sent.
func (r *Room) OnLeft(f func(key string, why Reason)) {
	r.all.mu.Lock()
	defer r.all.mu.Unlock()
	r.onLeft = f
}

// Key returns the key of the room that the client is in. ok is false if it is in none
// of the type.
func (r *Room) Key() (key string, ok bool) {
	r.all.mu.Lock()
	defer r.all.mu.Unlock()
	return r.key, r.in
}

// Watching reports whether the client is in as a spectator.
func (r *Room) Watching() bool {
	r.all.mu.Lock()
	defer r.all.mu.Unlock()
	return r.watching
}

// Join takes a seat in the room of a key and returns the key. If it is empty, that is
// the fullest room which takes strangers and has a free seat, or a new one. In the room
// that the client is in it is in already. The error is as Request's.
func (r *Room) Join(ctx context.Context, key string) (string, error) {
	r.all.appDecides(r.name)
	err := r.all.ask(ctx, routeJoin, [...]string{r.name, key}, &key)
	return key, err
}

// Watch enters the room of a key to listen only, where the server allows spectators.
// The error is as Request's.
func (r *Room) Watch(ctx context.Context, key string) error {
	r.all.appDecides(r.name)
	return r.all.ask(ctx, routeWatch, [...]string{r.name, key}, nil)
}

// Leave gives up the seat. The error is as Request's.
func (r *Room) Leave(ctx context.Context) error {
	r.all.appDecides(r.name)
	return r.all.ask(ctx, routeLeave, [...]string{r.name}, nil)
}

// seatNews is what RouteJoined tells.
type seatNews struct {
	Type, Key string
	Watching  bool
}

// leaveNews is what RouteLeft tells.
type leaveNews struct {
	Type, Key string
	Code      session.Code
	Text      string
}

// take takes what the server tells of rooms. It reports false if the route is of
// something else.
func (s *rooms) take(route string, payload []byte) (ours bool, err error) {
	switch route {
	case routeJoined:
		return true, take(payload, s.joined)
	case routeLeft:
		return true, take(payload, func(m leaveNews) { s.left(m.Type, m.Key, Reason{m.Code, m.Text}) })
	case routeRooms:
		return true, take(payload, s.replace)
	case routeListed:
		return true, take(payload, s.listed)
	}
	return false, nil
}

func (s *rooms) joined(m seatNews) {
	s.mu.Lock()
	r := s.getLocked(m.Type)
	known := r.in && r.key == m.Key && r.watching == m.Watching && r.again == nil
	lost, moved := r.key, r.in && r.key != m.Key
	if moved {
		r.behind = append(r.behind, lost)
	}
	untold := moved && r.again != nil // the server does not know of the room that was lost
	r.notAgain()
	r.key, r.in, r.watching = m.Key, true, m.Watching
	f := r.onJoined
	s.mu.Unlock()
	if f != nil && !known {
		f(m.Key)
	}
	if untold {
		s.left(m.Type, lost, Reason{Code: CodeRoomMoved})
	}
}

// left takes note that a room was left. The client may be in another one of the type
// by now: it was moved.
func (s *rooms) left(name, key string, why Reason) {
	s.mu.Lock()
	r := s.getLocked(name)
	if i := slices.Index(r.behind, key); i >= 0 {
		r.behind = slices.Delete(r.behind, i, i+1)
	} else if r.in && r.key == key {
		r.notAgain()
		r.key, r.in, r.watching = "", false, false
	}
	f := r.onLeft
	s.mu.Unlock()
	if f != nil {
		f(key, why)
	}
}

// replace takes over which rooms the client is in: what was told before may be lost.
func (s *rooms) replace(all []seatNews) {
	here := map[string]string{}
	for _, m := range all {
		here[m.Type] = m.Key
	}
	s.askAgain(here)
	s.leaveAll(Reason{Text: "while the client was away"}, func(r *Room) bool {
		key, in := here[r.name]
		return in && key == r.key || !in && r.again != nil
	})
	for _, m := range all {
		s.joined(m)
	}
}

// leaveAll takes note that all rooms were left, except those that keep says.
func (s *rooms) leaveAll(why Reason, keep func(*Room) bool) {
	s.mu.Lock()
	s.restart = false
	type place struct{ name, key string }
	var gone []place
	for _, name := range slices.Sorted(maps.Keys(s.byType)) {
		r := s.byType[name]
		for _, key := range r.behind {
			gone = append(gone, place{name, key})
		}
		if r.in && !keep(r) {
			gone = append(gone, place{name, r.key})
		}
	}
	s.mu.Unlock()
	for _, p := range gone {
		s.left(p.name, p.key, why)
	}
}
