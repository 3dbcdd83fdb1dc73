// SPDX-License-Identifier: MIT

// Package session is the life of a player's session: how it is opened, how its
// packets are counted so that each arrives exactly once whatever the links do,
// how a dead link is found, how the player comes back with a reconnect token,
// and how it all ends exactly once. SPEC.md has the rules; the code cites them.
//
// Everything here is a pure state machine. It is handed packets and the time
// and returns bytes and deadlines; it owns no socket, goroutine, lock or
// clock. now is a monotonic time.Duration since some moment of the caller's
// choice, the same for all calls; only a Client is also told the wall clock,
// which keeps running while a device sleeps.
//
//   - [Session] is the server's end, owned by one loop; [Shard] is what the
//     sessions of a loop share.
//   - [Client] is the client's end with the rules of coming back.
//   - [Wheel] keeps the deadlines of many sessions for O(1) each.
//   - [Table] finds sessions and remembers how dead ones ended.
//
// How bytes travel is left to transport, what packets mean to framework.
package session
