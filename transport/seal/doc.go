// SPDX-License-Identifier: MIT

// Package seal makes a datagram prove where it comes from: the handshake that
// opens a sealed link, the datagrams of the link, and the rules by which an
// address may change. The bytes, and vectors, are in SPEC.md.
//
// A server answers handshakes with one [Responder] per loop. It keeps what is
// half open, asks strangers for a cookie when there are many of them, and hands
// over a [Conn] once the peer has shown that it reads what it is sent. A client
// has an [Initiator]. From then on both have a Conn, which seals and opens in
// place, and the server a [Paths] while its peer's address is in question.
//
// Everything here is pure: bytes and the time go in, bytes and deadlines come
// out. There is no socket, no goroutine, no lock and no clock; randomness comes
// from a reader. Whoever calls owns it. What arrives from the network can be
// anything: it is refused with one of the package's errors, never a panic, and
// costs no memory before it has proved something.
//
// The cryptography is not ours: Noise NK by flynn/noise, ChaCha20-Poly1305,
// HKDF and HMAC with SHA-256, BLAKE2s for cookies.
package seal
