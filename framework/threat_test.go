// SPDX-License-Identifier: MIT

package framework_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// The threats of transport/THREATS.md that concern the whole stack: a real client,
// a real server, and somebody who sees and sends whatever he likes.

// tap is a player's socket with an attacker on it: he sees every datagram, and
// can send from the player's address and port. Guarded by mu.
type tap struct {
	net.PacketConn
	mu       sync.Mutex
	up, down [][]byte
}

func (p *tap) WriteTo(b []byte, to net.Addr) (int, error) {
	p.mu.Lock()
	p.up = append(p.up, bytes.Clone(b))
	p.mu.Unlock()
	return p.PacketConn.WriteTo(b, to)
}

func (p *tap) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := p.PacketConn.ReadFrom(b)
	if err == nil {
		p.mu.Lock()
		p.down = append(p.down, bytes.Clone(b[:n]))
		p.mu.Unlock()
	}
	return n, from, err
}

func (p *tap) seen() (up, down [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.up), slices.Clone(p.down)
}

func (p *tap) latest() (up, down []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.up[len(p.up)-1], p.down[len(p.down)-1]
}

// quarry is a player who counts both ways, on a tapped socket.
type quarry struct {
	e   *env
	c   *client.Client
	tap *tap
	n   uint64
	at  netip.Addr // where all its sockets are, if given

	mu      sync.Mutex // guards the rest
	reached []uint64   // the server, in order
	echoed  []uint64
}

// came returns what reached the server, and what came back.
func (v *quarry) came() (reached, echoed []uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.reached), slices.Clone(v.echoed)
}

// setup makes a server tell the player what reached it.
func (v *quarry) setup(s *framework.Server) {
	framework.OnMessage(s, "say", func(p *framework.Player, n uint64) {
		v.mu.Lock()
		v.reached = append(v.reached, n)
		v.mu.Unlock()
		_ = p.Push("echo", n)
	})
}

func (v *quarry) connect(e *env) {
	e.t.Helper()
	v.e = e
	cfg := e.dialers(client.Config{Ticket: func(context.Context) ([]byte, error) { return []byte("ann"), nil }})
	listen := cfg.ListenPacket
	cfg.ListenPacket = func() (net.PacketConn, error) {
		if v.at.IsValid() {
			e.net.NextAddr(v.at)
		}
		pc, err := listen()
		v.tap = &tap{PacketConn: pc}
		return v.tap, err
	}
	c, err := client.New([]string{e.addr(transport.KCP)}, cfg)
	if err != nil {
		e.t.Fatal(err)
	}
	client.OnMessage(c, "echo", func(n uint64) {
		v.mu.Lock()
		v.echoed = append(v.echoed, n)
		v.mu.Unlock()
	})
	e.clients = append(e.clients, c)
	v.c = c
	e.connect(c)
}

// talk says k numbers, and waits until all have come back.
func (v *quarry) talk(k int) {
	v.e.t.Helper()
	for range k {
		v.n++
		if err := v.c.Send("say", v.n); err != nil {
			v.e.t.Fatal(err)
		}
	}
	v.e.within(20*time.Second, "the player is heard and hears", func() bool {
		_, echoed := v.came()
		return len(echoed) >= int(v.n)
	})
}

// unharmed checks that nothing was lost, repeated or noticed.
func (v *quarry) unharmed() {
	v.e.t.Helper()
	v.intact()
	if s := v.c.Stats(); s.Losses != 0 || s.Resumes != 0 {
		v.e.t.Fatalf("the player noticed: %+v", s)
	}
}

// intact checks that everything came once and in order.
func (v *quarry) intact() {
	v.e.t.Helper()
	want := make([]uint64, v.n)
	for i := range want {
		want[i] = uint64(i + 1)
	}
	if reached, echoed := v.came(); !slices.Equal(reached, want) || !slices.Equal(echoed, want) {
		v.e.t.Fatalf("said %d: %d reached the server, %d came back, or not in order", v.n, len(reached), len(echoed))
	}
}

// server is where the quarry's datagrams go.
func (v *quarry) server() net.Addr {
	return net.UDPAddrFromAddrPort(v.e.srv.Addr(transport.KCP))
}

// T6, T17: an attacker who has the player's own address and port, and knows the
// connection id and every datagram so far, can't make a difference.
func TestThreatForgedFromThePlayersOwnAddress(t *testing.T) {
	rounds := 2000 // a million datagrams
	if testing.Short() {
		rounds = 40
	}
	forgedFromItsOwnAddress(t, netip.Addr{}, rounds)
	forgedFromItsOwnAddress(t, netip.MustParseAddr("2001:db8::7"), rounds/20)
}

