// SPDX-License-Identifier: MIT

package transport

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/kcp"
)

// echoHandler answers without allocating.
type echoHandler struct{ hooks }

func (h *echoHandler) OnOpen(k *Link, nonce [16]byte) {}
func (h *echoHandler) OnWritable(k *Link)             {}
func (h *echoHandler) OnClose(k *Link, err error)     {}
func (h *echoHandler) OnPacket(k *Link, p codec.Packet, a Arrival) {
	k.ValidateAddress()
	if p.Kind == codec.Heartbeat {
		return
	}
	b, _ := k.Loop().Value.([]byte)
	k.Write(codec.AppendFrame(b[:0], p.Header, p.Body))
}
func (h *echoHandler) OnLoop(l *Loop) { l.Value = make([]byte, 0, 4096) }

// echoBench is a server and players that send again what comes back. The
// players share one socket and allocate nothing.
type echoBench struct {
	tb      testing.TB
	tr      *Transport
	conn    *net.UDPConn
	to      netip.AddrPort
	cfg     kcp.Config
	players []kcp.Conn
	start   time.Time
	message []byte
	out     []byte
}

func newEchoBench(tb testing.TB, players int) *echoBench {
	tr, err := Start(Config{PlainKCP: "127.0.0.1:0", Loops: 1, Logger: quiet}, &echoHandler{})
	if err != nil {
		tb.Fatal(err)
	}
	b := &echoBench{tb: tb, tr: tr, to: tr.Addr(PlainKCP), players: make([]kcp.Conn, players), start: time.Now()}
	if b.conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		tb.Fatal(err)
	}
	b.conn.SetReadBuffer(4 << 20)
	tb.Cleanup(func() {
		b.conn.Close()
		tr.Stop(tb.Context())
	})
	b.cfg.Pool = kcp.NewPool(0)
	b.message = frame(bytes.Repeat([]byte("x"), 64))
	b.out = make([]byte, 0, 2048)
	for i := range b.players {
		b.players[i].Init(uint32(i), &b.cfg)
	}
	return b
}

// run sends and receives n messages, one at a time for each player.
func (b *echoBench) run(n int) {
	sent, received := 0, 0
	for i := range b.players {
		if sent < n {
			sent++
			b.players[i].Write(b.message)
			b.flush(&b.players[i])
		}
	}
	buf := make([]byte, 2048)
	for received < n {
		b.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		m, _, err := b.conn.ReadFromUDPAddrPort(buf)
		if err != nil { // something was lost
			for i := range b.players {
				b.flush(&b.players[i])
			}
			if time.Since(b.start) > time.Minute {
				b.tb.Fatal("stuck")
			}
			continue
		}
		conv, ok := kcp.ParseConv(buf[:m])
		if !ok || int(conv) >= len(b.players) {
			b.tb.Fatal("nonsense from the server")
		}
		c := &b.players[conv]
		c.Input(time.Since(b.start), buf[:m])
		for p := c.Peek(); len(p) > 0; p = c.Peek() {
			c.Discard(len(p))
			received++
			if sent < n {
				sent++
				c.Write(b.message)
			}
		}
		b.flush(c)
	}
}

func (b *echoBench) flush(c *kcp.Conn) {
	for {
		d := c.Output(time.Since(b.start), b.out, 1400)
		if len(d) == 0 {
			return
		}
		b.conn.WriteToUDPAddrPort(d, b.to)
	}
}

// BenchmarkEchoSockets includes the client, which costs more than the server.
func BenchmarkEchoSockets(b *testing.B) {
	e := newEchoBench(b, 256)
	e.run(5000)
	b.ReportAllocs()
	b.ResetTimer()
	e.run(b.N)
}
