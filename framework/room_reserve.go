// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/seats"
)

const (
	// reservedFor is how long a seat is kept for a user.
	reservedFor = 30 * time.Second
	// maxReserved bounds the users of one Reserve, and the seats that a room keeps so.
	maxReserved = 1024
)

// Reserve keeps a seat in the room of a key for each of these users, for all of them or for
// none, for 30 s. Where a user is does not matter: the first session of it that joins the room
// by its key within that time, at whichever server of a cluster, gets that seat, also if the
// room is full, or SetOpen lets no player in. Seats that are kept count as taken, and keep the
// room open. Reserved once more they are kept for longer; a member needs none.
//
// A room must be there, at this server or another one. The error is ErrNoRoom if there is none,
// one of codec.ErrorFull if it has not that many free seats, of codec.ErrorRefused if it is
// closed, of codec.ErrorBusy if its server drains, or too many seats are kept (1,024 in a
// room), of codec.ErrorBadRequest if a user is empty, or more than 1,024. Any other error, and
// ctx's, says that the server of the room did not answer: the seats may be kept. ctx has half a
// minute if it has no deadline. Safe to call from any goroutine, but not to wait in a callback.
func (rs *RoomsOf[R, P]) Reserve(ctx context.Context, key string, users ...string) error {
	k := rs.kind
	users, err := named(users)
	if err != nil {
		return err
	}
	err = k.reserve(key, users)
	if errors.Is(err, ErrNoRoom) && k.shared(key) {
		ctx, cancel := bounded(ctx)
		defer cancel()
		return k.srv.rooms.ReserveSeats(ctx, k.name, key, users)
	}
	return err
}

// named returns users, each once.
func named(users []string) ([]string, error) {
	users = slices.Compact(slices.Sorted(slices.Values(users)))
	switch {
	case len(users) > maxReserved:
		return nil, refusal(codec.ErrorBadRequest, fmt.Sprintf("%d users, of at most %d", len(users), maxReserved))
	case len(users) > 0 && users[0] == "":
		return nil, refusal(codec.ErrorBadRequest, "a seat is kept for a user, and this name is empty")
	}
	return users, nil
}

// reserve keeps a seat for each of these users in a room that is open here. The error is
// ErrNoRoom, or a *codec.Error.
func (k *roomKind) reserve(key string, users []string) error {
	users = slices.DeleteFunc(slices.Clone(users), func(u string) bool { return k.isMember(u, key) })
	draining, _ := k.srv.notTaking()
	k.mu.Lock()
	defer k.mu.Unlock()
	at := k.plan.Get(key)
	if at == nil {
		return fmt.Errorf("%w: %s/%s", ErrNoRoom, k.name, short(key))
	}
	r, n := at.Value, 0
	for _, u := range users {
		if _, ok := r.reserved[u]; !ok {
			n++
		}
	}
	switch {
	case draining || k.plan.IsEnding():
		return refusal(codec.ErrorBusy, "the server of the room is shutting down")
	case len(r.reserved)+n > maxReserved:
		return refusal(codec.ErrorBusy, fmt.Sprintf("more than %d seats are kept in the room", maxReserved))
	case len(users) == 0:
		return nil
	}
	if why := r.sitLocked(n); why == seats.Full {
		return r.fullLocked(n)
	} else if why != seats.Granted && n > 0 { // else all have theirs, and it may be closed
		return k.refusal(why)
	}
	r.keepLocked(users)
	return nil
}

// keepLocked notes for whom the seats are that were taken. The caller holds kind.mu.
func (r *Room) keepLocked(users []string) {
	if r.reserved == nil {
		r.reserved = map[string]time.Time{}
	}
	until := clock().Add(reservedFor)
	for _, u := range users {
		r.reserved[u] = until
	}
	time.AfterFunc(reservedFor, r.giveReservedBack)
}

// isMember reports whether a user is in the room of a key here, and has a seat.
func (k *roomKind) isMember(user, key string) bool {
	for _, p := range k.srv.User(user) {
		p.mu.Lock()
		s := p.seats.in(k)
		in := s != nil && !s.watching && s.key() == key && s.room.ended() == nil
		p.mu.Unlock()
		if in {
			return true
		}
	}
	return false
}

// takeReservedLocked gives away the seat that is kept for a user. It reports false if none is.
// The caller holds kind.mu.
func (r *Room) takeReservedLocked(user string) bool {
	_, ok := r.reserved[user]
	delete(r.reserved, user)
	return ok
}

// giveReservedBack frees the seats of users who have not come in time.
func (r *Room) giveReservedBack() {
	now, late := clock(), 0
	r.kind.mu.Lock()
	for u, until := range r.reserved {
		if !until.After(now) {
			delete(r.reserved, u)
			late++
		}
	}
	r.kind.mu.Unlock()
	for range late {
		r.releaseSeat(false, Reason{})
	}
}

// dropKeptLocked gives back all seats that are kept for players who have not come. The caller
// holds kind.mu, and sees to it that a room without members ends.
func (r *Room) dropKeptLocked() {
	for ; r.kept > 0; r.kept-- {
		r.seats.Leave()
	}
	for range r.reserved {
		r.seats.Leave()
	}
	r.reserved = nil
}

// Reserve implements ClusterRoomHost.
func (h clusterHost) Reserve(kind, key string, users []string) error {
	k := h.s.kinds[kind]
	if k == nil {
		return ErrNoRoom
	}
	users, err := named(users)
	if err != nil {
		return err
	}
	return k.reserve(key, users)
}
