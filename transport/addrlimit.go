// SPDX-License-Identifier: MIT

package transport

import (
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/strangers"
)

// addrLimiter bounds the links of one address and how fast it opens them: an IPv4
// address, or the 64 bits of an IPv6 address that one customer has. Customers may
// have more: 56 bits of an IPv6 address get four times as much, 48 bits sixteen
// times. All that share an address share its limits: they are for
// attackers, and must leave room for a school. This machine and trusted proxies
// come as they like. Safe to use from any goroutine; an entry exists only for an
// address that was let in.
type addrLimiter struct {
	cfg   *Config
	most  int64         // links, negative: any number
	cost  time.Duration // of a link; 0: nothing
	burst time.Duration

	mu       sync.Mutex
	networks map[netip.Prefix]addrUse // guarded by mu
	peak     int                      // so many it has had; guarded by mu
}

// addrUse is what is counted for one network.
type addrUse struct {
	links int64
	paid  time.Duration // when everything that was opened is made good for
}

const (
	// openBurst is how much of OpensPerAddress may come at once.
	openBurst = 10 * time.Second
	// sweepAddrs entries are looked at whenever one is made: more go than come.
	sweepAddrs = 3
)

func (d *addrLimiter) init(c *Config) {
	d.most = int64(max(c.linksPerAddress(), -1))
	if n := c.opensPerAddress(); n > 0 {
		d.cost, d.burst = time.Second/time.Duration(n), openBurst
	}
	d.cfg = c
	d.networks = make(map[netip.Prefix]addrUse)
}

// exempt reports that no limit by address holds for this one: it is this machine's, or
// that of a trusted proxy, which stands for many. Safe to call from any goroutine.
func (d *addrLimiter) exempt(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLoopback() || d.cfg.trusts(a)
}

// counts reports that the links of this address are counted.
func (d *addrLimiter) counts(a netip.Addr) bool {
	return (d.most >= 0 || d.cost > 0) && !d.exempt(a)
}

// networksOf are the networks that a counts with, the smallest first; each has four
// times as much as the one before.
func networksOf(a netip.Addr) []netip.Prefix {
	if a.Unmap().Is4() {
		return []netip.Prefix{strangers.Network(a, 32, 0)}
	}
	return []netip.Prefix{strangers.Network(a, 0, 64), strangers.Network(a, 0, 56), strangers.Network(a, 0, 48)}
}

// take counts links of a, one or none, and what opening one costs, or refuses both.
func (d *addrLimiter) take(a netip.Addr, now time.Duration, links int64, cost time.Duration) bool {
	if !d.counts(a) {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	keys := networksOf(a)
	most, price := d.most, cost
	for _, key := range keys {
		o := d.networks[key]
		if most >= 0 && o.links >= most || price > 0 && max(o.paid, now)+price > now+d.burst {
			return false
		}
		most, price = 4*most, price/4
	}
	for _, key := range keys {
		o, known := d.networks[key]
		d.networks[key] = addrUse{o.links + links, max(o.paid, now) + cost}
		cost /= 4
		if !known {
			d.sweepLocked(now)
		}
	}
	return true
}

// release takes back a link that was counted for a.
func (d *addrLimiter) release(a netip.Addr) { d.count(a, -1, 0) }

// move counts a link of one address for another, where its peer went.
func (d *addrLimiter) move(from, to netip.Addr, now time.Duration) {
	d.count(from, -1, now)
	d.count(to, 1, now)
}

func (d *addrLimiter) count(a netip.Addr, by int, now time.Duration) {
	if !d.counts(a) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, key := range networksOf(a) {
		o, known := d.networks[key]
		o.links += int64(by)
		d.networks[key] = o // for what it has to make good, until it is swept
		if !known {
			d.sweepLocked(now)
		}
	}
}

// sweepLocked forgets a few addresses without links. A map is walked from
// another place each time. One that has been much larger is made anew: it stays as large,
// and to find three entries in it takes milliseconds.
func (d *addrLimiter) sweepLocked(now time.Duration) {
	d.peak = max(d.peak, len(d.networks))
	if d.peak > 8*len(d.networks)+1024 {
		d.networks, d.peak = maps.Collect(maps.All(d.networks)), len(d.networks)
	}
	n := 0
	for key, o := range d.networks {
		if o.links <= 0 && o.paid <= now {
			delete(d.networks, key)
		}
		if n++; n == sweepAddrs {
			return
		}
	}
}
