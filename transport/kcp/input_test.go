// SPDX-License-Identifier: MIT

package kcp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"
)

// talking returns a Conn with conversation 9 on its way: it sent 0..2, of which
// 0 is acknowledged; it received 0 and 2.
func talking(t *testing.T) *Conn {
	t.Helper()
	c := new(Conn)
	c.Init(9, &Config{Pool: NewPool(0), MTU: HeaderSize + 50})
	write(t, c, make([]byte, 150))
	expect(t, "sent", show(flush(c, 100*ms)...), "push 0:50 | push 1:50 | push 2:50")
	feed(t, c, 120*ms, build(
		header{conv: 9, cmd: cmdAck, wnd: 64, ts: 100, sn: 0, una: 1},
		header{conv: 9, cmd: cmdPush, wnd: 64, sn: 0, una: 1, size: 5},
		header{conv: 9, cmd: cmdPush, wnd: 64, sn: 2, una: 1, size: 7},
	))
	expect(t, "answer", show(flush(c, 120*ms)...), "ack 0, ack 2")
	return c
}

func TestRefused(t *testing.T) {
	push := func(change func(*header)) []byte {
		h := header{conv: 9, cmd: cmdPush, wnd: 32, sn: 1, una: 1, size: 5}
		change(&h)
		return build(h)
	}
	lie := func(size uint32) []byte {
		d := push(func(*header) {})
		binary.LittleEndian.PutUint32(d[20:], size)
		return d
	}
	good := push(func(*header) {})
	for _, tc := range []struct {
		name string
		d    []byte
		want error
	}{
		{"empty", nil, ErrShort},
		{"half a header", good[:HeaderSize-1], ErrShort},
		{"rest after the last segment", append(bytes.Clone(good), 0), ErrShort},
		{"payload missing", good[:HeaderSize], ErrTruncated},
		{"payload cut", good[:len(good)-1], ErrTruncated},
		{"length one too long", lie(6), ErrTruncated},
		{"length that is negative in 32 bits", lie(1 << 31), ErrTruncated},
		{"length of all ones", lie(1<<32 - 1), ErrTruncated},
		{"other conversation", push(func(h *header) { h.conv++ }), ErrConv},
		{"command 0", push(func(h *header) { h.cmd = 0 }), ErrCommand},
		{"command 80", push(func(h *header) { h.cmd = 80 }), ErrCommand},
		{"command 85", push(func(h *header) { h.cmd = 85 }), ErrCommand},
		{"frg as large as the window", push(func(h *header) { h.frg = 128 }), ErrFragment},
		{"frg 255", push(func(h *header) { h.frg = 255 }), ErrFragment},
		{"push without payload", push(func(h *header) { h.size = 0 }), ErrEmpty},
		{"payload above the limit", push(func(h *header) { h.size = MaxPayload + 1 }), ErrTooLarge},
		{"payload of a whole datagram", push(func(h *header) { h.size = maxMTU - HeaderSize }), ErrTooLarge},
		{"ack with payload", push(func(h *header) { h.cmd = cmdAck }), ErrTooLarge},
		{"una one beyond what was sent", push(func(h *header) { h.una = 4 }), ErrUnsent},
		{"una far beyond", push(func(h *header) { h.una = 1<<31 - 1 }), ErrUnsent},
		{"ack of the next number", build(header{conv: 9, cmd: cmdAck, sn: 3, una: 1}), ErrUnsent},
		{"ack far beyond", build(header{conv: 9, cmd: cmdAck, sn: 1 << 30, una: 1}), ErrUnsent},
		{"una in a probe", build(header{conv: 9, cmd: cmdWindowAsk, una: 9}), ErrUnsent},
		{"una in a window", build(header{conv: 9, cmd: cmdWindowTell, una: 9}), ErrUnsent},
		{"push beyond any window", push(func(h *header) { h.sn = 1 + maxAhead }), ErrWindow},
	} {
		for _, behind := range []bool{false, true} {
			d, name := tc.d, tc.name
			if behind && len(d) > 0 {
				name += ", behind good segments"
				d = append(build(
					header{conv: 9, cmd: cmdAck, wnd: 99, ts: 100, sn: 1, una: 2},
					header{conv: 9, cmd: cmdPush, wnd: 99, sn: 1, una: 3, size: 9},
					header{conv: 9, cmd: cmdWindowAsk, wnd: 99, una: 3},
				), d...)
			}
			t.Run(name, func(t *testing.T) {
				c := talking(t)
				was := *c
				if err := c.Input(130*ms, d); !errors.Is(err, tc.want) {
					t.Errorf("got %v, want %v", err, tc.want)
				}
				if *c != was {
					t.Errorf("the refused datagram changed\n%+v to\n%+v", was, *c)
				}
				// The conversation goes on.
				feed(t, c, 130*ms, good)
				expect(t, "read", string(drain(c)), "\x78\x78\x78\x78\x78xxxxxxxxxxxx")
			})
		}
	}
}

