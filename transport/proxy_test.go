// SPDX-License-Identifier: MIT

package transport

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/transport/memnet"
)

// proxy2 returns a header of version 2 with the given command, family and rest.
func proxy2(command, family byte, rest ...byte) []byte {
	b := append([]byte(proxySignature), command, family, byte(len(rest)>>8), byte(len(rest)))
	return append(b, rest...)
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

var (
	four = unhex("c0000201 0a000001 1f90 1e61")
	six  = unhex("20010db8000000000000000000000001 20010db8000000000000000000000002 1f90 1e61")
)

func TestProxyHeaders(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		want string // "" for the zero AddrPort
		err  error
	}{
		{"v2 over IPv4", proxy2(0x21, 0x11, four...), "192.0.2.1:8080", nil},
		{"v2 over IPv6", proxy2(0x21, 0x21, six...), "[2001:db8::1]:8080", nil},
		{"v2 with more to tell", proxy2(0x21, 0x11, append(four[:12:12], make([]byte, 500)...)...), "192.0.2.1:8080", nil},
		{"v2 IPv4 in IPv6", proxy2(0x21, 0x21, append(unhex("00000000000000000000ffff c0000201"), six[16:]...)...), "192.0.2.1:8080", nil},
		{"v2 health check", proxy2(0x20, 0), "", nil},
		{"v2 health check with addresses", proxy2(0x20, 0x11, four...), "", nil},
		{"v2 unknown family", proxy2(0x21, 0), "", nil},
		{"v2 datagrams", proxy2(0x21, 0x12, four...), "", errBadProxy},
		{"v2 unix", proxy2(0x21, 0x31, make([]byte, 216)...), "", errBadProxy},
		{"v2 unknown command", proxy2(0x22, 0x11, four...), "", errBadProxy},
		{"v3", proxy2(0x31, 0x11, four...), "", errBadProxy},
		{"v2 too short for its addresses", proxy2(0x21, 0x11, four[:11]...), "", errBadProxy},
		{"v2 too short for IPv6", proxy2(0x21, 0x21, six[:35]...), "", errBadProxy},
		{"v2 too long", proxy2(0x21, 0x11, make([]byte, maxProxyHeader)...), "", errBadProxy},
		{"v1 over IPv4", []byte("PROXY TCP4 192.0.2.1 10.0.0.1 8080 7777\r\n"), "192.0.2.1:8080", nil},
		{"v1 over IPv6", []byte("PROXY TCP6 2001:db8::1 2001:db8::2 8080 7777\r\n"), "[2001:db8::1]:8080", nil},
		{"v1 unknown", []byte("PROXY UNKNOWN\r\n"), "", nil},
		{"v1 unknown with words", []byte("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"), "", nil},
		{"v1 wrong family", []byte("PROXY TCP4 2001:db8::1 2001:db8::2 8080 7777\r\n"), "", errBadProxy},
		{"v1 zone", []byte("PROXY TCP6 fe80::1%eth0 fe80::2 8080 7777\r\n"), "", errBadProxy},
		{"v1 port", []byte("PROXY TCP4 192.0.2.1 10.0.0.1 65536 7777\r\n"), "", errBadProxy},
		{"v1 missing port", []byte("PROXY TCP4 192.0.2.1 10.0.0.1 80\r\n"), "", errBadProxy},
		{"v1 line ending", []byte("PROXY TCP4 192.0.2.1 10.0.0.1 80 80\n"), "", errBadProxy},
		{"v1 without an end", []byte("PROXY " + strings.Repeat("x", 101)), "", errBadProxy},
		{"a frame", beat, "", errNoProxy},
		{"a request", []byte("GET / HTTP/1.1\r\n"), "", errNoProxy},
		{"almost v2", []byte("\r\n\r\n\x00\r\nQUIT\r"), "", errNoProxy},
	} {
		from, size, err := parseProxy(append(c.b[:len(c.b):len(c.b)], "and more"...))
		if err != c.err {
			t.Errorf("%s: error %v, want %v", c.name, err, c.err)
		}
		if err != nil {
			if size != 0 || from.IsValid() {
				t.Errorf("%s: %v and %d bytes besides an error", c.name, from, size)
			}
			continue
		}
		if got := from.String(); got != c.want && !(c.want == "" && !from.IsValid()) {
			t.Errorf("%s: from %v, want %v", c.name, got, c.want)
		}
		if size != len(c.b) {
			t.Errorf("%s: %d bytes, want %d", c.name, size, len(c.b))
		}
		for n := range c.b { // it may come in pieces
			if from, size, err := parseProxy(c.b[:n]); err != nil || size != 0 || from.IsValid() {
				t.Errorf("%s: the first %d bytes are %v, %d, %v", c.name, n, from, size, err)
			}
		}
	}
}

