// SPDX-License-Identifier: MIT

// Package mailbox is what waits for one player: an Inbox of messages that have come and
// are not handled yet, and an Outbox of messages that were sent and that the player's
// loop has not taken over yet.
//
// Neither has a lock or knows a player: the owner guards it and hands in the limits.
package mailbox

import (
	"sync"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// Message is one message on its way in or out: a link of a list, pooled together
// with the buffer it uses, so that passing a message on allocates nothing.
type Message struct {
	next *Message

	Tag       uint32   // the number of its route plus one; outbound 0: none, or an answer
	Asked     Question // inbound: of a request; outbound: that it answers
	Kind      codec.Kind
	Droppable bool   // outbound: it need not arrive
	Body      []byte // inbound: the payload
	Shared    []byte // outbound: a body that belongs to many; Body is unused then

	n, bytes int32 // of the queue of which this is the tail
}

// Question names a request of a client. Its ids begin anew with each run of the
// app, so the id alone says too little: codec/SPEC 6.2.
type Question struct {
	ID  uint64
	Run uint32 // of the client's app, counted by the session's owner
}

var messages = sync.Pool{New: func() any { return new(Message) }}

// keepBuffer is the largest buffer that stays with a pooled message, in bytes.
const keepBuffer = 4 << 10

// NewMessage returns an empty message, with whatever buffer it has had before.
func NewMessage() *Message { return messages.Get().(*Message) }

// Free gives the message back. It is in no queue and is not used any more.
func (m *Message) Free() {
	body := m.Body[:0]
	if cap(body) > keepBuffer {
		body = nil
	}
	*m = Message{Body: body}
	messages.Put(m)
}

// Content is what goes out.
func (m *Message) Content() []byte {
	if m.Shared != nil {
		return m.Shared
	}
	return m.Body
}

// IsAnswer reports whether an outgoing message is the answer to a request.
func (m *Message) IsAnswer() bool { return m.Kind == codec.Response || m.Kind == codec.Failure }

// Cost is what an outgoing message takes of the budget, in an Outbox as in a session.
func (m *Message) Cost() int { return session.Cost(len(m.Content()), m.Shared != nil) }
