// SPDX-License-Identifier: MIT

package framework

import (
	"sync"

	"github.com/lifeline-go/lifeline/codec"
)

// message is one message on its way in or out: a link of a list, pooled together
// with the buffer it uses so that passing a message on allocates nothing.
type message struct {
	next   *message
	route  *Route   // outbound: nil if it is not in the dictionary, or an answer
	asked  question // inbound: of a request; outbound: that it answers
	kind   codec.Kind
	body   []byte // inbound: the payload
	shared []byte // outbound: a body that belongs to many; body is unused then

	n, bytes int32 // of the queue of which this is the tail
}

// question names a request of a client. Its ids begin anew with each run of the
// app, so the id alone says too little: codec/SPEC 6.2.
type question struct {
	id  uint64
	run uint32 // of the client, as Player.runLocked counts them
}

var messages = sync.Pool{New: func() any { return new(message) }}

// keepBuffer is the largest buffer that stays with a pooled message, in bytes.
const keepBuffer = 4 << 10

func newMessage() *message { return messages.Get().(*message) }

func (m *message) free() {
	body := m.body[:0]
	if cap(body) > keepBuffer {
		body = nil
	}
	*m = message{body: body}
	messages.Put(m)
}

// content is what goes out.
func (m *message) content() []byte {
	if m.shared != nil {
		return m.shared
	}
	return m.body
}

// droppable reports whether an outgoing message need not arrive.
func (m *message) droppable() bool { return m.route != nil && m.route.delivery != DeliverAll }

// isAnswer reports whether an outgoing message is the answer to a request.
func (m *message) isAnswer() bool { return m.kind == codec.Response || m.kind == codec.Failure }

// queue is a queue of messages. It has no lock: its owner guards it.
type queue struct {
	tail *message // its next is the head: every player has two queues, and most are empty
}

// len is how many messages wait.
func (b *queue) len() int {
	if b.tail == nil {
		return 0
	}
	return int(b.tail.n)
}

// size is the bytes of it.
func (b *queue) size() int {
	if b.tail == nil {
		return 0
	}
	return int(b.tail.bytes)
}

// head returns the oldest message, nil if there is none.
func (b *queue) head() *message {
	if b.tail == nil {
		return nil
	}
	return b.tail.next
}

func (b *queue) push(m *message) {
	m.next, m.n, m.bytes = m, 1, int32(len(m.content()))
	if t := b.tail; t != nil {
		t.next, m.next = m, t.next
		m.n += t.n
		m.bytes += t.bytes
	}
	b.tail = m
}

func (b *queue) pop() *message {
	if b.tail == nil {
		return nil
	}
	return b.cut(b.tail)
}

// remove takes out the oldest message that match accepts, nil if there is none.
func (b *queue) remove(match func(*message) bool) *message {
	before := b.tail
	for range b.len() {
		if match(before.next) {
			return b.cut(before)
		}
		before = before.next
	}
	return nil
}

// cut takes out the message that comes after before.
func (b *queue) cut(before *message) *message {
	m, n, bytes := before.next, b.tail.n, b.tail.bytes
	before.next = m.next
	switch {
	case m == before:
		b.tail = nil
	case m == b.tail:
		b.tail = before
	}
	if b.tail != nil {
		b.tail.n, b.tail.bytes = n-1, bytes-int32(len(m.content()))
	}
	m.next = nil
	return m
}

// take empties the queue into the one returned.
func (b *queue) take() queue {
	all := *b
	*b = queue{}
	return all
}

func (b *queue) drop() {
	for m := b.pop(); m != nil; m = b.pop() {
		m.free()
	}
}
