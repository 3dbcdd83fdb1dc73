// SPDX-License-Identifier: MIT

package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"
	"time"
)

// begins are the two ways to begin a stream.
var begins = map[string]func(t testing.TB, key PublicKey) *StreamInitiator{
	"public key": func(t testing.TB, key PublicKey) *StreamInitiator {
		i, err := NewStreamInitiator(key, seeded(3))
		if err != nil {
			t.Fatal(err)
		}
		return i
	},
	"seal key": func(t testing.TB, _ PublicKey) *StreamInitiator {
		i, err := NewStreamResumer([16]byte{7}, resumeKey(secret, [16]byte{7}), seeded(3))
		if err != nil {
			t.Fatal(err)
		}
		return i
	},
}

// streams opens a stream and returns both ends.
func streams(t testing.TB, begin func(testing.TB, PublicKey) *StreamInitiator) (client, server *Stream) {
	t.Helper()
	r, key, _ := newServer(t, nil)
	i := begin(t, key.Public())
	a, answer, err := r.AcceptStream(0, home.Addr(), i.Hello())
	if err != nil {
		t.Fatal(err)
	}
	for n := range answer { // it trickles in
		if c, used, err := i.Accept(answer[:n]); c != nil || used > len(answer) || err != nil {
			t.Fatalf("%d bytes of the answer: %v, %v", n, c, err)
		}
	}
	c, used, err := i.Accept(append(bytes.Clone(answer), "more"...))
	if err != nil || used != len(answer) || c.Nonce != a.Nonce || string(c.Greeting) != "hi" || c.Nonce == [16]byte{} {
		t.Fatalf("%+v of %+v, %d bytes of %d, %v", c, a, used, len(answer), err)
	}
	return &c.Stream, &a.Stream
}

func sealRecord(s *Stream, plain string) []byte {
	return s.Seal(append(make([]byte, RecordHead, RecordOverhead+len(plain)), plain...))
}

func TestStreamCarriesBothWays(t *testing.T) {
	for name, begin := range begins {
		t.Run(name, func(t *testing.T) {
			c, s := streams(t, begin)
			for n := range 100 {
				for _, ends := range [][2]*Stream{{c, s}, {s, c}} {
					want := string(bytes.Repeat([]byte{byte(n)}, 1+n*n))
					b := sealRecord(ends[0], want)
					if size, err := RecordSize(b, len(want)); err != nil || size != len(b) {
						t.Fatal(size, err)
					}
					if got, err := ends[1].Open(b); err != nil || string(got) != want {
						t.Fatalf("%d bytes, %v", len(got), err)
					}
				}
			}
		})
	}
}

// TestStreamGoesOnWithAnotherKey, on both sides at the same record.
func TestStreamGoesOnWithAnotherKey(t *testing.T) {
	c, s := streams(t, begins["seal key"])
	first := c.sealer
	for n := range uint64(3*rekeyEvery + 2) {
		if got, err := s.Open(sealRecord(c, "x")); err != nil || string(got) != "x" {
			t.Fatalf("record %d: %q, %v", n, got, err)
		}
		if changed := c.sealer != first; changed != (n >= rekeyEvery) {
			t.Fatalf("record %d: the key has changed: %v", n, changed)
		}
	}
}

// TestStreamRefusesWhatIsNotNext: a record that was changed, left out, repeated or
// put into another order ends the link, whichever byte it is.
func TestStreamRefusesWhatIsNotNext(t *testing.T) {
	for name, change := range map[string]func(one, two []byte) []byte{
		"left out": func(_, two []byte) []byte { return two },
		"length":   func(one, _ []byte) []byte { one[0]++; return append(one, 0) },
		"text":     func(one, _ []byte) []byte { one[RecordHead]++; return one },
		"tag":      func(one, _ []byte) []byte { one[len(one)-1] ^= 1; return one },
		"short":    func(one, _ []byte) []byte { return one[:RecordOverhead-1] },
	} {
		c, s := streams(t, begins["seal key"])
		one, two := sealRecord(c, "one"), sealRecord(c, "two")
		if got, err := s.Open(change(one, two)); err == nil {
			t.Errorf("%s: opened as %q", name, got)
		}
	}
	c, s := streams(t, begins["seal key"])
	one := sealRecord(c, "one")
	again := bytes.Clone(one)
	if _, err := s.Open(one); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Open(again); err == nil {
		t.Errorf("repeated: opened as %q", got)
	}
	if got, err := c.Open(sealRecord(c, "mirror")); err == nil {
		t.Errorf("its own: opened as %q", got)
	}
}

