// SPDX-License-Identifier: MIT

package mailbox

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/limit"
)

func sent(tag uint32, droppable bool, size int) *Message {
	m := NewMessage()
	m.Tag, m.Droppable, m.Kind = tag, droppable, codec.Message
	m.Body = append(m.Body[:0], make([]byte, size)...)
	return m
}

// TestQueueIsASlice: whatever is pushed, popped and taken out of the middle, the queue
// holds what a slice would.
func TestQueueIsASlice(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var q Queue
	var want []*Message
	for step := range 20_000 {
		switch rng.IntN(5) {
		case 0, 1:
			m := sent(rng.Uint32N(3), false, rng.IntN(40))
			q.Push(m)
			want = append(want, m)
		case 2:
			var first *Message
			if len(want) > 0 {
				first, want = want[0], want[1:]
			}
			if got := q.Pop(); got != first {
				t.Fatalf("step %d: popped another one", step)
			}
		case 3:
			tag := rng.Uint32N(4)
			i := slices.IndexFunc(want, func(m *Message) bool { return m.Tag == tag })
			got := q.Remove(func(m *Message) bool { return m.Tag == tag })
			if i < 0 && got != nil || i >= 0 && got != want[i] {
				t.Fatalf("step %d: removed another one", step)
			}
			if i >= 0 {
				want = slices.Delete(want, i, i+1)
			}
		case 4:
			if rng.IntN(50) == 0 {
				q.Take()
				want = nil
			}
		}
		size := 0
		for _, m := range want {
			size += len(m.Body)
		}
		if q.Len() != len(want) || q.Size() != size || (q.Head() == nil) != (len(want) == 0) || len(want) > 0 && q.Head() != want[0] {
			t.Fatalf("step %d: %d messages of %d bytes, want %d of %d", step, q.Len(), q.Size(), len(want), size)
		}
	}
}

// TestInboxHoldsFromThreeQuartersToOne: in packets and in bytes.
func TestInboxHoldsFromThreeQuartersToOne(t *testing.T) {
	for _, c := range []struct {
		name string
		in   Limits
	}{{"packets", Limits{8, 1 << 20}}, {"bytes", Limits{1 << 20, 80}}} {
		var b Inbox
		for n := 1; n <= 8; n++ {
			if fits := b.Fits(10, 3, c.in); fits != (n <= 6) {
				t.Errorf("%s: message %d fits into three quarters: %v", c.name, n, fits)
			}
			if high := b.Push(sent(1, false, 10), c.in); high != (n > 4) {
				t.Errorf("%s: after %d of 8 more than half is full: %v", c.name, n, high)
			}
			if b.Holding() != (n > 6) {
				t.Errorf("%s: after %d of 8 holding is %v", c.name, n, b.Holding())
			}
		}
		if b.Fits(10, 4, c.in) {
			t.Errorf("%s: a ninth fits", c.name)
		}
		for left := 7; left >= 0; left-- {
			m, resume := b.Pop(c.in)
			if m == nil || resume != (left == 2) || b.Holding() != (left > 2) {
				t.Errorf("%s: with %d left resume is %v and holding %v", c.name, left, resume, b.Holding())
			}
		}
	}
}

// bounds of ten packets and a kilobyte for one, and of so many bytes for all.
func bounds(all int64) *Bounds {
	b := &limit.Budget{}
	b.Open(all, 1)
	return &Bounds{Limits{10, 1000}, b}
}

// TestOutboxKeepsAllOrNothing of what must arrive, and gives the budget back.
func TestOutboxKeepsAllOrNothing(t *testing.T) {
	cost := int64(sent(1, false, 100).Cost())
	for _, c := range []struct {
		name string
		in   *Bounds
		size int
		away bool
		kept int
		want Fate
	}{
		{"packets", bounds(1 << 20), 1, false, 10, OverQueue},
		{"bytes", bounds(1 << 20), 300, false, 3, OverQueue},
		{"budget", bounds(4*cost + 10), 100, false, 4, OverBudget},
		{"budget of those who are away", bounds(4*cost + 10), 100, true, 3, OverBudget},
	} {
		var b Outbox
		for range c.kept {
			if gone := b.Put(sent(1, false, c.size), c.in, c.away); gone.Len() != 0 || b.Fate() != Kept {
				t.Errorf("%s: %d wait and another one is refused", c.name, b.Len())
			}
		}
		if gone := b.Put(sent(1, false, c.size), c.in, c.away); gone.Len() != 0 || b.Fate() != c.want || b.Len() != 0 || c.in.Budget.Used() != 0 {
			t.Errorf("%s: one too many: fate %d, want %d; %d wait and take %d bytes", c.name, b.Fate(), c.want, b.Len(), c.in.Budget.Used())
		}
		if b.Put(sent(1, false, 1), c.in, c.away); b.Len() != 0 || c.in.Budget.Used() != 0 {
			t.Errorf("%s: more is kept after that", c.name)
		}
		if out, fate := b.Take(); out.Len() != 0 || fate != c.want || b.Fate() != Kept {
			t.Errorf("%s: taken: %d messages, fate %d", c.name, out.Len(), fate)
		}
		if b.Put(sent(1, false, 1), c.in, c.away); b.Len() != 1 || b.Fate() != Kept {
			t.Errorf("%s: after it was taken it keeps nothing", c.name)
		}
		b.Clear(c.in.Budget)
		if used := c.in.Budget.Used(); used != 0 || b.Len() != 0 {
			t.Errorf("%s: cleared, and takes %d bytes", c.name, used)
		}
	}
}

