// SPDX-License-Identifier: MIT

package framework

import "context"

// Join brings a player into the room of a key, which is made if need be, and
// waits for OnJoin. If the key is empty, it is any room that was made for such
// players and has a free seat, or else a new one. A player is in one room of each
// type at a time; one that is in that room already is in: nil, and no OnJoin. When
// ctx ends first, or after half a minute if it has no deadline, the player may get in
// all the same. If the room is at another server of a cluster, the player goes there, and
// the error is ErrMoved. Not to be called by a room's callback, or a hook or handler of that
// player: it would wait for itself until then. From clients the request RouteJoin
// does the same.
func (rs *RoomsOf[R, P]) Join(ctx context.Context, p *Player, key string) error {
	return rs.kind.enter(ctx, p, joinWish{key: key})
}

// Watch is Join for a player that shall only listen: see Spectators. From clients the
// request RouteWatch does the same.
func (rs *RoomsOf[R, P]) Watch(ctx context.Context, p *Player, key string) error {
	return rs.kind.enter(ctx, p, joinWish{key: key, watch: true})
}

func (k *roomKind) enter(ctx context.Context, p *Player, w joinWish) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	done := make(chan error, 1)
	if err := k.planJoin(p, w, func(_ string, err error) { done <- err }); err != nil {
		return err
	}
	p.schedule()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// JoinAsync is Join without the wait: it may be called anywhere, also in the
// player's own callbacks, as OnOpen. If OnJoin refuses, the player stays outside.
func (rs *RoomsOf[R, P]) JoinAsync(p *Player, key string) error {
	err := rs.kind.planJoin(p, joinWish{key: key}, rs.kind.logRefused(p))
	p.schedule()
	return err
}

// Move is JoinAsync for a player who may be in another room of the type, which it
// leaves once OnJoin here has let it in, with RoomMoved. On an error, and if OnJoin
// refuses, it stays where it was. A spectator becomes a member of the room that it watches by
// that room's key: OnUnwatch follows OnJoin, and its client is in all the time.
func (rs *RoomsOf[R, P]) Move(p *Player, key string) error {
	err := rs.kind.planJoin(p, joinWish{key: key, move: true}, rs.kind.logRefused(p))
	p.schedule()
	return err
}

// logRefused logs that a room has refused a player.
func (k *roomKind) logRefused(p *Player) func(string, error) {
	return func(key string, err error) {
		if err != nil && err != ErrMoved {
			k.srv.log.Info("not let in", "session", p.ID(), "user", p.label(), "room", k.name+"/"+key, "error", err)
		}
	}
}

// Leave takes the player out of its room of this type. OnLeave follows on the room's
// goroutine. The error is one of codec.ErrorNotJoined if it is in none.
func (rs *RoomsOf[R, P]) Leave(p *Player) error {
	err := p.planLeave(rs.kind, nil)
	p.schedule()
	return err
}

// Of returns the room of this type that the player is in, as a member or as a
// spectator, nil without one.
func (rs *RoomsOf[R, P]) Of(p *Player) *Room {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.seats.in(rs.kind); s != nil {
		return s.room
	}
	return nil
}
