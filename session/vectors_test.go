// SPDX-License-Identifier: MIT

package session

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

var update = flag.Bool("update", false, "rewrite testdata/vectors.json")

const vectorsFile = "testdata/vectors.json"

type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }
func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// vectors is testdata/vectors.json: SPEC 11.
type vectors struct {
	Keys     []keyVector     `json:"keys"`
	SealKeys []sealKeyVector `json:"seal_keys"`
	Proofs   []proofVector   `json:"proofs"`
	Controls []controlVector `json:"controls"`
}

type keyVector struct {
	Secret hexBytes `json:"secret"`
	SID    hexBytes `json:"sid"`
	Key    hexBytes `json:"key"`
	Token  string   `json:"token"`
}

type sealKeyVector struct {
	SID   hexBytes `json:"sid"`
	Key   hexBytes `json:"key"`
	Seal  hexBytes `json:"seal"`
	Token string   `json:"token"`
}

type proofVector struct {
	Key     hexBytes `json:"key"`
	SID     hexBytes `json:"sid"`
	Attempt uint64   `json:"attempt,string"`
	Recv    *string  `json:"recv"`
	Lowest  uint64   `json:"lowest,string"`
	Nonce   hexBytes `json:"nonce"`
	Input   hexBytes `json:"input"`
	Proof   hexBytes `json:"proof"`
	Frame   hexBytes `json:"frame"`
}

type controlVector struct {
	Kind   string   `json:"kind"`
	Fields []any    `json:"fields"`
	Frame  hexBytes `json:"frame"`
}

func counting[T any](from byte) (v T) {
	b := make([]byte, binary.Size(v))
	for i := range b {
		b[i] = from + byte(i)
	}
	if _, err := binary.Decode(b, binary.LittleEndian, &v); err != nil {
		panic(err)
	}
	return v
}

func makeVectors(t *testing.T) (v vectors) {
	for _, from := range []byte{0, 0x80, 0xf0} {
		secret, id := counting[Secret](from), counting[ID](from+1)
		key := secret.Keys().Of(id)
		v.Keys = append(v.Keys, keyVector{secret[:], id[:], key[:], Token(id, key, Key{})})
		seal := counting[Key](from + 2)
		v.SealKeys = append(v.SealKeys, sealKeyVector{id[:], key[:], seal[:], Token(id, key, seal)})
	}
	for _, r := range []ResumeRequest{
		{Attempt: 1_700_000_000_000_000, Recv: 0, Lowest: 1},
		{Attempt: 1_700_000_000_000_001, Fresh: true, Lowest: 1},
		{Attempt: 1<<64 - 1, Recv: 1<<32 + 5, Lowest: 1 << 33},
	} {
		r.ID = counting[ID](0x10)
		key, nonce := counting[Key](0x40), counting[Nonce](0xa0)
		r.Proof = r.proof(key, nonce)
		p := proofVector{Key: key[:], SID: r.ID[:], Attempt: r.Attempt, Lowest: r.Lowest, Nonce: nonce[:], Proof: r.Proof[:], Frame: r.append(nil)}
		if !r.Fresh {
			recv := fmt.Sprint(r.Recv)
			p.Recv = &recv
		}
		in := append([]byte("lifeline/resume/1"), r.ID[:]...)
		in = binary.LittleEndian.AppendUint64(in, r.Attempt)
		in = append(in, map[bool]byte{true: 0, false: 1}[r.Fresh])
		in = binary.LittleEndian.AppendUint64(in, r.Recv)
		in = binary.LittleEndian.AppendUint64(in, r.Lowest)
		p.Input = append(in, nonce[:]...)
		v.Proofs = append(v.Proofs, p)
	}
	hello := HelloRequest{Version: 1, Nonce: counting[Nonce](0), Opening: counting[[16]byte](0x20), Ticket: []byte("ticket"), Info: "build 7", Attempt: 3}
	params := Params{Interval: 10 * time.Second, Timeout: 35 * time.Second, Grace: time.Minute, Window: 2 * time.Second, MaxBody: 65536, Packets: 256, Bytes: 131072}
	reopens := params
	reopens.Reopens = true
	id, key := counting[ID](0x10), counting[Key](0x40)
	nonce, opening, recv := hello.Nonce, hello.Opening, uint64(1<<32+5)
	for _, c := range []struct {
		kind codec.Kind
		body any
	}{
		{codec.Greeting, &greetingBody{1, nonce[:]}},
		{codec.Hello, &helloBody{1, nonce[:], opening[:], []byte("ticket"), "build 7", nil, 3}},
		{codec.Hello, &helloBody{1, nonce[:], opening[:], nil, "", []byte{}, 1}},
		{codec.Hello, &helloBody{1, nonce[:], opening[:], nil, "", RoutesHash([]string{"chat", "move"}), 2}},
		{codec.Welcome, &welcomeBody{id[:], key[:], 0, 0, params.body(), []string{"chat", "move"}, nil}},
		{codec.Welcome, &welcomeBody{id[:], key[:], 1 << 40, 70000, params.body(), nil, nil}},
		{codec.Welcome, &welcomeBody{id[:], key[:], 0, 0, params.body(), nil, key[:]}},
		{codec.Resume, &resumeBody{id[:], 1_700_000_000_000_000, &recv, 1, key[:]}},
		{codec.Resume, &resumeBody{id[:], 1_700_000_000_000_000, nil, 1, key[:]}},
		{codec.Resumed, &resumedBody{2, recv, false, params.body()}},
		{codec.Reset, &resetBody{3, 200, 199, true, uint32(Overflow), params.body(), nil}},
		{codec.Reset, &resetBody{4, 0, 7, false, uint32(Gone), params.body(), []string{"chat", "move"}}},
		{codec.Refused, &endBody{uint32(Gone), "expired", 41}},
		{codec.Bye, &endBody{uint32(Kicked), "", 0}},
		{codec.Tune, &tuneBody{2000, 8000}},
		{codec.Detach, &emptyBody{}},
		{codec.Move, &moveBody{500, "kcp://other:7777"}},
		{codec.Welcome, &welcomeBody{id[:], key[:], 0, 0, reopens.body(), nil, nil}},
		{codec.Resume, &resumeCanBody{resumeBody{id[:], 1_700_000_000_000_000, &recv, 7, key[:]}, CanRestart}},
		{codec.Resumed, &resumedBody{2, recv, false, reopens.body()}},
		{codec.Reset, &resetRestartBody{resetBody{2, recv, 6, false, uint32(Gone), reopens.body(), nil}, true}},
	} {
		v.Controls = append(v.Controls, controlVector{c.kind.String(), fields(reflect.ValueOf(c.body).Elem()), appendControl(nil, c.kind, c.body)})
	}
	return v
}

