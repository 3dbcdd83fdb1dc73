// SPDX-License-Identifier: MIT

package transport

import (
	"net/netip"

	"github.com/lifeline-go/lifeline/codec"
)

// Handler is what a Transport calls. Every method is called on the loop that
// owns the link and must not block. A panic in one closes the link that it
// was called for, and nothing else.
type Handler interface {
	// OnLoop is called once per loop, before anything else happens on it.
	OnLoop(l *Loop)
	// OnOpen tells of a new link. nonce is what the handshake of a sealed link made:
	// the same at both ends, and for no other link. It is zero on other carriers.
	OnOpen(k *Link, nonce [16]byte)
	// OnPacket brings a packet and says how it arrived. p.Body lives until the call
	// returns.
	OnPacket(k *Link, p codec.Packet, a Arrival)
	// OnWritable tells that a Write left less than half of the room of the
	// link, and that half of it is free again: a largest frame fits.
	OnWritable(k *Link)
	// OnClose is called exactly once for every OnOpen, at the end of a batch
	// and never from within a method of Link or Loop. Nothing follows it.
	OnClose(k *Link, err error)
	// OnMigrate tells that the peer of a sealed link has another address now,
	// Link.RemoteAddr, and not from any more. Nothing else has changed.
	OnMigrate(k *Link, from netip.AddrPort)
	// OnTimer tells that the time given to WakeAt has come.
	OnTimer(l *Loop)
	// OnBatch is called at the end of every batch, when input is drained,
	// tasks have run and timers have fired, and before the output is flushed:
	// the place to write what the batch brought about.
	OnBatch(l *Loop)
}

// Arrival says how a packet arrived.
type Arrival struct {
	// Number is the full counter of the sealed datagram that brought the packet, and
	// 0 on every other carrier. Of two datagrams the one with the higher number was
	// sent later.
	Number uint64
	// Datagram says that the packet came as a datagram, outside of the stream:
	// see Link.WriteDatagram.
	Datagram bool
}
