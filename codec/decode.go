// SPDX-License-Identifier: MIT

package codec

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// ErrMismatch says that a well-formed body does not fit the Go value that it is
// decoded into: it has another type, or a number is out of range. SPEC 7.
var ErrMismatch = errors.New("codec: body does not fit the Go value")

// misfit is an ErrMismatch with its place. at and what name no Go type, so that
// BadRequest may send them to a peer. cause may contain anything.
type misfit struct {
	at    string // as "field 2: element 1: ", empty at the top
	what  string
	cause error // from a type with its own decoding method, or nil
}

func (m *misfit) Error() string {
	text := ErrMismatch.Error() + ": " + m.at + m.what
	if m.cause != nil {
		text += ": " + m.cause.Error()
	}
	return text
}

func (m *misfit) Is(target error) bool { return target == ErrMismatch }

func (m *misfit) Unwrap() error { return m.cause }

// asMisfit turns any decoding error into a misfit.
func asMisfit(err error) *misfit {
	if m, ok := err.(*misfit); ok {
		return m
	}
	return &misfit{what: "not what its type reads", cause: err}
}

// BadRequest turns an error of DecodeBody into the FAILURE that answers the
// request. Its code is ErrorBadRequest. Its text says what does not fit and where,
// and contains no names of Go types.
func BadRequest(err error) *Error {
	text := strings.TrimPrefix(err.Error(), "codec: ")
	var m *misfit
	if errors.As(err, &m) {
		text = "payload does not fit: " + m.at + m.what
	}
	return &Error{Code: ErrorBadRequest, Text: text}
}

// within adds the place in a container to a misfit.
func within(err error, part string, n int) error {
	m := asMisfit(err)
	m.at = fmt.Sprintf("%s %d: %s", part, n, m.at)
	return m
}

// The msgpack package decodes the leaves. This file decodes the containers, because
// the package (v5.4.1) does not do there what SPEC 5 promises:
//
//   - A struct whose array is shorter or longer than its fields is an error.
//   - Where a map is expected it also takes an extension value and reads the
//     map's size out of the unchecked inside of it: eight bytes of timestamp
//     ask for four billion entries, and the process dies.
//   - Numbers that do not fit are cut, not refused.
//   - What the destination held before can survive in slices and maps.

// value reads the next value into v, which must be settable.
func (d *decoder) value(v reflect.Value) error {
	t := v.Type()
	c := d.body[d.offset()]
	switch classOf(t) {
	case isRaw:
		return d.raw(v)
	case isTime:
		return d.time(v, c)
	case isCustom:
		return d.custom(v)
	}
	if c == codeNil {
		v.SetZero()
		return d.dec.DecodeNil()
	}
	switch t.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(t.Elem()))
		}
		return d.value(v.Elem())
	case reflect.Struct:
		return d.structure(v, c)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return d.bytes(v, c)
		}
		return d.slice(v, c)
	case reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return d.byteArray(v, c)
		}
		return d.array(v, c)
	case reflect.Map:
		return d.mapping(v, c)
	case reflect.Interface:
		// Into an interface that holds something msgpack would read in place.
		v.SetZero()
		return d.dec.DecodeValue(v)
	default:
		return d.scalar(v, c)
	}
}

// offset returns where in body the next value starts. Check has passed, and
// containers are read element by element, so there always is one.
func (d *decoder) offset() int { return len(d.body) - d.r.Len() }

const codeNil = 0xc0

var (
	rawType  = reflect.TypeFor[Raw]()
	timeType = reflect.TypeFor[time.Time]()
)

// class says what decodes a type.
type class uint8

const (
	isPlain class = iota
	isRaw
	isTime
	isCustom // its own methods, which msgpack calls
)

var classes sync.Map // reflect.Type -> class

func classOf(t reflect.Type) class {
	switch {
	case t.PkgPath() == "" && t.Kind() != reflect.Struct:
		return isPlain // no name, no methods; a pointer is followed first
	case t == rawType:
		return isRaw
	case t == timeType:
		return isTime
	}
	if c, ok := classes.Load(t); ok {
		return c.(class)
	}
	c, p := isPlain, reflect.PointerTo(t)
	for _, decodesItself := range selfDecoders {
		if p.Implements(decodesItself) {
			c = isCustom
		}
	}
	classes.Store(t, c)
	return c
}

