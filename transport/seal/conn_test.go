// SPDX-License-Identifier: MIT

package seal

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"flag"
	"testing"
)

// ends are both ends of a link without a handshake.
func ends() (client, server *Conn) {
	up, down := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	c, s := newConn(7, up, down), newConn(7, down, up)
	return &c, &s
}

func TestDatagramIsTakenOnce(t *testing.T) {
	client, server := ends()
	const n = windowSize + 200
	sent := make([][]byte, n)
	for i := range sent {
		sent[i] = seal(t, client, "x")
	}
	deliver := func(i int, want error) {
		t.Helper()
		if _, err := server.Open(bytes.Clone(sent[i])); !errors.Is(err, want) {
			t.Errorf("datagram %d: %v, want %v", i, err, want)
		}
	}
	for _, step := range []struct {
		datagram int
		want     error
	}{
		{0, nil}, {0, ErrReplay},
		{5, nil}, {3, nil}, {3, ErrReplay}, {4, nil}, {5, ErrReplay}, // late, and again
		{windowSize, nil},
		{1, nil}, {1, ErrReplay}, // the last one that the window knows
		{0, ErrReplay},
		{windowSize + 1, nil},
		{2, nil},
		{windowSize + 199, nil},
		{2, ErrReplay}, {6, ErrReplay}, {199, ErrReplay}, // too old to know
		{200, nil}, {200, ErrReplay}, {201, nil},
		{windowSize + 100, nil}, {windowSize + 100, ErrReplay},
	} {
		deliver(step.datagram, step.want)
	}
}

// The window agrees with a set that remembers everything.
func TestWindowAgreesWithASet(t *testing.T) {
	rnd := seeded(1)
	_, server := ends()
	upKey := bytes.Repeat([]byte{1}, 32)
	taken := map[uint64]bool{}
	var at, most uint64
	for range 20000 {
		switch rnd.Uint64() % 8 {
		case 0:
			at += rnd.Uint64() % (2 * windowSize)
		case 1, 2, 3:
			at++
		default:
			at -= min(at, rnd.Uint64()%(windowSize+50))
		}
		sender := newConn(7, upKey, upKey)
		sender.next = at
		_, err := server.Open(seal(t, &sender, "x"))
		want := !taken[at] && at+windowSize > most
		if want != (err == nil) {
			t.Fatalf("number %d with %d as the highest: %v, taken before %v", at, most, err, taken[at])
		}
		taken[at] = true
		most = max(most, at)
	}
}

func TestNumberIsTheNearestToWhatIsExpected(t *testing.T) {
	rnd := seeded(2)
	const half = 1 << (numberBits - 1)
	for range 100000 {
		upto := rnd.Uint64() >> (17 + rnd.Uint64()%46)
		n := upto + rnd.Uint64()%half
		if rnd.Uint64()%2 == 0 {
			n = upto - min(upto, rnd.Uint64()%half)
		}
		c := Conn{upto: upto}
		b := []byte{0, 0, 0, 0, 0, byte(n), byte(n >> 8), byte(n >> 16)}
		if got := c.number(b); got != n {
			t.Fatalf("after %d: number %d is read as %d", upto, n, got)
		}
	}
}

// T6: what is forged is refused, and leaves no trace but a count.
func TestForgedDatagramChangesNothing(t *testing.T) {
	client, server := ends()
	wantOpen(t, server, seal(t, client, "before"), "before")
	b := seal(t, client, "the real one")
	was := *server
	for bit := range 8 * len(b) {
		forged := bytes.Clone(b)
		forged[bit/8] ^= 1 << (bit % 8)
		if o, err := server.Open(forged); err == nil {
			t.Fatalf("bit %d flipped: opened %q", bit, o.Plain)
		}
	}
	for n := range len(b) {
		if _, err := server.Open(bytes.Clone(b[:n])); err == nil {
			t.Fatalf("opened %d of %d bytes", n, len(b))
		}
	}
	was.forged, was.nonce = server.forged, server.nonce
	if *server != was {
		t.Error("a forged datagram changed the Conn")
	}
	if server.forged == 0 {
		t.Error("not counted")
	}
	wantOpen(t, server, b, "the real one")
}

