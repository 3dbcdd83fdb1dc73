// SPDX-License-Identifier: MIT

// Package seal encrypts and authenticates datagrams: the handshake that opens a
// sealed link, the datagrams of the link, and path validation, by which the
// peer's address may change. The bytes, and vectors, are in SPEC.md.
//
// A server has one [Responder] for each loop. It answers handshakes, keeps the
// half-open links, and asks for cookies under load. It returns a [Conn] once the
// client has shown that it receives what it is sent. A client has an [Initiator].
// From then on both ends have a Conn, which seals and opens in place. The server
// has a [Paths] too while it validates another address of its peer.
//
// Everything here is pure: bytes and the time go in, bytes and deadlines come
// out. There is no socket, no goroutine, no lock and no clock; randomness comes
// from a reader. The caller owns every value. Input from the network may be
// anything: it is refused with one of the package's errors, never with a panic,
// and costs no memory before its sender has shown a cookie or a key.
//
// The cryptography is not ours: Noise NK by flynn/noise, ChaCha20-Poly1305,
// HKDF and HMAC with SHA-256, BLAKE2s for cookies.
package seal
