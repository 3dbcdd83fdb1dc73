// SPDX-License-Identifier: MIT

package codec

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

type simple struct {
	X, Y float32
	ID   uint64
	Name string
	Hit  bool
}

var sample = simple{X: 1.5, Y: -2, ID: 1 << 40, Name: "an ordinary name", Hit: true}

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	b, err := AppendBody(nil, v)
	if err != nil {
		t.Fatalf("%#v: %v", v, err)
	}
	return b
}

func TestBodyBytes(t *testing.T) {
	type inner struct{ A, B int }
	type Embedded struct{ E string }
	for _, test := range []struct {
		v    any
		want string
	}{
		{nil, "c0"},
		{true, "c3"},
		{5, "05"},
		{-5, "fb"},
		{uint64(5), "05"},
		{int64(-200), "d1ff38"},
		{uint32(1 << 20), "ce00100000"},
		{float32(1), "ca3f800000"},
		{1.0, "cb3ff0000000000000"},
		{"abc", "a3616263"},
		{[]byte{1, 2}, "c4020102"},
		{[]byte(nil), "c0"},
		{[]int(nil), "c0"},
		{[]int{}, "90"},
		{&[2]byte{7, 8}, "c4020708"},
		{inner{1, -1}, "9201ff"},
		{&inner{1, -1}, "9201ff"},
		{(*inner)(nil), "c0"},
		{[]inner{{1, 2}}, "91920102"},
		{map[string]inner{"k": {1, 2}}, "81a16b920102"},
		{struct {
			A int
			b int
			C int `msgpack:"-"`
			D int `msgpack:"other,omitempty"`
		}{A: 1, b: 2, C: 3}, "920100"},
		{struct {
			Embedded
			F int
		}{Embedded{"e"}, 1}, "92a16501"},
		{Raw{0x91, 0xc0}, "91c0"},
		{Raw(nil), "c0"},
		{struct {
			R Raw
			S []Raw
		}{Raw{0x01}, []Raw{{0xc3}, nil, {}}}, "920193c3c0c0"},
		{time.Unix(1700000000, 0), "d6ff6553f100"},
		{3 * time.Second, "ceb2d05e00"},
	} {
		if got := hex.EncodeToString(encoded(t, test.v)); got != test.want {
			t.Errorf("%#v: got %s, want %s", test.v, got, test.want)
		}
	}
}

