// SPDX-License-Identifier: MIT

package codec

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

func TestKindNames(t *testing.T) {
	seen := map[string]bool{}
	for k := range kinds {
		if k.String() == "" || seen[k.String()] {
			t.Errorf("kind %d has the name %q", k, k.String())
		}
		seen[k.String()] = true
	}
	if got := Kind(99).String(); got != "KIND(99)" {
		t.Errorf("got %q", got)
	}
}

func TestHeaderRoundTrip(t *testing.T) {
	for k := range kinds {
		h := Header{Kind: k, Ack: 0xfedcba98}
		if k.Counted() || k == Heartbeat {
			h.Seq = 0x1234
		}
		b := h.Append([]byte{0xaa})
		if len(b) != 1+HeaderSize || b[0] != 0xaa {
			t.Fatalf("%v: appended %x", k, b)
		}
		if got, err := ParseHeader(b[1:]); err != nil || got != h {
			t.Errorf("%v: got %+v, %v, want %+v", k, got, err, h)
		}
	}
}

// Each of the 65,536 beginnings of a header is either refused or comes out of
// Append again: nothing is read that nobody writes.
func TestHeaderEveryBeginning(t *testing.T) {
	accepted := 0
	for i := range 1 << 16 {
		b := []byte{byte(i), byte(i >> 8), 0, 0, 1, 2, 3, 4}
		h, err := ParseHeader(b)
		if err != nil {
			continue
		}
		accepted++
		if got := h.Append(nil); !bytes.Equal(got, b) {
			t.Fatalf("%x was read as %+v, which is %x", b, h, got)
		}
	}
	if want := 16 + 6; accepted != want { // 16 kinds without flags, 6 heartbeats
		t.Errorf("%d beginnings accepted, want %d", accepted, want)
	}
}

func TestFrameByteByByte(t *testing.T) {
	for _, n := range []int{1, 127, 128, 16383, 16384, DefaultMaxBody} {
		h := Header{Kind: Message, Seq: 7, Ack: 9}
		body := bytes.Repeat([]byte{0xc0}, n)
		b := AppendFrame(nil, h, body)
		if len(b) != AppendedFrameSize(n) || len(b) > n+FrameOverhead {
			t.Errorf("%d: frame of %d bytes, AppendedFrameSize %d", n, len(b), AppendedFrameSize(n))
		}
		for cut := range min(len(b), 40) {
			if _, size, err := ParseFrame(b[:cut], DefaultMaxBody); size != 0 || err != nil {
				t.Fatalf("%d: at %d bytes: %d, %v", n, cut, size, err)
			}
			size, err := FrameSize(b[:cut], DefaultMaxBody)
			if err != nil || size != 0 && size != len(b) {
				t.Fatalf("%d: at %d bytes FrameSize is %d, %v", n, cut, size, err)
			}
		}
		p, size, err := ParseFrame(append(b, 0xff), DefaultMaxBody)
		if err != nil || size != len(b) || p.Header != h || !bytes.Equal(p.Body, body) {
			t.Errorf("%d: got size %d, %+v, %v", n, size, p.Header, err)
		}
	}
}

func TestFrameLimitIsCheckedBeforeTheBodyArrives(t *testing.T) {
	frame := AppendFrame(nil, Header{Kind: Message}, make([]byte, 100))
	for _, b := range [][]byte{frame, frame[:1]} {
		if _, _, err := ParseFrame(b, 99); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes: got %v, want %v", len(b), err, ErrTooLarge)
		}
		if _, err := FrameSize(b, 99); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes: FrameSize: got %v, want %v", len(b), err, ErrTooLarge)
		}
	}
}

func TestHeartbeatIsNineBytes(t *testing.T) {
	b := AppendFrame(nil, Header{Kind: Heartbeat}, nil)
	if !bytes.Equal(b, make([]byte, 9)) {
		t.Fatalf("got %x", b)
	}
	p, _, err := ParseFrame(b, 0)
	if err != nil || p.Body != nil {
		t.Errorf("got body %v, %v, want nil", p.Body, err)
	}
}

func TestHeaderAndFrameDoNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 256)
	h := Header{Kind: Message, Seq: 1}
	body := []byte{0xc0}
	allocs := testing.AllocsPerRun(100, func() {
		b := AppendFrame(buf, h, body)
		if size, err := FrameSize(b, 100); err != nil || size != len(b) {
			t.Error(size, err)
		}
		p, _, err := ParseFrame(b, 100)
		if err != nil || p.Header != h {
			t.Error(p, err)
		}
		if _, err := ParseHeader(b[1:]); err != nil {
			t.Error(err)
		}
		if _, _, err := ParseFrame(b[:4], 100); err != nil {
			t.Error(err)
		}
		if _, _, err := ParseFrame(b, 0); err == nil {
			t.Error("accepted")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

func FuzzFrame(f *testing.F) {
	for _, v := range readVectors(f)["frames"].Accepted {
		f.Add([]byte(v.Hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1 << 12
		size, sizeErr := FrameSize(b, limit)
		p, n, err := ParseFrame(b, limit)
		if sizeErr != nil && !errors.Is(err, sizeErr) {
			t.Fatalf("FrameSize: %v, ParseFrame: %v", sizeErr, err)
		}
		if err != nil || n == 0 {
			if p.Body != nil || n != 0 {
				t.Fatalf("nothing parsed, but got %+v, %d", p, n)
			}
			if err == nil && size != 0 && size <= len(b) {
				t.Fatalf("waits for more than the %d bytes that it said", size)
			}
			return
		}
		if n != size {
			t.Fatalf("FrameSize %d, ParseFrame %d", size, n)
		}
		// The shortest form and no don't-care bits: one frame, one spelling.
		if again := AppendFrame(nil, p.Header, p.Body); !bytes.Equal(again, b[:n]) {
			t.Fatalf("%x became %x", b[:n], again)
		}
	})
}

func BenchmarkFrame(b *testing.B) {
	for _, size := range []int{0, 64, 1024} {
		h := Header{Kind: Message, Seq: 1}
		if size == 0 {
			h.Kind = Heartbeat
		}
		body := make([]byte, size)
		frame := AppendFrame(nil, h, body)
		b.Run(fmt.Sprintf("append/size=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, len(frame))
			for b.Loop() {
				AppendFrame(buf, h, body)
			}
		})
		b.Run(fmt.Sprintf("parse/size=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := ParseFrame(frame, DefaultMaxBody); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
