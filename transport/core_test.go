// SPDX-License-Identifier: MIT

package transport

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/kcp"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// fakeBelow is a backend without a network.
type fakeBelow struct {
	sent []string // destinations and bytes, in order
	keep bool     // remember them
	take int      // how many datagrams the socket takes before it is full; < 0: all
}

func (f *fakeBelow) Drain()               {}
func (f *fakeBelow) WakeAt(time.Duration) {}
func (f *fakeBelow) Send(b *backend.Outbox) bool {
	for ; b.Head < b.N; b.Head++ {
		if f.take == 0 {
			return false
		}
		f.take--
		if f.keep {
			f.sent = append(f.sent, fmt.Sprintf("%v %x", b.To[b.Head], b.Datagram(b.Head)))
		}
	}
	return true
}

// testLoop returns a loop that the test drives itself.
func testLoop(cfg Config, h Handler) (*Loop, *fakeBelow) {
	cfg.Logger, cfg.PlainKCP, cfg.KCP, cfg.TCP, cfg.WebSocket = quiet, "test", "test", "test", "test"
	cfg.Network = memnet.New(0, memnet.Conditions{}) // nothing is on it
	tr := &Transport{shared: shared{cfg: cfg, log: quiet, start: clock()}}
	f := &fakeBelow{take: -1}
	l := newLoop(&tr.shared, h, 0)
	l.below = f
	tr.admission.init(&tr.cfg)
	tr.loops = []*Loop{l}
	tr.maxUnvalidated = unvalidatedShare(&tr.cfg, 1)
	if err := serve(&tr.shared); err != nil {
		panic(err)
	}
	l.boot()
	return l, f
}

// peer is a player of a testLoop.
type peer struct {
	kcp.Conn
	addr netip.AddrPort
	buf  []byte
}

var peerConfig = kcp.Config{Pool: kcp.NewPool(0)}

func newPeer(i int) *peer {
	p := &peer{addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 4000)}
	p.Init(uint32(i), &peerConfig)
	p.buf = make([]byte, 0, 1500)
	return p
}

// send hands what p has to say to l.
func (p *peer) send(l *Loop) {
	for {
		b := p.Output(l.now, p.buf, 1400)
		if len(b) == 0 {
			return
		}
		plainOf(l).datagram(path{addr: p.addr}, b)
	}
}