func TestBodyRoundTrip(t *testing.T) {
	type Inner struct {
		N int16
		L []string
	}
	type Base struct{ Level int }
	type everything struct {
		*Base
		I8       int8
		U64      uint64
		I64      int64
		F32      float32
		F64      float64
		B        []byte
		Key      [16]byte
		In       Inner
		P, Nil   *Inner
		L        []Inner
		LP       []*Inner
		M        map[string]Inner
		MI       map[int]map[string]string
		Any      any
		AM       map[string]any
		T        time.Time
		TP       *time.Time
		D        time.Duration
		Addr     netip.Addr
		R        Raw
		Floats   [3]float64
		Strings  map[string]string
		Flags    map[string]bool
		Kind     Kind
		Duration []time.Duration
		Pair     struct{ A, B any }
	}
	at := time.Unix(1700000000, 123456789)
	want := everything{
		Base: &Base{3}, I8: -128, U64: math.MaxUint64, I64: math.MinInt64, F32: 0.1, F64: math.Inf(-1),
		B: []byte{0, 255}, Key: [16]byte{1, 15: 16}, In: Inner{-7, []string{"a", ""}}, P: &Inner{N: 1},
		L: []Inner{{1, nil}, {2, []string{"x"}}}, LP: []*Inner{nil, {N: 9}}, M: map[string]Inner{"": {}, "k": {N: 1}},
		MI: map[int]map[string]string{-1: {"a": "b"}, 70000: nil}, Any: "text", AM: map[string]any{"a": []any{int8(1), nil, true}},
		T: at, TP: &at, D: time.Hour, Addr: netip.MustParseAddr("2001:db8::1"), R: Raw{0x92, 1, 2}, Floats: [3]float64{1, 2, 3},
		Strings: map[string]string{"a": "b"}, Flags: map[string]bool{"on": true}, Kind: Message, Duration: []time.Duration{1, -1},
		Pair: struct{ A, B any }{A: 1.5},
	}
	b := encoded(t, &want)
	var got everything
	if err := DecodeBody(b, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	// Again into what is full already, twice as large.
	got.L = append(got.L, got.L...)
	got.M["old"] = Inner{}
	got.Any = new(int)
	if err := DecodeBody(b, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("into a used value: got  %+v\nwant %+v", got, want)
	}
}

func TestStructsGrow(t *testing.T) {
	type itemV1 struct{ ID int }
	type itemV2 struct {
		ID    int
		Count int
		Tags  []string
	}
	type v1 struct {
		Name  string
		Items []itemV1
		Best  *itemV1
		ByKey map[string]itemV1
		Last  int
	}
	type v2 struct {
		Name  string
		Items []itemV2
		Best  *itemV2
		ByKey map[string]itemV2
		Last  int
		Deep  struct{ M map[string]itemV2 }
		Code  [4]byte
	}
	old := v1{"n", []itemV1{{1}, {2}}, &itemV1{3}, map[string]itemV1{"k": {4}}, 5}
	grown := v2{Name: "n", Items: []itemV2{{ID: 1}, {ID: 2}}, Best: &itemV2{ID: 3}, ByKey: map[string]itemV2{"k": {ID: 4}}, Last: 5}

	var a v2
	if err := DecodeBody(encoded(t, &old), &a); err != nil || !reflect.DeepEqual(a, grown) {
		t.Errorf("old bytes, new struct: %+v, %v", a, err)
	}

	full := grown
	full.Items = []itemV2{{1, 7, []string{"x"}}, {ID: 2}}
	full.Best = &itemV2{3, 8, []string{"y", "z"}}
	full.ByKey = map[string]itemV2{"k": {4, 9, nil}}
	full.Deep.M = map[string]itemV2{"m": {ID: 10}}
	full.Code = [4]byte{1, 2, 3, 4}
	var b v1
	if err := DecodeBody(encoded(t, &full), &b); err != nil || !reflect.DeepEqual(b, old) {
		t.Errorf("new bytes, old struct: %+v, %v", b, err)
	}

	// What the bytes do not have is zero afterwards, not what was there.
	if err := DecodeBody(encoded(t, &old), &full); err != nil || !reflect.DeepEqual(full, grown) {
		t.Errorf("old bytes over a full value: %+v, %v", full, err)
	}
	if err := DecodeBody([]byte{0x90}, &full); err != nil || !reflect.DeepEqual(full, v2{}) {
		t.Errorf("no elements over a full value: %+v, %v", full, err)
	}
}

func TestEmbeddedStructsKeepTheirPlaces(t *testing.T) {
	type Deep struct{ A int }
	type Mid struct {
		*Deep
		B int
	}
	type Clash struct{ B, C int }
	type outer struct {
		Mid
		Z     int
		Clash // B is taken: an element of its own
		Time  time.Time
		W     int
	}
	want := outer{Mid: Mid{&Deep{1}, 2}, Z: 3, Clash: Clash{4, 5}, Time: time.Unix(6, 0), W: 7}
	b := encoded(t, &want)
	if got, want := hex.EncodeToString(b), "96010203920405d6ff0000000607"; got != want {
		t.Fatalf("written as %s, want %s", got, want)
	}
	var got outer
	if err := DecodeBody(b, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if err := DecodeBody([]byte{0x90}, &got); err != nil || *got.Deep != (Deep{}) || got.Mid.B != 0 {
		t.Errorf("no elements: got %+v, %v", got, err)
	}
}

func TestBodyMismatch(t *testing.T) {
	type s struct{ N int }
	for _, test := range []struct {
		hex  string
		into any
	}{
		{"cd0100", new(uint8)}, {"ff", new(uint8)}, {"d0ff", new(uint64)}, {"cfffffffffffffffff", new(int64)},
		{"cc80", new(int8)}, {"d1ff7f", new(int8)}, {"ca3f800000", new(int)}, {"a131", new(int)},
		{"01", new(string)}, {"91a161", new(string)}, {"01", new(bool)}, {"c3", new(float64)},
		{"a0", new([]int)}, {"81c0c0", new([]int)}, {"90", new(map[string]int)}, {"c0", 5},
		{"8101c0", new(map[string]int)}, {"81a16101", new(s)}, {"01", new(s)}, {"a0", new(s)}, {"d40500", new(s)},
		{"c40101", new([2]byte)}, {"c403010101", new([2]byte)}, {"91c0", new([2]int)}, {"9101", new([]byte)},
		{"a161", new(time.Time)}, {"920102", new(time.Time)}, {"d40500", new(time.Time)}, {"d40500", new(any)},
		{"d7ffdeff000000000000", new(map[string]any)}, {"d7ffdeff000000000000", new(map[string]string)},
		{"01", new(chan int)}, {"01", new(func())}, {"01", new(complex128)}, {"01", new(error)},
		{"c401", nil},
		{"01", (*int)(nil)}, {"01", 7}, {"01", nil}, {"8190c0", new(map[any]int)}, {"8190c0", new(any)},
	} {
		b, err := hex.DecodeString(test.hex)
		if err != nil {
			t.Fatal(err)
		}
		err = DecodeBody(b, test.into)
		if Check(b) == nil && !errors.Is(err, ErrMismatch) || err == nil {
			t.Errorf("%s into %T: got %v, want %v", test.hex, test.into, err, ErrMismatch)
		}
	}
	// And what does fit, though written in another form.
	var f float32
	if err := DecodeBody([]byte{0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0}, &f); err != nil || f != 1.5 {
		t.Errorf("a double into a float32: %v, %v", f, err)
	}
	if err := DecodeBody([]byte{0xd0, 0xfe}, &f); err != nil || f != -2 {
		t.Errorf("an int into a float32: %v, %v", f, err)
	}
	var u uint16
	if err := DecodeBody([]byte{0xd3, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, &u); err != nil || u != 65535 {
		t.Errorf("an int64 into a uint16: %v, %v", u, err)
	}
}

func TestNothingDecodedAliasesTheBody(t *testing.T) {
	type all struct {
		S  string
		B  []byte
		R  Raw
		A  any
		L  []any
		M  map[string]any
		SS []string
		N  *all
	}
	in := all{"abc", []byte("def"), Raw("\xa3ghi"), []byte("jkl"), []any{"mno", []byte("pqr")}, map[string]any{"stu": []byte("vwx")}, []string{"yz"}, nil}
	n := in
	in.N = &n
	b := encoded(t, &in)
	var got all
	if err := DecodeBody(b, &got); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] = 'X'
	}
	// The pooled decoder's own buffers are not what we got either.
	var other all
	if err := DecodeBody(encoded(t, &all{S: strings.Repeat("Y", 500)}), &other); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, in) {
		t.Errorf("got %+v, want %+v", got, in)
	}
}

