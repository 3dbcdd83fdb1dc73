// SPDX-License-Identifier: MIT

package metrics

import (
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// stats is what a scrape reads.
type stats = framework.Stats

// family is a metric: name and help as Prometheus shows them, its kind, its
// labels, and how its values are read. Exactly one of values and histograms is
// set. To add a metric, add a line to families.
type family struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	values     func(st *stats, set setValue)
	histograms func(st *stats, set setHistogram)
}

// setValue exports one value with its labels.
type setValue func(v float64, labels ...string)

// setHistogram exports one histogram with its labels, in units of unit: 1e-9 for
// nanoseconds in seconds.
type setHistogram func(h transport.HistogramStats, unit float64, labels ...string)

// counter is a family with one value, which only rises.
func counter(name, help string, value func(st *stats) uint64) family {
	return counters(name, help, nil, func(st *stats, set setValue) { set(float64(value(st))) })
}

// counters is a family with a value for each combination of labels.
func counters(name, help string, labels []string, values func(st *stats, set setValue)) family {
	return family{name: name, help: help, kind: prometheus.CounterValue, labels: labels, values: values}
}

// gauge is a family with one value, which rises and falls.
func gauge(name, help string, value func(st *stats) float64) family {
	return gauges(name, help, nil, func(st *stats, set setValue) { set(value(st)) })
}

// gauges is a family with a value for each combination of labels.
func gauges(name, help string, labels []string, values func(st *stats, set setValue)) family {
	return family{name: name, help: help, kind: prometheus.GaugeValue, labels: labels, values: values}
}

func histogram(name, help string, labels []string, values func(st *stats, set setHistogram)) family {
	return family{name: name, help: help, labels: labels, histograms: values}
}

// perLayer is a counter that the session layer and the transport both have.
func perLayer(name, help string, session, transport func(st *stats) uint64) family {
	return counters(name, help, []string{"layer"}, func(st *stats, set setValue) {
		set(float64(session(st)), "session")
		set(float64(transport(st)), "transport")
	})
}

// perName is a counter of what has a name in a map of Stats. What has not
// happened yet counts as 0, or its first time would not be seen to rise.
func perName(name, help, label string, counts func(st *stats) map[string]uint64, always ...string) family {
	return counters(name, help, []string{label}, func(st *stats, set setValue) { setNamed(set, counts(st), always) })
}

func setNamed(set setValue, counts map[string]uint64, always []string) {
	for _, key := range always {
		if _, ok := counts[key]; !ok {
			set(0, key)
		}
	}
	setEach(set, counts)
}

// setEach exports what is counted, by what it is counted by.
func setEach[N int64 | uint64](set setValue, counts map[string]N) {
	for key, n := range counts {
		set(float64(n), key)
	}
}

// perRoom is a counter of each type of room.
func perRoom(name, help string, value func(r framework.RoomStats) uint64) family {
	return counters(name, help, []string{"type"}, ofRooms(func(r framework.RoomStats) float64 { return float64(value(r)) }))
}

func ofRooms(value func(r framework.RoomStats) float64) func(st *stats, set setValue) {
	return func(st *stats, set setValue) {
		for kind, r := range st.Rooms {
			set(value(r), kind)
		}
	}
}

func perLoop(name, help string, value func(l transport.LoopStats) float64) family {
	return counters(name, help, []string{"loop"}, func(st *stats, set setValue) {
		for i, l := range st.Transport.Loops {
			set(value(l), strconv.Itoa(i))
		}
	})
}

// What may come as a refusal, at the end of a session, and at that of a link.
var (
	refusing = names(session.Busy, session.Moved, session.Unsealed, session.Unknown, session.Gone, session.Stale, session.Inconsistent, session.Kicked, session.Banned, session.TakenOver, session.Version, session.Policy, session.Denied, session.AlreadyIn, session.Outdated)
	closing  = names(session.ShuttingDown, session.Moved, session.Expired, session.Overflow, session.TooOld, session.Left, session.Internal, session.Inconsistent, session.Kicked, session.Banned, session.TakenOver, session.Policy)
	cutting  = names(session.Protocol, session.Gap, session.SlowReader, session.Overloaded)
)

