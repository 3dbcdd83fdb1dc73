// SPDX-License-Identifier: MIT

package path

import (
	"slices"
	"testing"
	"time"
)

const ms = time.Millisecond

// run sends n packets of 1,000 bytes, gap apart, and returns when each comes out.
func run(cfg Config, n int, gap time.Duration) (out [][]time.Duration, p *Path) {
	p = New(cfg)
	for i := range n {
		out = append(out, p.Take(time.Duration(i)*gap, 1000))
	}
	return out, p
}

func TestNothingHappensWithoutAReason(t *testing.T) {
	out, _ := run(Config{}, 100, ms)
	for i, o := range out {
		if len(o) != 1 || o[0] != time.Duration(i)*ms {
			t.Fatalf("packet %d comes out at %v", i, o)
		}
	}
}

func TestDelayAndJitterKeepTheOrder(t *testing.T) {
	out, _ := run(Config{Delay: 50 * ms, Jitter: 30 * ms, Seed: 1}, 1000, ms)
	last, wide := time.Duration(0), false
	for i, o := range out {
		took := o[0] - time.Duration(i)*ms
		if o[0] < last || took < 50*ms || took > 80*ms {
			t.Fatalf("packet %d takes %v after one at %v", i, took, last)
		}
		wide = wide || took > 70*ms
		last = o[0]
	}
	if !wide {
		t.Error("there is no jitter")
	}
}

func TestSharesAreWhatWasAskedFor(t *testing.T) {
	const n = 20_000
	out, p := run(Config{Loss: 0.2, Duplicate: 0.1, Reorder: 0.05, Seed: 7}, n, ms)
	var lost, twice, overtaken int
	last := time.Duration(0)
	for _, o := range out {
		switch {
		case len(o) == 0:
			lost++
			continue
		case len(o) == 2:
			twice++
		}
		if o[0] < last {
			overtaken++
		}
		last = max(last, o[0])
	}
	about := func(what string, got int, share float64) {
		if want := share * n; float64(got) < 0.9*want || float64(got) > 1.1*want {
			t.Errorf("%s: %d of %d, want about %.0f", what, got, n, want)
		}
	}
	about("lost", lost, 0.2)
	about("duplicated", twice, 0.8*0.1)
	if overtaken == 0 || uint64(lost) != p.Lost || p.Taken != n {
		t.Errorf("%d overtaken; counted %d lost of %d", overtaken, p.Lost, p.Taken)
	}
}

func TestRateSpacesPacketsAndDropsWhatWouldWaitTooLong(t *testing.T) {
	// 1,000 bytes at 1 Mbit/s take 8 ms.
	out, p := run(Config{Rate: 1e6, Queue: 20 * ms}, 10, 0)
	for i, o := range out {
		switch {
		case i <= 2 && (len(o) != 1 || o[0] != time.Duration(i+1)*8*ms):
			t.Errorf("packet %d comes out at %v", i, o)
		case i > 2 && o != nil:
			t.Errorf("packet %d waited longer than the queue: %v", i, o)
		}
	}
	if p.Full != 7 {
		t.Errorf("%d did not fit, want 7", p.Full)
	}
}

func TestTheSameSeedDoesTheSame(t *testing.T) {
	cfg := Config{Delay: 10 * ms, Jitter: 10 * ms, Loss: 0.3, Duplicate: 0.1, Reorder: 0.1, Seed: 42}
	a, _ := run(cfg, 1000, ms)
	b, _ := run(cfg, 1000, ms)
	if !slices.EqualFunc(a, b, slices.Equal) {
		t.Error("two runs differ")
	}
	cfg.Seed++
	if b, _ = run(cfg, 1000, ms); slices.EqualFunc(a, b, slices.Equal) {
		t.Error("another seed does the same")
	}
}

func TestConfigsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, cfg := range []Config{{Loss: 1.1}, {Loss: -1}, {Reorder: 2}, {Delay: -1}, {Rate: -1}} {
		if cfg.Check() == nil {
			t.Errorf("%+v", cfg)
		}
	}
	if (&Config{Loss: 1}).Check() != nil {
		t.Error("a network that loses everything makes sense")
	}
}
