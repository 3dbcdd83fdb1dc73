// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/lifecycle"
	"github.com/lifeline-go/lifeline/session"
)

// This file is how players get in and out of rooms, and rooms begin and end.

// joining is a player's way in. done is called on the room's goroutine.
type joining struct {
	room *Room
	done func(key string, err error)
}

// leaving is its way out.
type leaving struct {
	why  Reason
	done func()
}

// beginJoin takes the request of a client: [type, key].
func (s *Server) beginJoin(p *Player, asked question, payload []byte) error {
	var q struct{ Type, Key string }
	if err := codec.DecodeBody(payload, &q); err != nil {
		return badRequest(err)
	}
	k := s.kinds[q.Type]
	switch {
	case k == nil:
		return refusal(codec.ErrorNoRoute, "there is no room type "+short(q.Type))
	case k.private:
		return refusal(codec.ErrorRefused, "rooms of type "+k.name+" are private: the server puts players in")
	}
	return k.planJoin(p, joinWish{key: q.Key, asked: true}, func(key string, err error) { p.answer(asked, key, err) })
}

func (s *Server) beginLeave(p *Player, asked question, _ []byte) error {
	if r := p.Room(); r != nil && r.kind.private {
		return refusal(codec.ErrorRefused, "rooms of type "+r.kind.name+" are private: the server takes players out")
	}
	return p.planLeave(func() { p.answer(asked, nil, nil) })
}

