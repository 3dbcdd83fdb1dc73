// SPDX-License-Identifier: MIT

package transport

import (
	"net/netip"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
)

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

// receive takes what one of the sockets has received.
func (l *Loop) receive(in *backend.Inbox) {
	w := plainWire
	if in.Listener == int(KCP) {
		w = sealedWire
	}
	for i := range in.N {
		if in.Size[i] > backend.MaxDatagram {
			l.stats.datagramsIn++
			l.stats.large.Add(1)
			continue
		}
		l.asked = in.To[i]
		l.datagram(w, in.From[i], in.Datagram(i))
	}
	l.lateness.received(l.now, !in.More)
}

// datagram takes one datagram that arrived on w. The address that it came to is in
// l.asked.
func (l *Loop) datagram(w wire, from netip.AddrPort, b []byte) {
	l.stats.datagramsIn++
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	if w == plainWire {
		l.plainDatagram(from, b)
	} else {
		l.sealedDatagram(from, b)
	}
}

// initOut makes an outbox for each wire that is served.
func (l *Loop) initOut() {
	for w := range wires {
		if l.t.cfg.address(w) != "" {
			l.out[w].Init(int(wireCarriers[w]))
		}
	}
}

// outbox are the datagrams of a batch that leave from one socket.
type outbox struct {
	backend.Outbox
	blocked bool // the socket took no more in this batch
}

// slot returns memory for the next datagram on w, nil when the socket takes no
// more for now.
func (l *Loop) slot(w wire) []byte {
	o := &l.out[w]
	b := o.Slot()
	if b == nil {
		l.sendOut(o)
		b = o.Slot()
	}
	return b
}

// sendOut hands the collected datagrams to the socket.
func (l *Loop) sendOut(o *outbox) {
	if o.Empty() || o.blocked {
		return
	}
	if !l.below.Send(&o.Outbox) {
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
