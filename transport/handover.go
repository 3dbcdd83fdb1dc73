// SPDX-License-Identifier: MIT

package transport

import (
	"hash/maphash"
	"net/netip"
	"sync"

	"github.com/lifeline-go/lifeline/transport/internal/strangers"
)

const (
	maxHanded      = 1024 // datagrams that wait for a loop
	maxHandedBytes = 512 << 10
	handedGroups   = 64
	maxHandedShare = maxHanded / 4 // of them from one group of source prefixes
)

// handover is how datagrams reach the loop that owns their link when the
// kernel gave them to another one, as it does once a player's address has
// changed: the kernel spreads by address. Bounded; what does not fit is
// dropped, and KCP sends its content again. Guarded by mu, except for what the
// loop reads out of.
type handover struct {
	mu     sync.Mutex
	waits  handedBatch
	groups [handedGroups]uint16 // how many wait from each group of prefixes
	seed   maphash.Seed

	reads handedBatch // the loop's own
}

// handedBatch are datagrams, their bytes one behind the other.
type handedBatch struct {
	list  []handed
	bytes []byte
}

type handed struct {
	path
	size int
}

// give copies a datagram for the loop. It reports whether there was room, and
// whether the loop must be woken: once for each burst.
func (h *handover) give(p path, b []byte) (ok, wake bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := &h.groups[h.group(p.addr.Addr())]
	w := &h.waits
	if len(w.list) >= maxHanded || len(w.bytes)+len(b) > maxHandedBytes || *g >= maxHandedShare {
		return false, false
	}
	*g++
	w.list = append(w.list, handed{p, len(b)})
	w.bytes = append(w.bytes, b...)
	return true, len(w.list) == 1
}

// group is the group of what one household or one small host gets.
func (h *handover) group(ip netip.Addr) uint64 {
	return maphash.Comparable(h.seed, strangers.Network(ip, 24, 56)) % handedGroups
}

// take returns what waits. It lives until the next call.
func (h *handover) take() *handedBatch {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads, h.waits = h.waits, handedBatch{h.reads.list[:0], h.reads.bytes[:0]}
	if len(h.reads.list) > 0 {
		clear(h.groups[:])
	}
	return &h.reads
}
