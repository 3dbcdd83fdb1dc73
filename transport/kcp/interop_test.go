// SPDX-License-Identifier: MIT

package kcp

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	kcpgo "github.com/xtaci/kcp-go/v5"
)

var (
	defaultSeeds = 1000

	seeds = flag.Int("seeds", 0, "how many `conversations` each simulation runs; if zero, 1000, or 100 in short mode and under -race")
	seed  = flag.Uint64("seed", 0, "the first seed, to repeat a failure with -seeds=1")
)

func seedCount() int {
	switch {
	case *seeds > 0:
		return *seeds
	case testing.Short():
		return min(defaultSeeds, 100)
	}
	return defaultSeeds
}

// theirs is kcp-go's state machine as a peer. It reads its own clock, which
// synctest makes ours.
type theirs struct {
	kcp      *kcpgo.KCP
	interval time.Duration
	next     time.Duration
	ackNow   bool
	message  int // largest message it may send
	queue    [][]byte
	buf      []byte
}

// A mode is how kcp-go is set up.
type mode struct {
	nodelay, interval, resend, nc int
	snd, rcv, mtu                 int
	stream, ackNow                bool
}

func randomMode(r *rand.Rand) mode {
	m := mode{nodelay: 1, interval: 10, resend: 2, nc: 1, snd: 32, rcv: 32, mtu: 1400}
	if r.IntN(4) == 0 {
		m.nodelay, m.interval, m.resend, m.nc = 0, 10+r.IntN(90), r.IntN(3), r.IntN(2)
	}
	if r.IntN(2) == 0 {
		m.snd, m.rcv = 1+r.IntN(256), 2+r.IntN(256)
	}
	if r.IntN(3) == 0 {
		m.mtu = 100 + r.IntN(1400)
	}
	m.stream, m.ackNow = r.IntN(2) == 0, r.IntN(2) == 0
	return m
}

func newTheirs(conv uint32, m mode) *theirs {
	p := &theirs{
		interval: time.Duration(m.interval) * time.Millisecond,
		ackNow:   m.ackNow,
		message:  10 * (m.mtu - HeaderSize),
		buf:      make([]byte, 1<<17),
	}
	p.kcp = kcpgo.NewKCP(conv, func(b []byte, n int) {
		p.queue = append(p.queue, append([]byte(nil), b[:n]...))
	})
	p.kcp.NoDelay(m.nodelay, m.interval, m.resend, m.nc)
	p.kcp.WndSize(m.snd, m.rcv)
	p.kcp.SetMtu(m.mtu)
	if m.stream {
		fieldOf(p.kcp, "stream").SetInt(1)
	}
	return p
}

// fieldOf reaches what kcp-go sets only inside its sessions.
func fieldOf(k *kcpgo.KCP, name string) reflect.Value {
	f := reflect.ValueOf(k).Elem().FieldByName(name)
	return reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
}

func (p *theirs) write(b []byte) int {
	if p.kcp.WaitSnd() > 500 {
		return 0
	}
	b = b[:min(len(b), p.message)]
	if p.kcp.Send(b) < 0 {
		return 0
	}
	return len(b)
}

func (p *theirs) read(b []byte) []byte {
	for {
		n := p.kcp.Recv(p.buf)
		if n < 0 {
			return b
		}
		b = append(b, p.buf[:n]...)
	}
}

func (p *theirs) input(_ time.Duration, d []byte) error {
	if code := p.kcp.Input(d, true, p.ackNow); code < 0 {
		return fmt.Errorf("kcp-go: Input returns %d", code)
	}
	return nil
}

func (p *theirs) output(now time.Duration, send func([]byte)) {
	if now >= p.next {
		p.kcp.Update()
		p.next = now + p.interval
	}
	for _, d := range p.queue {
		send(d)
	}
	p.queue = p.queue[:0]
}

func (p *theirs) deadline(time.Duration) time.Duration { return p.next }

