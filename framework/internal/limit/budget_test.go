// SPDX-License-Identifier: MIT

package limit

import "testing"

func TestBudgetKeepsItsLastEighthForPlayersThatAreThere(t *testing.T) {
	var b Budget
	b.Open(800, 2)
	if b.Share() != 800/64/2 {
		t.Errorf("a share is %d", b.Share())
	}
	for _, c := range []struct {
		n    int64
		away bool
		want bool
	}{
		{700, true, true}, {1, true, false}, {1, false, true}, {99, false, true}, {1, false, false},
	} {
		if got := b.Take(c.n, c.away); got != c.want {
			t.Errorf("take %d, away %v: %v with %d of 800 used", c.n, c.away, got, b.Used())
		}
	}
	b.Give(800)
	if b.Used() != 0 {
		t.Errorf("%d bytes are used, want none", b.Used())
	}
}
