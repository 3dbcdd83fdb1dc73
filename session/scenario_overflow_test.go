// SPDX-License-Identifier: MIT

package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// Scenario 48.
func TestOverflowWhileDetached(t *testing.T) {
	for name, push := range map[string]func(st *seat) error{
		"packets": func(st *seat) error { return st.push(st.srv.w.cfg.SendPackets + 1) },
		"bytes": func(st *seat) (err error) {
			for range 10 {
				body, _ := codec.AppendBody(nil, make([]byte, 60<<10))
				if err = st.s.Send(codec.Message, body, false, st.srv.w.now); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		w := newWorld(t, 1, Config{})
		p, other := w.connected("a"), w.connected("b")
		st := p.seat
		p.refuse = true
		p.lose()
		w.until(time.Minute, func() bool { return st.s.State() == Detached })
		if err := push(st); err != ErrOverflow {
			t.Fatalf("%s: %v", name, err)
		}
		if err := st.s.Send(codec.Message, number(1), false, w.now); err != ErrOverflow {
			t.Errorf("%s: a send after the overflow: %v", name, err)
		}
		if n, b := st.s.Queued(); n != 0 || b != 0 {
			t.Errorf("%s: %d packets, %d bytes are kept", name, n, b)
		}
		_ = other.seat.push(5)
		other.back()
		p.refuse = false
		p.send(2)
		w.until(time.Minute, func() bool { return p.c.State() == Open })
		if p.changes[len(p.changes)-1] != WasReset || p.last.Code != Overflow || fmt.Sprint(st.hooks) != "[open detach resume reset]" {
			t.Errorf("%s: %v %v", name, p, st.hooks)
		}
		_ = st.push(3)
		p.back() // the client's own packets lost nothing
	}
}

// A client that has accepted all that was numbered can't tell by its count that it read
// RESET: it is told again until it has.
func TestLostResetIsRepeated(t *testing.T) {
	for name, overflow := range map[string]func(t *testing.T, s *Session) *Session{
		"overflow": func(t *testing.T, s *Session) *Session {
			if err := s.Send(codec.Message, []byte{9}, false, 0); err != ErrOverflow {
				t.Fatal(err)
			}
			s.Detach(1, 0)
			return s
		},
		"move": func(t *testing.T, s *Session) *Session {
			s.Detach(1, 0)
			r := s.Record(0)
			s = new(Session)
			s.Restore(testShard(t, Config{SendPackets: 4}), r, 0)
			return s
		},
	} {
		s := small(t)
		_, _ = s.Receive(1, codec.Packet{}, 0)
		for n := 1; n <= 8; n++ {
			mustSend(t, s, n)
		}
		s.Output(nil, 1, 0, 1<<20) // and the acknowledgements are lost
		s = overflow(t, s)
		if err := s.Send(codec.Message, []byte{10}, false, 0); err != ErrOverflow {
			t.Fatalf("%s: %v", name, err)
		}
		r := &ResumeRequest{ID: s.ID(), Recv: 8, Lowest: 1}
		for r.Attempt = 1; r.Attempt <= 3; r.Attempt++ {
			if _, reset, err := s.Resume(nil, r, 0); !reset || err != nil {
				t.Errorf("%s: RESUME %d: reset %v, %v", name, r.Attempt, reset, err)
			}
			s.Detach(s.Epoch(), 0) // the answer is lost
		}
		r.Recv = s.sent // it has read RESET, and nothing of it was heard
		if _, reset, err := s.Resume(nil, r, 0); reset || err != nil {
			t.Errorf("%s: RESUME after RESET was read: reset %v, %v", name, reset, err)
		}
	}
}

// Scenario 49.
func TestSlowReaderIsCutAndNobodyWaits(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	p.link.room = 1000
	p.link.swallow = func(dir int, _ []byte) bool { return dir == toServer } // it acknowledges nothing
	st := p.seat
	if err := st.push(w.cfg.SendPackets + 1); err != ErrOverflow {
		t.Fatal(err)
	}
	if st.s.State() != Detached {
		t.Errorf("the link of a slow reader is %v", st.s.State())
	}
	w.until(time.Minute, func() bool { return p.c.State() == Open && st.s.State() == Attached })
	if p.changes[len(p.changes)-1] != WasReset {
		t.Errorf("%v", p)
	}
}

// Scenario 50: what a broadcast sends to many is held once.
func TestSharedBodiesAreNotCopied(t *testing.T) {
	shard := testShard(t, Config{})
	body, _ := codec.AppendBody(nil, make([]byte, 1000))
	sessions := make([]Session, 1000)
	for i := range sessions {
		sessions[i].Open(shard, ID{byte(i)}, 0)
		for range 8 {
			if err := sessions[i].Send(codec.Message, body, true, 0); err != nil {
				t.Fatal(err)
			}
		}
		for j := range 8 {
			if &sessions[i].out.at(j).body[0] != &body[0] {
				t.Fatal("a shared body was copied")
			}
		}
	}
	for i := range sessions {
		sessions[i].Close(Kicked)
	}
	for _, blocks := range shard.Pool.blocks {
		if len(blocks) != 0 {
			t.Fatal("a shared body went to the pool")
		}
	}
}

// deaf makes the player overflow after it has acknowledged nothing for a while,
// and waits until it is back, in this session or another.
func (w *world) deaf(p *player, silence time.Duration) {
	w.t.Helper()
	st := p.seat
	p.link.swallow = func(dir int, _ []byte) bool { return dir == toServer }
	_ = st.push(1)
	w.run(silence)
	if err := st.push(w.cfg.SendPackets + 1); err != ErrOverflow {
		w.t.Fatal(err)
	}
	w.until(time.Minute, func() bool { return p.seat != st || st.s.State() == Attached && p.c.State() == Open })
}

// Scenario 51.
func TestOverflowsEndInTheEnd(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	st := p.seat
	for i := range maxOverflows {
		if p.seat != st {
			t.Fatalf("overflow %d ended the session", i)
		}
		w.deaf(p, w.cfg.Timeout*6/10)
	}
	if st.s.State() != Closed || st.s.Reason() != Overflow {
		t.Errorf("%v %v", st.s.State(), st.s.Reason())
	}
	w.until(time.Minute, func() bool { return p.c.State() == Open })
	if w.srv.logins != 2 || p.last.Code != Overflow {
		t.Errorf("%v, %d logins", p, w.srv.logins)
	}
}

// Scenario 51: overflows that are far apart are no habit, those of a client that
// had no time to acknowledge or no link say nothing of it, and one that
// acknowledged something since is only slow.
func TestOverflowsOfAReaderAreNoEnd(t *testing.T) {
	for name, overflow := range map[string]func(w *world, p *player){
		"far apart": func(w *world, p *player) {
			w.deaf(p, w.cfg.Timeout*6/10)
			w.run(w.cfg.Grace + time.Minute)
		},
		"at once": func(w *world, p *player) { w.deaf(p, w.cfg.Timeout*4/10) },
		"away": func(w *world, p *player) {
			p.lose()
			if err := p.seat.push(w.cfg.SendPackets + 1); err != ErrOverflow {
				t.Fatal(err)
			}
			w.until(time.Minute, func() bool { return p.c.State() == Open })
			w.run(w.cfg.Interval) // it is heard, so that the next grace is a whole one
		},
		"slow": func(w *world, p *player) {
			w.deaf(p, w.cfg.Timeout*6/10)
			_ = p.seat.push(1)
			w.until(time.Minute, func() bool { n, _ := p.seat.s.Queued(); return n == 0 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, Config{})
			p := w.connected("a")
			st := p.seat
			for i := range 4 * maxOverflows {
				overflow(w, p)
				if p.seat != st {
					t.Fatalf("overflow %d ended the session", i+1)
				}
			}
		})
	}
}

// Scenario 51 before anybody was heard: the repeated WELCOME starts behind what
// was given up, and the session can be sent to again.
func TestOverflowBeforeWelcomeArrives(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.player("a")
	w.onLink = func(l *link) {
		w.onLink = nil
		l.swallow = func(dir int, f []byte) bool { return dir == toClient && frameKind(f) == codec.Welcome }
	}
	w.until(time.Second, func() bool { return p.seat != nil })
	st := p.seat
	if err := st.push(w.cfg.SendPackets + 1); err != ErrOverflow {
		t.Fatal(err)
	}
	w.until(time.Minute, func() bool { return p.c.State() == Open })
	if p.seat != st || w.srv.logins != 1 {
		t.Fatalf("%v", p)
	}
	if err := st.push(3); err != nil {
		t.Fatal(err)
	}
	p.back()
}

// Scenario 52.
func TestNothingIsLeftOfClosedSessions(t *testing.T) {
	w := newWorld(t, 1, Config{})
	for round := range 20 {
		for i := range 20 {
			p := w.connected(fmt.Sprint("p", i))
			_ = p.seat.push(100)
			st := p.seat
			switch i % 4 {
			case 0:
				p.c.Close()
			case 1:
				p.refuse = true
				p.lose()
			case 2:
				st.close(Kicked)
			case 3:
				st.close(Internal)
			}
			w.act()
		}
		for _, p := range w.players {
			p.c.Close()
		}
		w.run(3 * time.Minute)
		w.players = nil
		if n := w.srv.table.Len() + w.srv.wheel.Len() + len(w.srv.table.users) + len(w.srv.table.opening) + len(w.links); n != 0 {
			t.Fatalf("round %d: %d sessions, %d wheel entries, %d users, %d logins, %d links", round,
				w.srv.table.Len(), w.srv.wheel.Len(), len(w.srv.table.users), len(w.srv.table.opening), len(w.links))
		}
		w.srv.table.Tombstone(ID{}, w.now)
		if len(w.srv.table.tombstones) != 0 || len(w.srv.wheel.nodes) > 30 {
			t.Fatalf("round %d: %d tombstones, %d wheel nodes", round, len(w.srv.table.tombstones), len(w.srv.wheel.nodes))
		}
	}
	if kept := w.srv.shard.Pool.kept; kept > poolBytes || kept == 0 {
		t.Errorf("the pool keeps %d bytes", kept)
	}
}

// The cap of a node: what its loops may hold is handed to their shards in
// shares, moves with the sessions, and comes back.
func TestSharesOfTheNode(t *testing.T) {
	left := 10_000 // of the node
	shards := make([]*Shard, 2)
	for i := range shards {
		sh := testShard(t, Config{})
		sh.More = func(n int, _ bool) bool {
			if n > left {
				return false
			}
			left -= n
			sh.Share += n
			return true
		}
		shards[i] = sh
	}
	body := make([]byte, 200)
	cost := Cost(len(body), false)
	if cost != packetSize+256 || Cost(len(body), true) != packetSize+200 || Cost(1<<20, false) != packetSize+1<<20 {
		t.Errorf("a packet of 200 bytes costs %d", cost)
	}
	var a, b Session
	a.Open(shards[0], ID{1}, 0)
	b.Open(shards[1], ID{2}, 0)
	sum := func() int { return shards[0].Pool.Held() + shards[1].Pool.Held() }
	var err error
	n := 0
	for ; err == nil; n++ {
		s := &a
		if n%2 == 1 {
			s = &b
		}
		err = s.Send(codec.Message, body, n%4 > 1, 0)
		if got := sum(); got > 10_000 || err == nil && got != shards[0].Share+shards[1].Share {
			t.Fatalf("%d bytes are held of 10,000, shares %d and %d", got, shards[0].Share, shards[1].Share)
		}
	}
	full, other := &a, &b
	if b.Overflowed() {
		full, other = &b, &a
	}
	if err != ErrOverBudget || !full.Overflowed() || other.Overflowed() || n < 30 {
		t.Fatalf("send %d: %v", n, err)
	}
	_, kept := other.Queued()
	for i := range 4 { // back and forth
		other.Leave()
		if sum() != 0 {
			t.Fatalf("a session on its way is still counted: %d", sum())
		}
		other.Adopt(shards[i%2])
		if _, bytes := other.Queued(); bytes != kept || sum() == 0 || shards[i%2].Share < sum() {
			t.Fatalf("moved: %d bytes of %d, %d held, share %d", bytes, kept, sum(), shards[i%2].Share)
		}
	}
	other.Close(Kicked)
	if sum() != 0 || shards[0].Share < 0 || shards[1].Share < 0 || left+shards[0].Share+shards[1].Share != 10_000 {
		t.Errorf("all is over: %d held, shares %d and %d, %d left", sum(), shards[0].Share, shards[1].Share, left)
	}
}
