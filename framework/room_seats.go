// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/watchdog"
	"github.com/lifeline-go/lifeline/session"
)

// This file counts seats: which room a player gets, and when rooms begin and end.

// reserveSeat finds or makes the room of a key and keeps a seat in it. Without a key
// it is the fullest of those that take strangers, other than from. payer, if not
// nil, is charged for a room that has to be made.
func (k *roomKind) reserveSeat(w joinWish, from *Room, payer *Player) (*Room, error) {
	key := w.key
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
	case w.watch:
		return k.reserveWatchLocked(r)
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
	r.takeLocked(1)
	return r, nil
}

// takeLocked takes n free seats.
func (r *Room) takeLocked(n int) {
	if r.idle != nil {
		r.idle.Stop()
		r.idle = nil
	}
	r.notEmptyLocked()
	r.seatsTaken += n
	r.kind.changedLocked(r.key)
	r.updateMatchableLocked()
}

// reserveWatchLocked keeps a place for a spectator. No room is made for one.
func (k *roomKind) reserveWatchLocked(r *Room) (*Room, error) {
	switch {
	case k.spectators == 0:
		return nil, refusal(codec.ErrorRefused, "rooms of type "+k.name+" can't be watched")
	case r == nil || r.over != nil:
		return nil, refusal(codec.ErrorRefused, "there is no such room")
	case r.watched >= k.spectators:
		return nil, refusal(codec.ErrorFull, "too many watch the room")
	}
	r.watched++
	k.changedLocked(r.key)
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
	oldest.Value.(*Room).endLocked(Reason{Code: RoomEmpty, Text: "another room needs its place"})
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
	k.changedLocked(key)
	k.opened++
	r.activity = k.srv.watch.Register(watchdog.Room, r.name())
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
	r.kind.changedLocked(r.key)
	r.updateMatchableLocked()
}

// releaseSeat gives a place back, and says why. The last member's closes the room,
// or leaves it to linger.
func (r *Room) releaseSeat(watching bool, why Reason) {
	k := r.kind
	k.mu.Lock()
	defer k.mu.Unlock()
	k.changedLocked(r.key)
	if watching {
		r.watched--
		r.closeLocked()
		return
	}
	r.seatsTaken--
	r.updateMatchableLocked()
	switch {
	case r.seatsTaken > 0:
	case k.linger == 0 || k.ending || r.over != nil:
		if why.Code != session.ShuttingDown {
			why = Reason{Code: RoomEmpty}
		}
		r.endLocked(why)
		r.closeLocked()
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
		r.endLocked(why)
	}
}

// endLocked lets nobody in any more, those who are in go, and the room end then. The
// first reason stands: it reports false if there was one. The caller holds kind.mu.
func (r *Room) endLocked(why Reason) bool {
	if r.over != nil {
		return false
	}
	r.over = &why
	r.kind.changedLocked(r.key)
	if r.idle != nil {
		r.idle.Stop()
	}
	r.notEmptyLocked()
	if r.kind.open[r.key] == r {
		delete(r.kind.open, r.key)
	}
	r.updateMatchableLocked()
	if !r.closeLocked() {
		r.post(r.dismissAll, maxPosted+1)
	}
	return true
}

// closeLocked lets the room's goroutine end, if the room shall end and is empty. The
// caller holds kind.mu.
func (r *Room) closeLocked() bool {
	if r.over == nil || r.seatsTaken > 0 || r.watched > 0 {
		return false
	}
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.wake()
	return true
}
