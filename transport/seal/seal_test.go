// SPDX-License-Identifier: MIT

package seal

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// seeded is randomness that repeats.
func seeded(n byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{n}) }

// slots gives ids from 1 on and knows which are taken.
type slots struct {
	next  uint32
	taken map[uint32]bool
	max   int
}

func (s *slots) Reserve() (uint32, bool) {
	if s.max > 0 && len(s.taken) >= s.max {
		return 0, false
	}
	s.next++
	if s.taken == nil {
		s.taken = make(map[uint32]bool)
	}
	s.taken[s.next] = true
	return s.next, true
}

func (s *slots) Free(id uint32) { delete(s.taken, id) }

var (
	home   = netip.MustParseAddrPort("192.0.2.1:4000")
	secret = [32]byte{7}
)

func newServer(t testing.TB, change func(*Config)) (*Responder, Key, *slots) {
	t.Helper()
	key, err := NewKey(seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	ids := new(slots)
	cfg := Config{Keys: []Key{key}, ResumeSecret: secret, Greeting: []byte("hi"), IDs: ids, Rand: seeded(2)}
	if change != nil {
		change(&cfg)
	}
	r, err := NewResponder(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r, key, ids
}

func newInitiator(t testing.TB, key PublicKey, seed byte) *Initiator {
	t.Helper()
	i, err := NewInitiator(key, seeded(seed))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// resumeKey is what a server with that secret tells a session.
func resumeKey(secret [32]byte, session [16]byte) [32]byte {
	r, err := NewResponder(Config{Keys: []Key{{id: [8]byte{1}}}, ResumeSecret: secret, IDs: new(slots)})
	if err != nil {
		panic(err)
	}
	return r.ResumeKey(session)
}

func newResumer(t testing.TB, session [16]byte, seed byte) *Initiator {
	t.Helper()
	i, err := NewResumer(session, resumeKey(secret, session), seeded(seed))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// open runs a handshake to its end. It returns both ends.
func open(t testing.TB, r *Responder, i *Initiator, now time.Duration) (client, server *Conn) {
	t.Helper()
	answer, err := r.Handle(now, home, i.Hello())
	if err != nil {
		t.Fatal("hello:", err)
	}
	a, _, err := i.Handle(answer)
	if err != nil || a == nil {
		t.Fatal("accept:", a, err)
	}
	if string(a.Greeting) != "hi" {
		t.Errorf("greeting %q", a.Greeting)
	}
	c, err := r.Confirm(now, home, seal(t, &a.Conn, "first"))
	if err != nil {
		t.Fatal("confirm:", err)
	}
	if !c.Validated || string(c.First.Plain) != "first" || c.Nonce != a.Nonce || c.Conn.ID() != a.Conn.ID() {
		t.Errorf("confirmed %+v, the client has %+v", c, a)
	}
	return &a.Conn, &c.Conn
}

func seal(t testing.TB, c *Conn, text string) []byte {
	t.Helper()
	b := append(make([]byte, HeaderSize, HeaderSize+len(text)+TagSize), text...)
	b, err := c.Seal(b, TypeSealed)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantOpen(t testing.TB, c *Conn, b []byte, want string) {
	t.Helper()
	o, err := c.Open(bytes.Clone(b))
	if err != nil || string(o.Plain) != want {
		t.Fatalf("opened %q, %v, want %q", o.Plain, err, want)
	}
}

func TestLinkOpensWithPublicKeysAndWithout(t *testing.T) {
	r, key, ids := newServer(t, nil)
	for name, i := range map[string]*Initiator{
		"public keys": newInitiator(t, key.Public(), 3),
		"resume key":  newResumer(t, [16]byte{9}, 4),
	} {
		t.Run(name, func(t *testing.T) {
			client, server := open(t, r, i, 0)
			wantOpen(t, server, seal(t, client, "up"), "up")
			wantOpen(t, client, seal(t, server, "down"), "down")
			if _, err := client.Open(seal(t, client, "mirror")); !errors.Is(err, ErrForged) {
				t.Errorf("opened its own datagram: %v", err)
			}
		})
	}
	if r.HalfOpen() != 0 || len(ids.taken) != 2 {
		t.Errorf("%d half open, %d ids taken", r.HalfOpen(), len(ids.taken))
	}
}
