// SPDX-License-Identifier: MIT

package transport

import (
	"net/netip"
	"sync"
	"time"
)

// doors bound the links of one address and how fast it opens them: an IPv4
// address, or the 64 bits of an IPv6 address that one customer has. Whoever
// shares an address shares its door, so the limits are for attackers and must
// leave room for a school. This machine and trusted proxies come as they like. Safe to use
// from any goroutine; an entry exists only for an address that was let in.
type doors struct {
	cfg   *Config
	most  int32         // links, negative: any number
	cost  time.Duration // of a link; 0: nothing
	burst time.Duration

	mu sync.Mutex
	at map[netip.Addr]door // guarded by mu
}

// door is what is known of one address.
type door struct {
	links int32
	paid  time.Duration // when everything that was opened is made good for
}

const (
	// openBurst is how much of OpensPerAddress may come at once.
	openBurst = 10 * time.Second
	// sweepDoors entries are looked at whenever one is made: more go than come.
	sweepDoors = 3
)

func (d *doors) init(c *Config) {
	d.most = int32(max(c.linksPerAddress(), -1))
	if n := c.opensPerAddress(); n > 0 {
		d.cost, d.burst = time.Second/time.Duration(n), openBurst
	}
	d.cfg = c
	d.at = make(map[netip.Addr]door)
}

// open reports that nobody counts for this address.
func (d *doors) open(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLoopback() || d.most < 0 && d.cost == 0 || d.cfg.trusts(a)
}

// doorOf is the address that shares a door with a.
func doorOf(a netip.Addr) netip.Addr {
	if a = a.Unmap().WithZone(""); a.Is6() {
		p, _ := a.Prefix(64)
		return p.Addr()
	}
	return a
}

// enter counts a link of a, or refuses it.
func (d *doors) enter(a netip.Addr, now time.Duration) bool {
	if d.open(a) {
		return true
	}
	key := doorOf(a)
	d.mu.Lock()
	defer d.mu.Unlock()
	o, known := d.at[key]
	paid := max(o.paid, now) + d.cost
	if d.most >= 0 && o.links >= d.most || d.cost > 0 && paid > now+d.burst {
		return false
	}
	d.at[key] = door{o.links + 1, paid}
	if !known {
		d.sweepLocked(now)
	}
	return true
}

// leave takes back a link that was counted for a.
func (d *doors) leave(a netip.Addr) {
	if d.open(a) {
		return
	}
	key := doorOf(a)
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.at[key]
	o.links--
	d.at[key] = o // for what it has to make good, until it is swept
}

// move counts a link of one address for another, where its player went.
func (d *doors) move(from, to netip.Addr) {
	d.leave(from)
	if d.open(to) {
		return
	}
	key := doorOf(to)
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.at[key]
	o.links++
	d.at[key] = o
}

// sweepLocked forgets a few addresses without links. A map is walked from
// another place each time.
func (d *doors) sweepLocked(now time.Duration) {
	n := 0
	for key, o := range d.at {
		if o.links <= 0 && o.paid <= now {
			delete(d.at, key)
		}
		if n++; n == sweepDoors {
			return
		}
	}
}
