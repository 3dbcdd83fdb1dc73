// SPDX-License-Identifier: MIT

package framework

import (
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// Stats counts what happened since the start. Where nothing happened yet, a
// map lacks the name.
type Stats struct {
	Sessions int              `json:"sessions"` // that live
	Attached map[string]int64 `json:"attached"` // of them, by the carrier of their link
	Detached int64            `json:"detached"` // of them, without a link
	Logins   int              `json:"logins"`   // that are being authenticated
	// StrayLogins are those of them whose hook goes on after Config.AuthTimeout.
	StrayLogins int `json:"stray_logins"`

	Opened   uint64            `json:"opened"`
	Arrived  uint64            `json:"arrived"`  // sessions from other servers
	Reopened uint64            `json:"reopened"` // those of them whose server was dead: see Config.Reopen
	Resumed  uint64            `json:"resumed"`
	Resets   uint64            `json:"resets"`
	Ended    uint64            `json:"ended"`
	Refused  uint64            `json:"refused"`  // HELLO and RESUME, all together
	Refusal  map[string]uint64 `json:"refusals"` // and by code
	Full     map[string]uint64 `json:"full"`     // those with BUSY: sessions, logins, draining, maintenance, undecided, later, address, user
	Closes   map[string]uint64 `json:"closes"`   // sessions that ended, by code
	Lost     map[string]uint64 `json:"lost"`     // links of sessions: closed, timeout, away, replaced, or the code they were cut with

	OpeningTimeouts uint64 `json:"opening_timeouts"` // links that asked for no session in time
	ProtocolErrors  uint64 `json:"protocol_errors"`  // packets that no correct client sends
	Overloads       uint64 `json:"overloads"`        // links cut because the peer ignored HOLD
	Overflows       uint64 `json:"overflows"`        // outgoing buffers that were dropped
	OverBudget      uint64 `json:"over_budget"`      // those of the overflows that Config.BufferBytes caused
	Buffered        int64  `json:"buffered_bytes"`   // of Config.BufferBytes, with up to 128 KiB a loop that it keeps ready
	Dropped         uint64 `json:"dropped"`          // messages dropped from what waited for a player, see Delivery
	NoRoute         uint64 `json:"no_route"`
	NotJoined       uint64 `json:"not_joined"`   // messages and requests to a room that the player is in no seat of
	Busy            uint64 `json:"busy"`         // requests that met no free worker
	RateLimited     uint64 `json:"rate_limited"` // requests refused and datagrams dropped because of Config.Rate
	Throttled       uint64 `json:"throttled"`    // times that a player's messages had to wait for what they made the server send
	TooLarge        uint64 `json:"too_large"`    // messages and requests larger than their route takes, see Route.Max
	Panics          uint64 `json:"panics"`
	AdminRefused    uint64 `json:"admin_refused"` // requests for admin pages, as with a wrong token
	InlineLate      uint64 `json:"inline_late"`   // Inline handlers that kept their loop too long

	// Stuck counts the calls of the game's code that have not returned for long: in
	// an Inline handler ("loop") or a room ("room") for 1 s, else ("worker") for 10 s.
	Stuck map[string]int64 `json:"stuck"`

	// Of each player with a link, now and then: at least once a timeout.
	RTT    transport.HistogramStats `json:"rtt_ns"`
	Queued transport.HistogramStats `json:"queued_packets"` // sent and not acknowledged

	Workers   WorkerStats          `json:"workers"`
	Rooms     map[string]RoomStats `json:"rooms"`             // by type
	Parts     map[string]PartStats `json:"parts"`             // by name: see Server.AddStats
	Cluster   *ClusterStats        `json:"cluster,omitempty"` // nil without Config.Cluster
	Transport transport.Stats      `json:"transport"`
}

// WorkerStats tells how busy the goroutines are that run handlers.
type WorkerStats struct {
	Busy    int `json:"busy"`
	Limit   int `json:"limit"`   // Config.Workers
	Waiting int `json:"waiting"` // players with work that no worker is free for
}

// RoomStats counts the rooms of one type.
type RoomStats struct {
	Open     int    `json:"open"`
	Players  int    `json:"players"`
	Watched  int    `json:"watched"` // spectators
	Opened   uint64 `json:"opened"`
	Refused  uint64 `json:"refused"` // rooms that were not made because of Rooms.Most
	Denied   uint64 `json:"denied"`  // what clients asked of rooms of the type and were refused: to join, watch, leave, list, follow
	Evicted  uint64 `json:"evicted"` // empty rooms that ended for another's sake
	Ticks    uint64 `json:"ticks"`
	Overruns uint64 `json:"overruns"` // ticks that came more than half a step late
	Skipped  uint64 `json:"skipped"`  // steps that were left out to catch up

	HandedOver uint64 `json:"handed_over"` // rooms that went to another server with their state
	Restored   uint64 `json:"restored"`    // rooms that came from another server with their state
	StateLost  uint64 `json:"state_lost"`  // rooms whose state was lost on the way: the log says why
	Drained    uint64 `json:"drained"`     // rooms that Shutdown has ended though they had members, or kept their state
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	c := &s.count
	st := Stats{
		Attached: map[string]int64{},
		Opened:   c.opened.Load(), Arrived: c.arrived.Load(), Reopened: c.reopened.Load(), Resumed: c.resumed.Load(), Resets: c.resets.Load(), Ended: c.ended.Load(),
		Refusal: c.refusals.named(map[string]uint64{}), Full: map[string]uint64{},
		Closes: c.closes.named(map[string]uint64{}), Lost: c.cuts.named(map[string]uint64{}),
		OpeningTimeouts: c.openingTimeouts.Load(), ProtocolErrors: c.protocolErrors.Load(), Overloads: c.overloads.Load(), Overflows: c.overflows.Load(),
		OverBudget: c.overBudget.Load(), Buffered: s.budget.Used(), Dropped: c.dropped.Load(),
		NoRoute: c.noRoute.Load(), NotJoined: c.notJoined.Load(), Busy: c.busy.Load(), RateLimited: c.rateLimited.Load(), Throttled: c.throttled.Load(), TooLarge: c.tooLarge.Load(), Panics: c.panics.Load(), AdminRefused: c.adminRefused.Load(), InlineLate: c.inlineLate.Load(),
		Workers: s.pool.stats(), Rooms: map[string]RoomStats{},
	}
	st.Stuck = s.watch.Stuck()
	delete(st.Lost, CodeName(session.LinkLost)) // a client that went to the background is counted as away
	for i := range c.lost {
		if n := c.lost[i].Load(); n > 0 {
			st.Lost[lossNames[i]] = n
		}
	}
	for i := range c.full {
		if n := c.full[i].Load(); n > 0 {
			st.Full[fullNames[i]] = n
		}
	}
	for _, n := range st.Refusal {
		st.Refused += n
	}
	s.mu.Lock()
	st.Sessions, st.Logins, st.StrayLogins = s.table.Len(), len(s.logins), s.authSlots.Strays()
	loops := s.loops
	s.mu.Unlock()
	st.Detached = int64(st.Sessions)
	for i := range c.attached {
		// One that is just changing links may be counted twice or not at all.
		if n := c.attached[i].Load(); n != 0 {
			st.Attached[transport.Carrier(i).String()] = n
			st.Detached -= n
		}
	}
	st.Detached = max(st.Detached, 0)
	for _, l := range loops {
		st.RTT.Add(l.seen.rtt.Stats())
		st.Queued.Add(l.seen.queued.Stats())
	}
	for name, k := range s.kinds {
		st.Rooms[name] = k.stats()
	}
	for name, read := range s.parts {
		if st.Parts == nil {
			st.Parts = map[string]PartStats{}
		}
		_ = s.ask("stats of "+name, func() error { // one that panics is left out
			st.Parts[name] = read()
			return nil
		})
	}
	if s.cfg.Cluster != nil {
		c := s.cfg.Cluster.Stats()
		st.Cluster = &c
	}
	if t := s.t.Load(); t != nil {
		st.Transport = t.Stats()
	}
	return st
}

func (w *workers) stats() WorkerStats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return WorkerStats{Busy: w.busy, Limit: w.most, Waiting: len(w.ready) + w.waiting}
}

func (k *roomKind) stats() RoomStats {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := k.plan.Counts()
	st := RoomStats{Open: k.plan.Len(), Opened: n.Opened, Refused: n.Refused, Denied: k.joinsRefused.Load(), Evicted: n.Evicted, Ticks: k.ticks.Load(), Overruns: k.overruns.Load(), Skipped: k.skipped.Load(), HandedOver: k.handedOver.Load(), Restored: k.restored.Load(), StateLost: k.stateLost.Load(), Drained: k.drained.Load()}
	for at := range k.plan.All() {
		st.Players += at.Taken()
		st.Watched += at.Watched()
	}
	return st
}
