// SPDX-License-Identifier: MIT

package transport

import (
	"net/netip"
	"time"
)

// Link is one live carrier connection. Owned by its loop.
type Link struct {
	Value any // the handler's state for this link
}

// LinkStats is what a link knows about its path.
type LinkStats struct {
	SRTT, RTTVar, RTO time.Duration // zero on TCP
	Retransmits       uint64
	BytesIn, BytesOut uint64
}

// Loop returns the loop that owns the link. Safe to call from any goroutine.
func (k *Link) Loop() *Loop { return nil }

// Carrier returns what carries the link. Safe to call from any goroutine.
func (k *Link) Carrier() Carrier { return 0 }

// RemoteAddr returns the peer's address. Safe to call from any goroutine.
func (k *Link) RemoteAddr() netip.AddrPort { return netip.AddrPort{} }

// LastReceive returns when any bytes last arrived that prove the peer alive.
func (k *Link) LastReceive() time.Duration { return 0 }

// Room returns how many bytes may be written now.
func (k *Link) Room() int { return 0 }

// Write takes whole frames, which it copies and sends at the end of the batch.
// It never blocks and is ignored after Close.
func (k *Link) Write(frames []byte) {}

// Prove tells that the peer has proved its address, which lifts the byte
// budget of plain KCP.
func (k *Link) Prove() {}

// Finish lets no more packets in, sends what was written and then closes.
func (k *Link) Finish() {}

// Close closes the link at once; OnClose(err) follows at the end of the batch.
func (k *Link) Close(err error) {}

// Stats returns what the link knows about its path.
func (k *Link) Stats() LinkStats { return LinkStats{} }