// Join brings a player into the room of a key, which is made if need be, and
// waits for OnJoin. If the key is empty, it is any room that was made for such
// players and has a free seat, or else a new one. A player that is in that room
// already is in: nil, and no OnJoin. When ctx ends first, or after half a minute if it
// has no deadline, the player may get in all the same. Not to be called by a
// room's callback, or a hook or handler of that player: it would wait for itself
// until then. From clients the request RouteJoin does the same.
func (rs *RoomsOf[R, P]) Join(ctx context.Context, p *Player, key string) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, requestTimeout)
		defer cancel()
	}
	done := make(chan error, 1)
	if err := rs.kind.planJoin(p, joinWish{key: key}, func(_ string, err error) { done <- err }); err != nil {
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

// Move is JoinAsync for a player who may be in another room, which it leaves first:
// OnLeave there has returned before OnJoin here begins. On an error it stays
// where it was; if OnJoin refuses, it is in no room then.
func (rs *RoomsOf[R, P]) Move(p *Player, key string) error {
	err := rs.kind.planJoin(p, joinWish{key: key, move: true}, rs.kind.logRefused(p))
	p.schedule()
	return err
}

// logRefused logs that a room has refused a player.
func (k *roomKind) logRefused(p *Player) func(string, error) {
	return func(key string, err error) {
		if err != nil {
			k.srv.log.Info("not let in", "session", p.ID(), "user", p.label(), "room", k.name+"/"+key, "error", err)
		}
	}
}

// Leave takes the player out of its room. OnLeave follows on the room's goroutine.
func (p *Player) Leave() error {
	err := p.planLeave(func() {})
	p.schedule()
	return err
}

func (p *Player) planLeave(done func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.room == nil || p.leave != nil {
		return refusal(codec.ErrorNotJoined, "not in a room")
	}
	p.leaveLocked(Reason{Code: session.Left}, done)
	return nil
}

// leaveLocked plans the player's way out of its room. done is called on the room's
// goroutine. The caller holds mu.
func (p *Player) leaveLocked(why Reason, done func()) {
	p.leave = &leaving{why, done}
	p.life.Leave()
}

// Room returns the room that the player is in, nil without one.
func (p *Player) Room() *Room {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.room
}

// joinWish is a wish to enter a room.
type joinWish struct {
	key   string // empty: any room
	move  bool   // out of the present one
	asked bool   // by the player itself, who pays for a room that has to be made
}

// planJoin plans the player's way into a room. A player that is there already is in at once:
// an app that came back by its token does not know, and asks to make sure.
func (k *roomKind) planJoin(p *Player, e joinWish, done func(string, error)) error {
	if e.key != "" && !k.keys(e.key) {
		return refusal(codec.ErrorBadRequest, "this is no key of a room of type "+k.name)
	}
	p.mu.Lock()
	r, err := k.planJoinLocked(p, e, done)
	p.mu.Unlock()
	if r != nil {
		done(r.key, nil)
	}
	return err
}

// planJoinLocked returns the room if the player is in it. The caller holds p.mu.
func (k *roomKind) planJoinLocked(p *Player, e joinWish, done func(string, error)) (in *Room, err error) {
	stays := p.room != nil && p.leave == nil
	other := e.move && e.key == "" // than the one it is in
	switch {
	case p.life.Ending():
		return nil, session.ErrClosed
	case p.join != nil && p.join.room.is(k, e.key) && !other:
		first := p.join.done
		p.join.done = func(key string, err error) {
			first(key, err)
			done(key, err)
		}
		return nil, nil
	case p.join != nil:
		return nil, refusal(codec.ErrorInRoom, "on the way into room "+p.join.room.name())
	case stays && p.room.is(k, e.key) && !other:
		return p.room, nil
	case stays && !e.move:
		return nil, refusal(codec.ErrorInRoom, "in room "+p.room.name()+", which it must leave first")
	}
	payer := p
	if !e.asked {
		payer = nil
	}
	r, err := k.reserveSeat(e.key, p.room, payer)
	if err != nil {
		return nil, err
	}
	p.join = &joining{r, done}
	p.life.Join()
	if stays {
		p.leaveLocked(Reason{Code: RoomMoved}, func() {})
	}
	return nil, nil
}

// is reports whether the room is the one of a key; without a key any of the
// type is.
func (r *Room) is(k *roomKind, key string) bool { return r.kind == k && (key == "" || key == r.key) }

// reserveSeat finds or makes the room of a key and keeps a seat in it. Without a key
// it is the fullest of those that take strangers, other than from. payer, if not
// nil, is charged for a room that has to be made.
func (k *roomKind) reserveSeat(key string, from *Room, payer *Player) (*Room, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.open[key]
	if key == "" {
		r = nil
		for other := range k.matchable {
			if other != from && (r == nil || other.seatsTaken > r.seatsTaken || other.seatsTaken == r.seatsTaken && other.key < r.key) {
				r = other
			}
		}
	}
	switch {
	case r == nil:
		if err := k.mayMakeLocked(payer); err != nil {
			return nil, err
		}
		r = k.makeLocked(key, birth{})
	case r.shut || r.over != nil:
		return nil, refusal(codec.ErrorRefused, "the room is closed")
	case k.seats > 0 && r.seatsTaken >= k.seats:
		return nil, refusal(codec.ErrorFull, "the room is full")
	}
	if r.idle != nil {
		r.idle.Stop()
		r.idle = nil
	}
	r.notEmptyLocked()
	r.seatsTaken++
	r.updateMatchableLocked()
	return r, nil
}

// priceOfRoom is what it costs a player that a room is made for it, in messages.
const priceOfRoom = 100

// mayMakeLocked decides on one room more. When there are as many as may be, the
// one that has been empty for longest ends.
func (k *roomKind) mayMakeLocked(payer *Player) error {
	if payer != nil && !payer.affords(priceOfRoom) {
		k.srv.count.rateLimited.Add(1)
		return refusal(codec.ErrorBusy, "too many rooms were made")
	}
	if len(k.open) < k.most {
		return nil
	}
	oldest := k.empty.Front()
	if oldest == nil {
		k.refused++
		return refusal(codec.ErrorBusy, fmt.Sprintf("there are %d rooms of type %s, as many as there may be", k.most, k.name))
	}
	k.evicted++
	oldest.Value.(*Room).closeLocked(Reason{Code: RoomEmpty, Text: "another room needs its place"})
	return nil
}

// notEmptyLocked takes the room out of the list of empty ones.
func (r *Room) notEmptyLocked() {
	if r.empty != nil {
		r.kind.empty.Remove(r.empty)
		r.empty = nil
	}
}

// printable is what keys of rooms are unless Rooms.Keys says otherwise.
func printable(key string) bool {
	return len(key) <= maxRoomKey && utf8.ValidString(key) && !strings.ContainsFunc(key, func(c rune) bool { return !unicode.IsPrint(c) })
}

// makeLocked makes the room of a key, or one for strangers.
func (k *roomKind) makeLocked(key string, born birth) *Room {
	matched := key == ""
	for key == "" || k.open[key] != nil {
		k.matches++
		key = strconv.FormatUint(k.matches, 10)
	}
	r := &Room{kind: k, key: key, matched: matched, born: born, wakes: make(chan struct{}, 1)}
	k.open[key] = r
	k.opened++
	r.activity = k.srv.watch.register(inRoom, r.name())
	k.srv.running.Add(1)
	go r.run() // ends when the room is closed
	return r
}

// updateMatchableLocked notes whether strangers may get into the room.
func (r *Room) updateMatchableLocked() {
	k := r.kind
	if r.matched && !r.shut && (k.seats == 0 || r.seatsTaken < k.seats) && k.open[r.key] == r {
		k.matchable[r] = true
	} else {
		delete(k.matchable, r)
	}
}

// SetOpen lets players in, as at first, or no more: the match has begun. Safe to
// call from any goroutine.
func (r *Room) SetOpen(open bool) {
	r.kind.mu.Lock()
	defer r.kind.mu.Unlock()
	r.shut = !open
	r.updateMatchableLocked()
}

// releaseSeat gives a taken seat back, and says why. The last one closes the room, or leaves it
// to linger.
func (r *Room) releaseSeat(why Reason) {
	k := r.kind
	k.mu.Lock()
	defer k.mu.Unlock()
	r.seatsTaken--
	r.updateMatchableLocked()
	switch {
	case r.seatsTaken > 0:
	case k.linger == 0 || k.ending || r.over != nil:
		if why.Code != session.ShuttingDown {
			why = Reason{Code: RoomEmpty}
		}
		r.closeLocked(why)
	default:
		r.lingerLocked(0)
	}
}

// lingerLocked keeps the empty room for as long as the type says, least at least.
func (r *Room) lingerLocked(least time.Duration) {
	k := r.kind
	r.empty = k.empty.PushBack(r)
	if k.linger >= 0 {
		r.idle = time.AfterFunc(max(k.linger, least), func() { r.closeEmpty(Reason{Code: RoomEmpty}) })
	}
}

// closeEmpty closes the room if it has stayed empty.
func (r *Room) closeEmpty(why Reason) {
	r.kind.mu.Lock()
	defer r.kind.mu.Unlock()
	if r.seatsTaken == 0 {
		r.closeLocked(why)
	}
}

// closeLocked lets the room's goroutine end. The caller holds kind.mu. The first
// reason stands.
func (r *Room) closeLocked(why Reason) {
	if r.over == nil {
		r.over = &why
	}
	if r.idle != nil {
		r.idle.Stop()
	}
	r.notEmptyLocked()
	if r.kind.open[r.key] == r {
		delete(r.kind.open, r.key)
	}
	r.updateMatchableLocked()
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.wake()
}

// doInRoom runs the callback of a job that is the room's, on the room's goroutine.
func (p *Player) doInRoom(j *job, r *Room) {
	switch j.task {
	case lifecycle.JoinRoom:
		p.joinRoom(j, r)
	case lifecycle.LeaveRoom:
		r.remove(p)
		p.roomHeartbeat(r.kind, false)
		why := *j.leave
		defer func() {
			why.done()
			r.releaseSeat(why.why)
		}()
		if v, ok := r.value.(LeaveHandler); ok {
			p.call("OnLeave", func() { v.OnLeave(p, why.why) })
		}
	case lifecycle.RoomDetach:
		if v, ok := r.value.(DetachHandler); ok {
			p.call("OnDetach", func() { v.OnDetach(p) })
		}
	case lifecycle.RoomResume:
		if v, ok := r.value.(ResumeHandler); ok {
			p.call("OnResume", func() { v.OnResume(p) })
		}
		if v, ok := r.value.(SnapshotHandler); ok && j.snapshot {
			p.call("OnSnapshot", func() { v.OnSnapshot(p) })
		}
	}
}

func (p *Player) joinRoom(j *job, r *Room) {
	wish := j.join
	err := error(session.ErrClosed)
	defer func() { p.joined(r, wish, err) }()
	if j.refused {
		return
	}
	if err = r.born.err; err != nil {
		return
	}
	if r.ended() != nil {
		err = refusal(codec.ErrorRefused, "the room is closed")
		return
	}
	err = refusal(codec.ErrorInternal, "internal error") // of an OnJoin that panics
	// A member while OnJoin runs, so that it hears its own broadcast.
	r.members = append(r.members, p)
	said := error(nil)
	if v, ok := r.value.(JoinHandler); !ok || p.call("OnJoin", func() { said = v.OnJoin(p) }) {
		err = said
	}
}

// joined takes note of what became of a player's way into the room.
func (p *Player) joined(r *Room, j *joining, err error) {
	p.mu.Lock()
	p.join = nil
	p.life.Joined(err == nil)
	if err == nil {
		p.room = r
	}
	p.mu.Unlock()
	if err != nil {
		r.remove(p)
		r.releaseSeat(Reason{})
	} else {
		p.roomHeartbeat(r.kind, true)
	}
	j.done(r.key, err)
}

func (r *Room) remove(p *Player) {
	if i := slices.Index(r.members, p); i >= 0 {
		r.members = slices.Delete(r.members, i, i+1)
	}
}

// rooms are all there are.
func (s *Server) rooms() (all []*Room) {
	for _, k := range s.kinds {
		k.mu.Lock()
		for _, r := range k.open {
			all = append(all, r)
		}
		k.mu.Unlock()
	}
	return all
}

// stopRooms waits until every room has ended: their members have left by then.
func (s *Server) stopRooms(ctx context.Context) error {
	for _, k := range s.kinds {
		k.mu.Lock()
		k.ending = true
		k.mu.Unlock()
	}
	for _, r := range s.rooms() {
		r.closeEmpty(Reason{Code: session.ShuttingDown})
	}
	done := make(chan struct{})
	go func() { // ends with the last one
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		if n := s.watch.rooms(); n > 0 {
			return fmt.Errorf("framework: %d rooms are still busy%s: %w", n, s.watch.busy(), ctx.Err())
		}
	}
	return nil
}
