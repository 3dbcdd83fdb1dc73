// SPDX-License-Identifier: MIT

package load

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLatenessIsTheWholeLatency asserts that a player that is held up while a request
// is due, and while the answer waits, knows that both were its own doing.
func TestLatenessIsTheWholeLatency(t *testing.T) {
	const held = 30 * time.Millisecond
	for _, c := range []struct {
		carrier string
		serve   func(*testing.T) (Config, <-chan struct{})
	}{{"udp", echoDatagrams}, {"tcp", echoStreams}} {
		t.Run(c.carrier, func(t *testing.T) {
			cfg, echoed := c.serve(t)
			cfg.Carrier, cfg.Bare, cfg.Lateness, cfg.Rate = c.carrier, true, true, 0.1
			cfg.Sessions, cfg.Size, cfg.Window, cfg.Opening = 1, 64, 1, 1
			f, err := New(cfg, func(err error) { t.Error(err) })
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if on, err := unix.GetsockoptInt(f.sockets[0].fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS); err != nil || on == 0 {
				t.Skip("this system stamps nothing")
			}
			if err := f.Open(10 * time.Second); err != nil {
				t.Fatal(err)
			}
			<-echoed // that of the opening
			l := f.Lateness()
			for try := 0; try == 0 || try < 20 && l.Read.Max() < held*9/10; try++ { // the kernel takes its time to begin with stamps
				f.Reset()
				f.clock()
				f.busy, f.asking = true, f.now
				time.Sleep(held)
				f.clock()
				f.pace()
				<-echoed
				time.Sleep(held)
				for f.hist.Count() == 0 {
					f.turn(f.now + time.Second)
				}
			}
			if write, read := l.Write.Max(), l.Read.Max(); write < held || read < held*9/10 {
				t.Errorf("written %v late and read %v late, want %v at least", write, read, held)
			}
			sum := l.Write.Max() + l.Read.Max() + l.Apart.Max()
			if all := f.hist.Max(); (sum - all).Abs() > all/100 {
				t.Errorf("written %v late, %v apart, read %v late: not the %v that it took", l.Write.Max(), l.Apart.Max(), l.Read.Max(), all)
			}
			if f.Reset(); l.Write.Count()+l.Read.Count()+l.Apart.Count() != 0 {
				t.Error("Reset forgets no lateness")
			}
		})
	}
}

// echoDatagrams echoes, and tells of each answer once it is in the player's socket.
func echoDatagrams(t *testing.T) (Config, <-chan struct{}) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	echoed := make(chan struct{}, 16) // more than a test asks
	go func() {
		b := make([]byte, 2048)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if _, err := c.WriteToUDPAddrPort(b[:n], from); err != nil {
				return
			}
			echoed <- struct{}{}
		}
	}()
	return Config{Server: c.LocalAddr().(*net.UDPAddr).AddrPort()}, echoed
}

// echoStreams does the same on connections.
func echoStreams(t *testing.T) (Config, <-chan struct{}) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	echoed := make(chan struct{}, 16) // more than a test asks
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b := make([]byte, 2048)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			if _, err := c.Write(b[:n]); err != nil {
				return
			}
			echoed <- struct{}{}
		}
	}()
	return Config{Server: l.Addr().(*net.TCPAddr).AddrPort()}, echoed
}