func forgedFromItsOwnAddress(t *testing.T, at netip.Addr, rounds int) {
	const perRound = 500
	v := quarry{at: at}
	simulate(t, 1, memnet.Conditions{Delay: 5 * time.Millisecond}, framework.Config{Loops: 2}, v.setup, func(e *env) {
		v.connect(e)
		v.talk(20)
		rnd := rand.New(rand.NewPCG(1, 2))
		up, down := v.tap.seen()
		thief, err := e.net.ListenPacket()
		if err != nil {
			t.Fatal(err)
		}
		defer thief.Close()
		home := v.tap.PacketConn.LocalAddr()
		if got := home.(*net.UDPAddr).AddrPort().Addr(); at.IsValid() && got != at {
			t.Fatalf("the player is at %v, want %v", got, at)
		}
		for range rounds {
			for range perRound {
				b := forge(rnd, up)
				_, _ = v.tap.PacketConn.WriteTo(b, v.server())
				// And to the player, as if from the server: also resets for what it sent last.
				switch rnd.IntN(20) {
				case 0:
					_, _ = thief.WriteTo(forge(rnd, down), home)
				case 1:
					up, _ := v.tap.latest()
					reset := append(bytes.Clone(up[:4]), byte(seal.TypeReset), 1, 0, 0)
					_, _ = thief.WriteTo(append(reset, up[len(up)-8:]...), home)
				}
			}
			time.Sleep(10 * time.Millisecond)
			v.talk(1)
		}
		v.unharmed()
		s := e.srv.Stats().Transport
		if s.Migrations != 0 || s.Carriers["kcp"].Open != 1 || s.Panics != 0 {
			t.Errorf("%+v", s)
		}
		if forged := s.DroppedForged; forged < uint64(rounds*perRound/10) {
			t.Errorf("only %d forgeries were counted", forged)
		}
	})
}

// forge makes a datagram of any type out of those that were seen.
func forge(rnd *rand.Rand, seen [][]byte) []byte {
	b := bytes.Clone(seen[rnd.IntN(len(seen))])
	last := seen[len(seen)-1] // of the link
	switch rnd.IntN(6) {
	case 0: // a bit
		b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
	case 1: // a later number
		copy(b, last[:4])
		b[4] = byte(seal.TypeSealed)
		for i := 5; i < 8; i++ {
			b[i] = byte(rnd.Uint32())
		}
	case 2: // any type, any rest
		b = make([]byte, 8+rnd.IntN(200))
		copy(b, last[:4])
		for i := 8; i < len(b); i++ {
			b[i] = byte(rnd.Uint32())
		}
		b[4] = []byte{1, 2, 3, 4, 5, 0x10, 0x11, 0x1f, 0x51, 0x52, 0x53, 0x54, byte(rnd.Uint32())}[rnd.IntN(13)]
	case 3: // plain KCP of the right conversation
		b = binary.LittleEndian.AppendUint32(bytes.Clone(last[:4]), 0x51+rnd.Uint32N(4))
		b = append(b, make([]byte, 16+rnd.IntN(30))...)
	case 4: // a control datagram without the key
		b = append(bytes.Clone(last[:4]), byte(seal.TypeControl), byte(rnd.Uint32()), 0, 0, 3)
		b = append(b, make([]byte, 16)...)
	case 5: // cut short
		b = b[:rnd.IntN(len(b))]
	}
	return b
}

// T7: everything that a player and its server ever said, played back to both,
// delivers nothing: in order, reversed, from elsewhere, after the server's restart.
func TestThreatRecordedConversationPlayedBack(t *testing.T) {
	for _, at := range []netip.Addr{{}, netip.MustParseAddr("2001:db8::7")} {
		synctest.Test(t, func(t *testing.T) { playedBack(t, at) })
	}
}

