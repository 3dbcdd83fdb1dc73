// SPDX-License-Identifier: MIT

package transport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	kcpgo "github.com/xtaci/kcp-go/v5"
)

// Everything here uses real sockets and real time.

func TestPortThatIsTakenIsRefused(t *testing.T) {
	for _, c := range []Carrier{TCP, PlainKCP} {
		w := &world{carrier: c}
		tr := w.start(t, Config{Loops: 2}, &hooks{})
		config := func(addr netip.AddrPort) Config {
			if c == TCP {
				return Config{TCP: addr.String(), Logger: quiet}
			}
			return Config{PlainKCP: addr.String(), Logger: quiet}
		}
		// By another Transport, whose sockets share their port among themselves.
		second, err := Start(config(tr.Addr(c)), &hooks{})
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(fmt.Sprint(err), tr.Addr(c).String()) {
			t.Errorf("%v: second server on the port: %v", c, err)
		}
		if second != nil {
			stop(t, second)
		}
		cl := w.dial(t, tr)
		cl.write(beat)
		cl.roundTrip("undisturbed")
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	if _, err := Start(Config{PlainKCP: pc.LocalAddr().String(), Logger: quiet}, &hooks{}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("server on the port of a foreign socket: %v", err)
	}
	for _, bad := range []Config{{TCP: "nonsense"}, {PlainKCP: "127.0.0.1:99999"}, {TCP: "192.0.2.1:0"}, {Loops: -1}, {MaxBody: 1 << 30}} {
		bad.Logger = quiet
		if _, err := Start(bad, &hooks{}); err == nil {
			t.Errorf("Start(%+v) succeeded", bad)
		}
	}
}

// TestOneServerAPort: of servers that start at the same moment one has the ports.
func TestOneServerAPort(t *testing.T) {
	for range 20 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := ln.Addr().String()
		ln.Close()
		var started [4]*Transport
		var starting sync.WaitGroup
		for i := range started {
			starting.Go(func() {
				started[i], _ = Start(Config{TCP: addr, PlainKCP: addr, Logger: quiet, Loops: 2}, &hooks{})
			})
		}
		starting.Wait()
		n := 0
		for _, tr := range started {
			if tr != nil {
				n++
				stop(t, tr)
			}
		}
		if n != 1 {
			t.Fatalf("%d servers have %s", n, addr)
		}
	}
}

func TestRestartOnTheSamePort(t *testing.T) {
	cfg := Config{TCP: "127.0.0.1:0", PlainKCP: "127.0.0.1:0", Logger: quiet, Loops: 2}
	for range 3 {
		tr, err := Start(cfg, &hooks{})
		for end := time.Now().Add(20 * time.Second); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(end); tr, err = Start(cfg, &hooks{}) {
			time.Sleep(50 * time.Millisecond) // another process had any free port, and it was this one
		}
		if err != nil {
			t.Fatal(err)
		}
		cfg.TCP, cfg.PlainKCP = tr.Addr(TCP).String(), tr.Addr(PlainKCP).String()
		for _, c := range []Carrier{TCP, PlainKCP} {
			cl := (&world{carrier: c}).dial(t, tr)
			cl.write(beat)
			cl.roundTrip("hello")
		}
		stop(t, tr) // closes first: the kernel keeps the server's side in TIME_WAIT
	}
}

func TestBothFamiliesOnOnePort(t *testing.T) {
	if ln, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("no IPv6 here")
	} else {
		ln.Close()
	}
	for _, host := range []string{"", "[::]", "[::1]", "0.0.0.0"} {
		addrs := make(chan netip.AddrPort, 10)
		h := &hooks{open: func(k *Link) { addrs <- k.RemoteAddr() }}
		tr, err := Start(Config{TCP: host + ":0", PlainKCP: host + ":0", Logger: quiet, Loops: 2}, h)
		if err != nil {
			t.Fatal(host, err)
		}
		for _, ip := range []string{"127.0.0.1", "::1"} {
			if (host == "[::1]" && ip != "::1") || (host == "0.0.0.0" && ip == "::1") {
				continue
			}
			for _, c := range []Carrier{TCP, PlainKCP} {
				var conn net.Conn
				to := net.JoinHostPort(ip, fmt.Sprint(tr.Addr(c).Port()))
				if c == TCP {
					conn, err = net.Dial("tcp", to)
				} else {
					conn, err = kcpgo.DialWithOptions(to, nil, 0, 0)
				}
				if err != nil {
					t.Fatal(host, c, err)
				}
				cl := &client{Conn: conn, t: t}
				cl.write(beat)
				cl.roundTrip("hello")
				if got := <-addrs; got.Addr().String() != ip {
					t.Errorf("%s: link over %v comes from %v, want %v", host, c, got, ip)
				}
				cl.Close()
			}
		}
		stop(t, tr)
	}
}

