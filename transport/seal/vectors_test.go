// SPDX-License-Identifier: MIT

package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

var update = flag.Bool("update", false, "rewrite testdata/vectors.json and testdata/scripts")

// hexBytes are bytes that JSON writes as hex.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// vectors is testdata/vectors.json: SPEC 9.
type vectors struct {
	Keys       []keyVector       `json:"keys"`
	Handshakes []handshakeVector `json:"handshakes"`
	Resumes    []resumeVector    `json:"resumes"`
	Datagrams  []datagramVector  `json:"datagrams"`
	Numbers    []numberVector    `json:"numbers"`
	Payloads   []payloadVector   `json:"payloads"`
	Controls   []controlVector   `json:"controls"`
}

type keyVector struct {
	Private     hexBytes `json:"private"`
	PrivateText string   `json:"private_text"`
	Public      hexBytes `json:"public"`
	PublicText  string   `json:"public_text"`
	ID          hexBytes `json:"id"`
}

type linkVector struct {
	Connection uint32   `json:"connection"`
	Greeting   hexBytes `json:"greeting"`
	Hello      hexBytes `json:"hello"`
	Accept     hexBytes `json:"accept"`
	ClientKey  hexBytes `json:"client_key"`
	ServerKey  hexBytes `json:"server_key"`
	Nonce      hexBytes `json:"nonce"`
}

type handshakeVector struct {
	Server          hexBytes `json:"server"`
	Ephemeral       hexBytes `json:"ephemeral"`
	ServerEphemeral hexBytes `json:"server_ephemeral"`
	linkVector
}

type resumeVector struct {
	Secret      hexBytes `json:"secret"`
	Session     hexBytes `json:"session"`
	SealKey     hexBytes `json:"seal_key"`
	ClientNonce hexBytes `json:"client_nonce"`
	ServerNonce hexBytes `json:"server_nonce"`
	linkVector
}

type datagramVector struct {
	Key        hexBytes   `json:"key"`
	Connection uint32     `json:"connection"`
	Number     uint64     `json:"number"`
	What       PacketType `json:"what"`
	Plain      hexBytes   `json:"plain"`
	Datagram   hexBytes   `json:"datagram"`
}

type numberVector struct {
	Highest int64  `json:"highest"`
	Low     uint32 `json:"low"`
	Number  uint64 `json:"number"`
}

type payloadVector struct {
	Plain    hexBytes `json:"plain"`
	Frames   hexBytes `json:"frames"`
	Segments hexBytes `json:"segments"`
	Refused  bool     `json:"refused,omitempty"`
}

type controlVector struct {
	Plain   hexBytes `json:"plain"`
	Kind    byte     `json:"kind"`
	Token   hexBytes `json:"token"`
	Refused bool     `json:"refused,omitempty"`
}

// one gives one id.
type one uint32

func (n one) Reserve() (uint32, bool) { return uint32(n), true }
func (one) Free(uint32)               {}

func count(from byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = from + byte(i)
	}
	return b
}

// answerTo runs the server's half with the bytes of v as its randomness.
func answerTo(t *testing.T, v *linkVector, key Key, secret, random []byte) (*halfOpen, []byte) {
	t.Helper()
	r, err := NewResponder(Config{Keys: []Key{key}, ResumeSecret: [32]byte(secret), Greeting: v.Greeting, IDs: one(v.Connection), Rand: fixed(random)})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := r.Handle(0, home, append(bytes.Clone(v.Hello), make([]byte, HelloSize-helloEnd)...))
	if err != nil {
		t.Fatal(err)
	}
	return r.byID[v.Connection], answer
}

