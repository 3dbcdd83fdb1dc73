// SPDX-License-Identifier: MIT

package session

import (
	"slices"
	"time"
)

// Tombstone is what remains of a closed session for a while, so that a late
// RESUME learns how it ended. It holds no key.
type Tombstone struct {
	Code    Code
	Recv    uint64 // how many packets were accepted: the client tells its game about the others
	Address string // with Moved: where the session went
	Told    bool   // ... and that its client has been told so
}

// Refusal is the answer to a RESUME of the dead session: SPEC 6.4.
func (t Tombstone) Refusal() *CloseError {
	switch {
	case t.Code.Final():
		return &CloseError{Code: t.Code}
	case t.Code == Moved:
		return &CloseError{Code: Moved, Text: t.Address}
	}
	return &CloseError{Code: Gone, Text: t.Code.String(), Detail: t.Recv}
}

// Table finds the sessions of a server: by id, by user and by the login that
// is still to be confirmed. T is the server's own record of a session. A Table
// has no lock; whoever shares one guards it.
//
// Its large maps hold numbers and no pointers, and the sessions stand in one
// slice, by number from 1. So the garbage collector has nothing to look for in
// the maps, and meets the sessions in the order in which they came, mostly that
// of memory, where the order of a map would miss the cache for each.
type Table[T any] struct {
	entries []entry[T]
	free    uint32 // first free entry
	live    map[ID]uint32
	users   map[string]uint32 // the newest session of each
	opening map[OpeningKey]T
	tombs   map[ID]Tombstone
	order   []grave // oldest first, from first
	first   int
	keep    time.Duration
	most    int

	// Of each login the highest attempt: this minute's and the last one's.
	seen, seenBefore map[OpeningKey]uint64
	turn             time.Duration
}

// entry is a session among those of its user. older and newer are numbers; 0
// ends the list. Free entries are linked by older.
type entry[T any] struct {
	v            T
	older, newer uint32
}

type grave struct {
	id    ID
	until time.Duration
}

// NewTable makes a table that keeps at most most tombstones, each for keep.
func NewTable[T any](keep time.Duration, most int) *Table[T] {
	return &Table[T]{
		live: map[ID]uint32{}, users: map[string]uint32{}, opening: map[OpeningKey]T{}, tombs: map[ID]Tombstone{},
		keep: keep, most: most,
	}
}

// Len returns how many sessions live.
func (t *Table[T]) Len() int { return len(t.live) }

// Keep returns how long tombstones are kept.
func (t *Table[T]) Keep() time.Duration { return t.keep }

// Put enters a session under an id that is new. An empty user is nobody and
// never found by User.
func (t *Table[T]) Put(id ID, user string, v T) {
	n := t.free
	if n == 0 {
		t.entries = append(t.entries, entry[T]{})
		n = uint32(len(t.entries))
	} else {
		t.free = t.entry(n).older
	}
	t.live[id] = n
	e := t.entry(n)
	*e = entry[T]{v: v}
	if user == "" {
		return
	}
	if e.older = t.users[user]; e.older != 0 {
		t.entry(e.older).newer = n
	}
	t.users[user] = n
}

func (t *Table[T]) entry(n uint32) *entry[T] { return &t.entries[n-1] }

// Get returns the session of an id.
func (t *Table[T]) Get(id ID) (v T, ok bool) {
	n, ok := t.live[id]
	if ok {
		v = t.entry(n).v
	}
	return v, ok
}

// User returns the sessions of a user, oldest first.
func (t *Table[T]) User(user string) (list []T) {
	for n := t.users[user]; n != 0; n = t.entry(n).older {
		list = append(list, t.entry(n).v)
	}
	slices.Reverse(list)
	return list
}

// All calls f with every session until f returns false.
func (t *Table[T]) All(f func(ID, T) bool) {
	for id, n := range t.live {
		if !f(id, t.entry(n).v) {
			return
		}
	}
}

// SetOpening remembers the session of a login whose WELCOME may be lost.
func (t *Table[T]) SetOpening(k OpeningKey, v T) { t.opening[k] = v }

// Opening returns the session of a repeated login.
func (t *Table[T]) Opening(k OpeningKey) (v T, ok bool) {
	v, ok = t.opening[k]
	return v, ok
}

// Opened forgets a login: its client was heard, or its session is closed.
func (t *Table[T]) Opened(k OpeningKey) { delete(t.opening, k) }

// Overtaken reports whether a HELLO must be refused with Stale, because one with
// the same or a higher attempt came before it: SPEC 6.1. Ask it first, once for
// each HELLO.
func (t *Table[T]) Overtaken(k OpeningKey, attempt uint64, now time.Duration) bool {
	t.forget(now)
	if max(t.seen[k], t.seenBefore[k]) >= attempt {
		return true
	}
	t.seen[k] = attempt
	return false
}

// Forget forgets the attempts of a login that was refused, for good or for lack
// of room: no answer is open, and no session came of it.
func (t *Table[T]) Forget(k OpeningKey) {
	delete(t.seen, k)
	delete(t.seenBefore, k)
}

// mostSeen bounds the logins whose attempts are remembered, in each of the two
// maps. More in a minute than that, and the oldest are forgotten early.
const mostSeen = 1 << 17

// forget drops the attempts of the minute before the last.
func (t *Table[T]) forget(now time.Duration) {
	if now >= t.turn || len(t.seen) >= mostSeen {
		t.seen, t.seenBefore, t.turn = map[OpeningKey]uint64{}, t.seen, now+openingLife
	}
}

// Sweep forgets what has had its time, for when nobody comes or goes: every
// other call that looks at such things does so itself.
func (t *Table[T]) Sweep(now time.Duration) {
	t.forget(now)
	t.sweep(now)
}

// Bury removes the session that was put in under id and user, and leaves a
// tombstone.
func (t *Table[T]) Bury(id ID, user string, stone Tombstone, now time.Duration) {
	if n, ok := t.live[id]; ok {
		delete(t.live, id)
		t.remove(user, n)
	}
	t.sweep(now)
	if t.most <= 0 {
		return
	}
	if len(t.order)-t.first >= t.most {
		t.dropOldest()
	}
	t.tombs[id] = stone
	t.order = append(t.order, grave{id, now + t.keep})
}

// remove frees entry n, which is one of the user's.
func (t *Table[T]) remove(user string, n uint32) {
	e := t.entry(n)
	if e.older != 0 {
		t.entry(e.older).newer = e.newer
	}
	switch {
	case e.newer != 0:
		t.entry(e.newer).older = e.older
	case e.older != 0:
		t.users[user] = e.older
	case t.users[user] == n:
		delete(t.users, user)
	}
	*e = entry[T]{older: t.free}
	t.free = n
}

// Tomb returns the tombstone of a dead session.
func (t *Table[T]) Tomb(id ID, now time.Duration) (Tombstone, bool) {
	t.sweep(now)
	stone, ok := t.tombs[id]
	return stone, ok
}

// Tell takes note that the client of a session that has moved was told where.
func (t *Table[T]) Tell(id ID) {
	if stone, ok := t.tombs[id]; ok {
		stone.Told = true
		t.tombs[id] = stone
	}
}

func (t *Table[T]) sweep(now time.Duration) {
	for t.first < len(t.order) && t.order[t.first].until <= now {
		t.dropOldest()
	}
}

func (t *Table[T]) dropOldest() {
	delete(t.tombs, t.order[t.first].id)
	if t.first++; t.first > 64 && t.first > len(t.order)/2 {
		t.order = append(t.order[:0], t.order[t.first:]...)
		t.first = 0
	}
}
