// SPDX-License-Identifier: MIT

package kcp

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	kcpgo "github.com/xtaci/kcp-go/v5"
)

// messageSize is a typical game message.
const messageSize = 64

// cycle is what an echo costs: a datagram with an ack and a push comes in, its
// bytes are read and written back, a datagram with an ack and a push leaves.
type cycle struct {
	in  [2*HeaderSize + messageSize]byte
	out []byte
}

func newCycle() *cycle { return &cycle{out: make([]byte, 0, 1500)} }

// datagram acknowledges message n-1 and brings message n.
func (y *cycle) datagram(conv, n, ts uint32) []byte {
	h := header{conv: conv, cmd: cmdAck, wnd: 128, ts: ts, sn: n - 1, una: n}
	b := y.in[:0]
	if n > 0 {
		b = h.append(b)
	}
	h.cmd, h.sn, h.size = cmdPush, n, messageSize
	b = h.append(b)
	return b[:len(b)+messageSize]
}

func (y *cycle) run(c *Conn, now time.Duration, n uint32) {
	if err := c.Input(now, y.datagram(c.conv, n, stamp(now))); err != nil {
		panic(err)
	}
	b := c.Peek()
	if err := c.Write(b); err != nil {
		panic(err)
	}
	c.Discard(len(b))
	y.out = c.Output(now, y.out[:0], 1500)
	if len(y.out) != 2*HeaderSize+messageSize {
		panic(len(y.out))
	}
}

func BenchmarkCycle(b *testing.B) {
	for _, conns := range []int{1, 5_000, 50_000} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			cfg := &Config{Pool: NewPool(64 << 20)}
			all := make([]Conn, conns)
			for i := range all {
				all[i].Init(uint32(i), cfg)
			}
			y, order := newCycle(), rand.Perm(conns)
			i, n := 0, uint32(0)
			step := func() {
				y.run(&all[order[i]], time.Duration(n)*time.Millisecond, n)
				if i++; i == conns {
					i, n = 0, n+1
				}
			}
			for range 2 * conns {
				step()
			}
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}

// BenchmarkCycleKCPGo is the same for the machine of kcp-go. Its flush is not
// exported; a cleared flag makes Update call it.
func BenchmarkCycleKCPGo(b *testing.B) {
	for _, conns := range []int{1, 5_000, 50_000} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			sent := 0
			all := make([]*kcpgo.KCP, conns)
			updated := make([]*uint32, conns)
			for i := range all {
				all[i] = kcpgo.NewKCP(uint32(i), func(_ []byte, n int) { sent += n })
				all[i].NoDelay(1, 10, 2, 1)
				updated[i] = (*uint32)(unsafe.Pointer(fieldOf(all[i], "updated").UnsafeAddr()))
			}
			y, order := newCycle(), rand.Perm(conns)
			buf := make([]byte, 1500)
			i, n := 0, uint32(0)
			step := func() {
				at := order[i]
				k := all[at]
				k.Input(y.datagram(uint32(at), n, 0), true, false)
				k.Send(buf[:k.Recv(buf)])
				*updated[at] = 0
				k.Update()
				if i++; i == conns {
					i, n = 0, n+1
				}
			}
			for range 2 * conns {
				step()
			}
			sent = 0
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
			if want := b.N * (2*HeaderSize + messageSize); sent != want {
				b.Fatalf("kcp-go sent %d bytes, want %d", sent, want)
			}
		})
	}
}

// BenchmarkIdle is what a conversation costs when nothing is due.
func BenchmarkIdle(b *testing.B) {
	var c Conn
	c.Init(1, &Config{})
	for b.Loop() {
		if c.NextDeadline(0) != Never {
			b.Fatal("an idle conversation waits")
		}
	}
}
