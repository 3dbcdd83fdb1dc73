// SPDX-License-Identifier: MIT

package seal

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// ControlKind is the first byte of a control datagram's plaintext.
type ControlKind byte

// The kinds of control datagrams (SPEC 2.9). Challenge and response are those of
// path validation (RFC 9000 §8.2).
const (
	// ControlChallenge asks for its 8 bytes back. Padding may follow them: the
	// response shows that a datagram of that size arrived.
	ControlChallenge ControlKind = 1
	// ControlResponse returns the 8 bytes of a challenge, to the address that sent it.
	ControlResponse ControlKind = 2
	// ControlClose says that the sender has closed the link.
	ControlClose ControlKind = 3
)

// CloseCopies is how many copies of a close are sent, CloseEvery apart. A close is
// not acknowledged, and loss comes in bursts.
const (
	CloseCopies = 6
	CloseEvery  = 40 * time.Millisecond
)

const controlSize = 1 + 8

// Control is the plaintext of a control datagram.
type Control struct {
	Kind  ControlKind
	Token [8]byte // of a challenge or a response
}

// Append appends c to b. It pads a challenge with zeros to size bytes.
func (c Control) Append(b []byte, size int) []byte {
	from := len(b)
	b = append(b, byte(c.Kind))
	if c.Kind != ControlClose {
		b = append(b, c.Token[:]...)
	}
	for c.Kind == ControlChallenge && len(b)-from < size {
		b = append(b, 0)
	}
	return b
}

// ParseControl reads the plaintext of a control datagram.
func ParseControl(plain []byte) (c Control, err error) {
	if len(plain) == 0 {
		return c, ErrPayload
	}
	switch c.Kind = ControlKind(plain[0]); c.Kind {
	case ControlChallenge:
		if len(plain) < controlSize {
			return c, ErrPayload
		}
	case ControlResponse:
		if len(plain) != controlSize {
			return c, ErrPayload
		}
	case ControlClose:
		if len(plain) != 1 {
			return c, ErrPayload
		}
		return c, nil
	default:
		return c, ErrPayload
	}
	copy(c.Token[:], plain[1:])
	return c, nil
}

// resetRate is the most resets that one loop sends in a second: enough to tell all
// its players within a second or two that the server was restarted. One network
// gets at most a quarter of it, so that garbage from one network can't use it up.
const (
	resetRate        = 5000
	resetNetworkRate = resetRate / 4
)

// Reset returns the stateless reset (RFC 9000 §10.3) that answers b, a sealed
// datagram that belongs to no link or that its link refused as forged. It carries
// the id of b and the last bytes of its tag. It is nil if b gets no answer, and
// valid until the next call. A reset is shorter than the datagram that it answers,
// and no reset answers a reset: so two servers can't answer each other for ever.
func (r *Responder) Reset(now time.Duration, from netip.AddrPort, b []byte) []byte {
	id, t, ok := Parse(b)
	if !ok || t != TypeSealed && t != TypeControl || len(b) < resetTrigger {
		return nil
	}
	a := r.resets.Answer(now, r.cookies.hash(now, network(from.Addr()), r.cfg.Rand), id, b)
	if a != nil {
		r.counts.Resets++
	}
	return a
}

// Resets makes resets, and bounds them: SPEC 8.2. The zero value is ready. Owned by a
// loop.
type Resets struct {
	all    bucket
	of     *[prefixes]bucket // of networks, nil until the first
	answer []byte
}

// Answer returns the reset of id that answers b, 8 bytes or more. network is a hash of
// the sender's /24 or /48. It is nil if there were too many, and valid until the next call.
func (r *Resets) Answer(now time.Duration, network, id uint32, b []byte) []byte {
	if r.of == nil {
		r.of = new([prefixes]bucket)
	}
	of := &r.of[network%prefixes]
	if !of.take(now, resetNetworkRate, resetNetworkRate) || !r.all.take(now, resetRate, resetRate) {
		return nil
	}
	r.answer = binary.LittleEndian.AppendUint32(r.answer[:0], id)
	r.answer = append(r.answer, byte(TypeReset), wireVersion, 0, 0)
	r.answer = append(r.answer, b[len(b)-8:]...)
	return r.answer
}

// remembered is how many of its latest datagrams a client accepts a reset for.
const remembered = 64

// ResetDetector decides whether a client believes a reset. A valid reset shows
// only that its sender saw one of the client's datagrams: the server saw it, and an
// observer of the path may have. So a reset only raises a suspicion: the client
// sends a challenge, and gives the link up if nothing authentic arrives within
// resetWait. The zero value is ready. Owned by the owner of the link.
type ResetDetector struct {
	tails     [remembered][8]byte
	n         int
	since     time.Duration
	suspected bool
}

// resetWait is how long the server may take to show that it knows the link.
const resetWait = 400 * time.Millisecond

// Sent records a datagram that was sent.
func (d *ResetDetector) Sent(b []byte) {
	copy(d.tails[d.n%remembered][:], b[len(b)-8:])
	d.n++
}

// Reset records a reset that was received. ask says that the client should send a
// challenge now.
func (d *ResetDetector) Reset(now time.Duration, b []byte) (ask bool, err error) {
	if len(b) != ResetSize {
		return false, ErrSize
	}
	for i := range min(d.n, remembered) {
		if d.tails[i] != [8]byte(b[8:]) {
			continue
		}
		if ask = !d.suspected; ask {
			d.suspected, d.since = true, now
		}
		return ask, nil
	}
	return false, ErrForged
}

// Received records that an authentic datagram was received: the link is known.
func (d *ResetDetector) Received() { d.suspected = false }

// Lost reports whether the server no longer knows the link. If that is open, due
// is when to ask again; it is 0 if nothing is suspected.
func (d *ResetDetector) Lost(now time.Duration) (lost bool, due time.Duration) {
	if !d.suspected {
		return false, 0
	}
	due = d.since + resetWait
	return now >= due, due
}
