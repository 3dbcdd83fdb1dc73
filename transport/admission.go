// SPDX-License-Identifier: MIT

package transport

import (
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"
)

// admission bounds and counts links: those of all carriers together, those of a
// client address, and those of a validated address on plain KCP. What acquire,
// take and validate take, release gives back. Safe to use from any goroutine.
type admission struct {
	log      *slog.Logger // immutable
	max      int64        // links of all carriers; immutable
	links    atomic.Int64 // live ones
	addrs    addrLimiter
	plain    plainLimiter
	carriers [carriers]carrierCount

	refused teller // because of their address
}

// teller bounds what the log is told of something that others cause as often as they like:
// the first, and then at most one a minute. Safe to use from any goroutine.
type teller struct {
	times  atomic.Uint64 // since the log was told
	tellAt atomic.Int64  // when the log may be told again
}

const tellEvery = time.Minute

// due counts, and reports whether the log is told now, and of how many times.
func (t *teller) due(now time.Duration) (times uint64, ok bool) {
	times = t.times.Add(1)
	at := t.tellAt.Load()
	if int64(now) < at || !t.tellAt.CompareAndSwap(at, int64(now+tellEvery)) {
		return 0, false
	}
	t.times.Add(-times)
	return times, true
}

func (a *admission) init(c *Config) {
	a.log = c.logger()
	a.max = int64(c.maxLinks())
	a.addrs.init(c)
	a.plain.init(c.maxPlainPerAddress(), a.addrs.exempt)
}

// full reports whether there are as many links as there may be.
func (a *admission) full() bool { return a.links.Load() >= a.max }

// refuse counts a link of c for which there is no room.
func (a *admission) refuse(c Carrier) { a.carriers[c].tooManyLinks.Add(1) }

// acquire takes a place for a link of c, and counts it for its address, which may have
// paid for opening it. It counts a refusal.
func (a *admission) acquire(c Carrier, from netip.Addr, now time.Duration, paid bool) bool {
	cost := a.addrs.cost
	if paid {
		cost = 0
	}
	room := a.take(c)
	if !room {
		a.refuse(c)
	}
	if !room || !a.charge(c, from, now, 1, cost) {
		a.release(c, from, false)
		return false
	}
	return true
}

// take takes a place for a link of c, and counts nothing for its address: that of plain KCP
// does not count before it is validated. It reports whether there was one: else another
// link has to make room, or this one is released.
func (a *admission) take(c Carrier) bool {
	a.carriers[c].open.Add(1)
	return a.links.Add(1) <= a.max
}

// validate counts a link of plain KCP for its address, which is validated now. It
// counts a refusal; the link then keeps its place until it is released.
func (a *admission) validate(from netip.Addr, now time.Duration) bool {
	if !a.plain.acquire(from) {
		a.refuse(PlainKCP)
		a.tell(PlainKCP, from, now)
		return false
	}
	if !a.charge(PlainKCP, from, now, 1, a.addrs.cost) {
		a.plain.release(from)
		return false
	}
	return true
}

// release gives back the place of a link of c, and what its address counts for if
// that was counted.
func (a *admission) release(c Carrier, from netip.Addr, counted bool) {
	a.links.Add(-1)
	a.carriers[c].open.Add(-1)
	if !counted {
		return
	}
	a.addrs.release(from)
	if c == PlainKCP {
		a.plain.release(from)
	}
}

// pay charges an address for opening a link of c, before there is one: its handshake
// costs. It counts a refusal.
func (a *admission) pay(c Carrier, from netip.Addr, now time.Duration) bool {
	return a.charge(c, from, now, 0, a.addrs.cost)
}

// charge counts links of c for an address, one or none, and what opening one costs.
func (a *admission) charge(c Carrier, from netip.Addr, now time.Duration, links int64, cost time.Duration) bool {
	ok := a.addrs.take(from, now, links, cost)
	if !ok {
		a.carriers[c].addressLimited.Add(1)
		a.tell(c, from, now)
	}
	return ok
}

// tell says in the log that an address was refused a link, and by what.
func (a *admission) tell(c Carrier, from netip.Addr, now time.Duration) {
	if n, ok := a.refused.due(now); ok {
		a.log.Warn("transport: an address is refused links: Config.OpensPerAddress, LinksPerAddress, MaxPlainPerAddress", "addr", from.String(), "carrier", c.String(), "times", n)
	}
}
