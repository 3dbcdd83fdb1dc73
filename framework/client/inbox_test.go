// SPDX-License-Identifier: MIT

package client

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/pending"
	"github.com/lifeline-go/lifeline/session"
)

// modelEntry is an entry as a list would hold it: one of the three.
type modelEntry struct {
	body  []byte
	state *Event
	call  pending.Call
	out   bool // the answer was let out
}

// TestInboxIsAQueue plays at random against a list.
func TestInboxIsAQueue(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var q inbox
		var model []modelEntry
		var calls pending.Table
		for range 2000 {
			switch rng.IntN(9) {
			case 0, 1, 2:
				body := bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(2)*keepBody+rng.IntN(100))
				q.pushMessage(codec.Packet{Header: codec.Header{Kind: codec.Message}, Body: body}, nil, 7)
				model = append(model, modelEntry{body: bytes.Clone(body)})
				clear(body) // it is the reader's
			case 3:
				model = append(model, modelEntry{state: &Event{}})
				q.pushState(Event{})
			case 4:
				call := calls.Add(0)
				model = append(model, modelEntry{call: call})
				q.pushAnswer(call, pending.Answer{})
			case 5:
				if rng.IntN(20) > 0 {
					continue
				}
				q.releaseAll()
				for i := range model {
					model[i].out = model[i].out || !model[i].call.IsZero()
				}
			default:
				if len(model) == 0 {
					continue
				}
				popped(t, q.pop(), model[0])
				model = model[1:]
			}
			counted(t, &q, model)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// popped compares an entry that was taken out with the oldest of the list.
func popped(t *testing.T, e entry, want modelEntry) {
	t.Helper()
	switch {
	case want.out: // no callback is told of it
		if e.state == nil || e.state.Kind != 0 || !e.call.IsZero() {
			t.Errorf("an answer that was let out is %+v", e)
		}
	case !want.call.IsZero():
		if e.call != want.call {
			t.Error("another call's answer")
		}
	case want.state != nil:
		if e.state == nil || !e.call.IsZero() {
			t.Errorf("an event is %+v", e)
		}
	case e.state != nil || !e.call.IsZero() || e.kind != codec.Message || e.ended != 7 || !bytes.Equal(e.body, want.body):
		t.Errorf("a message of %d bytes is %d bytes, %+v", len(want.body), len(e.body), e)
	}
}

// counted compares the counts with those of the list.
func counted(t *testing.T, q *inbox, model []modelEntry) {
	t.Helper()
	messages, size, answers := 0, 0, 0
	for _, m := range model {
		switch {
		case m.state == nil && m.call.IsZero():
			messages++
			size += len(m.body)
		case !m.call.IsZero() && !m.out:
			answers++
		}
	}
	if q.n != len(model) || q.messages != messages || q.bytes != size || q.answers != answers {
		t.Errorf("%d entries, %d messages of %d bytes, %d answers; want %d, %d of %d, %d",
			q.n, q.messages, q.bytes, q.answers, len(model), messages, size, answers)
	}
}

func TestInboxHoldsFromThreeQuartersToOne(t *testing.T) {
	for _, c := range []struct {
		name    string
		patient bool
		size    int // of a message
		hold    int // messages at which the server is held
		free    int // and at which it goes on
		deaf    int
	}{
		{"packets", false, 1, 75, 24, 200},
		{"bytes", false, 1000, 8, 2, 20},
		{"while a request waits", true, 1, (100 + patientPackets) * 3 / 4, (100+patientPackets)/4 - 1, (100 + patientPackets) * 2},
	} {
		q := inbox{maxPackets: 100, maxBytes: 10_000}
		for n := 1; !q.deaf(c.patient); n++ {
			q.pushMessage(codec.Packet{Body: make([]byte, c.size)}, nil, 0)
			if news := q.hold(c.patient); news != (n == c.hold) || q.held != (n >= c.hold) {
				t.Errorf("%s: %d messages: held %v, news %v, want from %d on", c.name, n, q.held, news, c.hold)
			}
		}
		if q.messages != c.deaf {
			t.Errorf("%s: the reader stops at %d messages, want %d", c.name, q.messages, c.deaf)
		}
		for q.messages > 0 {
			q.pop()
			if news := q.hold(c.patient); news != (q.messages == c.free) || q.held != (q.messages > c.free) {
				t.Errorf("%s: %d messages are left: held %v, news %v, want until %d", c.name, q.messages, q.held, news, c.free)
			}
		}
	}
}

// An answer comes after the callbacks of what was sent before it, except to the callback
// that has asked, or when a callback does not return.
func TestAnswerComesAfterWhatWasSentBefore(t *testing.T) {
	var q inbox
	var calls pending.Table
	if q.release(calls.Add(0), pending.Answer{}) {
		t.Error("nothing was sent before, and the answer waits")
	}
	q.pushMessage(codec.Packet{}, nil, 0)
	if !q.release(calls.Add(0), pending.Answer{}) || q.blockedAt() != session.Never {
		t.Errorf("a message waits: %d answers wait, until %v", q.answers, q.blockedAt())
	}
	q.pop()
	q.begin(time.Minute)
	if q.release(calls.Add(q.callback), pending.Answer{}) {
		t.Error("the callback that runs has asked, and the answer waits")
	}
	if !q.release(calls.Add(q.callback+1), pending.Answer{}) || q.blockedAt() != time.Minute+answerPatience {
		t.Errorf("another has asked: %d answers wait, until %v", q.answers, q.blockedAt())
	}
	q.end()
	if q.blockedAt() != session.Never {
		t.Errorf("no callback runs, and answers wait until %v", q.blockedAt())
	}
}