func playedBack(t *testing.T, at netip.Addr) {
	network := memnet.New(1, memnet.Conditions{Delay: 5 * time.Millisecond})
	cfg := framework.Config{Loops: 2, Secret: session.Secret{7}, KeyFile: filepath.Join(t.TempDir(), "key")}
	v := quarry{at: at}
	e := serve(t, network, "10.0.0.1", cfg, v.setup)
	v.connect(e)
	v.talk(50)
	v.c.Cut() // the second link is opened with the seal key
	v.talk(50)
	before := v.c.Stats()
	up, down := v.tap.seen()
	if len(up) < 5 || seal.PacketType(up[0][4]) != seal.TypeResumeHello {
		t.Fatalf("the second link was not opened with the seal key: %x", up[0][:8])
	}
	stranger, err := network.ListenPacket()
	if err != nil {
		t.Fatal(err)
	}
	play := func(from net.PacketConn, record [][]byte, to net.Addr) {
		for range 3 {
			for _, b := range record {
				_, _ = from.WriteTo(b, to)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	reversed := slices.Clone(up)
	slices.Reverse(reversed)
	play(v.tap.PacketConn, up, v.server())
	play(v.tap.PacketConn, reversed, v.server())
	play(stranger, up, v.server())
	play(stranger, down, v.tap.PacketConn.LocalAddr())
	v.talk(10)
	v.intact()
	if s := v.c.Stats(); s.Losses != before.Losses {
		t.Errorf("the player noticed: %+v", s)
	}
	if s := e.srv.Stats(); s.Sessions != 1 || s.Transport.Migrations != 0 || s.Transport.Carriers["kcp"].Opened != 2 {
		t.Errorf("%+v", s)
	}
	_ = v.c.Close()
	e.end()
	e.clients = nil
	// The same address, key and secret, another process.
	e = serve(t, network, "10.0.0.1", cfg, v.setup)
	defer e.end()
	play(stranger, up, net.UDPAddrFromAddrPort(e.srv.Addr(transport.KCP)))
	time.Sleep(10 * time.Second)
	v.intact()
	if s := e.srv.Stats(); s.Sessions != 0 || s.Transport.Carriers["kcp"].Opened != 0 {
		t.Errorf("after the restart: %+v", s)
	}
	_ = stranger.Close()
}

// T22: a server that dies without a word and is started anew: its player knows
// within a second of sending something, and logs in again.
func TestThreatServerThatWasKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New(1, memnet.Conditions{})
		cfg := framework.Config{Loops: 2, Secret: session.Secret{7}, KeyFile: filepath.Join(t.TempDir(), "key")}
		var v quarry
		e := serve(t, network, "10.0.0.1", cfg, v.setup)
		v.connect(e)
		defer func() { _ = v.c.Close() }()
		v.talk(3)
		network.SetConditions(memnet.Conditions{Loss: 1}) // its last words are lost
		hurry, cancel := context.WithTimeout(context.Background(), time.Second)
		_ = e.srv.Shutdown(hurry) // in time or not
		cancel()
		time.Sleep(3 * time.Second)
		again := serve(t, network, "10.0.0.1", cfg, v.setup)
		defer again.end()
		network.SetConditions(memnet.Conditions{Delay: 10 * time.Millisecond})
		if s := v.c.Stats(); s.Losses != 0 {
			t.Fatalf("it knows already: %+v", s)
		}
		_ = v.c.Send("say", uint64(4))
		again.within(time.Second, "the player knows", func() bool { return v.c.Stats().Losses == 1 })
		again.within(5*time.Second, "the player has logged in again", func() bool { return v.c.Stats().Opens == 2 })
	})
}

