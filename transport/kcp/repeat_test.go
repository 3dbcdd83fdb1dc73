// SPDX-License-Identifier: MIT

package kcp

import (
	"testing"
	"time"
)

// losing returns a pair on a path that has just lost a segment, and the time.
// The next segment of a is number 2.
func losing(t *testing.T, cfg *Config) (a, b *Conn, now time.Duration) {
	t.Helper()
	a, b = pair(cfg)
	for i := range time.Duration(2) {
		now = i * time.Second
		write(t, a, make([]byte, 50))
		sent := flush(a, now)
		if i == 1 { // lost
			now = a.NextDeadline(now)
			sent = flush(a, now)
		}
		feed(t, b, now, sent...)
		drain(b)
		feed(t, a, now+30*ms, flush(b, now)...)
	}
	return a, b, now + time.Second
}

func TestRepeatsTravelWithNewSegments(t *testing.T) {
	cfg := &Config{}
	a, b, now := losing(t, cfg)
	var sent [][]byte
	for i, want := range []string{"push 2:50", "push 2:50, push 3:50", "push 2:50, push 3:50, push 4:50", "push 3:50, push 4:50, push 5:50"} {
		write(t, a, make([]byte, 50))
		d := flush(a, now+time.Duration(i)*ms)
		expect(t, "sent", show(d...), want)
		sent = append(sent, d...)
	}
	if s := a.Stats(); s.Retransmits != 1 || cfg.Retransmits != 1 || cfg.Repeats != 5 {
		t.Errorf("%d retransmits, of the loop %d, and %d repeats", s.Retransmits, cfg.Retransmits, cfg.Repeats)
	}
	rto, due := a.rto, a.due
	if due != now+rto {
		t.Errorf("repeats moved the timeout from %v to %v", now+rto, due)
	}
	// The first two are lost: the third brings what they had.
	feed(t, b, now+40*ms, sent[2])
	if got := len(drain(b)); got != 3*50 {
		t.Errorf("read %d bytes", got)
	}
	answer := flush(b, now+40*ms)
	expect(t, "answer", show(answer...), "ack 4")
	feed(t, a, now+42*ms, answer...)
	if a.srtt >= 42*ms || a.inFlight != 1 {
		t.Errorf("SRTT %v, %d in flight", a.srtt, a.inFlight)
	}
	if feed(t, b, now+43*ms, sent[3]); b.duplicates != 2 || len(drain(b)) != 50 {
		t.Errorf("%d duplicates", b.duplicates)
	}
}

func TestNothingIsRepeated(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  Config
		prep func(c *Conn)
		size int // of the second segment
		want string
	}{
		{"", Config{}, nil, 50, "push 2:50, push 3:50"}, // but here
		{"on a clean path", Config{}, func(c *Conn) { c.loss = lossSignificant - 1 }, 50, "push 3:50"},
		{"where the path has changed", Config{}, (*Conn).Moved, 50, "push 3:50"},
		{"if switched off", Config{NoRepeats: true}, nil, 50, "push 3:50"},
		{"beyond the datagram", Config{}, nil, cutMTU - 2*HeaderSize - 50 + 1, "push 3:1103"},
		{"where a larger MTU would take it", Config{MTU: 1400}, nil, cutMTU - 2*HeaderSize - 50 + 1, "push 3:1103"},
		{"before bulk", Config{}, nil, 1500, "push 3:1176 | push 4:324"},
		{"of bulk", Config{}, func(c *Conn) { c.inFlight += thin }, 50, "push 3:50"},
		{"while a segment must be sent again", Config{}, func(c *Conn) { c.markLost(c.sndBuf.head) }, 50, "push 2:50, push 3:50"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, _, now := losing(t, &tc.cfg)
			write(t, a, make([]byte, 50))
			flush(a, now)
			if tc.prep != nil {
				tc.prep(a)
			}
			write(t, a, make([]byte, tc.size))
			expect(t, "sent", show(flush(a, now+ms)...), tc.want)
		})
	}
}

func TestLossIsForgotten(t *testing.T) {
	cfg := &Config{}
	a, b, now := losing(t, cfg)
	for n := 0; a.loss >= lossSignificant; n++ {
		if n > 2*lossMemory {
			t.Fatalf("after %d segments without loss it is still %d of 65536", n, a.loss)
		}
		write(t, a, []byte("x"))
		feed(t, b, now, flush(a, now)...)
		drain(b)
		feed(t, a, now+30*ms, flush(b, now)...)
		now += time.Second
	}
	was := a.loss
	write(t, a, []byte("x"))
	first := flush(a, now) // is late, not lost
	again := flush(a, a.NextDeadline(now))
	feed(t, b, now+500*ms, first...)
	feed(t, a, now+530*ms, flush(b, now+500*ms)...)
	if len(again) == 0 || a.inFlight != 0 || a.loss > was {
		t.Errorf("a timeout that was wrong counts as loss: %d after %d", a.loss, was)
	}
}
