// SPDX-License-Identifier: MIT

package transport

import (
	"hash/maphash"
	"net/netip"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/internal/strangers"
	"github.com/lifeline-go/lifeline/transport/kcp"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// sendMTU is what segments are cut for. It passes every path that carries IPv6 with
// some tunnel around it.
const sendMTU = 1200

// plainKey finds a plain-KCP link: address and conversation. It holds no
// pointer, so the garbage collector does not look into the map's keys.
type plainKey struct {
	ip   [16]byte
	conv uint32
	port uint16
}

func keyOf(addr netip.AddrPort, conv uint32) plainKey {
	return plainKey{addr.Addr().As16(), conv, addr.Port()}
}

// plainLink is a link of plain KCP.
type plainLink struct{ kcpLink }

// plainLoop is plain KCP on a loop. Owned by the loop.
type plainLoop struct {
	kcpLoop
	table            map[uint64]*plainLink // by hash
	seed             maphash.Seed
	recentlyClosed   recentlyClosed[plainKey]
	unvalidated      strangers.Table[*plainLink] // links whose addresses are not validated
	unvalidatedEntry map[*plainLink]*strangers.Entry[*plainLink]
	resets           seal.Resets
}

func servePlain(l *Loop) error {
	c := &plainLoop{
		table: make(map[uint64]*plainLink), seed: maphash.MakeSeed(),
		unvalidatedEntry: make(map[*plainLink]*strangers.Entry[*plainLink]),
	}
	c.init(l, PlainKCP, c, sendMTU)
	return nil
}

// plainOf is plain KCP on a loop that has it.
func plainOf(l *Loop) *plainLoop { return l.datagrams[PlainKCP].(*plainLoop) }

func (c *plainLoop) links(yield func(*Link) bool) {
	for _, k := range c.table {
		if !yield(&k.Link) {
			return
		}
	}
}

func (c *plainLoop) receive(in *backend.Inbox) {
	for i := range in.N {
		if p, b := c.arrived(in, i); b != nil {
			c.datagram(p, b)
		}
	}
}

// datagram takes one datagram of the plain-KCP socket.
func (c *plainLoop) datagram(p path, b []byte) {
	conv, ok := kcp.ParseConv(b)
	if !ok {
		c.dropUnparsed(len(b) < kcp.HeaderSize)
		return
	}
	key := keyOf(p.addr, conv)
	k := c.table[c.hash(key)]
	switch {
	case k == nil:
		c.open(p, key, b)
	case k.conv != conv || k.addr != p.addr:
		c.l.stats.unknown.Add(1) // another link has its hash: once in 2^64 pairs
	default:
		k.input(p, b)
	}
}

// hash is what the table of links knows a plain link by. Half the size of the
// key itself, which counts with many links; the seed is the loop's secret, so
// no attacker can aim at the hash of another link.
func (c *plainLoop) hash(key plainKey) uint64 { return maphash.Comparable(c.seed, key) }

// input takes one datagram of the link.
func (k *plainLink) input(p path, b []byte) {
	l := k.loop
	if k.state&stateClosed != 0 {
		l.stats.unknown.Add(1)
		return
	}
	defer l.guard(&k.Link)
	if err := k.kcp.Input(l.now, b); err != nil {
		// Any sender can forge a datagram: it costs the link nothing.
		l.stats.malformed.Add(1)
		return
	}
	k.in += uint64(len(b))
	k.local = p.local
	k.state &^= stateLimited
	l.touch(&k.Link)
	k.deliver(0)
	if k.state&stateStarved != 0 {
		l.callWritable(&k.Link)
	}
}

// open decides whether b opens a link: SPEC 3.1.
func (c *plainLoop) open(p path, key plainKey, b []byte) {
	l, t := c.l, c.l.t
	if !kcp.Opens(b) || l.stopping || c.recentlyClosed.has(key, l.now) {
		l.stats.unknown.Add(1)
		c.reset(p, key.conv, b)
		return
	}
	from := p.addr.Addr()
	most := int64(t.cfg.maxPlainLinks())
	room := t.admission.take(PlainKCP)
	full := !room || c.unvalidated.Len() >= t.maxUnvalidated || t.admission.carriers[PlainKCP].open.Load() > most
	if t.admission.plain.full(from) || full && !c.evict() {
		t.admission.release(PlainKCP, from, false)
		t.admission.refuse(PlainKCP)
		return
	}
	k := &plainLink{kcpLink{Link: Link{loop: l, carrier: PlainKCP, addr: p.addr, local: p.local, conv: key.conv, received: l.now}}}
	k.self = k
	k.kcp.Init(key.conv, &c.cfg)
	c.table[c.hash(key)] = k
	c.unvalidatedEntry[k] = c.unvalidated.Add(strangers.Network(from, 24, 48), k)
	defer l.guard(&k.Link)
	if err := k.kcp.Input(l.now, b); err != nil {
		l.stats.malformed.Add(1)
		k.Close(err) // silently: OnOpen was not called
		return
	}
	t.admission.carriers[PlainKCP].opened.Add(1)
	k.in = uint64(len(b))
	l.touch(&k.Link)
	l.callOpen(&k.Link, [16]byte{})
	k.deliver(0)
}

// reset tells a peer that its link is no more: SPEC 3.8.
func (c *plainLoop) reset(p path, conv uint32, b []byte) {
	if conv == 0 { // none that a reset could name
		return
	}
	network := uint32(maphash.Comparable(c.seed, strangers.Network(p.addr.Addr(), 24, 48)))
	c.sendTo(p, c.resets.Answer(c.l.now, network, conv, b))
}

// evict closes the link that has waited longest for its address to be
// validated, of the network that has most of them: a network that opens links
// without end evicts its own, and a player needs no longer than a round trip. It
// reports whether there was one.
func (c *plainLoop) evict() bool {
	e := c.unvalidated.First()
	if e == nil {
		return false
	}
	c.removeUnvalidated(e.Value)
	c.l.stats.evicted.Add(1)
	e.Value.Close(ErrEvicted)
	return true
}

// removeUnvalidated takes k out of the links whose addresses are not validated.
func (c *plainLoop) removeUnvalidated(k *plainLink) {
	if e := c.unvalidatedEntry[k]; e != nil {
		c.unvalidated.Remove(e)
		delete(c.unvalidatedEntry, k)
	}
}

// validate lifts the anti-amplification limit, and counts the link for its address.
func (k *plainLink) validate() {
	l := k.loop
	plainOf(l).removeUnvalidated(k)
	if !l.t.admission.validate(k.addr.Addr(), l.now) {
		k.Close(ErrTooManyLinks) // not counted among those that are validated
		return
	}
	l.touch(&k.Link)
	k.state = k.state&^stateLimited | stateValidated
}

// forget removes a closed link and remembers its name for a while: a
// datagram that was late must not open it again. One that was evicted may.
func (k *plainLink) forget(err error) {
	l, c := k.loop, plainOf(k.loop)
	key := keyOf(k.addr, k.conv)
	delete(c.table, c.hash(key))
	if err != ErrEvicted {
		c.recentlyClosed.add(key, l.now)
	}
	c.removeUnvalidated(k)
	l.t.admission.release(PlainKCP, k.addr.Addr(), k.state&stateValidated != 0)
	k.kcp.Release()
}

// flush lets KCP fill datagrams with everything it has due.
func (k *plainLink) flush() bool {
	c := k.common()
	if c.blocked {
		return false
	}
	for {
		limit := sendMTU
		if k.state&stateValidated == 0 {
			budget := amplificationFactor*k.in - k.sent
			if budget < kcp.HeaderSize {
				k.amplificationLimited()
				return true
			}
			limit = int(min(budget, sendMTU))
		}
		slot := c.slot()
		if slot == nil {
			return false
		}
		b := k.kcp.Output(k.loop.now, slot, limit)
		if len(b) == 0 {
			if limit < sendMTU {
				k.amplificationLimited()
			}
			break
		}
		c.out.Push(k.addr, k.local, len(b))
		k.sent += uint64(len(b))
	}
	k.flushed()
	return true
}
