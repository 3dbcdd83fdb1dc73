// SPDX-License-Identifier: MIT

package transport

import (
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/internal/strangers"
	"github.com/lifeline-go/lifeline/transport/kcp"
)

const (
	// sendMTU is what segments are cut for. It passes every path that carries
	// IPv6 with some tunnel around it.
	sendMTU = 1200
	// amplificationFactor is the anti-amplification limit: an address that is not
	// validated is sent at most so many times what came from it. RFC 9000 8, SPEC 3.2.
	amplificationFactor = 3
)

func parseFrame(b []byte, maxBody int) (codec.Packet, int, error) {
	return codec.ParseFrame(b, maxBody)
}

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

// plainLink is a Link and its KCP in one allocation.
type plainLink struct {
	Link
	conn kcp.Conn
}

// kcpShared is what all KCP links on one wire of a loop share. Owned by the loop.
type kcpShared struct {
	cfg      kcp.Config
	capacity int // bytes that an empty connection takes
}

func (s *kcpShared) init(c *Config, cut int) {
	// The window must hold what Link.Write takes.
	capacity := c.sendBuffer() + c.maxFrame()
	window := capacity/(cut-kcp.HeaderSize) + 2
	s.cfg = kcp.Config{
		Cut:        cut,
		SendWindow: window,
		FastResend: 2,
		Pool:       kcp.NewPool(0),
	}
	var probe kcp.Conn
	probe.Init(0, &s.cfg)
	s.capacity = probe.Room()
}

func (s *kcpShared) setExtra(extra time.Duration) { s.cfg.ExtraRTO = extra }

// plainDatagram takes one datagram of the plain-KCP socket.
func (l *Loop) plainDatagram(from netip.AddrPort, b []byte) {
	conv, ok := kcp.ParseConv(b)
	if !ok {
		if len(b) < kcp.HeaderSize {
			l.stats.short.Add(1)
		} else {
			l.stats.malformed.Add(1)
		}
		return
	}
	key := keyOf(from, conv)
	k := l.plain[l.hash(key)]
	switch {
	case k == nil:
		l.openPlain(from, key, b)
	case k.conv != conv || k.addr != from:
		l.stats.unknown.Add(1) // another link has its hash: once in 2^64 pairs
	default:
		l.inputPlain(k, b)
	}
}

// hash is what the table of links knows a plain link by. Half the size of the
// key itself, which counts with many links; the seed is the loop's secret, so
// nobody can aim at the hash of somebody else.
func (l *Loop) hash(key plainKey) uint64 { return maphash.Comparable(l.seed, key) }

// inputPlain feeds one datagram to the link that it names.
func (l *Loop) inputPlain(k *Link, b []byte) {
	if k.state&stateClosed != 0 {
		l.stats.unknown.Add(1)
		return
	}
	defer l.guard(k)
	if err := k.kcp.Input(l.now, b); err != nil {
		// Anybody can forge a datagram: it costs the link nothing.
		l.stats.malformed.Add(1)
		return
	}
	k.in += uint64(len(b))
	k.local = l.asked
	k.state &^= stateLimited
	l.touch(k)
	l.deliver(k, 0)
	if k.state&stateStarved != 0 {
		l.callWritable(k)
	}
}

// openPlain decides whether b opens a link: SPEC 3.1.
func (l *Loop) openPlain(from netip.AddrPort, key plainKey, b []byte) {
	if !kcp.Opens(b) || l.stopping || l.recentlyClosed.has(key, l.now) {
		l.stats.unknown.Add(1)
		return
	}
	t := l.t
	if !t.admission.acquirePlain() {
		return
	}
	most := int64(t.cfg.maxPlainLinks())
	full := l.unvalidated.Len() >= t.maxUnvalidated || t.admission.carriers[PlainKCP].open.Load() > most
	if full && !l.evictPlain() || t.admission.plain.full(from.Addr()) {
		t.admission.release(PlainKCP, from.Addr(), false)
		t.admission.refuse(PlainKCP)
		return
	}
	p := &plainLink{Link: Link{loop: l, carrier: PlainKCP, addr: from, local: l.asked, conv: key.conv, received: l.now}}
	k := &p.Link
	k.kcp = &p.conn
	k.kcp.Init(key.conv, &l.kcp[plainWire].cfg)
	l.plain[l.hash(key)] = k
	l.unvalidatedEntry[k] = l.unvalidated.Add(strangers.Network(from.Addr(), 24, 48), k)
	defer l.guard(k)
	if err := k.kcp.Input(l.now, b); err != nil {
		l.stats.malformed.Add(1)
		k.Close(err) // silently: OnOpen was not called
		return
	}
	t.admission.carriers[PlainKCP].opened.Add(1)
	k.in = uint64(len(b))
	l.touch(k)
	l.callOpen(k, [16]byte{})
	l.deliver(k, 0)
}

