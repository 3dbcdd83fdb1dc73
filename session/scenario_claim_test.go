// SPDX-License-Identifier: MIT

package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

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
	p.seat.wake()
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
		l.record = func(dir int, pk codec.Packet) {
			if dir == toServer && pk.Kind == codec.Resume {
				frame = codec.AppendFrame(nil, pk.Header, pk.Body)
			}
		}
	}
	p.lose()
	p.back()
	epoch, hooks := p.seat.s.Epoch(), fmt.Sprint(p.seat.hooks)
	if epoch != 2 || hooks != "[open detach resume]" {
		t.Fatalf("epoch %d, %v", epoch, hooks)
	}
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
	own := p.link
	own.write(toServer, frame) // which no carrier does: it is a protocol error
	w.run(time.Minute)
	if !own.closed || p.seat.s.Epoch() != epoch+1 || p.c.State() != Open {
		t.Errorf("replayed on its own link: closed %v, epoch %d, %v", own.closed, p.seat.s.Epoch(), p)
	}
	p.back()
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
