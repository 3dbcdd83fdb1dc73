// SPDX-License-Identifier: MIT

package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/transport/memnet"
)

var elsewhere = netip.MustParseAddr("10.7.0.1")

// A cable that is pulled out and put back: streams go on where they were, and
// no side was told.
func TestLineThatIsCutAndHealed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &world{carrier: TCP, mem: true, net: memnet.New(1, memnet.Conditions{})}
		h := &hooks{}
		tr := w.start(t, Config{Loops: 1}, h)
		line := w.net.NewLine(1, elsewhere, memnet.Conditions{Delay: 10 * time.Millisecond})
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
