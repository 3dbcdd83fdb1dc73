// SPDX-License-Identifier: MIT

package seal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"
)

func TestSameHelloGetsTheSameAnswer(t *testing.T) {
	r, key, ids := newServer(t, nil)
	for _, i := range []*Initiator{newInitiator(t, key.Public(), 3), newResumer(t, [16]byte{9}, 4)} {
		first, err := r.Handle(0, home, i.Hello())
		if err != nil {
			t.Fatal(err)
		}
		first = bytes.Clone(first)
		second, err := r.Handle(halfOpenTimeout-1, netip.MustParseAddrPort("[2001:db8::1]:9"), i.Hello())
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("another answer, %v", err)
		}
	}
	if n := r.HalfOpen(); n != 2 || len(ids.taken) != 2 {
		t.Errorf("%d half open and %d ids, want 2", n, len(ids.taken))
	}
	if c := r.Counts(); c.PublicKey != 1 || c.Resumed != 1 || c.Repeated != 2 {
		t.Errorf("counts %+v", c)
	}
}

// T2: no answer is longer than what it answers, and nothing but a good hello
// makes any state.
func TestForgedHelloCostsNothing(t *testing.T) {
	r, key, ids := newServer(t, nil)
	hellos := map[string][]byte{
		"public keys": newInitiator(t, key.Public(), 3).Hello(),
		"resume key":  newResumer(t, [16]byte{9}, 4).Hello(),
	}
	for name, hello := range hellos {
		t.Run(name, func(t *testing.T) {
			for bit := range 8 * helloEnd {
				if bit/8 >= atCookie && bit/8 < atName {
					continue // not looked at without need
				}
				r.load = load{}
				b := bytes.Clone(hello)
				b[bit/8] ^= 1 << (bit % 8)
				answer, err := r.Handle(0, home, b)
				if err == nil || answer != nil || r.HalfOpen() != 0 {
					t.Fatalf("bit %d flipped: %d bytes, %v", bit, len(answer), err)
				}
			}
			for _, n := range []int{0, 1, 4, 7, 8, 16, 79, 80, HelloSize - 1, HelloSize + 1, 65507} {
				b := append(bytes.Clone(hello), make([]byte, 65507)...)[:n]
				if answer, err := r.Handle(0, home, b); err == nil || answer != nil {
					t.Errorf("%d bytes were answered, %v", n, err)
				}
			}
		})
	}
	if len(ids.taken) != 0 {
		t.Errorf("%d ids taken", len(ids.taken))
	}
	for name, hello := range hellos {
		if answer, err := r.Handle(0, home, hello); err != nil || len(answer) > len(hello)/8 {
			t.Errorf("%s: %d bytes, %v", name, len(answer), err)
		}
	}
}

// T24: whoever is in between can neither change an answer nor make the client
// stumble over his own.
func TestForgedAnswerChangesNothing(t *testing.T) {
	r, key, _ := newServer(t, nil)
	for name, i := range map[string]*Initiator{
		"public keys": newInitiator(t, key.Public(), 3),
		"resume key":  newResumer(t, [16]byte{9}, 4),
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := r.Handle(0, home, i.Hello())
			if err != nil {
				t.Fatal(err)
			}
			step := 1
			if testing.Short() {
				step = 5
			}
			for bit := 0; bit < 8*len(answer); bit += step {
				b := bytes.Clone(answer)
				b[bit/8] ^= 1 << (bit % 8)
				if a, again, err := i.Handle(b); a != nil || again || err == nil {
					t.Fatalf("bit %d flipped: accepted", bit)
				}
			}
			for n := range answer {
				if a, _, err := i.Handle(answer[:n]); a != nil || err == nil {
					t.Fatalf("%d bytes of an answer accepted", n)
				}
			}
			zero := bytes.Clone(answer)
			clear(zero[16:48]) // a point of low order
			if a, _, err := i.Handle(zero); a != nil || err == nil {
				t.Fatal("accepted a point of low order")
			}
			if a, _, err := i.Handle(answer); a == nil || err != nil {
				t.Fatalf("the real answer was refused afterwards: %v", err)
			}
		})
	}
}

