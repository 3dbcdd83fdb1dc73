// SPDX-License-Identifier: MIT

package transport

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/kcp"
	"github.com/lifeline-go/lifeline/transport/memnet"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// sealedPeer is a player of a testLoop. Its own KCP is ours.
type sealedPeer struct {
	got int // bytes of the stream
	kcp.Conn
	link *seal.Accepted
	addr netip.AddrPort
	buf  []byte
}

// catcher is a backend that keeps what is sent, by destination.
type catcher map[netip.AddrPort][][]byte

func (c catcher) Drain()               {}
func (c catcher) WakeAt(time.Duration) {}
func (c catcher) Send(b *backend.Outbox) bool {
	for ; b.Head < b.N; b.Head++ {
		c[b.To[b.Head]] = append(c[b.To[b.Head]], bytes.Clone(b.Datagram(b.Head)))
	}
	return true
}

// joinSealed opens a sealed link on l.
func joinSealed(l *Loop, i int) *sealedPeer {
	p := &sealedPeer{addr: newPeer(i).addr, buf: make([]byte, 0, 1500)}
	below := l.below
	defer func() { l.below = below }()
	hello := initiatorFor(l)
	for again := true; again; {
		c := catcher{}
		l.below = c
		l.begin()
		sealedOf(l).datagram(path{addr: p.addr}, hello.Hello())
		l.end()
		again = false
		for _, answer := range c[p.addr] {
			if p.link == nil {
				p.link, again, _ = hello.Handle(answer)
			}
		}
	}
	if p.link == nil {
		panic("no answer to the handshake")
	}
	p.Init(p.link.Conn.ID(), &peerConfig)
	p.SetMTU(sealedCut)
	p.Write(beat)
	l.begin()
	p.send(l)
	l.end()
	return p
}

// plain hands l a sealed datagram with that plaintext.
func (p *sealedPeer) plain(l *Loop, t seal.PacketType, plain []byte) {
	b, err := p.link.Conn.Seal(append(p.buf[:seal.HeaderSize], plain...), t)
	if err != nil {
		panic(err)
	}
	sealedOf(l).datagram(path{addr: p.addr}, b)
}

// send hands what p has to say to l.
func (p *sealedPeer) send(l *Loop) {
	for {
		b := seal.AppendPayload(p.buf[:seal.HeaderSize], nil)
		head := len(b)
		if b = p.Output(l.now, b, sealedCut); len(b) == head {
			return
		}
		b, _ = p.link.Conn.Seal(b, seal.TypeSealed)
		sealedOf(l).datagram(path{addr: p.addr}, b)
	}
}

// take opens a datagram of the server and forgets what it says.
func (p *sealedPeer) take(b []byte) {
	o, err := p.link.Conn.Open(b)
	if err != nil {
		panic(err)
	}
	_, segments, err := seal.SplitPayload(o.Plain)
	if err != nil {
		panic(err)
	}
	p.Input(0, segments)
	for b := p.Peek(); len(b) > 0; b = p.Peek() {
		p.got += len(b)
		p.Discard(len(b))
	}
}

// sealedBack gives datagrams to their peers.
type sealedBack map[netip.AddrPort]*sealedPeer

func (f sealedBack) Drain()               {}
func (f sealedBack) WakeAt(time.Duration) {}
func (f sealedBack) Send(b *backend.Outbox) bool {
	for ; b.Head < b.N; b.Head++ {
		f[b.To[b.Head]].take(b.Datagram(b.Head))
	}
	return true
}

// TestSealedLinkFitsItsSizeClass: with the two ciphers of 32 bytes that
// seal's own test counts, an idle sealed link takes 384 bytes.
func TestSealedLinkFitsItsSizeClass(t *testing.T) {
	if got := unsafe.Sizeof(sealedLink{}); got > 320 {
		t.Errorf("a sealed link takes %d bytes, which rounds up to 352 or more", got)
	}
}

func TestSealedHotPathDoesNotAllocate(t *testing.T) {
	l, _ := testLoop(Config{}, &echoHandler{})
	var peers []*sealedPeer
	back := sealedBack{}
	for i := range 32 {
		p := joinSealed(l, i)
		peers = append(peers, p)
		back[p.addr] = p
	}
	l.below = back
	m := frame(bytes.Repeat([]byte("m"), 64))
	d := codec.AppendFrame(nil, codec.Header{Kind: codec.Datagram}, []byte("position"))
	for _, k := range linksOf(l) {
		k.Value = k
	}
	links := linksOf(l)
	run := func() {
		l.begin()
		for i, p := range peers {
			p.Write(m)
			p.send(l)
			links[i].WriteDatagram(d)
		}
		l.end()
	}
	wantNoAllocs(t, l, len(peers), run)
}