func names(codes ...session.Code) (list []string) {
	for _, code := range codes {
		list = append(list, framework.CodeName(code))
	}
	return list
}

var families = slices.Concat(sessionFamilies, messageFamilies, roomFamilies, partFamilies, clusterFamilies, linkFamilies, transportFamilies, loopFamilies)

var sessionFamilies = []family{
	gauges("lifeline_sessions", "Sessions that live, by state and by the carrier of their link.", []string{"state", "carrier"}, func(st *stats, set setValue) {
		for carrier := range st.Transport.Carriers {
			set(float64(st.Attached[carrier]), "attached", carrier)
		}
		set(float64(st.Detached), "detached", "none")
	}),
	gauge("lifeline_logins_pending", "Logins that are being authenticated.", func(st *stats) float64 { return float64(st.Logins) }),
	gauge("lifeline_logins_stray", "Logins whose hook goes on after its time.", func(st *stats) float64 { return float64(st.StrayLogins) }),
	counter("lifeline_sessions_opened_total", "Sessions opened.", func(st *stats) uint64 { return st.Opened }),
	counter("lifeline_sessions_arrived_total", "Sessions that came from other servers.", func(st *stats) uint64 { return st.Arrived }),
	counter("lifeline_sessions_reopened_total", "Those of them whose server was dead.", func(st *stats) uint64 { return st.Reopened }),
	counter("lifeline_resumes_total", "Sessions carried on by another link.", func(st *stats) uint64 { return st.Resumed }),
	counter("lifeline_resets_total", "Of the resumes, those whose messages were dropped: the game had to send a snapshot.", func(st *stats) uint64 { return st.Resets }),
	perName("lifeline_refusals_total", "HELLO and RESUME refused, by the code that was answered; game: the codes of the game.", "code",
		func(st *stats) map[string]uint64 { return st.Refusal }, append(refusing, "game")...),
	perName("lifeline_logins_turned_away_total", "Logins answered BUSY, by what was full.", "full",
		func(st *stats) map[string]uint64 { return st.Full }, "sessions", "logins", "draining", "maintenance", "undecided", "later", "address", "user"),
	perName("lifeline_sessions_closed_total", "Sessions that ended, by code; game: the codes of the game.", "code",
		func(st *stats) map[string]uint64 { return st.Closes }, append(closing, "game")...),
	perName("lifeline_links_lost_total", "Links of sessions that were lost, by reason: closed, timeout, away (client in the background), replaced (by a newer link), or the code they were cut with.", "reason",
		func(st *stats) map[string]uint64 { return st.Lost }, append(cutting, "closed", "timeout", "away", "replaced")...),
	perLayer("lifeline_opening_timeouts_total", "Links that opened no session in time, and connections that became no link.",
		func(st *stats) uint64 { return st.OpeningTimeouts }, func(st *stats) uint64 { return st.Transport.OpeningTimeouts }),
	perLayer("lifeline_protocol_errors_total", "Links or sessions that carried what no correct client sends.",
		func(st *stats) uint64 { return st.ProtocolErrors }, func(st *stats) uint64 { return st.Transport.ProtocolErrors }),
	perLayer("lifeline_panics_total", "Panics: of the game's code, and in the serving of one link.",
		func(st *stats) uint64 { return st.Panics }, func(st *stats) uint64 { return st.Transport.Panics }),
	counter("lifeline_admin_refused_total", "Requests for admin pages that were refused, as with a wrong token.", func(st *stats) uint64 { return st.AdminRefused }),
	histogram("lifeline_rtt_seconds", "Round trip of players with a link, sampled at least once a timeout.", nil, func(st *stats, set setHistogram) { set(st.RTT, 1e-9) }),
}

