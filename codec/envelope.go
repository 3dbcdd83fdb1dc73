// SPDX-License-Identifier: MIT

package codec

import (
	"encoding/binary"
	"errors"
	"math"
)

// The refusals of the envelope parsers, besides those of Check: SPEC 6.
var (
	ErrEnvelope = errors.New("codec: envelope is not the array that its kind needs")
	ErrRoute    = errors.New("codec: route is neither a short name nor a small number")
)

// AppendRequest appends the body of a REQUEST, [id, route, payload]. Here and
// below, payload is one encoded msgpack value; an empty one is written as nil. dst
// must not overlap it.
func AppendRequest(dst []byte, id uint64, r Route, payload []byte) []byte {
	dst = append(dst, 0x93)
	dst = appendUint(dst, id)
	dst = appendRoute(dst, r)
	return appendPayload(dst, payload)
}

// ParseRequest reads the body of a REQUEST. Here and below, everything that is
// returned aliases body, and the payload has passed what Check checks.
func ParseRequest(body []byte) (id uint64, r Route, payload []byte, err error) {
	p := openEnvelope(body, 3)
	id = p.uint(math.MaxUint64)
	r = p.route()
	payload = p.value()
	if err = p.close(); err != nil {
		return 0, Route{}, nil, err
	}
	return id, r, payload, nil
}

// EnvelopeID returns the id at the start of the body of a REQUEST, a RESPONSE or a
// FAILURE, even if the rest is refused. With it the receiver can answer a malformed
// request, or fail the call that waits for a malformed answer. ok is false if there
// is no readable id.
func EnvelopeID(body []byte) (id uint64, ok bool) {
	p := openEnvelope(body, 1)
	id = p.uint(math.MaxUint64)
	return id, p.err == nil
}

// AppendResponse appends the body of a RESPONSE, [id, payload].
func AppendResponse(dst []byte, id uint64, payload []byte) []byte {
	dst = append(dst, 0x92)
	dst = appendUint(dst, id)
	return appendPayload(dst, payload)
}

// ParseResponse reads the body of a RESPONSE.
func ParseResponse(body []byte) (id uint64, payload []byte, err error) {
	p := openEnvelope(body, 2)
	id = p.uint(math.MaxUint64)
	payload = p.value()
	if err = p.close(); err != nil {
		return 0, nil, err
	}
	return id, payload, nil
}

// AppendFailure appends the body of a FAILURE, [id, code, text].
func AppendFailure(dst []byte, id uint64, code ErrorCode, text string) []byte {
	dst = append(dst, 0x93)
	dst = appendUint(dst, id)
	dst = appendUint(dst, uint64(code))
	dst = appendStringHead(dst, len(text))
	return append(dst, text...)
}

// ParseFailure reads the body of a FAILURE.
func ParseFailure(body []byte) (id uint64, code ErrorCode, text []byte, err error) {
	p := openEnvelope(body, 3)
	id = p.uint(math.MaxUint64)
	code = ErrorCode(p.uint(math.MaxUint32))
	text = p.string()
	if err = p.close(); err != nil {
		return 0, 0, nil, err
	}
	return id, code, text, nil
}

// AppendMessage appends the body of a MESSAGE or a DATAGRAM, [route, payload].
func AppendMessage(dst []byte, r Route, payload []byte) []byte {
	dst = append(dst, 0x92)
	dst = appendRoute(dst, r)
	return appendPayload(dst, payload)
}

// ParseMessage reads the body of a MESSAGE or a DATAGRAM. That a DATAGRAM's
// route must be a number is for the caller to check.
func ParseMessage(body []byte) (r Route, payload []byte, err error) {
	p := openEnvelope(body, 2)
	r = p.route()
	payload = p.value()
	if err = p.close(); err != nil {
		return Route{}, nil, err
	}
	return r, payload, nil
}

func appendPayload(b, payload []byte) []byte {
	if len(payload) == 0 {
		return append(b, 0xc0)
	}
	return append(b, payload...)
}

// appendUint writes n in its shortest form.
func appendUint(b []byte, n uint64) []byte {
	switch {
	case n <= 0x7f:
		return append(b, byte(n))
	case n <= math.MaxUint8:
		return append(b, 0xcc, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, 0xcf), n)
	}
}

func appendStringHead(b []byte, n int) []byte {
	switch {
	case n <= 31:
		return append(b, 0xa0|byte(n))
	case n <= math.MaxUint8:
		return append(b, 0xd9, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xda), uint16(n))
	default:
		return binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(n))
	}
}

// envelope reads the elements of one array, one after the other. It keeps its
// first error, so that a parser checks for an error once, in close.
type envelope struct {
	b    []byte
	i    int
	left int // elements not yet read
	err  error
}

func openEnvelope(body []byte, known int) envelope {
	p := envelope{b: body}
	head, err := scan(body, 0)
	switch {
	case err != nil:
		p.err = err
	case !isArray(body[0]) || head.values < known:
		p.err = ErrEnvelope
	}
	p.i, p.left = head.end, head.values
	return p
}

func isArray(c byte) bool { return c>>4 == 0x9 || c == 0xdc || c == 0xdd }

// value returns the encoded bytes of the next element, checked. Nesting is counted
// from here, so that a payload may be as deep inside an envelope as on its own.
func (p *envelope) value() []byte {
	if p.err != nil {
		return nil
	}
	end, err := skip(p.b, p.i)
	if err != nil {
		p.err = err
		return nil
	}
	v := p.b[p.i:end:end] // an append to it must not write into the packet
	p.i = end
	p.left--
	return v
}

// uint returns the next element, an integer of any width between 0 and limit.
func (p *envelope) uint(limit uint64) uint64 {
	v := p.value()
	if p.err != nil {
		return 0
	}
	n, ok := integer(v)
	if !ok || n > limit {
		p.err = ErrEnvelope
		return 0
	}
	return n
}

// integer reads a msgpack integer that is not negative, in any form.
func integer(v []byte) (n uint64, ok bool) {
	switch c := v[0]; {
	case c <= 0x7f:
		return uint64(c), true
	case c >= 0xcc && c <= 0xcf: // uint 8, 16, 32, 64
		return bigEndian(v[1:]), true
	case c >= 0xd0 && c <= 0xd3: // int 8, 16, 32, 64
		return bigEndian(v[1:]), v[1] < 0x80
	}
	return 0, false
}

// text returns the bytes of a msgpack string.
func text(v []byte) (s []byte, ok bool) {
	switch c := v[0]; {
	case c>>5 == 0x5: // fixstr
		return v[1:], true
	case c >= 0xd9 && c <= 0xdb: // str 8, 16, 32
		return v[1+1<<(c-0xd9):], true
	}
	return nil, false
}

func (p *envelope) string() []byte {
	v := p.value()
	if p.err != nil {
		return nil
	}
	s, ok := text(v)
	if !ok {
		p.err = ErrEnvelope
	}
	return s
}

func (p *envelope) route() Route {
	v := p.value()
	if p.err != nil {
		return Route{}
	}
	var r Route
	if s, ok := text(v); ok {
		r.name = s
	} else if n, ok := integer(v); ok && n <= MaxRouteNumber {
		r.num = uint32(n)
	} else {
		p.err = ErrRoute
		return Route{}
	}
	if !r.Valid() {
		p.err = ErrRoute
	}
	return r
}

// close skips the elements that later versions appended, and refuses bytes behind
// the array.
func (p *envelope) close() error {
	for p.err == nil && p.left > 0 {
		p.value()
	}
	if p.err == nil && p.i != len(p.b) {
		p.err = ErrTrailing
	}
	return p.err
}