// TestOneDatagramHoldsEverything: what a batch has for a link, beside and in
// the stream, leaves in one sealed datagram.
func TestOneDatagramHoldsEverything(t *testing.T) {
	l, _ := testLoop(Config{}, &hooks{})
	p := joinSealed(l, 1)
	c := catcher{}
	l.below = c
	k := linksOf(l)[0]
	l.begin()
	for range 5 {
		k.Write(frame([]byte("in the stream")))
		k.WriteDatagram(codec.AppendFrame(nil, codec.Header{Kind: codec.Datagram}, []byte("beside")))
	}
	l.end()
	if got := len(c[p.addr]); got != 1 {
		t.Fatalf("%d datagrams, want 1", got)
	}
	o, err := p.link.Conn.Open(c[p.addr][0])
	if err != nil {
		t.Fatal(err)
	}
	frames, segments, err := seal.SplitPayload(o.Plain)
	if err != nil || bytes.Count(frames, []byte("beside")) != 5 || bytes.Count(segments, []byte("stream")) != 5 {
		t.Errorf("%q, %q, %v", frames, segments, err)
	}
}

// TestManyUnreliableFramesTakeSeveralDatagrams, none of them too long.
func TestManyUnreliableFramesTakeSeveralDatagrams(t *testing.T) {
	l, _ := testLoop(Config{}, &hooks{})
	p := joinSealed(l, 1)
	c := catcher{}
	l.below = c
	k := linksOf(l)[0]
	sizes := []int{1, 600, 600, 1164, 1, 1165, 300, 300, 300, 300, 300}
	l.begin()
	want := 0
	for _, n := range sizes {
		if k.WriteDatagram(codec.AppendFrame(nil, codec.Header{Kind: codec.Datagram}, make([]byte, n))) {
			want++
		}
	}
	k.Write(frame(make([]byte, 3000)))
	l.end()
	got := 0
	for _, d := range c[p.addr] {
		o, err := p.link.Conn.Open(d)
		if err != nil {
			t.Fatal(err)
		}
		if _, t, _ := seal.Parse(d); t == seal.TypeControl {
			continue // asks whether the path carries more
		}
		if len(d) > seal.MaxDatagram {
			t.Errorf("a datagram of %d bytes", len(d))
		}
		frames, segments, err := seal.SplitPayload(o.Plain)
		if err != nil {
			t.Fatal(err)
		}
		for len(frames) > 0 {
			_, n, err := codec.ParseFrame(frames, 2000)
			if n == 0 || err != nil {
				t.Fatal("not whole frames: ", err)
			}
			frames = frames[n:]
			got++
		}
		p.Input(l.now, segments)
	}
	if got != want || want < len(sizes)-1 {
		t.Errorf("%d frames came, want %d of %d", got, want, len(sizes))
	}
	n := 0
	for b := p.Peek(); len(b) > 0; b = p.Peek() {
		n += len(b)
		p.Discard(len(b))
	}
	if n < 3000 {
		t.Errorf("%d bytes of the stream came", n)
	}
}

func TestHandoverIsBoundedAndShared(t *testing.T) {
	var h handover
	h.seed = maphash.MakeSeed()
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), 1000)
	}
	took, wakes := 0, 0
	b := make([]byte, 100)
	give := func(from netip.AddrPort) bool {
		ok, wake := h.give(path{addr: from}, b)
		if ok {
			took++
		}
		if wake {
			wakes++
		}
		return ok
	}
	for range 2 * maxHanded {
		give(at(1))
	}
	if took != maxHandedShare {
		t.Errorf("one source got %d places, want %d", took, maxHandedShare)
	}
	if !give(at(2)) && !give(at(3)) {
		t.Error("no other network got one")
	}
	for i := range 10_000 {
		give(at(i))
	}
	if took > maxHanded || wakes != 1 {
		t.Errorf("%d wait, %d wake-ups", took, wakes)
	}
	batch := h.take()
	if len(batch.list) != took || len(batch.bytes) != 100*took {
		t.Errorf("%d came out", len(batch.list))
	}
	if len(h.take().list) != 0 {
		t.Error("something came twice")
	}
	b = make([]byte, backend.MaxDatagram)
	took, wakes = 0, 0
	for i := range 10_000 {
		give(at(i))
	}
	if took*len(b) > maxHandedBytes || took < 100 || wakes != 1 {
		t.Errorf("%d bytes wait, %d wake-ups", took*len(b), wakes)
	}
}

