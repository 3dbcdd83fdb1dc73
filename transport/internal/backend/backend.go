// SPDX-License-Identifier: MIT

// Package backend is the contract between the event loops of a transport and what
// runs them: the system's sockets (transport/internal/poll) or a network in memory
// (transport/memnet). Bytes and addresses pass, and no type of either side.
package backend

import (
	"log/slog"
	"math"
	"net/netip"
	"sync/atomic"
	"time"
)

// Never is a time that does not come.
const Never time.Duration = math.MaxInt64

// Network opens what a transport is to serve.
type Network interface {
	// Listen takes the addresses of the listeners, or none of them if it fails.
	Listen(Settings) (Runner, error)
}

// Settings say what is to be served, and how.
type Settings struct {
	Listeners     []Listener    // those without an address are not served
	Loops         int           // how many are wanted
	MaxStreams    int           // streams that are wanted, 0: as many as there may be
	SocketBuffer  int           // bytes, of each datagram socket in each direction
	CoalesceDelay time.Duration // 0: nothing is coalesced
	Start         time.Time
	Now           func() time.Duration // the time since Start
	Log           *slog.Logger
}

// Listener is one address that is served. Its place in Settings.Listeners is its
// number.
type Listener struct {
	Name    string // of what is served there, for errors and logs
	Address string // "host:port"; port 0 is any
	Stream  bool   // TCP; else UDP
	Whole   bool   // UDP: the network shall lose a datagram rather than cut it
}

// Runner runs the loops of one transport.
type Runner interface {
	// Addrs are the addresses that were bound, by the number of the listener.
	Addrs() []netip.AddrPort
	// Loops is how many loops there can be: as many as are wanted, or fewer.
	Loops() int
	// MaxStreams is how many streams there can be, 0 if nothing is known.
	MaxStreams() int
	// Run starts a loop and returns once its Boot has returned.
	Run(Sink) error
	// Wait returns when all loops that were started have ended, and gives
	// everything back. It is called once, also if none was started.
	Wait()
}

// Driver is what one loop needs from below. It is called on the loop.
type Driver interface {
	// Send sends datagrams from the head of b and returns false when the socket
	// takes no more for now.
	Send(b *Outbox) bool
	// Drain hands up datagrams that already wait, so that no timer judges a peer
	// that has answered by now.
	Drain()
	// WakeAt makes a batch begin at a time, or soon after it; with Never at none. It
	// is called at the end of each batch and replaces what was said before, of which an
	// earlier time may stay.
	WakeAt(at time.Duration)
}

// Sink is one loop, as what is below it sees it. All of it is called on the loop's
// goroutine, except for Index, Queue and Refuse.
type Sink interface {
	Index() int
	// Queue is what wakes the loop. Safe to use from any goroutine.
	Queue() Queue
	// Counters are what the driver counts.
	Counters() *Counters
	// Boot is called once, before anything else.
	Boot(Driver)

	// Begin opens a batch and End closes it: everything is handed up in between.
	// They nest; Depth is how deep.
	Begin()
	End()
	Depth() int
	// Now is the time of the batch. Refresh reads it anew in one that has been open
	// for a while.
	Now() time.Duration
	Refresh()
	// Ended reports whether the loop has nothing more to do, ever.
	Ended() bool

	// Received takes what a datagram socket has received.
	Received(in *Inbox)
	// Open makes a link of a connection to a listener, which waits for nothing and is
	// the loop's now. It returns nil when there is no room: the caller closes the
	// connection then.
	Open(listener int, s Stream, from netip.AddrPort) Link
	// Evict closes a connection that is no link yet, in a batch. It reports whether
	// there was one.
	Evict() bool
	// Refuse counts a connection to a listener that was closed at once.
	Refuse(listener int)
}

// Queue wakes a loop. Safe to use from any goroutine.
type Queue interface {
	// SetWaker says how the loop is woken, or with nil that it can't be now. wake is
	// called under a lock.
	SetWaker(wake func())
	// Wake makes the loop run a batch that begins after this.
	Wake()
}

// Link is the upper end of a stream. Owned by the loop.
type Link interface {
	// Data looks at what has arrived. It is a batch, if none is open.
	Data(in Inbound)
	// Closed tells that the connection is gone. It may come from within
	// Stream.Write. It reports false if the link had closed it, and is a batch, if none
	// is open.
	Closed(s Stream, err error) bool
}

// Stream is a byte-stream connection. Owned by the loop.
type Stream interface {
	// Write takes all of p. If the connection breaks it says so through Link.Closed,
	// before Write returns or later.
	Write(p []byte) (int, error)
	// OutboundBuffered is how much was written and not yet taken by the kernel.
	OutboundBuffered() int
	// CloseWrite tells the peer that no more comes. If that can't be told apart from
	// a close here, it returns false.
	CloseWrite() bool
	// RTT is the smoothed round trip of the connection, 0 if unknown.
	RTT() time.Duration
	// End closes the connection. Nothing is handed up for it any more.
	End()
}

// Inbound is what has arrived on a stream and was not consumed yet. Discard is
// never called with 0: for gnet that means everything.
type Inbound interface {
	InboundBuffered() int
	Peek(n int) ([]byte, error)
	Discard(n int) (int, error)
}

// Counters are what a driver counts. DatagramsOut is the loop's own.
type Counters struct {
	DatagramsOut   uint64
	SendFailed     atomic.Uint64 // datagrams that the system refused
	ManyLocals     atomic.Uint64 // datagrams whose local address has no name
	AcceptFailures atomic.Uint64 // connections that were closed at once, and listeners restarted
}
