// SPDX-License-Identifier: MIT

package framework

import (
	"time"
)

// HeartbeatProfile says how soon a dead link is found: an idle client is heard every
// Interval, and a link silent for Timeout is dead.
type HeartbeatProfile struct{ Interval, Timeout time.Duration }

// The usual profiles. Demanding costs five times the heartbeats: give it to the
// rooms where seconds decide, not to all.
var (
	HeartbeatNormal    = HeartbeatProfile{10 * time.Second, 35 * time.Second}
	HeartbeatDemanding = HeartbeatProfile{2 * time.Second, 8 * time.Second}
)
