// SPDX-License-Identifier: MIT

package session

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// T16 of transport/SPEC.md: however many others resume after it, an attempt
// that a session has answered stays used: it is the session that remembers it,
// not a table that others could push it out of.
func TestAttemptStaysUsedAfterAMillionResumes(t *testing.T) {
	const others = 1000
	rounds := 1000
	if testing.Short() {
		rounds = 20
	}
	shard := testShard(t, Config{})
	table := NewTable[*Session](time.Minute, others)
	open := func(n uint64) *Session {
		s := new(Session)
		var id ID
		binary.LittleEndian.PutUint64(id[:], n)
		s.Open(shard, id, 0)
		if _, err := s.Receive(1, codec.Packet{}, 0); err != nil {
			t.Fatal(err)
		}
		table.Put(id, "", s)
		return s
	}
	var dst []byte
	now := time.Duration(0)
	resume := func(id ID, attempt uint64) *CloseError {
		s, ok := table.Get(id)
		if !ok {
			t.Fatalf("session %v is gone", id)
		}
		var err *CloseError
		dst, _, err = s.Resume(dst[:0], &ResumeRequest{ID: id, Attempt: attempt, Lowest: 1}, now)
		return err
	}
	first := open(0)
	if err := resume(first.id, 7); err != nil {
		t.Fatal(err)
	}
	list := make([]ID, others)
	for i := range list {
		list[i] = open(uint64(i + 1)).id
	}
	for round := range rounds {
		now += time.Millisecond
		for _, id := range list {
			if err := resume(id, uint64(round+1)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for attempt := range uint64(8) {
		if err := resume(first.id, attempt); err == nil || err.Code != Stale || err.Detail != 7 || first.Epoch() != 2 {
			t.Errorf("attempt %d: %v, epoch %d", attempt, err, first.Epoch())
		}
	}
	if err := resume(first.id, 8); err != nil {
		t.Errorf("the next one: %v", err)
	}
	if table.Len() != others+1 || len(table.tombstones) != 0 {
		t.Errorf("%d sessions, %d tombstones", table.Len(), len(table.tombstones))
	}
}
