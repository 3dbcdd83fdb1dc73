// SPDX-License-Identifier: MIT

// Package codec encodes and decodes packets. A packet is an 8-byte header and,
// except on a heartbeat, a msgpack body. A frame is a packet with its length in
// front, for byte streams. A body is a Go value as msgpack. An envelope is the
// array around a game's own payload: the id of the request, the route. SPEC.md
// specifies every byte; testdata/vectors.json has examples for other languages.
//
// # What runs where
//
// Everything here is a function of its arguments. Only the pools of encoders and
// decoders keep state between calls, so every function may be called from any
// goroutine. The header, frame and envelope functions allocate nothing; their
// results alias their arguments.
//
// # What comes from the network
//
// No input panics. No input makes the package allocate more than in proportion to
// its own length and to the Go types it is decoded into. A frame's length is
// checked before memory is allocated for it, and a body before it is decoded. What
// a type's own decoding methods do is up to that type.
//
// # What other packages do
//
// Package session counts packets, acknowledges them and defines the bodies of
// control packets. Package transport moves frames and owns the buffers.
// The game defines its routes.
package codec
