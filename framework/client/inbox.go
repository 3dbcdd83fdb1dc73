// SPDX-License-Identifier: MIT

package client

import (
	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/pending"
)

// entry is a message or a request, or a state or an answer if there is one.
type entry struct {
	kind   codec.Kind
	routes *dictionary // of the session that it came in
	ended  uint64      // names that session: how many had ended before it
	body   []byte
	state  *Event
	call   pending.Call // that answer is for
	answer pending.Answer
}

// inbox is the queue before the app's callbacks: a ring whose places keep
// their memory. Guarded by Client.mu.
type inbox struct {
	ring     []entry
	head, n  int
	spare    []byte // what the popped message stands in
	messages int
	bytes    int // of them
	held     bool
	answers  int // that wait
}

// keepBody is the largest memory that a place of the ring keeps.
const keepBody = 4 << 10

func (q *inbox) push() *entry {
	if q.n == len(q.ring) {
		ring := make([]entry, max(2*len(q.ring), 8))
		copy(ring[copy(ring, q.ring[q.head:]):], q.ring[:q.head])
		q.ring, q.head = ring, 0
	}
	e := &q.ring[(q.head+q.n)%len(q.ring)]
	q.n++
	return e
}

func (q *inbox) pushMessage(p codec.Packet, routes *dictionary, ended uint64) {
	e := q.push()
	e.kind, e.routes, e.ended = p.Kind, routes, ended
	e.body = append(e.body[:0], p.Body...)
	q.messages++
	q.bytes += len(p.Body)
}

func (q *inbox) pushState(s Event) { q.push().state = &s }

func (q *inbox) pushAnswer(call pending.Call, a pending.Answer) {
	e := q.push()
	e.call, e.answer = call, a
	q.answers++
}

// releaseAll lets every answer out that waits. Their places stay.
func (q *inbox) releaseAll() {
	for i := range q.n {
		if e := &q.ring[(q.head+i)%len(q.ring)]; !e.call.IsZero() {
			e.call.Settle(e.answer)
			e.call, e.answer, e.state = pending.Call{}, pending.Answer{}, &Event{}
		}
	}
	q.answers = 0
}

// pop takes the oldest entry. Its body lives until the next message is popped.
func (q *inbox) pop() entry {
	at := &q.ring[q.head]
	e := *at
	switch {
	case !e.call.IsZero():
		q.answers--
	case e.state == nil:
		q.messages--
		q.bytes -= len(e.body)
		if cap(q.spare) > keepBody {
			q.spare = nil
		}
		at.body, q.spare = q.spare, e.body
	}
	at.state, at.call, at.answer = nil, pending.Call{}, pending.Answer{}
	q.head = (q.head + 1) % len(q.ring)
	q.n--
	return e
}
