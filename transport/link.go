// SPDX-License-Identifier: MIT

package transport

import (
	"errors"
	"net/netip"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/kcp"
)

// Why a link closed, besides what codec and the sockets report. A peer that
// closes in an orderly way is io.EOF.
var (
	// ErrStopped is what Post returns once Stop was called, and why Stop closes a link.
	ErrStopped = errors.New("transport: stopped")
	// ErrPanic closes a link whose callback, or whose own code, panicked.
	ErrPanic = errors.New("transport: panic while serving the link")
	// ErrOverflow closes a link whose owner wrote far beyond Available.
	ErrOverflow = errors.New("transport: written beyond the send buffer")
	// ErrTooManyLinks closes a plain-KCP link whose address has enough of them, or
	// opens them too fast.
	ErrTooManyLinks = errors.New("transport: too many links from one address")
	// ErrEvicted closes a plain-KCP link whose address was not validated, to make
	// room for another.
	ErrEvicted = errors.New("transport: evicted for another link")
	// ErrOverBudget closes the link that has kept partial frames for longest when
	// those of all links are over Config.ReceiveBytes.
	ErrOverBudget = errors.New("transport: partial frames over budget")
	// ErrFinished closes a link after Finish.
	ErrFinished = errors.New("transport: finished")
)

const (
	// finishTime bounds how long Finish tries to get the last bytes across.
	finishTime = 2 * time.Second
	// silentTime without an acknowledgement of what needs one makes a peer
	// that is told its last words once, and not waited for.
	silentTime = 500 * time.Millisecond
)

// linkState is a set of bits.
type linkState uint8

const (
	stateOpened    linkState = 1 << iota // OnOpen was called: OnClose is owed
	stateClosed                          // Close was called, or the carrier broke
	stateFinishing                       // Finish was called
	stateStarved                         // less than half of the room was left: OnWritable is owed
	stateDirty                           // in the loop's dirty list
	stateValidated                       // the peer has shown that it owns its address
	stateLimited                         // at the anti-amplification limit, waits for input
	statePartial                         // in the loop's partials
)

// Link is one live carrier connection. Owned by its loop. Loop and Carrier
// never change and are safe to call from any goroutine.
type Link struct {
	Value any // the handler's state for this link

	loop   *Loop
	kcp    *kcp.Conn   // KCP, plain or sealed: points into the same allocation
	sealed *sealedPart // sealed KCP: points into the same allocation
	tcp    *tcpPart    // TCP: points into the same allocation
	part   *part       // KCP: the beginning of a frame that spans segments
	addr   netip.AddrPort

	received time.Duration
	in, sent uint64 // bytes of datagrams, or of the stream
	heapAt   int32  // 1 + place in the timer heap, 0 when not there
	conv     uint32
	finish   uint32 // stateFinishing: until when, in finishUnits
	carrier  Carrier
	state    linkState
	local    backend.Local // KCP: what the peer sends to, and is answered from
}

// finishUnit is the unit of Link.finish, which has four bytes for four years.
const finishUnit = time.Second / 32

func (k *Link) finishAt() time.Duration { return time.Duration(k.finish) * finishUnit }

// LinkStats is what a link knows about its path.
type LinkStats struct {
	SRTT, RTTVar, RTO time.Duration // KCP only
	Retransmits       uint64        // KCP only
	BytesIn, BytesOut uint64        // payload of datagrams, or bytes of the stream
}

// Loop returns the loop that owns the link.
func (k *Link) Loop() *Loop { return k.loop }

// Carrier returns what carries the link.
func (k *Link) Carrier() Carrier { return k.carrier }

// RemoteAddr returns the peer's address. On sealed KCP it may change: see
// Handler.OnMigrate.
func (k *Link) RemoteAddr() netip.AddrPort { return k.addr }

// LastReceive returns when anything last came that was written above the peer's
// carrier: bytes of the stream, in order and be they part of a frame, or a datagram
// frame. What a carrier says by itself is none: acknowledgements and probes
// of KCP, segments ahead of one that is missing, pings and pongs of WebSocket.
func (k *Link) LastReceive() time.Duration { return k.received }

// waiting is how many bytes were written and are not on their way (TCP) or
// not acknowledged (KCP).
func (k *Link) waiting() int {
	if k.kcp != nil {
		return max(k.loop.kcp[k.wire()].capacity-k.kcp.Room(), 0)
	}
	return len(k.tcp.out) + k.tcp.stream.OutboundBuffered()
}