var messageFamilies = []family{
	counter("lifeline_overloads_total", "Links cut because the client went on although it was held.", func(st *stats) uint64 { return st.Overloads }),
	counter("lifeline_overflows_total", "Outgoing buffers dropped because the player did not read.", func(st *stats) uint64 { return st.Overflows }),
	counter("lifeline_over_budget_total", "Of the overflows, those that Config.BufferBytes caused.", func(st *stats) uint64 { return st.OverBudget }),
	gauge("lifeline_buffered_bytes", "What waits for all players, of Config.BufferBytes.", func(st *stats) float64 { return float64(st.Buffered) }),
	counter("lifeline_messages_dropped_total", "Messages dropped from what waited for a player, as their route's Delivery allows.", func(st *stats) uint64 { return st.Dropped }),
	counter("lifeline_requests_without_route_total", "Requests and messages that no handler takes.", func(st *stats) uint64 { return st.NoRoute }),
	counter("lifeline_requests_not_joined_total", "Requests and messages to a room from players that are no members of one.", func(st *stats) uint64 { return st.NotJoined }),
	counter("lifeline_requests_busy_total", "Requests answered BUSY because every worker was busy.", func(st *stats) uint64 { return st.Busy }),
	counter("lifeline_rate_limited_total", "Requests refused and datagrams dropped of players that sent more than Config.Rate.", func(st *stats) uint64 { return st.RateLimited }),
	counter("lifeline_throttled_total", "Times that a player's messages had to wait for what they made the server send to others.", func(st *stats) uint64 { return st.Throttled }),
	counter("lifeline_too_large_total", "Messages and requests larger than their route takes.", func(st *stats) uint64 { return st.TooLarge }),
	counter("lifeline_inline_late_total", "Inline handlers that kept their loop too long.", func(st *stats) uint64 { return st.InlineLate }),
	gauges("lifeline_stuck", "Calls of the game's code that have not returned for long: of Inline handlers (loop) and in rooms for 1 s, on workers for 10 s.", []string{"where"}, func(st *stats, set setValue) { setEach(set, st.Stuck) }),
	histogram("lifeline_queued_packets", "Packets sent to a player and not acknowledged, sampled at least once a timeout.", nil, func(st *stats, set setHistogram) { set(st.Queued, 1) }),
	gauge("lifeline_workers_busy", "Goroutines that run handlers.", func(st *stats) float64 { return float64(st.Workers.Busy) }),
	gauge("lifeline_workers_limit", "How many of them there may be.", func(st *stats) float64 { return float64(st.Workers.Limit) }),
	gauge("lifeline_players_waiting", "Players with work that no worker is free for.", func(st *stats) float64 { return float64(st.Workers.Waiting) }),
}

