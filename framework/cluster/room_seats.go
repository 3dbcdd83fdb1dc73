// SPDX-License-Identifier: MIT

package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
)

// Seats that a game keeps for users, in rooms of other servers, and users at other servers
// that it brings into a room. Both are asked for by calls.

// The calls that ReserveSeats and BringUser make. No game's route begins so.
const (
	routeReserve = "\x00reserve"
	routeBring   = "\x00bring"
)

// reserveBody asks for seats. Fields are only ever appended.
type reserveBody struct {
	Type, Key string
	Users     []string
}

// bringBody lets a user join. Fields are only ever appended.
type bringBody struct {
	Type, Key, User string
	Look            bool
}

// serveRooms registers the calls that servers make for the sake of rooms.
func (c *Cluster) serveRooms() {
	Handle(c, routeReserve, func(_ context.Context, _ Member, q reserveBody) (struct{}, error) {
		err := c.host.Reserve(q.Type, q.Key, q.Users)
		if errors.Is(err, framework.ErrNoRoom) {
			err = errAbsent
		}
		return struct{}{}, err
	})
	Handle(c, routeBring, func(_ context.Context, _ Member, q bringBody) (struct{}, error) {
		err := c.host.Bring(q.Type, q.Key, q.User, q.Look)
		if errors.Is(err, framework.ErrClosed) {
			err = errAbsent
		}
		return struct{}{}, err
	})
	Handle(c, routeLists, c.answerList)
}

// ReserveSeats implements framework.ClusterRooms.
func (c *Cluster) ReserveSeats(ctx context.Context, kind, key string, users []string) error {
	body, err := codec.AppendBody(nil, &reserveBody{kind, key, users})
	if err == nil {
		_, err = c.services.call(ctx, RoomOf(kind, key), &callBody{Route: routeReserve, Body: body})
	}
	return err
}

// BringUser implements framework.ClusterRooms.
func (c *Cluster) BringUser(ctx context.Context, kind, key, user string, look bool) error {
	body, err := codec.AppendBody(nil, &bringBody{kind, key, user, look})
	if err == nil {
		_, err = c.services.call(ctx, OwnerOf(user), &callBody{Route: routeBring, Body: body})
	}
	if errors.Is(err, ErrOffline) {
		return fmt.Errorf("%w: %w", framework.ErrClosed, err)
	}
	return err
}
