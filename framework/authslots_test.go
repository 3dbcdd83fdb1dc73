// SPDX-License-Identifier: MIT

package framework

import (
	"net/netip"
	"testing"
)

// TestAuthSlotsAreShared: one address has an eighth, a hook that hangs none,
// and what is given back is free again.
func TestAuthSlotsAreShared(t *testing.T) {
	at := netip.MustParseAddr
	p := authSlots{most: 16, from: map[netip.Addr]int{}}
	take := func(a string, want bool) {
		t.Helper()
		if got := p.acquire(at(a)); got != want {
			t.Errorf("%s has a place: %v, with %+v", a, got, p)
		}
	}
	take("192.0.2.1", true)
	take("::ffff:192.0.2.1", true)
	take("192.0.2.1", false)
	take("192.0.2.2", true)
	take("2001:db8::1", true)
	take("2001:db8::2", true)
	take("2001:db8::3", false) // of one /64
	take("2001:db8:0:1::3", true)
	p.release(at("192.0.2.1"))
	take("192.0.2.1", true)
	p.stray(at("192.0.2.1"))
	take("192.0.2.1", true)
	for range 16 - p.taken {
		take("127.0.0.1", true)
	}
	take("198.51.100.1", false) // all are taken
	p.strays = straysPerSlot * p.most
	p.taken = 0
	take("198.51.100.1", false) // too many hang
	few := authSlots{most: 2, from: map[netip.Addr]int{}}
	if !few.acquire(at("192.0.2.1")) || few.acquire(at("192.0.2.1")) || !few.acquire(at("192.0.2.2")) {
		t.Error("an eighth of two is one")
	}
	few.release(at("192.0.2.1"))
	few.release(at("192.0.2.2"))
	if few.taken != 0 || len(few.from) != 0 {
		t.Errorf("not all was given back: %+v", few)
	}
}
