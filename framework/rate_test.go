// SPDX-License-Identifier: MIT

package framework

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestRateAllowsABurstThenTheRate(t *testing.T) {
	r := &Rate{Messages: 100, Bytes: -1, Burst: time.Second}
	var d debt
	now := 5 * time.Hour
	for i := range 100 {
		if x := d.add(r, r.cost(1, 10), now); x != withinRate {
			t.Fatalf("message %d of a burst of 100: %v", i, x)
		}
	}
	for i := range 100 {
		if x := d.add(r, r.cost(1, 10), now); x != overRate {
			t.Fatalf("message %d beyond the burst: %v", i, x)
		}
	}
	if x := d.add(r, r.cost(1, 10), now); x != farOverRate {
		t.Fatalf("beyond twice the burst: %v", x)
	}
	now += time.Second // owes one burst again
	if x := d.add(r, r.cost(1, 10), now); x != overRate {
		t.Errorf("a second later: %v", x)
	}
	now += time.Second
	for i := range 10_000 { // at the rate, for ever
		now += 10 * time.Millisecond
		if x := d.add(r, r.cost(1, 10), now); x != withinRate {
			t.Fatalf("message %d at the rate: %v", i, x)
		}
	}
}

func TestRateCountsBytes(t *testing.T) {
	r := &Rate{Messages: 1000, Bytes: 1000, Burst: time.Second}
	var d debt
	if d.add(r, r.cost(1, 900), 0) != withinRate || d.add(r, r.cost(1, 90), 0) != withinRate || d.add(r, r.cost(1, 20), 0) != overRate || d.add(r, r.cost(1, 1000), 0) != farOverRate {
		t.Error("1,000 bytes and as many beyond pass, in whatever pieces")
	}
	none := &Rate{Messages: -1, Bytes: -1, Burst: time.Second}
	for range 1_000_000 {
		if d.add(none, none.cost(1, 1<<20), 0) != withinRate {
			t.Fatal("a rate without limits limits")
		}
	}
}

// TestRateAgainstABucketOfFloats compares the four bytes with the bucket that
// they stand for, over days, whatever the messages and pauses.
func TestRateAgainstABucketOfFloats(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		r := &Rate{Messages: 50 + rng.IntN(5000), Bytes: 10_000 + rng.IntN(1<<20), Burst: time.Duration(1+rng.IntN(20)) * time.Second}
		var d debt
		now, owed, last := time.Duration(rng.Int64N(int64(100*time.Hour))), 0.0, time.Duration(0)
		for i := range 20_000 {
			switch rng.IntN(1000) {
			case 0:
				for end := now + time.Duration(rng.Int64N(int64(30*time.Hour))); now < end; now += 5 * time.Hour {
					d.settle(r, now)
				}
			case 1:
				now += time.Duration(rng.Int64N(int64(10 * time.Second)))
			default:
				now += time.Duration(rng.Int64N(int64(time.Second) / int64(r.Messages)))
			}
			size := rng.IntN(400)
			cost := max(1/float64(r.Messages), float64(size)/float64(r.Bytes))
			owed = max(owed-(now-last).Seconds(), 0) + cost
			last = now
			want := withinRate
			switch {
			case owed > 2*r.Burst.Seconds():
				want, owed = farOverRate, 2*r.Burst.Seconds()
			case owed > r.Burst.Seconds():
				want = overRate
			}
			// Rounding forgives up to a unit a message until the debt is paid.
			slack := float64(i+1) * float64(debtUnit) / 1e9
			near := func(x float64) bool { return x > owed-slack-1e-6 && x < owed+slack+1e-6 }
			if got := d.add(r, r.cost(1, int64(size)), now); got != want && !near(r.Burst.Seconds()) && !near(2*r.Burst.Seconds()) {
				t.Fatalf("seed %d, message %d: %v, want %v at %.4f of %v", seed, i, got, want, owed, r.Burst)
			}
		}
	}
}

// What is done for a sender is charged to it, but one act costs an eighth of the
// burst at most, and none of them makes it farOverRate: that takes going on.
func TestRateChargesWhatIsDoneForTheSender(t *testing.T) {
	r := &Rate{Messages: 100, Bytes: 1000, Burst: 8 * time.Second}
	var d debt
	if x := d.addFor(r, r.cost(0, 500), 0); x != withinRate || d.owed(r, 0)*debtUnit > time.Second/2 || d.owed(r, 0)*debtUnit < time.Second/2-2*debtUnit {
		t.Errorf("500 bytes of 1,000 a second: %v, owes %v", x, d.owed(r, 0)*debtUnit)
	}
	d = 0
	for i := range 8 {
		if x := d.addFor(r, r.cost(0, 1<<60), 0); x != withinRate {
			t.Fatalf("act %d of 8: %v", i, x)
		}
	}
	if x := d.ahead(r, 0); x > time.Second || x < time.Second-10*debtUnit {
		t.Errorf("after 8 acts of an eighth: %v ahead", x)
	}
	for range 100 {
		if x := d.addFor(r, r.cost(0, 1<<60), 0); x != overRate {
			t.Fatalf("beyond the burst: %v", x)
		}
	}
	if d.ahead(r, 10*time.Second) != 0 {
		t.Error("ahead after it has rested")
	}
	more := 0
	for d.add(r, r.cost(1, 10), 0) != farOverRate {
		more++
	}
	if more < 90 || more > 201 {
		t.Errorf("%d messages more make it farOverRate, want about 100 to 200: one or two eighths of the burst", more)
	}
	none := &Rate{Messages: -1, Bytes: -1, Burst: time.Second}
	if d = 0; d.addFor(none, none.cost(100, 1<<60), 0) != withinRate || d.ahead(none, 0) != 0 {
		t.Error("a rate without limits limits")
	}
}

func TestRateRefusesWhatCantWork(t *testing.T) {
	for burst, ok := range map[time.Duration]bool{0: true, time.Second: true, time.Hour: true, -1: false, time.Microsecond: false, 2 * time.Hour: false} {
		if _, err := (Rate{Burst: burst}).withDefaults(); (err == nil) != ok {
			t.Errorf("Burst %v: %v", burst, err)
		}
	}
}

func TestDebtIsCheap(t *testing.T) {
	r, _ := Rate{}.withDefaults()
	var d debt
	if n := testing.AllocsPerRun(100, func() { d.add(&r, r.cost(1, 100), time.Second) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
