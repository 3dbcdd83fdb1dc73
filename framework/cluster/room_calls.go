// SPDX-License-Identifier: MIT

package cluster

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/place"
)

// Calls to the server that has a room.

// ErrNoRoom says that no server has the room of RoomOf. Nothing was called.
var ErrNoRoom = framework.ErrNoRoom

// RoomOf is the server that has the room of a key. A handler of HandleRoom runs in that room,
// one of Handle beside it. No room is made for a call: without one the error is ErrNoRoom. It
// is ErrUnreachable while the room opens, ends or moves for longer than a second. A room of a
// type that is framework's Rooms.Local is found by its own server alone.
func RoomOf(kind, key string) Target { return Target{kind: toRoom, name: kind, key: key} }

// HandleRoom is Handle for calls by RoomOf to rooms of one type. fn runs on the room's
// goroutine, as the room's own handlers do: it must not block, and the room's fields need no
// lock. It does not run if the caller has given up before its turn. A call to the route by
// any other target, or to a room of another type, is refused with framework.ErrorBadRequest.
// Do not call from a callback of the room that is called: it would wait for itself. From a
// room call by framework.Async.
func HandleRoom[R, P, Q, A any](c *Cluster, rooms *framework.RoomsOf[R, P], route string, fn func(room R, from Member, q Q) (A, error)) {
	c.services.add(route, func(ctx context.Context, from Member, call *callBody) ([]byte, error) {
		if call.RoomType != rooms.Name() {
			return nil, &codec.Error{Code: codec.ErrorBadRequest, Text: fmt.Sprintf("%.64q is called by RoomOf, with a room of type %s", route, rooms.Name())}
		}
		var q Q
		if err := codec.DecodeBody(call.Body, &q); err != nil {
			return nil, codec.BadRequest(err)
		}
		var a A
		var failed error
		if err := rooms.Do(ctx, call.RoomKey, func(room R) { a, failed = fn(room, from, q) }); err != nil {
			if errors.Is(err, framework.ErrNoRoom) {
				err = errAbsent
			}
			return nil, err
		}
		if failed != nil {
			return nil, failed
		}
		return codec.AppendBody(nil, &a)
	}, codec.CheckType(reflect.TypeFor[Q]()), codec.CheckType(reflect.TypeFor[A]()))
}

// errAbsent says that a handler did not run, as what it is for is not here.
var errAbsent = errors.New("cluster: it is not here")

// callRoom asks the server of a room, which may open, end or move.
func (s *services) callRoom(ctx context.Context, to Target, q *callBody) ([]byte, error) {
	q.RoomType, q.RoomKey = to.name, to.key
	likely, _ := maker(to.key)
	return s.callAt(ctx, q, func() (core.Incarnation, error) {
		return s.c.locateRoom(ctx, to.name, to.key, likely)
	}, func(at core.Incarnation) error {
		likely = core.Incarnation{} // it has ended there, or was handed over
		return fmt.Errorf("%w: %s opens or ends at server %d", ErrUnreachable, to, at.Node)
	})
}

// locateRoom returns the server that has a room: likely, if that is there, else the one that
// the directory names. The error is ErrNoRoom if there is none, or ErrUnreachable if that is not
// known at present.
func (c *Cluster) locateRoom(ctx context.Context, kind, key string, likely core.Incarnation) (core.Incarnation, error) {
	if c.host.HasRoom(kind, key) {
		return c.me, nil
	}
	var none core.Incarnation
	s := c.status(likely)
	likes := likely != none && (s == core.Up || s == core.Draining)
	if likes && (likely == c.me || !c.host.KeepsRooms(kind)) {
		return likely, nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	b, _, err := c.bus.Get(ctx, roomsKey(place.Name(kind, key)))
	if likes && (err != nil || len(b) == 0) { // it was not handed over yet, as far as is known
		return likely, nil
	}
	if err != nil {
		return none, fmt.Errorf("%w: the directory does not answer", ErrUnreachable)
	}
	e, err := place.ParseEntry(b)
	switch {
	case err != nil:
		return none, fmt.Errorf("%w: %w", ErrUnreachable, err)
	case e == nil || e.Type != kind || e.Key != key:
		return none, fmt.Errorf("%w: %s", ErrNoRoom, RoomOf(kind, key))
	case e.Owner == none:
		return none, fmt.Errorf("%w: %s moves", ErrUnreachable, RoomOf(kind, key))
	case c.status(e.Owner) == core.Dead:
		return none, fmt.Errorf("%w: the server of %s has ended", ErrNoRoom, RoomOf(kind, key))
	}
	return e.Owner, nil
}

// status returns how a server stands.
func (c *Cluster) status(i core.Incarnation) core.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.members.Status(i)
}
