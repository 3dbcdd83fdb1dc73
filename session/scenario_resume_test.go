// SPDX-License-Identifier: MIT

package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// back runs until p's session is carried by a link again and everything sent
// has arrived on both sides.
func (p *player) back() {
	p.w.t.Helper()
	p.w.until(5*time.Minute, p.settled)
}

func (p *player) settled() bool {
	st := p.seat
	return p.c.State() == Open && st != nil && p.link != nil && st.link == p.link &&
		len(st.got) == int(p.sent) && len(p.got) == int(st.sent) && p.c.out.len() == 0 && st.s.out.len() == 0
}

// exchange plays a fixed conversation of n messages each way, a few at a time.
func (p *player) exchange(n int) {
	p.w.t.Helper()
	for i := range n {
		p.send(1)
		if p.seat != nil && p.seat.s.State() != Closed {
			_ = p.seat.push(1)
		}
		p.w.run(time.Duration(i%3) * 15 * time.Millisecond)
	}
}

// Scenario 19. The conversation is the same every time; link number k is cut
// after each possible byte of each direction, the last byte of every frame
// included, and from then on nobody is told anything.
func TestNothingIsLostOrRepeatedWhereverTheLinkIsCut(t *testing.T) {
	play := func(cut, dir, link int) (passed [2]int) {
		w := newWorld(t, 7, Config{})
		n := 0
		w.onLink = func(l *link_) {
			if n++; n == link && cut > 0 {
				l.cutAfter[dir] = cut
			}
		}
		p := w.player("a")
		w.until(2*time.Minute, func() bool { return p.c.State() == Open && p.seat != nil })
		first := p.link
		p.exchange(3)
		if link == 2 { // a life before that link, with packets to be written again
			p.lose()
			p.exchange(3)
		}
		w.until(3*time.Minute, func() bool { return p.c.State() == Open })
		p.exchange(2)
		p.back()
		if p.seat.srv.logins != 1 && cut == 0 || uint64(len(p.seat.got)) != p.sent {
			t.Fatalf("cut of link %d after byte %d of direction %d: %v", link, cut, dir, p)
		}
		for _, c := range p.changes {
			if c == WasReset || c == Ending {
				t.Fatalf("cut of link %d after byte %d of direction %d: %v", link, cut, dir, p)
			}
		}
		if link == 2 {
			return p.link.passed
		}
		return first.passed
	}
	runs := 0
	for link := 1; link <= 2; link++ {
		bytes := play(0, 0, link)
		for dir, n := range bytes {
			for cut := 1; cut <= n; cut++ {
				play(cut, dir, link)
				runs++
			}
		}
		t.Logf("link %d: %v bytes", link, bytes)
	}
	if runs < 500 {
		t.Errorf("only %d places to cut", runs)
	}
}

type link_ = link

// Scenario 20.
func TestResumeOfASessionThatNeverSaidAnything(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.player("a")
	w.until(time.Second, func() bool { return p.c.State() == Open })
	w.run(time.Second)
	id := p.c.ID()
	p.lose()
	p.back()
	if p.c.ID() != id || fmt.Sprint(p.changes) != fmt.Sprint([]ChangeKind{Opened, Lost, Resumed}) || w.srv.logins != 1 {
		t.Errorf("%v, %d logins", p, w.srv.logins)
	}
}

// Scenario 21.
func TestSessionLostByTheServerIsUnknown(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	id := p.c.ID()
	p.cut()
	p.send(7) // on their way, or not: nobody will ever know
	old := p.seat
	w.crash()
	p.lose()
	w.until(time.Minute, func() bool { return p.c.State() == Open })
	if p.c.ID() == id || p.changes[2] != Ending || p.last.Code != Unknown || len(p.lost) != 8-len(old.got)-0 && len(p.lost) != 8 {
		t.Errorf("%v, %d undelivered", p, len(p.lost))
	}
	for i, b := range p.lost[len(p.lost)-7:] {
		if numberIn(b) != uint64(i+2) {
			t.Errorf("undelivered %d is message %d", i, numberIn(b))
		}
	}
	if len(p.seat.got) != 0 {
		t.Errorf("the new session was given %v", p.seat.got)
	}
	w.run(time.Minute)
	if len(old.got) != 1 || len(p.seat.got) != 0 {
		t.Error("something was handled twice")
	}
}

// Scenario 22.
func TestLostResumedLocksNobodyOut(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	for range 3 {
		p.lose()
		p.send(3)
		w.onLink = func(l *link) {
			l.swallow = func(dir int, f []byte) bool { return dir == toClient && frameKind(f) == codec.Resumed }
		}
		resumes := w.resumes
		w.until(time.Minute, func() bool { return w.resumes > resumes })
		w.onLink = nil
		p.lose()
		_ = p.seat.push(2)
		p.back()
	}
	if w.srv.logins != 1 || p.changes[len(p.changes)-1] != Resumed {
		t.Errorf("%v", p)
	}
}