func TestMapEntriesDoNotShareMemory(t *testing.T) {
	want := map[string][]int{"a": {1, 2}, "b": {3, 4}, "c": {5}}
	var got map[string][]int
	if err := DecodeBody(encoded(t, want), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

type panics struct{}

func (panics) MarshalMsgpack() ([]byte, error)  { panic("on encoding") }
func (*panics) UnmarshalMsgpack(_ []byte) error { panic("on decoding") }

type halfReader struct{}

func (*halfReader) DecodeMsgpack(d *msgpack.Decoder) error {
	_, err := d.DecodeArrayLen()
	return err
}

func TestMethodsOfTheGameDoNoHarm(t *testing.T) {
	dst := []byte{1, 2, 3}
	b, err := AppendBody(dst, struct {
		A int
		P panics
	}{})
	if err == nil || !bytes.Equal(b, dst) {
		t.Errorf("panic on encoding: %x, %v", b, err)
	}
	if err := DecodeBody([]byte{0x91, 0x01}, new([]panics)); !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), "on decoding") {
		t.Errorf("panic on decoding: %v", err)
	}
	if err := DecodeBody([]byte{0x92, 0x92, 1, 2, 3}, new([]halfReader)); !errors.Is(err, ErrMismatch) {
		t.Errorf("half a value read: %v", err)
	}
}

