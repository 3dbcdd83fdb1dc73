// SPDX-License-Identifier: MIT

package metrics

// family is a metric with its help, as Prometheus shows it.
type family struct {
	name, help string
	labels     []string
}

var families = []family{
	{"lifeline_sessions", "Sessions that live, by state and by the carrier of their link.", []string{"state", "carrier"}},
	{"lifeline_logins_pending", "Logins that are being authenticated.", nil},
	{"lifeline_logins_stray", "Logins whose hook goes on after its time.", nil},
	{"lifeline_sessions_opened_total", "Sessions opened.", nil},
	{"lifeline_resumes_total", "Sessions carried on by another link.", nil},
	{"lifeline_resets_total", "Of those, the ones whose messages were given up: the game had to send a snapshot.", nil},
	{"lifeline_refusals_total", "HELLO and RESUME refused, by the code that was answered.", []string{"code"}},
	{"lifeline_logins_turned_away_total", "Logins answered BUSY, by what was full.", []string{"full"}},
	{"lifeline_sessions_closed_total", "Sessions that ended, by code; game: the codes of the game.", []string{"code"}},
	{"lifeline_links_lost_total", "Links of sessions that were lost, by reason: closed, timeout, away (client in the background), replaced (by a newer link), or the code they were cut with.", []string{"reason"}},
	{"lifeline_late_openings_total", "Links that asked for no session in time.", nil},
	{"lifeline_protocol_errors_total", "Links or sessions that carried what no correct client sends.", []string{"layer"}},
	{"lifeline_admin_refused_total", "Requests for admin pages that were refused, as with a wrong token.", nil},
	{"lifeline_panics_total", "Panics: of the game's code, and in the serving of one link.", []string{"layer"}},
	{"lifeline_overloads_total", "Links cut because the client went on although it was held.", nil},
	{"lifeline_overflows_total", "Outgoing buffers given up because the player did not read.", nil},
	{"lifeline_requests_without_route_total", "Requests and messages that nobody handles.", nil},
	{"lifeline_requests_busy_total", "Requests answered BUSY because every worker was busy.", nil},
	{"lifeline_hurried_total", "Requests refused and datagrams dropped of players that sent more than Config.Rate.", nil},
	{"lifeline_slowed_total", "Times that a player's messages had to wait for what they made the server send to others.", nil},
	{"lifeline_too_large_total", "Messages and requests larger than their route takes.", nil},
	{"lifeline_crowded_total", "Of the overflows, those because Config.BufferBytes was reached.", nil},
	{"lifeline_buffered_bytes", "What waits for all players, of Config.BufferBytes.", nil},
	{"lifeline_inline_late_total", "Inline handlers that kept their loop too long.", nil},
	{"lifeline_stuck", "Calls of the game's code that have not returned for long: of Inline handlers (loop) and in rooms for 1 s, on workers for 10 s.", []string{"where"}},
	{"lifeline_rtt_seconds", "Round trip of players with a link, sampled at least once a timeout.", nil},
	{"lifeline_queued_packets", "Packets sent to a player and not acknowledged, sampled alike.", nil},
	{"lifeline_workers_busy", "Goroutines that run handlers.", nil},
	{"lifeline_workers_limit", "How many of them there may be.", nil},
	{"lifeline_workers_awaited", "Players with work that no worker is free for.", nil},
	{"lifeline_rooms", "Rooms that are open, by type.", []string{"type"}},
	{"lifeline_room_players", "Players in rooms, by the room's type.", []string{"type"}},
	{"lifeline_rooms_opened_total", "Rooms ever opened, by type.", []string{"type"}},
	{"lifeline_rooms_refused_total", "Rooms that were not made because there were as many as there may be, by type.", []string{"type"}},
	{"lifeline_rooms_evicted_total", "Empty rooms that ended before their time because another needed the place, by type.", []string{"type"}},
	{"lifeline_room_ticks_total", "Ticks of rooms, by type.", []string{"type"}},
	{"lifeline_room_tick_overruns_total", "Ticks that came more than half a step late.", []string{"type"}},
	{"lifeline_room_ticks_skipped_total", "Steps that rooms left out to catch up.", []string{"type"}},
	{"lifeline_links", "Links that live, by carrier, with those that carry no session yet.", []string{"carrier"}},
	{"lifeline_links_opened_total", "Links ever opened, by carrier.", []string{"carrier"}},
	{"lifeline_links_refused_total", "Links refused, by carrier and reason: for lack of room, or because their address had too many or opened them too fast.", []string{"carrier", "reason"}},
	{"lifeline_packets_received_total", "Packets received on links.", nil},
	{"lifeline_datagrams_received_total", "Datagrams received.", nil},
	{"lifeline_datagrams_sent_total", "Datagrams sent.", nil},
	{"lifeline_datagrams_dropped_total", "Datagrams that came in and went nowhere, by fate.", []string{"fate"}},
	{"lifeline_handshakes_total", "Sealed KCP: what became of hellos and of half-open links; resets: links of nobody that were told so.", []string{"outcome"}},
	{"lifeline_kcp_retransmits_total", "Segments that KCP sent again.", nil},
	{"lifeline_kcp_repeats_total", "Segments that travelled again with others on paths that lose, in case they were lost.", nil},
	{"lifeline_loop_busy_seconds_total", "Time that a loop spent in batches: of a core that does nothing else, a second a second.", []string{"loop"}},
	{"lifeline_loop_batches_total", "Batches of a loop.", []string{"loop"}},
	{"lifeline_loop_tasks_total", "Tasks that others posted to a loop.", []string{"loop"}},
	{"lifeline_loop_packets_total", "Packets that a loop received.", []string{"loop"}},
	{"lifeline_loop_lateness_seconds", "How late a loop's timer came.", []string{"loop"}},
}

// covered are the fields, by their JSON names, that come with labels or as sums
// of others.
var covered = map[string]bool{
	"sessions": true, "detached": true, "refused": true, "ended": true,
	"lateness_ns": true, "wake_ups": true, "tasks": true,
}

// byLayer are the fields that framework.Stats and transport.Stats both have.
var byLayer = map[string]bool{"protocol_errors": true, "panics": true}

// named are the fields whose metric has another name than theirs.
var named = map[string]string{
	"logins":        "lifeline_logins_pending",
	"stray_logins":  "lifeline_logins_stray",
	"opened":        "lifeline_sessions_opened_total",
	"resumed":       "lifeline_resumes_total",
	"no_route":      "lifeline_requests_without_route_total",
	"busy":          "lifeline_requests_busy_total",
	"packets_in":    "lifeline_packets_received_total",
	"datagrams_in":  "lifeline_datagrams_received_total",
	"datagrams_out": "lifeline_datagrams_sent_total",
	"retransmits":   "lifeline_kcp_retransmits_total",
	"repeats":       "lifeline_kcp_repeats_total",
}
