// SPDX-License-Identifier: MIT

package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/kcptest"
	"github.com/lifeline-go/lifeline/transport/memnet"
	kcpgo "github.com/xtaci/kcp-go/v5"
)

func TestMain(m *testing.M) {
	if os.Getenv(lowLimitEnv) != "" {
		lowLimitMain()
		return
	}
	before := runtime.NumGoroutine() // kcp-go and gnet's pool start some at import
	code := m.Run()
	if code == 0 && !settled(before) {
		buf := make([]byte, 1<<20)
		fmt.Printf("goroutines leaked:\n%s\n", buf[:runtime.Stack(buf, true)])
		code = 1
	}
	os.Exit(code)
}

// settled waits until no more than n goroutines run. Neither the workers of
// gnet's pool count, which end by themselves after some idle seconds, nor the
// one that waits for signals when go test is fuzzing.
func settled(n int) bool {
	for range 2000 {
		if runtime.NumGoroutine() <= n {
			return true
		}
		buf := make([]byte, 1<<20)
		stacks := string(buf[:runtime.Stack(buf, true)])
		others := strings.Count(stacks, "ants/v2.(*goWorker)") + strings.Count(stacks, "os/signal.loop()")
		if runtime.NumGoroutine()-others <= n {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// world is a carrier under test, on sockets or in memory.
type world struct {
	name    string
	carrier Carrier
	mem     bool
	tls     bool // of a WebSocket
	net     *memnet.Network
}

// worlds runs test on every carrier, in memory under synctest.
func worlds(t *testing.T, test func(t *testing.T, w *world)) {
	for _, w := range []world{
		{name: "tcp", carrier: TCP},
		{name: "plain-kcp", carrier: PlainKCP},
		{name: "ws", carrier: WebSocket},
		{name: "kcp", carrier: KCP},
		{name: "stcp", carrier: SealedTCP},
		{name: "mem-tcp", carrier: TCP, mem: true},
		{name: "mem-plain-kcp", carrier: PlainKCP, mem: true},
		{name: "mem-kcp", carrier: KCP, mem: true},
		{name: "mem-ws", carrier: WebSocket, mem: true},
		{name: "mem-stcp", carrier: SealedTCP, mem: true},
		{name: "wss", carrier: WebSocket, tls: true},
		{name: "mem-wss", carrier: WebSocket, tls: true, mem: true},
	} {
		t.Run(w.name, func(t *testing.T) {
			if !w.mem {
				test(t, &w)
				return
			}
			bubble(t, func(t *testing.T) {
				w.net = memnet.New(1, memnet.Conditions{Delay: 5 * time.Millisecond})
				test(t, &w)
			})
		})
	}
}

var quiet = slog.New(slog.DiscardHandler)

// start serves h in the world until the test ends.
func (w *world) start(t *testing.T, cfg Config, h Handler) *Transport {
	t.Helper()
	if w.mem {
		cfg.Network = w.net
	}
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	switch w.carrier {
	case TCP:
		cfg.TCP = "127.0.0.1:0"
	case WebSocket:
		cfg.WebSocket = "127.0.0.1:0"
		if w.tls && cfg.TLS == nil && cfg.TLSCertFile == "" {
			cfg.TLS = serverTLS()
		}
	case KCP:
		cfg.KCP = "127.0.0.1:0"
	case SealedTCP:
		cfg.SealedTCP = "127.0.0.1:0"
	default:
		cfg.PlainKCP = "127.0.0.1:0"
	}
	tr, err := Start(cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, tr) })
	return tr
}

func stop(t *testing.T, tr *Transport) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := tr.Stop(ctx); err != nil {
		t.Error("Stop:", err)
	}
}

// client is a stock client: the standard library's TCP or kcp-go.
type client struct {
	net.Conn
	t   *testing.T
	buf []byte
	pc  net.PacketConn

	sealed *sealedSocket // sealed KCP
}

// stream reports whether the carrier runs on TCP.
func (w *world) stream() bool {
	return w.carrier == TCP || w.carrier == WebSocket || w.carrier == SealedTCP
}

