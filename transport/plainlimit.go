// SPDX-License-Identifier: MIT

package transport

import (
	"hash/maphash"
	"net/netip"
	"sync"

	"github.com/lifeline-go/lifeline/transport/internal/strangers"
)

// plainLimiter bounds the plain-KCP links of each validated address. Links that an
// attacker opens in a player's name do not count, so they do not keep the player
// out. IPv6 counts by /64, which is what one subscriber has. Guarded by mu.
type plainLimiter struct {
	most   int32                 // links of one address; 0: any number
	exempt func(netip.Addr) bool // reports that an address is not counted
	seed   maphash.Seed
	mu     sync.Mutex
	links  map[uint64]int32 // by hash, which is a fifth of the prefix itself
}

func (c *plainLimiter) init(most int, exempt func(netip.Addr) bool) {
	c.most, c.exempt, c.seed, c.links = int32(most), exempt, maphash.MakeSeed(), make(map[uint64]int32)
}

// key returns false for an address that is not counted.
func (c *plainLimiter) key(ip netip.Addr) (uint64, bool) {
	if c.most == 0 || c.exempt(ip) {
		return 0, false
	}
	return maphash.Comparable(c.seed, strangers.Network(ip, 32, 64)), true
}

// full reports whether ip may have no more.
func (c *plainLimiter) full(ip netip.Addr) bool {
	key, ok := c.key(ip)
	if !ok {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.links[key] >= c.most
}

// acquire counts one link of ip, unless it has enough.
func (c *plainLimiter) acquire(ip netip.Addr) bool {
	key, ok := c.key(ip)
	if !ok {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.links[key] >= c.most {
		return false
	}
	c.links[key]++
	return true
}

// release counts it no more.
func (c *plainLimiter) release(ip netip.Addr) {
	key, ok := c.key(ip)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.links[key]--; c.links[key] <= 0 {
		delete(c.links, key)
	}
}
