// SPDX-License-Identifier: MIT

package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/kcp"
	"github.com/lifeline-go/lifeline/transport/memnet"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// Threats by a player: what it says is authentic, and still not to be believed.

// segment is one of KCP, as a peer may forge it.
func segment(conv uint32, cmd, frg byte, sn, una uint32, payload []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, conv)
	b = append(b, cmd, frg, 128, 0)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, sn)
	b = binary.LittleEndian.AppendUint32(b, una)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	return append(b, payload...)
}

const (
	kcpPush = 81
	kcpAck  = 82
	kcpAsk  = 83
)

// T5, T20: a peer that says in an authentic datagram what stock KCP never says is a
// broken or a hostile one: its link ends, it is told, and no other notices.
// What a bad network makes of good datagrams is none of it.
func TestThreatPeerThatForgesItsOwnSegments(t *testing.T) {
	const far = 1 << 20
	for _, c := range []struct {
		name string
		say  func(conv uint32) []byte
		want error // nil: the link lives
	}{
		{"una of what was never sent", func(id uint32) []byte { return segment(id, kcpAsk, 0, 0, far, nil) }, kcp.ErrUnsent},
		{"ack of what was never sent", func(id uint32) []byte { return segment(id, kcpAck, 0, far, 0, nil) }, kcp.ErrUnsent},
		{"more fragments than a window holds", func(id uint32) []byte { return segment(id, kcpPush, 255, 1, 0, beat) }, kcp.ErrFragment},
		{"a push without payload", func(id uint32) []byte { return segment(id, kcpPush, 0, 1, 0, nil) }, kcp.ErrEmpty},
		{"an ack with payload", func(id uint32) []byte { return segment(id, kcpAck, 0, 0, 0, beat) }, kcp.ErrTooLarge},
		{"a push beyond any window", func(id uint32) []byte { return segment(id, kcpPush, 0, far, 0, beat) }, kcp.ErrWindow},
		{"another conversation", func(id uint32) []byte { return segment(id+1, kcpPush, 0, 1, 0, beat) }, kcp.ErrConv},
		{"an unknown command", func(id uint32) []byte { return segment(id, 90, 0, 1, 0, beat) }, kcp.ErrCommand},
		{"a header cut short", func(id uint32) []byte { return segment(id, kcpPush, 0, 1, 0, beat)[:20] }, kcp.ErrShort},
		{"a payload cut short", func(id uint32) []byte { return segment(id, kcpPush, 0, 1, 0, make([]byte, 9))[:30] }, kcp.ErrTruncated},
		{"a good segment before a bad one", func(id uint32) []byte {
			return append(segment(id, kcpAck, 0, 0, 1, nil), segment(id, kcpAsk, 0, 0, far, nil)...)
		}, kcp.ErrUnsent},
		{"a push once more", func(id uint32) []byte { return segment(id, kcpPush, 0, 0, 0, beat) }, nil},
		{"a una that went back", func(id uint32) []byte { return segment(id, kcpAsk, 0, 0, 0, nil) }, nil},
		{"a push outside the window", func(id uint32) []byte { return segment(id, kcpPush, 0, 5000, 0, beat) }, nil},
		{"the fragments that stock clients send", func(id uint32) []byte { return segment(id, kcpPush, 127, 1, 0, beat) }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var closed error
			h := &hooks{close: func(_ *Link, err error) { closed = err }}
			l, _ := testLoop(Config{}, h)
			p, other := joinSealed(l, 1), joinSealed(l, 2)
			sent := catcher{}
			l.below = sent
			k := at(l, p)
			l.begin()
			k.Write(frame([]byte("in flight")))
			l.end()
			sent[p.addr] = nil
			l.begin()
			p.plain(l, seal.TypeSealed, append(seal.AppendPayload(nil, nil), c.say(k.conv)...))
			inFlight := k.self.waiting()
			l.end()
			if inFlight == 0 {
				t.Error("what is in flight was taken as acknowledged")
			}
			if alive := k.state&stateClosed == 0; alive != (c.want == nil) || !errors.Is(closed, c.want) {
				t.Errorf("alive %v, closed with %v, want %v", alive, closed, c.want)
			}
			if n := l.stats.protocol.Load(); (n == 1) != (c.want != nil) {
				t.Errorf("%d protocol errors", n)
			}
			if c.want != nil && !told(p, sent) {
				t.Error("the peer was not told")
			}
			if at(l, other).state&stateClosed != 0 || l.stats.panics.Load() != 0 {
				t.Error("another link noticed")
			}
		})
	}
}

// at is the server's side of p.
func at(l *Loop, p *sealedPeer) *Link { return &sealedOf(l).slots.at(p.link.Conn.ID()).k.Link }

