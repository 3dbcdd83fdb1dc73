// SPDX-License-Identifier: MIT

package transport

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/transport/memnet"
)

// What hostile browsers, proxies and slow ones do to a server of WebSockets.

// TestIdleConnectionsKeepNobodyOut: ten thousand connections that ask for
// nothing, and players who come in between.
func TestIdleConnectionsKeepNobodyOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &world{carrier: WebSocket, mem: true, net: memnet.New(1, memnet.Conditions{})}
		h := &hooks{}
		tr := w.start(t, Config{Loops: 2, MaxLinks: 1000}, h)
		addr := tr.Addr(WebSocket)
		early := w.dial(t, tr)
		early.roundTrip("early")
		stages := []string{"", "G", "GET / HTTP/1.1\r\nHost: x\r\nCookie: ", "GET / HTTP/1.1\r\nHost: x\r\n\r"}
		n := 10_000
		if testing.Short() {
			n = 3000
		}
		var idle []*memnet.Conn
		for i := range n {
			if i%(n/10) == n/20 {
				w.dial(t, tr).roundTrip("in between")
			}
			conn, err := w.net.DialTCP(context.Background(), addr)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(conn, stages[i%len(stages)])
			idle = append(idle, conn)
			if i%100 == 0 {
				time.Sleep(time.Millisecond)
				if waiting := tr.Stats().Arriving; waiting > 500 {
					t.Fatalf("%d of them wait, more than half of MaxLinks", waiting)
				}
			}
		}
		time.Sleep(defaultOpeningTimeout + time.Second)
		for _, c := range idle { // without a goroutine each: the race detector takes 8,128
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Fatalf("a connection ended with %v", err)
			}
		}
		s := tr.Stats()
		if s.Arriving != 0 || s.ConnectionsEvicted+s.OpeningTimeouts != uint64(n) || s.ConnectionsEvicted == 0 || s.OpeningTimeouts == 0 {
			t.Errorf("%+v", s)
		}
		if h.opened.Load() != 11 || h.closed.Load() != 0 || s.Carriers["ws"].Open != 11 {
			t.Errorf("%d players came, %d left, %d are open; want 11 and none", h.opened.Load(), h.closed.Load(), s.Carriers["ws"].Open)
		}
		early.roundTrip("still here")
		for _, c := range idle {
			c.Close()
		}
	})
}

// TestIdleConnectionsOnSockets is the same on real ones, as many as this
// process may open: each needs two descriptors here.
func TestIdleConnectionsOnSockets(t *testing.T) {
	n := 10_000
	w := &world{carrier: WebSocket}
	tr := w.start(t, Config{Loops: 2, OpeningTimeout: 3 * time.Second}, &hooks{})
	if limit := tr.below.MaxStreams(); limit > 0 {
		n = min(n, (limit-500)/2)
	}
	if testing.Short() {
		n = min(n, 500)
	}
	early := w.dial(t, tr)
	early.roundTrip("early")
	var idle []net.Conn
	for range n {
		c, err := net.Dial("tcp", tr.Addr(WebSocket).String())
		if err != nil {
			t.Fatalf("after %d: %v", len(idle), err)
		}
		defer c.Close()
		idle = append(idle, c)
	}
	late := w.dial(t, tr)
	late.roundTrip("late")
	for _, c := range idle {
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Read(make([]byte, 1)); errTimeout(err) == err {
			t.Fatal("an idle connection is never closed")
		}
	}
	early.roundTrip("still here")
	late.roundTrip("here too")
	if s := tr.Stats(); s.Arriving != 0 || s.Carriers["ws"].Open != 2 || s.OpeningTimeouts+s.ConnectionsEvicted != uint64(n) || s.AcceptFailures != 0 {
		t.Errorf("%+v", s)
	}
	t.Logf("%d connections", n)
}

