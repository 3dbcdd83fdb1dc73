// SPDX-License-Identifier: MIT

package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/kcptest"
	"github.com/lifeline-go/lifeline/transport/memnet"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// moving opens a link of a client whose address can change.
func (w *world) moving(t *testing.T, tr *Transport) (*client, *movingSocket) {
	t.Helper()
	m, err := newMovingSocket(func() (net.PacketConn, error) { return w.net.ListenPacket() })
	if err != nil {
		t.Fatal(err)
	}
	s, err := shake(m, net.UDPAddrFromAddrPort(tr.Addr(KCP)), newInitiator(tr))
	if err != nil {
		t.Fatal(err)
	}
	k := kcptest.Dial(s, s.to, s.link.Conn.ID())
	k.SetMTU(sealedCut)
	t.Cleanup(func() { k.Close(); k.Cut() })
	return &client{t: t, Conn: k, pc: m, sealed: s}, m
}

// TestAMovingPlayerStaysConnected changes the client's address again and
// again while it talks: most new addresses belong to another loop.
func TestAMovingPlayerStaysConnected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const delay = 50 * time.Millisecond
		var at netip.AddrPort
		moves := 0
		h := &hooks{migrate: func(k *Link, from netip.AddrPort) {
			if from == k.RemoteAddr() {
				t.Error("OnMigrate without a change")
			}
			at = k.RemoteAddr()
			moves++
		}}
		w, tr := sealedWorld(t, memnet.Conditions{Delay: delay}, Config{Loops: 4}, h)
		c, m := w.moving(t, tr)
		c.write(beat)
		c.roundTrip("hello")
		const rounds = 20
		var worst time.Duration
		for i := range rounds {
			if err := m.move(); err != nil {
				t.Fatal(err)
			}
			for j := range 10 {
				from := time.Now()
				c.roundTrip(fmt.Sprint(i, "/", j))
				worst = max(worst, time.Since(from))
				time.Sleep(100 * time.Millisecond)
			}
			if m.addr() != at {
				t.Fatalf("move %d: the server uses %v, the client is at %v", i, at, m.addr())
			}
		}
		if limit := 4*delay + 100*time.Millisecond; worst > limit {
			t.Errorf("a gap of %v, want at most %v", worst, limit)
		}
		s := tr.Stats()
		if h.opened.Load() != 1 || h.closed.Load() != 0 || moves != rounds || s.Migrations != rounds {
			t.Errorf("%d links opened, %d closed, %d moves of %d, %d counted", h.opened.Load(), h.closed.Load(), moves, rounds, s.Migrations)
		}
		if s.HandedOver == 0 || s.DroppedHandover != 0 {
			t.Errorf("%d datagrams handed over, %d dropped", s.HandedOver, s.DroppedHandover)
		}
		t.Logf("worst gap %v, %d handed over", worst, s.HandedOver)
	})
}

// TestACopyFromAnotherAddressGainsThreeTimesItsBytes repeats a player's datagram
// from another address, before the original arrives.
func TestACopyFromAnotherAddressGainsThreeTimesItsBytes(t *testing.T) {
	for _, addrs := range [][2]string{{"192.0.2.1", "192.0.2.9"}, {"2001:db8::1", "2001:db8::9"}} {
		bubble(t, func(t *testing.T) {
			copyFromAnotherAddress(t, netip.MustParseAddr(addrs[0]), netip.MustParseAddr(addrs[1]))
		})
	}
}

