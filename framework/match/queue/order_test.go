// SPDX-License-Identifier: MIT

package queue

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// An order is what a sorted slice would be.
func TestOrderIsSorted(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var o order
	var slow []entry
	for n := range uint64(5000) {
		e := entry{float64(r.IntN(50)), &Ticket{number: n}}
		if len(slow) > 0 && r.IntN(5) < 2 {
			i := r.IntN(len(slow))
			o.remove(slow[i])
			slow = slices.Delete(slow, i, i+1)
		} else {
			i, _ := slices.BinarySearchFunc(slow, e, entry.compare)
			if o.insert(e); o.rank(e) != i {
				t.Fatalf("rank %d, want %d", o.rank(e), i)
			}
			slow = slices.Insert(slow, i, e)
		}
		if o.n != len(slow) {
			t.Fatalf("%d entries, want %d", o.n, len(slow))
		}
		if n%100 != 0 {
			continue
		}
		at := r.IntN(len(slow) + 1)
		from := spot{len(o.blocks), 0}
		if at < len(slow) {
			from = o.find(slow[at])
		}
		for i, s := at, from; ; i++ {
			e, behind, ok := o.next(s)
			if ok != (i < len(slow)) || ok && e != slow[i] {
				t.Fatalf("entry %d of %d: %v %v", i, len(slow), e, ok)
			}
			if s = behind; !ok {
				break
			}
		}
		for i, s := at-1, from; ; i-- {
			e, before, ok := o.last(s)
			if ok != (i >= 0) || ok && e != slow[i] {
				t.Fatalf("entry %d of %d: %v %v", i, len(slow), e, ok)
			}
			if s = before; !ok {
				break
			}
		}
	}
}
