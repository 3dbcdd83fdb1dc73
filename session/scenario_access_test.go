// SPDX-License-Identifier: MIT

package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// bad makes every RESUME of p's session that must not be believed.
func (p *player) bad(l *link) map[string]codec.Packet {
	good := p.request(p.c.attempt + 1)
	good.Proof = good.proof(p.c.key, l.nonce)
	out := map[string]codec.Packet{}
	add := func(name string, r ResumeRequest) { out[name] = packetOf(p.w.t, r.append(nil)) }

	r := good
	r.Proof = r.proof(Key{}, l.nonce)
	add("wrong key", r)
	r.Proof = r.proof(p.c.key, Nonce{})
	add("nonce of another link", r)
	r.Proof = [32]byte{}
	add("no proof", r)
	for bit := range 256 {
		r = good
		r.Proof[bit/8] ^= 1 << (bit % 8)
		add(fmt.Sprint("bit ", bit, " of the proof"), r)
	}
	r = good
	r.Attempt++
	add("another attempt", r)
	r = good
	r.Recv++
	add("another count", r)
	r = good
	r.Lowest++
	add("another lowest", r)
	r = good
	r.Fresh, r.Recv = true, 0
	add("fresh", r)
	r = good
	r.ID[15] ^= 1
	add("another session", r)
	return out
}

// Scenarios 42, 43 and 45.
func TestWrongProofDisturbsNothing(t *testing.T) {
	for _, attached := range []bool{false, true} {
		w := newWorld(t, 1, Config{})
		p := w.connected("a")
		_ = p.seat.push(3)
		st := p.seat
		if !attached {
			p.lose()
			p.noDial = true
			w.until(time.Minute, func() bool { return st.s.State() == Detached })
		}
		w.run(time.Second)
		w.delay = time.Millisecond
		l := w.forge()
		var answer []byte
		for name, pk := range p.bad(l) {
			before, link, hooks := fmt.Sprintf("%+v", st.s), st.link, len(st.hooks)
			n := len(l.p.raw)
			l.serverReceive(pk)
			if after := fmt.Sprintf("%+v", st.s); after != before || st.link != link || len(st.hooks) != hooks {
				t.Fatalf("attached %v, %s: the session changed\nfrom %s\nto   %s", attached, name, before, after)
			}
			w.until(time.Second, func() bool { return len(l.p.raw) > n })
			e, err := ParseEnd(l.p.raw[n])
			if l.p.raw[n].Kind != codec.Refused || err != nil || e.Code != Unknown {
				t.Fatalf("%s: %v %v", name, e, err)
			}
			if answer == nil {
				answer = l.p.raw[n].Body
			} else if string(answer) != string(l.p.raw[n].Body) {
				t.Errorf("%s: the refusal differs", name)
			}
			if len(pk.Body) < len(answer) {
				t.Errorf("%s: the answer is larger than the question", name)
			}
		}
		p.noDial = false
		if !attached {
			p.c.LinkDown(w.now) // the attempt that waited
		}
		p.back()
		if want := map[bool]int{false: 3, true: 1}[attached]; len(p.changes) != want {
			t.Errorf("the right owner: %v", p)
		}
	}
}

// Scenario 44.
func TestCapturedProofIsWorthless(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	var captured []byte
	w.onLink = func(l *link) {
		l.duplicate = func(dir int, f []byte) bool {
			if dir == toServer && frameKind(f) == codec.Resume {
				captured = f
			}
			return false
		}
	}
	p.lose()
	p.back()
	for range 3 {
		l := w.forge()
		l.write(toServer, captured)
		w.until(time.Second, func() bool { return len(l.p.raw) > 0 })
		if e, err := ParseEnd(l.p.raw[0]); err != nil || e.Code != Unknown {
			t.Errorf("%v %v", e, err)
		}
		p.lose()
		p.back()
	}
}

// Scenario 45: a session's key proves that session and no other.
func TestKeyOfAnotherSession(t *testing.T) {
	w := newWorld(t, 1, Config{})
	a, b := w.connected("a"), w.connected("b")
	if e := w.forge().refusal(a.request(a.c.attempt+1), b.c.key); e.Code != Unknown || e.Text != "" {
		t.Errorf("%v", e)
	}
	if len(a.seat.hooks)+len(b.seat.hooks) != 2 {
		t.Error("somebody was disturbed")
	}
}