// FuzzSealed feeds a loop what a stranger may send to the sealed socket, and
// what a player with the keys may. Nothing may panic, no stranger gets more
// bytes than it sent, and nothing is left when all links have closed.
func FuzzSealed(f *testing.F) {
	seed := func(what byte, piece []byte) []byte {
		return append([]byte{what, byte(len(piece)), byte(len(piece) >> 8)}, piece...)
	}
	inner := newPeer(0)
	inner.Init(1<<24|7, &peerConfig)
	inner.Write(frame([]byte("hello")))
	segments := inner.Output(0, nil, 1100)
	f.Add(seed(1, seal.AppendPayload(nil, beat)))
	f.Add(seed(1, append(seal.AppendPayload(nil, beat), segments...)))
	f.Add(seed(2, seal.Control{Kind: seal.ControlChallenge}.Append(nil, 100)))
	f.Add(append(seed(3, seal.AppendPayload(nil, nil)), seed(2, seal.Control{Kind: seal.ControlResponse}.Append(nil, 0))...))
	f.Add(seed(2, seal.Control{Kind: seal.ControlClose}.Append(nil, 0)))
	f.Add(append(seed(0, make([]byte, seal.HelloSize)), 4, 0, 9))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, _ := testLoop(Config{MaxLinks: 8, MaxBody: 2000}, &echoHandler{})
		p := joinSealed(l, 1)
		stranger := netip.MustParseAddrPort("[fe80::1%2]:2")
		c := catcher{}
		l.below = c
		in := 0
		for len(data) >= 3 {
			what, n := data[0], int(binary.LittleEndian.Uint16(data[1:]))
			n = min(n, len(data)-3)
			piece := bytes.Clone(data[3 : 3+n])
			data = data[3+n:]
			l.begin()
			switch what % 5 {
			case 0:
				in += n
				sealedOf(l).datagram(path{addr: stranger}, piece)
			case 1, 2:
				p.addr = newPeer(1).addr
				p.plain(l, seal.TypeSealed+seal.PacketType(what%5)-1, piece[:min(n, 1400)])
			case 3:
				p.addr = newPeer(2 + n%5).addr
				p.plain(l, seal.TypeSealed, piece[:min(n, 1400)])
			case 4:
				l.t.start = l.t.start.Add(-time.Duration(n) * time.Millisecond)
			}
			l.end()
		}
		out := 0
		for _, d := range c[stranger] {
			out += len(d)
		}
		if out > in {
			t.Fatalf("a stranger got %d bytes for %d", out, in)
		}
		if got := l.stats.panics.Load(); got != 0 {
			t.Fatalf("%d panics", got)
		}
		l.begin()
		l.closeAll(ErrStopped)
		l.end()
		l.t.start = l.t.start.Add(-time.Minute)
		for range 10 {
			l.begin()
			l.end()
			l.t.start = l.t.start.Add(-time.Second)
		}
		s := sealedOf(l)
		if s.slots.used != 0 || s.responder.HalfOpen() != 0 || s.closing.due() != Never || l.t.admission.links.Load() != 0 || len(l.timers.heap) != 0 {
			t.Fatalf("left: %d slots, %d half open, %d links", s.slots.used, s.responder.HalfOpen(), l.t.admission.links.Load())
		}
	})
}

// TestALargerPathPacksMore: a link with much to say finds out what its path
// carries, and falls back when the path becomes narrower.
func TestALargerPathPacksMore(t *testing.T) {
	for _, c := range []struct{ path, want int }{{1200, 1200}, {1300, 1280}, {1400, 1392}, {1500, 1472}} {
		t.Run(fmt.Sprint(c.path), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := &hooks{packet: func(k *Link, p codec.Packet) {
					if p.Kind == codec.Message {
						k.Write(frame(make([]byte, 20_000)))
					}
				}}
				w, tr := sealedWorld(t, memnet.Conditions{Delay: 10 * time.Millisecond, MTU: c.path}, Config{Loops: 1}, h)
				cl := w.dial(t, tr)
				cl.write(beat)
				// Segments of different sizes, so that more of them fit.
				ask := func(n int) (largest int) {
					cl.sealed.look(func() { cl.sealed.largest = 0 })
					for range n {
						cl.write(frame([]byte("more")))
						if p := cl.read(); len(p.Body) != 20_000 {
							t.Fatalf("%d bytes", len(p.Body))
						}
						time.Sleep(300 * time.Millisecond)
					}
					cl.sealed.look(func() { largest = cl.sealed.largest })
					return largest
				}
				ask(60)
				mtu := 0
				onLoop(t, tr.Loops()[0], func() {
					mtu = sealedLinksOf(tr.loops[0])[0].kcp.MTU() - sealedCut + seal.MaxDatagram
				})
				if mtu != c.want {
					t.Errorf("datagrams of %d bytes, want %d", mtu, c.want)
				}
				if got := ask(5); got > c.path {
					t.Errorf("a datagram of %d bytes came over a path for %d", got, c.path)
				}
				// The path becomes narrow: everything still arrives.
				w.net.SetConditions(memnet.Conditions{Delay: 10 * time.Millisecond, MTU: 1200})
				ask(10)
				onLoop(t, tr.Loops()[0], func() {
					if mtu = sealedLinksOf(tr.loops[0])[0].kcp.MTU(); mtu != sealedCut {
						t.Errorf("still packs %d bytes", mtu)
					}
				})
			})
		})
	}
}

