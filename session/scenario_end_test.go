// SPDX-License-Identifier: MIT

package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// kicked expects that st was closed by a kick, once, and that p stays away.
func (p *player) kicked(t *testing.T, st *seat, what string) {
	t.Helper()
	p.w.until(3*time.Minute, func() bool { return p.c.State() == Ended })
	dials := p.dials
	p.c.Hurry(p.w.now)
	p.w.run(10 * time.Minute)
	if p.last.Code != Kicked || !p.last.Remote || p.dials != dials || p.c.State() != Ended {
		t.Errorf("%s: %v, dialled %d times more", what, p, p.dials-dials)
	}
	closes := 0
	for _, h := range st.hooks {
		if h == "close" {
			closes++
		}
	}
	if closes != 1 || st.s.Reason() != Kicked || st.s.State() != Closed {
		t.Errorf("%s: hooks %v, %v", what, st.hooks, st.s.Reason())
	}
	if err := p.c.Send(codec.Message, number(1)); err != ErrClosed {
		t.Errorf("%s: Send: %v", what, err)
	}
	if err := st.s.Send(codec.Message, number(1), false, p.w.now); err != ErrClosed {
		t.Errorf("%s: Send at the server: %v", what, err)
	}
}

// Scenario 53.
func TestKick(t *testing.T) {
	longTombs := func(seed uint64) *world {
		w := newWorld(t, seed, Config{})
		w.srv.table = NewTable[*seat](10*time.Minute, 1000)
		return w
	}

	w := longTombs(1)
	p := w.connected("a")
	st := p.seat
	st.close(Kicked)
	p.kicked(t, st, "attached")

	w = longTombs(2)
	p = w.connected("a")
	st = p.seat
	p.cut() // so that the goodbye is lost
	st.close(Kicked)
	p.kicked(t, st, "half-open")

	w = longTombs(3)
	p = w.connected("a")
	st = p.seat
	p.refuse = true
	p.lose()
	w.until(time.Minute, func() bool { return st.s.State() == Detached })
	st.close(Kicked)
	p.refuse = false
	p.kicked(t, st, "detached")

	w = longTombs(4)
	p = w.player("a")
	w.until(time.Second, func() bool { return p.seat != nil })
	st = p.seat
	st.close(Kicked) // WELCOME is on its way
	p.kicked(t, st, "in the handshake")

	w = longTombs(5)
	p = w.connected("a")
	st = p.seat
	p.lose()
	_ = st.push(100)
	p.send(100)
	w.onLink = func(l *link) { l.room = 100 }
	w.until(time.Minute, func() bool { return len(p.got) > 10 && len(st.got) > 10 })
	got := len(st.got)
	st.close(Kicked)
	p.kicked(t, st, "in the replay")
	if len(st.got) != got {
		t.Errorf("%d messages after the close", len(st.got)-got)
	}
}

// Scenario 54.
func TestKickAndResumeAtTheSameInstant(t *testing.T) {
	shard := testShard(t, Config{})
	open := func() *Session {
		s := new(Session)
		s.Open(shard, ID{1}, 0)
		_, _ = s.Receive(1, codec.Packet{}, 0)
		s.Detach(1, 0)
		return s
	}
	r := &ResumeRequest{ID: ID{1}, Attempt: 1, Lowest: 1}

	s := open()
	s.Close(Kicked)
	out, _, err := s.Resume(nil, r, 0)
	if err == nil || err.Code != Kicked || len(out) != 0 || s.State() != Closed || s.Epoch() != 1 {
		t.Errorf("kick first: %v, %d bytes, %v, epoch %d", err, len(out), s.State(), s.Epoch())
	}

	s = open()
	if _, _, err := s.Resume(nil, r, 0); err != nil {
		t.Fatal(err)
	}
	s.Close(Kicked)
	_ = s.Send(codec.Message, number(1), false, 0)
	if out := s.Output(nil, 2, 0, 1<<20); s.State() != Closed || len(out) != 0 || s.Wants() || s.Due() != Never {
		t.Errorf("resume first: %v, %d bytes", s.State(), len(out))
	}
	if _, err := s.Receive(2, codec.Packet{}, 0); err != ErrFenced {
		t.Errorf("resume first: Receive: %v", err)
	}
	if s.Close(Banned) || s.Reason() != Kicked || s.Detach(2, 0) {
		t.Error("closed twice, or detached when closed")
	}
	s.Hold(true)
	_ = s.Tune(time.Second, 10*time.Second)
	if s.Wants() || s.Check(time.Hour, 0) != Fine {
		t.Error("a closed session wants something")
	}
}

