// SPDX-License-Identifier: MIT

package codec

import "encoding/binary"

// DefaultMaxBody is the largest body, in bytes, that is accepted by default.
const DefaultMaxBody = 64 << 10

// maxLengthBytes is the most bytes of the uvarint in front of a frame. 4 bytes
// reach 2^28-1: far above any body limit, and within an int of 32 bits.
const maxLengthBytes = 4

// FrameOverhead is the most that a frame adds to its body, in bytes.
const FrameOverhead = maxLengthBytes + HeaderSize

// AppendFrame appends one frame (SPEC 4: uvarint body length, header, body).
func AppendFrame(b []byte, h Header, body []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(body)))
	b = h.Append(b)
	return append(b, body...)
}

// AppendedFrameSize returns how many bytes AppendFrame adds for a body of n bytes.
func AppendedFrameSize(n int) int {
	size := HeaderSize + n + 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// FrameSize returns the size in bytes of the frame at the start of b, or 0
// if b ends within the length. The result may be more than len(b): that many
// bytes are needed before ParseFrame succeeds. It refuses a body above maxBody,
// before the caller allocates memory for it.
func FrameSize(b []byte, maxBody int) (int, error) {
	n, ln, err := frameLength(b, maxBody)
	if ln == 0 || err != nil {
		return 0, err
	}
	return ln + HeaderSize + n, nil
}

// frameLength reads the uvarint at the start of b: n is the body's length, ln the
// size of the uvarint, 0 if b does not hold all of it.
func frameLength(b []byte, maxBody int) (n, ln int, err error) {
	for i := range b {
		n |= int(b[i]&0x7f) << (7 * i)
		if b[i] >= 0x80 {
			if i == maxLengthBytes-1 {
				return 0, 0, ErrTooLarge
			}
			continue
		}
		if i > 0 && b[i] == 0 {
			return 0, 0, ErrLengthForm
		}
		if n > maxBody {
			return 0, 0, ErrTooLarge
		}
		return n, i + 1, nil
	}
	return 0, 0, nil
}

// ParseFrame reads the frame at the start of b and returns its packet and its
// size. A size of 0 without an error means that b holds only a part of the frame
// (SPEC 4). The packet's body aliases b.
func ParseFrame(b []byte, maxBody int) (Packet, int, error) {
	n, ln, err := frameLength(b, maxBody)
	if ln == 0 || err != nil {
		return Packet{}, 0, err
	}
	size := ln + HeaderSize + n
	if len(b) < size {
		// A header that can't be right need not wait for its body.
		if len(b) >= ln+HeaderSize {
			h, err := ParseHeader(b[ln:])
			if err == nil && h.Kind == Heartbeat {
				err = ErrBody
			}
			if err != nil {
				return Packet{}, 0, err
			}
		}
		return Packet{}, 0, nil
	}
	p, err := ParsePacket(b[ln:size])
	if err != nil {
		return Packet{}, 0, err
	}
	return p, size, nil
}