var roomFamilies = []family{
	gauges("lifeline_rooms", "Rooms that are open, by type.", []string{"type"}, ofRooms(func(r framework.RoomStats) float64 { return float64(r.Open) })),
	gauges("lifeline_room_players", "Players in rooms, by the room's type.", []string{"type"}, ofRooms(func(r framework.RoomStats) float64 { return float64(r.Players) })),
	gauges("lifeline_room_spectators", "Spectators of rooms, by the room's type.", []string{"type"}, ofRooms(func(r framework.RoomStats) float64 { return float64(r.Watched) })),
	perRoom("lifeline_rooms_opened_total", "Rooms ever opened, by type.", func(r framework.RoomStats) uint64 { return r.Opened }),
	perRoom("lifeline_rooms_refused_total", "Rooms that were not made because there were as many as there may be, by type.", func(r framework.RoomStats) uint64 { return r.Refused }),
	perRoom("lifeline_room_joins_denied_total", "What clients asked of rooms and were refused: to join, watch, leave, list or follow, by type.", func(r framework.RoomStats) uint64 { return r.Denied }),
	perRoom("lifeline_rooms_evicted_total", "Empty rooms that ended before their time because another needed the place, by type.", func(r framework.RoomStats) uint64 { return r.Evicted }),
	perRoom("lifeline_room_ticks_total", "Ticks of rooms, by type.", func(r framework.RoomStats) uint64 { return r.Ticks }),
	perRoom("lifeline_room_tick_overruns_total", "Ticks that came more than half a step late.", func(r framework.RoomStats) uint64 { return r.Overruns }),
	perRoom("lifeline_room_ticks_skipped_total", "Steps that rooms skipped to catch up.", func(r framework.RoomStats) uint64 { return r.Skipped }),
	perRoom("lifeline_rooms_handed_over_total", "Rooms that went to another server with their state, by type.", func(r framework.RoomStats) uint64 { return r.HandedOver }),
	perRoom("lifeline_rooms_restored_total", "Rooms that came from another server with their state, by type.", func(r framework.RoomStats) uint64 { return r.Restored }),
	perRoom("lifeline_rooms_drained_total", "Rooms that a shutdown has ended though they had members, or kept their state, by type.", func(r framework.RoomStats) uint64 { return r.Drained }),
	perRoom("lifeline_rooms_state_lost_total", "Rooms that should have gone to another server with their state, which was lost, by type.", func(r framework.RoomStats) uint64 { return r.StateLost }),
}

var partFamilies = []family{
	gauges("lifeline_part", "What is at present, in parts of the server beside its core: matchmaking, presence.", []string{"part", "name"}, func(st *stats, set setValue) {
		for part, s := range st.Parts {
			for name, n := range s.Now {
				set(float64(n), part, name)
			}
		}
	}),
	counters("lifeline_part_total", "What has happened in these parts.", []string{"part", "name"}, func(st *stats, set setValue) {
		for part, s := range st.Parts {
			for name, n := range s.Total {
				set(float64(n), part, name)
			}
		}
	}),
}

// ofCluster reads the values of a server that is one of many. Another one has none.
func ofCluster(read func(c *framework.ClusterStats, set setValue)) func(st *stats, set setValue) {
	return func(st *stats, set setValue) {
		if st.Cluster != nil {
			read(st.Cluster, set)
		}
	}
}

// perResult is a counter of a cluster, by what something came to or was for. What is always there
// begins at 0: an alarm on what rises would not see the first one else.
func perResult(name, help, label string, counts func(c *framework.ClusterStats) map[string]uint64, always ...string) family {
	return counters(name, help, []string{label}, ofCluster(func(c *framework.ClusterStats, set setValue) { setNamed(set, counts(c), always) }))
}

// clusterValue is a family with one value.
func clusterValue(name, help string, kind prometheus.ValueType, value func(c *framework.ClusterStats) float64) family {
	return family{name: name, help: help, kind: kind, values: ofCluster(func(c *framework.ClusterStats, set setValue) { set(value(c)) })}
}

