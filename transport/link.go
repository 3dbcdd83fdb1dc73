// SPDX-License-Identifier: MIT

package transport

import (
	"errors"
	"net/netip"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/internal/backend"
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

	loop *Loop
	self carrierLink // the same link, as its carrier has it
	part *part       // the beginning of a frame that spans segments, or messages
	addr netip.AddrPort

	received time.Duration
	in, sent uint64 // bytes of datagrams, or of the stream
	heapAt   int32  // 1 + place in the timer heap, 0 when not there
	conv     uint32
	until    uint32 // stateFinishing: for how long, in finishUnits
	carrier  Carrier
	state    linkState
	local    backend.Local // KCP: what the peer sends to, and is answered from
}

// finishUnit is the unit of Link.until, which has four bytes for four years.
const finishUnit = time.Second / 32

func (k *Link) finishAt() time.Duration { return time.Duration(k.until) * finishUnit }

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

// half reports whether at least half of the send buffer is free.
func (k *Link) half() bool { return 2*k.self.waiting() <= k.loop.t.cfg.sendBuffer() }

// Available returns how many bytes may be written now. While less than half of
// Config.SendBuffer waits it is never less than the largest frame, so that
// every frame passes sooner or later.
func (k *Link) Available() int {
	if k.state&(stateClosed|stateFinishing) != 0 {
		return 0
	}
	cfg := &k.loop.t.cfg
	waiting := k.self.waiting()
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
	waiting := k.self.waiting()
	if waiting+len(frames) > l.t.cfg.sendBuffer()+l.t.cfg.maxFrame() {
		k.Close(ErrOverflow)
		return
	}
	if !k.self.write(frames) {
		k.Close(ErrOverflow)
		return
	}
	if 2*(waiting+len(frames)) > l.t.cfg.sendBuffer() {
		k.state |= stateStarved
	}
	l.touch(k)
}

// WriteDatagram sends one whole frame, a Datagram or a heartbeat that is not
// in-band, as a datagram: once at most, and in no order. It reports false,
// and has done nothing, where that can't be: on a carrier without such a
// channel, and for a frame that fits into no datagram. The caller then sends
// the ordinary way.
func (k *Link) WriteDatagram(frame []byte) bool { return k.self.writeDatagram(frame) }

// touch puts k on the list of links that may have something to send.
func (l *Loop) touch(k *Link) {
	if k.state&stateDirty == 0 {
		k.state |= stateDirty
		l.dirty = append(l.dirty, k)
	}
}

// ValidateAddress says that the peer has shown that it owns its address. That lifts
// the anti-amplification limit of plain KCP: RFC 9000 8. Sealed KCP validates by
// itself. It reports false if that address may have no more links: this one is closed.
func (k *Link) ValidateAddress() bool {
	if k.state&(stateValidated|stateClosed) == 0 {
		k.self.validate()
	}
	return k.state&stateClosed == 0
}

// Finish lets no more packets in, sends what was written and then closes with
// ErrFinished: KCP when everything is acknowledged, TCP when the peer has
// closed in turn, and both after two seconds at the latest. A KCP peer that
// has been silent is sent it once: most links that a player left without a
// word end so, and many of them at once.
func (k *Link) Finish() { k.FinishStatus(0) }

// FinishStatus is Finish, and tells the peer status in the close frame of a
// WebSocket, 0 for a normal end. Other carriers have no word for it.
func (k *Link) FinishStatus(status uint16) { k.finish(status, false) }

// FinishLeft is FinishStatus for a link that its peer has left for another one: on KCP
// what was written is sent once.
func (k *Link) FinishLeft(status uint16) { k.finish(status, true) }

func (k *Link) finish(status uint16, left bool) {
	if k.state&(stateFinishing|stateClosed) != 0 {
		return
	}
	k.state |= stateFinishing
	limit := k.self.finish(status, left)
	k.until = uint32((k.loop.now + limit + finishUnit - 1) / finishUnit)
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
	if k.state&stateClosed == 0 {
		k.self.stats(&s)
	}
	return s
}

// RTT returns the smoothed round trip, 0 while it is unknown. That of TCP is a
// question to the kernel, on Linux alone, and ends at a proxy that is in between.
func (k *Link) RTT() time.Duration {
	if k.state&stateClosed != 0 {
		return 0
	}
	return k.self.rtt()
}

// deaf reports whether packets of the link go nowhere.
func (k *Link) deaf() bool { return k.state&(stateClosed|stateFinishing) != 0 }

// dueAt is when something is due for the link.
func (k *Link) dueAt(now time.Duration) time.Duration {
	if k.state&stateClosed != 0 {
		return Never
	}
	at := k.self.deadline(now)
	if k.state&stateFinishing != 0 {
		at = min(at, k.finishAt())
	}
	return at
}

// due serves a link whose deadline has come.
func (l *Loop) due(k *Link) {
	if k.state&stateFinishing != 0 && k.finishAt() <= l.now {
		k.Close(ErrFinished)
		return
	}
	k.self.due()
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
	k.self.forget(err)
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
		p, n, err := codec.ParseFrame(b[used:], maxBody)
		if err != nil {
			k.self.malformed(err)
			l.stats.protocol.Add(1)
			k.Close(err)
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
	return n + k.self.partial()
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