func FuzzProxyHeader(f *testing.F) {
	f.Add(proxy2(0x21, 0x11, four...))
	f.Add(proxy2(0x21, 0x21, six...))
	f.Add(proxy2(0x20, 0))
	f.Add([]byte("PROXY TCP4 192.0.2.1 10.0.0.1 8080 7777\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		from, size, err := parseProxy(b)
		if size < 0 || size > len(b) || size > maxProxyHeader || err != nil && size != 0 || from.IsValid() && size == 0 {
			t.Fatalf("%v, %d bytes, %v", from, size, err)
		}
		if size == 0 && err == nil && len(b) >= maxProxyHeader {
			t.Fatal("waits for more than it takes")
		}
		// Bytes behind it, and how many have come, change nothing.
		if size > 0 {
			again, n, err := parseProxy(b[:size])
			if again != from || n != size || err != nil {
				t.Fatalf("alone it is %v, %d bytes, %v", again, n, err)
			}
			if _, n, err := parseProxy(b[:size-1]); n != 0 || err != nil {
				t.Fatalf("without its last byte: %d bytes, %v", n, err)
			}
		}
	})
}

func TestForwardedFor(t *testing.T) {
	c := &Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	for _, x := range []struct {
		from, headers, want string
	}{
		{"10.1.1.1:80", "", "10.1.1.1:80"},
		{"10.1.1.1:80", "192.0.2.1", "192.0.2.1:0"},
		{"10.1.1.1:80", "192.0.2.1:555", "192.0.2.1:555"},
		{"10.1.1.1:80", "[2001:db8::1]:555", "[2001:db8::1]:555"},
		{"10.1.1.1:80", "2001:db8::1", "[2001:db8::1]:0"},
		{"10.1.1.1:80", "[2001:db8::1]", "[2001:db8::1]:0"},
		{"[fd00::1]:80", "192.0.2.1", "192.0.2.1:0"},
		{"192.0.2.9:80", "192.0.2.1", "192.0.2.9:80"},                            // not trusted
		{"10.1.1.1:80", "6.6.6.6, 192.0.2.1", "192.0.2.1:0"},                     // the player lies
		{"10.1.1.1:80", "6.6.6.6, 192.0.2.1,10.2.2.2 , 10.3.3.3", "192.0.2.1:0"}, // three proxies
		{"10.1.1.1:80", "6.6.6.6|192.0.2.1|10.2.2.2", "192.0.2.1:0"},             // headers of their own
		{"10.1.1.1:80", "10.2.2.2", "10.2.2.2:0"},                                // none but proxies
		{"10.1.1.1:80", "6.6.6.6, unknown", "10.1.1.1:80"},
		{"10.1.1.1:80", "6.6.6.6, _hidden, 10.2.2.2", "10.2.2.2:0"},
		{"10.1.1.1:80", "6.6.6.6,", "10.1.1.1:80"},
		{"10.1.1.1:80", "::ffff:192.0.2.1", "192.0.2.1:0"},
	} {
		var headers []string
		if x.headers != "" {
			headers = strings.Split(x.headers, "|")
		}
		if got := c.forwarded(netip.MustParseAddrPort(x.from), headers); got.String() != x.want {
			t.Errorf("from %s by %q: %v, want %s", x.from, x.headers, got, x.want)
		}
	}
}

