// SPDX-License-Identifier: MIT

package session

import (
	"slices"
	"time"
)

// Tombstone is the record of an ended session. It answers a late RESUME. It holds
// no key.
type Tombstone struct {
	Code    Code
	Detail  uint64 // with a final code: told with it
	Recv    uint64 // how many packets were accepted: the client reports the others to its game
	Address string // with Moved: the address of the server that has the session
	Told    bool   // with Moved: the client has received the address

	until time.Duration // when it is dropped: a session that came back may leave another
}

// Refusal is the answer to a RESUME of the dead session: SPEC 6.4.
func (t Tombstone) Refusal() *CloseError {
	switch {
	case t.Code.Final():
		return &CloseError{Code: t.Code, Detail: t.Detail}
	case t.Code == Moved:
		return &CloseError{Code: Moved, Text: t.Address}
	}
	return &CloseError{Code: Gone, Text: t.Code.String(), Detail: t.Recv}
}

// Table finds the sessions of a server: by id, by user and by a login that is not
// confirmed yet. T is the server's own record of a session. A Table has no lock;
// its owner guards it.
//
// Its large maps hold numbers and no pointers; the sessions are in one slice, by
// number from 1. So the garbage collector does not scan the maps, and visits the
// sessions in the order of the slice, which is mostly that of memory. In the order
// of a map each visit would miss the cache.
type Table[T any] struct {
	entries       []entry[T]
	free          uint32 // first free entry
	live          map[ID]uint32
	users         map[string]uint32 // the newest session of each
	opening       map[OpeningKey]T
	tombstones    map[ID]Tombstone
	expiries      []expiry // oldest first, from first
	firstExpiry   int
	keepFor       time.Duration
	maxTombstones int

	// The highest attempt of each login: of this minute, and of the one before.
	attempts, attemptsBefore map[OpeningKey]uint64
	rotateAt                 time.Duration
}

// entry is a session in the list of its user. older and newer are numbers; 0 ends
// the list. older links the free entries.
type entry[T any] struct {
	v            T
	older, newer uint32
}

// expiry is when a tombstone is dropped.
type expiry struct {
	id    ID
	until time.Duration
}

// NewTable makes a table that keeps at most most tombstones, each for the time keep.
func NewTable[T any](keep time.Duration, most int) *Table[T] {
	return &Table[T]{
		live: map[ID]uint32{}, users: map[string]uint32{}, opening: map[OpeningKey]T{}, tombstones: map[ID]Tombstone{},
		keepFor: keep, maxTombstones: most,
	}
}

// Len returns the number of live sessions.
func (t *Table[T]) Len() int { return len(t.live) }

// Keep returns how long tombstones are kept.
func (t *Table[T]) Keep() time.Duration { return t.keepFor }

// Put adds a session. Its id must be new. A session with an empty user is not found
// by User.
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

// SetOpening records the session of a login whose WELCOME may be lost.
func (t *Table[T]) SetOpening(k OpeningKey, v T) { t.opening[k] = v }

// Opening returns the session of a repeated login.
func (t *Table[T]) Opening(k OpeningKey) (v T, ok bool) {
	v, ok = t.opening[k]
	return v, ok
}

// ForgetOpening removes a login: its client was received on the session, or the
// session is closed.
func (t *Table[T]) ForgetOpening(k OpeningKey) { delete(t.opening, k) }

// RecordAttempt records the attempt of a HELLO. stale says that the HELLO must be
// refused with Stale: one with the same or a higher attempt came before it (SPEC
// 6.1). Call it once for each HELLO, before anything else.
func (t *Table[T]) RecordAttempt(k OpeningKey, attempt uint64, now time.Duration) (stale bool) {
	t.expireAttempts(now)
	if max(t.attempts[k], t.attemptsBefore[k]) >= attempt {
		return true
	}
	t.attempts[k] = attempt
	return false
}

// ForgetAttempts removes the attempts of a login that was refused: it has no
// session, and its client waits for no answer.
func (t *Table[T]) ForgetAttempts(k OpeningKey) {
	delete(t.attempts, k)
	delete(t.attemptsBefore, k)
}

// maxAttempts is the most logins in each of the two maps of attempts. If more come
// within a minute, the oldest are forgotten early.
const maxAttempts = 1 << 17

// expireAttempts drops the attempts of the minute before the last.
func (t *Table[T]) expireAttempts(now time.Duration) {
	if now >= t.rotateAt || len(t.attempts) >= maxAttempts {
		t.attempts, t.attemptsBefore, t.rotateAt = map[OpeningKey]uint64{}, t.attempts, now+openingLife
	}
}

// Sweep removes expired attempts and tombstones. The other methods do so, too, as
// far as they use them; Sweep is for times without logins.
func (t *Table[T]) Sweep(now time.Duration) {
	t.expireAttempts(now)
	t.expireTombstones(now)
}

// Remove removes the session that Put added with id and user, and leaves a
// tombstone.
func (t *Table[T]) Remove(id ID, user string, stone Tombstone, now time.Duration) {
	if n, ok := t.live[id]; ok {
		delete(t.live, id)
		t.unlink(user, n)
	}
	t.expireTombstones(now)
	if t.maxTombstones <= 0 {
		return
	}
	if len(t.expiries)-t.firstExpiry >= t.maxTombstones {
		t.dropOldestTombstone()
	}
	stone.until = now + t.keepFor
	t.tombstones[id] = stone
	t.expiries = append(t.expiries, expiry{id, stone.until})
}

// unlink frees entry n, one of the user's.
func (t *Table[T]) unlink(user string, n uint32) {
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

// Tombstone returns the tombstone of an ended session.
func (t *Table[T]) Tombstone(id ID, now time.Duration) (Tombstone, bool) {
	t.expireTombstones(now)
	stone, ok := t.tombstones[id]
	return stone, ok
}

// MarkTold records that the client of a moved session has received its address.
func (t *Table[T]) MarkTold(id ID) {
	if stone, ok := t.tombstones[id]; ok {
		stone.Told = true
		t.tombstones[id] = stone
	}
}

func (t *Table[T]) expireTombstones(now time.Duration) {
	for t.firstExpiry < len(t.expiries) && t.expiries[t.firstExpiry].until <= now {
		t.dropOldestTombstone()
	}
}

func (t *Table[T]) dropOldestTombstone() {
	if x := t.expiries[t.firstExpiry]; t.tombstones[x.id].until == x.until {
		delete(t.tombstones, x.id)
	}
	if t.firstExpiry++; t.firstExpiry > 64 && t.firstExpiry > len(t.expiries)/2 {
		t.expiries = append(t.expiries[:0], t.expiries[t.firstExpiry:]...)
		t.firstExpiry = 0
	}
}
