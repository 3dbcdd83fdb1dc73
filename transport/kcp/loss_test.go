// SPDX-License-Identifier: MIT

package kcp

import (
	"errors"
	"testing"
	"time"
)

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

// lossy sends n segments of 50 bytes at 0, 1, 2 … ms and returns them.
func lossy(t *testing.T, c *Conn, n int) [][]byte {
	t.Helper()
	var all [][]byte
	for i := range n {
		write(t, c, make([]byte, 50))
		all = append(all, flush(c, time.Duration(i)*ms)...)
	}
	return all
}

// While backed off only the oldest segment counts. When it has arrived the next one is due
// at its own time, though it was sent under a shorter timeout.
func TestDeadlineAfterSlowIsThatOfTheNextSegment(t *testing.T) {
	cfg := &Config{MTU: HeaderSize + 50, ExtraRTO: 3 * time.Second}
	a, b := pair(cfg)
	write(t, a, make([]byte, 50))
	feed(t, b, 20*ms, flush(a, 0)...)
	cfg.ExtraRTO = 0
	write(t, a, make([]byte, 50))
	flush(a, 10*ms) // is lost
	a.Slow(700 * ms)
	flush(a, 210*ms)
	feed(t, a, 300*ms, flush(b, 280*ms)...)
	flush(a, 300*ms)
	if at := a.NextDeadline(300 * ms); at > 710*ms {
		t.Errorf("the next segment times out at 710ms, the deadline is %v", at)
	}
}

func TestFastResend(t *testing.T) {
	a, b := pair(&Config{MTU: HeaderSize + 50})
	sent := lossy(t, a, 5+thin)
	feed(t, b, 60*ms, sent[1])
	feed(t, a, 61*ms, flush(b, 60*ms)...)
	expect(t, "after one skip", show(flush(a, 61*ms)...), "")
	feed(t, b, 62*ms, sent[2])
	feed(t, a, 63*ms, flush(b, 62*ms)...)
	again := flush(a, 63*ms)
	expect(t, "after two", show(again...), "push 0:50")
	// What was sent before the retransmission says nothing about it.
	feed(t, b, 64*ms, sent[3:]...)
	feed(t, a, 65*ms, flush(b, 64*ms)...)
	expect(t, "older acks", show(flush(a, 65*ms)...), "")
	feed(t, b, 66*ms, again...)
	if got, want := len(drain(b)), 50*len(sent); got != want {
		t.Errorf("read %d bytes, want %d", got, want)
	}
}

func TestOneSkipIsEnoughInAThinStream(t *testing.T) {
	a, b := pair(&Config{MTU: HeaderSize + 50})
	sent := lossy(t, a, thin)
	feed(t, b, 30*ms, sent[1])
	feed(t, a, 31*ms, flush(b, 30*ms)...)
	expect(t, "one ack", show(flush(a, 31*ms)...), "push 0:50")

	a, b = pair(&Config{MTU: HeaderSize + 50, FastResend: -1})
	sent = lossy(t, a, 2)
	feed(t, b, 30*ms, sent[1])
	feed(t, a, 31*ms, flush(b, 30*ms)...)
	expect(t, "switched off", show(flush(a, 31*ms)...), "")
}

