// SPDX-License-Identifier: MIT

package client

import (
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/pending"
	"github.com/lifeline-go/lifeline/session"
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
	run    func() // if there is one: state is empty
}

// inbox is the queue before the app's callbacks: a ring whose places keep
// their memory. Guarded by Client.mu.
type inbox struct {
	maxPackets, maxBytes int // of messages, while no request waits

	ring     []entry
	head, n  int
	spare    []byte // what the popped message stands in
	messages int
	bytes    int // of them
	held     bool
	answers  int // that wait

	callback  uint64        // that runs, 0: none
	callbacks uint64        // that have begun
	begun     time.Duration // when callback did
}

// While requests wait for an answer the inbox may exceed its bounds by this:
// HOLD would stop the answers too, and the handler that does not empty the inbox
// may be waiting for one. What a server has on its way at most is less.
const (
	patientPackets = 4096
	patientBytes   = 4 << 20
)

// answerPatience is how long an answer waits for a callback that does not return. The
// callback may wait for that answer in a way that the client cannot see.
const answerPatience = time.Second

// full reports whether it holds more than part/4 of what it may. patient tells that
// requests wait for an answer.
func (q *inbox) full(part int, patient bool) bool {
	packets, bytes := q.maxPackets, q.maxBytes
	if patient {
		packets, bytes = packets+patientPackets, bytes+patientBytes
	}
	return q.messages*4 >= packets*part || q.bytes*4 >= bytes*part
}

// hold decides whether the server is to be held: from three quarters on, until there is
// but one. It reports whether that is news.
func (q *inbox) hold(patient bool) (news bool) {
	switch {
	case !q.held && q.full(3, patient):
		q.held = true
	case q.held && !q.full(1, patient):
		q.held = false
	default:
		return false
	}
	return true
}

// deaf reports that it is so full that a server which heard HOLD can't have filled it
// so; what that sends waits in the socket.
func (q *inbox) deaf(patient bool) bool { return q.full(8, patient) }

// begin notes that a callback begins.
func (q *inbox) begin(now time.Duration) {
	q.callbacks++
	q.callback, q.begun = q.callbacks, now
}

// end notes that it has returned.
func (q *inbox) end() { q.callback = 0 }

// release gives a call its answer, once the callbacks of what the server sent before it
// have returned. One to a request that the running callback has made is out at once: that
// may be waiting for it. It reports whether the answer waits.
func (q *inbox) release(call pending.Call, a pending.Answer) (waits bool) {
	if q.callback == 0 && q.n == 0 || call.Tag != 0 && call.Tag == q.callback {
		call.Settle(a)
		return false
	}
	q.pushAnswer(call, a)
	return true
}

// blockedAt is when answers will have waited for long enough.
func (q *inbox) blockedAt() time.Duration {
	if q.callback == 0 || q.answers == 0 {
		return session.Never
	}
	return q.begun + answerPatience
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

func (q *inbox) pushCall(f func()) {
	e := q.push()
	e.state, e.run = &Event{}, f
}

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
	at.state, at.call, at.answer, at.run = nil, pending.Call{}, pending.Answer{}, nil
	q.head = (q.head + 1) % len(q.ring)
	q.n--
	return e
}
