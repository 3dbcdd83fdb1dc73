// SPDX-License-Identifier: MIT

package framework

import "net/netip"

// authSlots are those of Config.AuthConcurrency: for hooks that run. A hook that
// goes on after its time gives its place back and is counted apart, so that one
// service that hangs keeps out no login that does not need it. Guarded by the
// server's mu.
type authSlots struct {
	most   int
	taken  int
	strays int // hooks that have not returned in their time
	from   map[netip.Addr]int
}

const (
	// shareOfAddress: one address has an eighth of the places at most.
	shareOfAddress = 8
	// straysPerPlace bounds hooks that never return.
	straysPerSlot = 4
)

// slotState is what one login holds of the places.
type slotState uint8

const (
	noSlot slotState = iota
	ownSlot
	straySlot // given back: the hook has not returned in its time
)

// acquire reports whether a login from there has a place.
func (p *authSlots) acquire(from netip.Addr) bool {
	if p.taken >= p.most || p.strays >= straysPerSlot*p.most {
		return false
	}
	if from = sharePrefix(from); from.IsValid() {
		if p.from[from] >= max(p.most/shareOfAddress, 1) {
			return false
		}
		p.from[from]++
	}
	p.taken++
	return true
}

// stray gives the place of a hook back that goes on.
func (p *authSlots) stray(from netip.Addr) {
	p.release(from)
	p.strays++
}

func (p *authSlots) release(from netip.Addr) {
	p.taken--
	if from = sharePrefix(from); from.IsValid() {
		if p.from[from]--; p.from[from] <= 0 {
			delete(p.from, from)
		}
	}
}

// sharePrefix is the address, or the 64 bits of an IPv6 address, that has one share;
// this machine has none, as proxies are on it.
func sharePrefix(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	switch {
	case a.IsLoopback():
		return netip.Addr{}
	case a.Is6():
		prefix, _ := a.Prefix(64)
		return prefix.Addr()
	}
	return a
}
