// SPDX-License-Identifier: MIT

package codec

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"testing"
)

// slowCheck is Check written the obvious way, from msgpack's own table. It
// says what a value is; Check must agree with it on every input.
func slowCheck(b []byte, depth int) (rest []byte, err error) {
	if len(b) == 0 {
		return nil, ErrMalformed
	}
	c, b := b[0], b[1:]
	length := func(n int) (size uint64) {
		if len(b) < n {
			err = ErrMalformed
			return 0
		}
		for _, x := range b[:n] {
			size = size<<8 | uint64(x)
		}
		b = b[n:]
		return size
	}
	var size, values uint64
	inside := false
	switch {
	case c <= 0x7f, c >= 0xe0, c == 0xc0, c == 0xc2, c == 0xc3:
	case c <= 0x8f:
		inside, values = true, 2*uint64(c-0x80)
	case c <= 0x9f:
		inside, values = true, uint64(c-0x90)
	case c <= 0xbf:
		size = uint64(c - 0xa0)
	case c == 0xc4, c == 0xd9:
		size = length(1)
	case c == 0xc5, c == 0xda:
		size = length(2)
	case c == 0xc6, c == 0xdb:
		size = length(4)
	case c == 0xc7:
		size = length(1) + 1
	case c == 0xc8:
		size = length(2) + 1
	case c == 0xc9:
		size = length(4) + 1
	case c == 0xcc, c == 0xd0:
		size = 1
	case c == 0xcd, c == 0xd1:
		size = 2
	case c == 0xca, c == 0xce, c == 0xd2:
		size = 4
	case c == 0xcb, c == 0xcf, c == 0xd3:
		size = 8
	case c >= 0xd4 && c <= 0xd8:
		size = 1 + 1<<(c-0xd4)
	case c == 0xdc:
		inside, values = true, length(2)
	case c == 0xdd:
		inside, values = true, length(4)
	case c == 0xde:
		inside, values = true, 2*length(2)
	case c == 0xdf:
		inside, values = true, 2*length(4)
	default:
		return nil, ErrMalformed
	}
	if err != nil || size > uint64(len(b)) || values > uint64(len(b)) {
		return nil, ErrMalformed
	}
	if inside && depth == MaxDepth {
		return nil, ErrTooDeep
	}
	b = b[size:]
	for range values {
		if b, err = slowCheck(b, depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func sameAsSlowCheck(t *testing.T, b []byte) {
	t.Helper()
	rest, want := slowCheck(b, 0)
	if want == nil && len(rest) > 0 {
		want = ErrTrailing
	}
	if got := Check(b); !errors.Is(got, want) {
		t.Fatalf("Check(%x) = %v, the slow one says %v", b, got, want)
	}
}

func TestCheckAgreesWithTheSlowOne(t *testing.T) {
	tails := [][]byte{nil, {0}, {0xff}, {0, 0, 0, 1, 0xc0}, bytes.Repeat([]byte{0xff}, 20), make([]byte, 20), bytes.Repeat([]byte{0x91}, 20)}
	for i := range 1 << 16 {
		for _, tail := range tails {
			sameAsSlowCheck(t, append([]byte{byte(i), byte(i >> 8)}, tail...))
		}
	}
	for i := range 256 {
		sameAsSlowCheck(t, []byte{byte(i)})
	}
	sameAsSlowCheck(t, nil)
}

func TestCheckNeitherAllocatesNorRecurses(t *testing.T) {
	for name, b := range bombs() {
		if n := testing.AllocsPerRun(10, func() { _ = Check(b) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

// bombs are bodies that ask for far more than they are.
func bombs() map[string][]byte {
	wide := append([]byte{0xdd, 0, 0, 0xff, 0xf0}, bytes.Repeat([]byte{0xc0}, 0xfff0)...)
	return map[string][]byte{
		"array32 of 2^32-1":     {0xdd, 0xff, 0xff, 0xff, 0xff},
		"array32, a little":     {0xdd, 0x00, 0xff, 0xff, 0xff, 0xc0, 0xc0},
		"map32 of 2^32-1":       {0xdf, 0xff, 0xff, 0xff, 0xff, 0xc0, 0xc0},
		"map32 of 2^31":         {0xdf, 0x80, 0, 0, 0, 0xc0, 0xc0},
		"bin32 of 4 GiB":        {0xc6, 0xff, 0xff, 0xff, 0xff, 1},
		"str32 of 4 GiB":        {0xdb, 0xff, 0xff, 0xff, 0xff, 1},
		"ext32 of 4 GiB":        {0xc9, 0xff, 0xff, 0xff, 0xff, 5, 1},
		"bin32 in an array":     {0x91, 0xc6, 0x7f, 0xff, 0xff, 0xff, 1},
		"100k arrays":           bytes.Repeat([]byte{0x91}, 100_000),
		"100k empty in a row":   bytes.Repeat([]byte{0x90}, 100_000),
		"100k maps":             bytes.Repeat([]byte{0x81, 0xc0}, 100_000),
		"wide":                  wide,
		"map32 in a timestamp":  {0xd7, 0xff, 0xdf, 0xff, 0xff, 0xff, 0xff, 0, 0, 0},
		"map16 in a timestamp":  {0xd6, 0xff, 0xde, 0xff, 0xff, 0},
		"map32 in an ext":       {0xc7, 6, 5, 0xdf, 0xff, 0xff, 0xff, 0xff, 0},
		"timestamp in an array": {0x91, 0xd7, 0xff, 0xdf, 0xff, 0xff, 0xff, 0xff, 0, 0, 0},
		"timestamp in a struct": {0x94, 0, 0xa0, 0xd7, 0xff, 0xdf, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0x90},
		"timestamp in a map":    {0x81, 0xa1, 'a', 0xd7, 0xff, 0xdf, 0xff, 0xff, 0xff, 0xff, 0, 0, 0},
	}
}

// target is one of everything that a body can be read into.
type target struct {
	N    uint8
	S    string
	M    map[string]any
	Ms   map[string]string
	L    []any
	Ls   []string
	B    []byte
	P    *target
	T    []target
	Mi   map[int][]int
	Any  any
	Raw  Raw
	Four [4]byte
}

func targets() []any {
	return []any{
		new(any), new(target), new([]target), new(map[string]any), new(map[string]string), new(map[string]bool),
		new(map[int]target), new([]map[string]any), new(map[string]map[string]any), new([]any), new([]string),
		new([]byte), new([4]byte), new(string), new(int64), new(uint8), new(float32), new(Raw), new([][]int),
	}
}

func TestDecodingAllocatesInProportion(t *testing.T) {
	bodies := bombs()
	// Every type byte, with a length that lies and content that may fit it.
	for c := range 256 {
		for _, tail := range []string{"\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\xff\xdf\xff\xff\xff\xff\xff\xff\xff", "\x00\x00\x00\x01\xc0\xc0", "\x01\xff\xde\xff\xff", "\x90"} {
			bodies[fmt.Sprintf("%02x%x", c, tail)] = append([]byte{byte(c)}, tail...)
		}
	}
	var before, after runtime.MemStats
	for name, b := range bodies {
		for _, v := range targets() {
			runtime.ReadMemStats(&before)
			err := DecodeBody(b, v)
			runtime.ReadMemStats(&after)
			// 400 bytes of target for each byte of body, and some for errors.
			if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(400*len(b)+64<<10); got > limit {
				t.Errorf("%s into %T: %d bytes allocated for %d (%v)", name, v, got, len(b), err)
			}
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	body, err := AppendBody(nil, &sample)
	if err != nil {
		b.Fatal(err)
	}
	b.Run(fmt.Sprintf("size=%d", len(body)), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := Check(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}
