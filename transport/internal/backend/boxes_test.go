// SPDX-License-Identifier: MIT

package backend

import (
	"net/netip"
	"testing"
)

// TestBurst: which datagrams may leave as one.
func TestBurst(t *testing.T) {
	a, b := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.1:2")
	type datagram struct {
		to   netip.AddrPort
		from Local
		size int
	}
	for name, c := range map[string]struct {
		all  []datagram
		want int
	}{
		"one":                    {[]datagram{{a, 1, 9}}, 1},
		"alike":                  {[]datagram{{a, 1, 9}, {a, 1, 9}, {a, 1, 9}}, 3},
		"the last one shorter":   {[]datagram{{a, 1, 9}, {a, 1, 9}, {a, 1, 3}, {a, 1, 3}}, 3},
		"another longer one":     {[]datagram{{a, 1, 9}, {a, 1, 10}}, 1},
		"to another port":        {[]datagram{{a, 1, 9}, {b, 1, 9}}, 1},
		"from another address":   {[]datagram{{a, 1, 9}, {a, 2, 9}}, 1},
		"then back to the first": {[]datagram{{a, 1, 9}, {a, 1, 9}, {b, 1, 9}, {a, 1, 9}}, 2},
	} {
		var out Outbox
		out.Init(0)
		for _, d := range c.all {
			out.Push(d.to, d.from, d.size)
		}
		if got := out.Burst(0); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	var out Outbox
	out.Init(0)
	for range Slots {
		out.Push(a, 0, SlotSize)
	}
	const most = 65_507 // bytes of one datagram
	for i := 0; i < out.N; {
		end := out.Burst(i)
		if n := (end - i) * SlotSize; end <= i || n > most {
			t.Fatalf("a burst from %d to %d has %d bytes", i, end, n)
		}
		i = end
	}
}
