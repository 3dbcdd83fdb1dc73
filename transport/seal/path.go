// SPDX-License-Identifier: MIT

package seal

import (
	"io"
	"net/netip"
	"time"
)

const (
	maxPaths           = 3 // addresses that are validated at one time
	validationTimeout  = 5 * time.Second
	challengeEvery     = 200 * time.Millisecond
	amplificationLimit = 3 // bytes sent to an address for each byte received from there: RFC 9000 §8
)

// path is one address that is being validated.
type path struct {
	to        netip.AddrPort
	challenge [8]byte
	until     time.Duration
	asked     time.Duration // when the challenge was due last
	in, out   uint64        // bytes received from there, and sent there
}

// Paths does path validation (RFC 9000 §8.2) for a link whose peer seems to have
// moved to another address. The zero value is ready. A link needs none while Idle
// is true. Owned by the owner of the link.
//
// Only Validate changes the active address. Until then everything goes to the
// active address, and a copy to the candidate as far as the anti-amplification
// limit (RFC 9000 §8) allows: the active address is probably dead. If it is not,
// an attacker that forwarded a copy of a datagram gains three times the bytes of
// that datagram, for five seconds.
type Paths struct {
	list   [maxPaths]path
	latest int // 1 + index of the path of the newest datagram, 0 if that is the active address
}

// Received records an authentic datagram of size bytes from an address other than
// the active one. ask says that the caller should send challenge there. A datagram
// that is not the newest starts nothing: a copied datagram arrives late.
func (p *Paths) Received(now time.Duration, from netip.AddrPort, size int, newest bool, rand io.Reader) (challenge [8]byte, ask bool) {
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
		if now < c.asked+challengeEvery {
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
	c.to, c.until, c.asked, c.in, c.out = from, now+validationTimeout, now, uint64(size), 0
	p.latest = free + 1
	return c.challenge, true
}

// ReceivedActive records that the newest datagram came from the active address.
func (p *Paths) ReceivedActive() { p.latest = 0 }

// MirrorTo returns the candidate that should get a copy of a datagram of size
// bytes, and counts the copy against the candidate's anti-amplification limit.
func (p *Paths) MirrorTo(now time.Duration, size int) (to netip.AddrPort, ok bool) {
	if p.latest == 0 {
		return to, false
	}
	c := &p.list[p.latest-1]
	if c.until <= now || c.out+uint64(size) > amplificationLimit*c.in {
		return to, false
	}
	c.out += uint64(size)
	return c.to, true
}

// AllowSend reports whether a datagram of size bytes, as a challenge, may be sent
// to a candidate, and counts it against the candidate's anti-amplification limit.
func (p *Paths) AllowSend(now time.Duration, to netip.AddrPort, size int) bool {
	for i := range p.list {
		if c := &p.list[i]; c.to == to && now < c.until && c.out+uint64(size) <= amplificationLimit*c.in {
			c.out += uint64(size)
			return true
		}
	}
	return false
}

// Validate takes the response to a challenge, from an authentic datagram that came
// from an address. True means that the address is validated and active from now
// on. p is empty then; the caller starts round trip time, path MTU and congestion
// anew.
func (p *Paths) Validate(now time.Duration, from netip.AddrPort, response [8]byte) bool {
	for i := range p.list {
		if c := &p.list[i]; now < c.until && c.to == from && c.challenge == response {
			*p = Paths{}
			return true
		}
	}
	return false
}

// Idle reports whether no address is being validated, so that p can be dropped.
func (p *Paths) Idle(now time.Duration) bool {
	for i := range p.list {
		if now < p.list[i].until {
			return false
		}
	}
	return true
}
