// SPDX-License-Identifier: MIT

package transport

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// wsRaw returns a client's frame as it is told, right or wrong.
func wsRaw(first byte, payload string) []byte {
	b := []byte{first, 0x80 | byte(len(payload))}
	switch n := len(payload); {
	case n > 0xffff:
		b[1] = 0x80 | 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	case n > 125:
		b[1] = 0x80 | 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	}
	mask := []byte{0xa1, 0xb2, 0xc3, 0xd4}
	b = append(b, mask...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

const (
	fin      = 0x80
	contin   = 0
	text     = 1
	binary_  = 2
	closing_ = 8
	ping     = 9
	pong     = 10
)

// say is a message of one frame with a body.
func say(body string) string { return string(frame([]byte(body))) }

func closeBody(code int, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}

// wsDial opens a WebSocket on a network in memory and returns it raw.
func wsDial(t *testing.T, n *memnet.Network, addr netip.AddrPort) (*memnet.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := n.DialTCP(context.Background(), addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := newWSConn(conn, codec.DefaultMaxBody)
	if c.failed != nil {
		t.Fatal(c.failed)
	}
	return conn, c.br
}

// transcript reads what the server sends until it ends or is silent for a
// while: echoes by their bodies, long ones by their length.
func transcript(t *testing.T, conn *memnet.Conn, br *bufio.Reader) string {
	t.Helper()
	var log []string
	for {
		conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		h, err := ws.ReadHeader(br)
		if err != nil {
			if err != io.EOF {
				return strings.Join(append(log, "open"), " ")
			}
			return strings.Join(append(log, "end"), " ")
		}
		if err := ws.CheckHeader(h, ws.StateClientSide); err != nil {
			t.Fatalf("server sent %+v: %v", h, err)
		}
		p := make([]byte, h.Length)
		if _, err := io.ReadFull(br, p); err != nil {
			t.Fatal(err)
		}
		switch h.OpCode {
		case ws.OpBinary:
			for len(p) > 0 {
				pk, n, err := codec.ParseFrame(p, codec.DefaultMaxBody)
				if err != nil || n == 0 {
					t.Fatalf("a message of half frames: %v", err)
				}
				if p = p[n:]; len(pk.Body) < 50 {
					log = append(log, string(pk.Body))
				} else {
					log = append(log, fmt.Sprint(len(pk.Body)))
				}
			}
		case ws.OpPong:
			log = append(log, "pong("+string(p[:min(len(p), 5)])+")")
		case ws.OpClose:
			log = append(log, fmt.Sprint("close(", binary.BigEndian.Uint16(p), string(p[2:]), ")"))
		}
	}
}

// TestWebSocketRules holds the server against RFC 6455, as Autobahn's test
// suite does for those that take text and extensions too. Nothing depends on
// how the bytes come in.
func TestWebSocketRules(t *testing.T) {
	cat := func(list ...[]byte) []byte { return slices.Concat(list...) }
	msg := func(s string) []byte { return wsRaw(fin|binary_, s) }
	whole := say("whole")
	type rule struct {
		name, want string
		b          []byte
	}
	rules := []rule{
		{"a message", "a open", msg(say("a"))},
		{"an empty message", "a open", cat(msg(""), msg(say("a")))},
		{"two frames in a message", "a b open", msg(say("a") + say("b"))},
		{"half a frame", "close(1007) end", cat(msg(say("a")), msg(whole[:4]), msg(whole[4:]))},
		{"a frame and a half", "close(1007) end", msg(say("a") + whole[:4])},
		{"a malformed frame", "close(1007) end", msg(say("a") + "\x00\x7f\x00\x00\x00\x00\x00\x00\x00")},
		{"a frame too large", "close(1009) end", msg(string(binary.AppendUvarint(nil, codec.DefaultMaxBody+1)))},
		{"the largest frame", "65536 open", msg(say(strings.Repeat("x", codec.DefaultMaxBody)))},
		{"a message too large", "close(1009) end", cat(msg(say("a")), msg(strings.Repeat("x", codec.DefaultMaxBody+codec.FrameOverhead+1)))},
		{"a length that needs no 16 bits", "close(1002) end", cat([]byte{fin | binary_, 0x80 | 126, 0, 5}, msg(""))},
		{"a length that needs no 64 bits", "close(1002) end", cat([]byte{fin | binary_, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0x10, 0}, msg(""))},
		{"a length of 2^63", "close(1002) end", cat([]byte{fin | binary_, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0}, msg(""))},
		{"a length of 2^63-1", "close(1009) end", cat([]byte{fin | binary_, 0x80 | 127, 0x7f, 255, 255, 255, 255, 255, 255, 255}, msg(""))},
		{"text", "close(1003) end", wsRaw(fin|text, "hello")},
		{"no mask", "close(1002) end", cat([]byte{fin | binary_, byte(len(whole))}, []byte(whole))},
		{"ping without payload", "pong() a open", cat(wsRaw(fin|ping, ""), msg(say("a")))},
		{"ping", "pong(hello) open", wsRaw(fin|ping, "hello")},
		{"ping of 125", "pong(xxxxx) open", wsRaw(fin|ping, strings.Repeat("x", 125))},
		{"ping of 126", "close(1002) end", wsRaw(fin|ping, strings.Repeat("x", 126))},
		{"ping in pieces", "close(1002) end", wsRaw(ping, "a")},
		{"pong in pieces", "close(1002) end", wsRaw(pong, "a")},
		{"pongs that were not asked for", "a open", cat(wsRaw(fin|pong, ""), wsRaw(fin|pong, "x"), msg(say("a")))},
		{"fragments", "whole open", cat(wsRaw(binary_, whole[:3]), wsRaw(contin, whole[3:5]), wsRaw(fin|contin, whole[5:]))},
		{"empty fragments", "whole open", cat(wsRaw(binary_, ""), wsRaw(contin, whole), wsRaw(contin, ""), wsRaw(fin|contin, ""))},
		{"fragments of many frames", "a b c open", cat(wsRaw(binary_, say("a")+say("b")[:2]), wsRaw(fin|contin, say("b")[2:]+say("c")))},
		{"a ping between fragments", "pong(x) whole open", cat(wsRaw(binary_, whole[:3]), wsRaw(fin|ping, "x"), wsRaw(fin|contin, whole[3:]))},
		{"fragments that end in half a frame", "close(1007) end", cat(wsRaw(binary_, say("a")), wsRaw(fin|contin, whole[:3]))},
		{"fragments too large", "close(1009) end", cat(wsRaw(binary_, strings.Repeat("x", codec.DefaultMaxBody)), wsRaw(contin, strings.Repeat("x", codec.FrameOverhead+1)))},
		{"fragments without an end", "close(1009) end", cat(wsRaw(binary_, ""), bytes.Repeat(wsRaw(contin, ""), maxFragments+10))},
		{"a continuation of nothing", "close(1002) end", wsRaw(fin|contin, whole)},
		{"a first continuation of nothing", "close(1002) end", wsRaw(contin, whole)},
		{"a message within fragments", "close(1002) end", cat(wsRaw(binary_, whole[:3]), msg(whole))},
		{"nothing after a close", "close(1000) end", cat(msg(say("a")), wsRaw(fin|closing_, closeBody(1000, "")), msg(say("b")), wsRaw(fin|ping, ""))},
		{"close without a status", "close(1000) end", wsRaw(fin|closing_, "")},
		{"close with half a status", "close(1002) end", wsRaw(fin|closing_, "\x03")},
		{"close with a reason", "close(1001) end", wsRaw(fin|closing_, closeBody(1001, "bye"))},
		{"close with the longest reason", "close(1000) end", wsRaw(fin|closing_, closeBody(1000, strings.Repeat("x", 123)))},
		{"close with a longer one", "close(1002) end", wsRaw(fin|closing_, closeBody(1000, strings.Repeat("x", 124)))},
		{"close with a reason that is no text", "close(1007) end", wsRaw(fin|closing_, closeBody(1000, "\xff"))},
		{"close within fragments", "close(1000) end", cat(wsRaw(binary_, whole[:3]), wsRaw(fin|closing_, closeBody(1000, "")))},
		{"close in pieces", "close(1002) end", wsRaw(closing_, closeBody(1000, ""))},
	}
	for rsv := byte(1); rsv < 8; rsv++ {
		rules = append(rules, rule{fmt.Sprint("reserved bits ", rsv), "close(1002) end", wsRaw(fin|rsv<<4|binary_, whole)})
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		rules = append(rules, rule{fmt.Sprint("opcode ", op), "close(1002) end", cat(msg(say("a")), wsRaw(fin|op, ""))})
	}
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4007, 4999} {
		rules = append(rules, rule{fmt.Sprint("close with ", code), fmt.Sprint("close(", code, ") end"), wsRaw(fin|closing_, closeBody(code, "x"))})
	}
	for _, code := range []int{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999} {
		rules = append(rules, rule{fmt.Sprint("close with ", code), "close(1002) end", wsRaw(fin|closing_, closeBody(code, "x"))})
	}
	bubble(t, func(t *testing.T) {
		w := &world{carrier: WebSocket, mem: true, net: memnet.New(1, memnet.Conditions{Delay: time.Millisecond})}
		tr := w.start(t, Config{Loops: 2}, &hooks{})
		other, obr := wsDial(t, w.net, tr.Addr(WebSocket))
		for _, r := range rules {
			for _, size := range []int{1 << 20, max(1, len(r.b)/200)} {
				conn, br := wsDial(t, w.net, tr.Addr(WebSocket))
				for b := r.b; len(b) > 0; {
					n := min(size, len(b))
					if _, err := conn.Write(b[:n]); err != nil {
						break // closed meanwhile
					}
					if b = b[n:]; size < len(r.b) {
						time.Sleep(20 * time.Millisecond)
					}
				}
				got := transcript(t, conn, br)
				if !strings.HasSuffix(got, "open") {
					got = strings.TrimPrefix(got, "a ") // what the last batch had to say is lost
				}
				if got != r.want {
					t.Errorf("%s, %d bytes at a time: %q, want %q", r.name, min(size, len(r.b)), got, r.want)
				}
				conn.Close()
			}
		}
		if other.Write(msg(say("still here"))); transcript(t, other, obr) != "still here open" {
			t.Error("another link did not survive")
		}
		if s := tr.Stats(); s.Panics != 0 || s.Carriers["ws"].Open != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestWebSocketErrors: what OnClose is told of how a link ended.
func TestWebSocketErrors(t *testing.T) {
	for _, x := range []struct {
		b    []byte
		want error
	}{
		{wsRaw(fin|closing_, ""), io.EOF},
		{wsRaw(fin|closing_, closeBody(1000, "")), io.EOF},
		{wsRaw(fin|closing_, closeBody(1001, "")), io.EOF},
		{wsRaw(fin|closing_, closeBody(4106, "")), &StatusError{4106}},
		{wsRaw(fin|text, ""), errNotBinary},
		{wsRaw(fin|binary_, "\x00"), errHalfFrame},
		{wsRaw(fin|binary_, string(binary.AppendUvarint(nil, codec.DefaultMaxBody+1))), codec.ErrTooLarge},
		{[]byte{fin | binary_, 1, 0}, ws.ErrProtocolMaskRequired},
	} {
		bubble(t, func(t *testing.T) {
			h := &hooks{}
			w := &world{carrier: WebSocket, mem: true, net: memnet.New(1, memnet.Conditions{})}
			tr := w.start(t, Config{}, h)
			conn, _ := wsDial(t, w.net, tr.Addr(WebSocket))
			conn.Write(x.b)
			err := h.closedWith(t)
			var got, want *StatusError
			if errors.As(x.want, &want) {
				if !errors.As(err, &got) || *got != *want || !errors.Is(err, io.EOF) {
					t.Errorf("%x: closed with %v, want %v", x.b, err, x.want)
				}
			} else if err != x.want {
				t.Errorf("%x: closed with %v, want %v", x.b, err, x.want)
			}
		})
	}
}

// TestWebSocketStatus: what the peer is told of how the server ended a link.
func TestWebSocketStatus(t *testing.T) {
	for _, x := range []struct {
		name string
		end  func(k *Link)
		want string
	}{
		{"Finish", func(k *Link) { k.Write([]byte(say("bye"))); k.Finish() }, "bye close(1000) end"},
		{"FinishStatus", func(k *Link) { k.Write([]byte(say("bye"))); k.FinishStatus(4200); k.FinishStatus(4300) }, "bye close(4200) end"},
		{"Close", func(k *Link) { k.Close(errors.New("enough")) }, "close(1001) end"},
		{"panic", func(k *Link) { panic("oh") }, "close(1011) end"},
		{"overflow", func(k *Link) {
			for range 20 {
				k.Write(frame(make([]byte, 20_000)))
			}
		}, "close(1008) end"},
		{"Stop", func(k *Link) {
			for _, l := range k.Loop().t.loops {
				l.queue.close()
			}
		}, "close(1001) end"},
	} {
		bubble(t, func(t *testing.T) {
			h := &hooks{packet: func(k *Link, _ codec.Packet) { x.end(k) }}
			w := &world{carrier: WebSocket, mem: true, net: memnet.New(1, memnet.Conditions{})}
			tr := w.start(t, Config{Loops: 1}, h)
			conn, br := wsDial(t, w.net, tr.Addr(WebSocket))
			conn.Write(wsRaw(fin|binary_, say("go")))
			if got := transcript(t, conn, br); got != x.want {
				t.Errorf("%s: %q, want %q", x.name, got, x.want)
			}
		})
	}
}

func TestPingsAreAnsweredOncePerReadAndLimited(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := &hooks{}
		w := &world{carrier: WebSocket, mem: true, net: memnet.New(1, memnet.Conditions{})}
		tr := w.start(t, Config{}, h)
		conn, br := wsDial(t, w.net, tr.Addr(WebSocket))
		conn.Write(slices.Concat(wsRaw(fin|ping, "one"), wsRaw(fin|ping, "two"), wsRaw(fin|ping, "three")))
		if got := transcript(t, conn, br); got != "pong(three) open" {
			t.Error("three at once:", got)
		}
		for range 10 { // a steady peer may go on for ever
			time.Sleep(controlWindow)
			conn.Write(bytes.Repeat(wsRaw(fin|pong, ""), maxControl))
		}
		time.Sleep(controlWindow)
		if h.closed.Load() != 0 {
			t.Fatal("closed within the limit")
		}
		conn.Write(bytes.Repeat(wsRaw(fin|ping, ""), maxControl+1))
		if got := transcript(t, conn, br); got != "close(1008) end" {
			t.Error("a flood:", got)
		}
		if err := h.closedWith(t); err != errControl {
			t.Error(err)
		}
	})
}

// TestEmptyMessagesAreLimited: they bring nothing that a session could count.
func TestEmptyMessagesAreLimited(t *testing.T) {
	for _, b := range [][]byte{wsRaw(fin|binary_, ""), slices.Concat(wsRaw(binary_, ""), wsRaw(fin|contin, ""))} {
		bubble(t, func(t *testing.T) {
			h := &hooks{}
			w := &world{carrier: WebSocket, mem: true, net: memnet.New(1, memnet.Conditions{})}
			tr := w.start(t, Config{}, h)
			conn, br := wsDial(t, w.net, tr.Addr(WebSocket))
			conn.Write(bytes.Repeat(b, maxControl))
			if got := transcript(t, conn, br); got != "open" {
				t.Error("within the limit:", got)
			}
			time.Sleep(controlWindow)
			conn.Write(bytes.Repeat(b, maxControl+1))
			if err := h.closedWith(t); err != errControl {
				t.Error(err)
			}
		})
	}
}

// TestPeerThatPingsAndReadsNothing: pongs do not pile up for it.
func TestPeerThatPingsAndReadsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &world{carrier: WebSocket, mem: true, net: memnet.New(1, memnet.Conditions{})}
		var link *Link
		tr := w.start(t, Config{Loops: 1, SendBuffer: 4096, MaxBody: 4096}, &hooks{open: func(k *Link) { link = k }})
		conn, _ := wsDial(t, w.net, tr.Addr(WebSocket))
		for range 100 {
			for range 50 {
				conn.Write(wsRaw(fin|ping, strings.Repeat("x", 125)))
				time.Sleep(time.Millisecond)
			}
			time.Sleep(time.Second)
		}
		onLoop(t, tr.Loops()[0], func() {
			if n := link.self.waiting(); n > 4096 {
				t.Errorf("%d bytes wait for a peer that does not read", n)
			}
		})
	})
}

