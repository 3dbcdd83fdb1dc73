// SPDX-License-Identifier: MIT

package cluster

// EndMark is what the end of the process does to its mark.
func (c *Cluster) EndMark() { _ = c.mark.Close() }

// MaxCalls is how many handlers of calls may run at once.
const MaxCalls = maxCalls