var selfDecoders = [...]reflect.Type{
	reflect.TypeFor[msgpack.CustomDecoder](),
	reflect.TypeFor[msgpack.Unmarshaler](),
	reflect.TypeFor[encoding.BinaryUnmarshaler](),
	reflect.TypeFor[encoding.TextUnmarshaler](),
}

// custom lets msgpack call the methods of v. They must read exactly one value: what
// follows was checked as values that begin there.
func (d *decoder) custom(v reflect.Value) error {
	end, err := skip(d.body, d.offset())
	if err != nil {
		return err
	}
	if err := d.dec.DecodeValue(v); err != nil {
		return err
	}
	if d.offset() != end {
		return fmt.Errorf("methods of %s did not read exactly one value", v.Type())
	}
	return nil
}

// raw copies the bytes of the next value.
func (d *decoder) raw(v reflect.Value) error {
	from := d.offset()
	if err := d.dec.Skip(); err != nil {
		return err
	}
	v.SetBytes(append([]byte(nil), d.body[from:d.offset()]...))
	return nil
}

// time reads a timestamp. msgpack would also take strings and arrays.
func (d *decoder) time(v reflect.Value, c byte) error {
	if c == codeNil {
		v.SetZero()
		return d.dec.DecodeNil()
	}
	if !isExt(c) {
		return mismatch(v, c)
	}
	return d.dec.DecodeValue(v)
}

func isExt(c byte) bool { return c >= 0xc7 && c <= 0xc9 || c >= 0xd4 && c <= 0xd8 }

