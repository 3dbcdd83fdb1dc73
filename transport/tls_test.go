// SPDX-License-Identifier: MIT

package transport

import (
	"bufio"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// wssServer serves WebSockets on TLS, on a network in memory.
func wssServer(t *testing.T, cfg Config, test func(t *testing.T, w *world, tr *Transport, h *hooks)) {
	bubble(t, func(t *testing.T) {
		w := &world{carrier: WebSocket, tls: true, mem: true, net: memnet.New(1, memnet.Conditions{Delay: time.Millisecond})}
		h := &hooks{}
		test(t, w, w.start(t, cfg, h), h)
	})
}

// raw is a connection to a server without anything on it.
func (w *world) raw(t *testing.T, tr *Transport) *memnet.Conn {
	t.Helper()
	conn, err := w.net.DialTCP(context.Background(), tr.Addr(w.carrier))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// hello is the first record of a client.
func hello(t *testing.T, cfg *tls.Config) []byte {
	t.Helper()
	near, far := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Client(near, cfg).Handshake()
	}()
	b := make([]byte, 4096)
	n, err := io.ReadAtLeast(far, b, recordHead)
	far.Close()
	<-done
	near.Close()
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func TestTLSVersionsAndNames(t *testing.T) {
	own := serverTLS().Clone()
	own.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if hello.ServerName != "game.example" {
			return nil, fmt.Errorf("no certificate for %q", hello.ServerName)
		}
		return &serverTLS().Certificates[0], nil
	}
	own.Certificates = nil
	wssServer(t, Config{TLS: own}, func(t *testing.T, w *world, tr *Transport, h *hooks) {
		for i, x := range []struct {
			name string
			with func(c *tls.Config)
			open bool
		}{
			{"TLS 1.3", func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }, true},
			{"TLS 1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, true},
			{"TLS 1.1", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, false},
			{"another name", func(c *tls.Config) { c.ServerName = "other.example" }, false},
			{"a client that does not trust", func(c *tls.Config) { c.RootCAs = nil }, false},
			{"HTTP/1.1", func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} }, true},
			{"HTTP/2 alone", func(c *tls.Config) { c.NextProtos = []string{"h2"} }, false},
		} {
			cfg := clientTLS()
			x.with(cfg)
			before := tr.Stats().TLSRefused
			s := tls.Client(w.raw(t, tr), cfg)
			// A failure of the client's is its own to tell: its alert comes after its half.
			if err := s.Handshake(); err == nil && x.open {
				c := &client{Conn: newWSConn(s, codec.DefaultMaxBody), t: t}
				c.roundTrip(x.name)
				c.Close()
			}
			s.SetReadDeadline(time.Now().Add(time.Second))
			_, _ = s.Read(make([]byte, 1))
			s.Close()
			time.Sleep(time.Second)
			if refused := tr.Stats().TLSRefused != before; refused == x.open {
				t.Errorf("%d, %s: refused is %v", i, x.name, refused)
			}
		}
		if s := tr.Stats(); s.Arriving != 0 || s.Carriers["ws"].Open != 0 || h.opened.Load() != 3 || tr.Loops()[0].shakers != 0 {
			t.Errorf("%d opened, %+v", h.opened.Load(), s)
		}
	})
}

