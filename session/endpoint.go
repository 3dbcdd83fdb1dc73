// SPDX-License-Identifier: MIT

package session

import (
	"errors"
	"math"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

const (
	// maxWindow keeps seq16 unambiguous: SPEC 4.2.
	maxWindow = 1<<15 - 1
	// ackEvery many accepted packets are acknowledged at once: SPEC 4.4.
	ackEvery = 32
)

// The errors of this package. One of Receive ends the link; the session lives on
// (SPEC 4).
var (
	ErrGap        = errors.New("session: counted packet lost by the link")
	ErrUnsent     = errors.New("session: acknowledgement of a packet that was never sent")
	ErrKind       = errors.New("session: packet kind not allowed here")
	ErrFenced     = errors.New("session: link of an earlier epoch")
	ErrFlood      = errors.New("session: too many pings")
	ErrClosed     = errors.New("session: closed")
	ErrOverflow   = errors.New("session: outgoing buffer overflowed")
	ErrOverBudget = errors.New("session: outgoing buffers of all sessions are full")
	ErrFull       = errors.New("session: outgoing buffer is full")
	ErrProfile    = errors.New("session: invalid heartbeat profile")
)

// endpoint is the common part of Session and Client: counting, the outbound buffer
// with its cursor, and the liveness of the current link. Owned by the Session or
// Client that embeds it, which also has the Pool of the buffer's memory.
//
// The counters live as long as the session; SPEC 4.1:
//
//	acked <= wrote <= sent    and    acked < next <= sent+1
type endpoint struct {
	out   queue  // packets acked+1 ... sent
	acked uint64 // accepted by the peer, trimmed here
	wrote uint64 // highest number ever put on a link
	sent  uint64 // highest number assigned
	next  uint64 // cursor: number to write next on this link
	recv  uint64 // accepted from the peer

	// Of the current link; attach resets all of it.
	lastRecv       time.Duration // any progress of receiving
	lastSent       time.Duration
	progressAt     time.Duration // of the streams while a question is open, or of what is outstanding
	pingAt         time.Duration
	pingSentAt     time.Duration // when the ping that is open was first written
	pingAllow      time.Duration
	srtt           micros // smoothed round trip of heartbeats, 0 before the first
	inFlight       int32  // body bytes of the packets acked+1 ... next-1
	unacked        uint32 // packets accepted since an acknowledgement was last written
	unackedBytes   uint32 // and their body bytes
	auditUpTo      uint32 // packets written before the ping, low bits: its echo must acknowledge them
	sinceQuestion  uint32 // body bytes that came since the question, up to maxHeard
	pingID         uint16
	echoID         uint16
	floods         uint8
	pings          uint8 // written; every fourth stays in the stream: SPEC 5.8
	pingOpen       bool  // waiting for an echo
	questionOpen   bool  // of a ping in the stream, which is a question: SPEC 5.6
	pingDue        bool
	echoDue        bool
	echoInDatagram bool // its ping came in a datagram
	ackDue         bool
	held           bool // the peer asked us to send nothing counted
	holding        bool // we ask the peer
	holdDue        bool // a heartbeat has to say so
}

// micros is a time in microseconds, in the four bytes that are enough for an hour.
type micros uint32

func microsOf(d time.Duration) micros { return micros(min(d.Microseconds(), math.MaxUint32)) }

func (m micros) time() time.Duration { return time.Duration(m) * time.Microsecond }

// second is a moment, in the four bytes that are enough for a century.
type second uint32

func secondOf(d time.Duration) second { return second(max(d, 0) / time.Second) }

func (s second) time() time.Duration { return time.Duration(s) * time.Second }

// attach starts a new link. acked is what the peer has accepted.
func (e *endpoint) attach(now time.Duration) {
	e.unacked, e.unackedBytes, e.next, e.inFlight = 0, 0, e.acked+1, 0
	e.lastRecv, e.lastSent, e.progressAt = now, now, now
	e.pingAllow, e.floods, e.srtt = math.MinInt64, 0, 0
	e.pingOpen, e.questionOpen, e.pingDue, e.echoDue, e.ackDue, e.held = false, false, false, false, false, false
	e.holdDue = e.holding
}

// sendable refuses a packet that the peer would refuse on every link: SPEC 4.7.
func sendable(kind codec.Kind, body []byte, maxBody int) error {
	switch {
	case !kind.Counted():
		return codec.ErrCounted
	case len(body) == 0:
		return codec.ErrNoBody
	case len(body) > maxBody:
		return codec.ErrTooLarge
	}
	return nil
}

func (e *endpoint) push(pool *Pool, kind codec.Kind, body []byte, shared bool) {
	e.out.push(pool, kind, body, shared)
	e.sent++
}

// trim drops the packets that the peer has accepted.
func (e *endpoint) trim(pool *Pool, n uint64) {
	for e.acked < n {
		size := e.out.pop(pool)
		if e.acked++; e.acked < e.next {
			e.inFlight -= int32(size)
		}
	}
	e.next = max(e.next, n+1)
}

// hold asks the peer to stop or go on sending counted packets.
func (e *endpoint) hold(on bool) {
	if e.holding != on {
		e.holding, e.holdDue = on, true
	}
}

// window is how much may be unacknowledged on a link: SPEC 4.6.
type window struct{ packets, bytes int }

// open reports whether the packet at the cursor may be written.
func (e *endpoint) open(w window) bool {
	if e.held || e.next > e.sent {
		return false
	}
	if e.inFlight == 0 {
		return true // one packet always may, however large
	}
	return e.next-e.acked <= uint64(w.packets) && int(e.inFlight)+len(e.cursor().body) <= w.bytes
}

func (e *endpoint) cursor() *packet { return e.out.at(int(e.next - e.acked - 1)) }

// output appends what is due on the link: control first, so that a ping never
// waits behind bulk, then counted packets while they fit into room bytes and
// into the window.
func (e *endpoint) output(dst []byte, now time.Duration, room int, w window, rand func() uint32) []byte {
	start := len(dst)
	if e.echoDue {
		e.echoDue = false
		dst = e.heartbeat(dst, codec.Echo, e.echoID)
	}
	if e.pingDue {
		dst = e.question(dst, now, rand)
	}
	if e.holdDue {
		dst = e.heartbeat(dst, 0, 0)
	}
	for e.open(w) {
		p := e.cursor()
		if room -= codec.AppendedFrameSize(len(p.body)); room < 0 {
			break
		}
		if e.next == e.acked+1 {
			e.progressAt = now
		}
		dst = codec.AppendFrame(dst, codec.Header{Kind: p.kind, Seq: uint16(e.next), Ack: e.ack()}, p.body)
		e.wrote = max(e.wrote, e.next)
		e.next++
		e.inFlight += int32(len(p.body))
	}
	if e.ackDue {
		dst = e.heartbeat(dst, 0, 0)
	}
	if len(dst) > start {
		e.lastSent = now
	}
	return dst
}

// question appends a ping in the stream. One that is still open is repeated with
// its id, so that whichever echo comes first answers it: SPEC 5.6.
func (e *endpoint) question(dst []byte, now time.Duration, rand func() uint32) []byte {
	if !e.questionOpen {
		e.ping(now, rand, uint32(e.next-1))
		e.questionOpen, e.progressAt, e.sinceQuestion = true, now, 0
	}
	e.pingDue, e.pingAt = false, now
	return e.heartbeat(dst, codec.EchoWanted, e.pingID)
}

// ping begins a new ping. Its clock starts when it is written: SPEC 5.3.
func (e *endpoint) ping(now time.Duration, rand func() uint32, mark uint32) {
	e.pingOpen, e.pingID, e.pingSentAt, e.auditUpTo = true, uint16(rand()), now, mark
}

// outputDatagram appends the heartbeats that are due and may travel in datagrams:
// SPEC 5.8. A heartbeat that sets or clears HOLD travels in the stream.
func (e *endpoint) outputDatagram(dst []byte, now time.Duration, rand func() uint32) []byte {
	if e.holding || e.holdDue {
		return dst
	}
	start := len(dst)
	if e.echoDue && e.echoInDatagram {
		e.echoDue = false
		dst = e.heartbeat(dst, codec.Echo, e.echoID)
	}
	if e.pingDue && rand != nil {
		// What has not moved, or was not answered, since the last ping is asked
		// for in the stream, which loses nothing.
		lags := e.next > e.acked+1 && e.progressAt < e.pingAt
		if e.pings++; e.pings%4 != 0 && !e.pingOpen && !lags {
			e.ping(now, rand, uint32(e.acked)) // its echo audits nothing
			e.pingDue, e.pingAt = false, now
			dst = e.heartbeat(dst, codec.EchoWanted, e.pingID)
		}
	}
	if len(dst) > start {
		e.lastSent = now
	}
	return dst
}

// ignoringHold returns p, which came in a datagram, with the HOLD flag that applies
// already: p may be older than the latest heartbeat of the stream.
func (e *endpoint) ignoringHold(p codec.Packet) codec.Packet {
	if p.Kind == codec.Heartbeat {
		p.Flags &^= codec.Hold
		if e.held {
			p.Flags |= codec.Hold
		}
	}
	return p
}

// echoInStream returns the id of the echo that is due in the stream, if one is.
func (e *endpoint) echoInStream() (id uint16, due bool) {
	return e.echoID, e.echoDue && !e.echoInDatagram
}

// echoTravels lets the echo of p, which came in a datagram, travel in one. What was
// due in the stream before, as echoInStream told, is answered first: SPEC 5.8.
func (e *endpoint) echoTravels(p codec.Packet, id uint16, first bool) {
	switch {
	case first:
		e.echoID, e.echoInDatagram = id, false
	case p.Flags&codec.EchoWanted != 0:
		e.echoInDatagram = true
	}
}

func (e *endpoint) heartbeat(dst []byte, flags codec.Flags, id uint16) []byte {
	if e.holding {
		flags |= codec.Hold
	}
	e.holdDue = false
	return codec.AppendFrame(dst, codec.Header{Kind: codec.Heartbeat, Flags: flags, Seq: id, Ack: e.ack()}, nil)
}

// ack is the acknowledgement that every written packet carries.
func (e *endpoint) ack() uint32 {
	e.unacked, e.unackedBytes, e.ackDue = 0, 0, false
	return uint32(e.recv)
}

// wants reports whether output has something to write.
func (e *endpoint) wants(w window) bool {
	return e.echoDue || e.pingDue || e.holdDue || e.ackDue || e.open(w)
}

// carriesAck reports whether the ack32 of such a packet means anything; control
// packets are written where no session is at hand: SPEC 4.3.
func carriesAck(k codec.Kind) bool { return k == codec.Heartbeat || k >= codec.Request }

// receiveAck takes the ack32 of a received packet.
func (e *endpoint) receiveAck(pool *Pool, ack uint32, now time.Duration) error {
	d := int32(ack - uint32(e.acked))
	if d <= 0 {
		return nil // late: acknowledgements never go back
	}
	n := e.acked + uint64(d)
	if n > e.wrote {
		return ErrUnsent
	}
	e.trim(pool, n)
	e.progressAt = now
	return nil
}

// receiveHeartbeat takes a received heartbeat. interval bounds how often it is answered; 0
// answers always.
func (e *endpoint) receiveHeartbeat(h codec.Header, now, interval time.Duration) error {
	if e.held {
		e.progressAt = now // a peer that holds may read nothing, and no echo
	}
	e.held = h.Flags&codec.Hold != 0
	switch {
	case h.Flags&codec.Echo != 0:
		if !e.pingOpen || h.Seq != e.pingID {
			return nil // late, repeated or made up: it proves life and nothing else
		}
		e.pingOpen, e.questionOpen = false, false
		rtt := now - e.pingSentAt
		if e.srtt == 0 {
			e.srtt = microsOf(rtt)
		} else {
			e.srtt = microsOf(e.srtt.time() + (rtt-e.srtt.time())/8)
		}
		if int32(uint32(e.acked)-e.auditUpTo) < 0 {
			return ErrGap // SPEC 4.5: the tail before our ping never arrived
		}
	case h.Flags&codec.EchoWanted != 0:
		return e.receivePing(h.Seq, now, interval)
	}
	return nil
}

// Pings beyond the dictated rate are not answered (SPEC 5.5): pingBurst may
// come at once, then four in an interval. Each refused one counts, each answered
// one takes pingForgive back, and floodLimit ends the link.
const (
	pingBurst   = 16
	pingForgive = 4
	floodLimit  = 200
)

func (e *endpoint) receivePing(id uint16, now, interval time.Duration) error {
	gap := interval / 4
	e.pingAllow = max(e.pingAllow, now-pingBurst*gap)
	if gap > 0 && e.pingAllow > now {
		if e.floods++; e.floods >= floodLimit {
			return ErrFlood
		}
		return nil
	}
	e.pingAllow += gap
	e.floods -= min(e.floods, pingForgive)
	e.echoDue, e.echoInDatagram, e.echoID = true, false, id
	return nil
}

// receiveCounted decides on a counted packet: accept it, or drop one that came before.
func (e *endpoint) receiveCounted(seq uint16, size int, limits Params) (accept bool, err error) {
	e.sinceQuestion = min(e.sinceQuestion+uint32(size), maxSinceQuestion)
	d := int16(seq - uint16(e.recv+1))
	if d > 0 {
		return false, ErrGap
	}
	if d < 0 {
		return false, nil
	}
	e.recv++
	e.unacked++
	e.unackedBytes += uint32(size)
	if int(e.unacked) >= min(ackEvery, max(limits.Packets/4, 1)) || int(e.unackedBytes) >= max(limits.Bytes/4, 1) {
		e.ackDue = true
	}
	return true, nil
}

// receiveBytes records bytes that complete no packet yet.
func (e *endpoint) receiveBytes(at time.Duration) {
	e.lastRecv = max(e.lastRecv, at)
	if e.sinceQuestion < maxSinceQuestion {
		e.progressAt = max(e.progressAt, at) // the answer may stand behind them
	}
}

// forgiveSilence gives the peer until left from now, after this side was suspended
// itself: SPEC 5.4.
func (e *endpoint) forgiveSilence(now, timeout, left time.Duration) {
	since := min(now, now-timeout+left)
	e.lastRecv, e.progressAt = max(e.lastRecv, since), max(e.progressAt, since)
}

const (
	// stuckBytes a second is what the thinnest line must carry: SPEC 5.6.
	stuckBytes = 1024
	// maxSinceQuestion is how much an answer may have to wait for: SPEC 5.6.
	maxSinceQuestion = codec.DefaultMaxBody
)

// stuck reports that a question in the stream was not answered in time: SPEC 5.6.
func (e *endpoint) stuck(now, timeout time.Duration) bool {
	allowed := time.Duration(e.inFlight) + time.Duration(e.sinceQuestion)
	patience := max(timeout, 8*e.srtt.time()) + allowed*(time.Second/stuckBytes)
	return e.questionOpen && !e.held && now-e.progressAt > patience
}
