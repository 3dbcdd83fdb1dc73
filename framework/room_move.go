// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// This file gives a room to another server of the cluster, with its state and its members:
// section 14.6 of cluster/SPEC.md. How it goes on there is in room_return.go.
//
// The links of the members are fenced first. So nothing of them comes in any more, what was
// accepted is handled here, and each comes to rest before it would leave. Then the room
// is saved. The members are let go when it is not this server's any more.

// MaxRoomState bounds what OnSave may return, in bytes.
const MaxRoomState = 256 << 10

var (
	errNotSaved  = errors.New("framework: OnSave has not returned")
	errRoomState = fmt.Errorf("framework: the state of the room is larger than %d bytes", MaxRoomState)
)

// Why a room is not handed over: see Room.HandOver. Use errors.Is.
var (
	// ErrRoomStays says that the room can't go to any other server.
	ErrRoomStays = errors.New("framework: the room stays at its server")
	// ErrNoServer says that no other server takes rooms at present.
	ErrNoServer = errors.New("framework: no other server takes rooms")
	// ErrRoomMoves says that the room is on its way already.
	ErrRoomMoves = errors.New("framework: the room is on its way to another server")
)

// move is a room on its way to another server. The room's goroutine owns it.
type move struct {
	by      session.ID // the server is chosen by it
	alone   bool       // on demand: the other rooms of its members do not go along
	users   []string   // that seats are kept for
	waiting []*Player  // members that go along, and have nothing to do any more
	saved   bool       // nothing of the room runs until it is known what comes of it
	gone    bool       // another server has the room
}

// roomState is what goes along with a room. Fields are only ever appended.
type roomState struct {
	State     []byte // made by OnSave
	Tick      uint64 // the last one
	Shut      bool   // by SetOpen
	Published []publishedValue
	Members   []roomMember
	Reserved  []string // users
	Matched   bool     // it is one for strangers
}

type publishedValue struct{ Name, Value string }

type roomMember struct {
	Session []byte
	User    string
}

// keepsState reports whether the room goes to another server as it is.
func (r *Room) keepsState() bool { return r.kind.clustered() && r.kind.saves }

// goesAlong reports whether the members of the room are in the room of the same key at the
// server that they go to: the same one, or one that is made anew.
func (r *Room) goesAlong() bool { return r.born.owned || r.keepsState() }

// HandOver gives the room to another server of the cluster, with its state and all who are
// in it, and this one goes on serving: as Shutdown does with its rooms, see SaveHandler. It
// returns at once. From here on no player gets in, what the members have sent is still
// handled, and OnSave is the last of all. The other server follows from the key of the room
// and the servers there are.
//
// A player moves with its session. So its rooms of other types are left, with the code MOVED,
// as if it had joined this one there. A client that was not heard since its login is waited for
// until it was, or its link is lost. If the other server dies or has no place, the room goes on at
// a third one, or at this one as a new Room. If OnSave fails the room ends here: see SaveHandler.
//
// The error is ErrRoomStays if the type has not OnSave and OnRestore or is Local, or there is
// no Config.Cluster; ErrNoServer if no other server takes rooms at present; ErrRoomMoves if it
// is on its way; ErrNoRoom if the room ends. Safe to call from any goroutine, callbacks of the
// room included.
func (r *Room) HandOver() error {
	s := r.kind.srv
	switch {
	case s.rooms == nil:
		return fmt.Errorf("%w: it is of no cluster that has rooms", ErrRoomStays)
	case !r.kind.saves:
		return fmt.Errorf("%w: type %s has not OnSave and OnRestore", ErrRoomStays, r.kind.name)
	case r.kind.local:
		return fmt.Errorf("%w: type %s is Local", ErrRoomStays, r.kind.name)
	case !s.mayLetIn() || !s.takenElsewhere(r.id()):
		return ErrNoServer
	}
	r.kind.mu.Lock()
	defer r.kind.mu.Unlock()
	switch {
	case r.over != nil && !r.moves:
		return fmt.Errorf("%w: %s ends", ErrNoRoom, r.name())
	case r.moves:
		return ErrRoomMoves
	}
	r.moveLocked(&move{by: r.id(), alone: s.stage.Load() != over})
	return nil
}

// takenElsewhere reports whether another server takes what follows from by: a session, a room.
func (s *Server) takenElsewhere(by session.ID) bool {
	_, takes := s.elsewhere(by)
	return takes
}

// handOver lets the room go to another server of the cluster, which follows from by, as this
// one drains. It reports false if the room does not go. Safe to call from any goroutine.
func (r *Room) handOver(by session.ID) bool {
	if !r.kind.srv.takenElsewhere(by) {
		return false // there is no other server
	}
	r.kind.mu.Lock()
	defer r.kind.mu.Unlock()
	if !r.moves && r.over == nil && !clock().Before(r.playsOn) {
		r.moveLocked(&move{by: by})
	}
	return r.moves
}

// moveLocked begins the move of the room: it lets no player in any more. The caller holds
// kind.mu.
func (r *Room) moveLocked(m *move) {
	r.moves = true
	m.users = slices.Sorted(maps.Keys(r.reserved))
	r.seats.End()
	r.dropKeptLocked()
	if r.idle != nil {
		r.idle.Stop()
	}
	r.kind.changedLocked(r.Key())
	if r.kind.leaving == nil {
		r.kind.leaving = map[string]*Room{}
	}
	r.kind.leaving[r.Key()] = r
	r.deliver(func() {
		r.move = m
		for _, p := range slices.Clone(r.audience()) {
			r.takeAlong(p)
		}
	})
}

