// SPDX-License-Identifier: MIT

package transport

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/kcp"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// sealedCut is what is left for KCP in the smallest datagram: the seal, and
// the length of no unreliable frames.
const sealedCut = seal.MaxDatagram - seal.Overhead - 1

var (
	// errUnreliable closes a link whose peer sent as a datagram
	// what belongs into the stream.
	errUnreliable = errors.New("transport: a counted packet in a datagram")
	// errExhausted closes a link whose key has been used up.
	errExhausted = errors.New("transport: key used up")
)

// sealedLink is a sealed Link, its KCP and its seal in one allocation.
type sealedLink struct {
	Link
	conn kcp.Conn
	part sealedPart
}

// sealedPart is what a sealed link has besides. Owned by the loop.
type sealedPart struct {
	seal.Conn
	transient *transient // nil while there is nothing of what it is for
}

// transient is what a link has only while it sends datagram frames, validates a
// path or probes its MTU. Owned by the link, or by the loop's list of spare ones.
type transient struct {
	frames []byte        // unreliable ones, for the next datagram
	paths  seal.Paths    // where the peer seems to have moved
	local  backend.Local // what it sent to from there
	mtu    mtuSearch     // for a larger datagram that the path carries
}

// sealedLoop is what a loop needs for sealed links. Owned by the loop.
type sealedLoop struct {
	slots      slots
	responder  *seal.Responder // nil if sealed KCP is not served
	closing    closingList
	transients []*transient // spare ones
}

// initSealed prepares the loops for sealed links.
func (t *Transport) initSealed() error {
	keys, err := t.cfg.serverKeys(t.log)
	if err != nil {
		return err
	}
	t.key = keys[0].Public()
	layout := newIDLayout(len(t.loops), t.cfg.maxLinks())
	for _, l := range t.loops {
		l.sealed.slots.init(layout, l.index)
		l.sealed.responder, err = seal.NewResponder(seal.Config{
			Keys:         keys,
			ResumeSecret: t.cfg.ResumeSecret,
			Greeting:     t.cfg.Greeting,
			IDs:          idsOf{l},
			AlwaysCookie: t.cfg.AlwaysCookie,
			CookieRate:   t.cfg.CookieRate,
			Over:         t.over.has,
		})
		if err != nil {
			return fmt.Errorf("transport: %w", err)
		}
	}
	return nil
}

// sealedDue returns when the next thing is due that belongs to no link.
func (l *Loop) sealedDue() time.Duration {
	s := &l.sealed
	if s.responder == nil {
		return Never
	}
	at := s.closing.due()
	if half := s.responder.Due(); half != 0 {
		at = min(at, half)
	}
	return at
}

// ResumeKey returns what opens further sealed links of a session without
// public-key cryptography: Config.ResumeSecret. Only a sealed link may carry it
// to the client. It is zero where there are none.
func (l *Loop) ResumeKey(session [16]byte) (key [32]byte) {
	if l.sealed.responder != nil {
		key = l.sealed.responder.ResumeKey(session)
	}
	return key
}

// EndKey says that a session is over: its ResumeKey opens no more links, on any
// loop. The latest 65,536 of them are remembered. Safe to call from any goroutine.
func (l *Loop) EndKey(session [16]byte) {
	if l.sealed.responder != nil {
		l.t.over.add(session)
	}
}

// runSealed does what is due for no link.
func (l *Loop) runSealed() {
	if l.sealedDue() <= l.now {
		l.sealed.responder.Expire(l.now)
		l.sendDueCloses()
	}
}

// idsOf gives a loop's connection ids to half-open links.
type idsOf struct{ l *Loop }

// Reserve refuses while there is no room for another link.
func (i idsOf) Reserve() (uint32, bool) {
	if l := i.l; l.stopping || l.t.admission.full() {
		l.t.admission.refuse(KCP)
		return 0, false
	}
	return i.l.sealed.slots.take()
}

func (i idsOf) Free(id uint32) { i.l.sealed.slots.release(id) }

