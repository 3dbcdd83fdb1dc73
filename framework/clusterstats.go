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

	LeaseLeft time.Duration `json:"lease_left_ns"` // how long the server may act without another renewal; 0 while it is paused
	Declared  int64         `json:"declared_dead"` // 1 once the others have declared this server dead
	Silence   time.Duration `json:"silence_ns"`    // of the other servers, how long ago the last renewal of the quietest was seen

	Renewals       uint64        `json:"renewals"`        // of the lease
	RenewalsFailed uint64        `json:"renewals_failed"` // reads and writes of the lease that had no answer, or a conflict
	Pauses         uint64        `json:"pauses"`          // times that the lease ran out
	Paused         time.Duration `json:"paused_ns"`       // how long the server was paused, all together

	Claims map[string]uint64 `json:"claims"` // logins, by what they came to: granted, already_in, busy, failed
	Finds  map[string]uint64 `json:"finds"`  // resumes of sessions that were not here: taken, orphan, redirect, missing, superseded, mine, busy, failed
	Parks  map[string]uint64 `json:"parks"`  // sessions given to the others: parked, fenced, busy, failed
	Asked  map[string]uint64 `json:"asked"`  // questions of other servers: evicted, parked, given_back, waiting

	Directory map[string]transport.HistogramStats `json:"directory_ns"` // how long requests took: get, put, ask
	Failures  map[string]uint64                   `json:"failures"`     // of them, those without an answer
	Conflicts uint64                              `json:"conflicts"`    // writes that another server was faster with
	Blind     uint64                              `json:"blind"`        // times that the watch of the directory was interrupted
	Deaths    uint64                              `json:"deaths"`       // servers that this one declared dead
}
