// SPDX-License-Identifier: MIT

package mailbox

// Limits is how much may wait.
type Limits struct{ Packets, Bytes int }

// Inbox is what has come for a player and is not handled yet. It wants the client to
// hold when three quarters of its limits are full, so that what is on its way by then
// still fits, and until only a quarter is. The zero value is empty.
type Inbox struct {
	queue   Queue
	holding bool
}

// Len is how many messages wait.
func (b *Inbox) Len() int { return b.queue.Len() }

// Head returns the oldest message, nil if there is none.
func (b *Inbox) Head() *Message { return b.queue.Head() }

// Holding reports whether the client shall send no more for now.
func (b *Inbox) Holding() bool { return b.holding }

// Fits reports whether one more message of n bytes fits into so many quarters.
func (b *Inbox) Fits(n, quarters int, in Limits) bool {
	return b.queue.Len() < in.Packets*quarters/4 && b.queue.Size()+n <= in.Bytes*quarters/4
}

// Push adds a message that has come, and reports whether more than half is full by then.
func (b *Inbox) Push(m *Message, in Limits) (high bool) {
	b.queue.Push(m)
	packets, bytes := b.queue.Len(), b.queue.Size()
	if packets > in.Packets*3/4 || bytes > in.Bytes*3/4 {
		b.holding = true
	}
	return packets > in.Packets/2 || bytes > in.Bytes/2
}

// Pop takes out the oldest message, nil if there is none. resume tells that the client
// may send again.
func (b *Inbox) Pop(in Limits) (m *Message, resume bool) {
	m = b.queue.Pop()
	resume = b.holding && b.queue.Len() <= in.Packets/4 && b.queue.Size() <= in.Bytes/4
	b.holding = b.holding && !resume
	return m, resume
}

// Drop frees all messages.
func (b *Inbox) Drop() { b.queue.Drop() }