// sealedDatagram takes one datagram of the sealed socket. One that belongs to
// another loop is handed on; every loop answers handshakes.
func (l *Loop) sealedDatagram(from netip.AddrPort, b []byte) {
	id, t, ok := seal.Parse(b)
	switch {
	case !ok:
		l.dropUnparsed(b)
	case id == 0:
		answer, _ := l.sealed.responder.Handle(l.now, from, b) // refusals are counted there
		l.sendTo(from, l.asked, answer)
	case t != seal.TypeSealed && t != seal.TypeControl:
		l.stats.malformed.Add(1) // a reset, which is for clients
	default:
		owner := l.sealed.slots.layout.loop(id)
		switch {
		case owner == l.index:
			l.ownDatagram(from, b)
		case owner < len(l.t.loops):
			l.handTo(l.t.loops[owner], from, b)
		default:
			l.unknownSealed(from, b)
		}
	}
}

func (l *Loop) dropUnparsed(b []byte) {
	if len(b) < seal.HeaderSize {
		l.stats.short.Add(1)
	} else {
		l.stats.malformed.Add(1)
	}
}

// unknownSealed tells a peer that its link is no more.
func (l *Loop) unknownSealed(from netip.AddrPort, b []byte) {
	l.stats.unknown.Add(1)
	l.sendTo(from, l.asked, l.sealed.responder.Reset(l.now, from, b))
}

// sendTo sends a datagram that belongs to no link, or follows one of a link. It is lost
// if the socket is full: the peer asks again.
func (l *Loop) sendTo(to netip.AddrPort, from backend.Local, b []byte) {
	if len(b) == 0 {
		return
	}
	if slot := l.slot(sealedWire); slot != nil {
		l.out[sealedWire].Push(to, from, len(append(slot, b...)))
	}
}

// ownDatagram takes a sealed datagram whose id names this loop.
func (l *Loop) ownDatagram(from netip.AddrPort, b []byte) {
	id, t, _ := seal.Parse(b)
	at := l.sealed.slots.at(id)
	switch {
	case at == nil:
		l.unknownSealed(from, b)
	case at.k == nil:
		l.openSealed(from, t, b)
	case at.k.state&stateClosed != 0:
		l.stats.unknown.Add(1) // it is told in a moment
	default:
		l.inputSealed(at.k, from, t, b)
	}
}

// openSealed takes the first datagram of a half-open link: SPEC 6.1.
func (l *Loop) openSealed(from netip.AddrPort, t seal.PacketType, b []byte) {
	c, err := l.sealed.responder.Confirm(l.now, from, b)
	if err != nil {
		if errors.Is(err, seal.ErrForged) {
			l.stats.forged.Add(1)
		} else {
			l.stats.unknown.Add(1)
		}
		return
	}
	id := c.Conn.ID()
	if l.stopping || !l.t.admission.acquire(KCP, from.Addr(), l.now) {
		l.sealed.slots.release(id)
		return
	}
	p := &sealedLink{
		Link: Link{loop: l, carrier: KCP, addr: from, local: l.asked, conv: id, received: l.now},
		part: sealedPart{Conn: c.Conn},
	}
	k := &p.Link
	if c.Validated {
		k.state |= stateValidated
	}
	k.kcp, k.sealed = &p.conn, &p.part
	k.kcp.Init(id, &l.kcp[sealedWire].cfg)
	l.sealed.slots.at(id).k = k
	l.t.admission.carriers[KCP].opened.Add(1)
	l.touch(k)
	l.callOpen(k, c.Nonce)
	if k.state&stateClosed == 0 {
		l.authentic(k, from, t, len(b), c.First)
	}
}

// inputSealed feeds one datagram to the link that it names.
func (l *Loop) inputSealed(k *Link, from netip.AddrPort, t seal.PacketType, b []byte) {
	o, err := k.sealed.Open(b)
	switch {
	case err == nil:
		l.authentic(k, from, t, len(b), o)
	case errors.Is(err, seal.ErrReplay):
		l.stats.replayed.Add(1)
	case errors.Is(err, seal.ErrExhausted):
		k.Close(errExhausted)
	default:
		// Somebody else's, or of a link that this id named before a restart.
		l.stats.forged.Add(1)
		l.sendTo(from, l.asked, l.sealed.responder.Reset(l.now, from, b))
	}
}

