// SPDX-License-Identifier: MIT

package transport

import (
	"net/netip"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/kcp"
)

const (
	// amplificationFactor is the anti-amplification limit: an address that is not
	// validated is sent at most so many times what came from it. RFC 9000 8, SPEC 3.2.
	amplificationFactor = 3
	// silentTime without an acknowledgement of what needs one makes a peer
	// that is told its last words once, and not waited for.
	silentTime = 500 * time.Millisecond
)

// kcpLoop is what a KCP carrier has on a loop: its socket's outbox, and what its links
// share. Owned by the loop.
type kcpLoop struct {
	l        *Loop
	out      backend.Outbox
	blocked  bool // the socket took no more in this batch
	cfg      kcp.Config
	capacity int // bytes that an empty connection takes
}

// init makes a kcpLoop of c, which self embeds, and gives self to the loop. cut is how
// much of KCP goes into one datagram at first.
func (c *kcpLoop) init(l *Loop, of Carrier, self datagramCarrier, cut int) {
	l.datagrams[of], l.kcp[of] = self, c
	c.l = l
	c.out.Init(int(of))
	// The window must hold what Link.Write takes.
	capacity := l.t.cfg.sendBuffer() + l.t.cfg.maxFrame()
	c.cfg = kcp.Config{
		Cut:        cut,
		SendWindow: capacity/(cut-kcp.HeaderSize) + 2,
		FastResend: 2,
		Pool:       kcp.NewPool(0),
	}
	var probe kcp.Conn
	probe.Init(0, &c.cfg)
	c.capacity = probe.Room()
}

func (c *kcpLoop) handed()            {}
func (c *kcpLoop) due() time.Duration { return Never }
func (c *kcpLoop) run()               {}

// sendTo sends a datagram that belongs to no link, or follows one of a link. It is lost
// if the socket is full: the peer asks again.
func (c *kcpLoop) sendTo(p path, b []byte) {
	if len(b) == 0 {
		return
	}
	if slot := c.slot(); slot != nil {
		c.out.Push(p.addr, p.local, len(append(slot, b...)))
	}
}

// arrived counts a datagram and returns it, and nil if it is too long.
func (c *kcpLoop) arrived(in *backend.Inbox, i int) (p path, b []byte) {
	c.l.stats.datagramsIn++
	if in.Size[i] > backend.MaxDatagram {
		c.l.stats.large.Add(1)
		return p, nil
	}
	from := in.From[i]
	return path{netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), in.To[i]}, in.Datagram(i)
}

// dropUnparsed counts a datagram that is none of the carrier's.
func (c *kcpLoop) dropUnparsed(short bool) {
	if short {
		c.l.stats.short.Add(1)
	} else {
		c.l.stats.malformed.Add(1)
	}
}

// slot returns memory for the next datagram, nil when the socket takes no more for
// now.
func (c *kcpLoop) slot() []byte {
	b := c.out.Slot()
	if b == nil {
		c.send()
		b = c.out.Slot()
	}
	return b
}

// send hands the collected datagrams to the socket.
func (c *kcpLoop) send() {
	if c.out.Empty() || c.blocked {
		return
	}
	if !c.l.below.Send(&c.out) {
		c.blocked = true
		c.l.stats.blocked++
	}
}

// kcpLink is a Link and its KCP in one allocation.
type kcpLink struct {
	Link
	kcp kcp.Conn
}

// common is what the link's carrier has on its loop.
func (k *kcpLink) common() *kcpLoop { return k.loop.kcp[k.carrier] }

func (k *kcpLink) waiting() int { return max(k.common().capacity-k.kcp.Room(), 0) }

func (k *kcpLink) write(frames []byte) bool { return k.kcp.Write(frames) == nil }

func (k *kcpLink) writeDatagram([]byte) bool { return false }

func (k *kcpLink) finish(_ uint16, left bool) time.Duration {
	k.kcp.Slow(finishTime / 2)
	if left || k.kcp.Silence(k.loop.now) >= silentTime {
		return finishUnit // this batch still says them
	}
	return finishTime
}

func (k *kcpLink) deadline(now time.Duration) time.Duration {
	if k.state&stateValidated == 0 {
		// Only input helps. A peer that is there sends again. To resend to every
		// address that has sent one datagram makes a login storm worse.
		return Never
	}
	return k.kcp.NextDeadline(now)
}

func (k *kcpLink) due()            { k.loop.touch(&k.Link) } // flush sends what is due
func (k *kcpLink) partial() int    { return k.kcp.Early() }
func (k *kcpLink) malformed(error) {}

func (k *kcpLink) rtt() time.Duration { return k.kcp.SRTT() }

func (k *kcpLink) stats(s *LinkStats) {
	c := k.kcp.Stats()
	s.SRTT, s.RTTVar, s.RTO, s.Retransmits = c.SRTT, c.RTTVar, c.RTO, uint64(c.Retransmits)
}

// deliver cuts what KCP has in order into frames. A frame that spans segments
// is put together in k.part, so that KCP's window never has to hold one. What is
// left of a partial frame counts. number is that of the datagram: Arrival.
func (k *kcpLink) deliver(number uint64) {
	l := k.loop
	packets := l.stats.packets
	for b := k.kcp.Peek(); len(b) > 0; b = k.kcp.Peek() {
		k.received = l.now
		if k.deaf() {
			k.kcp.Discard(len(b))
			continue
		}
		used := 0
		if k.part != nil {
			used = k.complete(b, number)
		}
		used += l.frames(&k.Link, b[used:], number)
		if rest := b[used:]; len(rest) > 0 {
			k.part = l.bufs.extend(k.part, rest)
		}
		k.kcp.Discard(len(b))
	}
	l.notePartial(&k.Link, l.stats.packets != packets)
}

// complete adds to k.part what its frame still needs and hands the frame up.
// It returns how much of b that took.
func (k *kcpLink) complete(b []byte, number uint64) (used int) {
	l := k.loop
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
	if l.frames(&k.Link, part.b, number) > 0 {
		k.part = nil
		l.bufs.drop(part)
	}
	return used
}

// flushed sees to a link whose output is out: it may have failed, or be
// finished, and else is due again some time.
func (k *kcpLink) flushed() {
	err := k.kcp.Err()
	if err == nil && k.state&stateFinishing != 0 && k.waiting() == 0 {
		err = ErrFinished
	}
	if err != nil {
		k.Close(err)
		return
	}
	k.loop.timers.schedule(&k.Link, k.dueAt(k.loop.now))
}

// amplificationLimited notes that the link has something to send that the
// anti-amplification limit does not allow yet. Input changes that, time does not.
func (k *kcpLink) amplificationLimited() {
	if k.kcp.Pending() && k.state&stateLimited == 0 {
		k.state |= stateLimited
		k.loop.stats.amplificationLimited.Add(1)
	}
}