func TestBlockedSocketKeepsOrderAndLosesNothing(t *testing.T) {
	l, f := testLoop(Config{}, &echoHandler{})
	f.keep = true
	f.take = 10
	const players = 300 // more than the outbox holds
	var peers []*peer
	l.begin()
	for i := range players {
		p := newPeer(i)
		p.Write(frame([]byte{byte(i)}))
		p.send(l)
		peers = append(peers, p)
	}
	l.end()
	if len(f.sent) != 10 || len(l.dirty) == 0 {
		t.Fatalf("%d sent and %d links wait; want 10 and some", len(f.sent), len(l.dirty))
	}
	if l.timers.armed == Never || l.timers.armed-l.now > maxRetry {
		t.Errorf("next try in %v", l.timers.armed-l.now)
	}
	for round := 0; len(f.sent) < players && round < 100; round++ {
		f.take = 7
		if round > 20 {
			f.take = 90
		}
		l.begin()
		l.end()
	}
	if len(f.sent) != players {
		t.Fatalf("%d datagrams sent, want %d", len(f.sent), players)
	}
	for i, s := range f.sent {
		if !strings.HasPrefix(s, peers[i].addr.String()+" ") {
			t.Fatalf("datagram %d went to %s, want %v", i, s[:20], peers[i].addr)
		}
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	l, _ := testLoop(Config{}, &echoHandler{})
	peers := make([]*peer, 64)
	answers := make(map[netip.AddrPort]*peer)
	for i := range peers {
		peers[i] = newPeer(i)
		answers[peers[i].addr] = peers[i]
	}
	l.below = &loopBack{answers: answers}
	m := frame(bytes.Repeat([]byte("m"), 64))
	run := func() {
		l.begin()
		for _, p := range peers {
			p.Write(m)
			p.send(l)
		}
		l.end()
	}
	wantNoAllocs(t, l, len(peers), run)
}

// wantNoAllocs runs what makes so many packets arrive.
func wantNoAllocs(t *testing.T, l *Loop, packets int, run func()) {
	t.Helper()
	for range 10 {
		run()
	}
	if got := testing.AllocsPerRun(100, run); got != 0 {
		t.Errorf("%v allocations for %d messages", got, packets)
	}
	if want := uint64(110 * packets); l.stats.packets < want {
		t.Errorf("%d packets arrived, want %d", l.stats.packets, want)
	}
}

// loopBack gives datagrams to their peers, which acknowledge nothing but
// forget what they read.
type loopBack struct{ answers map[netip.AddrPort]*peer }

func (f *loopBack) Drain()               {}
func (f *loopBack) WakeAt(time.Duration) {}
func (f *loopBack) Send(b *backend.Outbox) bool {
	for ; b.Head < b.N; b.Head++ {
		p := f.answers[b.To[b.Head]]
		p.Input(0, b.Datagram(b.Head))
		p.Discard(1 << 20)
	}
	return true
}

// fakeStream is a connection that takes everything.
type fakeStream struct {
	in      []byte
	written int
}

func (s *fakeStream) Write(p []byte) (int, error) { s.written += len(p); return len(p), nil }
func (s *fakeStream) OutboundBuffered() int       { return 0 }
func (s *fakeStream) CloseWrite() bool            { return true }
func (s *fakeStream) RTT() time.Duration          { return 0 }
func (s *fakeStream) End()                        {}
func (s *fakeStream) InboundBuffered() int        { return len(s.in) }
func (s *fakeStream) Peek(n int) ([]byte, error)  { return s.in[:n], nil }
func (s *fakeStream) Discard(n int) (int, error)  { s.in = s.in[n:]; return n, nil }

func TestStreamPathDoesNotAllocate(t *testing.T) {
	l, _ := testLoop(Config{}, &echoHandler{})
	s := &fakeStream{}
	l.begin()
	k := l.openStream(TCP, s, netip.MustParseAddrPort("10.0.0.1:1"))
	l.end()
	in := bytes.Repeat(frame(bytes.Repeat([]byte("m"), 64)), 10)
	run := func() {
		s.in = in
		l.begin()
		k.Data(s)
		l.end()
	}
	run()
	if got := testing.AllocsPerRun(100, run); got != 0 {
		t.Errorf("%v allocations for 10 messages", got)
	}
	if s.written != 102*len(in) {
		t.Errorf("%d bytes written, want %d", s.written, 102*len(in))
	}
}

type noTask struct{}

func (*noTask) Run(*Loop) {}

func TestPostDoesNotAllocate(t *testing.T) {
	l, _ := testLoop(Config{}, &echoHandler{})
	task := new(noTask)
	run := func() {
		for range 100 {
			l.Post(task)
		}
		l.begin()
		l.end()
	}
	run()
	run()
	if got := testing.AllocsPerRun(100, run); got != 0 {
		t.Errorf("%v allocations for 100 tasks", got)
	}
}

// TestIdleLinkIsSmall measures what a link costs that has opened and is silent.
func TestIdleLinkIsSmall(t *testing.T) {
	t.Logf("Link %d, plain-KCP link %d, TCP link %d bytes",
		unsafe.Sizeof(Link{}), unsafe.Sizeof(plainLink{}), unsafe.Sizeof(tcpLink{}))
	const n = 50_000
	l, _ := testLoop(Config{MaxLinks: 2 * n}, &echoHandler{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p := newPeer(0)
	for i := range n {
		p.addr = newPeer(i).addr
		p.Init(uint32(i), &peerConfig)
		p.Write(beat)
		l.begin()
		p.send(l)
		l.end()
		p.Release()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := float64(after.HeapAlloc-before.HeapAlloc) / n
	t.Logf("%.0f bytes for each of %d idle links", per, len(plainOf(l).table))
	if len(plainOf(l).table) != n || per > 500 {
		t.Errorf("%d links of %.0f bytes, want %d of at most 500", len(plainOf(l).table), per, n)
	}
	runtime.KeepAlive(l)
}

func TestTimerHeap(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var h timers
	h.init()
	at := map[*Link]time.Duration{}
	var links []*Link
	for range 200 {
		links = append(links, &Link{})
	}
	for step := range 20_000 {
		k := links[r.IntN(len(links))]
		switch r.IntN(3) {
		case 0:
			h.remove(k)
			delete(at, k)
		default:
			when := time.Duration(r.IntN(1000))
			h.schedule(k, when)
			if old, ok := at[k]; !ok || when < old { // lazy: never later
				at[k] = when
			}
		}
		if len(h.heap) != len(at) {
			t.Fatalf("step %d: %d entries, want %d", step, len(h.heap), len(at))
		}
		least := Never
		for _, d := range at {
			least = min(least, d)
		}
		if len(at) > 0 && h.heap[0].at != least {
			t.Fatalf("step %d: first is at %d, want %d", step, h.heap[0].at, least)
		}
	}
	for i, e := range h.heap {
		if e.k.heapAt != int32(i+1) || e.at != at[e.k] {
			t.Fatal("an entry does not know its place")
		}
	}
}

func TestLatenessRaisesTimeoutsAndFades(t *testing.T) {
	var s lateness
	s.init()
	s.sample(time.Second, 3*time.Millisecond)
	if got := s.extra(time.Second); got != 0 {
		t.Errorf("3ms late adds %v, want nothing", got)
	}
	s.sample(time.Second, 80*time.Millisecond)
	if got := s.extra(time.Second); got != 80*time.Millisecond {
		t.Errorf("80ms late adds %v", got)
	}
	if got := s.extra(time.Second + lateHalf); got != 40*time.Millisecond {
		t.Errorf("after its half-life: %v, want 40ms", got)
	}
	if got := s.extra(10 * time.Second); got != 0 {
		t.Errorf("after 9s: %v", got)
	}
	s.sample(20*time.Second, 10*time.Second)
	if got := s.extra(20 * time.Second); got != maxExtra {
		t.Errorf("10s late adds %v, want %v", got, maxExtra)
	}
	// A socket that is never empty is lateness too.
	l, _ := testLoop(Config{}, &echoHandler{})
	l.now = time.Second
	l.lateness.received(l.now, KCP, false)
	l.now += 60 * time.Millisecond
	l.lateness.received(l.now, KCP, false)
	if got := l.Lateness(); got != 60*time.Millisecond {
		t.Errorf("busy for 60ms adds %v", got)
	}
	l.lateness.received(l.now, KCP, true)
	if got := l.Lateness(); got != 0 {
		t.Errorf("empty socket adds %v", got)
	}
}

// TestBusySocketBesideAnEmptyOne: a socket that is never empty is lateness also where
// another one of the loop is.
func TestBusySocketBesideAnEmptyOne(t *testing.T) {
	l, _ := testLoop(Config{}, &echoHandler{})
	l.now = time.Second
	for range 7 {
		(*sink)(l).Received(&backend.Inbox{Listener: int(PlainKCP)})
		(*sink)(l).Received(&backend.Inbox{Listener: int(KCP), More: true})
		l.now += 10 * time.Millisecond
	}
	(*sink)(l).Received(&backend.Inbox{Listener: int(PlainKCP)})
	if got := l.Lateness(); got != 70*time.Millisecond {
		t.Errorf("busy for 70ms adds %v", got)
	}
	(*sink)(l).Received(&backend.Inbox{Listener: int(KCP)})
	if got := l.Lateness(); got != 0 {
		t.Errorf("empty sockets add %v", got)
	}
}

// TestStallIsNotAStorm: after the loop slept, not everything is resent at once.
func TestStallIsNotAStorm(t *testing.T) {
	l, f := testLoop(Config{}, &hooks{open: func(k *Link) { k.ValidateAddress(); k.Write(beat) }})
	f.keep = true
	const n = 4 * maxDue
	for i := range n {
		p := newPeer(i)
		p.Write(beat)
		l.begin()
		p.send(l)
		l.end()
	}
	f.sent = nil
	l.t.start = l.t.start.Add(-time.Second) // every timeout has passed
	l.timers.armed = Never                  // so has the timer
	l.begin()
	l.end()
	if len(f.sent) == 0 || len(f.sent) > maxDue {
		t.Errorf("%d datagrams resent in one batch, want 1 to %d", len(f.sent), maxDue)
	}
	if wait := l.timers.armed - l.now; wait <= 0 || wait > dueSpread {
		t.Errorf("the others follow after %v", wait)
	}
	for range 4 {
		l.begin()
		l.end()
	}
	if len(f.sent) < n {
		t.Errorf("%d of %d resent", len(f.sent), n)
	}
}

func TestUnvalidatedAddressIsSentNothingUnasked(t *testing.T) {
	l, f := testLoop(Config{}, &hooks{unvalidated: true, open: func(k *Link) { k.Write(beat) }})
	f.keep = true
	p := newPeer(1)
	p.Write(beat)
	batch := func(feed func()) []string {
		f.sent = nil
		l.begin()
		feed()
		l.end()
		return f.sent
	}
	if sent := batch(func() { p.send(l) }); len(sent) != 1 {
		t.Fatalf("%d datagrams answer the first, want 1", len(sent))
	}
	l.t.start = l.t.start.Add(-time.Second) // every timeout has passed
	if sent := batch(func() {}); len(sent) != 0 {
		t.Errorf("%d datagrams to a peer that does not ask again: %v", len(sent), sent)
	}
	if sent := batch(func() { p.send(l) }); len(sent) != 1 {
		t.Errorf("%d datagrams to a peer that asks again, want 1", len(sent))
	}
	for _, k := range plainOf(l).table {
		k.ValidateAddress()
	}
	if batch(func() {}); l.timers.armed == Never {
		t.Error("no timeout runs for a proved address")
	}
}

func TestRecentlyClosedIsBounded(t *testing.T) {
	var g recentlyClosed[plainKey]
	key := func(i int) plainKey { return plainKey{conv: uint32(i)} }
	for i := range 3 * maxRecent {
		g.add(key(i), 0)
		g.add(key(7), 0) // again and again
	}
	if len(g.until) > maxRecent {
		t.Errorf("%d recently closed, want at most %d", len(g.until), maxRecent)
	}
	last := key(3*maxRecent - 1)
	if !g.has(last, recentTime-1) || g.has(last, recentTime) || g.has(key(0), 0) {
		t.Error("the wrong ones are remembered")
	}
}

func TestBufPool(t *testing.T) {
	var p bufPool
	r := rand.New(rand.NewPCG(7, 8))
	for range 2000 {
		var b, want []byte
		for range r.IntN(6) {
			piece := make([]byte, r.IntN(3000))
			for i := range piece {
				piece[i] = byte(r.Uint32())
			}
			b = p.append(b, piece)
			want = append(want, piece...)
		}
		if !bytes.Equal(b, want) {
			t.Fatal("append differs")
		}
		p.put(b)
		if p.held > keepBytes {
			t.Fatalf("pool holds %d bytes", p.held)
		}
	}
	p.put(make([]byte, 0, 1000)) // not ours: no power of two
	p.put(nil)
	huge := p.get(1<<maxBufBits + 1)
	p.put(huge)
}

// TestFramesAcrossSegments cuts a stream of frames at random places, as
// segments do.
func TestFramesAcrossSegments(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for range 200 {
		var got [][]byte
		h := &hooks{packet: func(k *Link, p codec.Packet) { got = append(got, bytes.Clone(p.Body)) }}
		l, _ := testLoop(Config{}, h)
		p := newPeer(1)
		p.Write(beat)
		var want [][]byte
		want = append(want, nil)
		var stream []byte
		for range 1 + r.IntN(20) {
			body := make([]byte, 1+r.IntN(1+r.IntN(4000)))
			for i := range body {
				body[i] = byte(r.Uint32())
			}
			want = append(want, body)
			stream = append(stream, frame(body)...)
		}
		l.begin()
		p.send(l)
		l.end()
		for len(stream) > 0 {
			n := min(1+r.IntN(1+r.IntN(1100)), len(stream))
			p.Write(stream[:n])
			stream = stream[n:]
			l.begin()
			p.send(l)
			l.below = &loopBack{answers: map[netip.AddrPort]*peer{p.addr: p}}
			l.end()
		}
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Fatalf("%d frames arrived, want %d", len(got), len(want))
		}
	}
}
