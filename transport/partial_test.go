// SPDX-License-Identifier: MIT

package transport

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestPartialBudgetClosesTheOldest compares the budget with a list in the order of
// the last packet of each link, whatever comes.
func TestPartialBudgetClosesTheOldest(t *testing.T) {
	const limit = 1000
	type use struct{ k, bytes int }
	r := rand.New(rand.NewPCG(3, 4))
	b := partialBudget[int]{limit: limit}
	var want []use
	closed := 0
	for range 10_000 {
		k, n, progress := r.IntN(20), 1+r.IntN(150), r.IntN(4) == 0
		i := slices.IndexFunc(want, func(u use) bool { return u.k == k })
		switch {
		case r.IntN(5) == 0:
			b.remove(k)
			if i >= 0 {
				want = slices.Delete(want, i, i+1)
			}
		case i < 0 || progress:
			b.note(k, n, progress)
			if i >= 0 {
				want = slices.Delete(want, i, i+1)
			}
			want = append(want, use{k, n})
		default:
			b.note(k, n, progress)
			want[i].bytes = n
		}
		sum := 0
		for _, u := range want {
			sum += u.bytes
		}
		for sum > limit {
			if k, over := b.over(); !over || k != want[0].k {
				t.Fatalf("closes %d, %v, want %d", k, over, want[0].k)
			}
			sum -= want[0].bytes
			want = want[1:]
			closed++
		}
		if k, over := b.over(); over || b.bytes != sum || len(b.at) != len(want) || b.order.Len() != len(want) {
			t.Fatalf("%d bytes of %d links, want %d of %d; closes %d: %v", b.bytes, len(b.at), sum, len(want), k, over)
		}
	}
	if closed < 100 {
		t.Errorf("only %d links were closed", closed)
	}
}
