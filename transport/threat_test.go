// SPDX-License-Identifier: MIT

package transport

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/memnet"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// Threats to the listener: THREATS.md says which test is about which.

// spoofed sends datagrams to a server's loops from any address, as the kernel
// would hand them up.
func spoofed(t *testing.T, tr *Transport, n int, f func(i int) (netip.AddrPort, []byte)) {
	t.Helper()
	const chunk = 1000
	for from := 0; from < n; from += chunk {
		l := tr.loops[from/chunk%len(tr.loops)]
		done := make(chan struct{})
		if err := l.Post(task(func(l *Loop) {
			defer close(done)
			for i := from; i < min(from+chunk, n); i++ {
				addr, b := f(i)
				sealedOf(l).datagram(path{addr: addr}, b)
			}
		})); err != nil {
			t.Fatal(err)
		}
		<-done
	}
}

// anywhere is a different address for each i, IPv4 and IPv6 in turn.
func anywhere(i int) netip.AddrPort {
	x := uint64(i) * 0x9e3779b97f4a7c15
	var ip [16]byte
	binary.BigEndian.PutUint64(ip[:], 0x20010db8<<32|x>>32)
	binary.BigEndian.PutUint64(ip[8:], x)
	addr := netip.AddrFrom16(ip)
	if i%2 == 0 {
		addr = netip.AddrFrom4([4]byte(ip[4:8]))
	}
	return netip.AddrPortFrom(addr, uint16(x>>20)|1)
}

// T1, T3: a million hellos from as many addresses, good and bad ones, on a
// server that runs: no link, no memory, and a player comes in meanwhile.
func TestThreatSpoofedHellos(t *testing.T) {
	n := 1_000_000
	if testing.Short() || raceEnabled {
		n = 50_000
	}
	h := &hooks{}
	w := &world{carrier: KCP, mem: true, net: memnet.New(7, memnet.Conditions{})}
	tr := w.start(t, Config{Loops: 2}, h)
	good := newInitiator(tr).Hello()
	resume, err := seal.NewResumer([16]byte{1}, [32]byte{2}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hello := make([]byte, seal.HelloSize)
	in := 0
	send := func(i int) (netip.AddrPort, []byte) {
		if i%4 == 3 {
			copy(hello, resume.Hello())
		} else {
			copy(hello, good)
		}
		if i%4 != 0 { // another client each, whose key is not known to us
			binary.LittleEndian.PutUint64(hello[32:], uint64(i)*0xbf58476d1ce4e5b9)
		}
		in += len(hello)
		return anywhere(i), hello
	}
	spoofed(t, tr, 10_000, send)
	var before, after runtime.MemStats
	goroutines := runtime.NumGoroutine()
	runtime.GC()
	runtime.ReadMemStats(&before)
	spoofed(t, tr, n/2, send)
	start := time.Now()
	c := w.dial(t, tr)
	c.write(beat)
	c.roundTrip("a player")
	t.Logf("connected within %v", time.Since(start))
	c.Close()
	spoofed(t, tr, n/2, send)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	if now := runtime.NumGoroutine(); now > goroutines+4 { // the player's
		t.Errorf("%d goroutines, there were %d", now, goroutines)
	}
	s := tr.Stats()
	if h.opened.Load() != 1 || s.Carriers["kcp"].Opened != 1 {
		t.Errorf("%d links", h.opened.Load())
	}
	if s.Handshakes.PublicKey > uint64(n)/20+2000 {
		t.Errorf("%d handshakes with public keys for %d hellos", s.Handshakes.PublicKey, n)
	}
	t.Logf("%+v", s.Handshakes)
}

// T2: every datagram of a conversation, whole, cut and changed, sent by a
// stranger: never more bytes out than in, and not one to another.
func TestThreatNoAnswerIsLonger(t *testing.T) {
	for _, always := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			w, tr := sealedWorld(t, memnet.Conditions{}, Config{Loops: 2, AlwaysCookie: always}, &hooks{})
			hello := bytes.Clone(newInitiator(tr).Hello())
			c := w.dial(t, tr)
			c.write(beat)
			c.roundTrip("hello")
			var corpus [][]byte
			c.sealed.look(func() { corpus = append(slices.Clone(c.sealed.sent), hello) })
			for _, b := range slices.Clone(corpus) {
				for _, what := range []byte{1, 2, 3, 4, 5, 0x10, 0x11, 0x1f, 0x51, 0x54} {
					b := bytes.Clone(b)
					b[4] = what
					corpus = append(corpus, b)
				}
				for cut := 0; cut < len(b); cut += 1 + len(b)/60 {
					corpus = append(corpus, bytes.Clone(b[:cut]))
				}
			}
			stranger, err := w.net.ListenPacket()
			if err != nil {
				t.Fatal(err)
			}
			defer stranger.Close()
			buf := make([]byte, 4096)
			for _, b := range corpus {
				stranger.WriteTo(b, c.sealed.to)
				out := 0
				stranger.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				for {
					n, _, err := stranger.ReadFrom(buf)
					if err != nil {
						break
					}
					out += n
				}
				if out > len(b) {
					t.Fatalf("%d bytes for %d: %x", out, len(b), b[:min(len(b), 16)])
				}
			}
			// A minute of silence on a half-open link: nothing comes unasked.
			stranger.WriteTo(newInitiator(tr).Hello(), c.sealed.to)
			stranger.SetReadDeadline(time.Now().Add(time.Minute))
			out := 0
			for {
				n, _, err := stranger.ReadFrom(buf)
				if err != nil {
					break
				}
				out += n
			}
			if out == 0 || out > seal.HelloSize {
				t.Errorf("%d bytes for a hello", out)
			}
			c.roundTrip("to the end")
		})
	}
}