func TestRecordSize(t *testing.T) {
	for _, c := range []struct {
		head string
		most int
		size int
		err  error
	}{
		{"", 9, 0, nil}, {"\x11\x00", 9, 0, nil},
		{"\x11\x00\x00", 9, RecordOverhead + 1, nil},
		{"\x19\x00\x00", 9, RecordOverhead + 9, nil},
		{"\x1a\x00\x00", 9, 0, ErrRecord},
		{"\x10\x00\x00", 9, 0, ErrRecord}, // nothing in it
		{"\xff\xff\xff", 1 << 20, 0, ErrRecord},
		{"\xff\xff\xff", MaxRecord, RecordOverhead + MaxRecord, nil},
	} {
		if size, err := RecordSize([]byte(c.head), c.most); size != c.size || !errors.Is(err, c.err) {
			t.Errorf("%x of at most %d: %d, %v, want %d, %v", c.head, c.most, size, err, c.size, c.err)
		}
	}
}

// TestChangedStreamHandshakeFails: each bit of both messages matters to both ends.
func TestChangedStreamHandshakeFails(t *testing.T) {
	for name, begin := range begins {
		r, key, _ := newServer(t, func(c *Config) { c.CookieRate = -1 })
		for at := range StreamHelloSize {
			i := begin(t, key.Public())
			b := bytes.Clone(i.Hello())
			b[at] ^= 1
			if _, answer, err := r.AcceptStream(0, home.Addr(), b); err == nil {
				t.Errorf("%s: byte %d of the hello does not matter: %x", name, at, answer)
			}
		}
		_, answer, err := r.AcceptStream(0, home.Addr(), begin(t, key.Public()).Hello())
		if err != nil {
			t.Fatal(err)
		}
		answer = bytes.Clone(answer)
		for at := range answer {
			if at == acceptHead-1 {
				continue // a length: more is waited for, or less is not authentic
			}
			b := bytes.Clone(answer)
			b[at] ^= 1
			if a, _, err := begin(t, key.Public()).Accept(b); err == nil {
				t.Errorf("%s: byte %d of the answer does not matter: %+v", name, at, a)
			}
		}
	}
}

// TestStreamHelloIsRefused and counted: by reason.
func TestStreamHelloIsRefused(t *testing.T) {
	over := false
	r, key, _ := newServer(t, func(c *Config) { c.Over = func([16]byte) bool { return over } })
	other, _ := NewKey(seeded(9))
	udp := newInitiator(t, key.Public(), 3).Hello()
	for _, c := range []struct {
		name  string
		hello []byte
		want  error
		count func(Counts) uint64
	}{
		{"empty", nil, ErrPacketType, func(c Counts) uint64 { return c.Malformed }},
		{"short", begins["public key"](t, key.Public()).Hello()[:63], ErrSize, func(c Counts) uint64 { return c.Malformed }},
		{"another key", begins["public key"](t, other.Public()).Hello(), ErrKey, func(c Counts) uint64 { return c.WrongKey }},
		{"a datagram's", append(bytes.Clone(udp[:16]), udp[atName:helloEnd]...), ErrForged, func(c Counts) uint64 { return c.Forged }},
		{"a session that has ended", begins["seal key"](t, key.Public()).Hello(), ErrOver, func(c Counts) uint64 { return c.SessionEnded }},
	} {
		over = c.want == ErrOver
		before := c.count(r.Counts())
		if _, answer, err := r.AcceptStream(0, home.Addr(), c.hello); !errors.Is(err, c.want) || answer != nil {
			t.Errorf("%s: %v, %d bytes", c.name, err, len(answer))
		}
		if n := c.count(r.Counts()) - before; n != 1 {
			t.Errorf("%s: counted %d times", c.name, n)
		}
	}
}

