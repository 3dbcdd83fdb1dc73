// SPDX-License-Identifier: MIT

package session

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// lossy is a client. Its servers are lost with all that they know, or move its session,
// and its links break at any point: SPEC 6.8. It knows what became of each message.
type lossy struct {
	t     *testing.T
	rng   *rand.Rand
	now   time.Duration
	shard *Shard
	c     *Client
	s     *Session // nil: its server is lost
	epoch uint32   // of the link
	up    []codec.Packet
	down  []codec.Packet

	sent, pushed, got          uint64
	written, handled, reported map[uint64]int
	last                       uint64 // handled
	restarts, orphans          int
}

func newLossy(t *testing.T, seed uint64) *lossy {
	w := &lossy{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), shard: testShard(t, Config{Reopens: true}),
		written: map[uint64]int{}, handled: map[uint64]int{}, reported: map[uint64]int{},
	}
	var err error
	if w.c, err = NewClient(ClientConfig{Rand: w.rng.Uint64}); err != nil {
		t.Fatal(err)
	}
	w.dial()
	w.calm()
	return w
}

// dial opens a link; what was on its way on the one before is lost.
func (w *lossy) dial() {
	w.c.LinkDown(w.now)
	if w.s != nil {
		w.s.Detach(w.epoch, w.now)
	}
	w.c.Hurry(w.now)
	for w.c.State() != Dialing {
		w.c.Check(w.now, noon)
	}
	w.up, w.down, w.epoch = nil, nil, 0
	w.c.LinkUp(w.now, noon, false)
	w.down = append(w.down, packetOf(w.t, AppendGreeting(nil, Nonce{})))
	w.learn()
}

func packetsOf(t *testing.T, b []byte) (list []codec.Packet) {
	t.Helper()
	for len(b) > 0 {
		p, n, err := codec.ParseFrame(b, 1<<20)
		if err != nil || n == 0 {
			t.Fatalf("%x: %v", b, err)
		}
		list = append(list, p)
		b = b[n:]
	}
	return list
}

// write lets both ends write what is due, packets as far as room bytes go.
func (w *lossy) write(room int) {
	for _, p := range packetsOf(w.t, w.c.Output(nil, w.now, room)) {
		if p.Kind == codec.Message {
			w.written[numberIn(p.Body)]++
		}
		w.up = append(w.up, p)
	}
	if w.s != nil {
		w.down = append(w.down, packetsOf(w.t, w.s.Output(nil, w.epoch, w.now, room))...)
	}
}

// arrive lets the oldest n packets of each direction arrive.
func (w *lossy) arrive(n int) {
	for range min(n, len(w.up)) {
		p := w.up[0]
		w.up = w.up[1:]
		w.serve(p)
	}
	for range min(n, len(w.down)) {
		p := w.down[0]
		w.down = w.down[1:]
		deliver, err := w.c.Receive(p, w.now)
		if err != nil {
			w.t.Fatalf("the client refuses %v: %v", p.Kind, err)
		}
		if deliver {
			n := numberIn(p.Body)
			if n <= w.got {
				w.t.Fatalf("the client gets %d after %d", n, w.got)
			}
			w.got = n
		}
	}
	w.learn()
}

func (w *lossy) serve(p codec.Packet) {
	switch p.Kind {
	case codec.Hello:
		w.s = new(Session)
		w.s.Open(w.shard, ID{1}, w.now)
		w.epoch = 1
		w.down = append(w.down, packetOf(w.t, w.s.AppendWelcome(nil, Key{}, Key{}, nil)))
	case codec.Resume:
		r, err := ParseResume(p)
		if err != nil || r.Can != CanRestart {
			w.t.Fatalf("%+v, %v", r, err)
		}
		if w.s == nil {
			w.orphans++
			w.restore(Orphan(r))
		}
		answer, _, refusal := w.s.Resume(nil, r, w.now)
		if refusal != nil {
			w.t.Fatal(refusal)
		}
		w.epoch = w.s.Epoch()
		w.down = append(w.down, packetOf(w.t, answer))
	default:
		if w.s == nil {
			return
		}
		ev, err := w.s.Receive(w.epoch, p, w.now)
		if err != nil {
			w.t.Fatalf("the server refuses %v: %v", p.Kind, err)
		}
		if ev == Deliver {
			n := numberIn(p.Body)
			if n <= w.last {
				w.t.Fatalf("%d is handled after %d", n, w.last)
			}
			w.handled[n]++
			w.last = n
		}
	}
}

func (w *lossy) restore(r *Record) {
	got, err := ParseRecord(r.Append(nil))
	if err != nil {
		w.t.Fatal(err)
	}
	w.s = new(Session)
	w.s.Restore(w.shard, got, w.now)
}

func (w *lossy) learn() {
	for _, ch := range w.c.Changes() {
		switch ch.Kind {
		case Ending:
			w.t.Fatalf("the session has ended: %v", ch.Err)
		case WasReset:
			w.restarts++
			if ch.Err.Code != Gone {
				w.t.Fatalf("reset because of %v", ch.Err)
			}
		}
		for _, p := range ch.Undelivered {
			n := numberIn(p.Body)
			if w.reported[n]++; w.written[n] == 0 {
				w.t.Fatalf("%d is reported, and was never written", n)
			}
		}
	}
}

