// SPDX-License-Identifier: MIT

package transport

import (
	"time"

	"github.com/lifeline-go/lifeline/transport/seal"
)

// CarrierStats counts the links of one carrier.
type CarrierStats struct {
	Open           int64  `json:"open"`            // links that live now
	Opened         uint64 `json:"opened"`          // links ever opened
	TooManyLinks   uint64 `json:"too_many_links"`  // links refused because of MaxLinks, MaxPlainLinks or the limit of open files
	AddressLimited uint64 `json:"address_limited"` // links refused because their address had too many, or opened them too fast
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
	AmplificationLimited uint64 `json:"amplification_limited"` // times that a link had to wait for input because its address is not validated
	SendFailed           uint64 `json:"send_failed"`           // datagrams that the system refused
	SendBlocked          uint64 `json:"send_blocked"`          // batches whose datagrams had to wait for the socket
	ManyLocals           uint64 `json:"many_locals"`           // datagrams that came to more than 255 addresses of this machine: the kernel chooses where the answers come from

	Handshakes seal.Counts `json:"handshakes"` // of sealed KCP
	Challenges uint64      `json:"challenges"` // sent to addresses that a peer seemed to have moved to
	Migrations uint64      `json:"migrations"` // changes of a link's address
	MTUProbes  uint64      `json:"mtu_probes"` // sent to find a larger path MTU

	Arriving int64 `json:"arriving"` // connections that have not asked for their WebSocket, or told which player they speak for
	// Those that did not become a link.
	RequestsRefused    uint64 `json:"requests_refused"`    // asked for no WebSocket of ours, or for nothing that we understand
	OriginsRefused     uint64 `json:"origins_refused"`     // asked from a page that is not allowed to
	TLSRefused         uint64 `json:"tls_refused"`         // did not get through the TLS handshake
	ProxiesRefused     uint64 `json:"proxies_refused"`     // came from a trusted proxy, without a correct PROXY header
	OpeningTimeouts    uint64 `json:"opening_timeouts"`    // did not ask in time
	ConnectionsEvicted uint64 `json:"connections_evicted"` // had waited longest when too many were waiting

	PartialOverBudget uint64 `json:"partial_over_budget"` // links closed because the partial frames of all took more than Config.ReceiveBytes
	LinksEvicted      uint64 `json:"links_evicted"`       // plain-KCP links of addresses that are not validated, evicted for others

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

// Stats counts what happened since Start. Safe to call from any goroutine.
func (t *Transport) Stats() Stats { return t.stats() }

func (t *shared) stats() Stats {
	s := Stats{Carriers: make(map[string]CarrierStats), Arriving: t.pending.Load()}
	for c := Carrier(1); c < carriers; c++ {
		s.Carriers[c.String()] = t.admission.carriers[c].stats()
	}
	for _, l := range t.loops {
		c := &l.stats
		p := &c.public
		own := LoopStats{
			Busy: time.Duration(p.busy.Load()), WakeUps: p.wakeUps.Load(), Tasks: p.tasks.Load(), Packets: p.packets.Load(),
			Lateness: l.lateness.came.Stats(),
		}
		s.Loops = append(s.Loops, own)
		s.WakeUps += own.WakeUps
		s.Tasks += own.Tasks
		s.PacketsIn += own.Packets
		s.DatagramsIn += p.datagramsIn.Load()
		s.DatagramsOut += p.datagramsOut.Load()
		s.SendBlocked += p.blocked.Load()
		s.Retransmits += p.retransmits.Load()
		s.Repeats += p.repeats.Load()
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
		s.MTUProbes += c.mtuProbes.Load()
		s.AmplificationLimited += c.amplificationLimited.Load()
		s.SendFailed += c.SendFailed.Load()
		s.ManyLocals += c.ManyLocals.Load()
		s.RequestsRefused += c.requests.Load()
		s.OriginsRefused += c.origins.Load()
		s.TLSRefused += c.tlsRefused.Load()
		s.ProxiesRefused += c.proxies.Load()
		s.OpeningTimeouts += c.openingTimeouts.Load()
		s.ConnectionsEvicted += c.evictedPending.Load()
		s.PartialOverBudget += c.overBudget.Load()
		s.LinksEvicted += c.evicted.Load()
		s.ProtocolErrors += c.protocol.Load()
		s.Panics += c.panics.Load()
		s.AcceptFailures += c.AcceptFailures.Load()
		s.Lateness = max(s.Lateness, time.Duration(p.late.Load()))
	}
	return s
}

func (c *carrierCount) stats() CarrierStats {
	return CarrierStats{Open: c.open.Load(), Opened: c.opened.Load(), TooManyLinks: c.tooManyLinks.Load(), AddressLimited: c.addressLimited.Load()}
}
