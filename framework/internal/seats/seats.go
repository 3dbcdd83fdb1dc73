// SPDX-License-Identifier: MIT

// Package seats counts the seats of rooms: which room a player gets, whether there is
// one for it, and when a room is empty, lingers and ends.
//
// A Plan is all rooms of one type. It knows no player, no goroutine, no lock and no
// clock: the caller guards it, and does what it returns.
package seats

import (
	"cmp"
	"container/list"
	"iter"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Limits are those of a type of room. They are set before its first room is made.
type Limits struct {
	Seats      int           // for members, of each room; 0: no limit
	Spectators int           // of each room; 0: there are none
	Rooms      int           // empty ones included
	Linger     time.Duration // of an empty room; negative: as long as the server runs
}

// Plan is the rooms of one type that players may get into. V is the caller's room.
type Plan[V any] struct {
	Limits
	Prefix    string // of the keys that Make makes
	open      map[string]*Room[V]
	matchable map[*Room[V]]bool // those that any stranger may get into
	idle      list.List         // of *Room[V]: the empty ones, by how long they have been so
	numbered  uint64            // rooms that were made for strangers
	ending    bool
	counts    Counts
}

// Counts is what a Plan counts.
type Counts struct {
	Opened  uint64 // rooms that were made
	Refused uint64 // rooms that were not, because of Limits.Rooms
	Evicted uint64 // empty rooms that ended for another's sake
}

// Room is the seats of one room.
type Room[V any] struct {
	Key   string
	Value V // the caller's own

	plan           *Plan[V]
	taken, watched int           // reserved ones included
	matched        bool          // made for strangers
	shut           bool          // by SetOpen
	over           bool          // it lets no player in any more
	idle           *list.Element // of Plan.idle, nil while it is in use
}

// Refusal is why there is no seat.
type Refusal uint8

const (
	Granted      Refusal = iota
	NoRoom               // there is no such room
	Closed               // the room is shut, or ends
	Full                 // it has not so many free seats
	Unwatchable          // the type has no spectators
	TooManyWatch         // the room has as many as it may
)

// Next is what comes of a room that a player has left.
type Next uint8

const (
	GoesOn  Next = iota // there are other members, or it was a spectator
	Lingers             // it is empty, and waits for others: call Idle
	Ends                // it is empty: call End
)

// Get returns the room of a key, nil if there is none.
func (p *Plan[V]) Get(key string) *Room[V] { return p.open[key] }

// Len is how many rooms there are.
func (p *Plan[V]) Len() int { return len(p.open) }

// All visits every room.
func (p *Plan[V]) All() iter.Seq[*Room[V]] {
	return func(yield func(*Room[V]) bool) {
		for _, r := range p.open {
			if !yield(r) {
				return
			}
		}
	}
}

// Counts returns the counters.
func (p *Plan[V]) Counts() Counts { return p.counts }

// Ending tells that no empty room lingers any more.
func (p *Plan[V]) Ending() { p.ending = true }

// IsEnding reports that Ending was called.
func (p *Plan[V]) IsEnding() bool { return p.ending }

// Find returns the room of a key. Without a key it is the fullest of those that take
// strangers, other than not. It is nil if there is none.
func (p *Plan[V]) Find(key string, not *Room[V]) (r *Room[V]) {
	if key != "" {
		return p.open[key]
	}
	for other := range p.matchable {
		if other != not && (r == nil || other.taken > r.taken || other.taken == r.taken && other.Key < r.Key) {
			r = other
		}
	}
	return r
}

// Fullest returns up to n rooms that any stranger may get into, the fullest first.
func (p *Plan[V]) Fullest(n int) []*Room[V] {
	list := slices.SortedFunc(maps.Keys(p.matchable), func(a, b *Room[V]) int {
		return cmp.Or(cmp.Compare(b.taken, a.taken), cmp.Compare(a.Key, b.Key))
	})
	return list[:min(n, len(list))]
}

// MayMake decides on one room more. When there are as many as may be, the one that has
// been empty for longest must end for it: evict, if it is not nil.
func (p *Plan[V]) MayMake() (evict *Room[V], ok bool) {
	if len(p.open) < p.Rooms {
		return nil, true
	}
	longest := p.idle.Front()
	if longest == nil {
		p.counts.Refused++
		return nil, false
	}
	p.counts.Evicted++
	return longest.Value.(*Room[V]), true
}

// Make makes the room of a key that has none, or without a key one for strangers.
func (p *Plan[V]) Make(key string) *Room[V] {
	if p.open == nil {
		p.open, p.matchable = map[string]*Room[V]{}, map[*Room[V]]bool{}
	}
	r := &Room[V]{plan: p, matched: key == ""}
	for key == "" || p.open[key] != nil {
		p.numbered++
		key = p.Prefix + strconv.FormatUint(p.numbered, 10)
	}
	r.Key = key
	p.open[key] = r
	p.counts.Opened++
	r.match()
	return r
}

// Match lets strangers get into the room.
func (r *Room[V]) Match() {
	r.matched = true
	r.match()
}

// Matched reports that strangers get into the room.
func (r *Room[V]) Matched() bool { return r.matched }

// Sit takes n seats, all or none. r may be nil.
func (r *Room[V]) Sit(n int) Refusal {
	switch {
	case r == nil:
		return NoRoom
	case r.shut || r.over:
		return Closed
	case r.plan.Seats > 0 && r.taken+n > r.plan.Seats:
		return Full
	case n > 0:
		r.inUse()
		r.taken += n
		r.match()
	}
	return Granted
}

// Watch takes a place for a spectator. r may be nil.
func (p *Plan[V]) Watch(r *Room[V]) Refusal {
	switch {
	case p.Spectators == 0:
		return Unwatchable
	case r == nil || r.over:
		return NoRoom
	case r.watched >= p.Spectators:
		return TooManyWatch
	}
	r.watched++
	return Granted
}

// Leave gives a member's seat back.
func (r *Room[V]) Leave() Next {
	r.taken--
	r.match()
	switch {
	case r.taken > 0:
		return GoesOn
	case r.plan.Linger == 0 || r.plan.ending || r.over:
		return Ends
	}
	return Lingers
}

// Unwatch gives a spectator's place back.
func (r *Room[V]) Unwatch() { r.watched-- }

// Idle notes that the room is empty from now on, until a seat is taken.
func (r *Room[V]) Idle() { r.idle = r.plan.idle.PushBack(r) }

// SetOpen lets players in, as at first, or no more.
func (r *Room[V]) SetOpen(open bool) {
	r.shut = !open
	r.match()
}

// End lets no player in any more: its key makes another room. It reports false if that
// was so before.
func (r *Room[V]) End() bool {
	if r.over {
		return false
	}
	r.over = true
	r.inUse()
	if r.plan.open[r.Key] == r {
		delete(r.plan.open, r.Key)
	}
	r.match()
	return true
}

// Deserted reports that the room ends and that all have left.
func (r *Room[V]) Deserted() bool { return r.over && r.taken == 0 && r.watched == 0 }

// Taken is how many seats are taken, reserved ones included.
func (r *Room[V]) Taken() int { return r.taken }

// Watched is how many places of spectators are taken, reserved ones included.
func (r *Room[V]) Watched() int { return r.watched }

// Shut reports that SetOpen lets no player in.
func (r *Room[V]) Shut() bool { return r.shut }

// inUse takes the room out of the list of empty ones.
func (r *Room[V]) inUse() {
	if r.idle != nil {
		r.plan.idle.Remove(r.idle)
		r.idle = nil
	}
}

// match notes whether strangers may get into the room.
func (r *Room[V]) match() {
	p := r.plan
	if r.matched && !r.shut && !r.over && (p.Seats == 0 || r.taken < p.Seats) {
		p.matchable[r] = true
	} else {
		delete(p.matchable, r)
	}
}
