// SPDX-License-Identifier: MIT

package linked

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestListIsASlice compares a list with a slice, whatever is put in and taken out.
func TestListIsASlice(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var l List[int]
	var want []int
	nodes := map[int]*Node[int]{}
	for step := range 5000 {
		if len(want) == 0 || r.IntN(2) == 0 {
			nodes[step] = &Node[int]{Value: step}
			l.Push(nodes[step])
			want = append(want, step)
		} else {
			i := r.IntN(len(want))
			n := nodes[want[i]]
			l.Remove(n)
			l.Remove(n) // it is in no list any more
			want = slices.Delete(want, i, i+1)
		}
		var got []int
		for n := l.First(); n != nil; n = n.next {
			got = append(got, n.Value)
		}
		if !slices.Equal(got, want) || l.Len() != len(want) {
			t.Fatalf("%v, %d long, want %v", got, l.Len(), want)
		}
	}
}
