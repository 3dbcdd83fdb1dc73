// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"
	"reflect"
	"time"
)

// RoomsOf is a registered type of room. R is what the game made for a room,
// usually a pointer to a struct, and P what a room is opened with: see AddRoomWith.
type RoomsOf[R, P any] struct{ kind *roomKind }

// Rooms is a type of room that is opened with nothing: see AddRoom.
type Rooms[R any] = RoomsOf[R, struct{}]

// AddRoom registers a type of room. make is called on the room's goroutine
// when the first player of a key joins; the room ends when the last has left,
// or later: see Linger. What can't work panics: a method of R that looks like a
// callback and is none, because its name or its signature is a little off, too.
func AddRoom[R any](s *Server, name string, make func(r *Room) R) *Rooms[R] {
	k := s.addRoom(name, reflect.TypeFor[R](), make == nil)
	k.make = func(r *Room, _ any) (any, error) { return make(r), nil }
	return &Rooms[R]{k}
}

// AddRoomWith is AddRoom for rooms that are opened with parameters: see
// RoomsOf.Open. A room that is made because a player joins gets the zero P. An
// error refuses: the room ends before it has begun, and its error, which may be
// one of Fail, is what Open and those who join are told.
func AddRoomWith[R, P any](s *Server, name string, make func(r *Room, params P) (R, error)) *RoomsOf[R, P] {
	k := s.addRoom(name, reflect.TypeFor[R](), make == nil)
	k.make = func(r *Room, params any) (any, error) {
		p, _ := params.(P)
		return make(r, p)
	}
	return &RoomsOf[R, P]{k}
}

func (s *Server) addRoom(name string, of reflect.Type, isNil bool) *roomKind {
	switch {
	case name == "":
		panic("framework: AddRoom without a name")
	case s.kinds[name] != nil:
		panic(fmt.Sprintf("framework: room %q registered twice", name))
	case isNil:
		panic(fmt.Sprintf("framework: room %q: make is nil", name))
	}
	s.mustBeRegistering(fmt.Sprintf("room %q registered", name))
	if err := checkCallbacks(of); err != nil {
		panic(fmt.Sprintf("framework: room %q: %v", name, err))
	}
	if len(s.kinds) == 0 { // else it costs no server anything
		s.add(RouteWatch, handler{reply: true, begin: s.beginWatch}, RouteTypes{})
		s.Sends(DeliverAll, RouteJoined, RouteLeft, RouteRooms)
		s.addListRoutes()
	}
	k := &roomKind{srv: s, name: name, of: of, keys: printable, saves: of.Implements(reflect.TypeFor[SaveHandler]())}
	k.plan.Rooms = maxRooms
	s.kinds[name] = k
	return k
}

// Private keeps clients from making, joining and leaving rooms of the type by
// themselves: the game opens them and puts players in, by Open, Seat, Join and
// Move. A client that tries is refused with codec.ErrorRefused.
func (rs *RoomsOf[R, P]) Private() *RoomsOf[R, P] {
	rs.kind.setting("Private").private = true
	return rs
}

// Tick makes rooms that implement TickHandler tick at a fixed step, of at least a
// millisecond, while they have members. In an empty room time stands still: the
// first step after that is the next one, and comes a step later. A type that is no
// TickHandler panics.
func (rs *RoomsOf[R, P]) Tick(step time.Duration) *RoomsOf[R, P] {
	k := rs.kind.setting("Tick")
	switch {
	case step < time.Millisecond:
		panic(fmt.Sprintf("framework: room %q: a Tick of %v is less than a millisecond", k.name, step))
	case k.of.Kind() != reflect.Interface && !k.of.Implements(reflect.TypeFor[TickHandler]()):
		panic(fmt.Sprintf("framework: room %q: Tick, and %v has no OnTick(framework.Tick)", k.name, k.of))
	}
	k.step = step
	return rs
}

// Seats bounds the members of each room: a player that comes when all seats are taken
// is refused. One that asks for any room gets into the fullest with a free seat.
func (rs *RoomsOf[R, P]) Seats(n int) *RoomsOf[R, P] {
	k := rs.kind.setting("Seats")
	if n < 1 {
		panic(fmt.Sprintf("framework: room %q: Seats %d, want at least one", k.name, n))
	}
	k.plan.Seats = n
	return rs
}

// Grace takes the seat of a member, or the place of a spectator, when its link has been lost for
// d: it is out with session.Expired, and in the session still. If it is not called, or for the
// time that d is more, a seat is kept as long as the session lives: Config.Session.Grace.
func (rs *RoomsOf[R, P]) Grace(d time.Duration) *RoomsOf[R, P] {
	k := rs.kind.setting("Grace")
	if err := meant("Grace", d); err != nil || d <= 0 {
		panic(fmt.Sprintf("framework: room %q: a Grace of %v is less than a millisecond", k.name, d))
	}
	k.grace = d
	return rs
}

