// SPDX-License-Identifier: MIT

// Package transport carries packets between players' connections and a
// Handler, on a few event loops.
//
// A live connection is a [Link]. It belongs to the [Loop] that it arrived on:
// everything about it, callbacks included, happens on that loop's goroutine,
// and no other goroutine may touch it. Other goroutines hand work to a loop with
// [Loop.Post]. The number of goroutines follows the number of loops, never the
// number of players.
//
// # What runs where
//
// A loop works in batches. A batch begins when something happens: bytes on a
// stream, or on several, datagrams, posted tasks, a deadline. Input is handed up
// as it is read (OnOpen, OnPacket, OnWritable), then tasks run, then timers (OnTimer),
// then links that have closed are told (OnClose), then OnBatch has the last
// word. Only then is output sent: one Write for each stream and one datagram
// for each KCP link with all that the batch produced for it, many datagrams in
// one system call. What is written between batches does not exist: a loop's
// state is only touched inside of them.
//
// Loop.Now is read once per batch, and this package reads the clock in one
// place. On a network in memory, transport/memnet, the same loops run under
// testing/synctest.
//
// # Where things are
//
// Loop (loop.go, timers.go) and Link (link.go) know carriers by the interfaces of
// contract.go. Each carrier is a file, carrier_*.go, and a line in table.go; kcplink.go
// and stream.go have what is common to those on datagrams and on streams. What has
// state of its own and needs no loop is a type of its own: the closing list, the search
// for a path MTU, the budget for partial frames, lateness, the queue of tasks.
//
// # What is below
//
// A loop is run by what is below it, and knows it by the contract of
// transport/internal/backend alone: transport/internal/poll has the system's sockets,
// transport/memnet a network in memory. sink.go is the loop's side of it.
//
// # What is left to others
//
// A link knows no session: which player it serves, whether that is there, and what
// becomes of packets when the link is lost is decided above. Nothing here
// times out a silent link; LastReceive says how long it has been silent. The
// KCP protocol itself is in transport/kcp. TLS is the business of a proxy. What is
// relied on in gnet and in the kernel stands in transport/internal/poll.
//
// Outside Linux there is one loop, datagrams are read and written one at a
// time with package net, and answers of a wildcard listener come from the address
// that the routes choose: enough to develop on.
package transport
