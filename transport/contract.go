// SPDX-License-Identifier: MIT

package transport

import (
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
)

// carrierLink is a link as its carrier has it: what its type embeds is the Link
// itself. kcpLink and streamLink have most of it. Owned by the loop.
type carrierLink interface {
	// waiting is how many bytes were written and are not on their way (streams) or not
	// acknowledged (KCP).
	waiting() int
	// write takes whole frames and reports false if it can't.
	write(frames []byte) bool
	// writeDatagram is Link.WriteDatagram.
	writeDatagram(frame []byte) bool
	// flush sends what there is to send, and says when to look again. It returns false
	// when the socket takes no more for now.
	flush() bool
	// validate takes note that the peer owns its address, where that matters.
	validate()
	// finish is told of Finish and says how long that may take.
	finish(status uint16, left bool) time.Duration
	// deadline is when due is to be called, besides the end of Finish.
	deadline(now time.Duration) time.Duration
	due()
	// partial is how many bytes of partial frames it has, besides Link.part.
	partial() int
	// malformed is told why a frame of the peer's is none, before the link closes for it.
	malformed(err error)
	// rtt and stats are Link.RTT and Link.Stats, of a link that is not closed.
	rtt() time.Duration
	stats(s *LinkStats)
	// forget takes the closed link out of its carrier.
	forget(err error)
}

// datagramCarrier is a carrier on one loop that has a datagram socket. kcpLoop has
// what is common. Owned by the loop.
type datagramCarrier interface {
	// receive takes what the socket has received, handed what other loops have.
	receive(in *backend.Inbox)
	handed()
	// due is when run is to be called, for what belongs to no link.
	due() time.Duration
	run()
	// links are all of them.
	links(yield func(*Link) bool)
}

// streamConn is a link of a carrier on byte streams: what streamLink needs of it.
// Owned by the loop.
type streamConn interface {
	carrierLink
	backend.Link
	base() *streamLink
	// asks reports whether the peer has to ask for the link. request looks at what it
	// says for that, and reports whether it is all here and may be granted. Then there
	// is room and grant grants it, or refuse is told that there is none.
	asks() bool
	request(in backend.Inbound) bool
	grant(in backend.Inbound) granted
	refuse(in backend.Inbound)
	// proxyMay reports that a PROXY header may be missing where one is expected.
	proxyMay() bool
	// data takes the frames that are whole in the n bytes that are here.
	data(in backend.Inbound, n int)
	// pack makes what is to be written of what the batch has collected.
	pack(out []byte) []byte
	// bye says on s, and in the carrier's words, why the link ends.
	bye(s backend.Stream, err error)
}

// granted is what a peer gets that has asked for a link.
type granted struct {
	answer []byte   // valid until the next request of the loop
	nonce  [16]byte // of the link, if its handshake makes one
	err    error    // it gets none
}