// TestInterop: whatever the network does, we and kcp-go deliver each other's
// bytes, and refuse nothing that the other one sends.
func TestInterop(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a conversation is small: it would be collected all the time
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var total tally
		for n := range uint64(seedCount()) {
			r := rand.New(rand.NewPCG(*seed+n, 1))
			c, m := randomConduct(r), randomMode(r)
			if m.nodelay == 0 && m.nc == 0 { // slow on purpose: congestion window
				c.loss, c.bytes = c.loss/3, [2]int{c.bytes[0] / 4, c.bytes[1] / 4}
			}
			cfg := &Config{Pool: NewPool(0), MTU: MinMTU + r.IntN(1450), RecvWindow: 16 + r.IntN(256), SendWindow: 1 + r.IntN(300)}
			sn, peerSN := uint32(0), uint32(0)
			if r.IntN(2) == 0 {
				sn, peerSN = -r.Uint32N(50), -r.Uint32N(50)
			}
			a, b := newOurs(5, cfg, sn, peerSN), newTheirs(5, m)
			for field, v := range map[string]uint32{"snd_una": peerSN, "snd_nxt": peerSN, "rcv_nxt": sn} {
				fieldOf(b.kcp, field).SetUint(uint64(v))
			}
			s := newSimulation(r, c, a, b)
			began := time.Since(start)
			for {
				now := time.Since(start)
				next, err := s.step(now)
				if err != nil || now-began > 15*time.Minute {
					t.Fatalf("seed %d: %v; %v; %+v; after %v: received %d %d of %d %d; %+v", *seed+n, err, c, m,
						now-began, len(s.received[0]), len(s.received[1]), len(s.sent[1]), len(s.sent[0]), a.Stats())
				}
				if next == Never {
					break
				}
				time.Sleep(next - now)
			}
			total.add(s, a.Stats(), time.Since(start)-began)
		}
		t.Log(total)
	})
}

// TestOurs: the same among ourselves.
func TestOurs(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a conversation is small: it would be collected all the time
	var total tally
	for n := range uint64(seedCount()) {
		r := rand.New(rand.NewPCG(*seed+n, 2))
		c := randomConduct(r)
		pool := NewPool(0)
		cfg := func() *Config {
			return &Config{Pool: pool, MTU: MinMTU + r.IntN(2000), RecvWindow: 1 + r.IntN(256), SendWindow: 1 + r.IntN(300)}
		}
		x, y := -r.Uint32N(50), -r.Uint32N(50)
		a, b := newOurs(5, cfg(), x, y), newOurs(5, cfg(), y, x)
		if r.IntN(2) == 0 {
			a.restless, b.restless = r, r
		}
		s := newSimulation(r, c, a, b)
		now := time.Duration(0)
		for {
			next, err := s.step(now)
			if err != nil || now > 15*time.Minute {
				t.Fatalf("seed %d: %v; %v; after %v: received %d %d of %d %d; %+v %+v", *seed+n, err, c,
					now, len(s.received[0]), len(s.received[1]), len(s.sent[1]), len(s.sent[0]), a.Stats(), b.Stats())
			}
			if next == Never {
				break
			}
			now = next
		}
		total.add(s, a.Stats(), now)
		a.Release()
		b.Release()
	}
	t.Log(total)
}

// A tally sums up what the simulations were like.
type tally struct {
	conversations, bytes, datagrams int
	retransmits, duplicates         uint32
	took                            time.Duration
}

func (t *tally) add(s *simulation, a Stats, took time.Duration) {
	t.conversations++
	t.bytes += len(s.sent[0]) + len(s.sent[1])
	t.datagrams += s.carried
	t.retransmits += a.Retransmits
	t.duplicates += a.Duplicates
	t.took += took
}

func (t tally) String() string {
	return fmt.Sprintf("%d conversations, %d bytes, %d datagrams; ours: %d retransmits, %d duplicates in; %v each",
		t.conversations, t.bytes, t.datagrams, t.retransmits, t.duplicates, t.took/time.Duration(max(t.conversations, 1)))
}