// Scenario 46.
func TestBadResumesLeaveNothingBehind(t *testing.T) {
	w := newWorld(t, 1, Config{})
	w.connected("a")
	var l *link
	for i := range 2000 {
		if i%100 == 0 {
			l = w.forge()
		}
		var r ResumeRequest
		_, _ = w.Read(r.ID[:])
		_, _ = w.Read(r.Proof[:])
		l.serverReceive(packetOf(t, r.append(nil)))
	}
	if w.srv.table.Len() != 1 || len(w.srv.table.tombstones) != 0 || w.srv.wheel.Len() != 1 || len(w.srv.table.opening) != 0 {
		t.Errorf("%d sessions, %d tombstones, %d wheel entries, %d logins", w.srv.table.Len(), len(w.srv.table.tombstones), w.srv.wheel.Len(), len(w.srv.table.opening))
	}
	if n := testing.AllocsPerRun(100, func() {
		var r ResumeRequest
		w.srv.keys.Verify(&r, l.nonce)
	}); n > 10 {
		t.Errorf("%v allocations to refuse", n)
	}
	w.run(2 * w.cfg.OpeningTimeout)
	if len(w.links) != 1 {
		t.Errorf("%d links are left", len(w.links))
	}
}

// Scenario 47, on one node: what ends a session ends its token.
func TestClosedSessionsTokenIsDead(t *testing.T) {
	for _, c := range []struct {
		end  Code
		want Code
	}{{Kicked, Kicked}, {Banned, Banned}, {Left, Gone}, {Expired, Gone}, {Internal, Gone}, {Policy, Policy}, {Game + 7, Game + 7}, {TakenOver, TakenOver}} {
		w := newWorld(t, 1, Config{})
		p := w.connected("a")
		st := p.seat
		r := p.request(p.c.attempt + 1)
		key := p.c.key
		p.lose()
		w.players = nil
		st.close(c.end)
		if e := w.forge().refusal(r, key); e.Code != c.want || c.want == Gone && e.Detail != 1 {
			t.Errorf("after %v: %v, detail %d", c.end, e, e.Detail)
		}
		w.run(2 * time.Minute) // the tombstone is gone too
		if e := w.forge().refusal(r, key); e.Code != Unknown {
			t.Errorf("long after %v: %v", c.end, e)
		}
		if len(w.srv.table.tombstones) != 0 {
			t.Error("a tombstone is kept for ever")
		}
	}
}

// Scenario 69.
func TestRepeatedHelloFindsItsSession(t *testing.T) {
	for _, how := range []policy{allow, reject, replace, adopt} {
		w := newWorld(t, 1, Config{})
		w.loginBy = func(string, *seat) policy { return how }
		drop := 2
		var welcomes []string
		w.onLink = func(l *link) {
			l.swallow = func(dir int, f []byte) bool {
				if dir == toClient && frameKind(f) == codec.Welcome {
					welcomes = append(welcomes, string(f))
					if len(welcomes) <= drop {
						l.cutNow()
						return true
					}
				}
				return false
			}
		}
		tickets := 0
		p := w.playerWith(ClientConfig{Ticket: func() ([]byte, bool) { tickets++; return []byte(fmt.Sprint("a", tickets)), true }}, "a")
		w.until(30*time.Second, func() bool { return p.c.State() == Open })
		_ = p.seat.push(2)
		p.send(2)
		p.back()
		if w.srv.logins != 1 || tickets != 1 || w.srv.table.Len() != 1 || p.seat.hooks[0] != "open" {
			t.Errorf("policy %d: %d logins with %d tickets, %d sessions", how, w.srv.logins, tickets, w.srv.table.Len())
		}
		for _, wel := range welcomes {
			if wel != welcomes[0] {
				t.Errorf("policy %d: the WELCOME changed", how)
			}
		}
		if len(w.srv.table.opening) != 0 {
			t.Errorf("policy %d: the login is still remembered", how)
		}
		// Whoever repeats it now, does not get the session of somebody who was heard.
		if len(welcomes) != drop+1 {
			t.Errorf("%d WELCOMEs", len(welcomes))
		}
	}
}

