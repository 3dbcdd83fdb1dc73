// SPDX-License-Identifier: MIT

// Package limit has the bounds of a server that are shared by all its clients. Each
// type owns its state and knows neither server nor player.
package limit

import "net/netip"

// AuthSlots bounds the logins that are being decided. A hook that goes on after its
// time gives its slot back and is counted apart, so that one service that hangs keeps
// out no login that does not need it. It has no lock: its owner guards it.
type AuthSlots struct {
	most   int
	taken  int
	strays int // hooks that have not returned in their time
	from   map[netip.Addr]int
}

const (
	// shareOfAddress: one address has an eighth of the slots at most.
	shareOfAddress = 8
	// straysPerSlot bounds hooks that never return.
	straysPerSlot = 4
)

// AuthSlot is what one login holds. The zero value is none.
type AuthSlot struct {
	from  netip.Addr
	state slotState
}

type slotState uint8

const (
	none slotState = iota
	own
	stray // given back: the hook has not returned in its time
)

// NewAuthSlots makes so many slots.
func NewAuthSlots(most int) AuthSlots { return AuthSlots{most: most, from: map[netip.Addr]int{}} }

// Acquire gives a login from an address a slot, and reports false if there is none
// for it. An address that is not valid stands for many and has no share.
func (s *AuthSlots) Acquire(from netip.Addr) (AuthSlot, bool) {
	if s.taken >= s.most || s.strays >= straysPerSlot*s.most {
		return AuthSlot{}, false
	}
	if from.IsValid() {
		if s.from[from] >= max(s.most/shareOfAddress, 1) {
			return AuthSlot{}, false
		}
		s.from[from]++
	}
	s.taken++
	return AuthSlot{from, own}, true
}

// Overdue takes the slot back from a hook that goes on after its time. It reports
// false if the hook has returned.
func (s *AuthSlots) Overdue(slot *AuthSlot) bool {
	if slot.state != own {
		return false
	}
	s.giveBack(slot.from)
	s.strays++
	slot.state = stray
	return true
}

// Release ends what a login holds: its hook has returned.
func (s *AuthSlots) Release(slot *AuthSlot) {
	switch slot.state {
	case own:
		s.giveBack(slot.from)
	case stray:
		s.strays--
	}
	slot.state = none
}

// Taken is how many slots are held.
func (s *AuthSlots) Taken() int { return s.taken }

// Strays is how many hooks go on after their time.
func (s *AuthSlots) Strays() int { return s.strays }

func (s *AuthSlots) giveBack(from netip.Addr) {
	s.taken--
	if from.IsValid() {
		if s.from[from]--; s.from[from] <= 0 {
			delete(s.from, from)
		}
	}
}