// told reports whether p was sent a close.
func told(p *sealedPeer, sent catcher) bool {
	for _, b := range sent[p.addr] {
		if o, err := p.link.Conn.Open(b); err == nil {
			if c, err := seal.ParseControl(o.Plain); err == nil && c.Kind == seal.ControlClose {
				return true
			}
		}
	}
	return false
}

// poolsKeep is what a loop's pools may keep when none needs it: 4 MiB of
// segments, 1 MiB of buffers, and some.
const poolsKeep = 6 << 20

// heap is what lives on it.
func heap() int64 {
	var m runtime.MemStats
	for range 3 { // what pools of other tests hold goes with the second
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// T19: players who begin the largest frame, end it never, and fill their window
// with segments that wait for one that never comes, hold what section 4 says
// and no more, however much they go on sending. Closing gives it back.
func TestThreatFragmentsAndGapsAreBounded(t *testing.T) {
	players := 120
	if testing.Short() {
		players = 40
	}
	l, _ := testLoop(Config{}, &hooks{})
	list := make([]*sealedPeer, players)
	for i := range list {
		list[i] = joinSealed(l, i)
	}
	piece := make([]byte, kcp.MaxPayload)
	say := func(p *sealedPeer, sn uint32, payload []byte) {
		b := seal.AppendPayload(nil, nil)
		p.plain(l, seal.TypeSealed, append(b, segment(p.link.Conn.ID(), kcpPush, 0, sn, 0, payload)...))
	}
	before := heap()
	largest := codec.AppendFrame(nil, codec.Header{Kind: codec.Message}, make([]byte, codec.DefaultMaxBody))
	for _, p := range list {
		l.begin()
		sn := uint32(1) // after the first heartbeat
		for b := largest[:len(largest)-1]; len(b) > 0; sn++ {
			n := min(len(b), 1000)
			say(p, sn, b[:n])
			b = b[n:]
		}
		for i := range uint32(400) { // more than the window, twice each
			say(p, sn+1+i/2, piece)
		}
		l.end()
	}
	links := linksOf(l)
	if len(links) != players || l.stats.protocol.Load() != 0 {
		t.Fatalf("%d links, %d protocol errors", len(links), l.stats.protocol.Load())
	}
	if h := &l.partials; len(h.at) != players || h.bytes < players*100<<10 {
		t.Errorf("%d links are counted with %d bytes", len(h.at), h.bytes)
	}
	held := (heap() - before) / int64(players)
	const window = 128 * (kcp.MaxPayload + 128)                // segments and what is around their bytes
	if limit := int64(window + 2*len(largest)); held > limit { // buffers double
		t.Errorf("%d bytes a player, want at most %d", held, limit)
	}
	if held < window/2 {
		t.Errorf("%d bytes a player: this fills no window", held)
	}
	l.begin()
	l.closeAll(ErrStopped)
	l.end()
	if h := &l.partials; len(h.at) != 0 || h.bytes != 0 || h.order.Len() != 0 {
		t.Errorf("%d links are counted with %d bytes after all were closed", len(h.at), h.bytes)
	}
	kept := heap() - before
	if kept > poolsKeep {
		t.Errorf("%d bytes are kept of %d", kept, held*int64(players))
	}
	t.Logf("%d bytes a player, %d kept by the loop afterwards", held, kept)
	runtime.KeepAlive(list)
}

// T19: many links that begin a largest frame and do not end it are bounded
// together, on every carrier. Those that waited longest go; a link that ends its
// frame in time is answered.
func TestPartialFramesAreBoundedTogether(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		if w.carrier == SealedTCP {
			return // TestPartialRecordsAreBoundedTogether
		}
		const players, limit = 30, 1 << 20
		h := &hooks{}
		tr := w.start(t, Config{Loops: 1, ReceiveBytes: limit}, h)
		body := make([]byte, 60_000)
		f := frame(body)
		begin := func() *client {
			c := w.dial(t, tr)
			c.write(beat)
			c.write(f[:len(f)-1])
			return c
		}
		gone := func() int { return int(h.closed.Load()) }
		arrived := func(n int) {
			eventually(t, fmt.Sprint(n, " have arrived, and the first are closed"), func() (done bool) {
				onLoop(t, tr.loops[0], func() {
					h := &tr.loops[0].partials
					if h.bytes > limit {
						t.Errorf("%d links hold %d bytes", len(h.at), h.bytes)
					}
					done = len(h.at)+gone() == n && gone() >= n-limit/len(f)-1
				})
				return done
			})
		}
		for range players - 1 {
			begin()
		}
		arrived(players - 1) // in any order
		last := begin()
		arrived(players)
		last.write(f[len(f)-1:])
		if p := last.read(); !bytes.Equal(p.Body, body) {
			t.Errorf("the echo has %d bytes", len(p.Body))
		}
		last.roundTrip("still here")
		if n := tr.Stats().PartialOverBudget; n < players/4 || n > players-2 {
			t.Errorf("%d of %d were closed", n, players)
		}
	})
}

