// SPDX-License-Identifier: MIT

package kcp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestEverythingLeavesAtOnceInOneDatagram(t *testing.T) {
	a, b := pair(&Config{})
	write(t, a, []byte("hello "))
	write(t, a, []byte("world"))
	if a.NextDeadline(5*ms) != 5*ms {
		t.Error("written data isn't due at once")
	}
	sent := flush(a, 5*ms)
	expect(t, "sent", show(sent...), "push 0:11")
	feed(t, b, 9*ms, sent...)
	expect(t, "read", string(drain(b)), "hello world")
	write(t, b, []byte("hi"))
	answer := flush(b, 9*ms)
	expect(t, "answer", show(answer...), "ack 0, push 0:2")
	feed(t, a, 12*ms, answer...)
	if got := a.NextDeadline(12 * ms); got != 12*ms {
		t.Errorf("the ack is due at %v", got)
	}
	expect(t, "last ack", show(flush(a, 12*ms)...), "ack 0")
	if got := a.NextDeadline(12 * ms); got != Never {
		t.Errorf("an idle conversation has a deadline at %v", got)
	}
	if s := a.Stats(); s.SRTT != 7*ms || s.RTO != 30*ms {
		t.Errorf("stats: %+v", s)
	}
}

// TestWire is the example of SPEC 1.
func TestWire(t *testing.T) {
	c, _ := pair(&Config{})
	write(t, c, []byte("hello"))
	const want = "09000000510080000100000000000000000000000500000068656c6c6f"
	if got := hex.EncodeToString(c.Output(ms, nil, maxMTU)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWriteFillsTheLastSegment(t *testing.T) {
	c, _ := pair(&Config{MTU: HeaderSize + 500, SendWindow: 3})
	write(t, c, make([]byte, 100))
	write(t, c, make([]byte, 200)) // outgrows the small buffer
	write(t, c, make([]byte, 700))
	if got := c.Room(); got != 500 {
		t.Errorf("Room = %d, want 500", got)
	}
	if err := c.Write(make([]byte, 501)); !errors.Is(err, ErrFull) {
		t.Errorf("Write beyond Room: %v", err)
	}
	write(t, c, make([]byte, 499))
	if got := c.Room(); got != 1 {
		t.Errorf("Room = %d, want 1", got)
	}
	expect(t, "sent", show(flush(c, 0)...), "push 0:500 | push 1:500 | push 2:499")
	if got := c.Room(); got != 0 { // a sent segment grows no more
		t.Errorf("Room = %d, want 0", got)
	}
	feed(t, c, ms, build(header{conv: 9, cmd: cmdWindowTell, wnd: 1, una: 1}))
	if got := c.Room(); got != 500 {
		t.Errorf("Room = %d after an ack, want 500", got)
	}
}

func TestClosedWindowIsProbed(t *testing.T) {
	a, b := pair(&Config{MTU: HeaderSize + 50, RecvWindow: 40})
	write(t, a, make([]byte, 50*50))
	sent := flush(a, 0)
	feed(t, b, 0, sent...)
	feed(t, a, 0, flush(b, 0)...) // 32 were sent, 8 more fit
	feed(t, b, 0, flush(a, 0)...)
	feed(t, a, 0, flush(b, 0)...)
	if s := a.Stats(); s.InFlight != 0 || s.Queued != 10 || s.PeerWindow != 0 || b.Stats().Readable != 40 {
		t.Fatalf("before the probes: %+v", s)
	}
	at := time.Duration(0)
	for _, gap := range []time.Duration{500, 1000, 2000, 4000, 4000} {
		flush(a, at)
		if got := a.NextDeadline(at); got != at+gap*ms {
			t.Fatalf("probe at %v, want %v", got, at+gap*ms)
		}
		at += gap * ms
		expect(t, "probe", show(flush(a, at)...), "ask")
	}
	feed(t, b, at, build(header{conv: 9, cmd: cmdWindowAsk}))
	expect(t, "answer to a probe", show(flush(b, at)...), "tell 0")
	b.Discard(50 * 12)
	update := flush(b, at)
	expect(t, "window update", show(update...), "tell 12")
	feed(t, a, at, update...)
	if got := len(flush(a, at)); got != 10 {
		t.Errorf("%d datagrams left after the update, want 10", got)
	}
}

func TestForgedClosedWindowStopsNothing(t *testing.T) {
	a, _ := pair(&Config{})
	feed(t, a, 0, build(header{conv: 9, cmd: cmdWindowTell, wnd: 0}))
	write(t, a, []byte("x"))
	expect(t, "sent", show(flush(a, 0)...), "push 0:1")
}

func TestReadingOpensTheWindow(t *testing.T) {
	_, b := pair(&Config{RecvWindow: 8})
	for sn := range uint32(9) {
		feed(t, b, 0, build(header{conv: 9, cmd: cmdPush, sn: sn, size: 10}))
	}
	if s := b.Stats(); s.Readable != 8 || s.Dropped != 1 {
		t.Fatalf("the window doesn't hold: %+v", s)
	}
	answer := flush(b, 0)
	expect(t, "ack", show(answer...), "ack 7")
	if h := parse(answer[0])[0]; h.wnd != 0 || h.una != 8 {
		t.Fatalf("advertised %+v", h)
	}
	b.Discard(9)
	expect(t, "after a part of a segment", show(flush(b, 0)...), "")
	b.Discard(1)
	expect(t, "after a segment", show(flush(b, 0)...), "tell 1")
	b.Discard(20)
	expect(t, "after two more", show(flush(b, 0)...), "tell 3")
	b.Discard(1000)
	expect(t, "when it was open", show(flush(b, 0)...), "")
}

func TestFragmentsAreBytes(t *testing.T) {
	_, b := pair(&Config{})
	feed(t, b, 0, build(header{conv: 9, cmd: cmdPush, sn: 1, frg: 0, size: 3}))
	feed(t, b, 0, build(header{conv: 9, cmd: cmdPush, sn: 0, frg: 1, size: 5}))
	if got := len(drain(b)); got != 8 {
		t.Errorf("read %d bytes, want 8", got)
	}
}

func TestSetMTU(t *testing.T) {
	a, b := pair(&Config{MTU: 1400})
	data := bytes.Repeat([]byte("0123456789"), 500)
	write(t, a, data)
	expect(t, "cut for 1200", show(a.Output(0, nil, maxMTU)), "push 0:1176")
	for _, n := range []int{MinMTU - 1, -1, 0, maxMTU + 1} {
		if err := a.SetMTU(n); !errors.Is(err, ErrMTU) {
			t.Errorf("SetMTU(%d): %v", n, err)
		}
	}
	if err := a.SetMTU(HeaderSize + 1000); err != nil {
		t.Fatal(err)
	}
	rest := flush(a, 0)
	expect(t, "cut again", show(rest...), "push 1:1000 | push 2:176 | push 3:1000 | push 4:176 | push 5:1000 | push 6:176, push 7:296")
	feed(t, b, ms, rest...)
	feed(t, a, 2*ms, flush(b, ms)...)
	lost := flush(a, 2*ms)
	expect(t, "numbered before", show(lost...), "push 0:1176")
	feed(t, b, 3*ms, lost...)
	if got := drain(b); !bytes.Equal(got, data) {
		t.Errorf("read %d bytes, not what was sent", len(got))
	}
}

func TestLimitIsNeverExceeded(t *testing.T) {
	a, b := pair(&Config{MTU: 9000})
	for sn := range uint32(40) {
		feed(t, b, 0, build(header{conv: 9, cmd: cmdPush, sn: 2 * sn, size: 1}))
	}
	write(t, b, make([]byte, 10_000))
	for limit := -1; limit < 3000; limit += 7 {
		d := b.Output(0, []byte("before"), limit)
		if n := len(d) - len("before"); n > max(limit, 0) || !bytes.HasPrefix(d, []byte("before")) {
			t.Fatalf("%d bytes with limit %d", n, limit)
		}
		feed(t, a, 0, build(header{conv: 9, cmd: cmdWindowAsk}))
	}
	if got := len(flush(b, 0)); got != 0 {
		t.Errorf("%d datagrams are left", got)
	}
}

// TestAckFlood: however many pushes arrive between two Outputs, the acks are
// bounded by the window.
func TestAckFlood(t *testing.T) {
	_, b := pair(&Config{RecvWindow: 16})
	var flood []header
	for i := range uint32(58) {
		flood = append(flood, header{conv: 9, cmd: cmdPush, sn: i % 20, size: 1})
	}
	for range 1000 {
		feed(t, b, 0, build(flood[1:]...))
	}
	n := 0
	for _, d := range flush(b, 0) {
		n += len(parse(d))
	}
	if n > 17 {
		t.Errorf("%d acks, want 17 at most", n)
	}
	if err := b.audit(); err != nil {
		t.Error(err)
	}
}

func TestNumbersWrap(t *testing.T) {
	a, b := newOurs(9, &Config{}, 1<<32-3, 1<<32-2), newOurs(9, &Config{}, 1<<32-2, 1<<32-3)
	for i := range 8 {
		at := time.Duration(i) * 10 * ms
		write(t, &a.Conn, []byte{byte(i)})
		feed(t, &b.Conn, at, flush(&a.Conn, at)...)
		write(t, &b.Conn, drain(&b.Conn))
		feed(t, &a.Conn, at+5*ms, flush(&b.Conn, at)...)
		if got := drain(&a.Conn); len(got) != 1 || got[0] != byte(i) {
			t.Fatalf("echo %d: %v", i, got)
		}
	}
	if a.sndNxt != 5 || b.rcvNxt != 5 || a.Stats().Retransmits != 0 {
		t.Errorf("sndNxt %d, rcvNxt %d", a.sndNxt, b.rcvNxt)
	}
}

func TestStampWraps(t *testing.T) {
	const late = (1<<32 - 5) * ms // 49.7 days after the start
	a, b := pair(&Config{})
	for i := range 10 {
		at := late + time.Duration(i)*10*ms
		write(t, a, []byte("x"))
		feed(t, b, at+4*ms, flush(a, at)...)
		feed(t, a, at+8*ms, flush(b, at+4*ms)...)
	}
	if s := a.Stats(); s.SRTT != 8*ms || s.RTO != 30*ms || s.InFlight != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestReleaseReturnsEverything(t *testing.T) {
	pool := NewPool(1 << 30)
	a, b := pair(&Config{Pool: pool})
	write(t, a, make([]byte, 100_000))
	sent := flush(a, 0)
	feed(t, b, 0, sent[:10]...)
	feed(t, b, 0, sent[20:30]...)
	segments := int(a.inFlight) + int(a.queued) + 20
	a.Release()
	b.Release()
	n := 0
	for _, list := range []*segment{pool.small, pool.large} {
		for ; list != nil; list = list.next {
			n++
		}
	}
	if n != segments || a.Peek() != nil || b.Peek() != nil || a.Pending() || b.NextDeadline(0) != Never {
		t.Errorf("the pool has %d segments, want %d", n, segments)
	}
}

func TestSlowSpreadsRetransmissions(t *testing.T) {
	for _, test := range []struct {
		slow bool
		want int // datagrams in 2 s
	}{{false, 9}, {true, 4}} {
		a, b := pair(&Config{})
		write(t, a, []byte("x"))
		feed(t, b, 0, flush(a, 0)...)
		feed(t, a, 0, flush(b, 0)...) // the RTO is the least
		write(t, a, []byte("y"))
		n := len(flush(a, 0))
		if test.slow {
			a.Slow(400 * ms)
		}
		for now := 10 * ms; now < 2*time.Second; now += 10 * ms {
			n += len(flush(a, now))
		}
		if n != test.want {
			t.Errorf("slow %v: sent %d times in 2 s, want %d", test.slow, n, test.want)
		}
	}
}

func TestPoolIsBounded(t *testing.T) {
	for _, retain := range []int{-1, 5000, 1 << 20} {
		pool := NewPool(retain)
		var all []*segment
		for i := range 1000 {
			all = append(all, pool.get(1+i))
		}
		for _, s := range all {
			pool.put(s)
		}
		kept := 0
		for _, list := range []*segment{pool.small, pool.large} {
			for ; list != nil; list = list.next {
				kept += footprint(list)
			}
		}
		if kept != pool.free || kept > max(retain, 0) {
			t.Errorf("retain %d: keeps %d, says %d", retain, kept, pool.free)
		}
		for pool.small != nil || pool.large != nil {
			pool.get(1)
			pool.get(largeBuffer)
		}
		if pool.free != 0 {
			t.Errorf("retain %d: an empty pool keeps %d bytes", retain, pool.free)
		}
	}
}

func TestProbesStartAnew(t *testing.T) {
	c, _ := pair(&Config{})
	at := time.Duration(0)
	for una := range uint32(2) {
		c.sndLimit = c.sndNxt
		write(t, c, []byte("x"))
		flush(c, at)
		if got := c.NextDeadline(at) - at; got != probeMin {
			t.Fatalf("first probe after %v, want %v", got, probeMin)
		}
		at += probeMin
		expect(t, "probe", show(flush(c, at)...), "ask")
		feed(t, c, at, build(header{conv: 9, cmd: cmdWindowTell, wnd: 1, una: una}))
		expect(t, "open again", show(flush(c, at)...), fmt.Sprintf("push %d:1", una))
		feed(t, c, at, build(header{conv: 9, cmd: cmdWindowTell, wnd: 0, una: una + 1}))
		flush(c, at)
	}
}

func ExampleConn() {
	// Two ends on one imaginary clock. A server keeps one Config for each loop.
	cfg := &Config{Pool: NewPool(0)}
	var client, server Conn
	client.Init(42, cfg)
	server.Init(42, cfg)

	_ = client.Write([]byte("ping"))
	datagram := client.Output(0, nil, 1200)

	fmt.Println("opens a conversation:", Opens(datagram))
	if err := server.Input(10*time.Millisecond, datagram); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("server reads %q\n", server.Peek())
	server.Discard(len(server.Peek()))

	_ = server.Write([]byte("pong"))
	datagram = server.Output(10*time.Millisecond, datagram[:0], 1200)
	if err := client.Input(25*time.Millisecond, datagram); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("client reads %q after %v\n", client.Peek(), client.Stats().SRTT)
	// Output:
	// opens a conversation: true
	// server reads "ping"
	// client reads "pong" after 25ms
}
