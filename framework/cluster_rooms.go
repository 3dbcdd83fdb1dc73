// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/seats"
	"github.com/lifeline-go/lifeline/session"
)

// ClusterRooms is what a Cluster may implement besides: then a key means one room of all
// servers. Without it a key means a room of this server, as by Rooms.Local. Its methods are
// called from many goroutines without a lock. They do not block, but for those that say so.
type ClusterRooms interface {
	// FindRoom finds the room of a key that is not open here. If no server has it, one
	// becomes its owner, which may be this one: see ClusterRoomHost. done is called once, on
	// any goroutine. An error that is a *codec.Error is what the client is told.
	FindRoom(q RoomQuery, done func(RoomPlace, error))
	// TakeSeat gives away the seat that was kept here for a session that has come: see
	// ClusterRoomHost.Sit. It reports false if none is.
	TakeSeat(kind, key string, id ID) bool
	// ReserveSeats is ClusterRoomHost.Reserve at the server that has the room. Unlike the others
	// it blocks until that has answered, or ctx ends.
	ReserveSeats(ctx context.Context, kind, key string, users []string) error
	// BringUser is ClusterRoomHost.Bring at the server that has the session of the user. It blocks
	// until that has answered, or ctx ends. The error is ErrClosed if the user has none.
	BringUser(ctx context.Context, kind, key, user string, look bool) error
	// Lists asks each other server that has players for its rooms of a type: RoomList of its
	// ClusterRoomHost. known is what they told before, by incarnation. done is called once, on
	// any goroutine, within a second, with all servers that live, also those that do not answer.
	Lists(kind string, known map[string]uint64, done func([]RoomList))
	// CloseRoom gives up a room that OpenRoom made. It has ended, and OnEnd has returned.
	CloseRoom(kind, key string)
	// HandOverRoom gives a room to another server, with its state. Nothing of the room runs any
	// more. done is called once, on any goroutine, before or soon after ctx ends. On an error the
	// room is still this server's, and CloseRoom follows if OpenRoom made it.
	HandOverRoom(ctx context.Context, h RoomHandOver, done func(error))
	// RoomRuns tells that a room runs which OpenRoom was given the state of. That state is
	// of no more use.
	RoomRuns(kind, key string)
}

// RoomQuery asks a Cluster for a room.
type RoomQuery struct {
	Type, Key string
	// Session is the player's, of User: a seat is kept for it if the room is elsewhere.
	Session ID
	User    string
	Watch   bool // to listen only: no seat is kept, and no room is made
}

// RoomHandOver is a room that goes to another server.
type RoomHandOver struct {
	Type, Key  string
	Generation uint64 // Room.Generation
	To         string // the address of the server that shall have it, if it can
	State      []byte // that OpenRoom is given there
}

// RoomPlace is where a room is.
type RoomPlace struct {
	Address string // what clients dial to reach its server; empty: it is open here
}