// TestTLSRefusesWhatIsNone: at its first bytes, and HTTP with words.
func TestTLSRefusesWhatIsNone(t *testing.T) {
	wssServer(t, Config{}, func(t *testing.T, w *world, tr *Transport, h *hooks) {
		for _, say := range []string{"\x80\x2e\x01", "\x17\x03\x03\x00\x10", "\x16\x02", string(beat), "\x00"} {
			conn := w.raw(t, tr)
			io.WriteString(conn, say)
			conn.SetReadDeadline(time.Now().Add(time.Second))
			if n, err := conn.Read(make([]byte, 1)); n != 0 || errTimeout(err) == err {
				t.Errorf("%q: %v", say, err)
			}
		}
		conn := w.raw(t, tr)
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: game.example\r\n"+upgradeHeaders+"\r\n")
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(r.Body); r.StatusCode != 400 || !strings.Contains(string(b), "wss://") {
			t.Errorf("%s %q", r.Status, b)
		}
		if s := tr.Stats(); s.RequestsRefused != 6 || s.Carriers["ws"].Opened != 0 {
			t.Errorf("%+v", s)
		}
		// What looks like TLS and is none is answered with an alert.
		conn = w.raw(t, tr)
		io.WriteString(conn, "\x16\x03\x01\x00\x05hello")
		conn.SetReadDeadline(time.Now().Add(time.Second))
		if b, err := io.ReadAll(conn); err != nil || len(b) != 7 || b[0] != 21 {
			t.Errorf("%x, %v, want an alert", b, err)
		}
		if s := tr.Stats(); s.TLSRefused != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// pieces is a connection whose writes come one by one and not together.
type pieces struct {
	net.Conn
	size func() int
}

func (p *pieces) Write(b []byte) (written int, err error) {
	for len(b) > 0 {
		n, err := p.Conn.Write(b[:min(p.size(), len(b))])
		written += n
		if err != nil {
			return written, err
		}
		b = b[n:]
		time.Sleep(2 * time.Millisecond)
	}
	return written, nil
}

// TestTLSInPieces: wherever the network cuts what the client says, also in the middle of
// its handshake, nothing depends on it.
func TestTLSInPieces(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		wssServer(t, Config{OpeningTimeout: time.Hour}, func(t *testing.T, w *world, tr *Transport, h *hooks) {
			rng := rand.New(rand.NewPCG(1, 2))
			for _, size := range []func() int{
				func() int { return 1 },
				func() int { return 1 + rng.IntN(300) },
				func() int { return 1 + rng.IntN(40_000) },
			} {
				cfg := clientTLS()
				cfg.MaxVersion = version
				c := &client{Conn: newWSConn(tls.Client(&pieces{w.raw(t, tr), size}, cfg), codec.DefaultMaxBody), t: t}
				c.roundTrip("in pieces")
				if size() == 1 {
					continue
				}
				body := strings.Repeat("0123456789abcdef", codec.DefaultMaxBody/16)
				c.write(frame([]byte(body)))
				if p := c.read(); string(p.Body) != body {
					t.Fatal("a large body came back another one")
				}
				c.roundTrip("and after it")
			}
		})
	}
}

// TestTLSPingInPiecesIsNoLife is TestPingInPiecesIsNoLife in records.
func TestTLSPingInPiecesIsNoLife(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		wssServer(t, Config{Loops: 1}, func(t *testing.T, w *world, tr *Transport, h *hooks) {
			var link *Link
			h.open = func(k *Link) { link = k }
			cut := &pieces{w.raw(t, tr), func() int { return 1 << 20 }}
			cfg := clientTLS()
			cfg.MaxVersion = version
			conn := tls.Client(cut, cfg)
			c := &client{Conn: newWSConn(conn, codec.DefaultMaxBody), t: t}
			c.roundTrip("here")
			cut.size = func() int { return 1 }
			last := func() (at time.Duration) {
				onLoop(t, tr.Loops()[0], func() { at = link.LastReceive() })
				return at
			}
			before := last()
			if _, err := conn.Write(wsRaw(fin|ping, strings.Repeat("x", 125))); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if got := last(); got != before {
				t.Errorf("TLS %x: a ping was life for %v", version, got-before)
			}
			if _, err := conn.Write(wsRaw(fin|binary_, say("here"))); err != nil {
				t.Fatal(err)
			}
			if p := c.read(); string(p.Body) != "here" || last() == before {
				t.Errorf("TLS %x: a short message in pieces is no life", version)
			}
		})
	}
}

// TestTLSEndsWithCloseNotify: both sides can tell an end from a cut.
func TestTLSEndsWithCloseNotify(t *testing.T) {
	wssServer(t, Config{}, func(t *testing.T, w *world, tr *Transport, h *hooks) {
		dial := func() (*tls.Conn, *client) {
			s := tls.Client(w.raw(t, tr), clientTLS())
			c := &client{Conn: newWSConn(s, codec.DefaultMaxBody), t: t}
			c.roundTrip("here")
			return s, c
		}
		s, _ := dial()
		if err := s.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(s); err != nil {
			t.Error("after the client's end:", err)
		}
		s, _ = dial()
		h.mu.Lock()
		var k *Link
		for k = range h.live {
		}
		h.mu.Unlock()
		onLoop(t, k.Loop(), func() { k.Finish() })
		if _, err := io.ReadAll(s); err != nil {
			t.Error("after the server's end:", err)
		}
		s.Close()
		s, _ = dial()
		stop(t, tr)
		if _, err := io.ReadAll(s); err != nil {
			t.Error("after Stop:", err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.errs) != 3 || h.errs[0] != io.EOF || h.errs[1] != ErrFinished || h.errs[2] != ErrStopped {
			t.Errorf("closed with %v", h.errs)
		}
	})
}

// TestChangedTLSRecordEndsTheLink, and is a violation of the protocol.
func TestChangedTLSRecordEndsTheLink(t *testing.T) {
	wssServer(t, Config{}, func(t *testing.T, w *world, tr *Transport, h *hooks) {
		for _, bad := range []string{"\x17\x03\x03\x00\x20" + strings.Repeat("x", 32), "\x17\x03\x03\xff\xff", "\x16\x03\x03\x00\x00"} {
			before := tr.Stats().ProtocolErrors
			conn := w.raw(t, tr)
			c := &client{Conn: newWSConn(tls.Client(conn, clientTLS()), codec.DefaultMaxBody), t: t}
			c.roundTrip("here")
			io.WriteString(conn, bad)
			if _, err := c.next(time.Second); err == nil || errTimeout(err) == err {
				t.Errorf("%.10q: %v", bad, err)
			}
			if n := tr.Stats().ProtocolErrors - before; n != 1 {
				t.Errorf("%.10q: counted %d times", bad, n)
			}
		}
		time.Sleep(time.Second)
		if h.closed.Load() != 3 {
			t.Errorf("%d of 3 closed", h.closed.Load())
		}
	})
}

// TestHalfTLSHandshakesKeepNobodyOut: clients that begin and say no more, before and
// after the costly part, and players who come in between.
func TestHalfTLSHandshakesKeepNobodyOut(t *testing.T) {
	wssServer(t, Config{Loops: 1, OpensPerAddress: -1}, func(t *testing.T, w *world, tr *Transport, h *hooks) {
		whole := hello(t, clientTLS())
		const n = maxHandshakes + 40
		var idle []*memnet.Conn
		for i := range n {
			if i%100 == 50 {
				w.dial(t, tr).roundTrip("in between")
			}
			for _, say := range [][]byte{whole, whole[:len(whole)-1]} {
				conn := w.raw(t, tr)
				conn.Write(say)
				idle = append(idle, conn)
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		onLoop(t, tr.Loops()[0], func() {
			if l := tr.Loops()[0]; l.shaking.Len() > maxHandshakes || l.shakers != l.shaking.Len() {
				t.Errorf("%d handshakes, %d goroutines", l.shaking.Len(), l.shakers)
			}
		})
		evicted := tr.Stats().ConnectionsEvicted
		if evicted < n-maxHandshakes || evicted > n-maxHandshakes+6 {
			t.Errorf("%d evicted", evicted)
		}
		time.Sleep(defaultOpeningTimeout)
		w.dial(t, tr).roundTrip("late")
		if s := tr.Stats(); s.Arriving != 0 || s.OpeningTimeouts != 2*n-evicted || s.Carriers["ws"].Open != h.opened.Load() || h.closed.Load() != 0 {
			t.Errorf("%d opened, %d closed, %+v", h.opened.Load(), h.closed.Load(), s)
		}
		onLoop(t, tr.Loops()[0], func() {
			if l := tr.Loops()[0]; l.shakers != 0 || l.shaking.Len() != 0 {
				t.Errorf("%d goroutines are left", l.shakers)
			}
		})
		for _, c := range idle {
			c.Close()
		}
	})
}

// TestAddressPaysForItsHandshakes: before they cost, and once.
func TestAddressPaysForItsHandshakes(t *testing.T) {
	wssServer(t, Config{Loops: 1, OpensPerAddress: 1, LinksPerAddress: 8}, func(t *testing.T, w *world, tr *Transport, h *hooks) {
		one := netip.MustParseAddr("192.0.2.7")
		whole := hello(t, clientTLS())
		for range 4 {
			w.net.NextAddr(one)
			w.dial(t, tr).roundTrip("a link")
		}
		answered := 0
		for range 10 { // of ten that may come at once four have come
			w.net.NextAddr(one)
			conn := w.raw(t, tr)
			conn.Write(whole)
			conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			if n, _ := conn.Read(make([]byte, 1)); n == 1 {
				answered++
			}
			conn.Close()
		}
		if s := tr.Stats().Carriers["ws"]; answered != 6 || s.AddressLimited != 4 {
			t.Errorf("%d handshakes were answered, %+v", answered, s)
		}
		w.dial(t, tr).roundTrip("another address")
	})
}

// TestLongTLSHandshake: a client that says more than a handshake needs.
func TestLongTLSHandshake(t *testing.T) {
	hold := make(chan struct{})
	own := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		<-hold
		return &serverTLS().Certificates[0], nil
	}}
	bubble(t, func(t *testing.T) {
		hold = make(chan struct{}) // of the bubble
		w := &world{carrier: WebSocket, tls: true, mem: true, net: memnet.New(1, memnet.Conditions{})}
		tr := w.start(t, Config{TLS: own}, &hooks{})
		conn := w.raw(t, tr)
		conn.Write(hello(t, clientTLS()))
		junk := append([]byte("\x17\x03\x03\x40\x00"), make([]byte, 16<<10)...)
		for range 5 {
			conn.Write(junk)
		}
		conn.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := conn.Read(make([]byte, 1)); errTimeout(err) == err {
			t.Error("still open")
		}
		if s := tr.Stats(); s.TLSRefused != 1 || s.Arriving != 0 {
			t.Errorf("%+v", s)
		}
		close(hold)
	})
}

// TestHooksOfTLS: one that hangs keeps nobody waiting, and one that panics, or ends its
// goroutine, ends its own connection.
func TestHooksOfTLS(t *testing.T) {
	var hold chan struct{}
	own := &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		switch hello.ServerName {
		case "slow.example":
			<-hold
		case "mad.example":
			panic("mad")
		case "ends.example":
			runtime.Goexit()
		}
		return &serverTLS().Certificates[0], nil
	}}
	bubble(t, func(t *testing.T) {
		hold = make(chan struct{})
		w := &world{carrier: WebSocket, tls: true, mem: true, net: memnet.New(1, memnet.Conditions{})}
		tr := w.start(t, Config{TLS: own}, &hooks{})
		slow, mad := clientTLS(), clientTLS()
		slow.ServerName, mad.ServerName = "slow.example", "mad.example"
		for range 20 {
			w.raw(t, tr).Write(hello(t, slow))
		}
		if err := tls.Client(w.raw(t, tr), mad).Handshake(); err == nil {
			t.Error("a hook that panics, and the handshake is through")
		}
		ends := clientTLS()
		ends.ServerName = "ends.example"
		for range runtime.GOMAXPROCS(0) {
			if err := tls.Client(w.raw(t, tr), ends).Handshake(); err == nil {
				t.Error("a hook that ends its goroutine, and the handshake is through")
			}
		}
		w.dial(t, tr).roundTrip("a player")
		time.Sleep(2 * defaultOpeningTimeout)
		if s := tr.Stats(); s.TLSRefused != 1+uint64(runtime.GOMAXPROCS(0)) || s.OpeningTimeouts != 20 || s.Arriving != 0 {
			t.Errorf("%+v", s)
		}
		close(hold)
	})
}