var clusterFamilies = []family{
	gauges("lifeline_cluster_servers", "Servers that live, as far as this one knows, itself too, by state.", []string{"state"}, ofCluster(func(c *framework.ClusterStats, set setValue) { setEach(set, c.Servers) })),
	gauges("lifeline_cluster_sessions", "Sessions of this server in the directory, by state: arriving, held, ending, parking.", []string{"state"}, ofCluster(func(c *framework.ClusterStats, set setValue) { setEach(set, c.Sessions) })),
	clusterValue("lifeline_cluster_lease_left_seconds", "How long the server may act without another renewal of its lease; 0 while it is paused.", prometheus.GaugeValue, func(c *framework.ClusterStats) float64 { return c.LeaseLeft.Seconds() }),
	clusterValue("lifeline_cluster_declared_dead", "1 once the others have declared this server dead: restart it.", prometheus.GaugeValue, func(c *framework.ClusterStats) float64 { return float64(c.Declared) }),
	clusterValue("lifeline_cluster_silence_seconds", "Of the other servers, how long ago the last renewal of the quietest was seen.", prometheus.GaugeValue, func(c *framework.ClusterStats) float64 { return c.Silence.Seconds() }),
	clusterValue("lifeline_cluster_renewals_total", "Renewals of the lease.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.Renewals) }),
	clusterValue("lifeline_cluster_renewals_failed_total", "Reads and writes of the lease that had no answer, or a conflict.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.RenewalsFailed) }),
	clusterValue("lifeline_cluster_pauses_total", "Times that the lease ran out and the server paused.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.Pauses) }),
	clusterValue("lifeline_cluster_paused_seconds_total", "How long the server was paused, all together.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return c.Paused.Seconds() }),
	perResult("lifeline_cluster_claims_total", "Logins that claimed their session in the directory, by what they came to.", "result", func(c *framework.ClusterStats) map[string]uint64 { return c.Claims }, "granted", "already_in", "busy", "fenced", "failed"),
	perResult("lifeline_cluster_finds_total", "Resumes of sessions that were not here, by what they came to.", "result", func(c *framework.ClusterStats) map[string]uint64 { return c.Finds }, "taken", "redirect", "missing", "superseded", "mine", "busy", "failed"),
	perResult("lifeline_cluster_parks_total", "Sessions given to the other servers, by what it came to.", "result", func(c *framework.ClusterStats) map[string]uint64 { return c.Parks }, "parked", "fenced", "busy", "failed"),
	perResult("lifeline_cluster_asked_total", "Questions of other servers about sessions, by what was done.", "result", func(c *framework.ClusterStats) map[string]uint64 { return c.Asked }, "evicted", "parked", "given_back", "here", "waiting"),
	histogram("lifeline_cluster_directory_seconds", "How long requests to the directory and to other servers took: get, put, ask.", []string{"op"}, func(st *stats, set setHistogram) {
		if st.Cluster != nil {
			for op, h := range st.Cluster.Directory {
				set(h, 1e-9, op)
			}
		}
	}),
	perResult("lifeline_cluster_directory_failures_total", "Of these requests, those without an answer in time.", "op", func(c *framework.ClusterStats) map[string]uint64 { return c.Failures }),
	clusterValue("lifeline_cluster_conflicts_total", "Writes to the directory that another server was faster with.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.Conflicts) }),
	clusterValue("lifeline_cluster_blind_total", "Times that the watch of the directory was interrupted.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.Blind) }),
	clusterValue("lifeline_cluster_deaths_total", "Other servers that this one declared dead.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.Deaths) }),
	gauges("lifeline_cluster_rooms", "Rooms of this server in the directory, by state: opening, open, closing, moving.", []string{"state"}, ofCluster(func(c *framework.ClusterStats, set setValue) { setEach(set, c.Rooms) })),
	clusterValue("lifeline_cluster_room_seats", "Seats that are kept here for players on their way from other servers.", prometheus.GaugeValue, func(c *framework.ClusterStats) float64 { return float64(c.RoomSeats) }),
	perResult("lifeline_cluster_room_finds_total", "Searches for rooms that were not open here, by what they came to.", "result", func(c *framework.ClusterStats) map[string]uint64 { return c.RoomFinds }, "here", "elsewhere", "refused", "busy", "failed"),
	perResult("lifeline_cluster_room_asked_total", "Questions of other servers for a room, by the answer.", "answer", func(c *framework.ClusterStats) map[string]uint64 { return c.RoomAsked }, "seated", "refused", "working", "not_here"),
	perResult("lifeline_cluster_room_lists_total", "Questions to other servers for their lists of rooms, by the answer.", "answer", func(c *framework.ClusterStats) map[string]uint64 { return c.RoomLists }, "told", "silent"),
	clusterValue("lifeline_cluster_message_bytes", "Of messages to users of other servers that are on their way, with 128 for each.", prometheus.GaugeValue, func(c *framework.ClusterStats) float64 { return float64(c.Messages.QueuedBytes) }),
	clusterValue("lifeline_cluster_messages_sent_total", "Messages to users of other servers, and answers of clients to them, that were taken.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.Messages.Sent) }),
	counters("lifeline_cluster_messages_ended_total", "How these messages ended: handed over to a session, or with an error that the game was told.", []string{"result"}, ofCluster(func(c *framework.ClusterStats, set setValue) {
		set(float64(c.Messages.HandedOver), "handed_over")
		set(float64(c.Messages.Offline), "offline")
		set(float64(c.Messages.Unreachable), "unreachable")
		set(float64(c.Messages.Unknown), "unknown")
		set(float64(c.Messages.Refused), "refused")
	})),
	clusterValue("lifeline_cluster_messages_backpressure_total", "Messages that were not taken because too many wait.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.Messages.Backpressure) }),
	clusterValue("lifeline_cluster_messages_moved_total", "Messages that met no session where they came to, and went on to another server.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.Messages.Moved) }),
	clusterValue("lifeline_cluster_messages_received_total", "Messages of other servers that were handed over here.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.Messages.Received) }),
	clusterValue("lifeline_cluster_batches_repeated_total", "Batches of messages that came twice, and were handed over once.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.Messages.Repeated) }),
	clusterValue("lifeline_cluster_batches_unanswered_total", "Tries to send a batch of messages that got no answer in time.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.Messages.Unanswered) }),
	clusterValue("lifeline_cluster_requests_waiting", "Requests of other servers that wait for the answers of their clients.", prometheus.GaugeValue, func(c *framework.ClusterStats) float64 { return float64(c.Messages.Requests) }),
	clusterValue("lifeline_cluster_broadcasts_missed_total", "Broadcasts of other servers that did not get here.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.Missed) }),
	clusterValue("lifeline_cluster_broadcast_bytes", "Of broadcasts to other servers that wait for the bus, with 128 for each.", prometheus.GaugeValue, func(c *framework.ClusterStats) float64 { return float64(c.Broadcasts.QueuedBytes) }),
	clusterValue("lifeline_cluster_broadcast_subjects", "Subjects of groups that this server hears, of 1,024.", prometheus.GaugeValue, func(c *framework.ClusterStats) float64 { return float64(c.Broadcasts.Subjects) }),
	clusterValue("lifeline_cluster_broadcasts_sent_total", "Broadcasts to other servers, each once however many there are.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.Broadcasts.Sent) }),
	counters("lifeline_cluster_broadcasts_arrived_total", "Broadcasts of other servers: received for players here, unwanted as none here has the tag, late and left out.", []string{"result"}, ofCluster(func(c *framework.ClusterStats, set setValue) {
		set(float64(c.Broadcasts.Received), "received")
		set(float64(c.Broadcasts.Unwanted), "unwanted")
		set(float64(c.Broadcasts.Late), "late")
	})),
	clusterValue("lifeline_cluster_broadcasts_backpressure_total", "Broadcasts that were not taken because too many wait.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.Broadcasts.Backpressure) }),
	clusterValue("lifeline_cluster_broadcasts_failed_total", "Broadcasts that the bus did not take.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.Broadcasts.Failed) }),
	clusterValue("lifeline_cluster_calls_running", "Handlers of calls of other servers that run.", prometheus.GaugeValue, func(c *framework.ClusterStats) float64 { return float64(c.Calls.Running) }),
	clusterValue("lifeline_cluster_calls_made_total", "Calls of this server to others.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.Calls.Made) }),
	clusterValue("lifeline_cluster_calls_unanswered_total", "Of these calls, those that had no answer in time and may have been served.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.Calls.Unanswered) }),
	clusterValue("lifeline_cluster_calls_served_total", "Calls that this server has served.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.Calls.Served) }),
	clusterValue("lifeline_cluster_calls_failed_total", "Of these calls, those that ended with an error.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.Calls.Failed) }),
	clusterValue("lifeline_cluster_calls_refused_total", "Calls that came here and were not served.", prometheus.CounterValue, func(c *framework.ClusterStats) float64 { return float64(c.Calls.Refused) }),
	clusterValue("lifeline_cluster_bans", "Bans that are known here.", prometheus.GaugeValue, func(c *framework.ClusterStats) float64 { return float64(c.Messages.Bans) }),
}

var linkFamilies = []family{
	gauges("lifeline_links", "Links that live, by carrier, with those that carry no session yet.", []string{"carrier"}, func(st *stats, set setValue) {
		for name, c := range st.Transport.Carriers {
			set(float64(c.Open), name)
		}
	}),
	counters("lifeline_links_opened_total", "Links ever opened, by carrier.", []string{"carrier"}, func(st *stats, set setValue) {
		for name, c := range st.Transport.Carriers {
			set(float64(c.Opened), name)
		}
	}),
	counters("lifeline_links_refused_total", "Links refused, by carrier and reason: too_many_links (MaxLinks, MaxPlainLinks, open files), or address_limited (LinksPerAddress, OpensPerAddress, MaxPlainPerAddress).", []string{"carrier", "reason"}, func(st *stats, set setValue) {
		for name, c := range st.Transport.Carriers {
			set(float64(c.TooManyLinks), name, "too_many_links")
			set(float64(c.AddressLimited), name, "address_limited")
		}
	}),
	counter("lifeline_packets_received_total", "Packets received on links.", func(st *stats) uint64 { return st.Transport.PacketsIn }),
	counter("lifeline_datagrams_received_total", "Datagrams received.", func(st *stats) uint64 { return st.Transport.DatagramsIn }),
	counter("lifeline_datagrams_sent_total", "Datagrams sent.", func(st *stats) uint64 { return st.Transport.DatagramsOut }),
	counters("lifeline_datagrams_dropped_total", "Datagrams that came in and went nowhere, by fate.", []string{"fate"}, func(st *stats, set setValue) {
		t := &st.Transport
		set(float64(t.DroppedShort), "short")
		set(float64(t.DroppedUnknown), "unknown")
		set(float64(t.DroppedMalformed), "malformed")
		set(float64(t.DroppedLarge), "large")
		set(float64(t.DroppedForged), "forged")
		set(float64(t.DroppedReplayed), "replayed")
		set(float64(t.DroppedHandover), "handover")
	}),
	counters("lifeline_handshakes_total", "Sealed links: what became of hellos and of half-open links; rate_limited: more than OpensPerAddress, under load; resets: datagrams of unknown links that were answered so.", []string{"outcome"}, handshakes),
	counter("lifeline_kcp_retransmits_total", "Segments that KCP sent again.", func(st *stats) uint64 { return st.Transport.Retransmits }),
	counter("lifeline_kcp_repeats_total", "Segments that travelled again with others on paths that lose, in case they were lost.", func(st *stats) uint64 { return st.Transport.Repeats }),
}

func handshakes(st *stats, set setValue) {
	h := &st.Transport.Handshakes
	set(float64(h.PublicKey), "public_key")
	set(float64(h.Resumed), "resumed")
	set(float64(h.Repeated), "repeated")
	set(float64(h.Cookies), "cookies")
	set(float64(h.Expired), "expired")
	set(float64(h.Evicted), "evicted")
	set(float64(h.Confirmed), "confirmed")
	set(float64(h.Resets), "resets")
	set(float64(h.Malformed), "malformed")
	set(float64(h.WrongKey), "wrong_key")
	set(float64(h.Forged), "forged")
	set(float64(h.RateLimited), "rate_limited")
	set(float64(h.SessionEnded), "session_ended")
	set(float64(h.Full), "full")
}

var transportFamilies = []family{
	counter("lifeline_transport_handed_over_total", "Datagrams for a link of another loop, and given to it.", func(st *stats) uint64 { return st.Transport.HandedOver }),
	counter("lifeline_transport_amplification_limited_total", "Times that a link had to wait for input because its address is not validated.", func(st *stats) uint64 { return st.Transport.AmplificationLimited }),
	counter("lifeline_transport_send_failed_total", "Datagrams that the system refused to send.", func(st *stats) uint64 { return st.Transport.SendFailed }),
	counter("lifeline_transport_send_blocked_total", "Batches whose datagrams had to wait for the socket.", func(st *stats) uint64 { return st.Transport.SendBlocked }),
	counter("lifeline_transport_many_locals_total", "Datagrams that came to more than 255 addresses of this machine: the kernel chooses where the answers come from.", func(st *stats) uint64 { return st.Transport.ManyLocals }),
	counter("lifeline_transport_challenges_total", "Path challenges sent to addresses that a peer seemed to have moved to.", func(st *stats) uint64 { return st.Transport.Challenges }),
	counter("lifeline_transport_migrations_total", "Links whose peer moved to another address.", func(st *stats) uint64 { return st.Transport.Migrations }),
	counter("lifeline_transport_mtu_probes_total", "Datagrams sent to find a larger path MTU.", func(st *stats) uint64 { return st.Transport.MTUProbes }),
	gauge("lifeline_transport_arriving", "Connections that have not asked for their WebSocket, or told whose they are.", func(st *stats) float64 { return float64(st.Transport.Arriving) }),
	counter("lifeline_transport_requests_refused_total", "Connections that asked for no WebSocket of this server.", func(st *stats) uint64 { return st.Transport.RequestsRefused }),
	counter("lifeline_transport_origins_refused_total", "WebSockets asked for from a page that is not allowed to.", func(st *stats) uint64 { return st.Transport.OriginsRefused }),
	counter("lifeline_transport_tls_refused_total", "Connections that did not get through the TLS handshake.", func(st *stats) uint64 { return st.Transport.TLSRefused }),
	counter("lifeline_transport_proxies_refused_total", "Connections of a trusted proxy without a correct PROXY header.", func(st *stats) uint64 { return st.Transport.ProxiesRefused }),
	counter("lifeline_transport_connections_evicted_total", "Connections that had waited longest when too many had not become a link.", func(st *stats) uint64 { return st.Transport.ConnectionsEvicted }),
	counter("lifeline_transport_links_evicted_total", "Plain-KCP links of addresses not validated that made room for others.", func(st *stats) uint64 { return st.Transport.LinksEvicted }),
	counter("lifeline_transport_partial_over_budget_total", "Links closed because the partial frames of all took more than Config.ReceiveBytes.", func(st *stats) uint64 { return st.Transport.PartialOverBudget }),
	counter("lifeline_transport_accept_failures_total", "TCP connections closed at once to spare file descriptors, and listeners restarted.", func(st *stats) uint64 { return st.Transport.AcceptFailures }),
}

var loopFamilies = []family{
	perLoop("lifeline_loop_busy_seconds_total", "Time that a loop spent in batches: of a core that does nothing else, a second a second.", func(l transport.LoopStats) float64 { return l.Busy.Seconds() }),
	perLoop("lifeline_loop_batches_total", "Batches of a loop.", func(l transport.LoopStats) float64 { return float64(l.WakeUps) }),
	perLoop("lifeline_loop_tasks_total", "Tasks that were posted to a loop.", func(l transport.LoopStats) float64 { return float64(l.Tasks) }),
	perLoop("lifeline_loop_packets_total", "Packets that a loop received.", func(l transport.LoopStats) float64 { return float64(l.Packets) }),
	histogram("lifeline_loop_lateness_seconds", "How late a loop's timer came.", []string{"loop"}, func(st *stats, set setHistogram) {
		for i, l := range st.Transport.Loops {
			set(l.Lateness, 1e-9, strconv.Itoa(i))
		}
	}),
}
