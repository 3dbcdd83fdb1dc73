// SPDX-License-Identifier: MIT

package transport

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/transport/memnet"
)

func limiterOf(t *testing.T, c Config) *addrLimiter {
	t.Helper()
	d := new(addrLimiter)
	d.init(&c)
	return d
}

// acquire counts a link of a, or refuses it.
func (d *addrLimiter) acquire(a netip.Addr, now time.Duration) bool { return d.take(a, now, 1, d.cost) }

func TestAddrLimiterCountsLinks(t *testing.T) {
	d := limiterOf(t, Config{LinksPerAddress: 2, OpensPerAddress: -1})
	in := func(a string) bool { return d.acquire(netip.MustParseAddr(a), 0) }
	for _, s := range []struct {
		addr string
		want bool
	}{
		{"192.0.2.1", true}, {"::ffff:192.0.2.1", true}, {"192.0.2.1", false}, // the same one
		{"192.0.2.2", true},                                                                   // another
		{"2001:db8:0:1::1", true}, {"2001:db8:0:1:ffff::2", true}, {"2001:db8:0:1::3", false}, // one customer's 64 bits
		{"2001:db8:0:2::1", true},
		{"127.0.0.1", true}, {"127.0.0.1", true}, {"127.0.0.1", true}, {"::1", true}, {"::1", true}, {"::1", true},
	} {
		if got := in(s.addr); got != s.want {
			t.Errorf("%s: %v, want %v", s.addr, got, s.want)
		}
	}
	d.release(netip.MustParseAddr("192.0.2.1"))
	if !in("192.0.2.1") || in("192.0.2.1") {
		t.Error("a link that has left makes room for one")
	}
	// A peer that migrates takes its place along, and is not refused for that.
	d.move(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8:0:1::9"), 0)
	if !in("192.0.2.1") {
		t.Error("a link that moved away still counts")
	}
}

func TestAddrLimiterBoundsOpenings(t *testing.T) {
	d := limiterOf(t, Config{LinksPerAddress: -1, OpensPerAddress: 10})
	a, now := netip.MustParseAddr("192.0.2.1"), time.Hour
	n := 0
	for ; d.acquire(a, now); n++ {
		d.release(a) // closing them at once does not help
	}
	if n != 100 {
		t.Errorf("%d at once, want ten seconds' worth", n)
	}
	for range 100 {
		if now += 100 * time.Millisecond; !d.acquire(a, now) || d.acquire(a, now) {
			t.Fatal("not ten a second")
		}
	}
}

// TestAddrLimiterForgets: an attacker with many addresses, each of which it uses
// once, leaves nothing behind.
func TestAddrLimiterForgets(t *testing.T) {
	d := limiterOf(t, Config{})
	now := time.Duration(0)
	for i := range 200_000 {
		now += 100 * time.Microsecond
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if !d.acquire(a, now) {
			t.Fatal("refused")
		}
		d.release(a)
	}
	if n := len(d.networks); n > 1000 { // in the ten milliseconds that one link takes there are 100
		t.Errorf("%d of 200,000 addresses are remembered", n)
	}
}

// TestAddrLimiterForgetsWhereLinksWere: players on the move leave more addresses than
// they come from, and leave nothing behind.
func TestAddrLimiterForgetsWhereLinksWere(t *testing.T) {
	d := limiterOf(t, Config{})
	now := time.Duration(0)
	at := func(i int) netip.Addr {
		return netip.AddrFrom16([16]byte{0x20, 1, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
	}
	const moves = 10
	for i := range 20_000 {
		now += time.Second
		a := at(i * moves)
		if !d.acquire(a, now) {
			t.Fatal("refused")
		}
		for n := 1; n < moves; n++ {
			to := at(i*moves + n)
			d.move(a, to, now)
			a = to
		}
		d.release(a)
	}
	if n := len(d.networks); n > 1000 {
		t.Errorf("%d networks of 200,000 addresses are remembered", n)
	}
}

// TestAddrLimiterAfterARush: when 100,000 addresses have gone, the table is small again. In one
// that only has room for them each new address would be searched for those to forget.
func TestAddrLimiterAfterARush(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	d := limiterOf(t, Config{LinksPerAddress: 10, OpensPerAddress: -1})
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range 100_000 {
		d.acquire(at(i), 0)
	}
	if used := heap() - before; used < 4<<20 {
		t.Fatalf("it has %d bytes, which is too few to tell", used)
	}
	d.acquire(at(1), 0)
	for i := range 100_000 {
		d.release(at(i))
	}
	for i := 100_000; i < 160_000; i++ {
		d.acquire(at(i), 0)
		d.release(at(i))
	}
	if n := len(d.networks); n > 10 {
		t.Errorf("%d addresses stay", n)
	}
	if used := int64(heap()) - int64(before); used > 1<<20 {
		t.Errorf("%d bytes stay", used)
	}
	if o := d.networks[networksOf(at(1))[0]]; o.links != 1 {
		t.Errorf("%d links of the one that stayed", o.links)
	}
}

// TestAddressWithTooManyLinks: beyond the limit a link is refused before
// anything of it exists, and counted.
func TestAddressWithTooManyLinks(t *testing.T) {
	for _, carrier := range []Carrier{TCP} { // plain KCP has its own: only a validated address counts
		t.Run(carrier.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := &world{carrier: carrier, mem: true, net: memnet.New(1, memnet.Conditions{})}
				h := &hooks{}
				tr := w.start(t, Config{Loops: 2, LinksPerAddress: 3}, h)
				one := netip.MustParseAddr("192.0.2.7")
				for range 5 {
					w.net.NextAddr(one)
					c := w.dial(t, tr)
					_, _ = c.Write(beat)
				}
				other := w.dial(t, tr)
				other.write(beat)
				time.Sleep(time.Second)
				s := tr.Stats().Carriers[carrier.String()]
				if h.opened.Load() != 4 || s.AddressLimited < 2 || s.Open != 4 {
					t.Errorf("%d opened, %+v, want three of one address and one of another", h.opened.Load(), s)
				}
				for _, l := range tr.Loops() {
					onLoop(t, l, func() { l.closeAll(nil) })
				}
				time.Sleep(5 * time.Second) // a stock client opens again later
				tr.admission.addrs.mu.Lock()
				defer tr.admission.addrs.mu.Unlock()
				for key, o := range tr.admission.addrs.networks {
					if o.links != 0 {
						t.Errorf("%v still counts %d links", key, o.links)
					}
				}
			})
		})
	}
}

