// SPDX-License-Identifier: MIT

package framework

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// counters are the server's own. Safe to use from any goroutine.
type counters struct {
	opened, resumed, resets, ended                                atomic.Uint64
	arrived, reopened                                             atomic.Uint64
	protocolErrors, overloads, overflows                          atomic.Uint64
	overBudget, rateLimited, throttled, tooLarge                  atomic.Uint64
	noRoute, notJoined, busy, panics, openingTimeouts, inlineLate atomic.Uint64
	adminRefused                                                  atomic.Uint64
	dropped                                                       atomic.Uint64

	refusals, cuts, closes codeCounts
	lost                   [losses]atomic.Uint64
	full                   [fulls]atomic.Uint64
	attached               [32]atomic.Int64 // sessions by the carrier of their link
}

// codeCounts counts by code. The game's own codes are counted as one.
type codeCounts [session.Outdated + 2]atomic.Uint64

func (c *codeCounts) add(code session.Code) {
	c[min(code, session.Code(len(c)-1))].Add(1)
}

func (c *codeCounts) named(into map[string]uint64) map[string]uint64 {
	for i := range c {
		if n := c[i].Load(); n > 0 {
			name := "game"
			if i < len(c)-1 {
				name = CodeName(session.Code(i))
			}
			into[name] = n
		}
	}
	return into
}

// CodeName is a code as Stats, metrics and the admin pages write it: in words,
// joined by underscores.
func CodeName(code Code) string { return strings.ReplaceAll(code.String(), " ", "_") }

// loss is how a session lost its link, besides the codes of those that were cut.
type loss uint8

const (
	lostClosed   loss = iota // the carrier broke, or the client closed it
	lostTimeout              // the peer fell silent
	lostAway                 // the client went to the background
	lostReplaced             // another link took the session over
	losses
)

var lossNames = [losses]string{"closed", "timeout", "away", "replaced"}

// full is why a login was answered BUSY.
type full uint8

const (
	fullSessions    full = iota // Config.MaxSessions
	fullLogins                  // Config.AuthConcurrency
	fullDraining                // Shutdown was called
	fullMaintenance             // see Server.Maintenance
	fullUndecided               // Authenticate failed, or took longer than Config.AuthTimeout
	fullLater                   // Authenticate said so: see Later
	fullAddress                 // Config.SessionsPerAddress
	fullUser                    // Config.SessionsPerUser
	fulls
	notFull = fulls
)

var fullNames = [fulls]string{"sessions", "logins", "draining", "maintenance", "undecided", "later", "address", "user"}

// fullTexts are what a login that is refused for a time is told.
var fullTexts = [fulls]string{
	fullSessions: "the server is full", fullLogins: "too many logins at once", fullDraining: "the server is shutting down",
	fullMaintenance: "the server is being maintained",
	fullAddress:     "too many sessions of this address", fullUser: "too many sessions of this user",
}

// samples are taken when the wheel visits a player, which costs the way of a
// packet nothing. Counted by the loop, read from any goroutine.
type samples struct{ rtt, queued *transport.Histogram }

var (
	rttBounds    = []int64{1e6, 2e6, 5e6, 10e6, 20e6, 50e6, 100e6, 200e6, 500e6, 1e9, 2e9, 5e9}
	queuedBounds = []int64{0, 1, 4, 16, 64, 256, 1024, 4096}
)

func newSamples() samples {
	return samples{transport.NewHistogram(rttBounds), transport.NewHistogram(queuedBounds)}
}

func (m *samples) observe(rtt time.Duration, queued int) {
	if rtt > 0 {
		m.rtt.Observe(int64(rtt))
	}
	m.queued.Observe(int64(queued))
}

// PartStats counts what a part of the server did that is no part of package framework:
// see AddStats.
type PartStats struct {
	Now   map[string]int64  `json:"now"`   // at present
	Total map[string]uint64 `json:"total"` // since the start
}