// TestNarrowPathOfALinkThatSaysLittle: a path that has become narrow is noticed also if all
// that a link has to say at one moment fits into one datagram of the size from before.
func TestNarrowPathOfALinkThatSaysLittle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := &hooks{packet: func(k *Link, p codec.Packet) {
			if p.Kind == codec.Message {
				k.Write(frame(make([]byte, 20_000)))
			}
		}}
		w, tr := sealedWorld(t, memnet.Conditions{Delay: 10 * time.Millisecond}, Config{Loops: 1}, h)
		cl := w.dial(t, tr)
		cl.write(beat)
		for range 30 {
			cl.write(frame([]byte("more")))
			cl.read()
			time.Sleep(300 * time.Millisecond)
		}
		loop := tr.Loops()[0]
		mtu := func() (n int) {
			onLoop(t, loop, func() { n = sealedLinksOf(loop)[0].kcp.MTU() - sealedCut + seal.MaxDatagram })
			return n
		}
		if n := mtu(); n != 1472 {
			t.Fatalf("datagrams of %d bytes before", n)
		}
		w.net.SetConditions(memnet.Conditions{Delay: 10 * time.Millisecond, MTU: 1200})
		snapshot := codec.AppendFrame(nil, codec.Header{Kind: codec.Datagram}, make([]byte, 900))
		const ticks = 100
		for range ticks {
			onLoop(t, loop, func() {
				k := sealedLinksOf(loop)[0]
				k.WriteDatagram(snapshot)
				k.Write(frame(make([]byte, 300)))
			})
			cl.read()
			time.Sleep(50 * time.Millisecond)
		}
		came := 0
		cl.sealed.look(func() { came = len(cl.sealed.beside) / len(snapshot) })
		if n := mtu(); came < ticks-2*maxFailures || n != seal.MaxDatagram {
			t.Errorf("%d of %d snapshots came, and datagrams are of %d bytes", came, ticks, n)
		}
	})
}

// TestLastWordsToTheSilentAreFew: a player who left without a word and came
// back leaves a link that is read no more. When all of them do so at once
// each datagram to it counts.
func TestLastWordsToTheSilentAreFew(t *testing.T) {
	for _, test := range []struct {
		name  string
		waits bool // something was sent to it before, and not acknowledged
		left  bool
		want  int
		lasts time.Duration
	}{
		{"nothing was on the way", false, false, 2, finishTime},
		{"something was on the way", true, false, 1, 2 * finishUnit},
		{"it has another link", false, true, 1, 2 * finishUnit},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l, _ := testLoop(Config{}, &hooks{})
				p := joinSealed(l, 1)
				k := at(l, p)
				sent := catcher{}
				l.below = sent
				pass := func(d time.Duration) {
					for range d / (10 * time.Millisecond) {
						time.Sleep(10 * time.Millisecond)
						l.begin()
						l.end()
					}
				}
				if test.waits {
					l.begin()
					k.Write(frame([]byte("news")))
					l.end()
					pass(silentTime)
				}
				clear(sent)
				l.begin()
				k.Write(frame([]byte("goodbye")))
				k.finish(0, test.left)
				l.end()
				pass(test.lasts + 50*time.Millisecond)
				if k.state&stateClosed == 0 {
					t.Fatalf("open after %v", test.lasts)
				}
				pass(time.Second)
				if got := len(sent[p.addr]); got != test.want || told(p, sent) {
					t.Errorf("%d datagrams, want %d, and none of them a close", got, test.want)
				}
				// A peer that is there after all learns it from the answer to what it sends.
				clear(sent)
				l.begin()
				p.plain(l, seal.TypeSealed, append(seal.AppendPayload(nil, nil), make([]byte, 24)...))
				l.end()
				if len(sent[p.addr]) != 1 || seal.PacketType(sent[p.addr][0][4]) != seal.TypeReset {
					t.Errorf("answered with %x, want a reset", sent[p.addr])
				}
			})
		})
	}
}

func TestEndedKeysAreBounded(t *testing.T) {
	var o overKeys
	name := func(n int) [16]byte { return [16]byte{byte(n), byte(n >> 8), byte(n >> 16)} }
	for n := range maxOver + 100 {
		o.add(name(n))
		o.add(name(n)) // counts once
	}
	if len(o.known) != maxOver || len(o.order) != maxOver {
		t.Errorf("%d known, %d in order", len(o.known), len(o.order))
	}
	if o.has(name(99)) || !o.has(name(100)) || !o.has(name(maxOver+99)) {
		t.Error("not the latest are remembered")
	}
}
