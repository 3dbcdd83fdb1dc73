// SPDX-License-Identifier: MIT

package limit

import (
	"net/netip"
	"testing"
)

// TestAuthSlotsAreShared: one address has an eighth, a hook that hangs none,
// and what is given back is free again.
func TestAuthSlotsAreShared(t *testing.T) {
	s := NewAuthSlots(16)
	take := func(a string, want bool) AuthSlot {
		t.Helper()
		from, _ := netip.ParseAddr(a)
		slot, got := s.Acquire(from)
		if got != want {
			t.Errorf("%s has a slot: %v, with %+v", a, got, s)
		}
		return slot
	}
	first := take("192.0.2.1", true)
	second := take("192.0.2.1", true)
	take("192.0.2.1", false)
	take("192.0.2.2", true)
	s.Release(&first)
	take("192.0.2.1", true)
	if !s.Overdue(&second) || s.Overdue(&second) || s.Overdue(&first) || s.Strays() != 1 {
		t.Errorf("one hook is overdue, once: %+v", s)
	}
	take("192.0.2.1", true)
	s.Release(&second)
	s.Release(&second)
	if s.Strays() != 0 {
		t.Errorf("%d hooks go on, want none", s.Strays())
	}
	for range 16 - s.taken {
		take("", true) // no address that counts
	}
	take("198.51.100.1", false) // all are taken
	s.strays = straysPerSlot * s.most
	s.taken = 0
	take("198.51.100.1", false) // too many hang
}

func TestAuthSlotsThatAreFewGoToSeveralAddresses(t *testing.T) {
	at := netip.MustParseAddr
	s := NewAuthSlots(2)
	a, ok := s.Acquire(at("192.0.2.1"))
	_, again := s.Acquire(at("192.0.2.1"))
	b, other := s.Acquire(at("192.0.2.2"))
	if !ok || again || !other {
		t.Error("an eighth of two is one")
	}
	s.Release(&a)
	s.Release(&b)
	if s.taken != 0 || len(s.from) != 0 {
		t.Errorf("not all was given back: %+v", s)
	}
}