// TestTLSBehindAProxy: its header comes before the handshake.
func TestTLSBehindAProxy(t *testing.T) {
	wssServer(t, Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, func(t *testing.T, w *world, tr *Transport, h *hooks) {
		var from netip.AddrPort
		h.open = func(k *Link) { from = k.RemoteAddr() }
		conn := w.raw(t, tr)
		conn.Write(proxy2(0x21, 0x11, four...))
		c := &client{Conn: newWSConn(tls.Client(conn, clientTLS()), codec.DefaultMaxBody), t: t}
		c.roundTrip("proxied")
		if from.String() != "192.0.2.1:8080" {
			t.Errorf("the link is %v's", from)
		}
		w.dial(t, tr).roundTrip("and without a header")
	})
}

// TestHalfRecordsAreBoundedTogether: they count as partial frames do.
func TestHalfRecordsAreBoundedTogether(t *testing.T) {
	wssServer(t, Config{Loops: 1, ReceiveBytes: 64 << 10}, func(t *testing.T, w *world, tr *Transport, h *hooks) {
		half := append([]byte("\x17\x03\x03\x40\x00"), make([]byte, 15<<10)...)
		for range 6 {
			conn := w.raw(t, tr)
			c := &client{Conn: newWSConn(tls.Client(conn, clientTLS()), codec.DefaultMaxBody), t: t}
			c.roundTrip("here")
			conn.Write(half)
			time.Sleep(10 * time.Millisecond)
		}
		if s := tr.Stats(); s.PartialOverBudget != 2 || h.closed.Load() != 2 {
			t.Errorf("%d closed, %+v", h.closed.Load(), s)
		}
	})
}