func TestClientKnowsItsServer(t *testing.T) {
	r, _, _ := newServer(t, nil)
	stranger, err := NewKey(seeded(9))
	if err != nil {
		t.Fatal(err)
	}
	i := newInitiator(t, stranger.Public(), 3)
	if _, err := r.Handle(0, home, i.Hello()); !errors.Is(err, ErrKey) {
		t.Errorf("a hello for another server: %v", err)
	}
	// The same key name, so that the server does the work.
	copy(i.hello[atKeyID:], r.cfg.Keys[0].id[:])
	if _, err := r.Handle(0, home, i.Hello()); !errors.Is(err, ErrForged) {
		t.Errorf("a hello for another key: %v", err)
	}
}

// T15: a new key is told while the old one still works.
func TestServerHasSeveralKeys(t *testing.T) {
	next, err := NewKey(seeded(8))
	if err != nil {
		t.Fatal(err)
	}
	r, old, _ := newServer(t, func(c *Config) { c.Keys = append([]Key{next}, c.Keys...) })
	open(t, r, newInitiator(t, old.Public(), 3), 0)
	open(t, r, newInitiator(t, next.Public(), 4), 0)
	r, _, _ = newServer(t, func(c *Config) { c.Keys = []Key{next} })
	if _, err := r.Handle(0, home, newInitiator(t, old.Public(), 5).Hello()); !errors.Is(err, ErrKey) {
		t.Errorf("a key that was taken away: %v", err)
	}
}

func TestResumeNeedsTheKeyOfItsSession(t *testing.T) {
	r, _, _ := newServer(t, nil)
	session, other := [16]byte{1}, [16]byte{2}
	for name, key := range map[string][32]byte{
		"of another session": resumeKey(secret, other),
		"of another server":  resumeKey([32]byte{8}, session),
		"none":               {},
	} {
		i, err := NewResumer(session, key, seeded(3))
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := r.Handle(0, home, i.Hello()); answer != nil || !errors.Is(err, ErrForged) {
			t.Errorf("key %s: %v", name, err)
		}
	}
	r, _, _ = newServer(t, func(c *Config) { c.ResumeSecret = [32]byte{} })
	if _, err := r.Handle(0, home, newResumer(t, session, 3).Hello()); !errors.Is(err, ErrKey) {
		t.Errorf("a server without a secret: %v", err)
	}
}

func TestHalfOpenLinksEnd(t *testing.T) {
	r, key, ids := newServer(t, nil)
	if r.Due() != 0 {
		t.Error("due without anything")
	}
	i := newInitiator(t, key.Public(), 3)
	answer, err := r.Handle(time.Second, home, i.Hello())
	if err != nil {
		t.Fatal(err)
	}
	a, _, err := i.Handle(answer)
	if err != nil {
		t.Fatal(err)
	}
	if r.Due() != time.Second+halfOpenTimeout {
		t.Errorf("due at %v", r.Due())
	}
	late := seal(t, &a.Conn, "late")
	if _, err := r.Confirm(time.Second+halfOpenTimeout, home, late); !errors.Is(err, ErrUnknown) {
		t.Errorf("confirmed after its time: %v", err)
	}
	if r.HalfOpen() != 0 || len(ids.taken) != 0 || r.Counts().Expired != 1 || r.Due() != 0 {
		t.Errorf("%d half open, %d ids, due %v, %+v", r.HalfOpen(), len(ids.taken), r.Due(), r.Counts())
	}
}

// letIn has i's hello answered, with a cookie where one is asked for.
func letIn(t *testing.T, r *Responder, now time.Duration, from netip.AddrPort, i *Initiator) (*Accepted, error) {
	t.Helper()
	b, err := r.Handle(now, from, i.Hello())
	if err == nil && PacketType(b[4]) == TypeCookie {
		if _, again, err := i.Handle(b); err != nil || !again {
			t.Fatal(err)
		}
		b, err = r.Handle(now, from, i.Hello())
	}
	if err != nil {
		return nil, err
	}
	a, _, err := i.Handle(b)
	return a, err
}

