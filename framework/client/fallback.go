// SPDX-License-Identifier: MIT

package client

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// Which address is dialled first: that of the list's order, except that what
// lately failed where another worked stands back for a while. So a player
// behind a firewall that eats UDP waits for it once, and comes back to it when
// he has come to another network.

const (
	// minAvoid is how long an address stands back the first time; it doubles
	// with every time in a row, up to maxAvoid.
	minAvoid = 30 * time.Second
	maxAvoid = 10 * time.Minute
)

var errSilent = errors.New("client: nothing came back over UDP")

// standing is what is known of an address. Guarded by Client.mu.
type standing struct {
	failed bool          // since another one worked last
	times  int           // in a row that others worked where it had failed
	avoid  time.Duration // until then others come first
}

// orderLocked returns the addresses in the order that they are to be dialled in.
func (c *Client) orderLocked(now time.Duration) []int {
	order := make([]int, len(c.addrs))
	every := true
	for i := range order {
		order[i] = i
		every = every && c.standings[i].failed
	}
	if every { // nobody can be reached, which says nothing about any of them
		for i := range c.standings {
			c.standings[i].failed = false
		}
	}
	rank := func(i int) time.Duration {
		s := &c.standings[i]
		if s.failed {
			return session.Never
		}
		return max(s.avoid-now, 0)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rank(a), rank(b)) })
	return order
}

// failedLocked notes that an address opened no session. Where the server had
// sent us has no standing: the next attempt begins with the next of those.
func (c *Client) failedLocked(index int) {
	if index >= 0 {
		c.standings[index].failed = true
	} else {
		c.astray++
	}
}

// workedLocked notes that an address did, unlike those that failed since.
func (c *Client) workedLocked(index int, now time.Duration) {
	c.astray = 0
	if index < 0 {
		return
	}
	for i := range c.standings {
		switch s := &c.standings[i]; {
		case i == index:
			*s = standing{}
		case s.failed:
			s.failed = false
			s.avoid = now + min(minAvoid<<min(s.times, 10), maxAvoid)
			s.times++
		}
	}
}

// networkChangedLocked notes that what was blocked before need not be any more.
func (c *Client) networkChangedLocked() {
	for i := range c.standings {
		c.standings[i].avoid = 0
	}
}

// datagrams reports whether the carrier goes over UDP, where nobody says no.
func (k carrier) datagrams() bool { return k == carrierPlainKCP || k == carrierKCP }

// patience is how long an address may be silent before another is tried,
// 0 where there is no limit besides the usual ones.
func (c *Client) patience(a address) time.Duration {
	others := slices.ContainsFunc(c.addrs, func(o address) bool { return !o.carrier.datagrams() })
	if !a.carrier.datagrams() || !others {
		return 0
	}
	return c.cfg.fallback()
}

// silentAtLocked is when the present link will have been silent for too long.
func (c *Client) silentAtLocked() time.Duration {
	l := c.link
	if l == nil || l.opened || l.heard > 0 {
		return session.Never
	}
	if wait := c.patience(l.addr); wait > 0 {
		return l.since + wait
	}
	return session.Never
}