// T4, T27: datagrams of every size that UDP carries, and those of other
// dialects, on real sockets, IPv4 and IPv6: counted and forgotten.
func TestThreatDatagramsOfAnySize(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(addr, func(t *testing.T) {
			if pc, err := net.ListenPacket("udp", addr); err != nil {
				t.Skip("not on this machine:", err)
			} else {
				pc.Close()
			}
			h := &hooks{}
			tr, err := Start(Config{KCP: addr, PlainKCP: addr, Loops: 2, Logger: quiet}, h)
			if err != nil {
				t.Fatal(err)
			}
			defer stop(t, tr)
			for _, c := range []Carrier{KCP, PlainKCP} {
				pc, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(tr.Addr(c)))
				if err != nil {
					t.Fatal(err)
				}
				b := make([]byte, 65507)
				_, _ = rand.Read(b)
				for size := 0; size <= len(b); size += 1 + size/40 {
					for _, what := range []byte{1, 4, 0x10, 0x51, 0xf1, 0xf2, 0xf3} {
						copy(b, []byte{0, 0, 0, 0, what, 1, 0, 0})
						_, _ = pc.Write(b[:size])
						copy(b, []byte{1, 2, 3, 4})
						_, _ = pc.Write(b[:size])
					}
				}
				pc.Close()
			}
			eventually(t, "each kind is counted", func() bool {
				s := tr.Stats()
				return s.DroppedLarge > 0 && s.DroppedShort > 0 && s.DroppedMalformed > 0
			})
			s := tr.Stats()
			if s.Panics != 0 || h.opened.Load() != 0 {
				t.Errorf("%d links, %+v", h.opened.Load(), s)
			}
			w := &world{carrier: KCP}
			p := w.dial(t, tr)
			p.write(beat)
			p.roundTrip("a player")
		})
	}
}

