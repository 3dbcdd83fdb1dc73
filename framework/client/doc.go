// SPDX-License-Identifier: MIT

// Package client is the Go client of a Lifeline server.
//
// A [Client] is one player's session. It dials one of several addresses, logs
// in, and from then on keeps the session alive through lost links: what was
// sent is delivered once and in order, whatever the links do, and requests wait
// for their answers across them. The app learns of it by one callback,
// Config.OnEvent, and only two of its steps need an answer from the game: Reset
// (expect a snapshot) and Gone (the session is over, the client logs in anew).
//
// Callbacks run one at a time on a goroutine of the client and may block; they
// may call every method. Everything else, counting and heartbeats and the rules
// of coming back, is package session; this one adds sockets, a clock and
// goroutines: four, and one more while a KCP link is up.
package client
