// SPDX-License-Identifier: MIT

package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"
)

var elsewhere = netip.MustParseAddr("10.7.0.1")

// A cable that is pulled out and put back: streams go on where they were, and
// nobody was told.
func TestLineThatIsCutAndHealed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &world{carrier: TCP, mem: true, net: NewNetwork(1, Conditions{})}
		h := &hooks{}
		tr := w.start(t, Config{Loops: 1}, h)
		line := w.net.NewLine(1, elsewhere, Conditions{Delay: 10 * time.Millisecond})
		conn, err := line.DialTCP(t.Context(), tr.Addr(TCP))
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr(); got != elsewhere {
			t.Errorf("dialled from %v, want %v", got, elsewhere)
		}
		c, other := &client{t: t, Conn: conn}, w.dial(t, tr)
		t.Cleanup(func() { c.Close() })
		c.roundTrip("hello")
		c.write(frame([]byte("in the air")))
		line.Cut()
		c.write(frame([]byte("held")))
		other.roundTrip("unaffected")
		if _, err := c.next(30 * time.Second); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read on a cut line: %v", err)
		}
		if n := h.packets.Load(); n != 2 || h.closed.Load() != 0 {
			t.Errorf("the server has heard %d packets and %d ends", n, h.closed.Load())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := line.DialTCP(ctx, tr.Addr(TCP)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a dial on a cut line: %v", err)
		}
		healed := time.AfterFunc(time.Second, line.Heal)
		defer healed.Stop()
		begin := time.Now()
		again, err := line.DialTCP(t.Context(), tr.Addr(TCP))
		if err != nil || time.Since(begin) != time.Second+20*time.Millisecond {
			t.Errorf("a dial waits %v for the line: %v", time.Since(begin), err)
		}
		again.Close()
		for _, want := range []string{"in the air", "held"} {
			if got := string(c.read().Body); got != want {
				t.Errorf("%q arrived where %q was due", got, want)
			}
		}
	})
}

// What is lost on a line is the same whatever else the network carries.
func TestLineLosesTheSameByItsSeed(t *testing.T) {
	lost := func(seed uint64, others int) (got []int) {
		bubble(t, func(t *testing.T) {
			n := NewNetwork(1, Conditions{})
			send := func(line *Line) *MemPacketConn {
				pc, err := line.ListenPacket()
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { pc.Close() })
				return pc
			}
			line := n.NewLine(seed, elsewhere, Conditions{Loss: 0.3, Delay: time.Millisecond})
			pc := send(line)
			for i := range 100 {
				for range others {
					send(n.NewLine(9, netip.MustParseAddr("10.7.0.2"), Conditions{Loss: 0.5})).WriteTo([]byte{0}, &net.UDPAddr{IP: net.IP{10, 0, 0, 1}})
				}
				n.mu.Lock()
				pc.down.datagramLocked(parcel{data: []byte{byte(i)}})
				n.mu.Unlock()
				time.Sleep(time.Millisecond)
			}
			line.Cut() // and everything after that
			n.mu.Lock()
			pc.down.datagramLocked(parcel{data: []byte{200}})
			n.mu.Unlock()
			line.Heal()
			time.Sleep(time.Second)
			n.mu.Lock()
			defer n.mu.Unlock()
			for _, p := range pc.unread {
				got = append(got, int(p.data[0]))
			}
		})
		return got
	}
	first := lost(1, 0)
	if len(first) < 50 || len(first) > 90 || slices.Contains(first, 200) {
		t.Errorf("%d of 100 arrived: %v", len(first), first)
	}
	if again := lost(1, 3); !slices.Equal(first, again) {
		t.Errorf("with others on the network\n%v arrived, without\n%v", again, first)
	}
	if other := lost(2, 0); slices.Equal(first, other) {
		t.Error("another seed loses the same")
	}
}
