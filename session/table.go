// SPDX-License-Identifier: MIT

package session

import "time"

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
type Table[T comparable] struct {
	live    map[ID]T
	users   map[string][]T
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

type grave struct {
	id    ID
	until time.Duration
}

// NewTable makes a table that keeps at most most tombstones, each for keep.
func NewTable[T comparable](keep time.Duration, most int) *Table[T] {
	return &Table[T]{
		live: map[ID]T{}, users: map[string][]T{}, opening: map[OpeningKey]T{}, tombs: map[ID]Tombstone{},
		keep: keep, most: most,
	}
}

// Len returns how many sessions live.
func (t *Table[T]) Len() int { return len(t.live) }

// Tombs returns how many tombstones are kept.
func (t *Table[T]) Tombs() int { return len(t.tombs) }

// Keep returns how long tombstones are kept.
func (t *Table[T]) Keep() time.Duration { return t.keep }

// Put enters a session. An empty user is nobody and never found by User.
func (t *Table[T]) Put(id ID, user string, v T) {
	t.live[id] = v
	if user != "" {
		t.users[user] = append(t.users[user], v)
	}
}

// Get returns the session of an id.
func (t *Table[T]) Get(id ID) (v T, ok bool) {
	v, ok = t.live[id]
	return v, ok
}

// User returns the sessions of a user, oldest first. The slice is the table's.
func (t *Table[T]) User(user string) []T { return t.users[user] }

// All calls f with every session until f returns false.
func (t *Table[T]) All(f func(ID, T) bool) {
	for id, v := range t.live {
		if !f(id, v) {
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
	if now >= t.turn {
		t.seen, t.seenBefore, t.turn = map[OpeningKey]uint64{}, t.seen, now+openingLife
	}
	if max(t.seen[k], t.seenBefore[k]) >= attempt {
		return true
	}
	t.seen[k] = attempt
	return false
}

// Bury removes a session and leaves a tombstone.
func (t *Table[T]) Bury(id ID, user string, v T, stone Tombstone, now time.Duration) {
	delete(t.live, id)
	if list := t.users[user]; len(list) > 1 {
		for i := range list {
			if list[i] == v {
				t.users[user] = append(list[:i:i], list[i+1:]...)
				break
			}
		}
	} else if len(list) == 1 && list[0] == v {
		delete(t.users, user)
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
