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

// Scenario 27.
func TestOldLinkIsFenced(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	old := p.link
	w.delay = 3 * time.Second // these are long on their way
	p.send(5)
	w.delay = 10 * time.Millisecond
	p.leave()
	w.until(2*time.Second, func() bool { return p.c.State() == Open })
	if !old.fenced {
		t.Fatal("the old link was not fenced")
	}
	w.run(100 * time.Millisecond)
	if n := len(p.seat.got); n != 6 {
		t.Fatalf("%d messages after the replay", n)
	}
	late := 0
	old.record = func(dir int, pk codec.Packet) {
		if dir == toServer && pk.Kind.Counted() {
			late++
			if _, err := p.seat.s.Receive(old.epoch, pk, w.now); err != ErrFenced {
				t.Errorf("packet of the old link: %v", err)
			}
		}
	}
	w.run(5 * time.Second)
	if late != 5 || len(p.seat.got) != 6 {
		t.Errorf("%d late packets, %d messages", late, len(p.seat.got))
	}
	_ = p.seat.s.Send(codec.Message, number(1), false, w.now)
	p.seat.sent++
	if out := p.seat.s.Output(nil, old.epoch, w.now, 1<<20); len(out) != 0 {
		t.Errorf("%d bytes for the old link", len(out))
	}
	if p.seat.s.Detach(old.epoch, w.now) {
		t.Error("the end of the old link detached the session")
	}
	p.seat.ring()
	w.flush()
	p.back()
}

// Scenario 28.
func TestHalfOpenLinkIsTakenOverAtOnce(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	st := p.seat
	at := w.now
	p.lose() // the server notices nothing
	p.c.Hurry(w.now)
	w.until(time.Second, func() bool { return p.c.State() == Open })
	if w.now-at > 5*w.delay {
		t.Errorf("took %v", w.now-at)
	}
	w.run(2 * w.cfg.Timeout)
	if fmt.Sprint(st.hooks) != "[open detach resume]" {
		t.Errorf("hooks %v", st.hooks)
	}
}

// request makes the RESUME that p's client would send.
func (p *player) request(attempt uint64) ResumeRequest {
	return ResumeRequest{ID: p.c.id, Attempt: attempt, Recv: p.c.recv, Lowest: p.c.acked + 1}
}

// Scenario 29.
func TestOfTwoResumesTheHigherAttemptWins(t *testing.T) {
	for _, order := range [][2]uint64{{1, 2}, {2, 1}} {
		w := newWorld(t, 1, Config{})
		p := w.connected("a")
		key, base := p.c.key, p.c.attempt
		p.lose()
		p.noDial = true
		first, second := w.forge(), w.forge()
		if got := first.ask(p.request(base+order[0]), key); got.Kind != codec.Resumed {
			t.Fatalf("%v: %v", order, got.Kind)
		}
		st, hooks := first.seat, len(first.seat.hooks)
		if order[1] > order[0] {
			if got := second.ask(p.request(base+order[1]), key); got.Kind != codec.Resumed || st.link != second {
				t.Errorf("%v: the higher attempt got %v", order, got.Kind)
			}
			if e, _ := ParseEnd(first.p.raw[len(first.p.raw)-1]); e == nil || e.Code != TakenOver {
				t.Errorf("%v: the loser was told %v", order, e)
			}
			continue
		}
		if e := second.refusal(p.request(base+order[1]), key); e.Code != Stale || e.Detail != base+order[0] {
			t.Errorf("%v: the lower attempt got %v", order, e)
		}
		if st.link != first || len(st.hooks) != hooks {
			t.Errorf("%v: the loser disturbed the session", order)
		}
	}
}

// Scenario 29: a client whose links race retries at most once and stays up.
func TestStaleIsAnsweredByOneMoreAttempt(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	p.lose()
	p.seat.s.attempt = uint64(w.wall.UnixMicro()) + 1e9 // as an earlier run with a fast clock left it
	asked := 0
	w.onLink = func(l *link) {
		l.record = func(dir int, pk codec.Packet) {
			if dir == toServer && pk.Kind == codec.Resume {
				asked++
			}
		}
	}
	p.back()
	if asked != 2 || p.dials != 2 || p.changes[2] != Resumed {
		t.Errorf("asked %d times on %d links: %v", asked, p.dials, p)
	}
}

