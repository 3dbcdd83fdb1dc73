// SPDX-License-Identifier: MIT

package seal

import (
	"bytes"
	"runtime"
	"testing"
	"unsafe"
)

// A player pays for a Conn all the time: budget 200 bytes with its keys.
func TestConnIsSmall(t *testing.T) {
	if got := unsafe.Sizeof(Conn{}); got > 104 {
		t.Errorf("a Conn takes %d bytes, want at most 104", got)
	}
	const n = 4096
	list := make([]*Conn, 0, n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var up, down [32]byte
	for range n {
		c := newConn(1, up[:], down[:])
		list = append(list, &c)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := (after.HeapAlloc - before.HeapAlloc) / n; got > 200 {
		t.Errorf("a Conn takes %d bytes with its keys, want at most 200", got)
	}
	runtime.KeepAlive(list)
}

func TestSealedDatagramsCostNoMemory(t *testing.T) {
	var up, down [32]byte
	client, server := newConn(1, up[:], down[:]), newConn(1, down[:], up[:])
	buf := make([]byte, MaxDatagram)
	if n := testing.AllocsPerRun(1000, func() {
		b, err := client.Seal(buf[:HeaderSize+100], TypeSealed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := server.Open(b); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("sealing and opening allocate %v times", n)
	}
	var d ResetDetector
	if n := testing.AllocsPerRun(1000, func() { d.Sent(buf); d.Received() }); n != 0 {
		t.Errorf("remembering a datagram allocates %v times", n)
	}
}

// Whoever answers handshakes, or is sent forged answers, keeps no more for many.
func TestHandshakesUseTheirDigestsAgain(t *testing.T) {
	r, key, _ := newServer(t, func(c *Config) { c.CookieRate, c.AddressRate = -1, -1 })
	i := newInitiator(t, key.Public(), 3)
	answer, err := r.Handle(0, home, i.Hello())
	if err != nil {
		t.Fatal(err)
	}
	answer = bytes.Clone(answer)
	ours := len(r.suite.digests)
	for n := range byte(10) {
		if _, err := r.Handle(0, home, newInitiator(t, key.Public(), 10+n).Hello()); err != nil {
			t.Fatal(err)
		}
		forged := bytes.Clone(answer)
		forged[60] ^= 1
		if a, _, err := i.Handle(forged); a != nil || err == nil {
			t.Fatal("a forged answer was taken")
		}
	}
	if a, _, err := i.Handle(answer); a == nil || err != nil {
		t.Fatal(err)
	}
	if got := len(r.suite.digests); got != ours {
		t.Errorf("the server keeps %d digests after more handshakes, %d after one", got, ours)
	}
	if got := len(i.suite.digests); got > ours+2 {
		t.Errorf("the client keeps %d digests after forged answers, the server %d", got, ours)
	}
	if n := testing.AllocsPerRun(20, func() {
		r.byName, r.byID, r.order = map[[48]byte]*halfOpen{}, map[uint32]*halfOpen{}, nil
		if _, err := r.Handle(0, home, i.Hello()); err != nil {
			t.Fatal(err)
		}
	}); n > 90 {
		t.Errorf("a handshake allocates %v times", n)
	}
}

func BenchmarkSeal(b *testing.B) {
	var up, down [32]byte
	c := newConn(1, up[:], down[:])
	buf := make([]byte, MaxDatagram)
	for _, size := range []int{64, 256, 1024} {
		b.Run(sizeName(size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Seal(buf[:HeaderSize+size], TypeSealed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSealAndOpen(b *testing.B) {
	var up, down [32]byte
	client, server := newConn(1, up[:], down[:]), newConn(1, down[:], up[:])
	buf := make([]byte, MaxDatagram)
	for _, size := range []int{64, 256, 1024} {
		b.Run(sizeName(size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d, err := client.Seal(buf[:HeaderSize+size], TypeSealed)
				if err == nil {
					_, err = server.Open(d)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func sizeName(n int) string {
	return map[int]string{64: "size=64", 256: "size=256", 1024: "size=1024"}[n]
}

func BenchmarkHandshake(b *testing.B) {
	b.Run("public-keys", func(b *testing.B) {
		r, key, _ := newServer(b, func(c *Config) { c.AddressRate = -1; c.Rand = nil })
		i := newInitiator(b, key.Public(), 3)
		for b.Loop() {
			r.byName, r.byID, r.order, r.load = map[[48]byte]*halfOpen{}, map[uint32]*halfOpen{}, nil, load{}
			if _, err := r.Handle(0, home, i.Hello()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("resume", func(b *testing.B) {
		r, _, _ := newServer(b, func(c *Config) { c.Rand = nil })
		i := newResumer(b, [16]byte{9}, 3)
		for b.Loop() {
			r.byName, r.byID, r.order = map[[48]byte]*halfOpen{}, map[uint32]*halfOpen{}, nil
			if _, err := r.Handle(0, home, i.Hello()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("cookie", func(b *testing.B) {
		r, key, _ := newServer(b, func(c *Config) { c.AlwaysCookie = true; c.Rand = nil })
		i := newInitiator(b, key.Public(), 3)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Handle(0, home, i.Hello()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
