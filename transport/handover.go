// SPDX-License-Identifier: MIT

package transport

import (
	"hash/maphash"
	"net/netip"
	"sync"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
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
	from netip.AddrPort
	to   backend.Local
	size int
}

// give copies a datagram for the loop. It reports whether there was room, and
// whether the loop must be woken: once for each burst.
func (h *handover) give(from netip.AddrPort, to backend.Local, b []byte) (ok, wake bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := &h.groups[h.group(from.Addr())]
	w := &h.waits
	if len(w.list) >= maxHanded || len(w.bytes)+len(b) > maxHandedBytes || *g >= maxHandedShare {
		return false, false
	}
	*g++
	w.list = append(w.list, handed{from, to, len(b)})
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

// handTo gives a datagram to the loop that owns its link.
func (l *Loop) handTo(owner *Loop, from netip.AddrPort, b []byte) {
	ok, wake := owner.handover.give(from, l.asked, b)
	if !ok {
		l.stats.handoverFull.Add(1)
		return
	}
	l.stats.handedOver.Add(1)
	if wake {
		owner.queue.Wake()
	}
}

// takeHanded reads what other loops have given.
func (l *Loop) takeHanded() {
	batch := l.handover.take()
	b := batch.bytes
	for _, d := range batch.list {
		l.asked = d.to
		l.ownDatagram(d.from, b[:d.size:d.size])
		b = b[d.size:]
	}
}