func makeVectors(t *testing.T) (v vectors) {
	for _, from := range []byte{0, 0x90} {
		key := keyOf([32]byte(count(from, 32)))
		public := key.Public()
		v.Keys = append(v.Keys, keyVector{key.private[:], key.Text(), public[:], public.String(), key.id[:]})
	}
	for n, greeting := range [][]byte{{1}, {}} {
		server := count(byte(0x90*n), 32)
		h := handshakeVector{Server: server, Ephemeral: count(0x20, 32), ServerEphemeral: count(0x40, 32)}
		h.Connection, h.Greeting = uint32(0x01020304+n), greeting
		key := keyOf([32]byte(server))
		i, err := NewInitiator(key.Public(), fixed(h.Ephemeral))
		if err != nil {
			t.Fatal(err)
		}
		h.Hello = bytes.Clone(i.Hello()[:helloEnd])
		_, h.Accept = answerTo(t, &h.linkVector, key, make([]byte, 32), h.ServerEphemeral)
		hs, _, err := i.handshake()
		if err != nil {
			t.Fatal(err)
		}
		_, up, down, err := hs.ReadMessage(nil, h.Accept[16:])
		if err != nil {
			t.Fatal(err)
		}
		clientKey, serverKey, nonce := up.UnsafeKey(), down.UnsafeKey(), linkNonce(hs)
		h.ClientKey, h.ServerKey, h.Nonce = clientKey[:], serverKey[:], nonce[:]
		v.Handshakes = append(v.Handshakes, h)

		s := resumeVector{Secret: count(0x50, 32), Session: count(0x70, 16), ClientNonce: count(0x80, 16), ServerNonce: count(0xa0, 16)}
		s.Connection, s.Greeting = h.Connection, greeting
		sealKey := resumeKey([32]byte(s.Secret), [16]byte(s.Session))
		s.SealKey = sealKey[:]
		if i, err = NewResumer([16]byte(s.Session), sealKey, fixed(s.ClientNonce)); err != nil {
			t.Fatal(err)
		}
		s.Hello = bytes.Clone(i.Hello()[:helloEnd])
		_, s.Accept = answerTo(t, &s.linkVector, key, s.Secret, s.ServerNonce)
		k := deriveResume(sha256.New, &sealKey, i.Hello(), s.ServerNonce)
		s.ClientKey, s.ServerKey, s.Nonce = k.up, k.down, k.nonce[:]
		v.Resumes = append(v.Resumes, s)
	}
	for n, number := range []uint64{0, 1, 1<<24 - 1, 1 << 24, 1<<40 + 5} {
		d := datagramVector{Key: count(0x33, 32), Connection: 9, Number: number, What: TypeSealed, Plain: append(AppendPayload(nil, count(1, n)), "segments"...)}
		if n == 1 {
			d.What, d.Plain = TypeControl, Control{Kind: ControlClose}.Append(nil, 0)
		}
		c := newConn(d.Connection, d.Key, d.Key)
		c.next = number
		b, err := c.Seal(append(make([]byte, HeaderSize, 128), d.Plain...), d.What)
		if err != nil {
			t.Fatal(err)
		}
		d.Datagram = b
		v.Datagrams = append(v.Datagrams, d)
	}
	for _, n := range []struct {
		highest int64
		low     uint32
	}{{-1, 0}, {-1, 7}, {0, 1}, {1<<24 - 1, 0}, {1 << 24, 1<<24 - 1}, {1<<24 + 100, 90}, {1<<40 + 5, 4}, {1<<40 + 1<<23, 0}, {1<<40 - 1, 1<<23 - 1}, {1 << 40, 1<<23 + 1}} {
		c := Conn{upto: uint64(n.highest + 1)}
		v.Numbers = append(v.Numbers, numberVector{n.highest, n.low, c.number([]byte{7: byte(n.low >> 16), 5: byte(n.low), 6: byte(n.low >> 8)})})
	}
	for _, plain := range [][]byte{{0}, {0, 1, 2}, {2, 1, 2}, {2, 1, 2, 3}, append([]byte{0x80, 1}, count(0, 130)...), {}, {1}, {0x80}, {0x80, 0}, {3, 1, 2}, {0x81, 0x80, 0}} {
		frames, segments, err := SplitPayload(plain)
		v.Payloads = append(v.Payloads, payloadVector{plain, frames, segments, err != nil})
	}
	for _, plain := range [][]byte{
		Control{ControlChallenge, [8]byte(count(1, 8))}.Append(nil, 0), Control{ControlChallenge, [8]byte(count(1, 8))}.Append(nil, 20),
		Control{ControlResponse, [8]byte(count(1, 8))}.Append(nil, 0), {3}, {}, {0}, {4}, {1, 2, 3}, {2, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {3, 0},
	} {
		c, err := ParseControl(plain)
		if err != nil {
			v.Controls = append(v.Controls, controlVector{Plain: plain, Refused: true})
			continue
		}
		v.Controls = append(v.Controls, controlVector{plain, byte(c.Kind), c.Token[:], false})
	}
	return v
}

func TestVectors(t *testing.T) {
	const path = "testdata/vectors.json"
	made, err := json.MarshalIndent(makeVectors(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	made = append(made, '\n')
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(file, made) {
		t.Error("the file differs from what the code writes; when that is meant, run go test ./transport/seal -run TestVectors -update")
	}
	// What stands in the file is read with the bare AEAD as SPEC 2.8 has it.
	var v vectors
	if err := json.Unmarshal(file, &v); err != nil {
		t.Fatal(err)
	}
	for _, d := range v.Datagrams {
		a, err := chacha20poly1305.New(d.Key)
		if err != nil {
			t.Fatal(err)
		}
		nonce := make([]byte, 12)
		for i := range 8 {
			nonce[4+i] = byte(d.Number >> (8 * i))
		}
		plain, err := a.Open(nil, nonce, d.Datagram[8:], d.Datagram[:8])
		if err != nil || !bytes.Equal(plain, d.Plain) {
			t.Errorf("number %d: %x, %v", d.Number, plain, err)
		}
	}
	for _, h := range v.Handshakes {
		key := keyOf([32]byte(h.Server))
		half, _ := answerTo(t, &h.linkVector, key, make([]byte, 32), h.ServerEphemeral)
		checkLink(t, h.linkVector, half)
	}
	unused, err := NewKey(seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range v.Resumes {
		half, _ := answerTo(t, &s.linkVector, unused, s.Secret, s.ServerNonce)
		checkLink(t, s.linkVector, half)
	}
}

// checkLink opens a datagram of a client that has the keys of the file with what the server made.
func checkLink(t *testing.T, v linkVector, h *halfOpen) {
	t.Helper()
	client := newConn(v.Connection, v.ClientKey, v.ServerKey)
	wantOpen(t, &h.conn, seal(t, &client, "up"), "up")
	wantOpen(t, &client, seal(t, &h.conn, "down"), "down")
	if !bytes.Equal(h.nonce[:], v.Nonce) {
		t.Errorf("nonce %x, want %x", h.nonce, v.Nonce)
	}
}

// fixed reads as the same bytes again and again.
type fixed []byte

func (f fixed) Read(b []byte) (int, error) { return copy(b, f), nil }
