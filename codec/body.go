// SPDX-License-Identifier: MIT

package codec

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// AppendBody appends v as msgpack: structs as arrays of their exported fields
// in order, integers in their shortest form (SPEC 5). On an error it
// returns dst unchanged. The type of v must pass CheckType and the result passes
// Check, so that a mistake fails at its cause. v must not contain a cycle.
// Safe to call from any goroutine.
func AppendBody(dst []byte, v any) ([]byte, error) {
	if err := checkOnce(reflect.TypeOf(v)); err != nil {
		return dst, err
	}
	e := encoders.Get().(*encoder)
	e.b = dst
	err := e.encode(v)
	b := e.b
	e.b = nil
	if err != nil {
		return dst, fmt.Errorf("codec: encode %T: %w", v, err)
	}
	encoders.Put(e) // not after an error: its state is unknown then
	if err := Check(b[len(dst):]); err != nil {
		return dst, fmt.Errorf("codec: encode %T: %w", v, err)
	}
	return b, nil
}

// encoder writes msgpack to the end of b. Owned by one AppendBody at a time.
type encoder struct {
	b   []byte
	enc *msgpack.Encoder
}

var encoders = sync.Pool{New: func() any {
	e := new(encoder)
	e.enc = msgpack.NewEncoder(e)
	e.enc.UseArrayEncodedStructs(true)
	e.enc.UseCompactInts(true)
	return e
}}

// encode turns a panic into an error: msgpack calls methods of v and uses reflection
// on values of the game.
func (e *encoder) encode(v any) (err error) {
	defer recovered(&err)
	return e.enc.Encode(v)
}

// Write makes encoder an io.Writer for msgpack.
func (e *encoder) Write(p []byte) (int, error) {
	e.b = append(e.b, p...)
	return len(p), nil
}

// WriteByte saves msgpack an allocation for each byte.
func (e *encoder) WriteByte(c byte) error {
	e.b = append(e.b, c)
	return nil
}

func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v", p)
	}
}

// DecodeBody reads body, exactly one msgpack value, into v, a pointer. It
// replaces what v held: fields that body does not have become zero, and elements
// that v does not know are skipped (SPEC 5.2). Nothing in v aliases body
// afterwards. Safe to call from any goroutine.
func DecodeBody(body []byte, v any) error {
	if err := Check(body); err != nil {
		return err
	}
	d := decoders.Get().(*decoder)
	d.body = body
	d.r.Reset(body)
	err := d.decode(v)
	d.body = nil
	d.r.Reset(nil)
	if err != nil {
		return asMisfit(err)
	}
	decoders.Put(d) // not after an error: msgpack may still be recording
	return nil
}

// decoder reads one checked body. Owned by one DecodeBody at a time.
type decoder struct {
	body []byte
	r    bytes.Reader // msgpack reads from here; its position is ours too
	dec  *msgpack.Decoder
}

var decoders = sync.Pool{New: func() any {
	d := new(decoder)
	d.dec = msgpack.NewDecoder(&d.r)
	return d
}}

func (d *decoder) decode(v any) (err error) {
	defer recovered(&err)
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return errors.New("not a pointer to decode into")
	}
	return d.value(p.Elem())
}

// Raw is an encoded msgpack value. It is written unchanged (an empty one as nil),
// and read as a copy of the bytes.
type Raw []byte

// MarshalMsgpack returns r itself.
func (r Raw) MarshalMsgpack() ([]byte, error) {
	if len(r) == 0 {
		return []byte{0xc0}, nil
	}
	return r, nil
}

// UnmarshalMsgpack keeps a copy of b.
func (r *Raw) UnmarshalMsgpack(b []byte) error {
	*r = append((*r)[:0], b...)
	return nil
}
