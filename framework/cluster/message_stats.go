// SPDX-License-Identifier: MIT

package cluster

// MessageStats counts the messages to users of other servers since the start, as this server sees
// them. A message whose user is here, and for which nothing waits, is not counted.
type MessageStats struct {
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