func TestWebSocketPathDoesNotAllocate(t *testing.T) {
	l, _ := testLoop(Config{}, &echoHandler{})
	l.t.maxPending = 1
	s := &fakeStream{in: []byte("GET / HTTP/1.1\r\nHost: x\r\n" + upgradeHeaders + "\r\n")}
	l.begin()
	k := l.openStream(WebSocket, s, netip.MustParseAddrPort("10.0.0.1:1"))
	k.Data(s)
	l.end()
	if k.base().state&stateOpened == 0 || len(s.in) != 0 {
		t.Fatalf("not open, %d bytes left", len(s.in))
	}
	s.written = 0
	one := string(frame(bytes.Repeat([]byte("m"), 64)))
	in := slices.Concat(wsRaw(fin|binary_, strings.Repeat(one, 10)), wsRaw(fin|ping, "hey"), wsRaw(binary_, one), wsRaw(fin|contin, one))
	scratch := make([]byte, len(in))
	run := func() {
		copy(scratch, in) // it is unmasked in place
		s.in = scratch
		k.(*wsLink).control = 0 // a second has passed
		l.begin()
		k.Data(s)
		l.end()
	}
	run()
	if k.base().state&stateClosed != 0 {
		t.Fatal("closed")
	}
	if got := testing.AllocsPerRun(100, run); got != 0 {
		t.Errorf("%v allocations for 12 messages and a ping", got)
	}
	if want := 102 * (4 + 12*len(one) + 5); s.written != want {
		t.Errorf("%d bytes written, want %d: one message for each batch, and a pong", s.written, want)
	}
}