// authentic takes what an authentic datagram of k says.
func (l *Loop) authentic(k *Link, from netip.AddrPort, t seal.PacketType, size int, o seal.Opened) {
	defer l.guard(k)
	k.in += uint64(size)
	k.state &^= stateLimited
	if from != k.addr || k.state&stateValidated == 0 {
		l.pathOf(k, from, size, o.Newest)
	} else if o.Newest {
		k.local = l.asked
		if k.sealed.transient != nil {
			k.sealed.transient.paths.ReceivedActive()
		}
	}
	if t == seal.TypeControl {
		l.control(k, from, o.Plain)
		return
	}
	frames, segments, err := seal.SplitPayload(o.Plain)
	if err != nil {
		l.stats.protocol.Add(1)
		k.Close(err)
		return
	}
	if len(frames) > 0 {
		l.datagramFrames(k, frames, o.Number)
	}
	if len(segments) > 0 && k.state&stateClosed == 0 {
		if err := k.kcp.Input(l.now, segments); err != nil {
			// Nobody but the peer can have said it, and stock KCP never does.
			l.stats.protocol.Add(1)
			k.Close(err)
			return
		}
		l.touch(k)
		l.deliver(k, o.Number)
	}
	if k.state&stateStarved != 0 {
		l.callWritable(k)
	}
}

// datagramFrames hands up unreliable frames. Only whole ones come, of packets that
// are not counted.
func (l *Loop) datagramFrames(k *Link, frames []byte, number uint64) {
	for b := frames; len(b) > 0 && !k.deaf(); {
		p, n, err := parseFrame(b, l.t.cfg.maxBody())
		if err == nil && (n == 0 || p.Kind != codec.Datagram && p.Kind != codec.Heartbeat) {
			err = errUnreliable
		}
		if err != nil {
			l.stats.protocol.Add(1)
			k.Close(err)
			return
		}
		b = b[n:]
		k.received = l.now
		l.stats.packets++
		l.h.OnPacket(k, p, Arrival{Number: number, Datagram: true})
	}
}

// WriteDatagram sends one whole frame, a Datagram or a heartbeat that is not
// in-band, as a datagram: once at most, and in no order. It reports false,
// and has done nothing, where that can't be: on a carrier without such a
// channel, and for a frame that fits into no datagram. The caller then sends
// the ordinary way.
func (k *Link) WriteDatagram(frame []byte) bool {
	if k.sealed == nil || len(frame) > sealedCut-1 {
		return false
	}
	if k.deaf() {
		return true
	}
	l := k.loop
	s := l.transientOf(k)
	if len(s.frames)+len(frame) > sealedCut-1 {
		l.sendFrames(k)
	}
	s.frames = l.bufs.append(s.frames, frame)
	l.touch(k)
	return true
}

// sendFrames sends the frames that wait, without KCP's company.
func (l *Loop) sendFrames(k *Link) {
	s := k.sealed.transient
	if k.state&stateValidated == 0 && amplificationFactor*k.in < k.sent+seal.MaxDatagram {
		l.amplificationLimited(k)
	} else if slot := l.slot(sealedWire); slot != nil {
		b := seal.AppendPayload(slot[:seal.HeaderSize], s.frames)
		l.seal(k, b, seal.TypeSealed)
	} else {
		l.stats.SendFailed.Add(1) // unreliable, and the socket is full
	}
	s.frames = s.frames[:0]
}

// seal seals b, which lies in the slot that comes next, and sends it: to the
// peer's address, and to where it seems to have moved.
func (l *Loop) seal(k *Link, b []byte, t seal.PacketType) bool {
	d, err := k.sealed.Seal(b, t)
	if err != nil {
		k.Close(errExhausted)
		return false
	}
	k.sent += uint64(len(d))
	out := &l.out[sealedWire]
	out.Push(k.addr, k.local, len(d))
	if s := k.sealed.transient; s != nil {
		if to, ok := s.paths.MirrorTo(l.now, len(d)); ok && to != k.addr {
			l.sendTo(to, s.local, d)
		}
	}
	return true
}

