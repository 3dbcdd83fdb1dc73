// SPDX-License-Identifier: MIT

package load

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// crewAgainst plays a crew of TCP players against serve, one call a connection.
func crewAgainst(t *testing.T, cfg Config, serve func(net.Conn)) *Crew {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	cfg.Server, cfg.Sessions, cfg.Size, cfg.Opening = l.Addr().(*net.TCPAddr).AddrPort(), 5, 64, 2
	c, err := NewCrew(cfg, func(ctx context.Context, from netip.Addr, to netip.AddrPort) (io.ReadWriteCloser, error) {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
		return d.DialContext(ctx, "tcp4", to.String())
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.Open(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	return c
}

func echo(c net.Conn) { _, _ = io.Copy(c, c) }

func TestACrewCountsWhatIsAnsweredWhileItPlays(t *testing.T) {
	for name, cfg := range map[string]Config{"closed": {Window: 3}, "open": {Window: 1, Rate: 500}} {
		t.Run(name, func(t *testing.T) {
			c := crewAgainst(t, cfg, echo)
			if h, _, _, _ := c.Result(); h.Count() != 0 {
				t.Errorf("%d answers before anybody plays", h.Count())
			}
			c.Play(200 * time.Millisecond)
			h, counts, _, err := c.Result()
			if h.Count() == 0 || counts.Sum() != counts.Timeout || err != nil {
				t.Errorf("%d answers, %+v, %v", h.Count(), counts, err)
			}
			if cfg.Rate > 0 && h.Count() > 101 {
				t.Errorf("%d answers to 100 requests", h.Count())
			}
			c.Reset()
			if h, _, _, _ := c.Result(); h.Count() != 0 {
				t.Errorf("%d answers after Reset", h.Count())
			}
		})
	}
}

func TestACrewNoticesWrongAnswers(t *testing.T) {
	c := crewAgainst(t, Config{Window: 1}, func(c net.Conn) {
		b := make([]byte, 64)
		for n := 0; ; n++ {
			if _, err := io.ReadFull(c, b); err != nil {
				return
			}
			b[n%2] ^= byte(n) // the first one is right
			_, _ = c.Write(b)
		}
	})
	c.Play(100 * time.Millisecond)
	if _, counts, _, err := c.Result(); counts.Wrong != 5 || err == nil {
		t.Errorf("%+v, %v", counts, err)
	}
}

func TestACrewNoticesLostConnections(t *testing.T) {
	c := crewAgainst(t, Config{Window: 1}, func(c net.Conn) {
		_, _ = io.CopyN(c, c, 64)
		_ = c.Close()
	})
	c.Play(100 * time.Millisecond)
	if _, counts, _, err := c.Result(); counts.Lost != 5 || err == nil {
		t.Errorf("%+v, %v", counts, err)
	}
}
