// SPDX-License-Identifier: MIT

package session

import (
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// Scenario 32.
func TestCountBelowWhatWasTrimmedIsAReset(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	_ = p.seat.push(40)
	w.run(time.Second)
	if p.seat.s.acked < 32 {
		t.Fatal("nothing was trimmed")
	}
	_ = p.seat.push(3)
	p.lose()
	p.noDial = true
	l := w.forge()
	r := p.request(p.c.attempt + 1)
	r.Recv = p.seat.s.acked - 1
	sent := p.seat.s.sent
	pk := l.ask(r, p.c.key)
	var b resetBody
	if pk.Kind != codec.Reset || decodeControl(pk, &b) != nil || b.Base != sent || b.Recv != p.seat.s.recv || Code(b.Reason) != Gone {
		t.Errorf("%v %+v, base should be %d", pk.Kind, b, sent)
	}
	if n, _ := l.seat.s.Queued(); n != 0 {
		t.Errorf("%d packets of the old stream are left", n)
	}
}

// Scenario 32, the other direction: what the client cannot send any more.
func TestMissingClientPacketsAreAReset(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	p.lose()
	p.noDial = true
	for i, c := range []struct {
		lowest uint64
		kind   codec.Kind
	}{{0, codec.Resumed}, {1, codec.Resumed}, {p.seat.s.recv + 1, codec.Resumed}, {p.seat.s.recv + 2, codec.Reset}, {1<<64 - 1, codec.Reset}} {
		r := p.request(p.c.attempt + uint64(i) + 1)
		r.Lowest = c.lowest
		if pk := w.forge().ask(r, p.c.key); pk.Kind != c.kind {
			t.Errorf("lowest %d: %v, want %v", c.lowest, pk.Kind, c.kind)
		}
	}
}

// Scenario 33.
func TestCountsAboveWhatWasSent(t *testing.T) {
	// By acknowledgement: the link is cut, the session lives.
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	_ = p.seat.push(3)
	p.link.write(toServer, codec.AppendFrame(nil, codec.Header{Ack: 4}, nil))
	st, before := p.seat, w.resumes
	w.run(20 * time.Second)
	if st.s.State() != Attached || w.resumes != before+1 {
		t.Errorf("%v after an acknowledgement of what was never sent, %d resumes", st.s.State(), w.resumes)
	}
	p.back()

	// By RESUME: the session ends.
	for _, above := range []uint64{1, 2, 1 << 31, 1 << 32, 1<<64 - 1 - 3} {
		w := newWorld(t, 1, Config{})
		p := w.connected("a")
		_ = p.seat.push(3)
		st := p.seat
		p.lose()
		p.noDial = true
		r := p.request(p.c.attempt + 1)
		r.Recv = st.s.wrote + above
		if e := w.forge().refusal(r, p.c.key); e.Code != Inconsistent || st.s.State() != Closed || st.s.Reason() != Inconsistent {
			t.Errorf("%d above: %v, session %v %v", above, e, st.s.State(), st.s.Reason())
		}
	}

	// Written is not sent: what no link ever carried can't have been accepted.
	w = newWorld(t, 1, Config{})
	p = w.connected("a")
	p.lose()
	p.noDial = true
	st = p.seat
	w.until(time.Minute, func() bool { return st.s.State() == Detached })
	_ = st.push(3)
	r := p.request(p.c.attempt + 1)
	r.Recv = st.s.sent
	if e := w.forge().refusal(r, p.c.key); e.Code != Inconsistent {
		t.Errorf("%v", e)
	}
}

// Scenario 34.
func TestCountersWrap(t *testing.T) {
	for _, first := range []uint64{1<<16 - 3, 1<<32 - 3, 1<<31 - 3, 1<<33 - 1, 1<<48 - 5} {
		w := newWorld(t, 1, Config{first: first})
		p := w.connected("a")
		for range 4 {
			p.send(10)
			_ = p.seat.push(10)
			w.run(time.Second)
			p.lose()
			p.send(10)
			_ = p.seat.push(10)
			p.back()
			// Control packets carry no count, whatever half of its range acked is in.
			p.seat.tune(w.cfg.Interval+time.Duration(p.sent)*time.Millisecond, 40*time.Second)
			w.run(time.Second)
		}
		if w.srv.logins != 1 || w.resumes != 4 {
			t.Errorf("from %d: %d logins, %d resumes", first, w.srv.logins, w.resumes)
		}
		st := p.seat
		p.c.Close()
		w.run(time.Second)
		if st.s.Reason() != Left {
			t.Errorf("from %d: BYE was not understood", first)
		}
	}
}

// Scenario 40.
func TestAllKindsCountTheSame(t *testing.T) {
	shard := testShard(t, Config{})
	var s Session
	s.Open(shard, ID{1}, 0)
	shared := number(99)
	send := []struct {
		kind   codec.Kind
		body   []byte
		shared bool
	}{
		{codec.Message, number(1), false}, {codec.Request, codec.AppendRequest(nil, 1, codec.NamedRoute("r"), []byte{0xc0}), false},
		{codec.Message, shared, true}, {codec.Response, codec.AppendResponse(nil, 1, []byte{0xc4, 1, 7}), false},
		{codec.Failure, codec.AppendFailure(nil, 1, 5, "text"), false}, {codec.Message, codec.AppendMessage(nil, codec.NamedRoute("n"), []byte{0xa1, 'x'}), true},
	}
	for _, m := range send {
		if err := s.Send(m.kind, m.body, m.shared, 0); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // on the first link, and again on the next
		out := s.Output(nil, s.Epoch(), 0, 1<<20)
		for i, m := range send {
			p, n, err := codec.ParseFrame(out, 1<<20)
			if err != nil || p.Kind != m.kind || string(p.Body) != string(m.body) || p.Seq != uint16(i+1) {
				t.Fatalf("packet %d: %+v %v", i, p, err)
			}
			out = out[n:]
		}
		if len(out) != 0 {
			t.Fatalf("%d bytes more", len(out))
		}
		s.Detach(s.Epoch(), 0)
		if _, reset, err := s.Resume(nil, &ResumeRequest{ID: ID{1}, Attempt: s.attempt + 1, Lowest: 1}, 0); reset || err != nil {
			t.Fatal(err)
		}
	}
	// The same on the way in.
	for i, m := range send {
		ev, err := s.Receive(s.Epoch(), codec.Packet{Header: codec.Header{Kind: m.kind, Seq: uint16(i + 1)}, Body: m.body}, 0)
		if ev != Deliver || err != nil || s.Received() != uint64(i+1) {
			t.Fatalf("packet %d: %v %v, %d received", i, ev, err, s.Received())
		}
	}
	if ev, err := s.Receive(s.Epoch(), codec.Packet{Header: codec.Header{Kind: codec.Datagram}, Body: number(1)}, 0); ev != Deliver || err != nil || s.Received() != uint64(len(send)) {
		t.Errorf("a datagram: %v %v, %d received", ev, err, s.Received())
	}
	if string(shared) != string(number(99)) {
		t.Error("a shared body was written to")
	}
}

// Scenario 41.
func TestSwallowedPacketIsFound(t *testing.T) {
	for dir := range 2 {
		for _, last := range []bool{false, true} {
			w := newWorld(t, 1, Config{})
			p := w.connected("a")
			w.run(11 * time.Second)
			p.swallowOne()
			swallow := p.link.swallow
			p.link.swallow = func(d int, f []byte) bool { return d == dir && swallow(d, f) }
			n := 5
			if last {
				n = 1
			}
			if dir == toServer {
				p.send(n)
			} else {
				_ = p.seat.push(n)
			}
			at := w.now
			// In mid-stream the next packet shows it, the tail is found by the
			// audit.
			limit := 5 * w.delay
			if last {
				limit = w.cfg.Interval*11/10 + 7*w.delay
			}
			w.until(limit, func() bool { return len(p.seat.hooks) > 1 || p.c.State() != Open })
			if d := w.now - at; last == (d < 5*w.delay) {
				t.Errorf("direction %d, last %v: found after %v", dir, last, d)
			}
			p.back()
			if w.srv.logins != 1 {
				t.Error("the session was lost")
			}
		}
	}
}