// T24: a client of sealed KCP never speaks in clear, whatever answers it.
func TestThreatNobodyIsTalkedOutOfEncryption(t *testing.T) {
	cfg := client.Config{Logger: slog.New(slog.DiscardHandler)}
	if _, err := client.New([]string{"kcp://server:1"}, cfg); err == nil || !strings.Contains(err.Error(), "ServerKey") {
		t.Errorf("without a key: %v", err)
	}
	stranger, err := seal.NewKey(rand.NewChaCha8([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	cfg.ServerKey = stranger.Text()
	if _, err := client.New([]string{"kcp://server:1"}, cfg); err == nil || !strings.Contains(err.Error(), "private") {
		t.Errorf("with a private key: %v", err)
	}
	simulate(t, 1, memnet.Conditions{}, framework.Config{}, nil, func(e *env) {
		for name, addr := range map[string]string{
			"another server's key": e.addr(transport.KCP),
			"a port of plain KCP":  "kcp://" + e.srv.Addr(transport.PlainKCP).String(),
		} {
			var tapped *tap
			cfg := e.dialers(client.Config{Ticket: func(context.Context) ([]byte, error) { return []byte("secret ticket"), nil }})
			if name == "another server's key" {
				cfg.ServerKey = stranger.Public().String()
			}
			listen := cfg.ListenPacket
			cfg.ListenPacket = func() (net.PacketConn, error) {
				pc, err := listen()
				tapped = &tap{PacketConn: pc}
				return tapped, err
			}
			c, err := client.New([]string{addr}, cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			if err := c.Connect(ctx); err == nil {
				t.Errorf("%s: connected", name)
			}
			cancel()
			up, _ := tapped.seen()
			for _, b := range up {
				if seal.PacketType(b[4]) != seal.TypeHello || bytes.Contains(b, []byte("secret")) {
					t.Errorf("%s: sent %x", name, b[:16])
				}
			}
			_ = c.Close()
		}
		if s := e.srv.Stats(); s.Sessions != 0 {
			t.Errorf("%d sessions", s.Sessions)
		}
	})
}

// T11, scenario 37: a player whose address changes again and again stays on its
// link: nothing lost, nothing twice, no resume, and it waits no longer than
// two round trips and 100 ms.
func TestThreatAddressThatChangesAllTheTime(t *testing.T) {
	for _, loops := range []int{1, 4} {
		var v quarry
		const delay = 50 * time.Millisecond
		simulate(t, uint64(loops), memnet.Conditions{Delay: delay}, framework.Config{Loops: loops}, v.setup, func(e *env) {
			v.connect(e)
			v.talk(3)
			worst, last, heard := time.Duration(0), time.Now(), 3
			for i := range 600 { // a minute, a message every 100 ms
				if i%20 == 10 && !v.c.Rebind() {
					t.Fatal("can't change the address")
				}
				v.n++
				if err := v.c.Send("say", v.n); err != nil {
					t.Fatal(err)
				}
				for range 10 {
					time.Sleep(10 * time.Millisecond)
					if _, echoed := v.came(); len(echoed) > heard {
						heard, last = len(echoed), time.Now()
					}
					worst = max(worst, time.Since(last))
				}
			}
			v.talk(1)
			v.unharmed()
			s := e.srv.Stats().Transport
			if s.Migrations < 29 {
				t.Errorf("%d loops: moved %d times, want 30", loops, s.Migrations)
			}
			if limit := 2*2*delay + 110*time.Millisecond; worst > limit { // looked at every 10 ms
				t.Errorf("%d loops: %v without a message, want at most %v", loops, worst, limit)
			}
			t.Logf("%d loops: %d moves, worst gap %v", loops, s.Migrations, worst)
		})
	}
}

// Scenario 39: what was sent beside the stream before a cut is not repeated
// after it, and a datagram of the old link that comes late goes nowhere.
func TestThreatDatagramOfAnOldLink(t *testing.T) {
	var mu sync.Mutex
	var got []uint64
	setup := func(s *framework.Server) {
		framework.OnMessage(s, "aim", func(_ *framework.Player, n uint64) {
			mu.Lock()
			got = append(got, n)
			mu.Unlock()
		})
	}
	has := func(n int) bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got) >= n
	}
	var v quarry
	simulate(t, 1, memnet.Conditions{Delay: 5 * time.Millisecond}, framework.Config{}, setup, func(e *env) {
		v.connect(e)
		for n := range uint64(10) {
			if err := v.c.SendNewest("aim", n+1); err != nil {
				t.Fatal(err)
			}
		}
		e.within(time.Second, "all have come", func() bool { return has(10) })
		up, _ := v.tap.seen()
		v.c.Cut()
		e.within(10*time.Second, "back", func() bool { return v.c.Stats().Resumes == 1 })
		for _, b := range up {
			_, _ = v.tap.PacketConn.WriteTo(b, v.server())
		}
		time.Sleep(time.Second)
		if err := v.c.SendNewest("aim", uint64(99)); err != nil {
			t.Fatal(err)
		}
		e.within(time.Second, "the next one", func() bool { return has(11) })
		if has(12) || !slices.Contains(got, 99) {
			t.Errorf("%v", got)
		}
		if s := v.c.Stats(); s.Losses != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// The same on the system's sockets, under kcp-go itself, with IPv4 and IPv6.
func TestThreatAddressThatChangesOnSockets(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(addr, func(t *testing.T) {
			pc, err := net.ListenPacket("udp", addr)
			if err != nil {
				t.Skip("not on this machine:", err)
			}
			_ = pc.Close()
			var v quarry
			srv, err := framework.New(framework.Config{KCP: addr, Loops: 4, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			v.setup(srv)
			if err := srv.Start(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			defer func() {
				if err := srv.Shutdown(ctx); err != nil {
					t.Error(err)
				}
			}()
			v.e = &env{t: t, srv: srv}
			c, err := client.New([]string{v.e.addr(transport.KCP)}, client.Config{ServerKey: srv.PublicKey(), Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			v.c = c
			defer c.Close()
			client.OnMessage(c, "echo", func(n uint64) {
				v.mu.Lock()
				v.echoed = append(v.echoed, n)
				v.mu.Unlock()
			})
			if err := c.Connect(ctx); err != nil {
				t.Fatal(err)
			}
			for range 8 {
				v.talk(20)
				if !c.Rebind() {
					t.Fatal("can't change the address")
				}
			}
			v.talk(20)
			v.unharmed()
			v.e.within(20*time.Second, "the server has followed", func() bool { return srv.Stats().Transport.Migrations > 0 })
		})
	}
}
