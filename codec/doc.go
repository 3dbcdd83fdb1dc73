// SPDX-License-Identifier: MIT

// Package codec says what a packet is: an 8-byte header and, on everything but
// a heartbeat, a msgpack body. It knows frames (a packet with its length in
// front, as it stands on a byte stream), bodies (Go values as msgpack) and
// envelopes (the few bytes around a game's own payload: which request, which
// route). SPEC.md beside it has every byte; testdata/vectors.json has examples
// for other languages.
//
// # What runs where
//
// Everything here is a function of its arguments. Nothing keeps state between
// calls but the pools of encoders and decoders, so every function is safe to
// call from any goroutine. The header, frame and envelope functions allocate
// nothing; what they return aliases what they were given.
//
// # What comes from the network
//
// No input panics, and none makes the package allocate more than in proportion
// to its own length and to the Go types it is read into. A frame's length is
// checked before anybody makes room for it, a body before anybody decodes it.
// A type with decoding methods of its own answers for what those do.
//
// # What it leaves to others
//
// Package session counts packets, acknowledges them and defines the bodies of
// control packets. Package transport moves frames and owns the buffers.
// Which routes exist is the game's business.
package codec