// ClusterRoomHost is what a ClusterHost has for rooms. Its methods do not block.
type ClusterRoomHost interface {
	// OpenRoom makes the room of a key that this server has become the owner of. It goes on
	// from state, which HandOverRoom was given; nil if there is none. On an error, a
	// *codec.Error, there is no room. Else CloseRoom follows once, when it has ended, or
	// HandOverRoom. A key that was made here has no owner but this server until its room is
	// handed over: gen is 0, and CloseRoom does not follow.
	OpenRoom(kind, key string, gen uint64, state []byte) error
	// Load returns how many players the server has, and how many it may have.
	Load() (players, most int)
	// HasRoom reports whether the room of a key is open here, and has not begun to end.
	HasRoom(kind, key string) bool
	// KeepsRooms reports whether rooms of a type keep their state, and so are handed over.
	KeepsRooms(kind string) bool
	// RoomLeaves reports whether the room of a key is about to go from here: it is not open any
	// more, and HandOverRoom was not called yet.
	RoomLeaves(kind, key string) bool
	// Sit takes a seat in a room that is open here, for a player that is on its way: that
	// which is reserved for its user, or a free one. The error is ErrNoRoom, or a *codec.Error
	// for the client. If the server drains, the room ends for that, and the error is ErrNoRoom
	// until it has.
	Sit(kind, key, user string) error
	// InspectRooms is Server.InspectRooms.
	InspectRooms(limit int, keep func(*RoomInfo) bool) []RoomInfo
	// RoomsOf returns the rooms that a player is in, each as type/key.
	RoomsOf(p *Player) []string
	// Unsit gives back a seat that was taken by Sit, and that TakeSeat has not given away.
	Unsit(kind, key string)
	// Expects reports whether a session is that of a member of a room which was handed over
	// to this server, and has not come yet: its seat is there, and Sit would take another one.
	Expects(kind, key, user string, id ID) bool
	// Reserve keeps a seat for each of these users in a room that is open here, all or none:
	// see RoomsOf.Reserve. The error is ErrNoRoom, or a *codec.Error.
	Reserve(kind, key string, users []string) error
	// Bring lets the newest session of a user that is here join a room, wherever that is. If look
	// is true it only looks whether the session is in another room of the type. The error is
	// ErrClosed if it is not here, or a *codec.Error.
	Bring(kind, key, user string, look bool) error
	// RoomList returns what lists of other servers tell of the rooms of a type that are here, but
	// for its Server. Without a change since the version known there is no Body.
	RoomList(kind string, known uint64) (RoomList, error)
}

// ErrNoRoom says that a room is not open: at this server, or at any of the cluster where
// that is asked.
var ErrNoRoom = errors.New("framework: there is no such room")

// ErrMoved ends the wait for a room that is at another server of the cluster: the player
// goes there, and what came of its wish is known there.
var ErrMoved = errors.New("framework: the player goes to the server that has the room")

// errSought says that the room may be at another server.
var errSought = errors.New("framework: the room is sought")

// arrivalLinger is how long a room that was opened for players to come waits for the
// first of them at least.
const arrivalLinger = 15 * time.Second

// Generation tells one room of a key from the next one, for what the game writes to its
// own database: a server that has lost the room, and does not know yet, has a lower one.
// A write that meets a higher one must not be done. It is 0 if the server is of no
// cluster, or the type is Local. Safe to call from any goroutine.
func (r *Room) Generation() uint64 { return r.born.gen }

// clustered reports whether keys of the type mean rooms of all servers.
func (k *roomKind) clustered() bool { return k.srv.rooms != nil && !k.local }

// shared reports whether the room of a key may be at another server. A key that was made
// here begins with this server's prefix: such a room goes only if it keeps its state.
func (k *roomKind) shared(key string) bool {
	return k.clustered() && key != "" && (k.saves || !strings.HasPrefix(key, k.plan.Prefix))
}

// prefixKeys makes the keys that this server makes differ from those of all others.
func (s *Server) prefixKeys() {
	for _, k := range s.kinds {
		if k.clustered() {
			k.mu.Lock()
			k.plan.Prefix = roomKeyPrefix(s.cfg.Node, s.boot)
			k.mu.Unlock()
		}
	}
}

// roomKeyPrefix begins the keys that a server of a cluster makes: those of rooms for
// strangers, and of RoomsOf.Open. A Cluster knows by it where such a room is.
func roomKeyPrefix(node uint16, boot uint32) string { return fmt.Sprintf("%d.%08x-", node, boot) }