// Scenario 30.
func TestRepeatedResumeChangesNothing(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	var frame []byte
	w.onLink = func(l *link) {
		l.duplicate = func(dir int, f []byte) bool {
			if dir == toServer && frameKind(f) == codec.Resume {
				frame = f
			}
			return dir == toServer && frameKind(f) == codec.Resume
		}
	}
	p.lose()
	p.back()
	epoch, hooks := p.seat.s.Epoch(), fmt.Sprint(p.seat.hooks)
	if epoch != 2 || hooks != "[open detach resume]" {
		t.Fatalf("a RESUME that came twice: epoch %d, %v", epoch, hooks)
	}
	// Later, on the same link and on another one.
	p.exchange(3)
	l := w.forge()
	l.write(toServer, frame)
	w.run(time.Second)
	if e, err := ParseEnd(l.p.raw[0]); err != nil || e.Code != Unknown {
		t.Errorf("replayed elsewhere: %v %v", e, err)
	}
	if p.seat.s.Epoch() != epoch || fmt.Sprint(p.seat.hooks) != hooks {
		t.Errorf("replayed elsewhere: epoch %d, %v", p.seat.s.Epoch(), p.seat.hooks)
	}
	p.link.write(toServer, frame)
	w.run(time.Minute)
	if got := p.seat.s.Epoch(); got != epoch || p.c.State() != Open {
		t.Errorf("replayed on its own link: epoch %d, %v", got, p)
	}
	p.back()
}

// Scenario 30: the answer that is given again is the same one.
func TestEqualAttemptGetsTheSameAnswer(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		w := newWorld(t, 1, Config{})
		p := w.connected("a")
		_ = p.seat.push(3)
		p.lose()
		p.noDial = true
		l := w.forge()
		r := p.request(p.c.attempt + 1)
		if r.Fresh = fresh; fresh {
			r.Recv = 0
		}
		first := l.ask(r, p.c.key)
		epoch := l.seat.s.Epoch()
		n := len(l.p.raw)
		again := l.ask(r, p.c.key)
		w.run(time.Second)
		for _, pk := range l.p.raw[n:] {
			if pk.Kind == first.Kind {
				again = pk
			}
		}
		if again.Kind != first.Kind || string(again.Body) != string(first.Body) || l.seat.s.Epoch() != epoch {
			t.Errorf("fresh %v: %v %x, then %v %x", fresh, first.Kind, first.Body, again.Kind, again.Body)
		}
	}
}

// Scenario 31.
func TestTwoHoldersOfATokenDoNotPlayPingPong(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	thief := w.playerWith(ClientConfig{Token: p.c.Token()}, "thief")
	thief.sent = p.sent
	w.until(10*time.Second, func() bool { return thief.c.State() == Open })
	w.run(10 * time.Minute)
	if p.c.State() != Ended || p.last.Code != TakenOver {
		t.Errorf("the loser: %v", p)
	}
	if thief.c.State() != Open || len(thief.changes) != 1 || w.resumes != 1 {
		t.Errorf("the winner: %v after %d resumes", thief, w.resumes)
	}
}

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
		if _, reset, err := s.Resume(nil, &ResumeRequest{ID: ID{1}, Attempt: s.attempt + 1, Lowest: 1}, false, 0); reset || err != nil {
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

// Scenario 41b: heartbeats flow, what was written does not arrive.
func TestStuckLinkIsCut(t *testing.T) {
	shard := testShard(t, Config{})
	var s Session
	s.Open(shard, ID{}, 0)
	beat := func(now time.Duration, flags codec.Flags) Verdict {
		if _, err := s.Receive(1, codec.Packet{Header: codec.Header{Flags: flags}}, now); err != nil {
			t.Fatal(err)
		}
		s.Output(nil, 1, now, 1<<20)
		return s.Check(now, 0)
	}
	now := time.Duration(0)
	for ; now < 5*time.Minute; now += 10 * time.Second { // idle: nothing is outstanding
		if v := beat(now, 0); v == Dead {
			t.Fatal("an idle link was cut")
		}
	}
	_ = s.Send(codec.Message, number(1), false, now)
	beat(now, 0)                                                         // on its way
	for end := now + 5*time.Minute; now < end; now += 10 * time.Second { // held: no fault of the link
		if v := beat(now, codec.Hold); v == Dead {
			t.Fatal("a held link was cut")
		}
	}
	for range 30 { // held, and the peer itself has much to say
		now += 10 * time.Second
		if ev, err := s.Receive(1, codec.Packet{Header: codec.Header{Kind: codec.Message, Seq: uint16(s.recv + 1)}, Body: number(1)}, now); ev != Deliver || err != nil {
			t.Fatal(ev, err)
		}
		if s.Check(now, 0) == Dead {
			t.Fatal("a held link was cut")
		}
	}
	start := now
	for beat(now, 0) != Dead {
		if now += 10 * time.Second; now > start+2*time.Minute {
			t.Fatal("a stuck link was never cut")
		}
	}
	if d := now - start; d < s.timeout || d > s.timeout+20*time.Second {
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