// structure reads an array into the fields of v, as many as there are.
func (d *decoder) structure(v reflect.Value, c byte) error {
	fields, err := fieldsOf(v.Type())
	if err != nil {
		return err
	}
	if isExt(c) {
		return d.dec.DecodeValue(v) // a type that the game registered
	}
	if !isArray(c) {
		return mismatch(v, c)
	}
	n, err := d.dec.DecodeArrayLen()
	if err != nil {
		return err
	}
	for i, f := range fields {
		if i >= n {
			if at, ok := f.find(v, false); ok {
				at.SetZero()
			}
			continue
		}
		at, _ := f.find(v, true)
		if err := d.value(at); err != nil {
			return within(err, "field", i+1)
		}
	}
	for i := len(fields); i < n; i++ {
		if err := d.dec.Skip(); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) slice(v reflect.Value, c byte) error {
	if !isArray(c) {
		return mismatch(v, c)
	}
	n, err := d.dec.DecodeArrayLen()
	if err != nil {
		return err
	}
	if v.IsNil() || v.Cap() < n {
		v.Set(reflect.MakeSlice(v.Type(), n, n))
	}
	v.SetLen(n)
	return d.elements(v, n)
}

func (d *decoder) array(v reflect.Value, c byte) error {
	if !isArray(c) {
		return mismatch(v, c)
	}
	n, err := d.dec.DecodeArrayLen()
	if err != nil {
		return err
	}
	if n != v.Len() {
		return &misfit{what: fmt.Sprintf("%d elements, not %d", n, v.Len())}
	}
	return d.elements(v, n)
}

func (d *decoder) elements(v reflect.Value, n int) error {
	for i := range n {
		if err := d.value(v.Index(i)); err != nil {
			return within(err, "element", i+1)
		}
	}
	return nil
}

func (d *decoder) mapping(v reflect.Value, c byte) error {
	if c>>4 != 0x8 && c != 0xde && c != 0xdf {
		return mismatch(v, c)
	}
	n, err := d.dec.DecodeMapLen()
	if err != nil {
		return err
	}
	t := v.Type()
	m := reflect.MakeMapWithSize(t, n)
	key, elem := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
	for i := range n {
		// Zero, so that the slices of one entry do not alias those of the next.
		key.SetZero()
		elem.SetZero()
		if err := d.value(key); err != nil {
			return within(err, "key", i+1)
		}
		if err := d.value(elem); err != nil {
			return within(err, "value", i+1)
		}
		m.SetMapIndex(key, elem)
	}
	v.Set(m)
	return nil
}

// bytes takes bin and str; both are bytes with a length.
func (d *decoder) bytes(v reflect.Value, c byte) error {
	if !isBytes(c) {
		return mismatch(v, c)
	}
	n, err := d.dec.DecodeBytesLen()
	if err != nil {
		return err
	}
	b := v.Bytes()
	if b == nil || cap(b) < n {
		b = make([]byte, n)
	}
	v.SetBytes(b[:n])
	return d.dec.ReadFull(b[:n])
}

func (d *decoder) byteArray(v reflect.Value, c byte) error {
	if !isBytes(c) {
		return mismatch(v, c)
	}
	n, err := d.dec.DecodeBytesLen()
	if err != nil {
		return err
	}
	if n != v.Len() {
		return &misfit{what: fmt.Sprintf("%d bytes, not %d", n, v.Len())}
	}
	return d.dec.ReadFull(v.Bytes())
}

func isBytes(c byte) bool {
	return c>>5 == 0x5 || c >= 0xc4 && c <= 0xc6 || c >= 0xd9 && c <= 0xdb
}

func (d *decoder) scalar(v reflect.Value, c byte) error {
	switch v.Kind() {
	case reflect.Bool:
		if c != 0xc2 && c != 0xc3 {
			return mismatch(v, c)
		}
	case reflect.String:
		if !isBytes(c) {
			return mismatch(v, c)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, ok := d.integer(c)
		if !ok {
			return mismatch(v, c)
		}
		if n.tooBig() || v.OverflowInt(int64(n.bits)) {
			return outOfRange()
		}
		v.SetInt(int64(n.bits))
		return nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		n, ok := d.integer(c)
		if !ok {
			return mismatch(v, c)
		}
		if n.negative || v.OverflowUint(n.bits) {
			return outOfRange()
		}
		v.SetUint(n.bits)
		return nil
	case reflect.Float32, reflect.Float64:
		// A float64 is rounded to a float32: JavaScript sends nothing else.
		if c == 0xca || c == 0xcb {
			f, err := d.dec.DecodeFloat64()
			v.SetFloat(f)
			return err
		}
		n, ok := d.integer(c)
		switch {
		case !ok:
			return mismatch(v, c)
		case n.negative:
			v.SetFloat(float64(int64(n.bits)))
		default:
			v.SetFloat(float64(n.bits))
		}
		return nil
	}
	return d.dec.DecodeValue(v)
}

// number is any msgpack integer, in two's complement.
type number struct {
	bits     uint64
	negative bool
}

func (n number) tooBig() bool { return !n.negative && n.bits > math.MaxInt64 }

func (d *decoder) integer(c byte) (number, bool) {
	if c > 0x7f && c < 0xcc || c > 0xd3 && c < 0xe0 {
		return number{}, false
	}
	if c == 0xcf {
		n, err := d.dec.DecodeUint64()
		return number{bits: n}, err == nil
	}
	n, err := d.dec.DecodeInt64()
	return number{bits: uint64(n), negative: n < 0}, err == nil
}

func mismatch(v reflect.Value, c byte) error {
	want := "of its type"
	switch t := v.Type(); {
	case t == timeType:
		want = "a timestamp"
	case t.Kind() == reflect.Bool:
		want = "a bool"
	case t.Kind() == reflect.String:
		want = "a string"
	case v.CanInt() || v.CanUint():
		want = "an integer"
	case v.CanFloat():
		want = "a number"
	case t.Kind() == reflect.Map:
		want = "a map"
	case (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) && t.Elem().Kind() == reflect.Uint8:
		want = "bytes"
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Array || t.Kind() == reflect.Struct:
		want = "an array"
	}
	return &misfit{what: fmt.Sprintf("not %s (type byte 0x%02x)", want, c)}
}

func outOfRange() error { return &misfit{what: "number out of range"} }
