// SPDX-License-Identifier: MIT

// Package kcp is a KCP conversation as a pure state machine: bytes in, bytes
// out, and a now that it is handed. It has no socket, goroutine, lock or
// clock. SPEC.md is what it does on the wire and which input it refuses.
//
// It exists because a server holds very many conversations, most of them idle.
// A [Conn] is a value to embed in the link it belongs to; idle, it is all the
// memory there is. Segments come from a [Pool] of the loop and go back as soon
// as they are acknowledged or read. There are no timers inside either: the
// owner asks NextDeadline after it called anything else, and calls Output then.
//
//	Input    a datagram came        Write    the application sends
//	Peek     what came in order     Output   the next datagram, until none is due
//	Discard  it was read            Err      the peer makes no progress
//
// A loop that was late should call Input for everything that waits before it
// calls Output: the acks that it hasn't read aren't lost. Lateness that lasts
// belongs into Config.ExtraRTO.
//
// Left to others: which address or session a datagram belongs to, whether its
// sender may be believed (transport/seal), when a silent peer is dead, how a
// conversation ends (KCP can't tell the peer), and where in the stream a packet
// ends (codec).
//
// Everything here is owned by the loop that its Conn belongs to.
package kcp