// TestTrustedProxySpeaksForItsPlayers: their addresses count, its own does not.
func TestTrustedProxySpeaksForItsPlayers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &world{carrier: TCP, mem: true, net: memnet.New(1, memnet.Conditions{})}
		h := &hooks{}
		proxy := netip.MustParseAddr("10.9.9.9")
		tr := w.start(t, Config{Loops: 1, LinksPerAddress: 2, TrustedProxies: []netip.Prefix{netip.PrefixFrom(proxy, 32)}}, h)
		say := func(player string) {
			w.net.NextAddr(proxy)
			conn, err := w.net.DialTCP(context.Background(), tr.Addr(TCP))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			_, _ = fmt.Fprintf(conn, "PROXY TCP4 %s 192.0.2.200 4000 7777\r\n%s", player, beat)
		}
		for range 4 {
			say("192.0.2.1")
		}
		say("192.0.2.2")
		time.Sleep(time.Second)
		if s := tr.Stats().Carriers["tcp"]; h.opened.Load() != 3 || s.AddressLimited != 2 {
			t.Errorf("%d opened, %+v, want two of one player and one of another", h.opened.Load(), s)
		}
	})
}

// TestAddrLimiterOfLargerNetworks: an attacker has many of the networks that customers get
// opens no more than sixteen of them do.
func TestAddrLimiterOfLargerNetworks(t *testing.T) {
	d := limiterOf(t, Config{LinksPerAddress: 10, OpensPerAddress: -1})
	in := func(format string, n int) (in int) {
		for i := range n {
			for range 20 {
				if d.acquire(netip.MustParseAddr(fmt.Sprintf(format, i)), 0) {
					in++
				}
			}
		}
		return in
	}
	if n := in("2001:db8:1:%02x::1", 100); n != 40 {
		t.Errorf("%d links of a /56, want 40", n)
	}
	if n := in("2001:db8:1:%02x00::1", 100); n != 120 {
		t.Errorf("%d more of its /48, want 120", n)
	}
	if n := in("2001:db8:2:%x::1", 1); n != 10 {
		t.Errorf("%d of a neighbour, want 10", n)
	}
	d = limiterOf(t, Config{LinksPerAddress: -1, OpensPerAddress: 10})
	if n := in("2001:db8:1:%02x::1", 100); n != 400 {
		t.Errorf("%d openings of a /56 at once, want 400", n)
	}
	d.move(netip.MustParseAddr("2001:db8:1::1"), netip.MustParseAddr("2001:db8:9::1"), 0)
	d.release(netip.MustParseAddr("2001:db8:9::1"))
	if n := d.networks[netip.MustParsePrefix("2001:db8:9::/48")].links; n != 0 {
		t.Errorf("%d links where one came and went", n)
	}
}