// TestOutboxLeavesOutWhatItMay, the oldest first, of the same route if it can.
func TestOutboxLeavesOutWhatItMay(t *testing.T) {
	const chat, state, loot = 1, 2, 3
	in := bounds(1 << 20)
	var b Outbox
	put := func(tag uint32) (gone []uint32) {
		q := b.Put(sent(tag, tag != loot, 1), in, false)
		for m := q.Pop(); m != nil; m = q.Pop() {
			gone = append(gone, m.Tag)
		}
		return gone
	}
	for _, tag := range []uint32{state, chat, state, loot, loot, loot, loot, loot, loot, loot} {
		put(tag)
	}
	for _, c := range []struct {
		put  uint32
		gone []uint32
	}{
		{chat, []uint32{chat}},  // state chat' state: the chat that was there
		{loot, []uint32{state}}, // the oldest
		{loot, []uint32{state}},
		{state, []uint32{chat}}, // none of its own
		{loot, []uint32{state}},
		{chat, []uint32{chat}}, // nothing else may be left out
	} {
		if gone := put(c.put); !slices.Equal(gone, c.gone) || b.Len() != 10 || b.Fate() != Kept {
			t.Errorf("put %d: %v are gone, want %v; %d wait, fate %d", c.put, gone, c.gone, b.Len(), b.Fate())
		}
	}
	if put(loot); b.Fate() != OverQueue {
		t.Errorf("eleven that must arrive: fate %d", b.Fate())
	}
}

// TestBackoffDoubles with each overflow that follows within a grace of the one before.
func TestBackoffDoubles(t *testing.T) {
	const grace = 2 * time.Minute
	var o Overflow
	now := time.Hour
	for n, want := range []time.Duration{0, 1, 2, 4, 8, 16, 30, 30} {
		o.Note(now, grace)
		if got := o.Backoff(now, grace); got != want*time.Second || !o.Over() {
			t.Errorf("overflow %d: %v, want %d s", n+1, got, want)
		}
		if got := o.Backoff(now+want*time.Second, grace); got != 0 {
			t.Errorf("overflow %d: %v more after that", n+1, got)
		}
		if o.Gaps() != uint32(2*n+1) {
			t.Errorf("overflow %d: %d gaps", n+1, o.Gaps())
		}
		o.Reset()
		if o.Over() || o.Backoff(now, grace) != 0 || o.Gaps() != uint32(2*n+2) {
			t.Errorf("overflow %d: it is over by a RESET, and not", n+1)
		}
		now += grace
	}
	if o.Note(now, 4*time.Second); o.Backoff(now, 4*time.Second) != 0 {
		t.Error("the row of overflows is forgotten after a grace, and not")
	}
	if o.Note(now, 4*time.Second); o.Backoff(now, 4*time.Second) != time.Second {
		t.Error("the second in a row")
	}
	o.Note(now, 4*time.Second)
	if o.Note(now, 4*time.Second); o.Backoff(now, 4*time.Second) != 2*time.Second {
		t.Error("half of a grace at most")
	}
	if o = (Overflow{}); o.Over() {
		t.Error("over at first")
	}
	if o.Refuse(); !o.Over() || o.Gaps() != 0 {
		t.Error("Refuse")
	}
}

// TestPassingOnAllocatesNothing: a message and its buffer are used again.
func TestPassingOnAllocatesNothing(t *testing.T) {
	in := bounds(1 << 20)
	var b Outbox
	body := make([]byte, 100)
	if n := testing.AllocsPerRun(1000, func() {
		m := NewMessage()
		m.Body = append(m.Body[:0], body...)
		b.Put(m, in, false)
		q, _ := b.Take()
		for m := q.Pop(); m != nil; m = q.Pop() {
			in.Budget.Give(int64(m.Cost()))
			m.Free()
		}
	}); n != 0 {
		t.Errorf("%v allocations for a message", n)
	}
}
