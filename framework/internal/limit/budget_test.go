// SPDX-License-Identifier: MIT

package limit

import "testing"

func TestBudgetKeepsItsLastEighthForPlayersThatAreThere(t *testing.T) {
	var b Budget
	b.Open(800, 2)
	if b.share != 800/64/2 {
		t.Errorf("a share is %d", b.share)
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

func TestLoopsKeepTwoSharesAtMost(t *testing.T) {
	var b Budget
	b.Open(64*64*100, 1) // shares of 6,400
	share := 0
	if !b.TakeShare(&share, 10, false) || share != 6_400 || b.Used() != 6_400 {
		t.Errorf("10 bytes: a share of %d, %d used", share, b.Used())
	}
	if !b.TakeShare(&share, 20_000, false) || share != 26_400 {
		t.Errorf("20,000 bytes: a share of %d", share)
	}
	b.ReturnShare(&share, 20_000) // as much as a share is kept ready
	if share != 26_400 {
		t.Errorf("one share is not used: %d are left", share)
	}
	b.ReturnShare(&share, 100)
	if share != 6_500 || b.Used() != 6_500 {
		t.Errorf("100 bytes are used: a share of %d, %d used", share, b.Used())
	}
	b.Take(64*64*100-b.Used()-30, false)
	if !b.TakeShare(&share, 30, false) || b.TakeShare(&share, 1, false) || share != 6_530 {
		t.Errorf("the rest of the budget: a share of %d, %d left", share, 64*64*100-b.Used())
	}
}
