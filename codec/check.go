// SPDX-License-Identifier: MIT

package codec

import (
	"encoding/binary"
	"errors"
)

// MaxDepth is the most arrays and maps that may be nested: SPEC 5.3.
const MaxDepth = 16

// The refusals of Check: SPEC 5.
var (
	ErrMalformed = errors.New("codec: not a well-formed msgpack value")
	ErrTooDeep   = errors.New("codec: arrays and maps nested too deep")
	ErrTrailing  = errors.New("codec: bytes after the end of the value")
)

// Check reports whether body is exactly one well-formed msgpack value: every
// length and count that it declares fits into the bytes that follow, and its
// nesting is at most MaxDepth. It allocates nothing and does not recurse. Code that
// trusts lengths may decode a body that has passed.
func Check(body []byte) error {
	end, err := skip(body, 0)
	if err != nil {
		return err
	}
	if end != len(body) {
		return ErrTrailing
	}
	return nil
}

// skip returns the offset behind the value that starts at b[i].
func skip(b []byte, i int) (int, error) {
	var (
		left  [MaxDepth]int // values still to come in each open container
		depth int
	)
	for {
		lead, err := scan(b, i)
		if err != nil {
			return 0, err
		}
		i = lead.end
		if lead.values > 0 || lead.container {
			// An empty container counts as a level, too.
			if depth == MaxDepth {
				return 0, ErrTooDeep
			}
			if lead.values > 0 {
				left[depth] = lead.values
				depth++
				continue
			}
		}
		for depth > 0 {
			left[depth-1]--
			if left[depth-1] > 0 {
				break
			}
			depth--
		}
		if depth == 0 {
			return i, nil
		}
	}
}

// lead is the head of a value.
type lead struct {
	end       int // offset behind the value, or behind a container's head
	values    int // how many values follow inside the container
	container bool
}

// scan reads the head of the value at b[i], and skips its bytes if it is no
// container. It is the one place that knows the msgpack type bytes.
func scan(b []byte, i int) (lead, error) {
	if i >= len(b) {
		return lead{}, ErrMalformed
	}
	c := b[i]
	i++
	switch {
	case c <= 0x7f || c >= 0xe0: // fixint
		return lead{end: i}, nil
	case c <= 0x8f:
		return container(b, i, uint64(c&0x0f), 2)
	case c <= 0x9f:
		return container(b, i, uint64(c&0x0f), 1)
	case c <= 0xbf:
		return bytesOf(b, i, uint64(c&0x1f))
	case c == 0xc1:
		return lead{}, ErrMalformed
	case c <= 0xc3: // nil, false, true
		return lead{end: i}, nil
	}
	w := widths[c-0xc4]
	if w.length == 0 {
		return bytesOf(b, i, uint64(w.fixed))
	}
	if len(b)-i < int(w.length) {
		return lead{}, ErrMalformed
	}
	n := bigEndian(b[i : i+int(w.length)])
	i += int(w.length)
	if w.values > 0 {
		return container(b, i, n, int(w.values))
	}
	return bytesOf(b, i, n+uint64(w.fixed))
}

// widths describes the type bytes 0xc4 to 0xdf: the bytes of a length field,
// the bytes that follow anyway, and for containers the values per element.
var widths = [...]struct{ length, fixed, values uint8 }{
	{1, 0, 0}, {2, 0, 0}, {4, 0, 0}, // bin 8, 16, 32
	{1, 1, 0}, {2, 1, 0}, {4, 1, 0}, // ext 8, 16, 32: the type byte comes on top
	{0, 4, 0}, {0, 8, 0}, // float 32, 64
	{0, 1, 0}, {0, 2, 0}, {0, 4, 0}, {0, 8, 0}, // uint 8, 16, 32, 64
	{0, 1, 0}, {0, 2, 0}, {0, 4, 0}, {0, 8, 0}, // int 8, 16, 32, 64
	{0, 2, 0}, {0, 3, 0}, {0, 5, 0}, {0, 9, 0}, {0, 17, 0}, // fixext 1, 2, 4, 8, 16
	{1, 0, 0}, {2, 0, 0}, {4, 0, 0}, // str 8, 16, 32
	{2, 0, 1}, {4, 0, 1}, // array 16, 32
	{2, 0, 2}, {4, 0, 2}, // map 16, 32
}

// container refuses a count that the rest of b cannot hold: a decoder allocates
// memory for all elements before it reads the first one.
func container(b []byte, i int, n uint64, perElement int) (lead, error) {
	if n > uint64(len(b)-i)/uint64(perElement) {
		return lead{}, ErrMalformed
	}
	return lead{end: i, values: int(n) * perElement, container: true}, nil
}

func bytesOf(b []byte, i int, n uint64) (lead, error) {
	if n > uint64(len(b)-i) {
		return lead{}, ErrMalformed
	}
	return lead{end: i + int(n)}, nil
}

func bigEndian(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	default:
		return binary.BigEndian.Uint64(b)
	}
}
