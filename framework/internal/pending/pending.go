// SPDX-License-Identifier: MIT

// Package pending is the table of requests that wait for their answers: those of a
// server to one client, and those of a client. A side numbers its own requests
// (codec/SPEC.md 6.2).
package pending

import (
	"context"
	"fmt"

	"github.com/lifeline-go/lifeline/codec"
)

// Answer is what comes back for a request: a payload or an error.
type Answer struct {
	Payload []byte
	Err     error
}

// Call is a request that waits. The zero value is none.
type Call struct {
	answer chan Answer // 1 deep, so that Settle never blocks
	// Tag is the owner's own.
	Tag uint64
}

// IsZero reports whether it is no call.
func (c Call) IsZero() bool { return c.answer == nil }

// Settle gives the answer. It is called once, by what has taken the call out of its
// table.
func (c Call) Settle(a Answer) { c.answer <- a }

// Wait returns the answer. If ctx ends before it comes, forget must take the call out
// of its table, under the lock of the table.
func (c Call) Wait(ctx context.Context, forget func()) ([]byte, error) {
	var a Answer
	select {
	case a = <-c.answer:
	case <-ctx.Done():
		forget()
		select {
		case a = <-c.answer: // it came all the same
		default:
			return nil, ctx.Err()
		}
	}
	return a.Payload, a.Err
}

// Table holds the calls by id. The zero value works, and begins with id 1. It has no
// lock: its owner guards it.
type Table struct {
	calls map[uint64]Call
	last  uint64
}

// StartAfter makes the next id the one after last.
func (t *Table) StartAfter(last uint64) { t.last = last }

// Next is the id that Add gives next.
func (t *Table) Next() uint64 { return t.last + 1 }

// Add makes a call. Its id is Next.
func (t *Table) Add(tag uint64) Call {
	if t.calls == nil {
		t.calls = map[uint64]Call{}
	}
	c := Call{make(chan Answer, 1), tag}
	t.last++
	t.calls[t.last] = c
	return c
}

// Len is how many calls wait.
func (t *Table) Len() int { return len(t.calls) }

// Take takes a call out. It is zero if none waits by that id.
func (t *Table) Take(id uint64) Call {
	c := t.calls[id]
	delete(t.calls, id)
	return c
}

// FailAll ends all calls: their answers can't come any more.
func (t *Table) FailAll(err error) {
	for id, c := range t.calls {
		delete(t.calls, id)
		c.Settle(Answer{Err: err})
	}
}

// Parse reads a RESPONSE or a FAILURE. The payload is a copy. If the packet is
// malformed the answer says so, for the call of id, which is 0 if there is none to
// be read.
func Parse(pk codec.Packet) (id uint64, a Answer, err error) {
	if pk.Kind == codec.Response {
		var payload []byte
		id, payload, err = codec.ParseResponse(pk.Body)
		a.Payload = append([]byte(nil), payload...)
	} else {
		var code codec.ErrorCode
		var text []byte
		id, code, text, err = codec.ParseFailure(pk.Body)
		a.Err = &codec.Error{Code: code, Text: string(text)}
	}
	if err != nil {
		id, _ = codec.EnvelopeID(pk.Body)
		a = Answer{Err: fmt.Errorf("lifeline: malformed answer: %w", err)}
	}
	return id, a, err
}
