// SPDX-License-Identifier: MIT

package mailbox

// Queue is a queue of messages. The zero value is empty. It takes one pointer: every
// player has two, and most are empty.
type Queue struct {
	tail *Message // its next is the head
}

// Len is how many messages wait.
func (b *Queue) Len() int {
	if b.tail == nil {
		return 0
	}
	return int(b.tail.n)
}

// Size is the bytes of their contents.
func (b *Queue) Size() int {
	if b.tail == nil {
		return 0
	}
	return int(b.tail.bytes)
}

// Head returns the oldest message, nil if there is none.
func (b *Queue) Head() *Message {
	if b.tail == nil {
		return nil
	}
	return b.tail.next
}

// Push adds the newest message.
func (b *Queue) Push(m *Message) {
	m.next, m.n, m.bytes = m, 1, int32(len(m.Content()))
	if t := b.tail; t != nil {
		t.next, m.next = m, t.next
		m.n += t.n
		m.bytes += t.bytes
	}
	b.tail = m
}

// Pop takes out the oldest message, nil if there is none.
func (b *Queue) Pop() *Message {
	if b.tail == nil {
		return nil
	}
	return b.cut(b.tail)
}

// Remove takes out the oldest message that match accepts, nil if there is none.
func (b *Queue) Remove(match func(*Message) bool) *Message {
	before := b.tail
	for range b.Len() {
		if match(before.next) {
			return b.cut(before)
		}
		before = before.next
	}
	return nil
}

// cut takes out the message that comes after before.
func (b *Queue) cut(before *Message) *Message {
	m, n, bytes := before.next, b.tail.n, b.tail.bytes
	before.next = m.next
	switch {
	case m == before:
		b.tail = nil
	case m == b.tail:
		b.tail = before
	}
	if b.tail != nil {
		b.tail.n, b.tail.bytes = n-1, bytes-int32(len(m.Content()))
	}
	m.next = nil
	return m
}

// Take empties the queue into the one returned.
func (b *Queue) Take() Queue {
	all := *b
	*b = Queue{}
	return all
}

// Drop frees all messages.
func (b *Queue) Drop() {
	for m := b.Pop(); m != nil; m = b.Pop() {
		m.Free()
	}
}
