// SPDX-License-Identifier: MIT

// Package kcp is a KCP conversation as a pure state machine: bytes in, bytes
// out, and a now that it is handed. It has no socket, goroutine, lock or
// clock. SPEC.md is what it does on the wire and which input it refuses.
//
// A server holds very many conversations, most of them idle. A [Conn] is a value
// to embed in its link. While idle it has no other memory. Segments come from the
// [Pool] of the loop and go back as soon as they are acknowledged or read. There
// are no timers inside: after any other call the owner asks NextDeadline, and
// calls Output at that time.
//
// The names of its state are those of ikcp.c: sndNxt, rcvNxt; sndQueue, sndBuf,
// rcvBuf, rcvQueue.
//
//	Input    a datagram came        Write    the application sends
//	Peek     what came in order     Output   the next datagram, until none is due
//	Discard  it was read            Err      the peer makes no progress
//
// A loop that is late calls Input for everything that waits before it calls
// Output: acks that it has not read are not lost. Config.ExtraRTO takes lateness
// that lasts.
//
// It does not know which address or session a datagram belongs to, whether its
// sender is authentic (transport/seal), when a peer is dead (session), how a
// conversation ends (KCP cannot tell the peer), and where in the stream a packet
// ends (codec).
//
// Everything here is owned by the loop that its Conn belongs to.
package kcp
