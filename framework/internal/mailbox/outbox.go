// SPDX-License-Identifier: MIT

package mailbox

import "github.com/lifeline-go/lifeline/framework/internal/limit"

// Outbox is what was sent to a player and its loop has not taken over. What does not fit
// is refused by giving up all of it: the loop makes a RESET of that. The zero value is
// empty.
type Outbox struct {
	queue Queue // empty if fate is not Kept
	fate  Fate
}

// Fate is what became of what was sent.
type Fate uint8

const (
	Kept       Fate = iota
	OverQueue       // given up: it was more than one player may have waiting
	OverBudget      // given up: it was more than all of them may
)

// Bounds is what may wait in an Outbox, and in all of them together.
type Bounds struct {
	Limits
	Budget *limit.Budget
}

// Len is how many messages wait.
func (b *Outbox) Len() int { return b.queue.Len() }

// Size is the bytes of them.
func (b *Outbox) Size() int { return b.queue.Size() }

// Fate is what became of what was sent since Take.
func (b *Outbox) Fate() Fate { return b.fate }

// Put adds m, if it fits into the bounds, for which it leaves out what may be left out.
// Else all of it is given up: see Fate. gone is what was left out, for the caller to
// count and free. away says that the player has no link: see limit.Budget.
func (b *Outbox) Put(m *Message, in *Bounds, away bool) (gone Queue) {
	if b.fate != Kept {
		m.Free()
		return gone
	}
	lacks := b.reserve(m, in, away)
	for lacks != Kept && b.dropOne(m.Tag, in.Budget, &gone) {
		lacks = b.reserve(m, in, away)
	}
	switch {
	case lacks == Kept:
		b.queue.Push(m)
	case m.Droppable:
		gone.Push(m)
	default:
		m.Free()
		b.Clear(in.Budget)
		b.fate = lacks
	}
	return gone
}

// reserve takes the room for m, or tells what lacks it.
func (b *Outbox) reserve(m *Message, in *Bounds, away bool) Fate {
	switch {
	case b.queue.Len() >= in.Packets || b.queue.Size()+len(m.Content()) > in.Bytes:
		return OverQueue
	case !in.Budget.Take(int64(m.Cost()), away):
		return OverBudget
	}
	return Kept
}

// dropOne moves the oldest message that may be dropped to gone, of the given route if
// there is such.
func (b *Outbox) dropOne(tag uint32, budget *limit.Budget, gone *Queue) bool {
	m := b.queue.Remove(func(m *Message) bool { return m.Tag == tag && m.Droppable })
	if m == nil {
		m = b.queue.Remove(func(m *Message) bool { return m.Droppable })
	}
	if m == nil {
		return false
	}
	budget.Give(int64(m.Cost()))
	gone.Push(m)
	return true
}

// Take empties the Outbox into the queue returned, whose messages stay in the budget.
func (b *Outbox) Take() (Queue, Fate) {
	fate := b.fate
	b.fate = Kept
	return b.queue.Take(), fate
}

// Clear gives up what waits.
func (b *Outbox) Clear(budget *limit.Budget) {
	for m := b.queue.Pop(); m != nil; m = b.queue.Pop() {
		budget.Give(int64(m.Cost()))
		m.Free()
	}
}
