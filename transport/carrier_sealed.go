// SPDX-License-Identifier: MIT

package transport

import (
	"errors"
	"hash/maphash"
	"io"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/seal"
)

var (
	// errUnreliable closes a link whose peer sent as a datagram
	// what belongs into the stream.
	errUnreliable = errors.New("transport: a counted packet in a datagram")
	// errExhausted closes a link whose key has been used up.
	errExhausted = errors.New("transport: key used up")
)

// sealedLink is a link of sealed KCP.
type sealedLink struct {
	kcpLink
	seal      seal.Conn
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

// sealedLoop is sealed KCP on a loop. Owned by the loop, except for handover.
type sealedLoop struct {
	kcpLoop
	slots      slots[sealedLink]
	responder  *seal.Responder
	closing    closingList
	transients []*transient // spare ones
	handover   handover
}

func serveSealed(l *Loop) (err error) {
	c := &sealedLoop{}
	c.init(l, KCP, c, sealedCut)
	c.handover.seed = maphash.MakeSeed()
	c.slots.init(newIDLayout(len(l.t.loops), l.t.cfg.maxLinks()), l.index)
	c.responder, err = l.newResponder(idsOf{c})
	return err
}

// sealedOf is sealed KCP on a loop, nil if it is not served.
func sealedOf(l *Loop) *sealedLoop {
	c, _ := l.datagrams[KCP].(*sealedLoop)
	return c
}

func (c *sealedLoop) links(yield func(*Link) bool) {
	for i := range c.slots.table {
		if k := c.slots.table[i].k; k != nil && !yield(&k.Link) {
			return
		}
	}
}

// due returns when the next thing is due that belongs to no link.
func (c *sealedLoop) due() time.Duration {
	at := c.closing.due()
	if half := c.responder.Due(); half != 0 {
		at = min(at, half)
	}
	return at
}

// run does what is due for no link.
func (c *sealedLoop) run() {
	if c.due() <= c.l.now {
		c.responder.Expire(c.l.now)
		c.sendDueCloses()
	}
}

// idsOf gives a loop's connection ids to half-open links.
type idsOf struct{ c *sealedLoop }

// Reserve refuses while there is no room for another link.
func (i idsOf) Reserve() (uint32, bool) {
	if l := i.c.l; l.stopping || l.t.admission.full() {
		l.t.admission.refuse(KCP)
		return 0, false
	}
	return i.c.slots.take()
}

func (i idsOf) Free(id uint32) { i.c.slots.release(id) }

func (c *sealedLoop) receive(in *backend.Inbox) {
	for i := range in.N {
		if p, b := c.arrived(in, i); b != nil {
			c.datagram(p, b)
		}
	}
}

// datagram takes one datagram of the sealed socket. One that belongs to
// another loop is handed on; every loop answers handshakes.
func (c *sealedLoop) datagram(p path, b []byte) {
	l := c.l
	id, t, ok := seal.Parse(b)
	switch {
	case !ok:
		c.dropUnparsed(len(b) < seal.HeaderSize)
	case id == 0:
		answer, err := c.responder.Handle(l.now, p.addr, b) // refusals are counted there
		if err == seal.ErrRate {
			l.t.admission.tell(KCP, p.addr.Addr(), l.now)
		}
		c.sendTo(p, answer)
	case t != seal.TypeSealed && t != seal.TypeControl:
		l.stats.malformed.Add(1) // a reset, which is for clients
	default:
		owner := c.slots.layout.loop(id)
		switch {
		case owner == l.index:
			c.own(p, b)
		case owner < len(l.t.loops):
			c.handTo(sealedOf(l.t.loops[owner]), p, b)
		default:
			c.unknown(p, b)
		}
	}
}

// unknown tells a peer that its link is no more.
func (c *sealedLoop) unknown(p path, b []byte) {
	c.l.stats.unknown.Add(1)
	c.reset(p, b)
}

func (c *sealedLoop) reset(p path, b []byte) {
	c.sendTo(p, c.responder.Reset(c.l.now, p.addr, b))
}

// own takes a sealed datagram whose id names this loop.
func (c *sealedLoop) own(p path, b []byte) {
	id, t, _ := seal.Parse(b)
	at := c.slots.at(id)
	switch {
	case at == nil:
		c.unknown(p, b)
	case at.k == nil:
		c.open(p, t, b)
	case at.k.state&stateClosed != 0:
		c.l.stats.unknown.Add(1) // it is told in a moment
	default:
		c.input(at.k, p, t, b)
	}
}

// open takes the first datagram of a half-open link: SPEC 6.1.
func (c *sealedLoop) open(p path, t seal.PacketType, b []byte) {
	l := c.l
	confirmed, err := c.responder.Confirm(l.now, p.addr, b)
	if err != nil {
		if errors.Is(err, seal.ErrForged) {
			l.stats.forged.Add(1)
		} else {
			l.stats.unknown.Add(1)
		}
		return
	}
	id := confirmed.Conn.ID()
	if l.stopping || !l.t.admission.acquire(KCP, p.addr.Addr(), l.now, false) {
		c.slots.release(id)
		return
	}
	k := &sealedLink{
		kcpLink: kcpLink{Link: Link{loop: l, carrier: KCP, addr: p.addr, local: p.local, conv: id, received: l.now}},
		seal:    confirmed.Conn,
	}
	k.self = k
	if confirmed.Validated {
		k.state |= stateValidated
	}
	k.kcp.Init(id, &c.cfg)
	c.slots.at(id).k = k
	l.t.admission.carriers[KCP].opened.Add(1)
	l.touch(&k.Link)
	l.callOpen(&k.Link, confirmed.Nonce)
	if k.state&stateClosed == 0 {
		k.authentic(p, t, len(b), confirmed.First)
	}
}

// input feeds one datagram to the link that it names.
func (c *sealedLoop) input(k *sealedLink, p path, t seal.PacketType, b []byte) {
	o, err := k.seal.Open(b)
	switch {
	case err == nil:
		k.authentic(p, t, len(b), o)
	case errors.Is(err, seal.ErrReplay):
		c.l.stats.replayed.Add(1)
	case errors.Is(err, seal.ErrExhausted):
		k.Close(errExhausted)
	default:
		// Another sender's, or of a link that this id named before a restart.
		c.l.stats.forged.Add(1)
		c.reset(p, b)
	}
}

// authentic takes what an authentic datagram of the link says.
func (k *sealedLink) authentic(p path, t seal.PacketType, size int, o seal.Opened) {
	l := k.loop
	defer l.guard(&k.Link)
	k.in += uint64(size)
	k.state &^= stateLimited
	if p.addr != k.addr || k.state&stateValidated == 0 {
		k.otherPath(p, size, o.Newest)
	} else if o.Newest {
		k.local = p.local
		if k.transient != nil {
			k.transient.paths.ReceivedActive()
		}
	}
	if t == seal.TypeControl {
		k.control(p, o.Plain)
		return
	}
	frames, segments, err := seal.SplitPayload(o.Plain)
	if err != nil {
		l.stats.protocol.Add(1)
		k.Close(err)
		return
	}
	if len(frames) > 0 {
		k.datagramFrames(frames, o.Number)
	}
	if len(segments) > 0 && k.state&stateClosed == 0 {
		if err := k.kcp.Input(l.now, segments); err != nil {
			// None but the peer can have said it, and stock KCP never does.
			l.stats.protocol.Add(1)
			k.Close(err)
			return
		}
		l.touch(&k.Link)
		k.deliver(o.Number)
	}
	if k.state&stateStarved != 0 {
		l.callWritable(&k.Link)
	}
}

// datagramFrames hands up unreliable frames. Only whole ones come, of packets that
// are not counted.
func (k *sealedLink) datagramFrames(frames []byte, number uint64) {
	l := k.loop
	for b := frames; len(b) > 0 && !k.deaf(); {
		p, n, err := codec.ParseFrame(b, l.t.cfg.maxBody())
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
		l.h.OnPacket(&k.Link, p, Arrival{Number: number, Datagram: true})
	}
}

func (k *sealedLink) writeDatagram(frame []byte) bool {
	if len(frame) > sealedCut-1 {
		return false
	}
	if k.deaf() {
		return true
	}
	s := k.needTransient()
	if len(s.frames)+len(frame) > sealedCut-1 {
		k.sendFrames()
	}
	s.frames = k.loop.bufs.append(s.frames, frame)
	k.loop.touch(&k.Link)
	return true
}

// sendFrames sends the frames that wait, without KCP's company.
func (k *sealedLink) sendFrames() {
	s := k.transient
	if k.atLimit() {
		k.amplificationLimited()
	} else if slot := k.common().slot(); slot != nil {
		b := seal.AppendPayload(slot[:seal.HeaderSize], s.frames)
		k.send(b, seal.TypeSealed)
	} else {
		k.loop.stats.SendFailed.Add(1) // unreliable, and the socket is full
	}
	s.frames = s.frames[:0]
}

// atLimit reports whether the anti-amplification limit allows no full datagram.
func (k *sealedLink) atLimit() bool {
	return k.state&stateValidated == 0 && amplificationFactor*k.in < k.sent+seal.MaxDatagram
}

// send seals b, which lies in the slot that comes next, and sends it: to the
// peer's address, and to where it seems to have moved.
func (k *sealedLink) send(b []byte, t seal.PacketType) bool {
	d, err := k.seal.Seal(b, t)
	if err != nil {
		k.Close(errExhausted)
		return false
	}
	k.sent += uint64(len(d))
	k.common().out.Push(k.addr, k.local, len(d))
	if s := k.transient; s != nil {
		if to, ok := s.paths.MirrorTo(k.loop.now, len(d)); ok && to != k.addr {
			sealedOf(k.loop).sendTo(path{to, s.local}, d)
		}
	}
	return true
}

// flush sends what the link has due: unreliable frames and KCP's
// segments in one datagram, sealed where it lies.
func (k *sealedLink) flush() bool {
	c := k.common()
	if c.blocked {
		return false
	}
	k.checkMTU()
	for n := 0; ; n++ {
		if k.atLimit() {
			k.amplificationLimited()
			return true
		}
		slot := c.slot()
		if slot == nil {
			return false
		}
		var frames []byte
		if k.transient != nil {
			frames = k.transient.frames
		}
		b := seal.AppendPayload(slot[:seal.HeaderSize], frames)
		head := len(b)
		b = k.kcp.Output(k.loop.now, b, k.kcp.MTU()+seal.HeaderSize+1-head)
		if len(b) == head && len(frames) == 0 {
			break
		}
		if len(frames) > 0 {
			k.transient.frames = frames[:0]
		}
		if !k.send(b, seal.TypeSealed) {
			return true
		}
		if n == 1 {
			k.probeMTU() // there is more to say than fits into one
		}
	}
	k.dropTransient()
	k.flushed()
	return true
}

// validate does nothing: a sealed link validates by itself.
func (k *sealedLink) validate() {}

// needTransient returns k's transient, and gives it one if it has none.
func (k *sealedLink) needTransient() *transient {
	if k.transient == nil {
		c := sealedOf(k.loop)
		if n := len(c.transients); n > 0 {
			k.transient, c.transients = c.transients[n-1], c.transients[:n-1]
		} else {
			k.transient = new(transient)
		}
	}
	return k.transient
}

// dropTransient takes k's transient back once there is nothing in it.
func (k *sealedLink) dropTransient() {
	s := k.transient
	if s == nil || len(s.frames) > 0 || s.mtu != (mtuSearch{}) || !s.paths.Idle(k.loop.now) {
		return
	}
	k.transient = nil
	k.loop.bufs.put(s.frames)
	*s = transient{}
	if c := sealedOf(k.loop); len(c.transients) < 256 {
		c.transients = append(c.transients, s)
	}
}

// forget removes a closed link, which is then in the closing state.
func (k *sealedLink) forget(err error) {
	c := sealedOf(k.loop)
	c.slots.release(k.conv)
	k.loop.t.admission.release(KCP, k.addr.Addr(), true)
	if !errors.Is(err, io.EOF) { // else it was the peer that said it
		c.beginClosing(k, err)
	}
	if s := k.transient; s != nil {
		s.frames, s.paths, s.mtu = s.frames[:0], seal.Paths{}, mtuSearch{}
		k.dropTransient()
	}
	k.kcp.Release()
}

// beginClosing tells the peer that its link is closed, unless the peer did not
// acknowledge the last bytes. Such a peer is hardly there any more, and if it is, a
// reset answers what it sends next. When all players come back at once, each of
// their old links is of that kind.
func (c *sealedLoop) beginClosing(k *sealedLink, err error) {
	if errors.Is(err, ErrFinished) && k.waiting() > 0 {
		return
	}
	g := closingLink{to: k.addr, from: k.local, left: seal.CloseCopies}
	b := seal.Control{Kind: seal.ControlClose}.Append(g.b[:seal.HeaderSize], 0)
	if _, err := k.seal.Seal(b, seal.TypeControl); err != nil {
		return
	}
	c.sendClose(g)
	if c.l.stopping {
		c.sendClose(g) // the loop ends before it could be spread
	}
}

// sendClose sends a copy, and comes back to it for the next one.
func (c *sealedLoop) sendClose(g closingLink) {
	c.sendTo(path{g.to, g.from}, g.b[:])
	g.left--
	if g.left > 0 && !c.l.stopping {
		g.at = c.l.now + seal.CloseEvery
		c.closing.add(g)
	}
}

// sendDueCloses sends the copies that are due.
func (c *sealedLoop) sendDueCloses() {
	for range maxDue {
		g, ok := c.closing.next(c.l.now)
		if !ok {
			return
		}
		c.sendClose(g)
	}
}

// handTo gives a datagram to the loop that owns its link.
func (c *sealedLoop) handTo(owner *sealedLoop, p path, b []byte) {
	ok, wake := owner.handover.give(p, b)
	if !ok {
		c.l.stats.handoverFull.Add(1)
		return
	}
	c.l.stats.handedOver.Add(1)
	if wake {
		owner.l.queue.Wake()
	}
}

// handed reads what other loops have given.
func (c *sealedLoop) handed() {
	batch := c.handover.take()
	b := batch.bytes
	for _, d := range batch.list {
		c.own(d.path, b[:d.size:d.size])
		b = b[d.size:]
	}
}