func frameKind(frame []byte) codec.Kind {
	h, _ := codec.ParseHeader(frame[frameHead(frame):])
	return h.Kind
}

// Scenario 23.
func TestCutsDuringReplayMakeProgress(t *testing.T) {
	for dir := range 2 {
		w := newWorld(t, 1, Config{})
		p := w.connected("a")
		p.lose()
		p.send(20)
		_ = p.seat.push(20)
		arrived := func() int {
			if dir == toServer {
				return len(p.seat.got)
			}
			return len(p.got)
		}
		w.onLink = func(l *link) {
			l.record = func(d int, pk codec.Packet) {
				if d == dir && pk.Kind.Counted() {
					w.onLink = nil
					l.record = func(int, codec.Packet) { l.cutNow() } // at whatever comes next
				}
			}
		}
		one := w.onLink
		cuts := 0
		for arrived() < 19 {
			cuts++
			before := arrived()
			w.onLink = one
			w.until(2*time.Minute, func() bool { return p.link != nil && p.link.cut })
			if arrived() <= before {
				t.Fatalf("direction %d: no progress at %d", dir, before)
			}
			p.lose()
			p.c.Hurry(w.now)
		}
		w.onLink = nil
		p.back()
		if cuts < 8 {
			t.Errorf("direction %d: only %d cuts", dir, cuts)
		}
	}
}

// Scenarios 24 and 25.
func TestLiveTrafficAndAcknowledgementsDuringReplay(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	p.lose()
	p.send(200)
	_ = p.seat.push(200)
	w.onLink = func(l *link) { l.room = 200 } // a few packets at a time
	w.until(time.Minute, func() bool { return len(p.got) > 20 && len(p.seat.got) > 20 })
	acked := [2]uint64{p.c.acked, p.seat.s.acked}
	if p.c.next > p.c.sent || p.seat.s.next > p.seat.s.sent {
		t.Fatal("the replay is over already")
	}
	p.send(50)
	_ = p.seat.push(50)
	w.until(time.Minute, func() bool { return p.c.acked > acked[0]+40 && p.seat.s.acked > acked[1]+40 })
	if p.c.next > p.c.sent || p.seat.s.next > p.seat.s.sent {
		t.Fatal("no acknowledgement came during the replay")
	}
	p.send(50)
	_ = p.seat.push(50)
	p.back()
	if len(p.got) != 300 || len(p.seat.got) != 301 {
		t.Errorf("%d and %d arrived", len(p.got), len(p.seat.got))
	}
}

// Scenario 26.
func TestAcceptedButUnacknowledgedIsNotSentAgain(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	p.send(5)
	w.until(time.Second, func() bool { return len(p.seat.got) == 6 })
	if n, _ := p.c.Queued(); n < 5 {
		t.Fatalf("%d packets wait: these were acknowledged", n)
	}
	p.lose()
	again := 0
	w.onLink = func(l *link) {
		l.record = func(dir int, pk codec.Packet) {
			if dir == toServer && pk.Kind.Counted() {
				again++
			}
		}
	}
	p.back()
	if again != 0 {
		t.Errorf("%d accepted packets were written again", again)
	}
}

// Scenarios 35 and 72.
func TestRestartedAppComesBackWithItsToken(t *testing.T) {
	for _, ahead := range []bool{false, true} {
		w := newWorld(t, 1, Config{})
		p := w.connected("a")
		_ = p.seat.push(5)
		w.run(time.Second)
		p.send(2)
		w.run(time.Second)
		token, st, id := p.c.Token(), p.seat, p.c.ID()
		p.lose()
		p.back() // so that the session knows attempts of the earlier run
		p.lose()
		w.players = nil // the app is gone without a word
		_ = st.push(5)
		if ahead { // the earlier run's clock was fast
			st.s.attempt = uint64(w.wall.UnixMicro()) + 1e12
		}
		got := len(st.got)
		q := w.playerWith(ClientConfig{Token: token}, "a")
		q.send(3) // sent before it is back
		asked := 0
		w.onLink = func(l *link) {
			l.record = func(dir int, pk codec.Packet) {
				if dir == toServer && pk.Kind == codec.Resume {
					asked++
				}
			}
		}
		w.until(10*time.Second, func() bool { return q.c.State() == Open })
		if q.c.ID() != id || q.seat != st || q.changes[0] != WasReset || asked != map[bool]int{false: 1, true: 2}[ahead] || q.dials != 1 || w.srv.logins != 1 {
			t.Fatalf("ahead %v: %v after %d requests on %d links", ahead, q, asked, q.dials)
		}
		if fmt.Sprint(st.hooks) != "[open detach resume detach resume reset]" {
			t.Errorf("hooks %v", st.hooks)
		}
		st.got = st.got[:0] // the new process numbers its messages anew
		w.run(time.Second)
		if len(st.got) != 3 || got != 3 {
			t.Errorf("%d messages of the new run arrived, %d before", len(st.got), got)
		}
		_ = st.push(4) // the snapshot
		w.until(10*time.Second, q.settled)
	}
}

