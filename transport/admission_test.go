// SPDX-License-Identifier: MIT

package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/kcptest"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestWhatALinkTakesIsGivenBackOnce has links of all carriers open, half or whole, be
// refused, evicted, panic and close, and counts what is left.
func TestWhatALinkTakesIsGivenBackOnce(t *testing.T) {
	seeds := 10
	if testing.Short() {
		seeds = 2
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { bubble(t, func(t *testing.T) { giveBack(t, seed) }) })
	}
}

func giveBack(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	n := func(most int) int {
		mu.Lock()
		defer mu.Unlock()
		return rng.IntN(most)
	}
	h := &hooks{}
	upset := func(k *Link) {
		switch n(10) {
		case 0:
			k.Close(io.EOF)
		case 1:
			k.Finish()
		case 2:
			panic("of the game")
		}
	}
	h.open = upset
	h.packet = func(k *Link, p codec.Packet) { upset(k) }
	h.close = func(*Link, error) {
		if n(10) == 0 {
			panic("of the game, again")
		}
	}
	w := &world{carrier: WebSocket, tls: seed%2 == 0, mem: true, net: memnet.New(seed, memnet.Conditions{Delay: 5 * time.Millisecond})}
	tr := w.start(t, Config{
		Loops: 2, MaxLinks: 30, MaxPlainLinks: 10, MaxPlainPerAddress: 3, LinksPerAddress: 4, OpensPerAddress: 1,
		TCP: "127.0.0.1:0", PlainKCP: "127.0.0.1:0", KCP: "127.0.0.1:0", SealedTCP: "127.0.0.1:0",
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
	}, h)
	addrs := []string{"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "198.51.100.7", "127.0.0.1"}
	var all sync.WaitGroup
	for range 400 {
		w.net.NextAddr(netip.MustParseAddr(addrs[n(len(addrs))]))
		c := Carriers()[n(int(carriers)-1)]
		hold := time.Duration(n(3000)) * time.Millisecond
		if c == KCP || c == PlainKCP {
			pc, err := w.net.ListenPacket()
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				defer pc.Close()
				var to net.PacketConn = pc
				conv := nextConv.Add(1)
				if c == KCP {
					s, err := shake(pc, net.UDPAddrFromAddrPort(tr.Addr(c)), newInitiator(tr))
					if err != nil || n(4) == 0 {
						return
					}
					to, conv = s, s.link.Conn.ID()
				}
				k := kcptest.Dial(to, net.UDPAddrFromAddrPort(tr.Addr(c)), conv)
				_, _ = k.Write(beat)
				time.Sleep(hold)
				k.Cut()
			})
			continue
		}
		conn, err := w.net.DialTCP(context.Background(), tr.Addr(c))
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			if n(3) == 0 {
				fmt.Fprintf(conn, "PROXY TCP4 192.0.2.%d 192.0.2.9 1 2\r\n", n(3))
			}
			var on net.Conn = conn
			switch {
			case n(5) == 0: // says nothing
			case n(5) == 0:
				_, _ = conn.Write([]byte("GET / HTTP/1.1\r\n\x16\x03\x01\x02\x00")[n(17):])
			case c == WebSocket:
				if w.tls {
					s := tls.Client(conn, clientTLS())
					if s.Handshake() != nil || n(5) == 0 {
						break
					}
					on = s
				}
				on = newWSConn(on, codec.DefaultMaxBody)
			case c == SealedTCP:
				on = newStcpConn(conn, tr.PublicKey(), codec.DefaultMaxBody)
			}
			for range n(4) {
				_, _ = on.Write(frame([]byte("x")))
				time.Sleep(hold / 4)
			}
			if n(4) == 0 {
				conn.Cut()
			}
		})
		if n(4) == 0 {
			time.Sleep(time.Duration(n(500)) * time.Millisecond)
		}
	}
	if n(2) == 0 {
		all.Wait() // else some are on their way
	}
	stop(t, tr)
	all.Wait()
	a := &tr.admission
	s := tr.Stats()
	if a.links.Load() != 0 || s.Arriving != 0 || len(a.plain.links) != 0 || h.opened.Load() != h.closed.Load() {
		t.Errorf("%d links, %d arriving, %d plain, %d opened, %d closed", a.links.Load(), s.Arriving, len(a.plain.links), h.opened.Load(), h.closed.Load())
	}
	for name, c := range s.Carriers {
		if c.Open != 0 {
			t.Errorf("%d open of %s", c.Open, name)
		}
		if testing.Verbose() {
			t.Logf("%s %+v", name, c)
		}
	}
	for network, use := range a.addrs.networks {
		if use.links != 0 {
			t.Errorf("%d links of %v", use.links, network)
		}
	}
	for _, l := range tr.loops {
		p := plainOf(l)
		if len(l.streams) != 0 || l.pending.Len() != 0 || l.shaking.Len() != 0 || l.partials.bytes != 0 || len(l.partials.at) != 0 ||
			len(p.table) != 0 || p.unvalidated.Len() != 0 || len(p.unvalidatedEntry) != 0 {
			t.Errorf("loop %d: %d streams, %d pending, %d shaking, %d bytes of partial frames, %d plain links, %d not validated",
				l.index, len(l.streams), l.pending.Len(), l.shaking.Len(), l.partials.bytes, len(p.table), p.unvalidated.Len())
		}
	}
	if testing.Verbose() {
		t.Logf("opened %d panics %d evicted %d timeouts %d", h.opened.Load(), s.Panics, s.ConnectionsEvicted, s.OpeningTimeouts)
	}
}