// OpenRoom implements ClusterRoomHost.
func (h clusterHost) OpenRoom(kind, key string, gen uint64, state []byte) error {
	k := h.s.kinds[kind]
	if k == nil {
		return refusal(codec.ErrorNoRoute, "there is no room type "+short(kind))
	}
	h.s.mu.Lock()
	draining := h.s.draining || h.s.released.Load() || h.s.t.Load() == nil
	h.s.mu.Unlock()
	if draining || !k.clustered() {
		return refusal(codec.ErrorBusy, "no room is made at this server")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.mayMakeLocked(nil); err != nil {
		return err
	}
	st := k.parseRoomState(key, state)
	r := k.makeLocked(key, birth{gen: gen, owned: gen > 0, state: st})
	if st != nil {
		r.expectLocked(st)
	}
	if r.seats.Taken() == 0 {
		r.lingerLocked(arrivalLinger)
	}
	return nil
}

// open returns the room of a key with its kind locked, which the caller unlocks; nil, and
// nothing is locked, if it is not open.
func (h clusterHost) open(kind, key string) *Room {
	k := h.s.kinds[kind]
	if k == nil {
		return nil
	}
	k.mu.Lock()
	if at := k.plan.Get(key); at != nil {
		return at.Value
	}
	k.mu.Unlock()
	return nil
}

// Load implements ClusterRoomHost.
func (h clusterHost) Load() (players, most int) {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	return h.s.table.Len() + len(h.s.logins) + len(h.s.arriving), h.s.cfg.MaxSessions
}

// HasRoom implements ClusterRoomHost.
func (h clusterHost) HasRoom(kind, key string) bool {
	r := h.open(kind, key)
	if r != nil {
		r.kind.mu.Unlock()
	}
	return r != nil
}

// KeepsRooms implements ClusterRoomHost.
func (h clusterHost) KeepsRooms(kind string) bool {
	k := h.s.kinds[kind]
	return k != nil && k.saves
}

// RoomLeaves implements ClusterRoomHost.
func (h clusterHost) RoomLeaves(kind, key string) bool {
	k := h.s.kinds[kind]
	if k == nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.leaving[key] != nil
}

// Sit implements ClusterRoomHost.
func (h clusterHost) Sit(kind, key, user string) error {
	draining, full := h.s.notTaking()
	r := h.open(kind, key)
	if r == nil {
		return ErrNoRoom
	}
	defer r.kind.mu.Unlock()
	draining = draining || r.kind.plan.IsEnding()
	switch {
	case draining && r.goesAlong():
		r.sendAwayLocked()
		return ErrNoRoom // soon
	case draining:
		return refusal(codec.ErrorBusy, "the server of the room is shutting down")
	case full:
		return refusal(codec.ErrorBusy, "the server of the room is full")
	}
	why := seats.Granted
	if !r.takeReservedLocked(user) {
		why = r.sitLocked(1)
	}
	if why == seats.Granted {
		r.kept++
	}
	return r.kind.refusal(why)
}

// Expects implements ClusterRoomHost.
func (h clusterHost) Expects(kind, key, user string, id ID) bool {
	r := h.open(kind, key)
	if r == nil {
		return false
	}
	defer r.kind.mu.Unlock()
	_, a := r.absenteeLocked(id, user)
	return a != nil && !a.coming
}

// notTaking reports why no player can come here.
func (s *Server) notTaking() (draining, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining, s.table.Len()+len(s.logins)+len(s.arriving) >= s.cfg.MaxSessions
}

// InspectRooms implements ClusterRoomHost.
func (h clusterHost) InspectRooms(limit int, keep func(*RoomInfo) bool) []RoomInfo {
	return h.s.InspectRooms(limit, keep)
}

// RoomsOf implements ClusterRoomHost.
func (h clusterHost) RoomsOf(p *Player) (names []string) {
	for _, r := range p.Rooms() {
		names = append(names, r.name())
	}
	return names
}

// Unsit implements ClusterRoomHost.
func (h clusterHost) Unsit(kind, key string) {
	r := h.open(kind, key)
	if r == nil {
		return // it has ended, and its kept seats with it
	}
	kept := r.kept > 0
	if kept {
		r.kept--
	}
	r.kind.mu.Unlock()
	if kept {
		r.releaseSeat(false, Reason{})
	}
}

// endRooms ends the rooms that this server was the owner of: another one may be.
func (s *Server) endRooms() {
	for _, r := range s.roomList() {
		if r.born.owned {
			r.end(Reason{Code: session.ShuttingDown, Text: "the server has lost its place"})
		}
	}
}