// calm lets everything arrive.
func (w *lossy) calm() {
	for range 20 {
		w.c.Ask()
		w.write(1 << 20)
		w.arrive(1 << 20)
	}
	if n, _ := w.c.Queued(); n > 0 || w.c.State() != Open {
		w.t.Fatalf("%d packets wait, %v", n, w.c.State())
	}
}

// step lets something happen.
func (w *lossy) step() {
	w.now += 10 * time.Millisecond
	switch n := w.rng.IntN(48); {
	case n < 12:
		for range w.rng.IntN(6) {
			w.sent++
			if err := w.c.Send(codec.Message, number(w.sent)); err != nil {
				w.t.Fatal(err)
			}
		}
	case n < 16:
		if w.s != nil {
			w.pushed++
			if err := w.s.Send(codec.Message, number(w.pushed), false, w.now); err != nil {
				w.t.Fatal(err)
			}
		}
	case n < 22:
		w.write(w.rng.IntN(100))
	case n < 42:
		w.write(1 << 20)
		w.arrive(w.rng.IntN(6))
	case n < 45:
		w.dial()
	case n < 46: // the server is lost, with or without a moment until the client knows
		w.s = nil
		if w.rng.IntN(2) == 0 {
			w.dial()
		}
	case n < 47: // it moves, with what its client was told or not
		if w.s != nil && w.s.everHeard {
			w.s.Detach(w.epoch, w.now)
			w.restore(w.s.Record(w.now))
			w.dial()
		}
	}
}

// TestReopenedSession: what servers that are lost may have handled is reported once, and
// the rest is handled once, in order.
func TestReopenedSession(t *testing.T) {
	var sent, reported, restarts, orphans int
	for seed := range uint64(400) {
		w := newLossy(t, seed)
		for range 200 {
			w.step()
		}
		w.dial()
		w.calm()
		for n := uint64(1); n <= w.sent; n++ {
			handled, told := w.handled[n], w.reported[n]
			if handled > 1 || told > 1 || told == 0 && handled != 1 {
				t.Fatalf("seed %d: message %d of %d was handled %d times, reported %d times", seed, n, w.sent, handled, told)
			}
			reported += told
		}
		sent, restarts, orphans = sent+int(w.sent), restarts+w.restarts, orphans+w.orphans
	}
	t.Logf("%d messages, %d reported, %d orphans, %d resets", sent, reported, orphans, restarts)
	if reported == 0 || reported > sent/2 || restarts == 0 || orphans == 0 {
		t.Error("the test tests nothing")
	}
}

// TestOrphan: what a client claims that has lost its server, or lies.
func TestOrphan(t *testing.T) {
	shard := testShard(t, Config{Reopens: true})
	for name, c := range map[string]struct {
		r       ResumeRequest
		base    uint64
		recv    uint64
		restart bool
	}{
		"an app that ran on":      {ResumeRequest{Attempt: 9, Recv: 70, Lowest: 8}, 70, 7, true},
		"one that has sent none":  {ResumeRequest{Attempt: 9, Recv: 3, Lowest: 1}, 3, 0, true},
		"a lowest that can't be":  {ResumeRequest{Attempt: 9, Recv: 3}, 3, 0, true},
		"an app that was started": {ResumeRequest{Attempt: 9, Fresh: true, Lowest: 1}, 0, 0, false},
		"the highest count":       {ResumeRequest{Attempt: 9, Recv: maxCount, Lowest: 1 << 63}, maxCount, maxCount, true},
	} {
		rec, err := ParseRecord(Orphan(&c.r).Append(nil))
		if err != nil || !rec.Orphan {
			t.Fatalf("%s: %+v, %v", name, rec, err)
		}
		var s Session
		s.Restore(shard, rec, time.Hour)
		for range 2 { // the answer is lost, and the client comes again
			out, reset, refusal := s.Resume(nil, &c.r, time.Hour)
			var b resetRestartBody
			if err := decodeControl(packetOf(t, out), &b); refusal != nil || err != nil || !reset {
				t.Fatalf("%s: %v, %v", name, refusal, err)
			}
			if b.Base != c.base || b.Recv != c.recv || b.Restart != c.restart || Code(b.Reason) != Gone || !b.Params.Reopens {
				t.Errorf("%s: %+v", name, b)
			}
			c.r.Attempt++
		}
		if r := s.Record(time.Hour); r.Orphan || r.restart != c.restart {
			t.Errorf("%s: its record: %+v", name, r)
		}
		if _, err := s.Receive(s.Epoch(), codec.Packet{}, time.Hour); err != nil {
			t.Fatal(err)
		}
		if r := s.Record(time.Hour); r.restart || r.reason != 0 {
			t.Errorf("%s: heard, its record: %+v", name, r)
		}
	}
	var s Session
	s.Restore(shard, Orphan(&ResumeRequest{Attempt: 9, Recv: 1 << 63, Lowest: 1}), 0)
	if _, _, refusal := s.Resume(nil, &ResumeRequest{Attempt: 9, Recv: 1 << 63, Lowest: 1}, 0); refusal == nil || refusal.Code != Inconsistent {
		t.Errorf("a count above all: %v", refusal)
	}
}