// label is HKDF-Expand-Label of RFC 8446 7.1, with SHA-256 and no context.
func label(secret []byte, name string, n int) []byte {
	name = "tls13 " + name
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(append(append(info, byte(len(name))), name...), 0)
	b, err := hkdf.Expand(sha256.New, secret, string(info), n)
	if err != nil {
		panic(err)
	}
	return b
}

// record13 seals a record of TLS 1.3 with AES-128.
func record13(secret []byte, seq uint64, kind byte, content []byte) []byte {
	block, err := aes.NewCipher(label(secret, "key", 16))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	nonce := label(secret, "iv", 12)
	for i := range 8 {
		nonce[4+i] ^= byte(seq >> (56 - 8*i))
	}
	inner := append(append([]byte(nil), content...), kind)
	head := binary.BigEndian.AppendUint16([]byte{23, 3, 3}, uint16(len(inner)+aead.Overhead()))
	return aead.Seal(head, nonce, inner, head)
}

// TestClientThatChangesItsKeys: a client may, as often as it likes, and reads what is
// due. One that reads nothing ends.
func TestClientThatChangesItsKeys(t *testing.T) {
	wssServer(t, Config{Loops: 1, SendBuffer: 4 << 10, MaxBody: 1000}, func(t *testing.T, w *world, tr *Transport, h *hooks) {
		keys := &bytes.Buffer{}
		cfg := clientTLS()
		cfg.KeyLogWriter, cfg.MinVersion = keys, tls.VersionTLS13
		conn := w.raw(t, tr)
		s := tls.Client(conn, cfg)
		c := &client{Conn: newWSConn(s, 1000), t: t}
		if s.ConnectionState().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
			t.Skip("the client has chosen another cipher")
		}
		var secret []byte
		for l := range strings.Lines(keys.String()) {
			if words := strings.Fields(l); words[0] == "CLIENT_TRAFFIC_SECRET_0" {
				secret, _ = hex.DecodeString(words[2])
			}
		}
		seq := uint64(1) // after the request
		update := func() {
			conn.Write(record13(secret, seq, 22, []byte{24, 0, 0, 1, 1}))
			secret, seq = label(secret, "traffic upd", 32), 0
		}
		say := func(body string) {
			conn.Write(record13(secret, seq, 23, wsFrame(ws.OpBinary, true, frame([]byte(body)))))
			seq++
		}
		for range 100 {
			update()
			say("with new keys")
			if p := c.read(); string(p.Body) != "with new keys" {
				t.Fatalf("%q", p.Body)
			}
		}
		before := tr.Stats().ProtocolErrors
		for range 20_000 { // half a megabyte of answers to this
			if update(); h.closed.Load() > 0 {
				break
			}
			say("") // a message that is a frame without a body, of 27 bytes
		}
		if h.closed.Load() == 0 || tr.Stats().ProtocolErrors == before {
			t.Error("a client that reads nothing has its keys changed without end")
		}
	})
}