// fields writes a body for a reader in any language.
func fields(v reflect.Value) []any {
	out := []any{}
	if v.Type() == reflect.TypeFor[paramsBody]() && !v.Field(1).Bool() {
		v = v.Field(0) // the rest is not written
	}
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Struct:
			if v.Type().Field(i).Anonymous {
				out = append(out, fields(f)...)
				continue
			}
			out = append(out, fields(f))
		case reflect.Bool:
			out = append(out, f.Bool())
		case reflect.String:
			out = append(out, f.String())
		case reflect.Pointer:
			if f.IsNil() {
				out = append(out, nil)
				continue
			}
			out = append(out, fmt.Sprint(f.Elem().Uint()))
		case reflect.Slice:
			switch list := f.Interface().(type) {
			case []byte:
				if list == nil {
					out = append(out, nil)
				} else {
					out = append(out, hex.EncodeToString(list))
				}
			case []string:
				if list == nil {
					out = append(out, nil)
				} else {
					out = append(out, list)
				}
			}
		default:
			out = append(out, fmt.Sprint(f.Uint()))
		}
	}
	return out
}

// TestVectors holds the code against the file that other languages read.
func TestVectors(t *testing.T) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetIndent("", "  ")
	if err := enc.Encode(makeVectors(t)); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorsFile, buf.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(file, buf.Bytes()) {
		t.Error("the file differs from what the code writes; when that is meant, run go test ./session -run TestVectors -update")
	}

	// What stands in the file is also read as it says.
	var v vectors
	if err := json.Unmarshal(file, &v); err != nil {
		t.Fatal(err)
	}
	for _, k := range v.Keys {
		secret, id := Secret(k.Secret), ID(k.SID)
		gotID, gotKey, seal, err := ParseToken(k.Token)
		if key := secret.Keys().Of(id); !bytes.Equal(key[:], k.Key) || err != nil || gotID != id || gotKey != key || seal != (Key{}) {
			t.Errorf("key %x, token %v %x %v", key, gotID, gotKey, err)
		}
	}
	for _, k := range v.SealKeys {
		if id, key, seal, err := ParseToken(k.Token); err != nil || id != ID(k.SID) || key != Key(k.Key) || seal != Key(k.Seal) {
			t.Errorf("token %s: %v %x %x, %v", k.Token, id, key, seal, err)
		}
	}
	for _, p := range v.Proofs {
		r, err := ParseResume(packetOf(t, p.Frame))
		if err != nil {
			t.Fatal(err)
		}
		if got := r.proof(Key(p.Key), Nonce(p.Nonce)); got != r.Proof || !bytes.Equal(got[:], p.Proof) || len(p.Input) != 74 {
			t.Errorf("proof %x, frame has %x, file %x", got, r.Proof, p.Proof)
		}
		if r.Attempt != p.Attempt || r.Lowest != p.Lowest || r.Fresh != (p.Recv == nil) || p.Recv != nil && fmt.Sprint(r.Recv) != *p.Recv || !bytes.Equal(r.ID[:], p.SID) {
			t.Errorf("%+v is read from %+v", r, p)
		}
	}
	for _, c := range v.Controls {
		if p := packetOf(t, c.Frame); p.Kind.String() != c.Kind || p.Ack != 0 {
			t.Errorf("%s: %+v", c.Kind, p.Header)
		}
	}
}