func TestLostWindowIsSpread(t *testing.T) {
	a, _ := pair(&Config{MTU: HeaderSize + 50})
	feed(t, a, 0, build(header{conv: 9, cmd: cmdWindowTell, wnd: 200}))
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

// SPEC 5.2: a peer that does not answer is sent the oldest segment alone,
// whatever is written meanwhile. The first answer brings all the others at once.
func TestSilentPeerIsSentOneSegment(t *testing.T) {
	a, b := pair(&Config{})
	var last [][]byte
	var when time.Duration
	datagrams := 0
	for now := time.Duration(0); now < 8*time.Second; now += ms {
		if now < time.Second && now%(50*ms) == 0 {
			write(t, a, make([]byte, 20))
		}
		if sent := flush(a, now); len(sent) > 0 {
			last, when = sent, now
			datagrams += len(sent)
		}
	}
	if datagrams > 40 {
		t.Errorf("20 messages to a dead peer are %d datagrams in 8 s", datagrams)
	}
	expect(t, "the last one", show(last...), "push 0:20")
	feed(t, b, when+ms, last...)
	feed(t, a, when+2*ms, flush(b, when+ms)...)
	sent := flush(a, when+2*ms)
	feed(t, b, when+3*ms, sent...)
	if got := len(drain(b)); len(sent) != 1 || got != 20*20 {
		t.Errorf("after its answer %d datagrams, and %d bytes are there", len(sent), got)
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
				c.sndLimit = c.sndNxt
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
			feed(t, c, at+ms, build(header{conv: 9, cmd: cmdWindowTell, wnd: 1, una: c.sndNxt}))
			if at += 10 * time.Minute; c.NextDeadline(at) != Never {
				t.Fatalf("idle, but due at %v", c.NextDeadline(at))
			}
			c.sndLimit = c.sndNxt
			write(t, c, []byte("y"))
			flush(c, at)
			if c.Err() != nil {
				t.Fatal("stalled without having waited")
			}
			feed(t, c, at+ms, build(header{conv: 9, cmd: cmdWindowTell, wnd: 9, una: c.sndNxt}))
			flush(c, at+ms)
			feed(t, c, at+ms, build(header{conv: 9, cmd: cmdWindowTell, wnd: 9, una: c.sndNxt}))
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

func TestRetransmissionIsSkippedAnew(t *testing.T) {
	a, b := pair(&Config{MTU: HeaderSize + 50})
	sent := lossy(t, a, 6+thin)
	feed(t, b, 60*ms, sent[1])
	feed(t, a, 61*ms, flush(b, 60*ms)...)
	feed(t, b, 62*ms, sent[2])
	feed(t, a, 63*ms, flush(b, 62*ms)...)
	expect(t, "first loss", show(flush(a, 63*ms)...), "push 0:50")
	write(t, a, make([]byte, 100))
	sent = flush(a, 70*ms)
	expect(t, "new ones", show(sent...), "push 22:50 | push 23:50")
	feed(t, b, 80*ms, sent[0])
	feed(t, a, 81*ms, flush(b, 80*ms)...)
	expect(t, "one skip", show(flush(a, 81*ms)...), "")
	feed(t, b, 82*ms, sent[1])
	feed(t, a, 83*ms, flush(b, 82*ms)...)
	expect(t, "two skips", show(flush(a, 83*ms)[:2]...), "push 0:50 | push 3:50")
}

func TestLostGoesBeforeNew(t *testing.T) {
	a, _ := pair(&Config{})
	write(t, a, make([]byte, 100))
	flush(a, 0)
	write(t, a, make([]byte, 10))
	if d := a.Output(200*ms, nil, 100); len(d) != 0 {
		t.Errorf("sent %s before what was lost", show(d))
	}
	expect(t, "with room", show(flush(a, 200*ms)...), "push 0:100, push 1:10")
}

func TestProgressPostponesTheStall(t *testing.T) {
	for _, progress := range []bool{false, true} {
		c, _ := pair(&Config{MTU: HeaderSize + 50, StallTimeout: 10 * time.Second})
		write(t, c, make([]byte, 3*50))
		flush(c, 0)
		flush(c, 0) // a loop ends with an Output that adds nothing
		h := header{conv: 9, cmd: cmdWindowTell, wnd: 99}
		if progress {
			h.una = 1
		}
		feed(t, c, 9*time.Second, build(h))
		flush(c, 11*time.Second)
		if got, want := c.Err(), !progress; (got != nil) != want {
			t.Errorf("progress %v: %v", progress, got)
		}
	}
}

// TestSilenceEndsWithAnyAcknowledgement: the first one after it is lost, and what
// comes then acknowledges by una alone, which measures nothing.
func TestSilenceEndsWithAnyAcknowledgement(t *testing.T) {
	a, b := pair(&Config{})
	write(t, a, []byte("x"))
	feed(t, b, 10*ms, flush(a, 0)...)
	feed(t, a, 20*ms, flush(b, 10*ms)...)
	drain(b)
	var last [][]byte
	var at time.Duration
	for now := 100 * ms; now < 8*time.Second; now += ms { // nothing arrives
		if now < time.Second && now%(50*ms) == 0 {
			write(t, a, make([]byte, 20))
		}
		if sent := flush(a, now); len(sent) > 0 {
			last, at = sent, now
		}
	}
	if !a.backedOff() {
		t.Fatal("a peer that says nothing for seconds is not silent")
	}
	feed(t, b, at+10*ms, last...)
	flush(b, at+10*ms) // lost
	write(t, b, []byte("here"))
	feed(t, a, at+40*ms, flush(b, at+30*ms)...)
	waiting := int(a.inFlight)
	sent := 0
	for now := at + 40*ms; now < at+200*ms; now += ms {
		for _, d := range flush(a, now) {
			eachSegment(d, func(h header, _ []byte) {
				if h.cmd == cmdPush {
					sent++
				}
			})
		}
	}
	if a.backedOff() || sent < waiting {
		t.Errorf("%d of %d segments were sent again, silent %v", sent, waiting, a.backedOff())
	}
}