func TestKeyIsNotUsedForever(t *testing.T) {
	client, server := ends()
	client.next = maxNumber - 1
	server.upto = maxNumber - 1
	wantOpen(t, server, seal(t, client, "last"), "last")
	if _, err := client.Seal(make([]byte, HeaderSize, 64), TypeSealed); !errors.Is(err, ErrExhausted) {
		t.Errorf("sealed beyond the last number: %v", err)
	}
	client, server = ends()
	server.forged = maxForged
	if _, err := server.Open(seal(t, client, "x")); !errors.Is(err, ErrExhausted) {
		t.Errorf("opened after %d forgeries: %v", server.forged, err)
	}
}

// record notes every nonce that a key seals with.
type record struct {
	cipher.AEAD
	test  testing.TB
	key   [16]byte // of a keyed stream: two AEADs with the same key have the same
	nonce map[[28]byte]bool
}

func (r *record) Seal(dst, nonce, plain, ad []byte) []byte {
	id := [28]byte(append(append([]byte(nil), r.key[:]...), nonce...))
	if r.nonce[id] {
		r.test.Fatalf("key %x sealed twice with nonce %x", r.key, nonce)
	}
	r.nonce[id] = true
	return r.AEAD.Seal(dst, nonce, plain, ad)
}

var nonces = flag.Int("nonces", 1_800_000, "how many datagrams TestKeyAndNonceNeverRepeat seals; it takes 60 bytes and more for each")

// T8: never the same key and nonce twice, whatever is opened, resumed,
// repeated and restarted.
func TestKeyAndNonceNeverRepeat(t *testing.T) {
	links, each := 300, *nonces/600
	if testing.Short() {
		links, each = 60, 500
	}
	used := make(map[[28]byte]bool, 2*links*each)
	watch := func(c *Conn) {
		var zero [12]byte
		r := &record{AEAD: c.sealer, test: t, nonce: used}
		// The tag of nothing under an unused nonce tells keys apart.
		zero[0] = 0xff
		copy(r.key[:], c.sealer.Seal(nil, zero[:], nil, nil))
		c.sealer = r
	}
	keys := map[[16]byte]bool{}
	fresh := func(cfg *Config) { cfg.Rand = rand.Reader; cfg.AddressRate = -1 }
	r, key, _ := newServer(t, fresh)
	var session [16]byte
	buf := make([]byte, MaxDatagram)
	for n := range links {
		var i *Initiator
		var err error
		switch {
		case n%50 == 49: // the server is restarted with the same keys and secret
			r, key, _ = newServer(t, fresh)
			fallthrough
		case n%3 == 0:
			i, err = NewInitiator(key.Public(), rand.Reader)
		default:
			i, err = NewResumer(session, resumeKey(secret, session), rand.Reader)
		}
		if err != nil {
			t.Fatal(err)
		}
		r.load = load{}
		client, server := open(t, r, i, 0)
		watch(client)
		watch(server)
		for _, c := range []*Conn{client, server} {
			k := c.sealer.(*record).key
			if keys[k] {
				t.Fatal("two links share a key")
			}
			keys[k] = true
			for range each {
				if _, err := c.Seal(buf[:HeaderSize+1], TypeSealed); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// The server's half of the keys is fresh even if the client's is not: a
// recorded hello opens nothing that the recording could be played to.
func TestReplayedHelloOpensAnotherLink(t *testing.T) {
	r, key, _ := newServer(t, nil)
	for name, i := range map[string]*Initiator{
		"public keys": newInitiator(t, key.Public(), 3),
		"resume key":  newResumer(t, [16]byte{9}, 4),
	} {
		t.Run(name, func(t *testing.T) {
			hello := bytes.Clone(i.Hello())
			client, server := open(t, r, i, 0)
			recorded := [][]byte{seal(t, client, "one"), seal(t, client, "two")}
			for _, b := range recorded {
				if _, err := server.Open(bytes.Clone(b)); err != nil {
					t.Fatal(err)
				}
			}
			answer, err := r.Handle(2*halfOpenTimeout, home, hello)
			if err != nil {
				t.Fatal(err)
			}
			again, _, err := i.Handle(answer)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range recorded {
				b = bytes.Clone(b)
				copy(b, seal(t, &again.Conn, "")[:4]) // for the new link
				if _, err := r.Confirm(2*halfOpenTimeout, home, b); !errors.Is(err, ErrForged) {
					t.Errorf("a recorded datagram was taken on another link: %v", err)
				}
			}
		})
	}
}
