// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/seats"
	"github.com/lifeline-go/lifeline/framework/internal/watchdog"
	"github.com/lifeline-go/lifeline/session"
)

// This file reserves seats, and makes and ends rooms: what package seats decides.

// refusal is how a player is told that there is no seat.
func (k *roomKind) refusal(why seats.Refusal) error {
	switch why {
	case seats.Granted:
		return nil
	case seats.NoRoom:
		return refusal(codec.ErrorRefused, "there is no such room")
	case seats.Closed:
		return refusal(codec.ErrorRefused, "the room is closed")
	case seats.Unwatchable:
		return refusal(codec.ErrorRefused, "rooms of type "+k.name+" can't be watched")
	case seats.TooManyWatch:
		return refusal(codec.ErrorFull, "too many watch the room")
	default:
		return refusal(codec.ErrorFull, "the room is full")
	}
}

// reserveSeat finds or makes the room of a key and keeps a seat in it. Without a key
// it is the fullest of those that take strangers, other than from. payer, if not
// nil, is charged for a room that has to be made. The error is errSought if the cluster
// must be asked where the room is.
func (k *roomKind) reserveSeat(w joinWish, from *Room, payer *Player) (*Room, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := k.plan.Find(w.key, from.seatsOf())
	if at == nil && (k.shared(w.key) || k.looksElsewhere(w)) {
		return nil, errSought
	}
	if w.watch { // no room is made for a spectator
		if why := k.plan.Watch(at); why != seats.Granted {
			return nil, k.refusal(why)
		}
		k.changedLocked(at.Key)
		return at.Value, nil
	}
	if at == nil {
		if err := k.mayMakeLocked(payer); err != nil {
			return nil, err
		}
		at = k.makeLocked(w.key, birth{}).seats
	}
	if at.Value.comesBackLocked(w) {
		return at.Value, nil
	}
	if w.kept != nil && *w.kept && at.Value.kept > 0 {
		at.Value.kept--
		*w.kept = false
		return at.Value, nil
	}
	if at.Value.takeReservedLocked(w.user) {
		return at.Value, nil
	}
	return at.Value, k.refusal(at.Value.sitLocked(1))
}

// reserveSeats keeps a seat for each of these players in the room of a key, which must be
// there: the one that Reserve keeps for its user, or a free one.
func (k *roomKind) reserveSeats(key string, players []*Player) (*Room, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := k.plan.Get(key)
	if at == nil {
		return nil, k.refusal(seats.NoRoom)
	}
	r := at.Value
	var have []string
	for _, p := range players {
		if _, ok := r.reserved[p.user]; ok && !slices.Contains(have, p.user) {
			have = append(have, p.user)
		}
	}
	if n := len(players) - len(have); n > 0 || len(have) == 0 {
		if why := r.sitLocked(n); why == seats.Full {
			return nil, r.fullLocked(n)
		} else if why != seats.Granted {
			return nil, k.refusal(why)
		}
	}
	for _, user := range have {
		delete(r.reserved, user)
	}
	return r, nil
}

// fullLocked refuses n at once. The caller holds kind.mu.
func (r *Room) fullLocked(n int) error {
	return refusal(codec.ErrorFull, fmt.Sprintf("%d seats are wanted, and %d of %d are taken", n, r.seats.Taken(), r.kind.plan.Seats))
}

// sitLocked takes n seats. The caller holds kind.mu.
func (r *Room) sitLocked(n int) seats.Refusal {
	why := r.seats.Sit(n)
	if why == seats.Granted && n > 0 {
		if r.idle != nil {
			r.idle.Stop()
			r.idle = nil
		}
		r.kind.changedLocked(r.Key())
	}
	return why
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
	evict, ok := k.plan.MayMake()
	if !ok {
		return refusal(codec.ErrorBusy, fmt.Sprintf("there are %d rooms of type %s, as many as there may be", k.plan.Rooms, k.name))
	}
	if evict != nil {
		evict.Value.endLocked(Reason{Code: RoomEmpty, Text: "another room needs its place"})
	}
	return nil
}