// TestCertificateIsRenewed: without a restart, and one that can't be read is told and
// ends nothing.
func TestCertificateIsRenewed(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCert(t, cert, key, 7)
	log := &bytes.Buffer{}
	wssServer(t, Config{TLSCertFile: cert, TLSKeyFile: key, Logger: slog.New(slog.NewTextHandler(log, nil))}, func(t *testing.T, w *world, tr *Transport, h *hooks) {
		serial := func() int64 {
			t.Helper()
			s := tls.Client(w.raw(t, tr), clientTLS())
			c := &client{Conn: newWSConn(s, codec.DefaultMaxBody), t: t}
			c.roundTrip("here")
			return s.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
		}
		if n := serial(); n != 7 {
			t.Errorf("certificate %d", n)
		}
		writeCert(t, cert, key, 1<<40) // of another length: that counts where a clock is coarse
		if n := serial(); n != 1<<40 {
			t.Errorf("certificate %d after it was renewed", n)
		}
		for _, name := range []string{cert, key} {
			if err := os.WriteFile(name, []byte("nonsense of "+name), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if n := serial(); n != 1<<40 {
					t.Errorf("certificate %d after nonsense", n)
				}
			}
		}
		if n := strings.Count(log.String(), "not renewed"); n != 2 {
			t.Errorf("told %d times:\n%s", n, log)
		}
		os.Remove(cert)
		if n := serial(); n != 1<<40 {
			t.Errorf("certificate %d while there is no file", n)
		}
		writeCert(t, cert, key, 9)
		if n := serial(); n != 9 {
			t.Errorf("certificate %d at last", n)
		}
		if n := strings.Count(log.String(), "certificate renewed"); n != 2 {
			t.Errorf("told %d times:\n%s", n, log)
		}
	})
}

