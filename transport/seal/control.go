// SPDX-License-Identifier: MIT

package seal

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// ControlKind says what a control datagram is about.
type ControlKind byte

// What control datagrams say.
const (
	// Challenge asks for its 8 bytes back. What follows them is padding: an
	// answer shows that a datagram of that size arrived.
	Challenge ControlKind = 1
	// Answer brings the 8 bytes of a challenge back, to where that came from.
	Answer ControlKind = 2
	// Close says that the sender has left the link.
	Close ControlKind = 3
)

// CloseCopies is how often a close is sent, CloseEvery apart: nobody answers
// it, and loss comes in bursts.
const (
	CloseCopies = 6
	CloseEvery  = 40 * time.Millisecond
)

const controlSize = 1 + 8

// Control is the plaintext of a control datagram.
type Control struct {
	Kind  ControlKind
	Token [8]byte // of a challenge or an answer
}

// Append writes c, and zeros behind a challenge until it has size bytes.
func (c Control) Append(b []byte, size int) []byte {
	from := len(b)
	b = append(b, byte(c.Kind))
	if c.Kind != Close {
		b = append(b, c.Token[:]...)
	}
	for c.Kind == Challenge && len(b)-from < size {
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
	case Challenge:
		if len(plain) < controlSize {
			return c, ErrPayload
		}
	case Answer:
		if len(plain) != controlSize {
			return c, ErrPayload
		}
	case Close:
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

// resetRate bounds the resets of one loop in a second: enough to tell all its
// players in a second or two that the server was started anew. One network gets a
// quarter of it, so that rubbish from one is not all that is answered.
const (
	resetRate        = 5000
	resetNetworkRate = resetRate / 4
)

// Reset returns the answer to a sealed datagram that belongs to no link, or
// that its link refused as forged: its id, and the last bytes of its tag. nil
// if none is due. It lives until the next call. It is shorter than what it
// answers and answers none of its own kind, so two servers can't keep each
// other busy.
func (r *Responder) Reset(now time.Duration, from netip.AddrPort, b []byte) []byte {
	id, what, ok := Parse(b)
	if !ok || what != WhatSealed && what != WhatControl || len(b) < resetTrigger {
		return nil
	}
	if r.resetOf == nil {
		r.resetOf = new([prefixes]bucket)
	}
	of := &r.resetOf[r.cookies.hash(now, network(from.Addr()), r.cfg.Rand)%prefixes]
	if !of.take(now, resetNetworkRate, resetNetworkRate) || !r.resets.take(now, resetRate, resetRate) {
		return nil
	}
	r.counts.Resets++
	r.answer = binary.LittleEndian.AppendUint32(r.answer[:0], id)
	r.answer = append(r.answer, WhatReset, wireVersion, 0, 0)
	r.answer = append(r.answer, b[len(b)-8:]...)
	return r.answer
}

// remembered is how many of its latest datagrams a client takes a reset for.
const remembered = 64

// Doubt is how a client judges resets. A reset proves that its sender saw one
// of our datagrams, which the server did, but so may somebody beside the path.
// So it only raises doubt: the client asks, and believes it if nothing
// authentic comes for a while. The zero value is ready.
type Doubt struct {
	tails [remembered][8]byte
	n     int
	since time.Duration
	in    bool
}

// doubtTime is how long the server has to show that it knows the link.
const doubtTime = 400 * time.Millisecond

// Sent remembers a datagram that Conn.Seal made.
func (d *Doubt) Sent(b []byte) {
	copy(d.tails[d.n%remembered][:], b[len(b)-8:])
	d.n++
}

// Reset takes a reset. ask says that a challenge should be sent now.
func (d *Doubt) Reset(now time.Duration, b []byte) (ask bool, err error) {
	if len(b) != ResetSize {
		return false, ErrSize
	}
	for i := range min(d.n, remembered) {
		if d.tails[i] != [8]byte(b[8:]) {
			continue
		}
		if ask = !d.in; ask {
			d.in, d.since = true, now
		}
		return ask, nil
	}
	return false, ErrForged
}

// Heard takes note of an authentic datagram.
func (d *Doubt) Heard() { d.in = false }

// Lost reports whether the server does not know the link any more, and else
// when to ask again, 0 if there is no doubt.
func (d *Doubt) Lost(now time.Duration) (lost bool, due time.Duration) {
	if !d.in {
		return false, 0
	}
	due = d.since + doubtTime
	return now >= due, due
}