// printable is what keys of rooms are unless Rooms.Keys says otherwise.
func printable(key string) bool {
	return len(key) <= maxRoomKey && utf8.ValidString(key) && !strings.ContainsFunc(key, func(c rune) bool { return !unicode.IsPrint(c) })
}

// makeLocked makes the room of a key, or one for strangers.
func (k *roomKind) makeLocked(key string, born birth) *Room {
	if k.clustered() && !born.owned { // its key is made here, and nowhere else
		born.gen = k.plan.Counts().Opened + 1
	}
	r := &Room{kind: k, born: born, wakes: make(chan struct{}, 1), seats: k.plan.Make(key)}
	r.seats.Value, r.timers.wake = r, r.wake
	k.changedLocked(r.Key())
	r.activity = k.srv.watch.Register(watchdog.Room, r.name())
	k.srv.running.Add(1)
	go r.run() // ends when the room is closed
	return r
}

// SetOpen lets players in, as at first, or no more: the match has begun. Safe to
// call from any goroutine.
func (r *Room) SetOpen(open bool) {
	r.kind.mu.Lock()
	defer r.kind.mu.Unlock()
	r.seats.SetOpen(open)
	r.kind.changedLocked(r.Key())
}

// releaseSeat gives a place back, and says why. The last member's closes the room,
// or leaves it to linger.
func (r *Room) releaseSeat(watching bool, why Reason) {
	k := r.kind
	k.mu.Lock()
	defer k.mu.Unlock()
	k.changedLocked(r.Key())
	if watching {
		r.seats.Unwatch()
		r.closeLocked()
		return
	}
	if k.srv.stage.Load() == over && (why.Code == session.Moved || why.Code == session.ShuttingDown) {
		r.drained = true
	}
	switch r.seats.Leave() {
	case seats.Ends:
		if why.Code != session.ShuttingDown {
			why = Reason{Code: RoomEmpty}
		}
		r.endLocked(why)
		r.closeLocked()
	case seats.Lingers:
		r.lingerLocked(0)
	}
}

// lingerLocked keeps the empty room for as long as the type says, least at least.
func (r *Room) lingerLocked(least time.Duration) {
	r.seats.Idle()
	if linger := r.kind.plan.Linger; linger >= 0 {
		r.idle = time.AfterFunc(max(linger, least), func() { r.closeEmpty(Reason{Code: RoomEmpty}) })
	}
}

// closeEmpty closes the room if it has stayed empty, and does not go to another server.
func (r *Room) closeEmpty(why Reason) {
	r.kind.mu.Lock()
	defer r.kind.mu.Unlock()
	if r.kind.plan.IsEnding() {
		r.dropKeptLocked() // no player can come any more
	}
	if r.seats.Taken() == 0 && !r.moves {
		r.endLocked(why)
	}
}

// endLocked lets no player in any more, those who are in go, and the room end then. The
// first reason stands. The caller holds kind.mu.
func (r *Room) endLocked(why Reason) {
	if r.over != nil {
		return
	}
	r.seats.End() // if it is not on its way to another server
	r.over = &why
	r.ends.Store(true)
	r.dropKeptLocked()
	r.kind.changedLocked(r.Key())
	if r.idle != nil {
		r.idle.Stop()
	}
	if !r.closeLocked() {
		r.post(r.dismissAll, unbounded)
	}
}

// closeLocked lets the room's goroutine end, if the room shall end and is empty. The
// caller holds kind.mu.
func (r *Room) closeLocked() bool {
	if !r.seats.Deserted() {
		return false
	}
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.wake()
	return true
}

// deny counts what a client has asked of rooms of the type and is refused.
func (k *roomKind) deny(err error) error {
	k.joinsRefused.Add(1)
	return err
}
