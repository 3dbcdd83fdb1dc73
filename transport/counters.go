// SPDX-License-Identifier: MIT

package transport

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// loopStats are one loop's counters. The plain ones are the loop's own and
// published at the end of a batch; the others are rare enough to be atomic.
type loopStats struct {
	wakeUps, tasks, packets, datagramsIn, blocked uint64
	busy                                          time.Duration

	public publicStats

	backend.Counters // what is counted below

	short, unknown, malformed, large, amplificationLimited      atomic.Uint64
	protocol, panics, overBudget, evicted                       atomic.Uint64
	requests, origins, proxies, openingTimeouts, evictedPending atomic.Uint64
	tlsRefused                                                  atomic.Uint64
	forged, replayed, handoverFull, handedOver                  atomic.Uint64
	challenges, migrated, mtuProbes                             atomic.Uint64

	handshakes handshakeCounts
}

// publicStats are the loop's own counters as others may read them.
type publicStats struct {
	wakeUps, tasks, packets, datagramsIn, datagramsOut, blocked, retransmits, repeats atomic.Uint64
	busy, late                                                                        atomic.Uint64 // nanoseconds
}

// show makes v visible. It does not write what is there already.
func show(to *atomic.Uint64, v uint64) {
	if to.Load() != v {
		to.Store(v)
	}
}

// handshakeCounts shows what a loop's responder counted. Guarded by mu, except
// for last.
type handshakeCounts struct {
	last  seal.Counts // the loop's own
	mu    sync.Mutex
	shown seal.Counts
}

func (h *handshakeCounts) publish(c seal.Counts) {
	if h.last == c {
		return
	}
	h.last = c
	h.mu.Lock()
	h.shown = c
	h.mu.Unlock()
}

func (h *handshakeCounts) addTo(to *seal.Counts) {
	h.mu.Lock()
	defer h.mu.Unlock()
	to.Add(h.shown)
}

// carrierCount counts the links of a carrier over all loops.
type carrierCount struct {
	open                                 atomic.Int64
	opened, tooManyLinks, addressLimited atomic.Uint64
}