// Spectators lets so many watch each room: players, of this type or none, who get what
// Broadcast sends and may not send on the room's routes, and who count neither for
// Seats nor for whether the room is empty. Clients ask by RouteWatch, also where the
// type is Private; OnWatch may refuse. If it is not called, there are none.
func (rs *RoomsOf[R, P]) Spectators(n int) *RoomsOf[R, P] {
	k := rs.kind.setting("Spectators")
	if n < 1 {
		panic(fmt.Sprintf("framework: room %q: Spectators(%d) is less than 1", k.name, n))
	}
	k.plan.Spectators = n
	return rs
}

// Most bounds how many rooms of the type there are, empty ones included. If it
// is not called, 10,000. When a player needs one more, the room ends that has
// been empty for longest; if none is, the player is refused with codec.ErrorBusy
// and counted (RoomStats.Refused). A room that a client's request makes is
// charged to its player as 100 messages: see Config.Rate.
func (rs *RoomsOf[R, P]) Most(n int) *RoomsOf[R, P] {
	k := rs.kind.setting("Most")
	if n < 1 {
		panic(fmt.Sprintf("framework: room %q: Most(%d) is less than 1", k.name, n))
	}
	k.plan.Rooms = n
	return rs
}

// Keys says which keys rooms of the type may have: valid returns true for them.
// It must be safe to call from any goroutine, and is not asked for the empty key,
// which stands for any room. If Keys is not called, a key is valid UTF-8 of at
// most 128 bytes that can be printed. Another key is refused with
// codec.ErrorBadRequest.
func (rs *RoomsOf[R, P]) Keys(valid func(key string) bool) *RoomsOf[R, P] {
	k := rs.kind.setting("Keys")
	if valid == nil {
		panic(fmt.Sprintf("framework: room %q: Keys(nil)", k.name))
	}
	k.keys = valid
	return rs
}

// Linger keeps an empty room for d before it ends; if d is negative, as long as
// the server runs, or until another room needs its place: see Most. The room does
// not tick while it is empty. If d is zero, as at first, it ends at once.
func (rs *RoomsOf[R, P]) Linger(d time.Duration) *RoomsOf[R, P] {
	k := rs.kind.setting("Linger")
	if err := meant("Linger", d); err != nil {
		panic(fmt.Sprintf("framework: room %q: %v", k.name, err))
	}
	k.plan.Linger = d
	return rs
}

// OnRoomMessage registers the room's handler of a one-way message. From a player who is
// in no such room the message is dropped. A route belongs to one type of room, or to none: a
// second handler of it panics.
func OnRoomMessage[R, M, P any](rs *RoomsOf[R, P], route string, fn func(room R, p *Player, m M)) *Route {
	return addMessage(rs.kind.srv, route, rs.kind, fn == nil, func(room any, p *Player, _ scope, m M) { fn(room.(R), p, m) })
}

// OnRoomRequest registers the room's handler of a request. From a player who is in
// no such room it is answered with codec.ErrorNotJoined. A route belongs to one type of room:
// see OnRoomMessage.
func OnRoomRequest[R, Q, A, P any](rs *RoomsOf[R, P], route string, fn func(room R, p *Player, q Q) (A, error)) *Route {
	return addRequest(rs.kind.srv, route, rs.kind, fn == nil, func(room any, p *Player, _ scope, q Q) (A, error) { return fn(room.(R), p, q) })
}

// Post runs f with the room of a key on its goroutine, if there is one. If that is being made
// and is refused then, f does not run: see Do.
func (rs *RoomsOf[R, P]) Post(key string, f func(room R)) bool {
	rs.kind.mu.Lock()
	at := rs.kind.plan.Get(key)
	rs.kind.mu.Unlock()
	return at != nil && at.Value.Post(func() {
		if at.Value.born.err == nil {
			f(at.Value.value.(R))
		}
	})
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

// Listed lets clients list the rooms of the type, filter them by what Room.Publish has
// published, and follow the list: RouteList, RouteFollow. A room that has no seat free
// is in it too. In a cluster the list has the rooms of all servers, as they were up to three
// seconds ago, unless the type is Local: 1,000 rooms or 64 KiB of each other server, and 10,000
// of all of them together.
func (rs *RoomsOf[R, P]) Listed() *RoomsOf[R, P] {
	rs.kind.setting("Listed").listed = true
	return rs
}

// Name returns the name of the type of room.
func (rs *RoomsOf[R, P]) Name() string { return rs.kind.name }

// Everywhere lets players who ask for any room get into one of another server, if none here
// has a free seat: the fullest there is, as far as is known, which may be a second old. The
// player goes there, as into any room of another server. If there is none, or the other servers
// do not answer in two seconds, one is made here. So strangers fill the rooms of their own
// server first, and no server makes a room while another one has a free seat, but for those who
// come in the same second. A player without a user stays at its server. Without a cluster, and
// if the type is Local, it changes nothing.
func (rs *RoomsOf[R, P]) Everywhere() *RoomsOf[R, P] {
	rs.kind.setting("Everywhere").everywhere = true
	return rs
}

// Local makes keys of the type mean rooms of this server only, also if it is one of a
// cluster: the same key is another room at another server. Without a cluster that is so
// anyway.
func (rs *RoomsOf[R, P]) Local() *RoomsOf[R, P] {
	rs.kind.setting("Local").local = true
	return rs
}