// Scenario 36.
func TestPoliteDetachStartsTheGraceAtOnce(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	st := p.seat
	p.c.Pause(w.now)
	w.act()
	w.run(100 * time.Millisecond)
	if st.s.State() != Detached || st.s.graceEnd > w.now+w.cfg.Grace || p.c.State() != Paused {
		t.Fatalf("%v, grace ends in %v, client %v", st.s.State(), st.s.graceEnd-w.now, p.c.State())
	}
	dials := p.dials
	w.run(w.cfg.Grace / 2)
	if p.dials != dials {
		t.Error("a paused client dialled")
	}
	_ = st.push(3)
	p.c.Hurry(w.now)
	p.back()
	if p.changes[len(p.changes)-1] != Resumed {
		t.Errorf("%v", p)
	}
	p.c.Pause(w.now)
	w.act()
	w.run(w.cfg.Grace + time.Second)
	if st.s.State() != Closed || st.s.Reason() != Expired {
		t.Errorf("%v %v after the grace", st.s.State(), st.s.Reason())
	}
}

// Scenario 41b: the client is heard, what was written to it does not arrive.
func TestStuckLinkIsCut(t *testing.T) {
	shard := testShard(t, Config{})
	var s Session
	s.Open(shard, ID{}, 0)
	now, stuck := time.Duration(0), false
	beat := func(flags codec.Flags) (v Verdict) {
		t.Helper()
		now += 10 * time.Second
		if _, err := s.Receive(1, codec.Packet{Header: codec.Header{Flags: codec.EchoWanted | flags, Ack: uint32(s.acked)}}, now); err != nil {
			t.Fatal(err)
		}
		for b := s.Output(nil, 1, now, 1<<20); len(b) > 0; {
			p, n, err := codec.ParseFrame(b, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			b = b[n:]
			if p.Flags&codec.EchoWanted != 0 && !stuck {
				if _, err := s.Receive(1, codec.Packet{Header: codec.Header{Flags: codec.Echo | flags, Seq: p.Seq, Ack: uint32(s.next - 1)}}, now); err != nil {
					t.Fatal(err)
				}
			}
		}
		return s.Check(now, 0)
	}
	alive := func(what string, flags codec.Flags) {
		t.Helper()
		for range 30 {
			if beat(flags) == Dead {
				t.Fatalf("a link was cut that is %s", what)
			}
		}
	}
	alive("idle", 0)
	_ = s.Send(codec.Message, number(1), false, now)
	alive("held", codec.Hold)
	for range 30 { // held, and the peer itself has much to say
		if ev, err := s.Receive(1, codec.Packet{Header: codec.Header{Kind: codec.Message, Seq: uint16(s.recv + 1), Ack: uint32(s.acked)}, Body: number(1)}, now); ev != Deliver || err != nil {
			t.Fatal(ev, err)
		}
		if beat(codec.Hold) == Dead {
			t.Fatal("a held link was cut")
		}
	}
	alive("at work", 0)
	_ = s.Send(codec.Message, number(2), false, now)
	stuck = true
	start := now
	for beat(0) != Dead {
		if now > start+2*time.Minute {
			t.Fatal("a stuck link was never cut")
		}
	}
	if d := now - start; d < s.timeout || d > s.timeout+25*time.Second {
		t.Errorf("cut after %v, timeout %v", d, s.timeout)
	}
}

// Scenario 41b at the client.
func TestStuckLinkIsLeftByTheClient(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	p.link.swallow = func(dir int, f []byte) bool {
		// Out of band pings would go on: they audit nothing, so let none of
		// the ordered ones be asked.
		return dir == toServer
	}
	p.send(1)
	at := w.now
	for range 8 {
		w.run(5 * time.Second)
		if p.link != nil && p.c.State() == Open && p.link.seat != nil {
			p.link.write(toClient, codec.AppendFrame(nil, codec.Header{Ack: uint32(p.c.acked)}, nil))
		}
	}
	w.until(time.Minute, func() bool { return len(p.changes) > 1 })
	if d := w.now - at; d < w.cfg.Timeout || d > w.cfg.Timeout+10*time.Second {
		t.Errorf("left after %v", d)
	}
	p.back()
}