// TestRemoteAddrBehindProxies: clients of the network in memory come from
// 10.0.0.0/8, and that is trusted or not.
func TestRemoteAddrBehindProxies(t *testing.T) {
	request := func(headers string) []byte {
		return []byte("GET / HTTP/1.1\r\nHost: game.example\r\n" + upgradeHeaders + headers + "\r\n")
	}
	v2 := proxy2(0x21, 0x11, four...)
	ten, other := "10.0.0.0/8", "172.16.0.0/12"
	for _, x := range []struct {
		name    string
		carrier Carrier
		trusted string
		say     []byte
		want    string // "own", or "" if the connection is closed
	}{
		{"tcp, trusted", TCP, ten, v2, "192.0.2.1:8080"},
		{"tcp, version 1", TCP, ten, []byte("PROXY TCP4 192.0.2.1 10.0.0.1 8080 7777\r\n"), "192.0.2.1:8080"},
		{"tcp, health check", TCP, ten, proxy2(0x20, 0), "own"},
		{"tcp, trusted without a header", TCP, ten, nil, ""},
		{"tcp, a header from others", TCP, other, v2, ""},
		{"tcp, no proxies", TCP, "", nil, "own"},
		{"ws, trusted", WebSocket, ten, append(v2[:len(v2):len(v2)], request("")...), "192.0.2.1:8080"},
		{"ws, forwarded", WebSocket, ten, request("X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\n"), "192.0.2.7:0"},
		{"ws, forwarded by a proxy behind a proxy", WebSocket, ten, append(proxy2(0x21, 0x11, unhex("0a090909 0a000001 1f90 1e61")...), request("x-forwarded-for: 192.0.2.7\r\n")...), "192.0.2.7:0"},
		{"ws, forwarded by the player itself", WebSocket, ten, append(v2[:len(v2):len(v2)], request("X-Forwarded-For: 6.6.6.6\r\n")...), "192.0.2.1:8080"},
		{"ws, forwarded from others", WebSocket, other, request("X-Forwarded-For: 192.0.2.7\r\n"), "own"},
		{"ws, a header from others", WebSocket, other, append(v2[:len(v2):len(v2)], request("")...), ""},
		{"ws, trusted says nothing of it", WebSocket, ten, request(""), "own"},
		{"ws, half a header of nonsense", WebSocket, ten, append([]byte("PROXY NONSENSE\r\n"), request("")...), ""},
	} {
		for _, pieces := range []int{1 << 20, 1} {
			t.Run(x.name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					w := &world{carrier: x.carrier, mem: true, net: memnet.New(1, memnet.Conditions{Delay: time.Millisecond})}
					seen := make(chan netip.AddrPort, 1)
					cfg := Config{}
					if x.trusted != "" {
						cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(x.trusted)}
					}
					tr := w.start(t, cfg, &hooks{open: func(k *Link) { seen <- k.RemoteAddr() }})
					conn, err := w.net.DialTCP(context.Background(), tr.Addr(x.carrier))
					if err != nil {
						t.Fatal(err)
					}
					defer conn.Close()
					say := x.say
					if x.carrier == TCP {
						say = append(say[:len(say):len(say)], beat...)
					}
					for len(say) > 0 {
						n := min(pieces, len(say))
						if _, err := conn.Write(say[:n]); err != nil {
							break
						}
						say = say[n:]
						if pieces == 1 {
							time.Sleep(time.Millisecond)
						}
					}
					time.Sleep(100 * time.Millisecond)
					want := x.want
					if want == "own" {
						want = conn.LocalAddr().String()
					}
					select {
					case got := <-seen:
						if got.String() != want && !(want == "" && x.trusted == other) {
							t.Errorf("the link is %v's, want %q", got, want)
						}
					default:
						if want != "" {
							t.Errorf("no link, want %s's", want)
						}
					}
					if want == "" {
						conn.SetReadDeadline(time.Now().Add(time.Second))
						if _, err := io.Copy(io.Discard, conn); errTimeout(err) == err {
							t.Error("still open")
						}
					}
				})
			})
		}
	}
}

func TestTrustedProxiesThatMakeNoSense(t *testing.T) {
	for _, p := range []netip.Prefix{{}, netip.MustParsePrefix("::ffff:10.0.0.0/104")} {
		if _, err := Start(Config{TrustedProxies: []netip.Prefix{p}, Logger: quiet}, &hooks{}); err == nil || !strings.Contains(err.Error(), "TrustedProxies") {
			t.Errorf("%v: %v", p, err)
		}
	}
}

// TestProxyThatSaysNothing is closed like every peer that opens no link.
func TestProxyThatSaysNothing(t *testing.T) {
	for _, say := range [][]byte{nil, []byte(proxySignature), bytes.Repeat([]byte("P"), 1)} {
		bubble(t, func(t *testing.T) {
			w := &world{carrier: TCP, mem: true, net: memnet.New(1, memnet.Conditions{})}
			h := &hooks{}
			tr := w.start(t, Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, OpeningTimeout: time.Second}, h)
			conn, err := w.net.DialTCP(context.Background(), tr.Addr(TCP))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			began := time.Now()
			conn.Write(say)
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || time.Since(began) != time.Second {
				t.Errorf("%q: %v after %v", say, err, time.Since(began))
			}
			if s := tr.Stats(); h.opened.Load() != 0 || s.OpeningTimeouts != 1 || s.Carriers["tcp"].Open != 0 {
				t.Errorf("%d opened, %+v", h.opened.Load(), s)
			}
		})
	}
}

func TestTrustedProxyOfTheSameCable(t *testing.T) {
	c := Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("fe80::/64")}}
	if !c.trusts(netip.MustParseAddr("fe80::1%eth0")) {
		t.Error("a proxy with a link-local address is not trusted")
	}
}
