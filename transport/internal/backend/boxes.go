// SPDX-License-Identifier: MIT

package backend

import "net/netip"

const (
	// Slots is how many datagrams pass with one system call.
	Slots = 64
	// MaxDatagram is the longest datagram that is taken: kcp-go sends at most 1,500
	// bytes, ikcp.c 1,400 unless told otherwise.
	MaxDatagram = 2048
	// SlotSize is the longest datagram that is sent: what one Ethernet frame holds.
	SlotSize = 1472
)

// Local names the address of this machine that a peer sends to, and so the one that
// it must be answered from. 0 is no address in particular: the kernel chooses.
type Local uint8

// Outbox collects the datagrams of a batch for one system call. Those from Head up to
// N are to be sent. Owned by the loop.
type Outbox struct {
	Listener int // that they leave from
	Head, N  int
	To       [Slots]netip.AddrPort
	From     [Slots]Local
	size     [Slots]int
	buf      []byte
}

// Init makes an empty outbox of o.
func (o *Outbox) Init(listener int) {
	o.Listener, o.buf = listener, make([]byte, Slots*SlotSize)
}

// Empty reports whether there is nothing to send.
func (o *Outbox) Empty() bool { return o.Head == o.N }

// Slot returns memory for the next datagram, nil when there is none.
func (o *Outbox) Slot() []byte {
	if o.Head == o.N {
		o.Head, o.N = 0, 0
	}
	if o.N == Slots {
		return nil
	}
	return o.buf[o.N*SlotSize : o.N*SlotSize : (o.N+1)*SlotSize]
}

// Push takes the datagram that was written into the slot.
func (o *Outbox) Push(to netip.AddrPort, from Local, size int) {
	o.To[o.N], o.From[o.N], o.size[o.N] = to, from, size
	o.N++
}

// Datagram returns the datagram in place i.
func (o *Outbox) Datagram(i int) []byte { return o.buf[i*SlotSize : i*SlotSize+o.size[i]] }

// maxBurst bounds the bytes of a burst: the kernel takes it for one datagram at first.
const maxBurst = 64_000

// Burst returns the end of the datagrams from place i on that may leave as one burst: in a
// row, to and from one address, all of one size, but for the last one, which may be shorter.
func (o *Outbox) Burst(i int) (end int) {
	for end = i + 1; end < o.N; end++ {
		if o.To[end] != o.To[i] || o.From[end] != o.From[i] || o.size[end] > o.size[i] ||
			o.size[end-1] < o.size[i] || (end-i+1)*o.size[i] > maxBurst {
			break
		}
	}
	return end
}

// Inbox has the datagrams of one system call, or of one wake-up. Owned by the loop.
type Inbox struct {
	Listener int // that they came to
	N        int
	From     [Slots]netip.AddrPort
	To       [Slots]Local
	Size     [Slots]int // more than MaxDatagram: the rest is lost
	More     bool       // there may be more
	buf      []byte
}

// Init makes an empty inbox of b.
func (b *Inbox) Init(listener int) {
	b.Listener, b.buf = listener, make([]byte, Slots*MaxDatagram)
}

// Slot is memory for a datagram in place i.
func (b *Inbox) Slot(i int) []byte { return b.buf[i*MaxDatagram : (i+1)*MaxDatagram] }

// Datagram returns the datagram in place i.
func (b *Inbox) Datagram(i int) []byte { return b.Slot(i)[:min(b.Size[i], MaxDatagram)] }
