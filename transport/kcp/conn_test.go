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
	if s := a.Stats(); s.SRTT != 7*ms || s.RTO != 30*ms || s.BytesOut != 11 || s.BytesIn != 2 {
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
	feed(t, c, ms, build(header{conv: 9, cmd: cmdTell, wnd: 1, una: 1}))
	if got := c.Room(); got != 500 {
		t.Errorf("Room = %d after an ack, want 500", got)
	}
}

func TestTimeoutsBackOff(t *testing.T) {
	cfg := &Config{MaxRTO: time.Second}
	c, _ := pair(cfg)
	write(t, c, []byte("x"))
	flush(c, 0)
	at := time.Duration(0)
	for i, want := range []time.Duration{200, 300, 450, 675, 1000, 1000} {
		next := c.NextDeadline(at)
		if got := next - at; got.Truncate(ms) != want*ms {
			t.Fatalf("timeout %d after %v, want %v ms", i, got, want)
		}
		if got := flush(c, next-1); len(got) != 0 {
			t.Fatalf("sent %s before the timeout", show(got...))
		}
		expect(t, "retransmission", show(flush(c, next)...), "push 0:1")
		at = next
	}
	// Any of the transmissions may be the one that is answered.
	feed(t, c, at+40*ms, build(header{conv: 9, cmd: cmdAck, una: 1, ts: stamp(at)}))
	if s := c.Stats(); s.SRTT.Round(ms) != 40*ms || s.RTO.Round(ms) != 120*ms || s.Retransmits != 6 {
		t.Errorf("after the answer: %+v", s)
	}
}

func TestExtraRTODelaysTimeouts(t *testing.T) {
	cfg := &Config{}
	c, _ := pair(cfg)
	cfg.ExtraRTO = 70 * ms
	write(t, c, []byte("x"))
	flush(c, 0)
	if got := c.NextDeadline(0); got != 270*ms {
		t.Errorf("timeout at %v, want 270ms", got)
	}
	if got := c.Stats().RTO; got != 200*ms {
		t.Errorf("RTO = %v, want 200ms", got)
	}
}

// lossy sends n segments of 50 bytes at 0, 10, 20 … ms and returns them.
func lossy(t *testing.T, c *Conn, n int) [][]byte {
	t.Helper()
	var all [][]byte
	for i := range n {
		write(t, c, make([]byte, 50))
		all = append(all, flush(c, time.Duration(i)*10*ms)...)
	}
	return all
}

func TestFastResend(t *testing.T) {
	a, b := pair(&Config{MTU: HeaderSize + 50})
	sent := lossy(t, a, 5)
	feed(t, b, 60*ms, sent[1])
	feed(t, a, 61*ms, flush(b, 60*ms)...)
	expect(t, "after one skip", show(flush(a, 61*ms)...), "")
	feed(t, b, 62*ms, sent[2])
	feed(t, a, 63*ms, flush(b, 62*ms)...)
	again := flush(a, 63*ms)
	expect(t, "after two", show(again...), "push 0:50")
	// What was sent before the retransmission says nothing about it.
	feed(t, b, 64*ms, sent[3])
	feed(t, b, 64*ms, sent[4])
	feed(t, a, 65*ms, flush(b, 64*ms)...)
	expect(t, "older acks", show(flush(a, 65*ms)...), "")
	feed(t, b, 66*ms, again...)
	if got := len(drain(b)); got != 250 {
		t.Errorf("read %d bytes, want 250", got)
	}
}

func TestEarlyResendOfTheTail(t *testing.T) {
	a, b := pair(&Config{MTU: HeaderSize + 50})
	sent := lossy(t, a, 2)
	feed(t, b, 30*ms, sent[1])
	feed(t, a, 31*ms, flush(b, 30*ms)...)
	expect(t, "no more acks can come", show(flush(a, 31*ms)...), "push 0:50")

	a, b = pair(&Config{MTU: HeaderSize + 50, FastResend: -1})
	sent = lossy(t, a, 2)
	feed(t, b, 30*ms, sent[1])
	feed(t, a, 31*ms, flush(b, 30*ms)...)
	expect(t, "switched off", show(flush(a, 31*ms)...), "")
}

