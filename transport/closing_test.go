// SPDX-License-Identifier: MIT

package transport

import (
	"testing"
	"time"
)

// TestClosingList: each link is due when it was said to be, in order, whatever is
// added meanwhile, and the list keeps no memory of many.
func TestClosingList(t *testing.T) {
	var f closingList
	const links, wait = 3000, time.Second
	now := time.Duration(0)
	type told struct {
		left uint8
		at   time.Duration
	}
	var got []told
	add := func(i int) { f.add(closingLink{at: now + wait, from: 0, left: uint8(i)}) }
	for i := range links {
		add(i)
		now += time.Millisecond
	}
	if _, ok := f.next(wait - 1); ok {
		t.Fatal("due too early")
	}
	for again := 0; f.due() != Never; now += time.Millisecond {
		for g, ok := f.next(now); ok; g, ok = f.next(now) {
			got = append(got, told{uint8(g.left), g.at})
			if again < links {
				add(again)
				again++
			}
		}
	}
	if len(got) != 2*links {
		t.Fatalf("%d times due, want %d", len(got), 2*links)
	}
	for i, g := range got {
		if g.left != uint8(i%links) || i > 0 && g.at < got[i-1].at {
			t.Fatalf("number %d is %+v", i, g)
		}
	}
	if cap(f.list) != 0 {
		t.Errorf("keeps room for %d", cap(f.list))
	}
}