func TestLoopsShareThePlayers(t *testing.T) {
	for _, c := range []Carrier{TCP, PlainKCP} {
		var perLoop [4]atomic.Int64
		h := &hooks{open: func(k *Link) { perLoop[k.Loop().Index()].Add(1) }}
		w := &world{carrier: c}
		tr := w.start(t, Config{Loops: 4}, h)
		if len(tr.Loops()) != 4 {
			t.Skip("one loop here")
		}
		for range 60 {
			cl := w.dial(t, tr)
			cl.write(beat)
			cl.roundTrip("hello")
		}
		for i := range perLoop {
			if perLoop[i].Load() == 0 {
				t.Errorf("%v: loop %d serves no link", c, i)
			}
		}
	}
}

// TestNonsenseDatagrams sends what no peer should: every size that UDP has,
// with the beginnings of KCP headers among it.
func TestNonsenseDatagrams(t *testing.T) {
	w := &world{carrier: PlainKCP}
	h := &hooks{}
	tr := w.start(t, Config{Loops: 1, MaxLinks: 100}, h) // one, so that what comes after something shows that it was read
	good := w.dial(t, tr)
	good.write(beat)
	good.roundTrip("before")
	conn, err := net.Dial("udp", tr.Addr(PlainKCP).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, 65507)
	sent := 0
	for round := range 4000 {
		n := r.IntN(1600)
		if round%10 == 0 {
			n = r.IntN(65508)
		}
		if round < 64 {
			n = round
		}
		b := buf[:n]
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if n > 24 && round%2 == 0 { // a KCP header, nearly right
			b[4] = byte(81 + r.IntN(4))
			b[5] = byte(r.IntN(3))
			if round%4 == 0 {
				copy(b[20:], []byte{byte(n - 24), byte((n - 24) >> 8), 0, 0})
				copy(b[12:], make([]byte, 8))
			}
		}
		if _, err := conn.Write(b); err == nil {
			sent++
		}
		if round%100 == 0 { // so that the socket's buffer does not decide what comes in
			good.roundTrip("meanwhile")
		}
	}
	good.roundTrip("after")
	s := tr.Stats()
	if s.Panics != 0 {
		t.Errorf("%d panics", s.Panics)
	}
	if s.DroppedShort == 0 || s.DroppedUnknown == 0 || s.DroppedLarge == 0 {
		t.Errorf("not every fate was counted: %+v", s)
	}
	if s.DatagramsIn < uint64(sent)/2 {
		t.Errorf("%d of %d datagrams counted", s.DatagramsIn, sent)
	}
	t.Logf("%+v", s)
}

func TestNonsenseStreams(t *testing.T) {
	w := &world{carrier: TCP}
	tr := w.start(t, Config{Loops: 2}, &hooks{})
	good := w.dial(t, tr)
	good.roundTrip("before")
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		conn, err := net.Dial("tcp", tr.Addr(TCP).String())
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, r.IntN(3000))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		conn.Write(b)
		if r.IntN(2) == 0 {
			conn.(*net.TCPConn).SetLinger(0) // a reset instead of an end
		}
		conn.Close()
	}
	good.roundTrip("after")
	eventually(t, "only the good one is left", func() bool { return tr.Stats().Carriers["tcp"].Open == 1 })
	if s := tr.Stats(); s.Panics != 0 || s.ProtocolErrors == 0 {
		t.Errorf("%+v", s)
	}
}

