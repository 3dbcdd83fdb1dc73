// SPDX-License-Identifier: MIT

package tags

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestIndexIsASetOfEachTag: whatever is added and removed, the index holds what sets would.
func TestIndexIsASetOfEachTag(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	tags := []string{"a", "b", "c"}
	var x Index[int]
	want := map[string]map[int]bool{"a": {}, "b": {}, "c": {}}
	told := map[string]bool{} // by Watch
	watch := func(tag string, some bool) {
		if told[tag] == some {
			t.Fatalf("told again that %s has some: %v", tag, some)
		}
		told[tag] = some
	}
	for step := range 10_000 {
		if step == 100 {
			x.Watch(watch)
		}
		tag, p := tags[rng.IntN(3)], rng.IntN(8)
		set := want[tag]
		switch had := set[p]; rng.IntN(5) {
		case 0, 1:
			admitted, asked := rng.IntN(4) > 0, false
			if got := x.Add(tag, p, func() bool { asked = true; return admitted }); got != (!had && admitted) || asked == had {
				t.Fatalf("step %d: added %v, had it %v, admitted %v, asked %v", step, got, had, admitted, asked)
			}
			if admitted {
				set[p] = true
			}
		case 2, 3:
			called := false
			if got := x.Remove(tag, p, func() { called = true }); got != had || called != had {
				t.Fatalf("step %d: removed %v, had it %v", step, got, had)
			}
			delete(set, p)
		case 4:
			x.RemoveAll(tags[:2], p)
			delete(want["a"], p)
			delete(want["b"], p)
		}
		used := 0
		for _, tag := range tags {
			got := x.Members(tag)
			slices.Sort(got)
			if len(got) != len(want[tag]) || x.Len(tag) != len(got) || len(slices.Compact(got)) != len(got) {
				t.Fatalf("step %d: %s has %v, want %v", step, tag, got, want[tag])
			}
			if step >= 100 && told[tag] != (len(got) > 0) {
				t.Fatalf("step %d: told that %s has some: %v, it has %v", step, tag, told[tag], got)
			}
			for _, p := range got {
				if !want[tag][p] {
					t.Fatalf("step %d: %s has %v, want %v", step, tag, got, want[tag])
				}
			}
			if len(got) > 0 {
				used++
			}
		}
		if x.Tags() != used {
			t.Fatalf("step %d: %d tags, want %d", step, x.Tags(), used)
		}
	}
}
