// SPDX-License-Identifier: MIT

package cluster

import "github.com/lifeline-go/lifeline/framework"

// MessageStats counts the messages to users of other servers since the start, as this server sees
// them: a part of Stats.
type MessageStats = framework.ClusterMessageStats

// MessageStats returns the counters of messages to users.
func (c *Cluster) MessageStats() MessageStats {
	m := c.messages
	st := MessageStats{
		Sent: m.sent.Load(), HandedOver: m.handedOver.Load(),
		Backpressure: m.backpressure.Load(), Offline: m.offline.Load(), Unreachable: m.unreachable.Load(),
		Unknown: m.unknown.Load(), Refused: m.refused.Load(),
		Received: m.received.Load(), Repeated: m.repeated.Load(), Unanswered: m.unanswered.Load(),
		Requests: m.requests.Load(), Bans: c.bans.len(),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	st.QueuedBytes, st.Moved = m.sender.Bytes(), m.sender.Moved()
	return st
}
