// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/roomlist"
	"github.com/lifeline-go/lifeline/framework/internal/seats"
)

// roomKind is a type of room without its Go type.
type roomKind struct {
	srv  *Server
	name string
	make func(r *Room, params any) (any, error) // params is nil: the zero value
	of   reflect.Type                           // what make returns
	step time.Duration
	// heartbeat is what members get while they are in; nil: the server's.
	heartbeat *HeartbeatProfile
	grace     time.Duration // how long a seat is kept without a link; 0: as long as the session lives
	local     bool          // keys mean this server only, see Rooms.Local
	// everywhere: strangers are matched with rooms of other servers, see Rooms.Everywhere.
	everywhere bool
	private    bool // clients neither make, join nor leave it by name
	listed     bool // clients may list them
	saves      bool // of has OnSave and OnRestore
	keys       func(key string) bool

	ticks, overruns, skipped, joinsRefused   atomic.Uint64
	handedOver, restored, stateLost, drained atomic.Uint64 // see RoomStats

	// telling is held while players are told of lists, and is taken before mu: what was found
	// out first is told first.
	telling sync.Mutex

	mu sync.Mutex
	// Guarded by mu.
	plan    seats.Plan[*Room] // its limits are immutable once the server has started
	feed    roomlist.Feed[*Player]
	leaving map[string]*Room // about to go to another server, by key, until the cluster knows

	others otherRooms // see room_others.go
	told   toldRooms
}

// setting returns the type of room, which can be changed before Start alone.
func (k *roomKind) setting(what string) *roomKind {
	k.srv.mustBeRegistering(fmt.Sprintf("%s of room %q", what, k.name))
	return k
}

const (
	maxRooms   = 10_000 // of a type, unless Rooms.Most says otherwise
	maxRoomKey = 128    // bytes, unless Rooms.Keys says otherwise
)

// roomType returns the type of room that a client names. That there is none is counted as
// a route that there is not.
func (s *Server) roomType(name string) (*roomKind, error) {
	if k := s.kinds[name]; k != nil {
		return k, nil
	}
	s.count.noRoute.Add(1)
	return nil, refusal(codec.ErrorNoRoute, "there is no room type "+short(name))
}

// roomList are all rooms there are.
func (s *Server) roomList() (all []*Room) {
	for _, k := range s.kinds {
		k.mu.Lock()
		for at := range k.plan.All() {
			all = append(all, at.Value)
		}
		k.mu.Unlock()
	}
	return all
}
