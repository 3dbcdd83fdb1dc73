// SPDX-License-Identifier: MIT

package session

import (
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/lifeline-go/lifeline/codec"
)

// talk is a session and what a client sends to it.
type talk struct {
	tb        testing.TB
	s         Session
	body, out []byte
	now       time.Duration
	seq       uint16
}

func newTalk(tb testing.TB) *talk {
	c := &talk{tb: tb, body: number(1), out: make([]byte, 0, 4096)}
	c.s.Open(testShard(tb, Config{}), ID{1}, 0)
	return c
}

// message is one in, one out, and both acknowledged.
func (c *talk) message() {
	c.now += time.Millisecond
	c.seq++
	if ev, err := c.s.Receive(1, codec.Packet{Header: codec.Header{Kind: codec.Message, Seq: c.seq, Ack: uint32(c.s.sent)}, Body: c.body}, c.now); ev != Deliver || err != nil {
		c.tb.Fatal(ev, err)
	}
	if err := c.s.Send(codec.Message, c.body, false, c.now); err != nil {
		c.tb.Fatal(err)
	}
	c.out = c.s.Output(c.out[:0], 1, c.now, 4096)
	c.s.Check(c.now, 0)
}

// heartbeat is one that asks, and its answer.
func (c *talk) heartbeat() {
	c.now += 10 * time.Second
	_, _ = c.s.Receive(1, codec.Packet{Header: codec.Header{Flags: codec.EchoWanted, Seq: 7, Ack: uint32(c.s.sent)}}, c.now)
	c.out = c.s.Output(c.out[:0], 1, c.now, 4096)
}

func TestMessageCycleAllocatesNothing(t *testing.T) {
	c := newTalk(t)
	if n := testing.AllocsPerRun(1000, c.message); n != 0 {
		t.Errorf("%v allocations for a message both ways", n)
	}
	if n := testing.AllocsPerRun(1000, c.heartbeat); n != 0 {
		t.Errorf("%v allocations for a heartbeat", n)
	}
}

func BenchmarkMessageBothWays(b *testing.B) {
	c := newTalk(b)
	b.ReportAllocs()
	for b.Loop() {
		c.message()
	}
}

func BenchmarkHeartbeat(b *testing.B) {
	c := newTalk(b)
	b.ReportAllocs()
	for b.Loop() {
		c.heartbeat()
	}
}

// What an idle session costs with its place on the wheel and in the table. The
// budget for all of it is 350 bytes, the test allows for maps that have just
// doubled.
func TestSizeOfAnIdleSession(t *testing.T) {
	if testing.Short() {
		t.Skip("allocates 100,000 sessions")
	}
	const n = 100_000
	shard := testShard(t, Config{})
	wheel, table := NewWheel[*Session](shard.Config.Tick), NewTable[*Session](time.Minute, 1000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range n {
		id := ID{byte(i), byte(i >> 8), byte(i >> 16)}
		s := new(Session)
		s.Open(shard, id, 0)
		_ = s.Send(codec.Message, number(1), false, 0)
		s.Output(nil, 1, 0, 1000)
		_, _ = s.Receive(1, codec.Packet{Header: codec.Header{Ack: 1}}, 0)
		table.Put(id, "", s)
		wheel.Add(s, s.Due())
	}
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := float64(after.HeapAlloc-before.HeapAlloc) / n
	t.Logf("%.0f bytes for an idle session: Session %d, wheel node %d, the rest is the table and slack",
		each, unsafe.Sizeof(Session{}), unsafe.Sizeof(wheelNode[*Session]{}))
	if each > 500 {
		t.Errorf("%.0f bytes for an idle session", each)
	}
	runtime.KeepAlive(wheel)
	runtime.KeepAlive(table)
}

// A detached session costs no more than an attached one and what waits in it:
// at most twice Held, as a ring that grows is not always full.
func TestDetachedSessionCostsNoMore(t *testing.T) {
	const n, packets = 10_000, 12
	shard := testShard(t, Config{})
	wheel := NewWheel[*Session](shard.Config.Tick)
	sessions := make([]*Session, n)
	handles := make([]Handle, n)
	body := number(1)
	live := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	start := live()
	for i := range sessions {
		s := new(Session)
		s.Open(shard, ID{byte(i), byte(i >> 8)}, 0)
		_, _ = s.Receive(1, codec.Packet{}, 0)
		sessions[i], handles[i] = s, wheel.Add(s, s.Due())
	}
	attached := live() - start
	for i, s := range sessions {
		s.Detach(1, time.Second)
		wheel.Set(handles[i], s.Due())
	}
	detached := live() - start
	if detached > attached+attached/50 {
		t.Errorf("attached %d bytes each, detached %d", attached/n, detached/n)
	}
	for _, s := range sessions {
		for range packets {
			if err := s.Send(codec.Message, body, false, time.Second); err != nil {
				t.Fatal(err)
			}
		}
	}
	full, held := live()-start, shard.Pool.Held()
	if held != n*packets*Cost(len(body), false) {
		t.Errorf("%d bytes are held", held)
	}
	if full > detached+2*held {
		t.Errorf("%d bytes wait for each, which takes %d", held/n, (full-detached)/n)
	}
	t.Logf("attached %d bytes each, detached %d, with %d packets in %d bytes %d", attached/n, detached/n, packets, held/n, full/n)
	runtime.KeepAlive(wheel)
	runtime.KeepAlive(sessions)
}
