// SPDX-License-Identifier: MIT

package codec

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"testing"
)

// words are the names of SPEC 7.
var words = map[string]error{
	"short": ErrShort, "kind": ErrKind, "counted": ErrCounted, "flags": ErrFlags, "seq": ErrSeq,
	"body": ErrBody, "no-body": ErrNoBody, "too-large": ErrTooLarge, "length-form": ErrLengthForm,
	"malformed": ErrMalformed, "too-deep": ErrTooDeep, "trailing": ErrTrailing,
	"envelope": ErrEnvelope, "route": ErrRoute, "mismatch": ErrMismatch,
}

// hexBytes are bytes that JSON writes as hex.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// vector is one entry of any section of testdata/vectors.json: SPEC 8.
type vector struct {
	Name  string
	Hex   hexBytes
	Error string
	Again hexBytes

	Kind    Kind
	Counted bool
	Flags   Flags
	Seq     uint16
	Ack     uint32
	Body    hexBytes

	Value *struct {
		ID   uint8
		Name string
		X, Y int16
	}

	Shape   string
	ID      string
	Route   any
	Payload hexBytes
	Code    uint32
	Text    string
}

type section struct{ Accepted, Refused, Partial []vector }

func readVectors(t testing.TB) map[string]section {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var all map[string]section
	if err := dec.Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

// rewrite parses b as its section says and encodes what was found. It returns
// nil bytes for a frame that is not complete.
func rewrite(name string, v vector, b []byte) ([]byte, error) {
	switch name {
	case "headers":
		h, err := ParseHeader(b)
		return h.Append(nil), err
	case "frames":
		p, size, err := ParseFrame(b, DefaultMaxBody)
		if err != nil || size == 0 {
			return nil, err
		}
		if n := AppendedFrameSize(len(p.Body)); n != size {
			return nil, errors.New("AppendedFrameSize: " + strconv.Itoa(n))
		}
		return AppendFrame(nil, p.Header, p.Body), nil
	case "bodies":
		return b, Check(b)
	case "structs":
		var s vectorStruct
		if err := DecodeBody(b, &s); err != nil {
			return nil, err
		}
		return AppendBody(nil, &s)
	case "envelopes":
		return rewriteEnvelope(v.Shape, b)
	}
	return nil, errors.New("unknown section")
}

// vectorStruct is the struct of SPEC 8.
type vectorStruct struct {
	ID   uint8
	Name string
	At   struct{ X, Y int16 }
}

func rewriteEnvelope(shape string, b []byte) ([]byte, error) {
	switch shape {
	case "request":
		id, r, payload, err := ParseRequest(b)
		return AppendRequest(nil, id, r, payload), err
	case "response":
		id, payload, err := ParseResponse(b)
		return AppendResponse(nil, id, payload), err
	case "failure":
		id, code, text, err := ParseFailure(b)
		return AppendFailure(nil, id, code, string(text)), err
	case "message":
		r, payload, err := ParseMessage(b)
		return AppendMessage(nil, r, payload), err
	}
	return nil, errors.New("unknown shape")
}

// fromFields encodes the fields of an accepted entry.
func fromFields(t *testing.T, name string, v vector) []byte {
	t.Helper()
	header := Header{Kind: v.Kind, Flags: v.Flags, Seq: v.Seq, Ack: v.Ack}
	switch name {
	case "headers", "frames":
		if v.Kind.Counted() != v.Counted {
			t.Errorf("%v.Counted() = %v", v.Kind, v.Kind.Counted())
		}
		if name == "headers" {
			return header.Append(nil)
		}
		return AppendFrame(nil, header, v.Body)
	case "structs":
		s := vectorStruct{ID: v.Value.ID, Name: v.Value.Name}
		s.At.X, s.At.Y = v.Value.X, v.Value.Y
		b, err := AppendBody(nil, &s)
		if err != nil {
			t.Error(err)
		}
		return b
	case "envelopes":
		var id uint64
		if v.ID != "" {
			var err error
			if id, err = strconv.ParseUint(v.ID, 10, 64); err != nil {
				t.Error(err)
			}
		}
		var r Route
		switch n := v.Route.(type) {
		case string:
			r = NamedRoute(n)
		case float64:
			r = NumberedRoute(uint32(n))
		}
		switch v.Shape {
		case "request":
			return AppendRequest(nil, id, r, v.Payload)
		case "response":
			return AppendResponse(nil, id, v.Payload)
		case "failure":
			return AppendFailure(nil, id, ErrorCode(v.Code), v.Text)
		case "message":
			return AppendMessage(nil, r, v.Payload)
		}
	}
	return v.Hex // bodies have no fields
}

func TestVectors(t *testing.T) {
	used := map[string]bool{}
	for name, s := range readVectors(t) {
		for _, v := range s.Accepted {
			t.Run(name+"/"+v.Name, func(t *testing.T) {
				want := v.Again
				if want == nil {
					want = v.Hex
				}
				if got := fromFields(t, name, v); !bytes.Equal(got, want) {
					t.Errorf("written from its fields: %x, want %x", got, want)
				}
				got, err := rewrite(name, v, v.Hex)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("read and written: %x, %v, want %x", got, err, want)
				}
			})
		}
		for _, v := range s.Refused {
			used[v.Error] = true
			t.Run(name+"/refused/"+v.Name, func(t *testing.T) {
				want, ok := words[v.Error]
				if !ok {
					t.Fatalf("%q is no word of SPEC 7", v.Error)
				}
				if _, err := rewrite(name, v, v.Hex); !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			})
		}
		for _, v := range s.Partial {
			t.Run(name+"/partial/"+v.Name, func(t *testing.T) {
				if _, size, err := ParseFrame(v.Hex, DefaultMaxBody); size != 0 || err != nil {
					t.Errorf("got size %d, %v, want to wait", size, err)
				}
			})
		}
	}
	for word := range words {
		if !used[word] {
			t.Errorf("no vector is refused with %q", word)
		}
	}
}
