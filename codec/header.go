// SPDX-License-Identifier: MIT

package codec

import (
	"encoding/binary"
	"errors"
)

// HeaderSize is the length in bytes of every packet's header, and the whole
// length of a heartbeat.
const HeaderSize = 8

const countedBit = 0x80

// The refusals of ParseHeader, ParsePacket and ParseFrame: SPEC 2 and 4.
var (
	ErrShort      = errors.New("codec: packet shorter than its header")
	ErrKind       = errors.New("codec: unknown packet kind")
	ErrFlags      = errors.New("codec: flag bits not allowed for this kind")
	ErrCounted    = errors.New("codec: counted bit does not match the kind")
	ErrSeq        = errors.New("codec: sequence bytes set on an uncounted packet")
	ErrBody       = errors.New("codec: heartbeat with a body")
	ErrNoBody     = errors.New("codec: packet without a body")
	ErrTooLarge   = errors.New("codec: body larger than allowed")
	ErrLengthForm = errors.New("codec: frame length not in its shortest form")
)

// Header is the first 8 bytes of a packet: SPEC 2. The counted bit follows from
// Kind, so the struct does not repeat it.
type Header struct {
	Kind  Kind
	Flags Flags  // heartbeats only
	Seq   uint16 // low 16 bits of the sequence number; on a heartbeat the ping id
	Ack   uint32 // low 32 bits of how many counted packets the sender has accepted
}

// Append appends the 8 bytes of h to b.
func (h Header) Append(b []byte) []byte {
	k := byte(h.Kind)
	if h.Kind.Counted() {
		k |= countedBit
	}
	b = append(b, k, byte(h.Flags))
	b = binary.LittleEndian.AppendUint16(b, h.Seq)
	return binary.LittleEndian.AppendUint32(b, h.Ack)
}

// ParseHeader reads the header at the start of b. It refuses a header that no
// correct sender writes. It reads only the first 8 bytes.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, ErrShort
	}
	h := Header{
		Kind:  Kind(b[0] &^ countedBit),
		Flags: Flags(b[1]),
		Seq:   binary.LittleEndian.Uint16(b[2:]),
		Ack:   binary.LittleEndian.Uint32(b[4:]),
	}
	switch {
	case h.Kind >= kinds:
		return Header{}, ErrKind
	case h.Kind.Counted() != (b[0]&countedBit != 0):
		return Header{}, ErrCounted
	case h.Kind == Heartbeat:
		// A packet cannot ask for an echo and be one: two ids would share a field.
		if h.Flags&^knownFlags != 0 || h.Flags&(EchoWanted|Echo) == EchoWanted|Echo {
			return Header{}, ErrFlags
		}
	case h.Flags != 0:
		return Header{}, ErrFlags
	case !h.Kind.Counted() && h.Seq != 0:
		return Header{}, ErrSeq
	}
	return h, nil
}

// Packet is a header and its msgpack body. Body is nil exactly on a heartbeat.
type Packet struct {
	Header
	Body []byte // aliases the buffer it was parsed from
}

// ParsePacket reads one whole packet, without the length of its frame. It enforces
// the first rule of the protocol: a packet without a body is a heartbeat, and a
// heartbeat never has a body (SPEC 1).
func ParsePacket(b []byte) (Packet, error) {
	h, err := ParseHeader(b)
	if err != nil {
		return Packet{}, err
	}
	body := b[HeaderSize:]
	switch {
	case h.Kind == Heartbeat && len(body) != 0:
		return Packet{}, ErrBody
	case h.Kind != Heartbeat && len(body) == 0:
		return Packet{}, ErrNoBody
	case h.Kind == Heartbeat:
		body = nil
	}
	return Packet{Header: h, Body: body}, nil
}
