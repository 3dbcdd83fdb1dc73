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

// What ParseHeader and ParsePacket refuse: SPEC 2.
var (
	ErrShort      = errors.New("codec: packet shorter than its header")
	ErrKind       = errors.New("codec: unknown packet kind")
	ErrFlags      = errors.New("codec: flag bits that this kind does not have")
	ErrCounted    = errors.New("codec: counted bit does not fit the kind")
	ErrSeq        = errors.New("codec: sequence bytes set on a packet that has none")
	ErrBody       = errors.New("codec: a heartbeat never has a body")
	ErrNoBody     = errors.New("codec: only a heartbeat has no body")
	ErrTooLarge   = errors.New("codec: body larger than allowed")
	ErrLengthForm = errors.New("codec: frame length not in its shortest form")
)

// Header is the 8 bytes that every packet starts with: SPEC 2. Whether it is
// counted follows from its Kind, so the struct does not repeat it.
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

// ParseHeader reads the header at the start of b and refuses one that no
// correct sender writes. It does not look beyond the first 8 bytes.
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

// ParsePacket reads one whole packet, as it stands between two frame lengths,
// and enforces the first rule of the protocol: a packet without a body is a
// heartbeat, and a heartbeat never has a body (SPEC 1).
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