// resumerOf is newResumer for more clients than a byte can tell apart.
func resumerOf(t *testing.T, session [16]byte, seed uint64) *Initiator {
	t.Helper()
	var long [32]byte
	binary.LittleEndian.PutUint64(long[:], seed)
	i, err := NewResumer(session, resumeKey(secret, session), rand.NewChaCha8(long))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// T1: when the table is full the oldest of the network that has most goes, and
// nobody else.
func TestHalfOpenLinksAreBounded(t *testing.T) {
	r, _, ids := newServer(t, func(c *Config) { c.HalfOpen = 64; c.AddressRate = -1 })
	honest := newResumer(t, [16]byte{0, 1}, 250)
	a, err := letIn(t, r, 0, netip.MustParseAddrPort("198.51.100.1:1"), honest)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 200 {
		if _, err := letIn(t, r, 0, home, newResumer(t, [16]byte{byte(n), 2}, byte(n))); err != nil {
			t.Fatalf("hello %d: %v", n, err)
		}
	}
	if c := r.Counts(); r.HalfOpen() != 64 || len(ids.taken) != 64 || c.Evicted != 201-64 {
		t.Errorf("%d half open, %d ids, %d made room", r.HalfOpen(), len(ids.taken), c.Evicted)
	}
	if len(r.order) > 2*64 || len(r.resumes) != 64 || r.places.Len() != 64 {
		t.Errorf("kept: %d in order, %d of sessions, %d places", len(r.order), len(r.resumes), r.places.Len())
	}
	if _, err := r.Confirm(0, netip.MustParseAddrPort("198.51.100.1:1"), seal(t, &a.Conn, "here I am")); err != nil {
		t.Errorf("the honest one, whose network has one of 64: %v", err)
	}
	r.Expire(time.Hour)
	if r.HalfOpen() != 0 || len(r.resumes) != 0 || r.places.Len() != 0 || len(ids.taken) != 1 {
		t.Errorf("left: %d, %d of sessions, %d places, %d ids", r.HalfOpen(), len(r.resumes), r.places.Len(), len(ids.taken))
	}
	r, _, _ = newServer(t, func(c *Config) { c.IDs = &slots{max: 1} })
	if _, err := r.Handle(0, home, newResumer(t, [16]byte{1}, 1).Hello()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Handle(0, home, newResumer(t, [16]byte{2}, 2).Hello()); !errors.Is(err, ErrFull) {
		t.Errorf("without an id: %v", err)
	}
}

// TestSessionHasOneHalfOpenLink of each network: who repeats from elsewhere what
// it saw takes nobody's away.
func TestSessionHasOneHalfOpenLink(t *testing.T) {
	r, _, _ := newServer(t, nil)
	session := [16]byte{7}
	for n := range byte(100) {
		if _, err := r.Handle(0, home, newResumer(t, session, n).Hello()); err != nil {
			t.Fatal(err)
		}
	}
	if r.HalfOpen() != 1 {
		t.Errorf("%d half-open links of one session, want 1", r.HalfOpen())
	}
	player := newResumer(t, session, 100)
	b, err := r.Handle(0, home, player.Hello())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Handle(0, netip.MustParseAddrPort("203.0.113.1:1"), newResumer(t, session, 101).Hello()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := player.Handle(b); err != nil {
		t.Fatal(err)
	}
	open(t, r, player, 0)
}

// TestKeyOfASessionThatIsOver opens nothing any more.
func TestKeyOfASessionThatIsOver(t *testing.T) {
	over := map[[16]byte]bool{}
	r, _, ids := newServer(t, func(c *Config) { c.Over = func(s [16]byte) bool { return over[s] } })
	if _, err := r.Handle(0, home, newResumer(t, [16]byte{7}, 1).Hello()); err != nil {
		t.Fatal(err)
	}
	r.Expire(time.Hour)
	over[[16]byte{7}] = true
	if b, err := r.Handle(0, home, newResumer(t, [16]byte{7}, 2).Hello()); !errors.Is(err, ErrOver) || b != nil {
		t.Errorf("answered with %d bytes, %v", len(b), err)
	}
	if c := r.Counts(); c.SessionEnded != 1 || len(ids.taken) != 0 {
		t.Errorf("%+v, %d ids", c, len(ids.taken))
	}
}

// TestFloodOfHellosKeepsNobodyOut is what a host or two can send, for ten seconds
// on one loop: all who log in meanwhile have their link after one round trip more
// at most.
func TestFloodOfHellosKeepsNobodyOut(t *testing.T) {
	const roundTrip = 50 * time.Millisecond
	for name, flood := range map[string]func(t *testing.T, r *Responder, now time.Duration, n int){
		// One session's key, from one address: 5,200 at once, every five seconds.
		"one session": func(t *testing.T, r *Responder, now time.Duration, n int) {
			if n%5000 == 0 {
				for k := range 5200 {
					_, _ = letIn(t, r, now, home, resumerOf(t, [16]byte{9}, uint64(n)<<32|uint64(k)))
				}
			}
		},
		// As many sessions as hellos, all known.
		"many sessions": func(t *testing.T, r *Responder, now time.Duration, n int) {
			for k := range 3 {
				session := [16]byte{9, byte(k), byte(n), byte(n >> 8), byte(n >> 16)}
				from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(n % 20), 1}), uint16(1+n))
				_, _ = letIn(t, r, now, from, resumerOf(t, session, uint64(n)<<2|uint64(k)))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, _, _ := newServer(t, nil)
			type waiting struct {
				a    *Accepted
				from netip.AddrPort
			}
			due := map[int]waiting{}
			opened := 0
			for n := range 10_000 { // milliseconds
				now := time.Duration(n) * time.Millisecond
				flood(t, r, now, n)
				if n%20 == 0 {
					from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 8), byte(n), 1}), 1)
					a, err := letIn(t, r, now, from, resumerOf(t, [16]byte{1, byte(n), byte(n >> 8)}, 1<<60|uint64(n)))
					if err != nil {
						t.Fatalf("a player at %v: %v", now, err)
					}
					due[n+int(roundTrip/time.Millisecond)] = waiting{a, from}
				}
				if w, ok := due[n]; ok {
					if _, err := r.Confirm(now, w.from, seal(t, &w.a.Conn, "hello")); err == nil {
						opened++
					}
				}
			}
			if want := 500 - 3; opened < want {
				t.Errorf("%d of 500 players came in", opened)
			}
			t.Logf("%d of 500 players, %+v", opened, r.Counts())
		})
	}
}