// TestSlowRequestsAreCutByTheClock: progress does not buy time.
func TestSlowRequestsAreCutByTheClock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &world{carrier: WebSocket, mem: true, net: memnet.New(1, memnet.Conditions{})}
		tr := w.start(t, Config{}, &hooks{})
		conn, err := w.net.DialTCP(context.Background(), tr.Addr(WebSocket))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var writer sync.WaitGroup
		writer.Go(func() {
			for _, b := range []byte("GET / HTTP/1.1\r\n" + strings.Repeat("X: y\r\n", 1000)) {
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
		if _, err := conn.Read(make([]byte, 1)); err != io.EOF || time.Since(began) != defaultOpeningTimeout {
			t.Errorf("%v after %v, want EOF after %v", err, time.Since(began), defaultOpeningTimeout)
		}
		conn.Close()
		writer.Wait()
	})
}

// TestRefusedPeerThatReadsNothing is gone after the time of an orderly end.
func TestRefusedPeerThatReadsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &world{carrier: WebSocket, mem: true, net: memnet.New(1, memnet.Conditions{})}
		tr := w.start(t, Config{}, &hooks{})
		for range 100 {
			conn, err := w.net.DialTCP(context.Background(), tr.Addr(WebSocket))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, "GET /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		time.Sleep(finishTime / 2)
		if n := tr.Stats().Arriving; n != 100 {
			t.Errorf("%d wait for their peers to close, want 100", n)
		}
		time.Sleep(finishTime)
		if s := tr.Stats(); s.Arriving != 0 || s.RequestsRefused != 100 || s.OpeningTimeouts != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestPingInPiecesIsNoLife: a peer that sends its pings in pieces says no more than one
// that sends them whole: SPEC 7.5.
func TestPingInPiecesIsNoLife(t *testing.T) {
	for name, payload := range map[string]string{"short": "", "long": strings.Repeat("x", 125)} {
		for op, life := range map[byte]bool{ping: false, pong: false, closing_: false, binary_: true} {
			t.Run(fmt.Sprintf("%s %d", name, op), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					w := &world{carrier: WebSocket, mem: true, net: memnet.New(1, memnet.Conditions{})}
					var link *Link
					tr := w.start(t, Config{Loops: 1}, &hooks{open: func(k *Link) { link = k }})
					conn, _ := wsDial(t, w.net, tr.Addr(WebSocket))
					whole := wsRaw(fin|op, payload)
					var opened, last time.Duration
					onLoop(t, tr.Loops()[0], func() { opened = link.LastReceive() })
					for _, b := range whole[:len(whole)-1] {
						time.Sleep(time.Second)
						conn.Write([]byte{b})
					}
					time.Sleep(time.Second)
					onLoop(t, tr.Loops()[0], func() { last = link.LastReceive() })
					if got := last > opened; got != (life && payload != "") {
						t.Errorf("it was last heard %v after it opened", last-opened)
					}
				})
			})
		}
	}
}

// TestRequestsThatWaitedForTheLoop: a loop that stood still for longer than a connection
// may take to ask looks first at what it was asked meanwhile.
func TestRequestsThatWaitedForTheLoop(t *testing.T) {
	const n = 200 // more than share a batch
	h := &hooks{}
	w := &world{carrier: WebSocket}
	tr := w.start(t, Config{Loops: 1, MaxLinks: 4 * n}, h)
	var conns []net.Conn
	for range n {
		c, err := net.Dial("tcp", tr.Addr(WebSocket).String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	eventually(t, "they have come", func() bool { return tr.Stats().Arriving == n })
	onLoop(t, tr.Loops()[0], func() { // which so stands still
		for _, c := range conns {
			if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n"+upgradeHeaders+"\r\n"); err != nil {
				t.Error(err)
			}
		}
		tr.start = tr.start.Add(-defaultOpeningTimeout - time.Second)
	})
	eventually(t, "it has gone on", func() bool { return h.opened.Load()+int64(tr.Stats().OpeningTimeouts) == n })
	if late := tr.Stats().OpeningTimeouts; late != 0 {
		t.Errorf("%d of %d that had asked were closed", late, n)
	}
}

func TestFullServerSaysSo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &world{carrier: WebSocket, mem: true, net: memnet.New(1, memnet.Conditions{})}
		tr := w.start(t, Config{MaxLinks: 2}, &hooks{})
		first, second := w.dial(t, tr), w.dial(t, tr)
		third := w.dial(t, tr)
		if err := third.Conn.(*wsConn).failed; err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("the third was told %v, want 503", err)
		}
		first.Close()
		time.Sleep(time.Second)
		w.dial(t, tr).roundTrip("in its place")
		second.roundTrip("not affected")
		if s := tr.Stats(); s.Carriers["ws"].TooManyLinks != 1 || s.Carriers["ws"].Open != 2 {
			t.Errorf("%+v", s.Carriers["ws"])
		}
	})
}