func (w *world) dial(t *testing.T, tr *Transport) *client {
	t.Helper()
	c := &client{t: t}
	addr := tr.Addr(w.carrier)
	var err error
	switch {
	case w.stream() && w.mem:
		c.Conn, err = w.net.DialTCP(context.Background(), addr)
	case w.stream():
		c.Conn, err = net.Dial("tcp", addr.String())
	case w.carrier == KCP:
		c.Conn, c.sealed, err = w.dialSealed(tr)
		if err == nil {
			c.pc = c.sealed.PacketConn
		}
	case w.mem:
		var pc *memnet.PacketConn
		if pc, err = w.net.ListenPacket(); err == nil {
			c.pc = pc
			c.Conn = kcptest.Dial(pc, net.UDPAddrFromAddrPort(addr), nextConv.Add(1))
		}
	default:
		c.Conn, err = kcpgo.DialWithOptions(addr.String(), nil, 0, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := c.Conn.(*kcpgo.UDPSession); ok {
		s.SetNoDelay(1, 10, 2, 1)
		s.SetWindowSize(128, 128)
		s.SetACKNoDelay(true)
	}
	switch w.carrier {
	case WebSocket:
		if w.tls {
			c.Conn = tls.Client(c.Conn, clientTLS())
		}
		c.Conn = newWSConn(c.Conn, tr.cfg.maxBody())
	case SealedTCP:
		c.Conn = newStcpConn(c.Conn, tr.PublicKey(), tr.cfg.maxBody())
	}
	t.Cleanup(func() {
		c.Close()
		if k, ok := c.Conn.(*kcptest.Conn); ok {
			k.Cut() // what would linger leaves the bubble
		}
	})
	return c
}

var nextConv atomic.Uint32

// cut silences the client, in memory only.
func (c *client) cut() {
	switch conn := c.Conn.(type) {
	case *memnet.Conn:
		conn.Cut()
	case *wsConn:
		under := conn.Conn
		if s, ok := under.(*tls.Conn); ok {
			under = s.NetConn()
		}
		under.(*memnet.Conn).Cut()
	case *stcpConn:
		conn.Conn.(*memnet.Conn).Cut()
	default:
		c.pc.(*memnet.PacketConn).Cut()
	}
}

// beat is the frame that opens a plain-KCP link, and does no harm elsewhere.
var beat = codec.AppendFrame(nil, codec.Header{}, nil)

func frame(body []byte) []byte {
	return codec.AppendFrame(nil, codec.Header{Kind: codec.Message}, body)
}

func (c *client) write(b []byte) {
	c.t.Helper()
	c.SetWriteDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write(b); err != nil {
		c.t.Fatal("write:", err)
	}
}

// next reads one packet, or says why there is none.
func (c *client) next(wait time.Duration) (codec.Packet, error) {
	c.SetReadDeadline(time.Now().Add(wait))
	for {
		p, n, err := codec.ParseFrame(c.buf, codec.DefaultMaxBody)
		if err != nil {
			c.t.Fatal("client received nonsense:", err)
		}
		if n > 0 {
			p.Body = append([]byte(nil), p.Body...)
			c.buf = c.buf[n:]
			return p, nil
		}
		c.buf = slices.Grow(c.buf, 16<<10)
		m, err := c.Read(c.buf[len(c.buf):cap(c.buf)])
		c.buf = c.buf[:len(c.buf)+m]
		if err != nil {
			return codec.Packet{}, err
		}
	}
}

func (c *client) read() codec.Packet {
	c.t.Helper()
	p, err := c.next(20 * time.Second)
	if err != nil {
		c.t.Fatal("read:", err)
	}
	return p
}

// roundTrip sends a message and expects it back.
func (c *client) roundTrip(body string) {
	c.t.Helper()
	c.write(frame([]byte(body)))
	if p := c.read(); string(p.Body) != body {
		c.t.Fatalf("echo of %q is %q", body, p.Body)
	}
}

// hooks is a Handler of functions, and counts what it must.
type hooks struct {
	loop     func(l *Loop)
	open     func(k *Link)
	packet   func(k *Link, p codec.Packet)
	writable func(k *Link)
	close    func(k *Link, err error)
	migrate  func(k *Link, from netip.AddrPort)
	timer    func(l *Loop)
	batch    func(l *Loop)

	arrived     func(k *Link, p codec.Packet, a Arrival) // in place of packet
	unvalidated bool                                     // OnPacket does not call ValidateAddress

	opened, closed, packets, writables atomic.Int64

	mu   sync.Mutex
	errs []error // of OnClose, in order
	live map[*Link]bool
}

func (h *hooks) OnLoop(l *Loop) {
	if h.loop != nil {
		h.loop(l)
	}
}

func (h *hooks) OnOpen(k *Link, nonce [16]byte) {
	h.mu.Lock()
	if h.live == nil {
		h.live = make(map[*Link]bool)
	}
	if h.live[k] {
		panic("OnOpen twice")
	}
	h.live[k] = true
	h.mu.Unlock()
	h.opened.Add(1)
	if h.open != nil {
		h.open(k)
	}
}

func (h *hooks) check(k *Link, what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.live[k] {
		panic(what + " for a link that is not open")
	}
}

// OnPacket echoes unless the test has other plans.
func (h *hooks) OnPacket(k *Link, p codec.Packet, a Arrival) {
	h.check(k, "OnPacket")
	h.packets.Add(1)
	if !h.unvalidated {
		k.ValidateAddress()
	}
	if h.arrived != nil {
		h.arrived(k, p, a)
		return
	}
	if h.packet != nil {
		h.packet(k, p)
		return
	}
	if p.Kind != codec.Heartbeat {
		k.Write(codec.AppendFrame(nil, p.Header, p.Body))
	}
}

func (h *hooks) OnWritable(k *Link) {
	h.check(k, "OnWritable")
	h.writables.Add(1)
	if h.writable != nil {
		h.writable(k)
	}
}

func (h *hooks) OnClose(k *Link, err error) {
	h.check(k, "OnClose")
	h.mu.Lock()
	delete(h.live, k)
	h.errs = append(h.errs, err)
	h.mu.Unlock()
	h.closed.Add(1)
	if h.close != nil {
		h.close(k, err)
	}
}

func (h *hooks) OnMigrate(k *Link, from netip.AddrPort) {
	h.check(k, "OnMigrate")
	if h.migrate != nil {
		h.migrate(k, from)
	}
}

func (h *hooks) OnTimer(l *Loop) {
	if h.timer != nil {
		h.timer(l)
	}
}

func (h *hooks) OnBatch(l *Loop) {
	if h.batch != nil {
		h.batch(l)
	}
}

// closedWith waits for the only OnClose and returns its error.
func (h *hooks) closedWith(t *testing.T) error {
	t.Helper()
	eventually(t, "OnClose", func() bool { return h.closed.Load() == 1 })
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.errs[0]
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 20_000 {
		if done() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("never happened: " + what)
}

// taskFunc makes a Task of a function.
type taskFunc func(l *Loop)

func (f taskFunc) Run(l *Loop) { f(l) }

// onLoop runs f on l and waits for it.
func onLoop(t *testing.T, l *Loop, f func()) {
	t.Helper()
	done := make(chan struct{})
	if err := l.Post(taskFunc(func(*Loop) { f(); close(done) })); err != nil {
		t.Fatal(err)
	}
	<-done
}
