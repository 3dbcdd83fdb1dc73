// SPDX-License-Identifier: MIT

package session

import (
	"math"
	"math/bits"
	"time"
)

// Never is a deadline that does not come.
const Never time.Duration = math.MaxInt64

// Handle names an entry of a Wheel until it is removed.
type Handle uint32

const (
	wheelSlots = 512
	nowhere    = ^uint16(0) // slot of a free node
	visiting   = uint16(wheelSlots)
)

// Wheel is a hashed timing wheel: deadlines cost O(1) whatever their number,
// and an entry's visit may find that its deadline has moved on and simply
// names the next one. So receiving a packet touches no timer at all.
//
// It is owned by one loop and never fires early; how late it may fire is one
// tick.
type Wheel[T any] struct {
	tick  time.Duration
	done  uint64 // ticks up to and including this one have been visited
	live  int
	free  uint32 // first free node + 1
	nodes []wheelNode[T]
	heads [wheelSlots + 1]uint32 // first node of each slot + 1; the last is the list under visit
	used  [wheelSlots / 64]uint64
}

// wheelNode links by index so that the garbage collector has one pointer less
// per session to follow. next and prev are index + 1; 0 ends the list.
type wheelNode[T any] struct {
	val        T
	at         uint32 // in ticks, the low bits
	next, prev uint32
	slot       uint16
}

// NewWheel makes a wheel whose deadlines are kept to one tick.
func NewWheel[T any](tick time.Duration) *Wheel[T] { return &Wheel[T]{tick: tick} }

// Len returns how many entries the wheel has.
func (w *Wheel[T]) Len() int { return w.live }

// Add puts v on the wheel, to be visited at the deadline.
func (w *Wheel[T]) Add(v T, at time.Duration) Handle {
	i := w.free
	if i == 0 {
		w.nodes = append(w.nodes, wheelNode[T]{slot: nowhere})
		i = uint32(len(w.nodes))
	} else {
		w.free = w.nodes[i-1].next
	}
	w.nodes[i-1].val = v
	w.link(i, w.ticks(at))
	w.live++
	return Handle(i)
}

// Set moves an entry to another deadline.
func (w *Wheel[T]) Set(h Handle, at time.Duration) {
	w.unlink(uint32(h))
	w.link(uint32(h), w.ticks(at))
}

// Remove takes an entry off the wheel. Its handle is dead afterwards.
func (w *Wheel[T]) Remove(h Handle) {
	i := uint32(h)
	w.unlink(i)
	w.nodes[i-1] = wheelNode[T]{next: w.free, slot: nowhere}
	w.free = i
	w.live--
}

// horizon is how many ticks ahead a deadline may be. One that is further away is visited
// then.
const horizon = math.MaxInt32

// ticks rounds up: an entry is visited at its deadline or after it.
func (w *Wheel[T]) ticks(at time.Duration) uint32 {
	t := uint64(max(at, 0) / w.tick)
	if time.Duration(t)*w.tick < at {
		t++
	}
	return uint32(min(max(t, w.done+1), w.done+horizon))
}

func (w *Wheel[T]) link(i, at uint32) {
	n := &w.nodes[i-1]
	n.at = at
	w.push(i, uint16(at%wheelSlots))
}

func (w *Wheel[T]) push(i uint32, slot uint16) {
	n := &w.nodes[i-1]
	n.slot, n.prev, n.next = slot, 0, w.heads[slot]
	if n.next != 0 {
		w.nodes[n.next-1].prev = i
	}
	w.heads[slot] = i
	if slot < wheelSlots {
		w.used[slot/64] |= 1 << (slot % 64)
	}
}

func (w *Wheel[T]) unlink(i uint32) {
	n := &w.nodes[i-1]
	if n.prev != 0 {
		w.nodes[n.prev-1].next = n.next
	} else {
		w.heads[n.slot] = n.next
		if n.next == 0 && n.slot < wheelSlots {
			w.used[n.slot/64] &^= 1 << (n.slot % 64)
		}
	}
	if n.next != 0 {
		w.nodes[n.next-1].prev = n.prev
	}
}

// Advance visits every entry whose deadline has come. visit returns the
// entry's next deadline; it may add, move and remove entries, itself included
// (what it returns is then ignored). late is how long after the first deadline
// that it serves this call comes: a large one says that this process stood
// still, not the peer. It is the same for all entries, as those are no better
// informed whose deadline came shortly before the process woke up.
func (w *Wheel[T]) Advance(now time.Duration, visit func(v T, late time.Duration) time.Duration) {
	target := uint64(max(now, 0) / w.tick)
	if target <= w.done {
		return
	}
	late := max(now-w.Next(), 0)
	// After a long pause one round of the wheel meets every entry.
	first := w.done + 1
	if target-w.done > wheelSlots {
		first = target - wheelSlots + 1
	}
	w.done = target
	for t := first; ; t++ {
		w.visitSlot(uint16(t%wheelSlots), late, visit)
		if t == target {
			return
		}
	}
}

func (w *Wheel[T]) visitSlot(slot uint16, late time.Duration, visit func(T, time.Duration) time.Duration) {
	// The slot's list moves aside first: what visit adds to this very slot is
	// for the next round, and what it removes is unlinked wherever it stands.
	for i := w.heads[slot]; i != 0; i = w.heads[slot] {
		w.unlink(i)
		w.push(i, visiting)
	}
	for i := w.heads[visiting]; i != 0; i = w.heads[visiting] {
		w.unlink(i)
		n := &w.nodes[i-1]
		if int32(n.at-uint32(w.done)) > 0 {
			w.push(i, slot)
			continue
		}
		w.push(i, uint16(n.at%wheelSlots)) // a home, so that visit may Set or Remove it
		at := n.at
		next := visit(n.val, late)
		n = &w.nodes[i-1] // visit may have grown the slice
		if n.slot != nowhere && n.at == at {
			w.Set(Handle(i), next)
		}
	}
}

// Next returns when Advance has something to do, or Never.
func (w *Wheel[T]) Next() time.Duration {
	if w.live == 0 {
		return Never
	}
	start := uint32(w.done+1) % wheelSlots
	for k := range uint32(len(w.used) + 1) {
		word := (start/64 + k) % uint32(len(w.used))
		set := w.used[word]
		if k == 0 {
			set &= ^uint64(0) << (start % 64)
		} else if k == uint32(len(w.used)) {
			set &= 1<<(start%64) - 1
		}
		if set != 0 {
			slot := word*64 + uint32(bits.TrailingZeros64(set))
			return time.Duration(w.done+1+uint64((slot-start)%wheelSlots)) * w.tick
		}
	}
	return Never
}
