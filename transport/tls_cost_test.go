// SPDX-License-Identifier: MIT

package transport

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// tlsEnds are both ends of a connection of a testLoop: its backend.Stream and what a
// client of crypto/tls runs on.
type tlsEnds struct {
	fakeStream
	mu       sync.Mutex
	came     sync.Cond
	up, down []byte // to the server and from it
}

func newTLSEnds() *tlsEnds {
	e := &tlsEnds{}
	e.came.L = &e.mu
	return e
}

func (e *tlsEnds) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = append(e.down, p...)
	e.came.Signal()
	return e.fakeStream.Write(p)
}

// tlsEnd is the client's.
type tlsEnd struct {
	net.Conn // nil
	e        *tlsEnds
}

func (c tlsEnd) Read(p []byte) (int, error) {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	for len(c.e.down) == 0 {
		c.e.came.Wait()
	}
	n := copy(p, c.e.down)
	c.e.down = c.e.down[n:]
	return n, nil
}

func (c tlsEnd) Write(p []byte) (int, error) {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.e.up = append(c.e.up, p...)
	return len(p), nil
}

// wssLink opens a link of a testLoop and returns its client.
func wssLink(t testing.TB, l *Loop, e *tlsEnds) (streamConn, *tls.Conn) {
	t.Helper()
	client := tls.Client(tlsEnd{e: e}, clientTLS())
	done := make(chan error, 1)
	go func() {
		_, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n"+upgradeHeaders+"\r\n")
		if err == nil {
			_, err = client.Read(make([]byte, 1024))
		}
		done <- err
	}()
	l.begin()
	k := l.openStream(WebSocket, e, netip.MustParseAddrPort("10.0.0.1:1"))
	l.end()
	for range 20_000 {
		e.mu.Lock()
		e.in, e.up = append(e.in, e.up...), nil
		e.mu.Unlock()
		l.begin()
		if len(e.in) > 0 {
			k.Data(e)
		}
		l.end()
		select {
		case err := <-done:
			if err != nil || k.base().state&stateOpened == 0 {
				t.Fatalf("no link: %v", err)
			}
			e.in, e.down = nil, nil
			return k, client
		case <-time.After(100 * time.Microsecond):
		}
	}
	t.Fatal("no end of the handshake")
	return nil, nil
}

func tlsLoop() *Loop {
	l, _ := testLoop(Config{TLS: serverTLS(), OpensPerAddress: -1}, &echoHandler{})
	l.t.maxPending = 1
	return l
}

// TestIdleTLSIsBounded measures what TLS costs a player who says little.
func TestIdleTLSIsBounded(t *testing.T) {
	const n = 200
	l := tlsLoop()
	ends := make([]*tlsEnds, n)
	for i := range ends {
		ends[i] = newTLSEnds()
	}
	links := make([]streamConn, n)
	links[0], _ = wssLink(t, l, ends[0])
	before := heap()
	clients := make([]*tls.Conn, n)
	for i := range n - 1 {
		links[1+i], clients[1+i] = wssLink(t, l, ends[1+i])
	}
	both := heap()
	large := wsFrame(ws.OpBinary, true, frame(make([]byte, 60<<10)))
	for i := range n - 1 { // and a large message, which is echoed
		e := ends[1+i]
		if _, err := clients[1+i].Write(large); err != nil {
			t.Fatal(err)
		}
		e.in, e.up = e.up, nil
		l.begin()
		links[1+i].Data(e)
		l.end()
		if e.written < 60<<10 {
			t.Fatal("no echo")
		}
		e.in, e.up, e.down = nil, nil, nil
	}
	grown := (heap() - both) / (n - 1)
	clear(clients)
	each := (heap() - before) / (n - 1)
	t.Logf("%d bytes for an idle link on TLS, %d of them since a large message", each, grown)
	if each-grown > 10<<10 || grown > 40<<10 {
		t.Errorf("%d bytes for an idle link on TLS, %d of them since a large message, want at most 10 and 40 KiB", each, grown)
	}
	runtime.KeepAlive(l)
	runtime.KeepAlive(links)
	runtime.KeepAlive(ends)
}

// echoes seals n batches of ten messages for a server to echo.
func echoes(t testing.TB, client *tls.Conn, e *tlsEnds, n int) (batches [][]byte) {
	t.Helper()
	in := bytes.Repeat(wsFrame(ws.OpBinary, true, frame(bytes.Repeat([]byte("m"), 64))), 10)
	for range n {
		e.up = nil
		if _, err := client.Write(in); err != nil {
			t.Fatal(err)
		}
		batches = append(batches, e.up)
	}
	return batches
}

// TestTLSPathHardlyAllocates: crypto/tls allocates for some of its calls, whatever they
// carry.
func TestTLSPathHardlyAllocates(t *testing.T) {
	l := tlsLoop()
	e := newTLSEnds()
	k, client := wssLink(t, l, e)
	batches := echoes(t, client, e, 102)
	e.down = make([]byte, 0, 1<<20)
	e.written = 0
	at := 0
	run := func() {
		e.in = batches[at]
		at++
		l.begin()
		k.Data(e)
		l.end()
	}
	run()
	got := testing.AllocsPerRun(100, run)
	t.Logf("%v allocations for 10 messages", got)
	if got > 4 && !raceEnabled { // which has pools lose things
		t.Errorf("%v allocations for 10 messages, want at most 4", got)
	}
	if k.base().state&stateClosed != 0 || e.written < 102*10*64 {
		t.Errorf("%d bytes written", e.written)
	}
}

// BenchmarkWSS echoes batches of ten messages, on a WebSocket with TLS and without.
func BenchmarkWSS(b *testing.B) {
	b.Run("tls", func(b *testing.B) {
		l := tlsLoop()
		e := newTLSEnds()
		k, client := wssLink(b, l, e)
		b.ReportAllocs()
		for done := 0; done < b.N; {
			b.StopTimer()
			batches := echoes(b, client, e, min(b.N-done, 1000))
			done += len(batches)
			b.StartTimer()
			for _, batch := range batches {
				e.in, e.down = batch, e.down[:0]
				l.begin()
				k.Data(e)
				l.end()
			}
		}
	})
	b.Run("plain", func(b *testing.B) {
		l, _ := testLoop(Config{}, &echoHandler{})
		l.t.maxPending = 1
		s := &fakeStream{in: []byte("GET / HTTP/1.1\r\nHost: x\r\n" + upgradeHeaders + "\r\n")}
		l.begin()
		k := l.openStream(WebSocket, s, netip.MustParseAddrPort("10.0.0.1:1"))
		k.Data(s)
		l.end()
		in := bytes.Repeat(wsFrame(ws.OpBinary, true, frame(bytes.Repeat([]byte("m"), 64))), 10)
		scratch := make([]byte, len(in))
		b.ReportAllocs()
		for b.Loop() {
			copy(scratch, in) // it is unmasked in place
			s.in = scratch
			l.begin()
			k.Data(s)
			l.end()
		}
	})
}