// flushSealed sends what the link has due: unreliable frames and KCP's
// segments in one datagram, sealed where it lies. It returns false when there
// is no place for it now.
func (l *Loop) flushSealed(k *Link) bool {
	p := k.sealed
	for n := 0; ; n++ {
		if k.state&stateValidated == 0 && amplificationFactor*k.in < k.sent+seal.MaxDatagram {
			l.amplificationLimited(k)
			return true
		}
		slot := l.slot(sealedWire)
		if slot == nil {
			return false
		}
		var frames []byte
		if p.transient != nil {
			frames = p.transient.frames
		}
		b := seal.AppendPayload(slot[:seal.HeaderSize], frames)
		head := len(b)
		b = k.kcp.Output(l.now, b, k.kcp.MTU()+seal.HeaderSize+1-head)
		if len(b) == head && len(frames) == 0 {
			break
		}
		if len(frames) > 0 {
			p.transient.frames = frames[:0]
		}
		if !l.seal(k, b, seal.TypeSealed) {
			return true
		}
		if n == 1 {
			l.probeMTU(k) // there is more to say than fits into one
		}
	}
	l.dropTransient(k)
	l.flushed(k)
	return true
}

// transientOf returns k's transient, and gives it one if it has none.
func (l *Loop) transientOf(k *Link) *transient {
	if k.sealed.transient == nil {
		if n := len(l.sealed.transients); n > 0 {
			k.sealed.transient, l.sealed.transients = l.sealed.transients[n-1], l.sealed.transients[:n-1]
		} else {
			k.sealed.transient = new(transient)
		}
	}
	return k.sealed.transient
}

// dropTransient takes k's transient back once there is nothing in it.
func (l *Loop) dropTransient(k *Link) {
	s := k.sealed.transient
	if s == nil || len(s.frames) > 0 || s.mtu != (mtuSearch{}) || !s.paths.Idle(l.now) {
		return
	}
	k.sealed.transient = nil
	l.bufs.put(s.frames)
	*s = transient{}
	if len(l.sealed.transients) < 256 {
		l.sealed.transients = append(l.sealed.transients, s)
	}
}

// forgetSealed removes a closed link, which is then in the closing state.
func (l *Loop) forgetSealed(k *Link, err error) {
	p := k.sealed
	l.sealed.slots.release(k.conv)
	l.t.admission.release(KCP, k.addr.Addr(), true)
	if !errors.Is(err, io.EOF) { // else it was the peer who said it
		l.beginClosing(k, err)
	}
	if p.transient != nil {
		p.transient.frames, p.transient.paths, p.transient.mtu = p.transient.frames[:0], seal.Paths{}, mtuSearch{}
		l.dropTransient(k)
	}
	k.kcp.Release()
}

// beginClosing tells the peer that its link is closed, unless the peer did not
// acknowledge the last bytes. Such a peer is hardly there any more, and if it is, a
// reset answers what it sends next. When all players come back at once, each of
// their old links is of that kind.
func (l *Loop) beginClosing(k *Link, err error) {
	if errors.Is(err, ErrFinished) && k.waiting() > 0 {
		return
	}
	g := closingLink{to: k.addr, from: k.local, left: seal.CloseCopies}
	b := seal.Control{Kind: seal.ControlClose}.Append(g.b[:seal.HeaderSize], 0)
	if _, err := k.sealed.Seal(b, seal.TypeControl); err != nil {
		return
	}
	l.sendClose(g)
	if l.stopping {
		l.sendClose(g) // the loop ends before it could be spread
	}
}

// sendClose sends a copy, and comes back to it for the next one.
func (l *Loop) sendClose(g closingLink) {
	l.sendTo(g.to, g.from, g.b[:])
	g.left--
	if g.left > 0 && !l.stopping {
		g.at = l.now + seal.CloseEvery
		l.sealed.closing.add(g)
	}
}

// sendDueCloses sends the copies that are due.
func (l *Loop) sendDueCloses() {
	for range maxDue {
		g, ok := l.sealed.closing.next(l.now)
		if !ok {
			return
		}
		l.sendClose(g)
	}
}