func copyFromAnotherAddress(t *testing.T, player, other netip.Addr) {
	w, tr := sealedWorld(t, memnet.Conditions{Delay: 10 * time.Millisecond}, Config{Loops: 2}, &hooks{})
	w.net.NextAddr(player)
	c := w.dial(t, tr)
	c.write(beat)
	c.roundTrip("hello")
	w.net.NextAddr(other)
	thief, err := w.net.ListenPacket()
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	in, out := 0, 0
	for i := range 50 {
		// Its own path is faster: seal a datagram, and let only the copy go.
		var stolen []byte
		c.sealed.look(func() {
			b := append(make([]byte, seal.HeaderSize, 100), 0)
			stolen, _ = c.sealed.link.Conn.Seal(b, seal.TypeSealed)
		})
		n, err := thief.WriteTo(stolen, c.sealed.to)
		if err != nil {
			t.Fatal(err)
		}
		in += n
		c.roundTrip(fmt.Sprint("still here ", i))
	}
	thief.SetReadDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 2048)
	for {
		n, _, err := thief.ReadFrom(buf)
		if err != nil {
			break
		}
		out += n
	}
	if out > 3*in {
		t.Errorf("%d bytes for %d", out, in)
	}
	if s := tr.Stats(); s.Migrations != 0 {
		t.Error("the link went with the thief")
	}
	c.roundTrip("to the end")
}

func TestCloseIsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		// Six copies pass nearly any loss: 0.3^6 is less than one in a thousand.
		h := &hooks{packet: func(k *Link, p codec.Packet) {
			if string(p.Body) == "throw me out" {
				k.Close(errors.New("as you wish"))
			}
		}}
		w, tr := sealedWorld(t, memnet.Conditions{Delay: 20 * time.Millisecond}, Config{}, h)
		const players = 200
		var list []*client
		for range players {
			c := w.dial(t, tr)
			c.write(beat)
			list = append(list, c)
		}
		time.Sleep(time.Second)
		for _, c := range list {
			c.write(frame([]byte("throw me out")))
		}
		time.Sleep(45 * time.Millisecond)
		w.net.SetConditions(memnet.Conditions{Delay: 20 * time.Millisecond, Loss: 0.3})
		time.Sleep(time.Second)
		told := 0
		for _, c := range list {
			c.sealed.look(func() {
				if c.sealed.closed || c.sealed.resets > 0 {
					told++
				}
			})
		}
		if told < players-2 {
			t.Errorf("%d of %d were told", told, players)
		}
		if h.closed.Load() != players {
			t.Errorf("%d closed, want %d", h.closed.Load(), players)
		}
		if n := sealedOf(tr.loops[0]).closing; n.due() != Never {
			t.Error("closes remain")
		}
	})
}

func TestAPeerThatClosesIsGoneAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := &hooks{}
		w, tr := sealedWorld(t, memnet.Conditions{Delay: time.Millisecond}, Config{}, h)
		c := w.dial(t, tr)
		c.write(beat)
		c.roundTrip("hello")
		c.sealed.control(seal.Control{Kind: seal.ControlClose})
		if err := h.closedWith(t); err != io.EOF {
			t.Errorf("OnClose(%v), want EOF", err)
		}
		time.Sleep(time.Second)
		c.sealed.look(func() {
			if c.sealed.closed {
				t.Error("a peer that closes is not told so")
			}
		})
	})
}

// TestARestartIsNoticed: the server after a crash knows no link, and says so
// with less than it was sent.
func TestARestartIsNoticed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, tr := sealedWorld(t, memnet.Conditions{Delay: 20 * time.Millisecond}, Config{Loops: 2}, &hooks{})
		c := w.dial(t, tr)
		c.write(beat)
		c.roundTrip("hello")
		addr := tr.Addr(KCP).String()
		w.net.SetConditions(memnet.Conditions{Delay: 20 * time.Millisecond, Loss: 1}) // no close
		stop(t, tr)
		w.net.SetConditions(memnet.Conditions{Delay: 20 * time.Millisecond})
		h := &hooks{}
		second, err := Start(Config{KCP: addr, Network: w.net, Logger: quiet, Loops: 2}, h)
		if err != nil {
			t.Fatal(err)
		}
		defer stop(t, second)
		from := time.Now()
		c.write(frame([]byte("anybody?")))
		eventually(t, "a reset", func() (told bool) {
			c.sealed.look(func() { told = c.sealed.resets > 0 })
			return told
		})
		if took := time.Since(from); took > time.Second {
			t.Errorf("noticed after %v", took)
		}
		if h.opened.Load() != 0 {
			t.Error("a link of the server before lives on")
		}
	})
}