func TestAppendBodyRefusesWhatAPeerWouldRefuse(t *testing.T) {
	var deep any
	for range MaxDepth + 1 {
		deep = []any{deep}
	}
	for name, test := range map[string]struct {
		v    any
		want error
	}{
		"too deep":    {deep, ErrTooDeep},
		"raw garbage": {Raw{0xc1}, ErrMalformed},
		"raw pair":    {Raw{1, 2}, ErrTrailing},
		"raw cut":     {[]Raw{{0x92, 1}}, ErrMalformed},
		"channel":     {make(chan int), nil},
	} {
		dst := append(make([]byte, 0, 200), "before"...)
		b, err := AppendBody(dst, test.v)
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
		if string(b) != "before" {
			t.Errorf("%s: dst became %q", name, b)
		}
	}
	if _, err := AppendBody(nil, deep.([]any)[0]); err != nil {
		t.Errorf("%d deep: %v", MaxDepth, err)
	}
}

func TestAppendBodyDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool forgets things under the race detector")
	}
	buf := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := AppendBody(buf, &sample); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("AppendBody: %v allocations, want 0", n)
	}
	body := encoded(t, &struct {
		A int
		B float64
		C []byte
		D struct{ E []int16 }
	}{1, 2, []byte{1}, struct{ E []int16 }{[]int16{1, 2}}})
	var into struct {
		A int
		B float64
		C []byte
		D struct{ E []int16 }
	}
	if n := testing.AllocsPerRun(100, func() {
		if err := DecodeBody(body, &into); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("DecodeBody into a used struct: %v allocations, want 0", n)
	}
}

// fuzzed has no maps: their order would differ from one writing to the next.
type fuzzed struct {
	I  int8
	U  uint16
	F  float32
	G  float64
	S  string
	B  []byte
	L  []fuzzed
	P  *fuzzed
	R  Raw
	T  time.Time
	A  [2]byte
	SS []string
	X  []bool
}

func FuzzBody(f *testing.F) {
	for _, name := range []string{"bodies", "structs"} {
		for _, v := range readVectors(f)[name].Accepted {
			f.Add([]byte(v.Hex))
		}
	}
	for _, b := range bombs() {
		f.Add(b[:min(len(b), 64)])
	}
	seed := fuzzed{I: 1, S: "s", L: []fuzzed{{B: []byte{1}}}, P: &fuzzed{T: time.Unix(1, 1)}, R: Raw{0x90}, X: []bool{true}}
	f.Add(encoded(f, &seed))
	f.Fuzz(func(t *testing.T, b []byte) {
		sameAsSlowCheck(t, b)
		ok := Check(b) == nil
		var raw Raw
		if err := DecodeBody(b, &raw); (err == nil) != ok {
			t.Fatalf("Check %v, into Raw: %v", ok, err)
		}
		for _, v := range targets() {
			err := DecodeBody(b, v)
			switch {
			case !ok && err == nil:
				t.Fatalf("into %T without passing Check", v)
			case err == nil:
				if _, err := AppendBody(nil, v); err != nil {
					t.Fatalf("read into %T, but not written again: %v", v, err)
				}
			case ok && !errors.Is(err, ErrMismatch):
				t.Fatalf("into %T: %v", v, err)
			}
		}
		if !ok {
			return
		}
		if again := encoded(t, raw); !bytes.Equal(again, b) {
			t.Fatalf("Raw: %x became %x", b, again)
		}
		var one, two fuzzed
		if DecodeBody(b, &one) != nil {
			return
		}
		first := encoded(t, &one)
		if err := DecodeBody(first, &two); err != nil {
			t.Fatalf("%x, written again as %x: %v", b, first, err)
		}
		if second := encoded(t, &two); !bytes.Equal(first, second) {
			t.Fatalf("%x, then %x, then %x", b, first, second)
		}
	})
}

func BenchmarkBody(b *testing.B) {
	body := encoded(b, &sample)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, 256)
		for b.Loop() {
			if _, err := AppendBody(buf, &sample); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		var into simple
		for b.Loop() {
			if err := DecodeBody(body, &into); err != nil {
				b.Fatal(err)
			}
		}
	})
}