// TestHarmless: what a network may do, or a forger with the right numbers,
// costs at most an ack.
func TestHarmless(t *testing.T) {
	for _, tc := range []struct {
		name   string
		h      header
		answer string
	}{
		{"duplicate", header{cmd: cmdPush, sn: 0, una: 1, size: 5}, "ack 0"},
		{"duplicate with other bytes", header{cmd: cmdPush, sn: 0, una: 1, size: 50}, "ack 0"},
		{"duplicate of one out of order", header{cmd: cmdPush, sn: 2, una: 1, size: 9}, "ack 2"},
		{"very old", header{cmd: cmdPush, sn: 1<<31 + 8, una: 1, size: 5}, "ack 2147483656"},
		{"beyond the window", header{cmd: cmdPush, sn: 1 + 128, una: 1, size: 5}, ""},
		{"una goes back", header{cmd: cmdWindowTell, una: 0}, ""},
		{"una goes back very far", header{cmd: cmdWindowTell, una: 1<<31 + 4, wnd: 0xffff}, ""},
		{"window closes", header{cmd: cmdWindowTell, wnd: 0, una: 1}, ""},
		{"ack again", header{cmd: cmdAck, sn: 0, una: 1, ts: 100}, ""},
		{"very old ack", header{cmd: cmdAck, sn: 1<<31 + 8, una: 1, ts: 100}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := talking(t)
			srtt, room := c.Stats().SRTT, c.Stats().PeerWindow
			tc.h.conv = 9
			feed(t, c, 130*ms, build(tc.h))
			expect(t, "answer", show(flush(c, 130*ms)...), tc.answer)
			if err := c.audit(); err != nil {
				t.Error(err)
			}
			if s := c.Stats(); s.SRTT != srtt || s.InFlight != 2 || s.PeerWindow != room {
				t.Errorf("it changed %+v", s)
			}
			feed(t, c, 140*ms, build(header{conv: 9, cmd: cmdPush, wnd: 64, sn: 1, una: 3, size: 1}))
			expect(t, "read", string(drain(c)), "xxxxxxxxxxxxx") // 5, 1 and 7
			if s := c.Stats(); s.InFlight != 0 {
				t.Errorf("in flight: %d, want none", s.InFlight)
			}
		})
	}
}

func TestForgedStampMeasuresNothingFalse(t *testing.T) {
	for _, tc := range []struct {
		ts   uint32
		want time.Duration
	}{
		{100, 60 * ms},  // first transmission
		{300, 0},        // nothing was sent then
		{99, 0},         // before
		{301, 0},        // after
		{0, 0},          //
		{1 << 31, 0},    //
		{1<<32 - 1, 0},  //
		{100 + 1<<8, 0}, //
	} {
		c, _ := pair(&Config{})
		write(t, c, []byte("x"))
		flush(c, 100*ms)
		feed(t, c, 160*ms, build(header{conv: 9, cmd: cmdAck, sn: 0, una: 1, ts: tc.ts}))
		if s := c.Stats(); s.SRTT != tc.want || s.InFlight != 0 {
			t.Errorf("ts %d: SRTT %v, want %v; in flight %d", tc.ts, s.SRTT, tc.want, s.InFlight)
		}
	}
}

// TestLargePayloads: of any size that UDP can carry, none panics.
func TestLargePayloads(t *testing.T) {
	for size := uint32(1); size <= maxMTU-HeaderSize; size += 1 + size/7 {
		for sn := range uint32(2) {
			c, _ := pair(&Config{})
			err := c.Input(0, build(header{conv: 9, cmd: cmdPush, sn: sn, size: size}))
			if size <= MaxPayload && err != nil || size > MaxPayload && err != ErrTooLarge {
				t.Errorf("size %d: %v", size, err)
			}
			if sn == 0 && err == nil && len(c.Peek()) != int(size) {
				t.Errorf("size %d: got %d bytes", size, len(c.Peek()))
			}
		}
	}
}

func TestOpens(t *testing.T) {
	first := header{conv: 7, cmd: cmdPush, wnd: 32, ts: 5, size: 9}
	second, ack, other, una := first, first, first, first
	second.sn = 1
	ack.cmd, ack.size = cmdAck, 0
	other.conv++
	una.una = 1
	for _, tc := range []struct {
		name string
		d    []byte
		want bool
	}{
		{"first push", build(first), true},
		{"first two", build(first, second), true},
		{"reordered", build(second, first), true},
		{"second push", build(second), false},
		{"an ack", build(ack), false},
		{"a push that acknowledges", build(una), false},
		{"two conversations", build(first, other), false},
		{"cut", build(first)[:HeaderSize+8], false},
		{"trailing byte", append(build(first), 0), false},
		{"zeros", make([]byte, HeaderSize), false},
		{"nothing", nil, false},
	} {
		if got := Opens(tc.d); got != tc.want {
			t.Errorf("%s: Opens = %v", tc.name, got)
		}
		conv, ok := ParseConv(tc.d)
		if want := len(tc.d) >= HeaderSize && tc.d[4] != 0; ok != want || ok && conv != 7 {
			t.Errorf("%s: ParseConv = %d, %v", tc.name, conv, ok)
		}
	}
	d := build(first)
	if n := testing.AllocsPerRun(100, func() { Opens(d) }); n != 0 {
		t.Errorf("Opens allocates %v times", n)
	}
}
