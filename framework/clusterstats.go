// SPDX-License-Identifier: MIT

package framework

import (
	"time"

	"github.com/lifeline-go/lifeline/transport"
)

// ClusterStats counts what a server did as one of many. Where nothing happened yet, a map
// lacks the name.
type ClusterStats struct {
	Servers  map[string]int64 `json:"servers"`  // that live, as far as is known here, this one too: up, draining
	Sessions map[string]int64 `json:"sessions"` // of this server in the directory: arriving, held, ending, parking

	LeaseLeft time.Duration `json:"lease_left_ns"` // how long the lease holds without another renewal; at 0 the server is paused, or serves on without it
	Declared  int64         `json:"declared_dead"` // 1 once the others have declared this server dead
	Silence   time.Duration `json:"silence_ns"`    // of the other servers, how long ago the last renewal of the quietest was seen

	Renewals       uint64        `json:"renewals"`        // of the lease
	RenewalsFailed uint64        `json:"renewals_failed"` // reads and writes of the lease that had no answer, or a conflict
	Pauses         uint64        `json:"pauses"`          // times that the lease ran out
	Paused         time.Duration `json:"paused_ns"`       // how long it had none, all together

	Claims map[string]uint64 `json:"claims"` // logins, by what they came to: granted, already_in, busy, fenced, failed
	Finds  map[string]uint64 `json:"finds"`  // resumes of sessions that were not here: taken, redirect, missing, superseded, mine, busy, failed
	Parks  map[string]uint64 `json:"parks"`  // sessions given to the others: parked, fenced, busy, failed
	Asked  map[string]uint64 `json:"asked"`  // questions of other servers: evicted, parked, given_back, here, waiting

	Directory map[string]transport.HistogramStats `json:"directory_ns"` // how long requests took: get, put, ask
	Failures  map[string]uint64                   `json:"failures"`     // of them, those without an answer
	Conflicts uint64                              `json:"conflicts"`    // writes that another server was faster with
	Blind     uint64                              `json:"blind"`        // times that the watch of the directory was interrupted
	Deaths    uint64                              `json:"deaths"`       // servers that this one declared dead

	Rooms     map[string]int64  `json:"rooms"`      // of this server in the directory: opening, open, closing, moving
	RoomSeats int64             `json:"room_seats"` // that are kept here for players on their way from other servers
	RoomFinds map[string]uint64 `json:"room_finds"` // searches for rooms that were not open here: here, elsewhere, refused, busy, failed
	RoomAsked map[string]uint64 `json:"room_asked"` // questions of other servers for a room: seated, refused, working, not_here
	RoomLists map[string]uint64 `json:"room_lists"` // questions to other servers for their lists of rooms: told, silent

	Messages ClusterMessageStats `json:"messages"` // to users of other servers

	Missed     uint64                `json:"missed"`     // broadcasts of other servers that did not get here
	Broadcasts ClusterBroadcastStats `json:"broadcasts"` // to players of all servers
	Calls      ClusterCallStats      `json:"calls"`      // from server to server
}

// ClusterCallStats counts the calls between servers since the start, as this server sees them.
type ClusterCallStats struct {
	Running    int64  `json:"running"`    // handlers, now
	Made       uint64 `json:"made"`       // by this server
	Unanswered uint64 `json:"unanswered"` // of them, that had no answer in time and may have been served
	Served     uint64 `json:"served"`     // by this server
	Failed     uint64 `json:"failed"`     // of them, with an error
	Refused    uint64 `json:"refused"`    // that came here and were not served
}

// ClusterBroadcastStats counts the broadcasts between servers since the start.
type ClusterBroadcastStats struct {
	QueuedBytes int `json:"queued_bytes"` // on their way to the bus now; 128 more for each
	Subjects    int `json:"subjects"`     // that this server hears, of 1,024

	Sent         uint64 `json:"sent"`         // to other servers, once however many there are
	Received     uint64 `json:"received"`     // from other servers, for players that are here
	Unwanted     uint64 `json:"unwanted"`     // from other servers, for a tag that only others have
	Late         uint64 `json:"late"`         // from other servers, after a later one: left out
	Backpressure uint64 `json:"backpressure"` // not taken: ErrBackpressure
	Failed       uint64 `json:"failed"`       // that the bus did not take
}

// ClusterMessageStats counts the messages to users of other servers since the start, as this server sees
// them. A message whose user is here, and for which nothing waits, is not counted.
type ClusterMessageStats struct {
	QueuedBytes int `json:"queued_bytes"` // on their way now; 128 more for each message

	Sent       uint64 `json:"sent"`        // taken on their way, answers of clients too
	HandedOver uint64 `json:"handed_over"` // of them, to a session
	Moved      uint64 `json:"moved"`       // met no session where they came to, and went on to another server

	Backpressure uint64 `json:"backpressure"` // not taken: ErrBackpressure
	Offline      uint64 `json:"offline"`      // ended: ErrOffline
	Unreachable  uint64 `json:"unreachable"`  // ended: ErrUnreachable
	Unknown      uint64 `json:"unknown"`      // ended: ErrUnknown
	Refused      uint64 `json:"refused"`      // ended: ErrRefused

	Received   uint64 `json:"received"`   // from other servers, handed over here
	Repeated   uint64 `json:"repeated"`   // batches that came twice, and were handed over once
	Unanswered uint64 `json:"unanswered"` // tries to send a batch that got no answer in time

	Requests int64 `json:"requests"` // of other servers, that wait for their clients' answers
	Bans     int   `json:"bans"`     // that are known here
}
