// SPDX-License-Identifier: MIT

package seal

import (
	"encoding/binary"
	"errors"
)

// What a datagram is: its byte 4. Everything from 0x51 to 0x54 would be KCP.
const (
	WhatHello        = 0x01
	WhatCookie       = 0x02
	WhatAccept       = 0x03
	WhatResumeHello  = 0x04
	WhatResumeAccept = 0x05
	WhatSealed       = 0x10
	WhatControl      = 0x11
	WhatReset        = 0x1f
)

// Sizes on the wire.
const (
	// MaxDatagram is the longest datagram that every path is trusted with.
	MaxDatagram = 1200
	// HelloSize is the size of both kinds of hello: as long as the longest
	// datagram that will follow, so that a path too narrow shows at once, and
	// longer than any answer.
	HelloSize = MaxDatagram
	// HeaderSize is what stands in front of every sealed datagram, in clear.
	HeaderSize = 8
	// TagSize is what stands behind it.
	TagSize = 16
	// Overhead is both.
	Overhead = HeaderSize + TagSize
	// ResetSize is the size of a reset.
	ResetSize = 16
	// MaxGreeting is how much an ACCEPT carries for the layer above.
	MaxGreeting = 64

	cookieSize   = 32
	maxAccept    = 16 + 32 + 4 + MaxGreeting + TagSize
	wireVersion  = 1
	numberBits   = 24
	resetTrigger = 32 // the shortest datagram that a reset answers
)

// Places in a hello of either kind.
const (
	atKeyID  = 8  // HELLO: which key of the server
	atCookie = 16 // 16 bytes, zero without one
	atName   = 32 // HELLO: the ephemeral; RESUME-HELLO: nonce, session
	atTag    = 64
	helloEnd = 80 // the rest is padding
)

// Why a datagram was refused. None of them is worth more than a counter.
var (
	ErrSize    = errors.New("seal: wrong size")
	ErrWhat    = errors.New("seal: no such kind of datagram")
	ErrVersion = errors.New("seal: another version")
	ErrKey     = errors.New("seal: not a key of this server")
	ErrForged  = errors.New("seal: not authentic")
	ErrReplay  = errors.New("seal: seen before, or too old to know")
	ErrRate    = errors.New("seal: too many from there")
	ErrFull    = errors.New("seal: no room for another link")
	ErrOver    = errors.New("seal: key of a session that is over")
	ErrUnknown = errors.New("seal: no such link")
	ErrPayload = errors.New("seal: malformed payload")
	// ErrExhausted ends a link whose key has been used as often as it may be.
	ErrExhausted = errors.New("seal: key used up")
)

// Parse reads what every datagram begins with. ok is false if b is none of
// this package: too short, or plain KCP, or nothing at all.
func Parse(b []byte) (id uint32, what byte, ok bool) {
	if len(b) < HeaderSize {
		return 0, 0, false
	}
	id, what = binary.LittleEndian.Uint32(b), b[4]
	switch what {
	case WhatHello, WhatCookie, WhatAccept, WhatResumeHello, WhatResumeAccept:
		return id, what, id == 0 && b[6] == 0 && b[7] == 0
	case WhatSealed, WhatControl, WhatReset:
		return id, what, id != 0
	}
	return id, what, false
}

// appendHead begins a datagram of the handshake.
func appendHead(b []byte, what byte) []byte {
	return append(b, 0, 0, 0, 0, what, wireVersion, 0, 0)
}

// AppendPayload begins the plaintext of a sealed datagram with its unreliable
// frames. KCP segments follow.
func AppendPayload(b, frames []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(frames)))
	return append(b, frames...)
}

// SplitPayload cuts the plaintext of a sealed datagram.
func SplitPayload(plain []byte) (frames, segments []byte, err error) {
	n, size := binary.Uvarint(plain)
	if size <= 0 || n > uint64(len(plain)-size) || size > 1 && n < 0x80 || size > 2 {
		return nil, nil, ErrPayload
	}
	return plain[size : size+int(n)], plain[size+int(n):], nil
}