// T28: two servers that get each other's resets, and whatever else they say to
// strangers, fall silent at once.
func TestThreatServersDoNotTalkToEachOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, one := sealedWorld(t, memnet.Conditions{}, Config{}, &hooks{})
		_, two := sealedWorld(t, memnet.Conditions{}, Config{}, &hooks{})
		first := append([]byte{1, 2, 3, 0, byte(seal.TypeSealed), 9, 9, 9}, make([]byte, 200)...)
		resets, from := 0, one
		for b := first; b != nil; resets++ {
			var answer []byte
			done := make(chan struct{})
			if err := from.loops[0].Post(task(func(l *Loop) {
				answer = bytes.Clone(sealedOf(l).responder.Reset(l.now, anywhere(2), b))
				sealedOf(l).datagram(path{addr: anywhere(2)}, b)
				close(done)
			})); err != nil {
				t.Fatal(err)
			}
			<-done
			if b = answer; len(b) == 0 {
				break
			}
			from = two
		}
		if resets != 1 {
			t.Errorf("%d resets came of one datagram", resets)
		}
	})
}

// task is a function on a loop.
type task func(*Loop)

func (f task) Run(l *Loop) { f(l) }

// T3: 200,000 junk hellos a second, and as many datagrams with the players' ids,
// in front of what the players say: each of them is answered in the batch in
// which it spoke. What strangers make the loop compute is counted: of public
// keys no more than cookies let through, of ciphers one datagram each for what
// names a link, and none for the rest.
func TestThreatNobodyWaitsForJunk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		batches, junk := 200, 1000 // every 5 ms
		if testing.Short() || raceEnabled {
			batches = 30
		}
		l, _ := testLoop(Config{}, &echoHandler{})
		back := countingBack{peers: sealedBack{}, answers: map[netip.AddrPort]int{}}
		var list []*sealedPeer
		for i := range 16 {
			p := joinSealed(l, i)
			list = append(list, p)
			back.peers[p.addr] = p
		}
		l.below = back
		joined := sealedOf(l).responder.Counts()
		good := initiatorFor(l).Hello()
		resume, err := seal.NewResumer([16]byte{1}, [32]byte{2}, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		hello, forged := make([]byte, seal.HelloSize), make([]byte, 200)
		named, unknown := uint64(0), uint64(0)
		for batch := range batches {
			time.Sleep(5 * time.Millisecond)
			l.begin()
			for j := range junk {
				i := batch*junk + j
				copy(hello, good)
				if i%4 == 3 {
					copy(hello, resume.Hello())
				}
				binary.LittleEndian.PutUint64(hello[32:], uint64(i)*0xbf58476d1ce4e5b9)
				sealedOf(l).datagram(path{addr: anywhere(i)}, hello)
				id := list[i%len(list)].link.Conn.ID()
				if i%2 == 0 {
					named++
				} else {
					id ^= 0x80 // another generation
					unknown++
				}
				binary.LittleEndian.PutUint32(forged, id)
				forged[4] = byte(seal.TypeSealed)
				binary.LittleEndian.PutUint32(forged[5:], uint32(i))
				sealedOf(l).datagram(path{addr: anywhere(i)}, forged)
			}
			for i, p := range list {
				p.Write(frame([]byte{byte(i), byte(batch)}))
				p.send(l)
			}
			clear(back.answers)
			l.end()
			for i, p := range list {
				if back.answers[p.addr] == 0 {
					t.Fatalf("batch %d: player %d was not answered in it", batch, i)
				}
			}
		}
		for i, p := range list {
			if got := back.peers[p.addr].got; got < batches*len(frame([]byte{0, 0})) {
				t.Errorf("player %d got %d bytes", i, got)
			}
		}
		c := sealedOf(l).responder.Counts()
		seconds := batches*5/1000 + 1
		if work := c.PublicKey - joined.PublicKey; work > uint64(200+200*seconds) {
			t.Errorf("%d operations with public keys in %d s", work, seconds)
		}
		if c.Resumed != joined.Resumed {
			t.Errorf("%d handshakes without the key", c.Resumed)
		}
		if n := l.stats.forged.Load() + l.stats.replayed.Load(); n != named {
			t.Errorf("%d datagrams were tried with a key, want the %d that name a link", n, named)
		}
		if n := l.stats.unknown.Load(); n != unknown {
			t.Errorf("%d datagrams named no link, want %d", n, unknown)
		}
		t.Logf("%d hellos: %+v", batches*junk, c)
	})
}