// TestPlainLinksOfAProxy: it stands for many players, and no other limit by address
// decides about MaxPlainPerAddress.
func TestPlainLinksOfAProxy(t *testing.T) {
	var a admission
	a.init(&Config{
		MaxPlainPerAddress: 1, LinksPerAddress: -1, OpensPerAddress: -1, Logger: quiet,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
	})
	for _, s := range []struct {
		from string
		want bool
	}{{"198.51.100.7", true}, {"198.51.100.7", true}, {"127.0.0.1", true}, {"::1", true}, {"::1", true}, {"192.0.2.1", true}, {"192.0.2.1", false}} {
		if got := a.validate(netip.MustParseAddr(s.from), 0); got != s.want {
			t.Errorf("%s: %v, want %v", s.from, got, s.want)
		}
	}
}

// lines is what a log wrote. Safe to use from any goroutine.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestManySealedLinksAtOnce: the handshakes of an address are bounded by nothing but
// OpensPerAddress, also while cookies are asked for. Those of this machine and of a
// trusted proxy are not.
func TestManySealedLinksAtOnce(t *testing.T) {
	const n = 200
	proxies := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	for name, c := range map[string]struct {
		from  string
		opens int // OpensPerAddress; ten times as many may come at once
		want  int64
	}{
		"this machine":    {"127.0.0.1", 2, n},
		"a trusted proxy": {"198.51.100.7", 2, n},
		"a school":        {"192.0.2.1", n / 10, n},
		"more than may":   {"192.0.2.1", 2, 20},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log lines
				h := &hooks{}
				w, tr := sealedWorld(t, memnet.Conditions{Delay: 5 * time.Millisecond}, Config{
					Loops: 1, CookieRate: 10, OpensPerAddress: c.opens, TrustedProxies: proxies, Logger: slog.New(slog.NewTextHandler(&log, nil)),
				}, h)
				var all sync.WaitGroup
				for range n {
					w.net.NextAddr(netip.MustParseAddr(c.from))
					pc, err := w.net.ListenPacket()
					if err != nil {
						t.Fatal(err)
					}
					all.Go(func() {
						defer pc.Close()
						s, err := shake(pc, net.UDPAddrFromAddrPort(tr.Addr(KCP)), newInitiator(tr))
						if err == nil {
							_ = s.sendBeside(beat)
							time.Sleep(time.Second)
						}
					})
				}
				time.Sleep(100 * time.Millisecond)
				if got := h.opened.Load(); got != c.want {
					t.Errorf("%d of %d links after 100 ms, want %d: %+v", got, n, c.want, tr.Stats().Handshakes)
				}
				if told := strings.Count(log.String(), "OpensPerAddress"); told != map[bool]int{true: 0, false: 1}[c.want == n] {
					t.Errorf("the log says\n%s", log.String())
				}
				all.Wait()
			})
		})
	}
}
