// SPDX-License-Identifier: MIT

package transport

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/transport/seal"
)

// CarrierStats counts the links of one carrier.
type CarrierStats struct {
	Open    int64  `json:"open"`    // links that live now
	Opened  uint64 `json:"opened"`  // links ever opened
	Refused uint64 `json:"refused"` // links refused for lack of room
	Crowded uint64 `json:"crowded"` // links refused because their address had too many, or opened them too fast
}

// Stats counts what happened since Start, over all loops.
type Stats struct {
	// By Carrier.String().
	Carriers map[string]CarrierStats `json:"carriers"`

	PacketsIn    uint64 `json:"packets_in"` // packets handed to OnPacket
	DatagramsIn  uint64 `json:"datagrams_in"`
	DatagramsOut uint64 `json:"datagrams_out"`

	// Datagrams that came in and went nowhere, by fate.
	DroppedShort     uint64 `json:"dropped_short"`     // too short for a KCP header
	DroppedUnknown   uint64 `json:"dropped_unknown"`   // for no link, and not an opening
	DroppedMalformed uint64 `json:"dropped_malformed"` // not KCP, or refused by the link that it named
	DroppedLarge     uint64 `json:"dropped_large"`     // longer than any datagram that is taken
	DroppedForged    uint64 `json:"dropped_forged"`    // sealed, and not by the peer of the link that it named
	DroppedReplayed  uint64 `json:"dropped_replayed"`  // sealed by the peer, and here before or too late
	DroppedHandover  uint64 `json:"dropped_handover"`  // for a link of another loop, which had too many of them
	HandedOver       uint64 `json:"handed_over"`       // for a link of another loop, and given to it
	// Datagrams that did not go out at once; KCP sends their content again.
	OverBudget  uint64 `json:"over_budget"`  // times that a link had to wait for input because its address is not validated
	SendFailed  uint64 `json:"send_failed"`  // datagrams that the system refused
	SendBlocked uint64 `json:"send_blocked"` // batches whose datagrams had to wait for the socket
	ManyLocals  uint64 `json:"many_locals"`  // datagrams that came to more than 255 addresses of this machine: the kernel chooses where the answers come from

	Handshakes seal.Counts `json:"handshakes"` // of sealed KCP
	Challenges uint64      `json:"challenges"` // sent to addresses that a peer seemed to have moved to
	Migrations uint64      `json:"migrations"` // changes of a link's address
	Probes     uint64      `json:"probes"`     // for a larger datagram

	Arriving int64 `json:"arriving"` // connections that have not asked for their WebSocket, or told whose they are
	// Those that did not become a link.
	RequestsRefused uint64 `json:"requests_refused"` // asked for no WebSocket of ours, or for nothing that we understand
	OriginsRefused  uint64 `json:"origins_refused"`  // asked from a page that is not allowed to
	ProxiesRefused  uint64 `json:"proxies_refused"`  // came from a trusted proxy, without a correct PROXY header
	OpenTimeouts    uint64 `json:"open_timeouts"`    // did not ask in time
	Crowded         uint64 `json:"crowded"`          // had waited longest when too many were waiting

	Unfinished uint64 `json:"unfinished"` // links closed because partial frames were over budget
	Evicted    uint64 `json:"evicted"`    // plain-KCP links of addresses that are not validated, evicted for others

	ProtocolErrors uint64        `json:"protocol_errors"` // links closed for what their peer sent
	Panics         uint64        `json:"panics"`          // callbacks and per-link code that panicked
	AcceptFailures uint64        `json:"accept_failures"` // TCP connections closed at once to spare file descriptors, and listeners restarted
	WakeUps        uint64        `json:"wake_ups"`        // batches
	Tasks          uint64        `json:"tasks"`           // posted tasks that ran
	Retransmits    uint64        `json:"retransmits"`     // segments that KCP sent again
	Repeats        uint64        `json:"repeats"`         // segments that KCP sent again in datagrams of others, on paths that lose, in case they were lost
	Lateness       time.Duration `json:"lateness_ns"`     // of the loop that is latest: see Loop.Lateness

	Loops []LoopStats `json:"loops"` // in the order of Index
}

// LoopStats counts what one loop did since Start.
type LoopStats struct {
	Busy    time.Duration `json:"busy_ns"` // in batches: a core that does nothing else has one second a second
	WakeUps uint64        `json:"wake_ups"`
	Tasks   uint64        `json:"tasks"`
	Packets uint64        `json:"packets"`
	// Lateness is how late the loop's timer came each time, in nanoseconds.
	Lateness HistogramStats `json:"lateness_ns"`
}

// latenessBounds are in nanoseconds. Go's own timers are up to a millisecond late.
var latenessBounds = []int64{1e6, 2e6, 5e6, 10e6, 25e6, 50e6, 100e6, 250e6, 1e9}

