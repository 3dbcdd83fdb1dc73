// SPDX-License-Identifier: MIT

package core

import (
	"math/rand/v2"
	"testing"

	"github.com/lifeline-go/lifeline/session"
)

// TestHoldingsAreCounted: the counts are those of the states, whatever comes after what.
func TestHoldingsAreCounted(t *testing.T) {
	var h Holdings
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		id := session.ID{byte(r.IntN(20))}
		other := session.ID{byte(r.IntN(20))}
		switch r.IntN(8) {
		case 0:
			h.Arrive(id)
		case 1:
			h.Hold(id, 1)
		case 2:
			h.End(id)
		case 3:
			h.Park(id)
		case 4:
			h.Forget(id)
		case 5:
			h.adopt(other, Entry{Session: id})
		case 6:
			h.Grant(id, 1)
		case 7:
			h.Open(id)
		}
		want := map[string]int{"arriving": 0, "held": 0, "ending": 0, "parking": 0}
		for _, at := range h.m {
			want[holdNames[at.state]]++
		}
		for state, n := range h.Counts() {
			if n != want[state] {
				t.Fatalf("%s: %d, want %d", state, n, want[state])
			}
		}
	}
	if h.Len() == 0 {
		t.Error("nothing was ever held")
	}
}
