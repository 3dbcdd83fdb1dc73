// SPDX-License-Identifier: MIT

package wire

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/bench/link/path"
)

func listen(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestDatagramsTravelBothWaysAndTakeTheirTime(t *testing.T) {
	server := listen(t)
	go func() { // ends with the socket
		b := make([]byte, 100)
		for {
			n, from, err := server.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = server.WriteToUDPAddrPort(b[:n], from)
		}
	}()
	const delay = 30 * time.Millisecond
	u, err := ListenUDP(netip.MustParseAddrPort("127.0.0.1:0"), server.LocalAddr().(*net.UDPAddr).AddrPort(), path.Config{Delay: delay})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	for _, text := range []string{"a", "b"} {
		c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(u.Addr()))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		start, b := time.Now(), make([]byte, 100)
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(start.Add(10 * time.Second))
		n, err := c.Read(b)
		if err != nil || string(b[:n]) != text {
			t.Fatalf("%q, %v", b[:n], err)
		}
		if took := time.Since(start); took < 2*delay {
			t.Errorf("the round trip took %v, want at least %v", took, 2*delay)
		}
	}
}

func TestALostDatagramDoesNotArrive(t *testing.T) {
	server := listen(t)
	u, err := ListenUDP(netip.MustParseAddrPort("127.0.0.1:0"), server.LocalAddr().(*net.UDPAddr).AddrPort(), path.Config{Loss: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(u.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for u.up.count() == 0 {
		time.Sleep(time.Millisecond)
	}
	_ = server.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if n, _, err := server.ReadFromUDPAddrPort(make([]byte, 10)); err == nil {
		t.Errorf("%d bytes arrived", n)
	}
}

func (l *line) count() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.p.Taken
}
