// SPDX-License-Identifier: MIT

package transport

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/internal/poll"
	"github.com/lifeline-go/lifeline/transport/kcptest"
)

// strictSocket is a client's socket as a NAT makes it: it hears only the
// address that it speaks to.
type strictSocket struct {
	*net.UDPConn
	to     atomic.Pointer[netip.AddrPort]
	astray atomic.Int64 // datagrams from elsewhere
}

func newStrictSocket(to netip.AddrPort) (*strictSocket, error) {
	network := "udp4"
	if to.Addr().Is6() {
		network = "udp6"
	}
	c, err := net.ListenUDP(network, nil)
	if err != nil {
		return nil, err
	}
	s := &strictSocket{UDPConn: c}
	s.to.Store(&to)
	return s, nil
}

func (s *strictSocket) WriteTo(b []byte, _ net.Addr) (int, error) {
	return s.WriteToUDPAddrPort(b, *s.to.Load())
}

func (s *strictSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := s.ReadFromUDPAddrPort(b)
		if err != nil || from == *s.to.Load() {
			return n, net.UDPAddrFromAddrPort(from), err
		}
		s.astray.Add(1)
	}
}

// dialStrict opens a link of carrier c through pc.
func dialStrict(t *testing.T, tr *Transport, c Carrier, pc net.PacketConn, to netip.AddrPort) *client {
	t.Helper()
	at := net.UDPAddrFromAddrPort(to)
	cl := &client{t: t, pc: pc}
	if c == KCP {
		s, err := shake(pc, at, newInitiator(tr))
		if err != nil {
			t.Fatalf("%v by %v: %v", c, to, err)
		}
		k := kcptest.Dial(s, at, s.link.Conn.ID())
		k.SetMTU(sealedCut)
		cl.Conn, cl.sealed = k, s
	} else {
		cl.Conn = kcptest.Dial(pc, at, nextConv.Add(1))
	}
	t.Cleanup(func() { cl.Close() })
	return cl
}

// startEverywhere serves both datagram carriers on wildcard listeners.
func startEverywhere(t *testing.T, host string, cfg Config, h Handler) *Transport {
	t.Helper()
	cfg.KCP, cfg.PlainKCP, cfg.Logger = host+":0", host+":0", quiet
	tr, err := Start(cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, tr) })
	return tr
}

func localAt(tr *Transport, c Carrier, ip string) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(ip), tr.Addr(c).Port())
}

func needIPv6(t *testing.T) {
	c, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here")
	}
	c.Close()
}

// TestAnswersComeFromWhereTheyWereAsked: on a machine with many addresses the
// kernel would choose one that the player's NAT does not know.
func TestAnswersComeFromWhereTheyWereAsked(t *testing.T) {
	for _, host := range []string{"0.0.0.0", ""} {
		t.Run("host "+host, func(t *testing.T) {
			ips := []string{"127.0.0.1", "127.0.0.5", "127.0.0.6"}
			if host == "" {
				needIPv6(t)
				ips = append(ips, "::1")
			}
			for _, streams := range []bool{false, true} { // and with a connection in gnet
				cfg := Config{Loops: 2, AlwaysCookie: true}
				if streams {
					cfg.TCP = "127.0.0.1:0"
				}
				tr := startEverywhere(t, host, cfg, &hooks{})
				if streams {
					c := (&world{carrier: TCP}).dial(t, tr)
					c.roundTrip("on TCP")
				}
				for _, carrier := range []Carrier{PlainKCP, KCP} {
					for _, ip := range ips {
						pc, err := newStrictSocket(localAt(tr, carrier, ip))
						if err != nil {
							t.Fatal(err)
						}
						c := dialStrict(t, tr, carrier, pc, localAt(tr, carrier, ip))
						c.write(beat)
						c.roundTrip("by " + ip)
						if n := pc.astray.Load(); n != 0 {
							t.Errorf("%v by %s: %d datagrams came from elsewhere", carrier, ip, n)
						}
					}
				}
				if s := tr.Stats(); s.ManyLocals != 0 || s.SendFailed != 0 {
					t.Errorf("%+v", s)
				}
			}
		})
	}
}