func TestConfigOfTLS(t *testing.T) {
	for want, cfg := range map[string]Config{
		"TLSKeyFile":       {WebSocket: "127.0.0.1:0", TLSCertFile: "cert.pem"},
		"Config.WebSocket": {TCP: "127.0.0.1:0", TLS: serverTLS()},
		"no certificate":   {WebSocket: "127.0.0.1:0", TLS: &tls.Config{}},
		"no such file":     {WebSocket: "127.0.0.1:0", TLSCertFile: "none.pem", TLSKeyFile: "none.pem"},
	} {
		cfg.Logger = quiet
		tr, err := Start(cfg, &hooks{})
		if err == nil {
			stop(t, tr)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
}

// TestCertificateThatIsNoGood: the error of one that can't be read names the files, and one
// that has expired is served, as the clock may be wrong, and told.
func TestCertificateThatIsNoGood(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCert(t, cert, key, 7)
	log := &bytes.Buffer{}
	start := func(cert, key string) error {
		log.Reset()
		tr, err := Start(Config{WebSocket: "127.0.0.1:0", TLSCertFile: cert, TLSKeyFile: key, Logger: slog.New(slog.NewTextHandler(log, nil))}, &hooks{})
		if err == nil {
			stop(t, tr)
		}
		return err
	}
	if err := start(key, cert); err == nil || !strings.Contains(err.Error(), cert) || !strings.Contains(err.Error(), key) {
		t.Errorf("one in the place of the other: %v", err)
	}
	if err := start(cert, key); err != nil || strings.Contains(log.String(), "not valid") {
		t.Errorf("a good one: %v\n%s", err, log)
	}
	for _, valid := range [][2]time.Time{{time.Unix(0, 0), time.Unix(1<<30, 0)}, {time.Unix(1<<33, 0), time.Unix(1<<34, 0)}} {
		c, k := theCA().issueFor(valid[0], valid[1], 8, "game.example")
		writePair(t, cert, key, c, k)
		if err := start(cert, key); err != nil || strings.Count(log.String(), "level=WARN") != 1 || !strings.Contains(log.String(), "file="+cert) {
			t.Errorf("valid from %v to %v: %v\n%s", valid[0], valid[1], err, log)
		}
	}
}

// TestWholeRecords at every length.
func TestWholeRecords(t *testing.T) {
	b := []byte("\x16\x03\x01\x00\x03abc\x17\x03\x03\x00\x00\x17\x03\x03\x00\x01x")
	for n := range len(b) + 1 {
		want := 0
		for _, end := range []int{8, 13, 19} {
			if n >= end {
				want = end
			}
		}
		if got := wholeRecords(b[:n]); got != want {
			t.Errorf("%d of %d bytes, want %d", got, n, want)
		}
	}
	if got := wholeRecords([]byte("\x17\x03\x03\x00\x00\x17\x03\x03\x48\x01x")); got != 10 {
		t.Errorf("%d bytes show that a record is too long, want 10", got)
	}
}