// countingBack gives the players what is for them, and counts it.
type countingBack struct {
	peers   sealedBack
	answers map[netip.AddrPort]int
}

func (f countingBack) Drain()               {}
func (f countingBack) WakeAt(time.Duration) {}
func (f countingBack) Send(b *backend.Outbox) bool {
	for ; b.Head < b.N; b.Head++ {
		if p := f.peers[b.To[b.Head]]; p != nil {
			p.take(b.Datagram(b.Head))
			f.answers[p.addr]++
		}
	}
	return true
}

// T12: datagrams for a link of one loop are thrown at another one while the
// first is busy, from one network and then from everywhere. What waits is
// bounded, and a player that changes its address meanwhile has its place in it.
func TestThreatFloodForAnotherLoop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, tr := sealedWorld(t, memnet.Conditions{Delay: time.Millisecond}, Config{Loops: 4}, &hooks{})
		c, m := w.moving(t, tr)
		c.write(beat)
		c.roundTrip("hello")
		id := c.sealed.link.Conn.ID()
		owner := tr.loops[sealedOf(tr.loops[0]).slots.layout.loop(id)]
		for moved := false; !moved || int(m.addr().Port())%len(tr.loops) == owner.index; moved = true {
			if err := m.move(); err != nil {
				t.Fatal(err)
			}
		}
		busy, free := make(chan struct{}), make(chan struct{})
		if err := owner.Post(task(func(*Loop) { close(busy); <-free })); err != nil {
			t.Fatal(err)
		}
		<-busy
		const n = 20_000
		forged := append(binary.LittleEndian.AppendUint32(nil, id), byte(seal.TypeSealed), 0, 0, 1)
		forged = append(forged, make([]byte, 92)...)
		flood := func(from func(i int) netip.AddrPort) {
			other := tr.loops[(owner.index+1)%len(tr.loops)]
			onLoop(t, other, func() {
				for i := range n {
					sealedOf(other).datagram(path{addr: from(i)}, forged)
				}
			})
		}
		net := [4]byte{198, 51, 100}
		for sealedOf(owner).handover.group(netip.AddrFrom4(net)) == sealedOf(owner).handover.group(m.addr().Addr()) {
			net[2]++ // one of 64 shares a place with the player
		}
		flood(func(i int) netip.AddrPort {
			net[3] = byte(i)
			return netip.AddrPortFrom(netip.AddrFrom4(net), uint16(i)|1)
		})
		c.write(frame([]byte("in between")))
		time.Sleep(50 * time.Millisecond)
		flood(anywhere)
		place := false
		h := &sealedOf(owner).handover
		h.mu.Lock()
		for _, d := range h.waits.list {
			place = place || d.addr == m.addr()
		}
		waits, bytes := len(h.waits.list), len(h.waits.bytes)
		h.mu.Unlock()
		if waits > maxHanded || bytes > maxHandedBytes || waits < maxHanded/2 {
			t.Errorf("%d datagrams of %d bytes wait", waits, bytes)
		}
		if !place {
			t.Error("the player's are not among them")
		}
		close(free)
		if p := c.read(); string(p.Body) != "in between" {
			t.Errorf("echo of %q", p.Body)
		}
		c.roundTrip("afterwards")
		s := tr.Stats()
		if s.DroppedHandover < 2*n-maxHanded || s.Migrations != 1 {
			t.Errorf("%d dropped, %d handed over, %d migrations", s.DroppedHandover, s.HandedOver, s.Migrations)
		}
	})
}