// Scenario 55.
func TestSecondLogin(t *testing.T) {
	for _, attached := range []bool{true, false} {
		for _, how := range []policy{replace, reject, adopt, allow} {
			w := newWorld(t, 1, Config{})
			w.loginBy = func(string, *seat) policy { return how }
			old := w.connected("u")
			_ = old.seat.push(3)
			w.run(time.Second)
			st, token := old.seat, old.c.Token()
			if !attached {
				old.refuse = true
				old.lose()
				w.until(time.Minute, func() bool { return st.s.State() == Detached })
			}
			name := fmt.Sprintf("policy %d, attached %v", how, attached)
			w.srv.hooks = nil
			p := w.player("u")
			p.got = nil
			w.until(10*time.Second, func() bool { return p.c.State() == Open || p.c.State() == Ended })
			w.run(time.Second)
			if attached && (how == replace || how == adopt) && (old.c.State() != Ended || old.last.Code != TakenOver) {
				t.Errorf("%s: the old one: %v", name, old)
			}
			switch how {
			case replace:
				if got := fmt.Sprint(w.srv.hooks); got != "[u close u open]" {
					t.Errorf("%s: %s", name, got)
				}
			case reject:
				if p.c.State() != Ended || p.last.Code != Denied || len(w.srv.hooks) != 0 || w.srv.table.Len() != 1 {
					t.Errorf("%s: %v, hooks %v", name, p, w.srv.hooks)
				}
				continue
			case adopt:
				want := "[u detach u resume]"
				if !attached {
					want = "[u resume]"
				}
				if got := fmt.Sprint(w.srv.hooks); got != want || p.seat != st || w.srv.table.Len() != 1 {
					t.Errorf("%s: %s", name, got)
				}
			case allow:
				if w.srv.table.Len() != 2 || len(w.srv.table.User("u")) != 2 {
					t.Errorf("%s: %d sessions", name, w.srv.table.Len())
				}
			}
			p.exchange(3)
			p.back()
			p.lose()
			p.exchange(3)
			p.back()
			if how != adopt && how != replace {
				continue
			}
			// The old device comes back: it is told, and the new one stays.
			old.refuse = false
			old.c.Hurry(w.now)
			thief := w.playerWith(ClientConfig{Token: token}, "u")
			w.until(time.Minute, func() bool { return thief.c.State() == Ended && old.c.State() == Ended })
			if old.last.Code != TakenOver || thief.last.Code != TakenOver || p.c.State() != Open || p.link != p.seat.link {
				t.Errorf("%s: old %v, its token %v, new %v", name, old, thief, p)
			}
			p.exchange(2)
			p.back()
		}
	}
}

// Scenario 55: HOLD is told to a client that took the session over.
func TestTakeoverTellsHold(t *testing.T) {
	w := newWorld(t, 1, Config{})
	w.loginBy = func(string, *seat) policy { return adopt }
	old := w.connected("u")
	old.seat.hold(true)
	w.run(time.Second)
	st := old.seat
	p := w.player("u")
	w.until(10*time.Second, func() bool { return p.c.State() == Open })
	w.run(time.Second)
	p.send(3)
	w.run(10 * time.Second)
	if len(st.got) != 0 {
		t.Error("HOLD was forgotten")
	}
	st.hold(false)
	p.back()
}

// Scenario 56.
func TestGraceEndsAtTheInstantOfAResume(t *testing.T) {
	for _, resumeFirst := range []bool{true, false} {
		w := newWorld(t, 1, Config{})
		p := w.connected("a")
		st := p.seat
		p.noDial = true
		p.link.closeByServer(LinkLost)
		w.run(time.Second)
		l := w.forge()
		r := p.request(p.c.attempt + 1)
		r.Proof = r.proof(p.c.key, l.nonce)
		l.opened = w.now + time.Hour
		w.advance(st.s.graceEnd - w.now)
		pk := packetOf(t, r.append(nil))
		if resumeFirst {
			l.serverReceive(pk)
			w.srv.wheel.Advance(w.now+w.cfg.Tick, w.srv.visit)
		} else {
			w.now += w.cfg.Tick
			w.srv.wheel.Advance(w.now, w.srv.visit)
			l.serverReceive(pk)
		}
		want, hooks := codec.Refused, "[open detach close]"
		if resumeFirst {
			want, hooks = codec.Resumed, "[open detach resume]"
		}
		w.until(time.Second, func() bool { return len(l.p.raw) > 0 })
		if l.p.raw[0].Kind != want || fmt.Sprint(st.hooks) != hooks {
			t.Errorf("resume first %v: %v, %v", resumeFirst, l.p.raw[0].Kind, st.hooks)
		}
		if e, err := ParseEnd(l.p.raw[0]); !resumeFirst && (err != nil || e.Code != Gone || e.Detail != st.s.Received()) {
			t.Errorf("%v %v", e, err)
		}
	}
}

