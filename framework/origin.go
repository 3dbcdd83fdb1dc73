// SPDX-License-Identifier: MIT

package framework

import (
	"net/netip"
	"slices"
)

// origin is the address that sessions were opened from: what they have in common
// when it comes to shares. It stays theirs when they come back from elsewhere.
type origin struct {
	at netip.Addr

	sessions int // until OnClose has returned; guarded by Server.mu

	// Guarded by workers.mu.
	taken int       // of its players, on a worker or in line for one
	ready []*Player // that have work, beyond the share
}

// originOf is the address that counts together with a: an IPv4 address, or the 64 bits
// of an IPv6 address that one customer has. It is invalid for this machine and
// for trusted proxies, which stand for many.
func (s *Server) originOf(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsLoopback() || slices.ContainsFunc(s.cfg.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return netip.Addr{}
	}
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.Addr()
	}
	return a
}

// joinOriginLocked makes p one of those at a. The caller holds s.mu.
func (s *Server) joinOriginLocked(p *Player, a netip.Addr) {
	if !a.IsValid() {
		s.openedHereLocked()
		return
	}
	h := s.origins[a]
	if h == nil {
		h = &origin{at: a}
		s.origins[a] = h
	}
	h.sessions++
	p.origin = h
}

// manyHere sessions from this machine itself are hardly a developer's.
const manyHere = 100

// openedHereLocked says once, in the log, that a proxy on this machine hides the
// addresses of the players: no limit by address holds for them.
func (s *Server) openedHereLocked() {
	if len(s.cfg.TrustedProxies) > 0 {
		return
	}
	if s.here++; s.here == manyHere {
		s.log.Warn("players come from this machine: if a proxy sends them, name it in Config.TrustedProxies, or no limit by address holds", "times", s.here)
	}
}

// atAddressLimitLocked reports whether an address has as many sessions as it may.
func (s *Server) atAddressLimitLocked(a netip.Addr) bool {
	h := s.origins[a]
	return h != nil && s.cfg.SessionsPerAddress > 0 && h.sessions >= s.cfg.SessionsPerAddress
}

// leaveOrigin takes back what joinOriginLocked did, once p is over.
func (s *Server) leaveOrigin(p *Player) {
	if p.origin == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.origin.sessions--; p.origin.sessions == 0 {
		delete(s.origins, p.origin.at)
	}
}