func TestLostWindowIsSpread(t *testing.T) {
	a, _ := pair(&Config{MTU: HeaderSize + 50})
	feed(t, a, 0, build(header{conv: 9, cmd: cmdTell, wnd: 200}))
	write(t, a, make([]byte, 100*50))
	if got := len(flush(a, 0)); got != 100 {
		t.Fatalf("sent %d datagrams", got)
	}
	for i, want := range []int{burst, burst, burst, 100 - 3*burst} {
		at := 200*ms + time.Duration(i)*burstGap
		if got := a.NextDeadline(at - 1); got != at {
			t.Errorf("deadline %d at %v, want %v", i, got, at)
		}
		if got := len(flush(a, at)); got != want {
			t.Errorf("%d retransmissions at %v, want %d", got, at, want)
		}
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
	feed(t, b, at, build(header{conv: 9, cmd: cmdAsk}))
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
	feed(t, a, 0, build(header{conv: 9, cmd: cmdTell, wnd: 0}))
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
		t.Fatalf("told %+v", h)
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

func TestStalled(t *testing.T) {
	run := func(c *Conn) (at time.Duration) {
		for c.Err() == nil && at != Never {
			flush(c, at)
			at = c.NextDeadline(at)
			if at == Never {
				return at
			}
			flush(c, at)
			if c.Err() != nil {
				return at
			}
		}
		return at
	}
	for _, tc := range []struct {
		name   string
		limit  time.Duration
		window bool // only the window is closed
		want   time.Duration
	}{
		{"no acks", 0, false, time.Minute},
		{"no acks, demanding", 3 * time.Second, false, 3 * time.Second},
		{"closed window", 0, true, time.Minute},
		{"closed window, demanding", 3 * time.Second, true, 3 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, _ := pair(&Config{StallTimeout: tc.limit})
			if tc.window {
				c.edge = c.next
			}
			write(t, c, []byte("x"))
			if got := run(c); got != tc.want || !errors.Is(c.Err(), ErrStalled) {
				t.Errorf("%v after %v, want %v", c.Err(), got, tc.want)
			}
			if c.Pending() || c.NextDeadline(time.Hour) != Never || len(flush(c, time.Hour)) != 0 {
				t.Error("a stalled conversation goes on")
			}
		})
	}
	t.Run("idle time doesn't count", func(t *testing.T) {
		c, _ := pair(&Config{})
		for at := time.Duration(0); at < time.Hour; at += 10 * time.Minute {
			write(t, c, []byte("x"))
			flush(c, at)
			feed(t, c, at+ms, build(header{conv: 9, cmd: cmdTell, wnd: 1, una: c.next}))
			if at += 10 * time.Minute; c.NextDeadline(at) != Never {
				t.Fatalf("idle, but due at %v", c.NextDeadline(at))
			}
			c.edge = c.next
			write(t, c, []byte("y"))
			flush(c, at)
			if c.Err() != nil {
				t.Fatal("stalled without having waited")
			}
			feed(t, c, at+ms, build(header{conv: 9, cmd: cmdTell, wnd: 9, una: c.next}))
			flush(c, at+ms)
			feed(t, c, at+ms, build(header{conv: 9, cmd: cmdTell, wnd: 9, una: c.next}))
		}
	})
	t.Run("no limit", func(t *testing.T) {
		c, _ := pair(&Config{StallTimeout: -1})
		write(t, c, []byte("x"))
		flush(c, 0)
		flush(c, 100*time.Hour)
		if c.Err() != nil {
			t.Error(c.Err())
		}
	})
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
		feed(t, a, 0, build(header{conv: 9, cmd: cmdAsk}))
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

// TestSlowPathMakesNoStorm: a round trip that suddenly takes 40 times as long
// costs a few retransmissions until it is measured, not one per timeout.
func TestSlowPathMakesNoStorm(t *testing.T) {
	a, b := pair(&Config{})
	type arrival struct {
		at time.Duration
		d  []byte
	}
	var there, back []arrival
	messages, delay := 0, 10*ms
	for now := time.Duration(0); now < 20*time.Second; now += ms {
		if now == 5*time.Second {
			delay = 400 * ms
		}
		if now%(50*ms) == 0 {
			messages++
			write(t, a, make([]byte, 64))
		}
		for ; len(there) > 0 && there[0].at <= now; there = there[1:] {
			feed(t, b, now, there[0].d)
			drain(b)
		}
		for ; len(back) > 0 && back[0].at <= now; back = back[1:] {
			feed(t, a, now, back[0].d)
		}
		for _, d := range flush(a, now) {
			there = append(there, arrival{now + delay, d})
		}
		for _, d := range flush(b, now) {
			back = append(back, arrival{now + delay, d})
		}
	}
	s := a.Stats()
	t.Logf("%d messages, %d retransmissions, SRTT %v, RTO %v", messages, s.Retransmits, s.SRTT, s.RTO)
	if s.Retransmits > 50 || s.SRTT.Round(ms) != 800*ms {
		t.Errorf("%d retransmissions of %d messages, SRTT %v", s.Retransmits, messages, s.SRTT)
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
	if a.next != 5 || b.await != 5 || a.Stats().Retransmits != 0 {
		t.Errorf("next %d, await %d", a.next, b.await)
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
