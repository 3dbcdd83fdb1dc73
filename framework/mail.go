// SPDX-License-Identifier: MIT

package framework

import (
	"sync"

	"github.com/lifeline-go/lifeline/codec"
)

// mail is one message on its way in or out: a link of a list, pooled together
// with the buffer it uses so that passing a message on allocates nothing.
type mail struct {
	next   *mail
	route  *Route // outbound: nil if it is not in the dictionary, or an answer
	id     uint64 // of a request, else 0
	kind   codec.Kind
	body   []byte // inbound: the payload
	shared []byte // outbound: a body that belongs to many; body is unused then
}

var mails = sync.Pool{New: func() any { return new(mail) }}

// keepBuffer is the largest buffer that stays with pooled mail, in bytes.
const keepBuffer = 4 << 10

func newMail() *mail { return mails.Get().(*mail) }

func (m *mail) free() {
	body := m.body[:0]
	if cap(body) > keepBuffer {
		body = nil
	}
	*m = mail{body: body}
	mails.Put(m)
}

// content is what goes out.
func (m *mail) content() []byte {
	if m.shared != nil {
		return m.shared
	}
	return m.body
}

// mayBeLeftOut reports whether outbound mail need not arrive.
func (m *mail) mayBeLeftOut() bool { return m.route != nil && m.route.delivery != EveryMessage }

// mailbox is a queue of mail. Whoever embeds one guards it.
type mailbox struct {
	tail     *mail // its next is the head: every player has two, and most are empty
	n, bytes int32 // of a Player, of which there are many
}

// head returns the oldest mail, nil if there is none.
func (b *mailbox) head() *mail {
	if b.tail == nil {
		return nil
	}
	return b.tail.next
}

func (b *mailbox) push(m *mail) {
	m.next = m
	if b.tail != nil {
		b.tail.next, m.next = m, b.tail.next
	}
	b.tail = m
	b.n++
	b.bytes += int32(len(m.content()))
}

func (b *mailbox) pop() *mail {
	m := b.head()
	switch m {
	case nil:
		return nil
	case b.tail:
		b.tail = nil
	default:
		b.tail.next = m.next
	}
	m.next = nil
	b.n--
	b.bytes -= int32(len(m.content()))
	return m
}

// remove takes out the oldest mail that match accepts, nil if there is none.
func (b *mailbox) remove(match func(*mail) bool) *mail {
	before := b.tail
	for range b.n {
		m := before.next
		if !match(m) {
			before = m
			continue
		}
		switch {
		case m == before:
			b.tail = nil
		case m == b.tail:
			b.tail = before
		}
		before.next, m.next = m.next, nil
		b.n--
		b.bytes -= int32(len(m.content()))
		return m
	}
	return nil
}

// take empties the box into the one returned.
func (b *mailbox) take() mailbox {
	all := *b
	*b = mailbox{}
	return all
}

func (b *mailbox) drop() {
	for m := b.pop(); m != nil; m = b.pop() {
		m.free()
	}
}
