// SPDX-License-Identifier: MIT

package sample

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// Source makes random values of any type that clients have as well as Go: times
// to the millisecond, int and uint up to 2^53, no nil where an empty one is meant.
type Source struct {
	*rand.Rand
	// Narrow bounds int64 and uint64 as well.
	Narrow bool
}

// Value returns a value of the type.
func (s Source) Value(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	s.fill(v, 4)
	return v
}

// few is a length: mostly small, now and then where the form of its head changes.
func (s Source) few(depth int) int {
	if depth <= 1 {
		return 0
	}
	if depth == 4 && s.IntN(20) == 0 {
		return 15 + s.IntN(3)
	}
	return s.IntN(4)
}

func (s Source) fill(v reflect.Value, depth int) {
	switch t := v.Type(); {
	case t == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(s.time()))
		return
	case t == reflect.TypeFor[codec.Raw]():
		b, err := codec.AppendBody(nil, []any{s.text(), s.Int64(), []string{"x"}, nil}[s.IntN(4)])
		if err != nil {
			panic(err)
		}
		v.SetBytes(b)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				if f.Kind() == reflect.Pointer && v.Type().Field(i).Anonymous {
					f.Set(reflect.New(f.Type().Elem())) // a nil one is read as zeros, which are written otherwise
					f = f.Elem()
				}
				s.fill(f, depth)
			}
		}
	case reflect.Pointer:
		if depth > 1 && s.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			s.fill(v.Elem(), depth-1)
		}
	case reflect.Slice:
		n := s.few(depth)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		s.elements(v, depth-1)
	case reflect.Array:
		s.elements(v, depth)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range s.few(depth) {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			s.fill(key, 1)
			s.fill(value, depth-1)
			v.SetMapIndex(key, value)
		}
	default:
		s.scalar(v)
	}
}

func (s Source) elements(v reflect.Value, depth int) {
	for i := range v.Len() {
		s.fill(v.Index(i), depth)
	}
}

func (s Source) scalar(v reflect.Value) {
	bits := func() int { return 1 + s.IntN(v.Type().Bits()) }
	narrow := s.Narrow || v.Kind() == reflect.Int || v.Kind() == reflect.Uint
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(s.IntN(2) == 0)
	case reflect.String:
		v.SetString(s.text())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n := int64(s.Uint64()) >> (64 - bits())
		if narrow {
			n >>= 11
		}
		v.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n := s.Uint64() >> (64 - bits())
		if narrow {
			n >>= 11
		}
		v.SetUint(n)
	case reflect.Float32, reflect.Float64:
		v.SetFloat([]float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), 1, s.NormFloat64(), s.NormFloat64() * math.Pow(10, float64(s.IntN(60)-30))}[s.IntN(7)])
	default:
		panic(fmt.Sprintf("sample: a %s", v.Type()))
	}
}

func (s Source) text() string {
	n := s.IntN(12)
	if s.IntN(20) == 0 {
		n = []int{31, 32, 255, 256, 70_000}[s.IntN(40)%5]
		if n == 70_000 && s.IntN(200) > 0 {
			n = 30
		}
	}
	return strings.Repeat([]string{"x", "ä", "語", "🛟", "\x00", `"`}[s.IntN(6)], n)
}

// time is one that all clients have, in each of its three forms.
func (s Source) time() time.Time {
	const year1, year10000 = -62_135_596_800, 253_402_300_800
	at := []int64{year1, s.Int64N(1 << 32), s.Int64N(1 << 34), year1 + s.Int64N(year10000-year1)}[s.IntN(4)]
	if at == year1 {
		return time.Time{}
	}
	return time.Unix(at, []int64{0, s.Int64N(1000) * 1_000_000}[s.IntN(2)])
}