func TestFirstDatagramProvesItsAddress(t *testing.T) {
	elsewhere := netip.MustParseAddrPort("198.51.100.7:1")
	r, key, _ := newServer(t, nil)
	i := newInitiator(t, key.Public(), 3)
	answer, err := r.Handle(0, home, i.Hello())
	if err != nil {
		t.Fatal(err)
	}
	a, _, err := i.Handle(answer)
	if err != nil {
		t.Fatal(err)
	}
	b := seal(t, &a.Conn, "x")
	forged := bytes.Clone(b)
	forged[len(forged)-1] ^= 1
	if _, err := r.Confirm(0, home, forged); !errors.Is(err, ErrForged) {
		t.Errorf("confirmed by a forgery: %v", err)
	}
	c, err := r.Confirm(0, elsewhere, b)
	if err != nil || c.Validated {
		t.Errorf("from an address that was not accepted: %+v, %v", c, err)
	}
	if _, err := r.Confirm(0, home, b); !errors.Is(err, ErrUnknown) {
		t.Errorf("confirmed twice: %v", err)
	}
}

func TestCookieIsGoodForOneHelloFromOneAddress(t *testing.T) {
	r, key, _ := newServer(t, func(c *Config) { c.AlwaysCookie = true })
	for name, i := range map[string]*Initiator{
		"public keys": newInitiator(t, key.Public(), 3),
		"resume key":  newResumer(t, [16]byte{9}, 4),
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := r.Handle(0, home, i.Hello())
			if err != nil || len(answer) != cookieSize || PacketType(answer[4]) != TypeCookie {
				t.Fatalf("%x, %v, want a cookie", answer, err)
			}
			if a, again, err := i.Handle(answer); a != nil || !again || err != nil {
				t.Fatalf("cookie: %v %v %v", a, again, err)
			}
			if _, again, _ := i.Handle(answer); again {
				t.Error("the same cookie twice is news")
			}
			wantCookie := func(what string, now time.Duration, from netip.AddrPort, hello []byte, want bool) {
				t.Helper()
				b, err := r.Handle(now, from, hello)
				if got := err == nil && PacketType(b[4]) == TypeCookie; got != want {
					t.Errorf("%s: %x %v", what, b, err)
				}
			}
			hello := i.Hello()
			wantCookie("another port", 0, netip.AddrPortFrom(home.Addr(), 4001), hello, true)
			wantCookie("another address", 0, netip.MustParseAddrPort("192.0.2.2:4000"), hello, true)
			other := newInitiator(t, key.Public(), 77)
			copy(other.hello[atCookie:atName], hello[atCookie:])
			wantCookie("another hello", 0, home, other.Hello(), true)
			wantCookie("hours later", 5*time.Hour, home, hello, true)
			// From here on the clock stands after the hours; get a fresh one.
			answer, _ = r.Handle(5*time.Hour, home, hello)
			if _, again, _ := i.Handle(answer); !again {
				t.Fatal("no new cookie")
			}
			wantCookie("its secret is the one before", 5*time.Hour+2*cookieTime-time.Second, home, i.Hello(), false)
			r.Expire(20 * time.Hour)
			wantCookie("its secret is forgotten", 5*time.Hour+3*cookieTime+time.Second, home, i.Hello(), true)
		})
		r.cookies = cookieJar{}
	}
}

