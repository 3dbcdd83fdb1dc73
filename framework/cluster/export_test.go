// SPDX-License-Identifier: MIT

package cluster

import "time"

// EndMark is what the end of the process does to its mark.
func (c *Cluster) EndMark() { _ = c.mark.Close() }

// MaxCalls is how many handlers of calls may run at once.
const MaxCalls = maxCalls

// Suspend does to the clocks what it does that the machine is suspended: the wall clock goes on.
func (c *Cluster) Suspend(d time.Duration) { c.ahead.Add(-int64(d)) }

// Name is the server's name on the bus.
func (c *Cluster) Name() string { return c.me.String() }