// takeAlong sends a player after the room.
func (r *Room) takeAlong(p *Player) {
	if r.move.alone {
		p.followRoom(r)
		return
	}
	p.sendAfter(r.move.by)
}

// waitsLocked reports whether the member waits for the room before it leaves: it goes along.
// The player is the room's until then. The caller holds p.mu.
func (r *Room) waitsLocked(p *Player, s *seat) bool {
	m := r.move
	if m == nil || m.saved || s.watching || s.out != nil || !p.goesAlongLocked() || p.extra.rejoinsAt(r) < 0 || r.ended() != nil {
		return false
	}
	m.waiting = append(m.waiting, p)
	return true
}

// goesAlongLocked reports whether the session is on its way to another server.
func (p *Player) goesAlongLocked() bool {
	return p.extra != nil && p.extra.migration != nil && p.extra.kick.Code == session.Moved
}

// rejoinsAt is where the room is among those that the session goes along with, -1 if it is not.
func (x *extra) rejoinsAt(r *Room) int {
	if x == nil {
		return -1
	}
	return slices.IndexFunc(x.rejoin, func(j joining) bool { return j.Type == r.kind.name && j.Key == r.Key() })
}

// moveOn takes the move of the room one step further, if it is time.
func (r *Room) moveOn() {
	m := r.move
	switch {
	case m == nil || m.saved:
	case r.ended() != nil: // the game has closed it
		m.saved = true
		r.letGo()
	case r.atRest():
		m.saved = true
		r.save()
	}
}

// atRest reports whether nothing is left to be done in the room. It takes nothing from here
// on then.
func (r *Room) atRest() bool {
	m := r.move
	m.waiting = slices.DeleteFunc(m.waiting, func(p *Player) bool {
		p.mu.Lock()
		along := p.goesAlongLocked()
		p.mu.Unlock()
		if !along { // thrown out meanwhile
			r.submit(p)
		}
		return !along
	})
	r.kind.mu.Lock()
	defer r.kind.mu.Unlock()
	if r.over != nil || r.seats.Taken() != len(m.waiting)+r.absentLocked() || r.seats.Watched() > 0 || !r.work.await() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.posted)+len(r.ready) > 0 {
		return false
	}
	r.still, r.over = true, &Reason{Code: session.ShuttingDown}
	return true
}

// save asks the game for the state.
func (r *Room) save() {
	k := r.kind
	st := roomState{Tick: r.last, Reserved: r.move.users}
	k.mu.Lock()
	st.Shut, st.Matched = r.seats.Shut(), r.seats.Matched()
	for _, v := range r.published {
		st.Published = append(st.Published, publishedValue{v[0], v[1]})
	}
	for id, a := range r.absent {
		if !a.fresh {
			st.Members = append(st.Members, roomMember{slices.Clone(id[:]), a.user})
		}
	}
	k.mu.Unlock()
	for _, p := range r.move.waiting {
		id := p.ID()
		st.Members = append(st.Members, roomMember{id[:], p.user})
	}
	err := errNotSaved
	defer func() { r.give(&st, err) }() // also if OnSave ends this goroutine
	r.guard(&callSave, func() { st.State, err = r.value.(SaveHandler).OnSave() })
}

// give lets the cluster give the room to another server, unless it was not saved.
func (r *Room) give(st *roomState, err error) {
	if err == nil && len(st.State) > MaxRoomState {
		err = errRoomState
	}
	var b []byte
	if err == nil {
		b, err = codec.AppendBody(nil, st)
	}
	if err != nil {
		r.moved(err)
		return
	}
	k := r.kind
	ctx, cancel := k.srv.moveContext()
	to, _ := k.srv.elsewhere(r.move.by)
	h := RoomHandOver{Type: k.name, Key: r.Key(), Generation: r.born.gen, To: to, State: b}
	k.srv.rooms.HandOverRoom(ctx, h, func(err error) {
		cancel()
		r.deliver(func() { r.moved(err) })
	})
	k.mu.Lock() // from here on the cluster knows
	r.leftLocked()
	k.mu.Unlock()
}

// moved takes what came of the move. Without it the room ends here, as one without state.
func (r *Room) moved(err error) {
	k := r.kind
	r.move.gone = err == nil
	if err == nil {
		k.handedOver.Add(1)
	} else {
		k.stateLost.Add(1)
		k.srv.log.Error("a room was not handed over: its state is lost", "room", r.name(), "error", err)
	}
	r.letGo()
}

// letGo lets the members go that wait for the room. Those that have not come from the server
// before are not waited for any more.
func (r *Room) letGo() {
	for _, p := range r.move.waiting {
		r.submit(p)
	}
	r.move.waiting = nil
	r.forgetAbsent(r.move.gone, *r.ended())
	r.kind.mu.Lock()
	r.leftLocked()
	r.closeLocked()
	r.kind.mu.Unlock()
}

// leftLocked notes that the cluster knows of the room, or that it ends. The caller holds kind.mu.
func (r *Room) leftLocked() {
	if r.kind.leaving[r.Key()] == r {
		delete(r.kind.leaving, r.Key())
	}
}

// gone reports whether another server has the room: nothing of it ends here.
func (r *Room) gone() bool { return r.move != nil && r.move.gone }

// moveContext bounds how long a room that moves stands still. Its members could not go
// without the directory either: see parkTime.
func (s *Server) moveContext() (context.Context, context.CancelFunc) {
	s.mu.Lock()
	ctx := s.drainCtx
	s.mu.Unlock()
	if ctx == nil {
		ctx = context.Background()
	}
	return context.WithTimeout(ctx, s.parkTime())
}
