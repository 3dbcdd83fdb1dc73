// SPDX-License-Identifier: MIT

package seal

import (
	"encoding/binary"
	"errors"
)

// PacketType is byte 4 of a datagram. 0x51 to 0x54 are the commands of plain KCP
// at that place, so no packet type has one of these values.
type PacketType byte

// The packet types of SPEC 2.1.
const (
	TypeHello        PacketType = 0x01 // a client opens a link with public keys
	TypeCookie       PacketType = 0x02 // the server asks for the hello again, with this cookie
	TypeAccept       PacketType = 0x03 // the server's answer to a HELLO
	TypeResumeHello  PacketType = 0x04 // a client opens a link with a session's seal key
	TypeResumeAccept PacketType = 0x05 // the server's answer to a RESUME-HELLO
	TypeSealed       PacketType = 0x10 // frames and KCP segments of a link
	TypeControl      PacketType = 0x11 // path validation and close
	TypeReset        PacketType = 0x1f // the server does not know the link
)

// Sizes on the wire.
const (
	// MaxDatagram is the longest datagram, in bytes, that every path is assumed to carry.
	MaxDatagram = 1200
	// HelloSize is the size of a HELLO and of a RESUME-HELLO. It is the size of the
	// longest datagram that follows, so that a path that is too narrow fails at
	// once. It is more than the size of any answer, so that no answer amplifies.
	HelloSize = MaxDatagram
	// HeaderSize is the size of the clear header of a sealed datagram.
	HeaderSize = 8
	// TagSize is the size of the authentication tag at its end.
	TagSize = 16
	// Overhead is the size of header and tag.
	Overhead = HeaderSize + TagSize
	// ResetSize is the size of a reset.
	ResetSize = 16
	// MaxGreeting is how many bytes an ACCEPT carries for the layer above.
	MaxGreeting = 64

	cookieSize   = 32
	maxAccept    = 16 + 32 + 4 + MaxGreeting + TagSize
	wireVersion  = 1
	numberBits   = 24
	resetTrigger = 32 // the shortest datagram that a reset answers
)

// Offsets in a HELLO and in a RESUME-HELLO.
const (
	atKeyID  = 8  // HELLO: which key of the server
	atCookie = 16 // 16 bytes, zero without one
	atName   = 32 // HELLO: the ephemeral; RESUME-HELLO: nonce, session
	atTag    = 64
	helloEnd = 80 // the rest is padding
)

// The reasons for which a datagram is refused. A caller counts them and goes on.
var (
	ErrSize       = errors.New("seal: wrong size")
	ErrPacketType = errors.New("seal: unknown packet type")
	ErrVersion    = errors.New("seal: unsupported version")
	ErrKey        = errors.New("seal: not a key of this server")
	ErrForged     = errors.New("seal: authentication failed")
	ErrReplay     = errors.New("seal: replayed or older than the window")
	ErrRate       = errors.New("seal: rate limit of the network exceeded")
	ErrFull       = errors.New("seal: no connection id left")
	ErrOver       = errors.New("seal: key of an ended session")
	ErrUnknown    = errors.New("seal: unknown link")
	ErrPayload    = errors.New("seal: malformed payload")
	// ErrExhausted ends a link whose key has been used as often as it may be.
	ErrExhausted = errors.New("seal: key exhausted")
)

// Parse reads the header that every datagram begins with. ok is false if b is
// no datagram of this package: it is too short, it is plain KCP, or it is malformed.
func Parse(b []byte) (id uint32, t PacketType, ok bool) {
	if len(b) < HeaderSize {
		return 0, 0, false
	}
	id, t = binary.LittleEndian.Uint32(b), PacketType(b[4])
	switch t {
	case TypeHello, TypeCookie, TypeAccept, TypeResumeHello, TypeResumeAccept:
		return id, t, id == 0 && b[6] == 0 && b[7] == 0
	case TypeSealed, TypeControl, TypeReset:
		return id, t, id != 0
	}
	return id, t, false
}

// appendHead writes the header of a datagram of the handshake.
func appendHead(b []byte, t PacketType) []byte {
	return append(b, 0, 0, 0, 0, byte(t), wireVersion, 0, 0)
}

// AppendPayload appends the head of a sealed datagram's plaintext to b: the
// length of the unreliable frames, and the frames. KCP segments follow.
func AppendPayload(b, frames []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(frames)))
	return append(b, frames...)
}

// SplitPayload splits the plaintext of a sealed datagram. Both parts alias plain.
func SplitPayload(plain []byte) (frames, segments []byte, err error) {
	n, size := binary.Uvarint(plain)
	if size <= 0 || n > uint64(len(plain)-size) || size > 1 && n < 0x80 || size > 2 {
		return nil, nil, ErrPayload
	}
	return plain[size : size+int(n)], plain[size+int(n):], nil
}
