// SPDX-License-Identifier: MIT

package wire

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/bench/link/path"
)

// TestMain runs what needs a namespace of its own, when it is in one.
func TestMain(m *testing.M) {
	if !Inside() {
		os.Exit(m.Run())
	}
	if err := crossTheTun(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func TestTCPAndUDPCrossTheTun(t *testing.T) {
	if err := Namespace(); err != nil {
		if exit, ok := err.(*exec.ExitError); ok && exit.ExitCode() == noTun {
			t.Skip("this system lets us make no device")
		} else if !ok {
			t.Skip(err)
		}
		t.Fatal(err)
	}
}

const (
	noTun = 77

	patience = 20 * time.Second // with what must come
)

func crossTheTun() error {
	const delay = 20 * time.Millisecond
	tun, err := OpenTun(path.Config{Delay: delay}, path.Config{Delay: delay})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(noTun)
	}
	defer tun.Close()
	if err := crossTCP(2 * delay); err != nil {
		return fmt.Errorf("tcp: %w", err)
	}
	if err := crossUDP(2*delay, patience); err != nil {
		return fmt.Errorf("udp: %w", err)
	}
	tun.Set(path.Config{Loss: 1}, path.Config{})
	if crossUDP(0, 10*delay) == nil {
		return fmt.Errorf("a network that loses everything delivers")
	}
	return nil
}

func crossTCP(atLeast time.Duration) error {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(Server, 0)))
	if err != nil {
		return err
	}
	defer l.Close()
	go func() {
		for { // ends with the listener
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	to := netip.AddrPortFrom(Far, l.Addr().(*net.TCPAddr).AddrPort().Port())
	c, err := net.DialTimeout("tcp", to.String(), 10*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	return echoed(c, atLeast, patience)
}

func crossUDP(atLeast, within time.Duration) error {
	s, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(Server, 0)))
	if err != nil {
		return err
	}
	defer s.Close()
	go func() { // ends with the socket
		b := make([]byte, 100)
		for {
			n, from, err := s.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = s.WriteToUDPAddrPort(b[:n], from)
		}
	}()
	to := netip.AddrPortFrom(Far, s.LocalAddr().(*net.UDPAddr).AddrPort().Port())
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return err
	}
	defer c.Close()
	return echoed(c, atLeast, within)
}

func echoed(c net.Conn, atLeast, within time.Duration) error {
	start, b := time.Now(), make([]byte, 100)
	_ = c.SetDeadline(start.Add(within))
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	n, err := c.Read(b)
	if err != nil || string(b[:n]) != "hello" {
		return fmt.Errorf("%q came back, %w", b[:n], err)
	}
	if took := time.Since(start); took < atLeast {
		return fmt.Errorf("it took %v, less than %v", took, atLeast)
	}
	return nil
}
