// SPDX-License-Identifier: MIT

package transport

import "time"

// CarrierStats counts the links of one carrier.
type CarrierStats struct {
	Open    int64  // links that live now
	Opened  uint64 // links ever opened
	Refused uint64 // links refused for lack of room
}

// Stats counts what happened since Start, over all loops.
type Stats struct {
	PlainKCP CarrierStats
	TCP      CarrierStats

	DatagramsIn, DatagramsOut uint64

	// Datagrams that came in and went nowhere, by fate.
	DroppedShort     uint64 // not even a conversation number
	DroppedUnknown   uint64 // no such link, and not an opening
	DroppedMalformed uint64 // refused by the link it was for
	DroppedLarge     uint64 // larger than the largest datagram that is taken
	// Datagrams that did not go out; KCP sends their content again.
	OverBudget uint64 // times that a link waited for the address proof
	SendFailed uint64

	ProtocolErrors uint64 // links closed for what their peer sent
	Panics         uint64 // callbacks and per-link code that panicked
	AcceptFailures uint64 // TCP connections closed at once to spare file descriptors
	WakeUps        uint64 // batches
	Tasks          uint64 // tasks run
	WorstLateness  time.Duration
}
