// SPDX-License-Identifier: MIT

// Package poll runs loops on the system's sockets: it is the backend that a transport
// has unless it is given another. gnet has the event loops and the streams; listeners,
// datagram sockets and all that wakes a loop for them are here.
//
// # What it relies on in gnet v2.9.7
//
//   - Each loop is an engine with one event loop. Engines share the ports by
//     SO_REUSEPORT, so a second server on a port would start without an error:
//     Sockets.Listen binds each address exclusively, shares it only then, and lets go
//     when a loop has it: no other server gets in between.
//   - No loop exists in OnBoot, and nothing else has an event by itself. OnTick is
//     the exception, on a goroutine of its own: it registers
//     the ends of pairs of sockets, and their OnOpen is the first event on the
//     loop. EventLoop.Execute would allocate, and lose the order beyond 1,024 tasks.
//   - It waits in a system call, which keeps a processor from Go's scheduler, and has
//     its monitor thread look after that. So on Linux a loop waits in an epoll of its
//     own, see watch, and returns to gnet when gnet has something to do. It has
//     written to one of those sockets then: gnet calls back.
//   - It tells of one readable stream after the other, and not when that was all:
//     what it tells before it calls back shares a batch, see round.
//   - It does not tell which epoll is its own: the kernel refuses to add to that one
//     what is in it.
//   - What other goroutines ask it for, Enroll and its end, it hears of once, and
//     sees to after all else that it has heard of together with that. So a loop does
//     not wait while a connection is on its way, or the engine ends.
//   - Its loop does not return to Go's scheduler while there is something to read,
//     so a busy one gives way now and then.
//   - It reads the first datagram of each wake-up of a UDP listener with recvfrom,
//     which loses the control message that says what address it came to, and
//     allocates five times. So datagram sockets are ours.
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
//     choose the one that it leaves from: see Locals. A dual-stack socket has
//     IPv4 addresses in messages of IPv6, mapped.
//   - An address that this machine has no more is refused as a source, IPv4 with
//     ENETUNREACH: the datagram is sent once more, from where the kernel likes.
//   - Go's poller, and any that asks for EPOLLOUT, is woken for each datagram that
//     has left. An epoll of our own in it hears of those that come, and once.
package poll