// loopStats are one loop's counters. The plain ones are the loop's own and
// published at the end of a batch; the others are rare enough to be atomic.
type loopStats struct {
	wakeUps, tasks, packets, datagramsIn, datagramsOut, blocked uint64
	busy                                                        time.Duration

	public [9]atomic.Uint64
	late   atomic.Int64

	short, unknown, malformed, large, amplificationLimited, sendFailed atomic.Uint64
	protocol, panics, acceptFailures, overBudget, evicted              atomic.Uint64
	requests, origins, proxies, openTimeouts, evictedPending           atomic.Uint64
	forged, replayed, handoverFull, handedOver                         atomic.Uint64
	challenges, migrated, probes, manyLocals                           atomic.Uint64

	handshakes handshakeCounts
}

// publish makes the loop's own counters visible.
func (l *Loop) publish() {
	s := &l.stats
	plain, sealed := &l.kcp[plainWire].cfg, &l.kcp[sealedWire].cfg
	for i, v := range [...]uint64{
		s.wakeUps, s.tasks, s.packets, s.datagramsIn, s.datagramsOut, s.blocked, uint64(s.busy),
		plain.Retransmits + sealed.Retransmits, plain.Repeats + sealed.Repeats,
	} {
		if s.public[i].Load() != v {
			s.public[i].Store(v)
		}
	}
	if l.sealed.responder != nil {
		s.handshakes.publish(l.sealed.responder.Counts())
	}
	if late := int64(l.Lateness()); s.late.Load() != late {
		s.late.Store(late)
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
	addCounts(to, h.shown)
}

// carrierCount counts the links of a carrier over all loops.
type carrierCount struct {
	open                     atomic.Int64
	opened, refused, crowded atomic.Uint64
}

func (c *carrierCount) stats() CarrierStats {
	return CarrierStats{Open: c.open.Load(), Opened: c.opened.Load(), Refused: c.refused.Load(), Crowded: c.crowded.Load()}
}

// Stats counts what happened since Start. Safe to call from any goroutine.
func (t *Transport) Stats() Stats {
	s := Stats{Carriers: make(map[string]CarrierStats), Arriving: t.pending.Load()}
	for c := Carrier(1); c < carriers; c++ {
		s.Carriers[c.String()] = t.admission.carriers[c].stats()
	}
	for _, l := range t.loops {
		c := &l.stats
		var busy uint64
		for i, to := range [...]*uint64{
			&s.WakeUps, &s.Tasks, &s.PacketsIn, &s.DatagramsIn, &s.DatagramsOut, &s.SendBlocked, &busy, &s.Retransmits, &s.Repeats,
		} {
			*to += c.public[i].Load()
		}
		s.Loops = append(s.Loops, LoopStats{
			Busy: time.Duration(busy), WakeUps: c.public[0].Load(), Tasks: c.public[1].Load(), Packets: c.public[2].Load(),
			Lateness: l.timers.came.Stats(),
		})
		s.DroppedShort += c.short.Load()
		s.DroppedUnknown += c.unknown.Load()
		s.DroppedMalformed += c.malformed.Load()
		s.DroppedLarge += c.large.Load()
		s.DroppedForged += c.forged.Load()
		s.DroppedReplayed += c.replayed.Load()
		s.DroppedHandover += c.handoverFull.Load()
		s.HandedOver += c.handedOver.Load()
		c.handshakes.addTo(&s.Handshakes)
		s.Challenges += c.challenges.Load()
		s.Migrations += c.migrated.Load()
		s.Probes += c.probes.Load()
		s.OverBudget += c.amplificationLimited.Load()
		s.SendFailed += c.sendFailed.Load()
		s.ManyLocals += c.manyLocals.Load()
		s.RequestsRefused += c.requests.Load()
		s.OriginsRefused += c.origins.Load()
		s.ProxiesRefused += c.proxies.Load()
		s.OpenTimeouts += c.openTimeouts.Load()
		s.Crowded += c.evictedPending.Load()
		s.Unfinished += c.overBudget.Load()
		s.Evicted += c.evicted.Load()
		s.ProtocolErrors += c.protocol.Load()
		s.Panics += c.panics.Load()
		s.AcceptFailures += c.acceptFailures.Load()
		s.Lateness = max(s.Lateness, time.Duration(c.late.Load()))
	}
	return s
}

func addCounts(to *seal.Counts, c seal.Counts) {
	to.PublicKey += c.PublicKey
	to.Resumed += c.Resumed
	to.Repeated += c.Repeated
	to.Cookies += c.Cookies
	to.Expired += c.Expired
	to.Evicted += c.Evicted
	to.Confirmed += c.Confirmed
	to.Resets += c.Resets
	to.Malformed += c.Malformed
	to.WrongKey += c.WrongKey
	to.Forged += c.Forged
	to.Limited += c.Limited
	to.Over += c.Over
	to.Full += c.Full
}