// Scenario 59.
func TestHooksMaySendAndKick(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	st := p.seat
	st.onGot = func(n uint64) {
		if _ = st.push(1); n == 4 {
			st.close(Kicked)
		}
	}
	st.onHook = func(what string) {
		if what == "resume" {
			_ = st.push(1)
		}
		if what == "close" && st.s.Close(Internal) {
			t.Error("closed twice")
		}
	}
	p.lose()
	p.back()
	p.send(1)
	w.run(time.Second)
	if len(p.got) != 2 {
		t.Errorf("%d messages of the handlers", len(p.got))
	}
	p.send(6)
	w.run(time.Second)
	if len(st.got) != 4 || p.c.State() != Ended || fmt.Sprint(st.hooks) != "[open detach resume close]" {
		t.Errorf("%d messages, %v, %v", len(st.got), p, st.hooks)
	}

	// A kick from within OnResume: nobody is left on a live link.
	w = newWorld(t, 1, Config{})
	p = w.connected("b")
	st = p.seat
	st.onHook = func(what string) {
		if what == "resume" {
			st.close(Kicked)
		}
	}
	p.lose()
	w.until(time.Minute, func() bool { return p.c.State() == Ended })
	if fmt.Sprint(st.hooks) != "[open detach resume close]" || p.last.Code != Kicked {
		t.Errorf("%v %v", p, st.hooks)
	}
}

// Scenario 60.
func TestGoneTellsTheFinalCount(t *testing.T) {
	for _, how := range []Code{Internal, Expired, TooOld} {
		w := newWorld(t, 1, Config{})
		p := w.connected("a")
		p.send(4)
		w.run(30 * time.Millisecond) // accepted, not acknowledged
		st := p.seat
		p.lose()
		p.send(3)
		st.close(how)
		w.until(time.Minute, func() bool { return p.c.State() == Open })
		if len(st.got) != 5 || len(p.lost) != 3 || p.last.Code != Gone || p.last.Detail != 5 {
			t.Fatalf("%v: %d accepted, %d reported, %v", how, len(st.got), len(p.lost), p.last)
		}
		for i, b := range p.lost {
			if numberIn(b) != uint64(6+i) {
				t.Errorf("reported message %d", numberIn(b))
			}
		}
		if p.dials != 2 {
			t.Errorf("%d links: the login belongs on the one that was refused", p.dials)
		}
	}
}

// Scenario 67.
func TestGoodbye(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	st := p.seat
	p.c.Close()
	w.act()
	w.run(time.Second)
	if st.s.State() != Closed || st.s.Reason() != Left || fmt.Sprint(st.hooks) != "[open close]" || p.c.State() != Ended {
		t.Errorf("%v %v %v %v", st.s.State(), st.s.Reason(), st.hooks, p)
	}

	// Lost: silence has the same effect later.
	p = w.connected("b")
	st = p.seat
	p.cut()
	p.c.Close()
	w.act()
	w.run(w.cfg.Timeout + w.cfg.Grace + 2*w.cfg.Tick)
	if st.s.Reason() != Expired || fmt.Sprint(st.hooks) != "[open detach close]" {
		t.Errorf("%v %v", st.s.Reason(), st.hooks)
	}

	// Of the server, for the session and for the link.
	p = w.connected("c")
	st = p.seat
	st.close(TooOld)
	w.until(10*time.Second, func() bool { return p.c.State() == Open && p.seat != nil && p.seat != st })
	if p.changes[2] != Ending {
		t.Errorf("%v", p)
	}
	p.link.write(toClient, AppendBye(nil, &CloseError{Code: ShuttingDown, Text: "drain"}))
	id := p.c.ID()
	w.run(w.delay)
	if p.c.State() == Open || p.last.Code != ShuttingDown {
		t.Errorf("%v", p)
	}
	p.back()
	if p.c.ID() != id {
		t.Error("the session did not survive its link")
	}
}

// No session outlives its greatest age, whatever state it is in.
func TestMaxAge(t *testing.T) {
	for _, attached := range []bool{true, false} {
		w := newWorld(t, 1, Config{MaxAge: 10 * time.Minute, Grace: time.Hour})
		p := w.connected("a")
		st := p.seat
		if p.refuse = !attached; !attached {
			p.lose()
		}
		w.run(10*time.Minute + w.cfg.Tick)
		if st.s.State() != Closed || st.s.Reason() != TooOld {
			t.Errorf("attached %v: %v %v", attached, st.s.State(), st.s.Reason())
		}
	}
}