// TestUpgradeAnswers holds requests against their answers, whole and in pieces.
func TestUpgradeAnswers(t *testing.T) {
	get := func(path, headers string) string { return "GET " + path + " HTTP/1.1\r\n" + headers + "\r\n" }
	host := "Host: game.example:7778\r\n"
	for _, x := range []struct {
		name, say, want string
		cfg             Config
	}{
		{"plain", get("/", host+upgradeHeaders), "101", Config{}},
		{"lower case", get("/", strings.ToLower(host)+strings.ReplaceAll(upgradeHeaders, "Connection: Upgrade", "connection: keep-alive, upgrade")), "101", Config{}},
		{"any path", get("/any/where?x=1", host+upgradeHeaders), "101", Config{}},
		{"its path", get("/play?x=1", host+upgradeHeaders), "101", Config{WebSocketPath: "/play"}},
		{"another path", get("/plays", host+upgradeHeaders), "404", Config{WebSocketPath: "/play"}},
		{"a page asks", get("/", host), "400", Config{}},
		{"POST", "POST / HTTP/1.1\r\n" + host + upgradeHeaders + "\r\n", "405", Config{}},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n" + host + upgradeHeaders + "\r\n", "505", Config{}},
		{"no host", get("/", upgradeHeaders), "400", Config{}},
		{"no key", get("/", host+strings.ReplaceAll(upgradeHeaders, "Sec-WebSocket-Key", "X-Key")), "400", Config{}},
		{"another version", get("/", host+strings.ReplaceAll(upgradeHeaders, "13", "8")), "426", Config{}},
		{"bare line feeds", get("/", host+"\n"+upgradeHeaders), "400", Config{}},
		{"no request", "HELLO\r\n\r\n", "400", Config{}},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00", "", Config{}},
		{"frames", string(beat), "", Config{}},
		{"too large", get("/", host+"Cookie: "+strings.Repeat("x", maxRequest)+"\r\n"+upgradeHeaders), "431", Config{}},
		{"just not too large", get("/", host+"Cookie: "+strings.Repeat("x", maxRequest-250)+"\r\n"+upgradeHeaders), "101", Config{}},
		{"subprotocol", get("/", host+upgradeHeaders+"Sec-WebSocket-Protocol: chat, lifeline\r\n"), "101 lifeline", Config{}},
		{"subprotocol in a second line", get("/", host+upgradeHeaders+"Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: lifeline\r\n"), "101 lifeline", Config{}},
		{"another subprotocol", get("/", host+upgradeHeaders+"Sec-WebSocket-Protocol: chat\r\n"), "400", Config{}},
		{"extensions", get("/", host+upgradeHeaders+"Sec-WebSocket-Extensions: permessage-deflate\r\n"), "101", Config{}},
		{"same host, other port", get("/", host+upgradeHeaders+"Origin: https://Game.example:8080\r\n"), "101", Config{}},
		{"other host", get("/", host+upgradeHeaders+"Origin: https://evil.example\r\n"), "403", Config{}},
		{"host as a prefix", get("/", host+upgradeHeaders+"Origin: https://game.example.evil.example\r\n"), "403", Config{}},
		{"host as a user", get("/", host+upgradeHeaders+"Origin: https://game.example@evil.example\r\n"), "403", Config{}},
		{"null origin", get("/", host+upgradeHeaders+"Origin: null\r\n"), "403", Config{}},
		{"empty origin", get("/", host+upgradeHeaders+"Origin: \r\n"), "403", Config{}},
		{"two origins", get("/", host+upgradeHeaders+"Origin: https://game.example\r\nOrigin: https://game.example\r\n"), "403", Config{}},
		{"same host by address", get("/", "Host: [::1]:7778\r\n"+upgradeHeaders+"Origin: http://[::1]:8080\r\n"), "101", Config{}},
		{"listed origin", get("/", host+upgradeHeaders+"Origin: https://play.example\r\n"), "101", Config{Origins: []string{"https://play.example"}}},
		{"listed origin, other scheme", get("/", host+upgradeHeaders+"Origin: http://play.example\r\n"), "403", Config{Origins: []string{"https://play.example"}}},
		{"own host is not on the list", get("/", host+upgradeHeaders+"Origin: https://game.example\r\n"), "403", Config{Origins: []string{"https://play.example"}}},
		{"every origin", get("/", host+upgradeHeaders+"Origin: null\r\n"), "101", Config{Origins: []string{"*"}}},
	} {
		for _, size := range []int{1 << 20, max(1, len(x.say)/300)} {
			bubble(t, func(t *testing.T) {
				w := &world{carrier: WebSocket, mem: true, net: memnet.New(1, memnet.Conditions{})}
				h := &hooks{}
				tr := w.start(t, x.cfg, h)
				conn, err := w.net.DialTCP(context.Background(), tr.Addr(WebSocket))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				for b := x.say; len(b) > 0; {
					n := min(size, len(b))
					if _, err := io.WriteString(conn, b[:n]); err != nil {
						break
					}
					b = b[n:]
					time.Sleep(time.Millisecond)
				}
				conn.SetReadDeadline(time.Now().Add(time.Second))
				br, got := bufio.NewReader(conn), ""
				if r, err := http.ReadResponse(br, nil); err == nil {
					got = strings.TrimSpace(fmt.Sprint(r.StatusCode, " ", r.Header.Get("Sec-WebSocket-Protocol")))
					if r.Header.Get("Sec-WebSocket-Extensions") != "" {
						t.Errorf("%s: agreed on an extension", x.name)
					}
					io.Copy(io.Discard, r.Body)
				}
				if got != x.want {
					t.Errorf("%s: answered %q, want %q", x.name, got, x.want)
				}
				open := strings.HasPrefix(x.want, "101")
				if _, err := br.ReadByte(); !open && err != io.EOF {
					t.Errorf("%s: not closed after the answer: %v", x.name, err)
				}
				if n := h.opened.Load(); (n == 1) != open {
					t.Errorf("%s: %d links opened", x.name, n)
				}
				conn.Close()
				time.Sleep(3 * time.Second)
				s := tr.Stats()
				if refused := s.RequestsRefused + s.OriginsRefused; (refused == 1) == open || s.Carriers["ws"].Open != 0 {
					t.Errorf("%s: %+v", x.name, s)
				}
			})
		}
	}
}

// TestRefusedPageIsToldOnce: the developer of a page on another host finds in the log why it
// gets no link; a page that asks often does not fill it.
func TestRefusedPageIsToldOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &world{carrier: WebSocket, mem: true, net: memnet.New(1, memnet.Conditions{})}
		var log lines
		tr := w.start(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, &hooks{})
		ask := func(times int) {
			for range times {
				conn, err := w.net.DialTCP(context.Background(), tr.Addr(WebSocket))
				if err != nil {
					t.Fatal(err)
				}
				io.WriteString(conn, "GET / HTTP/1.1\r\nHost: play.example\r\n"+upgradeHeaders+"Origin: https://game.example\r\n\r\n")
				io.Copy(io.Discard, conn)
				conn.Close()
			}
		}
		told := func() int { return strings.Count(log.String(), "Config.Origins") }
		ask(3)
		if told() != 1 || !strings.Contains(log.String(), "from=https://game.example to=play.example times=1") {
			t.Errorf("the log says\n%s", log.String())
		}
		time.Sleep(tellEvery)
		ask(1)
		if told() != 2 || !strings.Contains(log.String(), "times=3") {
			t.Errorf("a minute later the log says\n%s", log.String())
		}
	})
}
