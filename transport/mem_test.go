// SPDX-License-Identifier: MIT

package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// memWorlds runs test on the in-memory carriers.
func memWorlds(t *testing.T, c memnet.Conditions, test func(t *testing.T, w *world)) {
	for _, carrier := range []Carrier{TCP, PlainKCP} {
		t.Run(carrier.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				test(t, &world{carrier: carrier, mem: true, net: memnet.New(42, c)})
			})
		})
	}
}

func TestBadWeather(t *testing.T) {
	weather := memnet.Conditions{
		Delay: 30 * time.Millisecond, Jitter: 20 * time.Millisecond,
		Loss: 0.2, Duplicate: 0.1, Reorder: 0.1,
	}
	memWorlds(t, weather, func(t *testing.T, w *world) {
		h := &hooks{}
		tr := w.start(t, Config{Loops: 2}, h)
		c := w.dial(t, tr)
		c.write(beat)
		const n = 300
		go func() {
			for i := range n {
				b := binary.BigEndian.AppendUint32(nil, uint32(i))
				c.Write(frame(append(b, make([]byte, i)...)))
				time.Sleep(5 * time.Millisecond)
			}
		}()
		for i := range n {
			if got := binary.BigEndian.Uint32(c.read().Body); got != uint32(i) {
				t.Fatalf("packet %d in place of %d", got, i)
			}
		}
		var s LinkStats
		onLoop(t, tr.Loops()[0], func() {
			for _, k := range linksOf(tr.loops[0]) {
				s = k.Stats()
			}
		})
		if s.Retransmits > 0 {
			t.Logf("%+v", s)
		}
	})
}

func TestCutIsSilence(t *testing.T) {
	memWorlds(t, memnet.Conditions{Delay: time.Millisecond}, func(t *testing.T, w *world) {
		h := &hooks{}
		tr := w.start(t, Config{Loops: 1}, h)
		c, other := w.dial(t, tr), w.dial(t, tr)
		for _, c := range []*client{c, other} {
			c.write(beat)
			c.roundTrip("hello")
		}
		c.cut()
		packets := h.packets.Load()
		if w.carrier == TCP {
			c.write(frame(make([]byte, 100)))
		}
		if _, err := c.next(30 * time.Second); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read on a cut line: %v", err)
		}
		if h.closed.Load() != 0 || h.packets.Load() != packets {
			t.Error("the server noticed the cut")
		}
		other.roundTrip("unaffected")
		w.net.CutAll()
		other.Write(frame([]byte("nobody hears")))
		time.Sleep(time.Second)
		if h.packets.Load() != packets+1 {
			t.Error("CutAll left a line")
		}
		if got := w.net.Links(); got != 2 {
			t.Errorf("%d links, want 2: cut, but not closed", got)
		}
	})
}

func TestMemReset(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &world{carrier: TCP, mem: true, net: memnet.New(1, memnet.Conditions{})}
		h := &hooks{}
		tr := w.start(t, Config{}, h)
		c := w.dial(t, tr)
		c.roundTrip("hello")
		c.Conn.(*memnet.Conn).Reset()
		if err := h.closedWith(t); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("OnClose(%v), want a reset", err)
		}
		if _, err := c.next(time.Second); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: %v, want a reset", err)
		}
		if _, err := c.Write(beat); err == nil {
			t.Error("write after a reset")
		}
		if w.net.Links() != 0 {
			t.Error("a reset connection counts as open")
		}
	})
}

func TestMemClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &world{carrier: TCP, mem: true, net: memnet.New(1, memnet.Conditions{Delay: 10 * time.Millisecond})}
		h := &hooks{}
		tr := w.start(t, Config{}, h)
		c := w.dial(t, tr)
		c.write(frame([]byte("last words")))
		c.Close()
		if err := h.closedWith(t); err != io.EOF {
			t.Errorf("OnClose(%v), want EOF", err)
		}
		if h.packets.Load() != 1 {
			t.Error("what was written before Close did not arrive")
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after Close: %v", err)
		}
		if err := c.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
		if _, err := w.net.DialTCP(context.Background(), netip.MustParseAddrPort("127.0.0.1:9")); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial where no server is: %v", err)
		}
		if _, err := Start(Config{TCP: tr.Addr(TCP).String(), Network: w.net, Logger: quiet}, h); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("second server: %v", err)
		}
		stop(t, tr)
		if _, err := w.net.DialTCP(context.Background(), tr.Addr(TCP)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial after Stop: %v", err)
		}
	})
}

