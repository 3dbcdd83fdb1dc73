// SPDX-License-Identifier: MIT

package seal

import (
	"io"
	"net/netip"
	"time"
)

const (
	maxPaths     = 3
	pathTime     = 5 * time.Second
	pathAgain    = 200 * time.Millisecond
	budgetFactor = 3
)

// Path is what one path tells: where it goes, and what was asked there.
type path struct {
	to        netip.AddrPort
	challenge [8]byte
	until     time.Duration
	asked     time.Duration // when the challenge was due last
	in, out   uint64        // bytes of datagrams
}

// Paths are the addresses that a peer seems to have moved to, until one proves
// that it reads what it is sent there. The zero value is ready; a link needs
// none while its peer stays where it is, which Idle tells. Owned by whoever
// owns the link.
//
// The address in use changes by Answer alone. Until then everything goes to the
// old one, and as much as the budget allows to the candidate as well: the old
// address is probably dead, and if it is not, whoever copied a datagram to get
// here first has gained three times its bytes, for five seconds.
type Paths struct {
	list   [maxPaths]path
	latest int // 1 + place of the path that brought the newest datagram, 0 for the one in use
}

// Saw takes note of an authentic datagram of size bytes that came from an
// address other than the one in use. ask says that challenge should be sent
// there. Nothing is asked for a datagram that is not the newest: what was
// copied comes late.
func (p *Paths) Saw(now time.Duration, from netip.AddrPort, size int, newest bool, rand io.Reader) (challenge [8]byte, ask bool) {
	free := -1
	for i := range p.list {
		c := &p.list[i]
		if c.until <= now {
			*c = path{}
			if p.latest == i+1 {
				p.latest = 0
			}
			free = i
			continue
		}
		if c.to != from {
			continue
		}
		c.in += uint64(size)
		if !newest {
			return challenge, false
		}
		p.latest = i + 1
		if now < c.asked+pathAgain {
			return challenge, false
		}
		c.asked = now
		return c.challenge, true
	}
	if !newest || free < 0 {
		return challenge, false
	}
	c := &p.list[free]
	if _, err := io.ReadFull(rand, c.challenge[:]); err != nil {
		return challenge, false
	}
	c.to, c.until, c.asked, c.in, c.out = from, now+pathTime, now, uint64(size), 0
	p.latest = free + 1
	return c.challenge, true
}

// Stayed takes note that the newest datagram came from the address in use.
func (p *Paths) Stayed() { p.latest = 0 }

// Also returns the address that a datagram of size bytes should be sent to as
// well as to the one in use, and counts it against its budget.
func (p *Paths) Also(now time.Duration, size int) (to netip.AddrPort, ok bool) {
	if p.latest == 0 {
		return to, false
	}
	c := &p.list[p.latest-1]
	if c.until <= now || c.out+uint64(size) > budgetFactor*c.in {
		return to, false
	}
	c.out += uint64(size)
	return c.to, true
}

// Spend counts size bytes, as of a challenge, against the budget of to. It
// reports false if they may not be sent.
func (p *Paths) Spend(now time.Duration, to netip.AddrPort, size int) bool {
	for i := range p.list {
		if c := &p.list[i]; c.to == to && now < c.until && c.out+uint64(size) <= budgetFactor*c.in {
			c.out += uint64(size)
			return true
		}
	}
	return false
}

// Answer takes an answer to a challenge, in an authentic datagram that came
// from an address. True means that the link uses that address from now on: p
// is empty then, and round trips, packing size and congestion begin anew.
func (p *Paths) Answer(now time.Duration, from netip.AddrPort, answer [8]byte) bool {
	for i := range p.list {
		if c := &p.list[i]; now < c.until && c.to == from && c.challenge == answer {
			*p = Paths{}
			return true
		}
	}
	return false
}

// Idle reports whether no address is in question, so that p can be dropped.
func (p *Paths) Idle(now time.Duration) bool {
	for i := range p.list {
		if now < p.list[i].until {
			return false
		}
	}
	return true
}