// TestUnreliableFrames go beside the stream, in both directions, and do not
// wait for it.
func TestUnreliableFrames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		datagram := func(s string) []byte {
			return codec.AppendFrame(nil, codec.Header{Kind: codec.Datagram}, []byte(s))
		}
		var numbers []uint64
		h := &hooks{arrived: func(k *Link, p codec.Packet, a Arrival) {
			if p.Kind == codec.Datagram {
				numbers = append(numbers, a.Number)
				if !k.WriteDatagram(codec.AppendFrame(nil, p.Header, p.Body)) {
					t.Error("no unreliable channel")
				}
			}
			if a.Datagram != (p.Kind == codec.Datagram) {
				t.Errorf("%v came as a datagram: %v", p.Kind, a.Datagram)
			}
			if k.WriteDatagram(datagram(string(make([]byte, 1200)))) {
				t.Error("a frame that fits into no datagram was taken")
			}
		}}
		w, tr := sealedWorld(t, memnet.Conditions{Delay: 10 * time.Millisecond}, Config{}, h)
		c := w.dial(t, tr)
		c.write(beat)
		time.Sleep(50 * time.Millisecond)
		var want []byte
		for i := range 5 {
			d := datagram(fmt.Sprint("position ", i))
			want = append(want, d...)
			c.sealed.sendBeside(d)
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond)
		c.sealed.look(func() {
			if !bytes.Equal(c.sealed.beside, want) {
				t.Errorf("came back: %q", c.sealed.beside)
			}
		})
		for i := 1; i < len(numbers); i++ {
			if numbers[i] <= numbers[i-1] {
				t.Errorf("numbers %v do not rise", numbers)
			}
		}
		if len(numbers) != 5 {
			t.Errorf("%d datagrams, want 5", len(numbers))
		}
		// Nothing of it stays with the link.
		onLoop(t, tr.Loops()[0], func() {
			for _, k := range sealedLinksOf(tr.loops[0]) {
				if k.transient != nil {
					t.Error("the link keeps its side")
				}
			}
		})
		// What must not be lost does not belong here.
		c.sealed.sendBeside(frame([]byte("counted")))
		if err := h.closedWith(t); !errors.Is(err, errUnreliable) {
			t.Errorf("OnClose(%v)", err)
		}
	})
}

func TestNobodyPaysForStrangers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := &hooks{}
		w, tr := sealedWorld(t, memnet.Conditions{}, Config{Loops: 2}, h)
		stranger, err := w.net.ListenPacket()
		if err != nil {
			t.Fatal(err)
		}
		defer stranger.Close()
		to := net.UDPAddrFromAddrPort(tr.Addr(KCP))
		in := 0
		for size := range 1300 {
			b := make([]byte, size)
			for i := range b {
				b[i] = byte(size + i*7)
			}
			for _, what := range []byte{0, 1, 2, 3, 4, 5, 0x10, 0x11, 0x1f, 0x51, 0x54, 0xff} {
				if size > 4 {
					b[4] = what
				}
				stranger.WriteTo(b, to)
				in += size
			}
			if size%100 == 0 {
				time.Sleep(10 * time.Millisecond)
			}
		}
		time.Sleep(time.Second)
		buf := make([]byte, 2048)
		out := 0
		stranger.SetReadDeadline(time.Now().Add(time.Second))
		for {
			n, _, err := stranger.ReadFrom(buf)
			if err != nil {
				break
			}
			out += n
		}
		if h.opened.Load() != 0 || out > in/2 {
			t.Errorf("%d links, %d bytes out for %d in", h.opened.Load(), out, in)
		}
		for _, l := range tr.loops {
			if sealedOf(l).slots.used != 0 || sealedOf(l).responder.HalfOpen() != 0 {
				t.Errorf("loop %d: %d slots taken, %d half open", l.index, sealedOf(l).slots.used, sealedOf(l).responder.HalfOpen())
			}
		}
		c := w.dial(t, tr)
		c.write(beat)
		c.roundTrip("a player")
	})
}