// TestMemServerCloses: a client that goes on writing to a server that has closed the link
// does not wait for it to read.
func TestMemServerCloses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &world{carrier: TCP, mem: true, net: memnet.New(1, memnet.Conditions{Delay: 10 * time.Millisecond})}
		h := &hooks{}
		tr := w.start(t, Config{Loops: 1, MaxBody: 1000}, h)
		c := w.dial(t, tr)
		c.write(bytes.Repeat([]byte{0xff}, 10<<20)) // no frames
		if h.closedWith(t) == nil || tr.Stats().ProtocolErrors != 1 {
			t.Errorf("the server takes anything: %+v", tr.Stats())
		}
	})
}

func TestMemRate(t *testing.T) {
	memWorlds(t, memnet.Conditions{Rate: 50_000}, func(t *testing.T, w *world) {
		tr := w.start(t, Config{}, &hooks{packet: func(k *Link, p codec.Packet) {
			if p.Kind != codec.Heartbeat {
				k.Write(beat)
			}
		}})
		c := w.dial(t, tr)
		c.write(beat)
		from := time.Now()
		go c.Write(frame(make([]byte, 50_000)))
		c.read()
		if took := time.Since(from); took < 990*time.Millisecond || took > 4*time.Second {
			t.Errorf("50,000 bytes at 50,000 a second took %v", took)
		}
	})
}

func TestMemDeadlines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &world{carrier: TCP, mem: true, net: memnet.New(1, memnet.Conditions{})}
		tr := w.start(t, Config{}, &hooks{})
		c := w.dial(t, tr)
		from := time.Now()
		c.SetReadDeadline(from.Add(time.Second))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(from) != time.Second {
			t.Errorf("read ended with %v after %v", err, time.Since(from))
		}
		c.SetReadDeadline(time.Time{})
		c.roundTrip("works again")
		c.SetDeadline(time.Now().Add(-time.Second))
		if _, err := c.Write(beat); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write past its deadline: %v", err)
		}
		// A cut line fills up, and Write blocks until its deadline.
		c.cut()
		c.SetWriteDeadline(time.Now().Add(time.Minute))
		n, err := c.Write(make([]byte, 1<<20))
		if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n > 1<<20-1 {
			t.Errorf("wrote %d bytes into a cut line: %v", n, err)
		}
	})
}

// TestSameSeedSameFate runs the same traffic twice.
func TestSameSeedSameFate(t *testing.T) {
	run := func(seed uint64) (trace string) {
		bubble(t, func(t *testing.T) {
			n := memnet.New(seed, memnet.Conditions{
				Delay: 10 * time.Millisecond, Jitter: 30 * time.Millisecond, Loss: 0.3, Duplicate: 0.2, Reorder: 0.2,
			})
			w := &world{carrier: PlainKCP, mem: true, net: n}
			start := time.Now()
			h := &hooks{packet: func(k *Link, p codec.Packet) {
				trace += fmt.Sprintln(time.Since(start), len(p.Body))
			}}
			tr := w.start(t, Config{Loops: 1}, h)
			c := w.dial(t, tr)
			// The client works every 10 ms. Nothing is written in the same
			// instant: what comes first then is the scheduler's affair.
			time.Sleep(1700 * time.Microsecond)
			c.write(beat)
			for i := range 50 {
				c.write(frame(make([]byte, i+1)))
				time.Sleep(3100 * time.Microsecond)
			}
			eventually(t, "all packets", func() bool { return h.packets.Load() == 51 })
			stop(t, tr)
		})
		return trace
	}
	a, b, c := run(1), run(1), run(2)
	if a != b {
		t.Errorf("the same seed gave\n%s\nand\n%s", a, b)
	}
	if a == c {
		t.Error("another seed made no difference")
	}
}
