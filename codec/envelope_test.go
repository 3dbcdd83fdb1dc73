// SPDX-License-Identifier: MIT

package codec

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
)

func TestRoute(t *testing.T) {
	for _, test := range []struct {
		r      Route
		number bool
		valid  bool
		text   string
	}{
		{Route{}, true, true, "#0"},
		{NumberedRoute(65535), true, true, "#65535"},
		{NumberedRoute(65536), true, false, "#65536"},
		{NamedRoute("a"), false, true, "a"},
		{NamedRoute(""), false, false, ""},
		{NamedRoute(strings.Repeat("r", 128)), false, true, strings.Repeat("r", 128)},
		{NamedRoute(strings.Repeat("r", 129)), false, false, strings.Repeat("r", 129)},
	} {
		if test.r.IsNumber() != test.number || test.r.Valid() != test.valid || test.r.String() != test.text {
			t.Errorf("%q: number %v, valid %v, %q", test.text, test.r.IsNumber(), test.r.Valid(), test.r.String())
		}
		r, _, err := ParseMessage(AppendMessage(nil, test.r, nil))
		if test.valid && (err != nil || r.String() != test.text || r.Number() != test.r.Number() || !bytes.Equal(r.Name(), test.r.Name())) {
			t.Errorf("%q came back as %v, %v", test.text, r, err)
		}
		if !test.valid && !errors.Is(err, ErrRoute) {
			t.Errorf("%q: got %v, want %v", test.text, err, ErrRoute)
		}
	}
}

func TestPayloadCannotGrowIntoThePacket(t *testing.T) {
	body := AppendResponse(nil, 1, []byte{0x01})
	body = append(body[:0], append([]byte{0x93}, append(body[1:], 0x02)...)...) // a surplus element behind it
	_, payload, err := ParseResponse(body)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(payload, 0xff)
	if body[len(body)-1] != 0x02 {
		t.Error("an append to the payload wrote over the packet")
	}
}

// What AppendBody writes is accepted as a payload, however deep.
func TestDeepestBodyIsAPayload(t *testing.T) {
	var v any
	for range MaxDepth {
		v = []any{v}
	}
	body := AppendRequest(nil, 1, NumberedRoute(1), encoded(t, v))
	_, _, payload, err := ParseRequest(body)
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := DecodeBody(payload, &got); err != nil {
		t.Error(err)
	}
}

// Every envelope cut anywhere, and with any one byte changed, is refused or
// still an envelope: never a panic, never a payload that Check refuses.
func TestDamagedEnvelopes(t *testing.T) {
	payload := encoded(t, &sample)
	for shape, whole := range map[string][]byte{
		"request":  AppendRequest(nil, 1<<40, NamedRoute("route"), payload),
		"response": AppendResponse(nil, 300, payload),
		"failure":  AppendFailure(nil, 300, 404, "text"),
		"message":  AppendMessage(nil, NumberedRoute(300), payload),
	} {
		for i := range whole {
			if _, err := rewriteEnvelope(shape, whole[:i:i]); err == nil {
				t.Errorf("%s: accepted when cut at %d", shape, i)
			}
			damaged := bytes.Clone(whole)
			for c := range 256 {
				damaged[i] = byte(c)
				checkEnvelope(t, shape, damaged)
			}
		}
	}
}

var shapes = []string{"request", "response", "failure", "message"}

// checkEnvelope parses b; what it accepts must survive another round.
func checkEnvelope(t *testing.T, shape string, b []byte) {
	t.Helper()
	first, err := rewriteEnvelope(shape, b)
	if err != nil {
		return
	}
	second, err := rewriteEnvelope(shape, first)
	if err != nil || !bytes.Equal(first, second) {
		t.Fatalf("%s %x became %x, then %x, %v", shape, b, first, second, err)
	}
	if len(first) > len(b) {
		t.Fatalf("%s %x became longer: %x", shape, b, first)
	}
	var payload []byte
	switch shape {
	case "request":
		_, _, payload, _ = ParseRequest(b)
	case "response":
		_, payload, _ = ParseResponse(b)
	case "message":
		_, payload, _ = ParseMessage(b)
	default:
		return
	}
	if err := Check(payload); err != nil {
		t.Fatalf("%s %x has the payload %x: %v", shape, b, payload, err)
	}
}

func TestEnvelopesDoNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 512)
	payload := encoded(t, &sample)
	named, numbered := NamedRoute("some.route"), NumberedRoute(500)
	allocs := testing.AllocsPerRun(100, func() {
		b := AppendRequest(buf, 77, named, payload)
		if _, _, _, err := ParseRequest(b); err != nil {
			t.Error(err)
		}
		b = AppendResponse(buf, 77, payload)
		if _, _, err := ParseResponse(b); err != nil {
			t.Error(err)
		}
		b = AppendFailure(buf, 77, 404, "not found")
		if _, _, _, err := ParseFailure(b); err != nil {
			t.Error(err)
		}
		b = AppendMessage(buf, numbered, payload)
		if _, _, err := ParseMessage(b); err != nil {
			t.Error(err)
		}
		if _, _, err := ParseMessage(b[:5]); err == nil {
			t.Error("accepted")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

func TestFailureTextOfEveryLength(t *testing.T) {
	for _, n := range []int{0, 31, 32, 255, 256, 65535, 65536} {
		want := strings.Repeat("t", n)
		id, code, text, err := ParseFailure(AppendFailure(nil, math.MaxUint64, math.MaxUint32, want))
		if err != nil || id != math.MaxUint64 || code != math.MaxUint32 || string(text) != want {
			t.Errorf("%d: got %d, %d, %d bytes, %v", n, id, code, len(text), err)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	s := readVectors(f)["envelopes"]
	for _, v := range append(s.Accepted, s.Refused...) {
		f.Add([]byte(v.Hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, shape := range shapes {
			checkEnvelope(t, shape, b)
		}
	})
}

func BenchmarkEnvelope(b *testing.B) {
	payload := encoded(b, &sample)
	for name, r := range map[string]Route{"named": NamedRoute("some.route"), "numbered": NumberedRoute(500)} {
		body := AppendMessage(nil, r, payload)
		b.Run("append/"+name, func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, 256)
			for b.Loop() {
				AppendMessage(buf, r, payload)
			}
		})
		b.Run("parse/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := ParseMessage(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