// T18: players who acknowledge nothing, some with a window that they call shut,
// hold what may wait in a link and no more, until the time without progress is
// over. A peer that acknowledges is answered all the while.
func TestThreatWhoAcknowledgesNothingIsBoundedAndEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		players := 200
		if testing.Short() {
			players = 30
		}
		stalled := 0
		h := &echoHandler{}
		l, _ := testLoop(Config{}, &stallHandler{echoHandler: h, stalled: &stalled})
		honest := joinSealed(l, players)
		back := sealedBack{honest.addr: honest}
		list := make([]*sealedPeer, players)
		for i := range list {
			list[i] = joinSealed(l, i)
		}
		l.below = someBack{back}
		for _, k := range linksOf(l) {
			k.ValidateAddress()
		}
		m := frame(make([]byte, 1000))
		before := heap()
		l.begin()
		for i, p := range list {
			for k := at(l, p); k.Available() >= len(m); {
				k.Write(m)
			}
			if i%2 == 0 {
				shut := segment(p.link.Conn.ID(), kcpAsk, 0, 0, 0, nil)
				shut[6] = 0
				p.plain(l, seal.TypeSealed, append(seal.AppendPayload(nil, nil), shut...))
			}
		}
		l.end()
		held := (heap() - before) / int64(players)
		if limit := int64(2 * (defaultSendBuffer + codec.DefaultMaxBody)); held > limit || held < defaultSendBuffer/2 {
			t.Errorf("%d bytes a player, want at most %d", held, limit)
		}
		for range 80 * 4 { // KCP's stall timeout is a minute
			time.Sleep(250 * time.Millisecond)
			packets := l.stats.packets
			l.begin()
			honest.Write(frame([]byte("still here?")))
			honest.send(l)
			l.end()
			if l.stats.packets != packets+1 {
				t.Fatal("a peer that acknowledges was not answered")
			}
		}
		if links := linksOf(l); stalled != players || len(links) != 1 || links[0] != at(l, honest) {
			t.Errorf("%d of %d have ended, %d links", stalled, players, len(links))
		}
		if kept := heap() - before; kept > poolsKeep {
			t.Errorf("%d bytes are kept of %d", kept, held*int64(players))
		}
		t.Logf("%d bytes a player", held)
		runtime.KeepAlive(list)
	})
}

// stallHandler counts the links that end for want of progress.
type stallHandler struct {
	*echoHandler
	stalled *int
}

func (h *stallHandler) OnClose(_ *Link, err error) {
	if errors.Is(err, kcp.ErrStalled) {
		*h.stalled++
	}
}

// someBack gives datagrams to those who listen.
type someBack struct{ sealedBack }

func (f someBack) Send(b *backend.Outbox) bool {
	for ; b.Head < b.N; b.Head++ {
		if p := f.sealedBack[b.To[b.Head]]; p != nil {
			p.take(b.Datagram(b.Head))
		}
	}
	return true
}

// TestStockPeerOnABadNetworkIsNotTakenForHostile: loss, copies, reordering and
// a new address now and then make nothing of stock KCP that ends its link.
func TestStockPeerOnABadNetworkIsNotTakenForHostile(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := &hooks{packet: func(k *Link, p codec.Packet) {
			if p.Kind == codec.Message {
				k.Write(codec.AppendFrame(nil, p.Header, p.Body))
			}
		}}
		w, tr := sealedWorld(t, memnet.Conditions{
			Delay: 30 * time.Millisecond, Jitter: 40 * time.Millisecond, Loss: 0.1, Duplicate: 0.1, Reorder: 0.2,
		}, Config{Loops: 2}, h)
		c, m := w.moving(t, tr)
		c.write(beat)
		for i := range 60 {
			if i%15 == 14 {
				if err := m.move(); err != nil {
					t.Fatal(err)
				}
			}
			body := make([]byte, 1+i*500) // up to 26 segments
			c.write(frame(body))
			if p := c.read(); len(p.Body) != len(body) {
				t.Fatalf("%d bytes came back of %d", len(p.Body), len(body))
			}
		}
		if s := tr.Stats(); s.ProtocolErrors != 0 || s.DroppedMalformed != 0 || h.closed.Load() != 0 {
			t.Errorf("%d protocol errors, %d malformed, %d closed", s.ProtocolErrors, s.DroppedMalformed, h.closed.Load())
		}
	})
}
