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

// playUntil has c play until done, for some time at most.
func playUntil(c *Crew, done func() bool) {
	for range 100 {
		if c.Play(100 * time.Millisecond); done() {
			return
		}
	}
}

func TestACrewCountsWhatIsAnsweredWhileItPlays(t *testing.T) {
	for name, cfg := range map[string]Config{"closed": {Window: 3}, "open": {Window: 1, Rate: 500}} {
		t.Run(name, func(t *testing.T) {
			c := crewAgainst(t, cfg, echo)
			if h, _, _, _ := c.Result(); h.Count() != 0 {
				t.Errorf("%d answers before anybody plays", h.Count())
			}
			began := time.Now()
			playUntil(c, func() bool { h, _, _, _ := c.Result(); return h.Count() > 0 })
			h, counts, _, err := c.Result()
			if h.Count() == 0 || counts.Sum() != counts.Timeout || err != nil {
				t.Errorf("%d answers, %+v, %v", h.Count(), counts, err)
			}
			if most := time.Since(began).Seconds()*cfg.Rate + 5; cfg.Rate > 0 && float64(h.Count()) > most {
				t.Errorf("%d answers to %.0f requests", h.Count(), most)
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
	playUntil(c, func() bool { _, counts, _, _ := c.Result(); return counts.Wrong >= 5 })
	if _, counts, _, err := c.Result(); counts.Wrong != 5 || err == nil {
		t.Errorf("%+v, %v", counts, err)
	}
}

func TestACrewNoticesLostConnections(t *testing.T) {
	c := crewAgainst(t, Config{Window: 1}, func(c net.Conn) {
		_, _ = io.CopyN(c, c, 64)
		_ = c.Close()
	})
	playUntil(c, func() bool { _, counts, _, _ := c.Result(); return counts.Lost >= 5 })
	if _, counts, _, err := c.Result(); counts.Lost != 5 || err == nil {
		t.Errorf("%+v, %v", counts, err)
	}
}