// Scenario 69: nobody heard of the session, and nobody asks again.
func TestUnheardSessionDoesNotStay(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.player("a")
	w.onLink = func(l *link) { l.swallow = func(dir int, f []byte) bool { return frameKind(f) == codec.Welcome } }
	w.until(time.Second, func() bool { return w.srv.table.Len() == 1 })
	p.lose()
	w.players = nil
	w.run(w.cfg.Timeout + w.cfg.OpeningTimeout + time.Second)
	if w.srv.table.Len() != 0 || len(w.srv.table.opening) != 0 {
		t.Errorf("%d sessions, %d logins are left", w.srv.table.Len(), len(w.srv.table.opening))
	}
}

// Scenario 69: an opening id does not live for ever, for its ticket may not.
func TestOldOpeningIsRenewed(t *testing.T) {
	w := newWorld(t, 1, Config{})
	tickets := 0
	w.onLink = func(l *link) { l.swallow = func(dir int, f []byte) bool { return frameKind(f) == codec.Welcome } }
	w.playerWith(ClientConfig{Ticket: func() ([]byte, bool) { tickets++; return []byte("a"), true }}, "a")
	w.run(10 * time.Minute)
	if tickets < 5 || tickets > 11 {
		t.Errorf("%d tickets in ten minutes", tickets)
	}
}

// Scenario 69: a HELLO that comes late, over a link its client gave up, neither
// takes the session from its link nor logs in a second time.
func TestOvertakenHelloIsStale(t *testing.T) {
	for _, heard := range []bool{false, true} {
		w := newWorld(t, 1, Config{})
		w.loginBy = func(string, *seat) policy { return replace }
		p := w.player("a")
		var late []byte
		w.onLink = func(l *link) {
			w.onLink = nil
			l.swallow = func(dir int, f []byte) bool {
				if dir == toServer && frameKind(f) == codec.Hello {
					late = f
				}
				return dir == toServer
			}
		}
		w.until(time.Second, func() bool { return late != nil })
		old := p.link
		old.swallow = nil
		p.leave()
		p.c.Hurry(w.now)
		w.until(time.Second, func() bool { return w.srv.table.Len() == 1 })
		if heard {
			w.until(time.Second, func() bool { return p.seat.s.Confirmed() })
		}
		st, id := p.seat, p.seat.s.ID()
		old.p = &player{w: w, user: "left", forged: true, link: old}
		old.serverReceive(packetOf(t, late))
		w.run(time.Minute)
		if p.c.State() != Open || p.c.ID() != id || w.srv.logins != 1 || st.s.Epoch() != 1 || len(p.changes) != 1 {
			t.Errorf("heard %v: %v, %d logins, epoch %d", heard, p, w.srv.logins, st.s.Epoch())
		}
		if e, err := ParseEnd(old.p.raw[len(old.p.raw)-1]); err != nil || e.Code != Stale {
			t.Errorf("heard %v: the late one was answered %v %v", heard, e, err)
		}
		p.exchange(3)
		p.back()
	}
}

// Scenario 69: what the lost link was told beside WELCOME is told again.
func TestRepeatedWelcomeIsFollowedByHold(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.player("a")
	w.onLink = func(l *link) {
		w.onLink = nil
		l.swallow = func(dir int, f []byte) bool { return dir == toClient && frameKind(f) != codec.Greeting }
	}
	p.send(3)
	w.until(time.Second, func() bool { return p.seat != nil })
	p.seat.hold(true)
	w.onLink = func(l *link) {
		l.record = func(dir int, pk codec.Packet) {
			if dir == toClient && pk.Flags&codec.Hold != 0 && len(p.seat.got) == 0 {
				w.onLink = nil // in time
			}
		}
	}
	p.lose()
	w.until(10*time.Second, func() bool { return p.c.State() == Open })
	if w.onLink != nil {
		t.Error("WELCOME came without the HOLD behind it")
	}
}