// TestPeerThatEndsWhilePending leaves nothing behind, whatever it had said.
func TestPeerThatEndsWhilePending(t *testing.T) {
	request := "GET / HTTP/1.1\r\nHost: x\r\n" + upgradeHeaders + "\r\n"
	bubble(t, func(t *testing.T) {
		w := &world{carrier: WebSocket, mem: true, net: memnet.New(1, memnet.Conditions{})}
		h := &hooks{}
		tr := w.start(t, Config{Loops: 2, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, h)
		all := string(proxy2(0x21, 0x11, four...)) + request + string(wsRaw(fin|binary_, say("x")))
		for i := range len(all) {
			conn, err := w.net.DialTCP(context.Background(), tr.Addr(WebSocket))
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(conn, all[:i])
			if i%2 == 0 {
				conn.Reset()
			}
			conn.Close()
		}
		time.Sleep(finishTime + time.Second)
		s := tr.Stats()
		if s.Arriving != 0 || s.Carriers["ws"].Open != 0 || h.opened.Load() != h.closed.Load() || s.Panics != 0 {
			t.Errorf("%d opened, %d closed, %+v", h.opened.Load(), h.closed.Load(), s)
		}
		for _, l := range tr.Loops() {
			onLoop(t, l, func() {
				if l.pending.Len() != 0 || len(l.streams) != 0 {
					t.Errorf("loop %d keeps %d arrivals and %d streams", l.index, l.pending.Len(), len(l.streams))
				}
			})
		}
	})
}

// TestIdleWebSocketIsSmall measures what a connection costs before it asks, and
// after.
func TestIdleWebSocketIsSmall(t *testing.T) {
	const n = 20_000
	l, _ := testLoop(Config{MaxLinks: 2 * n}, &echoHandler{})
	l.t.maxPending = n
	request := []byte("GET / HTTP/1.1\r\nHost: x\r\n" + upgradeHeaders + "\r\n")
	streams := make([]fakeStream, n)
	before := heap()
	var links []streamConn
	for i := range n {
		l.begin()
		links = append(links, l.openStream(WebSocket, &streams[i], netip.MustParseAddrPort("10.0.0.1:1")))
		l.end()
	}
	arrived := heap()
	for i, k := range links {
		streams[i].in = request
		l.begin()
		k.Data(&streams[i])
		l.end()
		streams[i].in = nil
	}
	opened := heap()
	waiting, idle := (arrived-before)/n, (opened-before)/n
	t.Logf("%d bytes before the upgrade, %d after it", waiting, idle)
	if waiting > 500 || idle > 500 {
		t.Errorf("%d bytes before the upgrade and %d after it, want at most 500", waiting, idle)
	}
	runtime.KeepAlive(l)
	runtime.KeepAlive(streams)
	runtime.KeepAlive(links)
}

// TestNonsenseOnWebSockets sends noise, and noise behind a correct beginning, on
// sockets.
func TestNonsenseOnWebSockets(t *testing.T) {
	w := &world{carrier: WebSocket}
	tr := w.start(t, Config{Loops: 2}, &hooks{})
	good := w.dial(t, tr)
	good.roundTrip("before")
	r := rand.New(rand.NewPCG(5, 6))
	noise := func(n int) []byte {
		b := make([]byte, r.IntN(n))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	begin := []byte("GET / HTTP/1.1\r\nHost: x\r\n" + upgradeHeaders + "\r\n")
	for i := range 300 {
		conn, err := net.Dial("tcp", tr.Addr(WebSocket).String())
		if err != nil {
			t.Fatal(err)
		}
		switch i % 4 {
		case 0:
			conn.Write(noise(3000))
		case 1:
			conn.Write(append([]byte("GET "), noise(9000)...))
		case 2:
			conn.Write(append(slices.Clone(begin), noise(3000)...))
		case 3:
			b := append(slices.Clone(begin), wsRaw(fin|binary_, string(noise(3000)))...)
			b[len(begin)+r.IntN(6)] ^= byte(1 << r.IntN(8))
			conn.Write(b)
		}
		if r.IntN(2) == 0 {
			conn.(*net.TCPConn).SetLinger(0)
		}
		conn.Close()
	}
	good.roundTrip("after")
	eventually(t, "only the good one is left", func() bool {
		s := tr.Stats()
		return s.Carriers["ws"].Open == 1 && s.Arriving == 0
	})
	if s := tr.Stats(); s.Panics != 0 || s.ProtocolErrors == 0 || s.RequestsRefused == 0 {
		t.Errorf("%+v", s)
	}
}

// FuzzWebSocket feeds a connection with anything, cut anywhere. Nothing
// panics, and how the bytes are cut changes nothing.
func FuzzWebSocket(f *testing.F) {
	begin := "GET / HTTP/1.1\r\nHost: x\r\n" + upgradeHeaders + "\r\n"
	f.Add([]byte(begin+string(wsRaw(fin|binary_, say("a")))), uint8(7))
	f.Add([]byte(begin+string(slices.Concat(wsRaw(binary_, say("a")[:3]), wsRaw(fin|ping, "x"), wsRaw(fin|contin, say("a")[3:])))), uint8(1))
	f.Add([]byte(begin+string(wsRaw(fin|closing_, closeBody(1000, "x")))), uint8(3))
	f.Add([]byte(string(proxy2(0x21, 0x11, four...))+begin), uint8(50))
	f.Add([]byte("GET / HTTP/1.0\r\n\r\n"), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		outcome := func(size int) string {
			var got []string
			h := &hooks{}
			l, _ := testLoop(Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, MaxBody: 1000}, h)
			h.open = func(k *Link) { got = append(got, k.RemoteAddr().String()) }
			h.close = func(_ *Link, err error) { got = append(got, fmt.Sprint(err)) }
			l.t.maxPending = 10
			s := &fakeStream{}
			l.begin()
			k := l.openStream(WebSocket, s, netip.MustParseAddrPort("10.0.0.1:1"))
			l.end()
			for rest := bytes.Clone(b); len(rest) > 0 && k.base().state&stateClosed == 0; {
				n := min(size, len(rest))
				s.in = append(s.in, rest[:n]...)
				rest = rest[n:]
				l.begin()
				k.Data(s)
				l.end()
			}
			if l.stats.panics.Load() != 0 {
				t.Fatal("panic")
			}
			if k.(*wsLink).partLen() > 2*minMessage {
				t.Fatalf("holds %d bytes", k.(*wsLink).partLen())
			}
			return fmt.Sprint(got, h.packets.Load(), k.base().state&stateClosed != 0)
		}
		whole, pieces := outcome(len(b)+1), outcome(int(cut)+1)
		if whole != pieces {
			t.Errorf("whole: %s, in pieces of %d: %s", whole, int(cut)+1, pieces)
		}
	})
}

// TestRequestsCountAsPartial: connections that have begun to ask for a
// WebSocket hold no more together than links do.
func TestRequestsCountAsPartial(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &world{carrier: WebSocket, mem: true, net: memnet.New(1, memnet.Conditions{})}
		tr := w.start(t, Config{Loops: 1, ReceiveBytes: 20_000}, &hooks{})
		for range 10 {
			conn, err := w.net.DialTCP(context.Background(), tr.Addr(WebSocket))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			_, _ = conn.Write(append([]byte("GET / HTTP/1.1\r\nX: "), make([]byte, 4000)...))
		}
		time.Sleep(time.Second)
		if s := tr.Stats(); s.PartialOverBudget != 6 || s.Arriving != 4 {
			t.Errorf("%d closed, %d wait; want 6 and 4", s.PartialOverBudget, s.Arriving)
		}
	})
}