func TestCookiesAreAskedForUnderLoad(t *testing.T) {
	asked := func(r *Responder, now time.Duration) bool {
		t.Helper()
		b, err := r.Handle(now, home, newInitiator(t, r.cfg.Keys[0].Public(), 0xff).Hello())
		if err != nil {
			t.Fatal(err)
		}
		r.Expire(now + time.Hour)
		return PacketType(b[4]) == TypeCookie
	}
	comesBack := func(r *Responder, n byte) bool {
		t.Helper()
		b, err := r.Handle(0, home, newResumer(t, [16]byte{n}, n).Hello())
		if err != nil {
			t.Fatal(err)
		}
		return PacketType(b[4]) == TypeResumeAccept
	}
	t.Run("not of those who come back", func(t *testing.T) {
		r, _, _ := newServer(t, func(c *Config) { c.HalfOpen = 80 })
		r.load.until = time.Hour // strangers cost too much
		for n := range byte(21) {
			if !comesBack(r, n) {
				t.Fatalf("asked with %d of 80 half open", n)
			}
		}
		if comesBack(r, 21) {
			t.Error("not asked with the table a quarter full")
		}
	})
	t.Run("many public-key operations", func(t *testing.T) {
		r, _, _ := newServer(t, nil)
		for range defaultCookieRate {
			r.load.countPublicKey(0, defaultCookieRate)
		}
		if asked(r, 0) {
			t.Error("asked at the rate that is free")
		}
		r.load.countPublicKey(0, defaultCookieRate)
		if !asked(r, 0) || !asked(r, loadSticky-1) {
			t.Error("not asked under load")
		}
		if asked(r, loadSticky) {
			t.Error("asked long after the load")
		}
	})
	t.Run("many half-open links", func(t *testing.T) {
		r, _, _ := newServer(t, func(c *Config) { c.HalfOpen = 80 })
		for n := range 10 {
			if _, err := r.Handle(0, home, newResumer(t, [16]byte{byte(n)}, byte(n)).Hello()); err != nil {
				t.Fatal(err)
			}
		}
		r.add(0, home, make([]byte, HelloSize), &halfOpen{conn: newConn(99, make([]byte, 32), make([]byte, 32))})
		if !asked(r, 0) {
			t.Error("not asked with the table an eighth full")
		}
	})
}

func TestPrefixIsLimitedEvenWithCookies(t *testing.T) {
	r, key, _ := newServer(t, func(c *Config) {
		c.AlwaysCookie, c.AddressRate = true, 5
		c.Exempt = func(ip netip.Addr) bool { return ip == netip.MustParseAddr("192.0.2.9") }
	})
	try := func(now time.Duration, from string, seed byte) error {
		t.Helper()
		i := newInitiator(t, key.Public(), seed)
		at := netip.MustParseAddrPort(from)
		b, err := r.Handle(now, at, i.Hello())
		if err != nil {
			return err
		}
		if _, _, err := i.Handle(b); err != nil {
			t.Fatal(err)
		}
		_, err = r.Handle(now, at, i.Hello())
		return err
	}
	for n := range addressBurst * 5 {
		if err := try(0, "192.0.2.1:1", byte(n)); err != nil {
			t.Fatalf("hello %d: %v", n, err)
		}
	}
	if err := try(0, "192.0.2.1:2", 199); !errors.Is(err, ErrRate) {
		t.Errorf("more of one host: %v", err)
	}
	for n := range addressBurst * 5 { // together they have what the network has
		if err := try(0, "192.0.2.2:1", byte(100+n)); err != nil {
			t.Fatalf("hello %d of its neighbour: %v", n, err)
		}
	}
	for from, want := range map[string]error{
		"192.0.2.250:9":        ErrRate,
		"[::ffff:192.0.2.3]:1": ErrRate,
		"192.0.3.1:1":          nil,
		"[2001:db8::1]:1":      nil,
	} {
		if err := try(0, from, 200); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", from, err, want)
		}
		r.Expire(time.Hour)
	}
	if err := try(time.Second, "192.0.2.1:1", 201); err != nil {
		t.Errorf("a second later: %v", err)
	}
	for n := range byte(addressBurst*5 + 1) {
		if err := try(time.Second, "192.0.2.9:1", n); err != nil {
			t.Fatalf("hello %d of a proxy: %v", n, err)
		}
	}
}

