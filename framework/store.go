// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// Store is where sessions wait on their way from one server of a game to
// another: see Player.Move. Whatever implements it, be it the memory of one
// process or a database, gives a record to one taker only. Its methods may
// block, and are called from many goroutines.
type Store interface {
	// Put keeps the record of a session until it is taken, and at least
	// for keep. It returns ErrFenced, and changes nothing, if it has seen the
	// session in a later epoch: the owner of this record is not the session's any more.
	Put(ctx context.Context, id ID, epoch uint32, record []byte, keep time.Duration) error
	// Take returns the record of a session and keeps none; taker is the
	// Config.Address of the server that asks. If another one has taken it, the error is a
	// *CloseError with the code MOVED and that one's address as its
	// text. Without a record and an error the session is not known.
	Take(ctx context.Context, id ID, taker string) (record []byte, err error)
}

// ErrFenced refuses the record of a server that has lost its session.
var ErrFenced = errors.New("framework: the session has moved on")

// MemoryStore is a Store for servers of one process. The zero value works.
type MemoryStore struct {
	mu sync.Mutex
	// Guarded by mu.
	places map[session.ID]*place
	sweep  time.Time // when those are dropped that are not asked for any more
}

// place is what a MemoryStore knows of a session.
type place struct {
	epoch  uint32 // the latest one seen
	record []byte // nil: taken
	taker  string
	until  time.Time
	keep   time.Duration
}

// Put implements Store.
func (m *MemoryStore) Put(_ context.Context, id ID, epoch uint32, record []byte, keep time.Duration) error {
	now := clock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.After(m.sweep) {
		m.sweep = now.Add(time.Minute)
		for id, at := range m.places {
			if now.After(at.until) {
				delete(m.places, id)
			}
		}
	}
	if at := m.places[id]; at != nil && epoch < at.epoch {
		return ErrFenced
	}
	if m.places == nil {
		m.places = map[session.ID]*place{}
	}
	m.places[id] = &place{epoch: epoch, record: append([]byte{}, record...), until: now.Add(keep), keep: keep}
	return nil
}

// Take implements Store.
func (m *MemoryStore) Take(_ context.Context, id ID, taker string) ([]byte, error) {
	now := clock()
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.places[id]
	switch {
	case at == nil || now.After(at.until):
		return nil, nil
	case at.record == nil && at.taker == taker:
		return nil, nil // it had it, and has lost it
	case at.record == nil:
		return nil, &session.CloseError{Code: session.Moved, Text: at.taker}
	}
	record := at.record
	// The taker begins an epoch of its own: session/SPEC 14.
	at.record, at.taker, at.epoch, at.until = nil, taker, at.epoch+1, now.Add(at.keep)
	return record, nil
}
