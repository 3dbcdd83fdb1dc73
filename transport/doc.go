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
// KCP protocol itself is in transport/kcp. TLS is the business of a proxy.
//
// # What it relies on in gnet v2.9.7
//
//   - Each loop is an engine with one event loop. Engines share the ports by
//     SO_REUSEPORT, so a second server on a port would start without an error:
//     Start binds each address exclusively first, and then lets go.
//   - No loop exists in OnBoot, and nothing else has an event by itself. OnTick is
//     the exception, on a goroutine of its own: it registers
//     one end of a pair of sockets, whose OnOpen is the first event on the
//     loop. Writing to the other end is the wake-up. EventLoop.Execute would
//     allocate, and lose the order beyond 1,024 tasks.
//   - It tells of one readable stream after the other, and not when that was all.
//     It runs what Wake posted at the end of the next round, and a batch stays open
//     till then: see round.
//   - Its loop does not return to Go's scheduler while there is something to read,
//     so a busy one gives way now and then.
//   - It reads the first datagram of each wake-up of a UDP listener with recvfrom,
//     which loses the control message that says what address it came to, and
//     allocates five times. So datagram sockets are ours, and so is what wakes the
//     loop for them: see udpWatch. While no stream is served the loop does not
//     return to gnet at all. An acceptor that gives gnet a connection calls it back.
//   - gnet says nothing when a socket takes more again: where a link waits
//     for it, the loop looks again every 1 to 5 ms.
//   - Write calls OnClose when it fails. A Conn is dropped in OnClose, since
//     its descriptor may be another connection's a moment later.
//   - Discard(0) discards everything, and Next and Peek of a wrapped ring copy.
//   - An engine ends when accept fails, with all that it serves. So listeners
//     are ours: a goroutine for each accepts, and enrolls what it gets; what the
//     engine itself listens on takes no client. Where no file is left a spare one is
//     given back to refuse a connection with. The number of a new descriptor
//     shows how many are left: those beyond a reserve are closed at once. An
//     engine that ends all the same is replaced, and its KCP links live on.
//   - Enroll is never answered by an engine that ends. A loop closes its
//     listeners and waits for what is on its way before it ends.
//   - Engine.Stop polls twice a second. A loop ends here by returning Shutdown
//     from a callback, and Rotate returns at once.
//
// # Datagram sockets on Linux
//
//   - The kernel answers from an address of its choice where a socket is bound to
//     none. IP_PKTINFO and IPV6_PKTINFO tell what address a datagram came to, and
//     choose the one that it leaves from: see locals. A dual-stack socket has
//     IPv4 addresses in messages of IPv6, mapped.
//   - An address that this machine has no more is refused as a source, IPv4 with
//     ENETUNREACH: the datagram is sent once more, from where the kernel likes.
//   - Go's poller, and any that asks for EPOLLOUT, is woken for each datagram that
//     has left. An epoll of our own in it hears of those that come, and once.
//
// Outside Linux there is one loop, datagrams are read and written one at a
// time with package net, and answers of a wildcard listener come from the address
// that the routes choose: enough to develop on.
package transport