// TestUnvalidatedAddressIsNotFlooded counts every byte that goes to a client that
// sends one datagram and then nothing.
func TestUnvalidatedAddressIsNotFlooded(t *testing.T) {
	h := &hooks{open: func(k *Link) {
		for range 20 {
			k.Write(frame(make([]byte, 1000)))
		}
	}}
	h.packet = func(k *Link, p codec.Packet) {}
	h.unvalidated = true
	w := &world{carrier: PlainKCP}
	tr := w.start(t, Config{Loops: 1}, h)
	conn, err := net.Dial("udp", tr.Addr(PlainKCP).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := 0
	capture := kcpgo.NewKCP(77, func(b []byte, n int) { conn.Write(b[:n]); in += n })
	capture.NoDelay(1, 10, 2, 1)
	capture.Send(beat)
	capture.Update()
	out := 0
	buf := make([]byte, 2048)
	for wait := 20 * time.Second; ; wait = 1500 * time.Millisecond { // after the last answer
		conn.SetReadDeadline(time.Now().Add(wait))
		n, err := conn.Read(buf)
		if err != nil {
			break
		}
		out += n
	}
	if in == 0 || out == 0 || out > 3*in {
		t.Errorf("%d bytes in, %d bytes out: want some, and at most three times as many", in, out)
	}
	if tr.Stats().AmplificationLimited == 0 {
		t.Error("nothing counted as over budget")
	}
}

// TestEveryConversationIsALinkOfItsOwn: another conversation from the same
// address does not replace the first.
func TestEveryConversationIsALinkOfItsOwn(t *testing.T) {
	h := &hooks{}
	w := &world{carrier: PlainKCP}
	tr := w.start(t, Config{Loops: 2}, h)
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	to := net.UDPAddrFromAddrPort(tr.Addr(PlainKCP))
	send := func(conv uint32) {
		k := kcpgo.NewKCP(conv, func(b []byte, n int) { pc.WriteTo(b[:n], to) })
		k.NoDelay(1, 10, 2, 1)
		k.Send(beat)
		k.Update()
	}
	send(1)
	send(2)
	eventually(t, "two links", func() bool { return h.packets.Load() == 2 })
	if h.opened.Load() != 2 || h.closed.Load() != 0 {
		t.Errorf("%d opened, %d closed", h.opened.Load(), h.closed.Load())
	}
	// A late copy of what opened a link does not open it again once it closed.
	for _, l := range tr.Loops() {
		onLoop(t, l, func() { l.closeAll(ErrFinished) })
	}
	eventually(t, "closed", func() bool { return h.closed.Load() == 2 })
	send(1)
	send(3)
	eventually(t, "the third", func() bool { return h.opened.Load() == 3 })
	time.Sleep(20 * time.Millisecond)
	if h.opened.Load() != 3 {
		t.Error("a ghost opened a link")
	}
}

func TestServingNothing(t *testing.T) {
	tr, err := Start(Config{Loops: 2, Logger: quiet}, &hooks{})
	if err != nil {
		t.Fatal(err)
	}
	onLoop(t, tr.Loops()[1], func() {})
	if tr.Addr(TCP).IsValid() || tr.Addr(PlainKCP).IsValid() || tr.Addr(99).IsValid() {
		t.Error("an address without a server")
	}
	stop(t, tr)
}

// TestWriteToABrokenConnection: gnet finds out while it writes, and calls
// OnClose from within.
func TestWriteToABrokenConnection(t *testing.T) {
	w := &world{carrier: TCP}
	h := &hooks{}
	tr := w.start(t, Config{Loops: 1}, h)
	good := w.dial(t, tr)
	good.roundTrip("before")
	for i := range 20 {
		var link *Link
		onLoop(t, tr.Loops()[0], func() {
			h.open = func(k *Link) { link = k }
		})
		bad := w.dial(t, tr)
		bad.roundTrip("hello")
		onLoop(t, tr.Loops()[0], func() {
			// The reset arrives while the loop is in this task.
			bad.Conn.(*net.TCPConn).SetLinger(0)
			bad.Close()
			time.Sleep(2 * time.Millisecond)
			link.Write(frame(make([]byte, 1000)))
		})
		eventually(t, "OnClose", func() bool { return h.closed.Load() == int64(i+1) })
	}
	good.roundTrip("after")
	if s := tr.Stats(); s.Carriers["tcp"].Open != 1 || s.Panics != 0 {
		t.Errorf("%+v", s)
	}
}

// TestDatagramSocketsAreKeptApart sends the same bytes to both sockets of each
// loop: only the one that they are meant for takes them.
func TestDatagramSocketsAreKeptApart(t *testing.T) {
	h := &hooks{}
	tr, err := Start(Config{PlainKCP: "127.0.0.1:0", KCP: "127.0.0.1:0", Logger: quiet, Loops: 2}, h)
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, tr)
	for range 4 {
		c := (&world{carrier: PlainKCP}).dial(t, tr)
		c.write(beat)
		c.roundTrip("plain")
		wrong, err := kcpgo.DialWithOptions(tr.Addr(KCP).String(), nil, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer wrong.Close()
		wrong.SetNoDelay(1, 10, 2, 1)
		wrong.Write(beat)
	}
	eventually(t, "the sealed socket has read", func() bool { return tr.Stats().DroppedUnknown+tr.Stats().DroppedMalformed >= 4 })
	if h.opened.Load() != 4 {
		t.Errorf("%d links, want 4", h.opened.Load())
	}
}

// TestConnectionsWakeTheLoop: connections that come to a loop with nothing else to do
// are links at once, however they follow each other.
func TestConnectionsWakeTheLoop(t *testing.T) {
	h := &hooks{}
	w := &world{carrier: TCP}
	tr := w.start(t, Config{Loops: 1}, h)
	const burst = 10
	for n := int64(burst); n <= 300*burst; n += burst {
		var conns [burst]net.Conn
		for i := range conns {
			c, err := net.Dial("tcp", tr.Addr(TCP).String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			conns[i] = c
		}
		eventually(t, "all have their links", func() bool { return h.opened.Load() == n })
		for _, c := range conns {
			_ = c.(*net.TCPConn).SetLinger(0) // so that no ports are kept
			_ = c.Close()
		}
	}
}
