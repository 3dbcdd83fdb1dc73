// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/logs"
)

// Bring brings users into the room of a key, wherever the room is in a cluster, and wherever
// each of them is: a party, or those whom a matchmaker has put together. It keeps a seat for
// each, all or none, as Reserve does; then the newest session of each joins, and goes where
// the room is. One that is in this room already is in.
//
// On nil all have a seat, and each is in or on its way: what OnJoin says to one is logged, and
// the others stay in. Else nobody has a seat, and each is where it was: one of them has no
// session (ErrClosed), is in another room of the type (an error of codec.ErrorInRoom), or the
// seats are not to be had (Reserve's errors). If a session ends, or its server does not answer,
// after that was looked at, the others are on their way, and its seat is free again in half a
// minute. ctx has half a minute if it has no deadline. Not to be called by a room's callback,
// or a hook or handler of one of the players: from a room call it by Async.
func (rs *RoomsOf[R, P]) Bring(ctx context.Context, key string, users ...string) error {
	k := rs.kind
	users, err := named(users)
	if err != nil {
		return err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := k.bringAll(ctx, key, users, true); err != nil {
		return err
	}
	if err := rs.Reserve(ctx, key, users...); err != nil {
		return err
	}
	return k.bringAll(ctx, key, users, false)
}

// bringAll lets all users join, or only looks whether they could. The error is the first one's.
func (k *roomKind) bringAll(ctx context.Context, key string, users []string, look bool) error {
	errs := make([]error, len(users))
	var asked sync.WaitGroup
	for i, user := range users {
		asked.Go(func() { errs[i] = k.bring(ctx, key, user, look) }) // ends with ctx
	}
	asked.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("framework: user %s is not brought into room %s/%s: %w", logs.Label(users[i]), k.name, short(key), err)
		}
	}
	return nil
}

// bring lets one user join, at the server where it is.
func (k *roomKind) bring(ctx context.Context, key, user string, look bool) error {
	err := k.bringHere(key, user, look)
	if errors.Is(err, ErrClosed) && k.clustered() {
		return k.srv.rooms.BringUser(ctx, k.name, key, user, look)
	}
	return err
}

// bringHere lets a user join that is here. The error is ErrClosed if it is not.
func (k *roomKind) bringHere(key, user string, look bool) error {
	all := k.srv.User(user)
	if len(all) == 0 {
		return ErrClosed
	}
	p := all[len(all)-1]
	if look {
		return k.mayCome(p, key)
	}
	err := k.planJoin(p, joinWish{key: key}, k.logRefused(p))
	p.schedule()
	return err
}

// mayCome tells whether a player could join the room of a key, as far as its own seats matter.
func (k *roomKind) mayCome(p *Player, key string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := joinWish{key: key}
	stays, coming := p.seats.staying(k), p.seats.coming(k)
	switch {
	case p.life.Ending():
		return ErrClosed
	case stays != nil && !stays.is(w):
		return refusal(codec.ErrorInRoom, "in room "+stays.room.name()+", which it must leave first")
	case coming != nil && !coming.is(w):
		return refusal(codec.ErrorInRoom, "on the way into room "+coming.name())
	}
	return nil
}

// Bring implements ClusterRoomHost.
func (h clusterHost) Bring(kind, key, user string, look bool) error {
	k := h.s.kinds[kind]
	if k == nil {
		return refusal(codec.ErrorNoRoute, "there is no room type "+short(kind))
	}
	return k.bringHere(key, user, look)
}