// half reports whether at least half of the send buffer is free.
func (k *Link) half() bool { return 2*k.waiting() <= k.loop.t.cfg.sendBuffer() }

// Available returns how many bytes may be written now. While less than half of
// Config.SendBuffer waits it is never less than the largest frame, so that
// every frame passes sooner or later.
func (k *Link) Available() int {
	if k.state&(stateClosed|stateFinishing) != 0 {
		return 0
	}
	cfg := &k.loop.t.cfg
	waiting := k.waiting()
	room := max(cfg.sendBuffer()-waiting, 0)
	if 2*waiting <= cfg.sendBuffer() {
		room = max(room, cfg.maxFrame())
	}
	return room
}

// Write takes whole frames, which it copies and sends at the end of the
// batch. It never blocks and is ignored after Finish and Close. Beyond Room
// one more largest frame is taken, so that a heartbeat needs no thought; a
// link that is written full even so closes with ErrOverflow, since a byte
// stream with a hole would be worse.
func (k *Link) Write(frames []byte) {
	if k.state&(stateClosed|stateFinishing) != 0 || len(frames) == 0 {
		return
	}
	l := k.loop
	waiting := k.waiting()
	if waiting+len(frames) > l.t.cfg.sendBuffer()+l.t.cfg.maxFrame() {
		k.Close(ErrOverflow)
		return
	}
	if k.kcp != nil {
		if err := k.kcp.Write(frames); err != nil {
			k.Close(ErrOverflow)
			return
		}
	} else {
		if k.tcp.ws != nil && len(k.tcp.out) == 0 {
			k.tcp.out = l.wsBegin(k.tcp.out)
		}
		k.tcp.out = l.bufs.append(k.tcp.out, frames)
	}
	if 2*(waiting+len(frames)) > l.t.cfg.sendBuffer() {
		k.state |= stateStarved
	}
	l.touch(k)
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

// wire is the socket that carries a KCP link.
func (k *Link) wire() wire {
	if k.sealed != nil {
		return sealedWire
	}
	return plainWire
}

// touch puts k on the list of links that may have something to send.
func (l *Loop) touch(k *Link) {
	if k.state&stateDirty == 0 {
		k.state |= stateDirty
		l.dirty = append(l.dirty, k)
	}
}

// ValidateAddress says that the peer has shown that it owns its address. That lifts
// the anti-amplification limit of plain KCP: RFC 9000 8. Sealed KCP validates by
// itself.
func (k *Link) ValidateAddress() {
	if k.sealed != nil || k.state&(stateValidated|stateClosed) != 0 {
		return
	}
	l := k.loop
	if k.carrier == PlainKCP {
		l.removeUnvalidated(k)
		if !l.t.admission.validate(k.addr.Addr(), l.now) {
			k.Close(ErrTooManyLinks) // not counted among those that are validated
			return
		}
		l.touch(k)
	}
	k.state = k.state&^stateLimited | stateValidated
}

// Finish lets no more packets in, sends what was written and then closes with
// ErrFinished: KCP when everything is acknowledged, TCP when the peer has
// closed in turn, and both after two seconds at the latest. A KCP peer that
// has been silent is sent it once: most links that a player left without a
// word end so, and many of them at once.
func (k *Link) Finish() { k.FinishStatus(0) }

// FinishStatus is Finish, and tells the peer status in the close frame of a
// WebSocket, 0 for a normal end. Other carriers have no word for it.
func (k *Link) FinishStatus(status uint16) {
	if k.state&(stateFinishing|stateClosed) != 0 {
		return
	}
	k.state |= stateFinishing
	if k.tcp != nil && k.tcp.ws != nil && status != 0 {
		k.tcp.ws.status = status
	}
	limit := finishTime
	if k.kcp != nil {
		k.kcp.Slow(finishTime / 2)
		if k.kcp.Silence(k.loop.now) >= silentTime {
			limit = finishUnit // this batch still says them
		}
	}
	k.finish = uint32((k.loop.now + limit + finishUnit - 1) / finishUnit)
	k.loop.timers.schedule(k, k.finishAt())
	k.loop.touch(k)
}

// Close closes the link at once; OnClose(err) follows at the end of the batch.
func (k *Link) Close(err error) {
	if k.state&stateClosed != 0 {
		return
	}
	k.state |= stateClosed
	k.loop.closed = append(k.loop.closed, closedLink{k, err})
}

// Stats returns what the link knows about its path.
func (k *Link) Stats() LinkStats {
	s := LinkStats{BytesIn: k.in, BytesOut: k.sent}
	if k.kcp != nil && k.state&stateClosed == 0 {
		c := k.kcp.Stats()
		s.SRTT, s.RTTVar, s.RTO, s.Retransmits = c.SRTT, c.RTTVar, c.RTO, uint64(c.Retransmits)
	}
	return s
}

// RTT returns the smoothed round trip, 0 while it is unknown. That of TCP is a
// question to the kernel, on Linux alone, and ends at a proxy that is in between.
func (k *Link) RTT() time.Duration {
	switch {
	case k.state&stateClosed != 0:
		return 0
	case k.kcp != nil:
		return k.kcp.SRTT()
	}
	return k.tcp.stream.RTT()
}

// deaf reports whether packets of the link go nowhere.
func (k *Link) deaf() bool { return k.state&(stateClosed|stateFinishing) != 0 }

// deadline is when something is due for the link.
func (k *Link) deadline(now time.Duration) time.Duration {
	at := Never
	switch {
	case k.state&stateClosed != 0:
		return Never
	case k.tcp != nil:
		at = k.tcp.lookAt
		if a := k.tcp.pending; a != nil && k.state&stateFinishing == 0 {
			at = min(at, a.until)
		}
	case k.state&stateValidated == 0:
		// Only input helps. A peer that is there sends again. To resend to every
		// address that has sent one datagram makes a login storm worse.
	default:
		at = k.kcp.NextDeadline(now)
	}
	if k.state&stateFinishing != 0 {
		at = min(at, k.finishAt())
	}
	return at
}

// due serves a link whose deadline has come.
func (l *Loop) due(k *Link) {
	switch {
	case k.state&stateFinishing != 0 && k.finishAt() <= l.now:
		k.Close(ErrFinished)
	case k.tcp != nil && k.tcp.pending != nil && k.state&stateFinishing == 0:
		if k.tcp.pending.until <= l.now {
			l.stats.openingTimeouts.Add(1)
			k.Close(errOpeningTimeout)
		}
	default:
		l.touch(k) // flush sends what KCP has due, and looks after a stream
	}
}

// forget takes a closed link out of everything but its handler's hands.
func (l *Loop) forget(k *Link, err error) {
	defer l.guard(nil)
	l.timers.remove(k)
	l.dropPartial(k)
	if k.part != nil {
		l.bufs.drop(k.part)
		k.part = nil
	}
	switch {
	case k.sealed != nil:
		l.forgetSealed(k, err)
	case k.kcp != nil:
		l.forgetPlain(k, err)
	default:
		l.forgetStream(k, err)
	}
}

// frames hands up the whole packets at the start of b and returns how many
// bytes they took. A peer that sends anything else loses its link: there is
// no next frame to find after a wrong one. number is that of the datagram: Arrival.
func (l *Loop) frames(k *Link, b []byte, number uint64) (used int) {
	maxBody := l.t.cfg.maxBody()
	for used < len(b) {
		if k.deaf() {
			return len(b)
		}
		p, n, err := parseFrame(b[used:], maxBody)
		if err != nil {
			l.malformed(k, err)
			return len(b)
		}
		if n == 0 {
			break
		}
		used += n
		l.stats.packets++
		l.h.OnPacket(k, p, Arrival{Number: number})
	}
	return used
}

// partialBytes is how many bytes of partial frames the link keeps.
func (k *Link) partialBytes() (n int) {
	if k.part != nil {
		n = cap(k.part.b)
	}
	if k.kcp != nil {
		return n + k.kcp.Early()
	}
	return n + k.tcp.left
}

// notePartial takes note of the partial frames of k after something has arrived.
// progress says that a packet was handed up.
func (l *Loop) notePartial(k *Link, progress bool) {
	n := k.partialBytes()
	switch {
	case k.state&stateClosed != 0 || n == 0 && k.state&statePartial == 0:
		return // forget sees to the former
	case n == 0:
		l.dropPartial(k)
		return
	}
	k.state |= statePartial
	l.partials.note(k, n, progress)
	for out, over := l.partials.over(); over; out, over = l.partials.over() {
		out.state &^= statePartial
		l.stats.overBudget.Add(1)
		out.Close(ErrOverBudget)
	}
}

func (l *Loop) dropPartial(k *Link) {
	if k.state&statePartial != 0 {
		k.state &^= statePartial
		l.partials.remove(k)
	}
}