// T1: spoofed hellos by the million make no state that stays.
func TestSpoofedHellosCostNoMemory(t *testing.T) {
	n := 300_000
	if testing.Short() {
		n = 20_000
	}
	r, key, ids := newServer(t, nil)
	hello := bytes.Clone(newInitiator(t, key.Public(), 3).Hello())
	spoof := func(k uint64) {
		var ip [16]byte
		binary.LittleEndian.PutUint64(ip[8:], k*0x9e3779b97f4a7c15)
		binary.LittleEndian.PutUint64(hello[atName:], k*0xbf58476d1ce4e5b9+1) // another client each
		now := time.Duration(k) * 10 * time.Microsecond
		b, _ := r.Handle(now, netip.AddrPortFrom(netip.AddrFrom16(ip), 1), hello)
		if len(b) > len(hello) {
			t.Fatal("an answer longer than its hello")
		}
	}
	for k := range uint64(1000) {
		spoof(k)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for k := range uint64(n) {
		spoof(1000 + k)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	c := r.Counts()
	if len(ids.taken) != 0 || c.Confirmed != 0 {
		t.Errorf("%d ids taken, %+v", len(ids.taken), c)
	}
	if c.PublicKey > 3*defaultCookieRate*uint64(n)/100_000+defaultCookieRate {
		t.Errorf("%d public-key operations for %d spoofed hellos", c.PublicKey, n)
	}
	// A real client comes in meanwhile.
	now := time.Duration(1000+n) * 10 * time.Microsecond
	i := newInitiator(t, key.Public(), 50)
	b, err := r.Handle(now, home, i.Hello())
	if err != nil {
		t.Fatal(err)
	}
	if PacketType(b[4]) == TypeCookie {
		if _, _, err := i.Handle(b); err != nil {
			t.Fatal(err)
		}
	}
	open(t, r, i, now)
}

func TestKeysAsText(t *testing.T) {
	key, err := NewKey(seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseKey(key.Text() + "\n"); err != nil || got.Public() != key.Public() {
		t.Errorf("private key: %v", err)
	}
	if got, err := ParsePublicKey(key.Public().String()); err != nil || got != key.Public() {
		t.Errorf("public key: %v", err)
	}
	for _, s := range []string{
		"", "llp1.", "llp1.AAAA", key.Text(), key.Public().String() + "A", key.Public().String()[:40],
		"LLP1." + key.Public().String()[5:], key.Public().String()[:47] + "!",
	} {
		if _, err := ParsePublicKey(s); !errors.Is(err, ErrKeyText) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if _, err := ParseKey(key.Public().String()); !errors.Is(err, ErrKeyText) {
		t.Errorf("a public key as a private one: %v", err)
	}
}

func TestResponderRefusesABadConfig(t *testing.T) {
	key, err := NewKey(seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]Config{
		"no key":   {IDs: new(slots)},
		"no ids":   {Keys: []Key{key}},
		"greeting": {Keys: []Key{key}, IDs: new(slots), Greeting: make([]byte, MaxGreeting+1)},
		"bound":    {Keys: []Key{key}, IDs: new(slots), HalfOpen: -1},
	} {
		if _, err := NewResponder(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Whoever sees a hello can forge cookies. They cost two hellos at most for
// each of the timer's, and the latest cookie is what that carries.
func TestForgedCookiesAreAnsweredTwice(t *testing.T) {
	_, key, _ := newServer(t, nil)
	i := newInitiator(t, key.Public(), 3)
	forged := func(n int) []byte {
		b := append(appendHead(nil, TypeCookie), i.Hello()[atName:atName+8]...)
		return binary.BigEndian.AppendUint64(append(b, make([]byte, 8)...), uint64(n))
	}
	for round := range 3 {
		i.Repeat()
		sent := 0
		for n := range 1000 {
			if _, again, err := i.Handle(forged(round*1000 + n + 1)); err != nil {
				t.Fatal(err)
			} else if again {
				sent++
			}
		}
		if sent != 2 {
			t.Errorf("1,000 forged cookies were answered by %d hellos", sent)
		}
		if want := forged(round*1000 + 1000)[16:]; !bytes.Equal(i.Repeat()[atCookie:atCookie+16], want) {
			t.Error("the timer's hello lacks the latest cookie")
		}
	}
}
