// SPDX-License-Identifier: MIT

package transport

import "net/netip"

// maxDatagram is the longest datagram that is taken: kcp-go sends at most
// 1,500 bytes, ikcp.c 1,400 unless told otherwise.
const maxDatagram = 2048

// slotSize is the longest datagram that is sent: what one Ethernet frame holds.
const slotSize = 1472

// wire names a datagram socket of a loop.
type wire uint8

const (
	plainWire wire = iota
	sealedWire
	wires // how many there are
)

// wireCarriers says what each wire serves.
var wireCarriers = [wires]Carrier{PlainKCP, KCP}

// address is what the configuration says that a wire listens on.
func (c *Config) address(w wire) string {
	if w == plainWire {
		return c.PlainKCP
	}
	return c.KCP
}

// datagram takes one datagram that arrived on w. from is as the socket tells it,
// which has put the address that it came to into l.asked.
func (l *Loop) datagram(w wire, from netip.AddrPort, b []byte) {
	l.stats.datagramsIn++
	if len(b) > maxDatagram {
		l.stats.large.Add(1)
		return
	}
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	if w == plainWire {
		l.plainDatagram(from, b)
	} else {
		l.sealedDatagram(from, b)
	}
}

// truncated counts a datagram that was longer than what is taken.
func (l *Loop) truncated() {
	l.stats.datagramsIn++
	l.stats.large.Add(1)
}

// outbox collects the datagrams of a batch for one system call. Owned by the
// loop.
type outbox struct {
	wire    wire
	blocked bool // the socket took no more in this batch
	head, n int
	to      [outSlots]netip.AddrPort
	from    [outSlots]local
	size    [outSlots]int
	buf     []byte
}

const outSlots = 64

// initOut makes an outbox for each wire that is served.
func (l *Loop) initOut() {
	for w := range wires {
		l.out[w].wire = w
		if l.t.cfg.address(w) != "" {
			l.out[w].buf = make([]byte, outSlots*slotSize)
		}
	}
}

func (o *outbox) empty() bool { return o.head == o.n }

// slot returns memory for the next datagram, nil when there is none.
func (o *outbox) slot() []byte {
	if o.head == o.n {
		o.head, o.n = 0, 0
	}
	if o.n == outSlots {
		return nil
	}
	return o.buf[o.n*slotSize : o.n*slotSize : (o.n+1)*slotSize]
}

// push takes the datagram that was written into the slot.
func (o *outbox) push(to netip.AddrPort, from local, size int) {
	o.to[o.n], o.from[o.n], o.size[o.n] = to, from, size
	o.n++
}

// datagram returns the datagram in place i.
func (o *outbox) datagram(i int) []byte { return o.buf[i*slotSize : i*slotSize+o.size[i]] }

// slot returns memory for the next datagram on w, nil when the socket takes no
// more for now.
func (l *Loop) slot(w wire) []byte {
	o := &l.out[w]
	b := o.slot()
	if b == nil {
		l.sendOut(o)
		b = o.slot()
	}
	return b
}

// sendOut hands the collected datagrams to the socket.
func (l *Loop) sendOut(o *outbox) {
	if o.empty() || o.blocked {
		return
	}
	if !l.below.send(o) {
		o.blocked = true
		l.stats.blocked++
	}
}

// blocked reports whether a socket took no more in this batch.
func (l *Loop) blocked() bool {
	for w := range wires {
		if l.out[w].blocked {
			return true
		}
	}
	return false
}