// evictPlain closes the link that has waited longest for its address to be
// validated, of the network that has most of them: a network that opens links
// without end evicts its own, and a player needs no longer than a round trip. It
// reports whether there was one.
func (l *Loop) evictPlain() bool {
	e := l.unvalidated.First()
	if e == nil {
		return false
	}
	l.removeUnvalidated(e.Value)
	l.stats.evicted.Add(1)
	e.Value.Close(ErrEvicted)
	return true
}

// removeUnvalidated takes k out of the links whose addresses are not validated.
func (l *Loop) removeUnvalidated(k *Link) {
	if e := l.unvalidatedEntry[k]; e != nil {
		l.unvalidated.Remove(e)
		delete(l.unvalidatedEntry, k)
	}
}

// forgetPlain removes a closed link and remembers its name for a while: a
// datagram that was late must not open it again. One that was evicted may.
func (l *Loop) forgetPlain(k *Link, err error) {
	key := keyOf(k.addr, k.conv)
	delete(l.plain, l.hash(key))
	if err != ErrEvicted {
		l.recentlyClosed.add(key, l.now)
	}
	l.removeUnvalidated(k)
	l.t.admission.release(PlainKCP, k.addr.Addr(), k.state&stateValidated != 0)
	k.kcp.Release()
}

// deliver cuts what KCP has in order into frames. A frame that spans segments
// is put together in k.part, so that KCP's window never has to hold one. What is
// left of a partial frame counts.
func (l *Loop) deliver(k *Link, number uint64) {
	packets := l.stats.packets
	for b := k.kcp.Peek(); len(b) > 0; b = k.kcp.Peek() {
		k.received = l.now
		if k.deaf() {
			k.kcp.Discard(len(b))
			continue
		}
		used := 0
		if k.part != nil {
			used = l.complete(k, b, number)
		}
		used += l.frames(k, b[used:], number)
		if rest := b[used:]; len(rest) > 0 {
			k.part = l.bufs.extend(k.part, rest)
		}
		k.kcp.Discard(len(b))
	}
	l.notePartial(k, l.stats.packets != packets)
}

// complete adds to k.part what its frame still needs and hands the frame up.
// It returns how much of b that took.
func (l *Loop) complete(k *Link, b []byte, number uint64) (used int) {
	maxBody := l.t.cfg.maxBody()
	for used < len(b) {
		have := len(k.part.b)
		size, err := codec.FrameSize(k.part.b, maxBody)
		if err != nil {
			break // frames says it again, and closes
		}
		if size == have {
			break
		}
		n := 1 // until the length is known
		if size > 0 {
			n = min(size-have, len(b)-used)
		}
		k.part = l.bufs.extend(k.part, b[used:used+n])
		used += n
	}
	part := k.part
	if l.frames(k, part.b, number) > 0 {
		k.part = nil
		l.bufs.drop(part)
	}
	return used
}

// flushPlain lets KCP fill datagrams with everything it has due. It returns
// false when there is no place for them now.
func (l *Loop) flushPlain(k *Link) bool {
	for {
		limit := sendMTU
		if k.state&stateValidated == 0 {
			budget := amplificationFactor*k.in - k.sent
			if budget < kcp.HeaderSize {
				l.amplificationLimited(k)
				return true
			}
			limit = int(min(budget, sendMTU))
		}
		slot := l.slot(plainWire)
		if slot == nil {
			return false
		}
		b := k.kcp.Output(l.now, slot, limit)
		if len(b) == 0 {
			if limit < sendMTU {
				l.amplificationLimited(k)
			}
			break
		}
		l.out[plainWire].Push(k.addr, k.local, len(b))
		k.sent += uint64(len(b))
	}
	l.flushed(k)
	return true
}

// flushed sees to a KCP link whose output is out: it may have failed, or be
// finished, and else is due again some time.
func (l *Loop) flushed(k *Link) {
	err := k.kcp.Err()
	if err == nil && k.state&stateFinishing != 0 && k.waiting() == 0 {
		err = ErrFinished
	}
	if err != nil {
		k.Close(err)
		return
	}
	l.timers.schedule(k, k.deadline(l.now))
}

// amplificationLimited notes that k has something to send that the anti-amplification
// limit does not allow yet. Input changes that, time does not.
func (l *Loop) amplificationLimited(k *Link) {
	if k.kcp.Pending() && k.state&stateLimited == 0 {
		k.state |= stateLimited
		l.stats.amplificationLimited.Add(1)
	}
}