// TestNetworkThatOpensManyStreamsIsSlowed, while others' players come in.
func TestNetworkThatOpensManyStreamsIsSlowed(t *testing.T) {
	r, key, _ := newServer(t, func(c *Config) { c.AddressRate = 20 })
	in := 0
	for n := range 2000 { // in two seconds
		now := time.Duration(n) * time.Millisecond
		i, err := NewStreamInitiator(key.Public(), rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.AcceptStream(now, home.Addr(), i.Hello()); err == nil {
			in++
		} else if !errors.Is(err, ErrRate) {
			t.Fatal(err)
		}
	}
	if in < defaultCookieRate || in > 3*defaultCookieRate || r.Counts().RateLimited == 0 {
		t.Errorf("%d of 2,000 streams, %+v", in, r.Counts())
	}
	if _, _, err := r.AcceptStream(2*time.Second, netip.MustParseAddr("198.51.100.7"), begins["public key"](t, key.Public()).Hello()); err != nil {
		t.Errorf("a player of another network: %v", err)
	}
}

// streamVector is one stream of testdata/streams.json: SPEC 10.7.
type streamVector struct {
	Server          hexBytes     `json:"server,omitempty"`
	Ephemeral       hexBytes     `json:"ephemeral,omitempty"`
	ServerEphemeral hexBytes     `json:"server_ephemeral,omitempty"`
	Session         hexBytes     `json:"session,omitempty"`
	SealKey         hexBytes     `json:"seal_key,omitempty"`
	ClientNonce     hexBytes     `json:"client_nonce,omitempty"`
	ServerNonce     hexBytes     `json:"server_nonce,omitempty"`
	Greeting        hexBytes     `json:"greeting"`
	Hello           hexBytes     `json:"hello"`
	Accept          hexBytes     `json:"accept"`
	Nonce           hexBytes     `json:"nonce"`
	Up              []streamItem `json:"up"`
	Down            []streamItem `json:"down"`
}

// streamItem is the record with that number in its direction.
type streamItem struct {
	Number uint64   `json:"number"`
	Plain  hexBytes `json:"plain"`
	Record hexBytes `json:"record"`
}

// items seals records, some of them beyond the change of a key.
func items(s *Stream, plain string) (list []streamItem) {
	for n := range uint64(2*rekeyEvery + 1) {
		b := bytes.Clone(sealRecord(s, plain))
		if n < 2 || n%rekeyEvery == 0 || n == rekeyEvery-1 {
			list = append(list, streamItem{n, hexBytes(plain), b})
		}
	}
	return list
}

func makeStreamVectors(t *testing.T) (list []streamVector) {
	key := keyOf([32]byte(count(0, 32)))
	sealKey, session := resumeKey([32]byte(count(0x60, 32)), [16]byte(count(0x20, 16))), [16]byte(count(0x20, 16))
	for _, resume := range []bool{false, true} {
		v := streamVector{Greeting: hexBytes{1}}
		var i *StreamInitiator
		var err error
		random := count(0x80, 32)
		if resume {
			v.Session, v.SealKey, v.ClientNonce, v.ServerNonce = session[:], sealKey[:], count(0x40, 16), random[:16]
			i, err = NewStreamResumer(session, sealKey, fixed(v.ClientNonce))
		} else {
			v.Server, v.Ephemeral, v.ServerEphemeral = key.private[:], count(0x40, 32), random
			i, err = NewStreamInitiator(key.Public(), fixed(v.Ephemeral))
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewResponder(Config{Keys: []Key{key}, ResumeSecret: [32]byte(count(0x60, 32)), Greeting: v.Greeting, IDs: one(1), Rand: fixed(random)})
		if err != nil {
			t.Fatal(err)
		}
		s, answer, err := r.AcceptStream(0, home.Addr(), i.Hello())
		if err != nil {
			t.Fatal(err)
		}
		v.Hello, v.Accept, v.Nonce = i.Hello(), bytes.Clone(answer), s.Nonce[:]
		c, _, err := i.Accept(answer)
		if err != nil {
			t.Fatal(err)
		}
		v.Up, v.Down = items(&c.Stream, "up"), items(&s.Stream, "down")
		list = append(list, v)
	}
	return list
}

// TestStreamVectors are what testdata/streams.json says, byte for byte.
func TestStreamVectors(t *testing.T) {
	const path = "testdata/streams.json"
	got, err := json.MarshalIndent(makeStreamVectors(t), "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from what the code does: run with -update and look at the difference", path)
	}
}

// FuzzStream: no bytes of a peer panic either end.
func FuzzStream(f *testing.F) {
	f.Add([]byte("\x11\x00\x00"), true)
	f.Fuzz(func(t *testing.T, b []byte, resume bool) {
		r, key, _ := newServer(t, nil)
		_, _, _ = r.AcceptStream(0, home.Addr(), b)
		name := "public key"
		if resume {
			name = "seal key"
		}
		if a, _, err := begins[name](t, key.Public()).Accept(b); a != nil {
			t.Fatalf("%x was accepted: %v", b, err)
		}
		c, _ := streams(t, begins["seal key"])
		if n, err := RecordSize(b, 1<<16); err == nil && n > 0 && n <= len(b) {
			if plain, err := c.Open(bytes.Clone(b[:n])); err == nil {
				t.Fatalf("%x was opened as %x", b, plain)
			}
		}
	})
}