// TestLinkFollowsTheAddressThatIsAsked: a client that knows another address of
// the server, from its own address and from a new one.
func TestLinkFollowsTheAddressThatIsAsked(t *testing.T) {
	tr := startEverywhere(t, "0.0.0.0", Config{Loops: 2}, &hooks{})
	for _, carrier := range []Carrier{PlainKCP, KCP} {
		var now atomic.Pointer[strictSocket]
		ip := "127.0.0.5"
		m, err := newMovingSocket(func() (net.PacketConn, error) {
			s, err := newStrictSocket(localAt(tr, carrier, ip))
			now.Store(s)
			return s, err
		})
		if err != nil {
			t.Fatal(err)
		}
		c := dialStrict(t, tr, carrier, m, localAt(tr, carrier, ip))
		c.write(beat)
		c.roundTrip("first")
		other := localAt(tr, carrier, "127.0.0.6")
		now.Load().to.Store(&other)
		c.roundTrip("by another address")
		if carrier == PlainKCP {
			continue // such a link is its client's address
		}
		before := tr.Stats()
		ip = "127.0.0.7"
		if err := m.move(); err != nil {
			t.Fatal(err)
		}
		c.roundTrip("from another address")
		eventually(t, "the link moves", func() bool {
			c.roundTrip("moving")
			return tr.Stats().Migrations > before.Migrations
		})
		c.roundTrip("moved")
		if n := now.Load().astray.Load(); n != 0 {
			t.Errorf("%v: %d datagrams came from elsewhere", carrier, n)
		}
	}
}

// TestLocalAddressesAreBounded: beyond 255 of them the kernel chooses.
func TestLocalAddressesAreBounded(t *testing.T) {
	tr := startEverywhere(t, "0.0.0.0", Config{Loops: 1}, &hooks{})
	locals := &tr.below.(*poll.Runner).Locals
	for i := range poll.MaxLocals {
		a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
		if name, ok := locals.Name(a); !ok || int(name) != i+1 || locals.Addr(name) != a {
			t.Fatalf("address %d has name %d, %v", i, name, ok)
		}
	}
	pc, err := newStrictSocket(localAt(tr, PlainKCP, "127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	c := dialStrict(t, tr, PlainKCP, pc, localAt(tr, PlainKCP, "127.0.0.1"))
	c.write(beat)
	c.roundTrip("hello")
	if s := tr.Stats(); s.ManyLocals == 0 || locals.Len() != poll.MaxLocals {
		t.Errorf("%d counted, %d addresses", s.ManyLocals, locals.Len())
	}
}

// TestLostLocalAddressIsNotInsistedOn: a floating IP may have gone.
func TestLostLocalAddressIsNotInsistedOn(t *testing.T) {
	tr := startEverywhere(t, "0.0.0.0", Config{Loops: 1}, &hooks{})
	locals := &tr.below.(*poll.Runner).Locals
	gone, _ := locals.Name(netip.MustParseAddr("192.0.2.1"))
	here, _ := locals.Name(netip.MustParseAddr("127.0.0.5"))
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	to := c.LocalAddr().(*net.UDPAddr).AddrPort()
	l := tr.Loops()[0]
	onLoop(t, l, func() {
		for i, name := range []backend.Local{here, gone, here} {
			plainOf(l).out.Push(to, name, len(append(plainOf(l).out.Slot(), byte('a'+i))))
		}
	})
	buf := make([]byte, 10)
	for _, want := range []string{"a 127.0.0.5", "b 127.0.0.1", "c 127.0.0.5"} {
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if got := string(buf[:n]) + " " + from.Addr().String(); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
}

// TestStopWhileDatagramsCome: a loop that has ended waits for its acceptors, and
// what still comes must not hide that they are gone.
func TestStopWhileDatagramsCome(t *testing.T) {
	tr := startEverywhere(t, "0.0.0.0", Config{Loops: 1, TCP: "127.0.0.1:0"}, &hooks{})
	conn, err := net.Dial("udp4", localAt(tr, PlainKCP, "127.0.0.1").String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	held, release := tr.loops[0].below.(pollHooks).HoldAcceptor() // one that takes its time
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop(t, tr)
	}()
	eventually(t, "the loop ends but for that", held)
	for range 20 {
		_, _ = conn.Write([]byte("no KCP"))
		time.Sleep(time.Millisecond)
	}
	release()
	<-stopped
}
