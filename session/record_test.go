// SPDX-License-Identifier: MIT

package session

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// Scenario 64: sessions move to another server again and again, with traffic
// on its way in both directions, and the player sees everything once.
func TestMovedSessionLosesNothing(t *testing.T) {
	for moves := range 6 {
		t.Run(fmt.Sprint("moves=", moves), func(t *testing.T) {
			w := newWorld(t, uint64(moves), Config{})
			w.jitter = 30 * time.Millisecond
			p, q := w.connected("a"), w.connected("b")
			for range moves {
				for _, p := range []*player{p, q} {
					p.send(7)
					_ = p.seat.push(7)
				}
				w.run(w.rngBelow(100 * time.Millisecond)) // some of it arrives
				w.migrate()
				_ = p.seat.push(3) // by the new owner, while nobody is there
				w.until(time.Minute, func() bool { return p.c.State() == Open && q.c.State() == Open })
			}
			w.settle()
			if w.moves != 2*moves || w.resumes < moves {
				t.Errorf("%d moves, %d resumes", w.moves, w.resumes)
			}
		})
	}
}

// A record says all that a session is: what it becomes elsewhere answers a
// RESUME in the same way, and so does what that one becomes.
func TestRecordIsTheWholeSession(t *testing.T) {
	shard := testShard(t, Config{})
	now := time.Hour
	s := detachedSession(t, shard, now)
	r := s.Record(now + 10*time.Second)
	r.User, r.App, r.Routes = "ann", []byte("game"), []byte{1, 2}
	stored := r.Append(nil)
	got, err := ParseRecord(stored)
	if err != nil || got.User != "ann" || string(got.App) != "game" || !bytes.Equal(got.Routes, r.Routes) || got.ID != s.id || got.Epoch != s.epoch {
		t.Fatalf("%+v, %v", got, err)
	}
	if again := got.Append(nil); !bytes.Equal(again, stored) {
		t.Errorf("read and written again it is another record:\n%x\n%x", stored, again)
	}
	var there Session
	other := testShard(t, Config{Grace: 20 * time.Second})
	there.Restore(other, got, 5*time.Second)
	if there.State() != Detached || there.Epoch() != s.epoch+1 || there.Due() != 25*time.Second || there.OpenedAt() != 5*time.Second-(now+10*time.Second) {
		t.Errorf("%v, epoch %d, due %v, opened at %v", there.State(), there.Epoch(), there.Due(), there.OpenedAt())
	}
	if there.interval != 4*time.Second || there.timeout != 14*time.Second || there.attempt != s.attempt || there.overflows != 1 {
		t.Errorf("%v %v, attempt %d, overflows %d", there.interval, there.timeout, there.attempt, there.overflows)
	}
	a, b := *s, there
	req := &ResumeRequest{ID: s.id, Attempt: s.attempt + 1, Recv: s.acked + 1, Lowest: s.recv + 1}
	_, resetA, errA := a.Resume(nil, req, now)
	_, resetB, errB := b.Resume(nil, req, 6*time.Second)
	if errA != nil || errB != nil || resetA || resetB || a.acked != b.acked || a.sent != b.sent || a.recv != b.recv || a.next != b.next {
		t.Errorf("resumed here: %v, there: %v", errA, errB)
	}
	outA := a.Output(nil, a.Epoch(), now, 1<<20)
	outB := b.Output(nil, b.Epoch(), 6*time.Second, 1<<20)
	if !bytes.Equal(outA, outB) || len(outA) == 0 {
		t.Errorf("they write %x and %x", outA, outB)
	}
	if _, _, err := there.Resume(nil, &ResumeRequest{ID: s.id, Attempt: s.attempt, Lowest: 1}, 0); err == nil || err.Code != Stale {
		t.Errorf("an old attempt is answered by %v", err)
	}
	if held := other.Pool.Held(); held == 0 {
		t.Error("the next server does not count what it holds")
	}
}

// detachedSession is one with a past: packets accepted, written, waiting, an
// overflow, a resume.
func detachedSession(t *testing.T, shard *Shard, now time.Duration) *Session {
	t.Helper()
	s := new(Session)
	s.Open(shard, ID{1, 2, 3}, 0)
	s.Overflow(now - time.Second)
	_, _ = s.Receive(1, codec.Packet{Header: codec.Header{Kind: codec.Message, Seq: 1}, Body: number(1)}, now)
	if _, reset, err := s.Resume(nil, &ResumeRequest{ID: s.id, Attempt: 77, Lowest: 2}, now); err != nil || !reset {
		t.Fatal(err)
	}
	_, _ = s.Receive(2, codec.Packet{}, now)
	for n := range uint64(5) {
		if err := s.Send(codec.Message, number(n), n%2 == 0, now); err != nil {
			t.Fatal(err)
		}
		if n == 3 {
			s.Output(nil, 2, now, 1<<20)
		}
	}
	if err := s.Tune(4*time.Second, 14*time.Second); err != nil {
		t.Fatal(err)
	}
	if !s.Detach(2, now) {
		t.Fatal("not detached")
	}
	return s
}

// A server that keeps less than the one before gives up what is too much, and
// says so.
func TestRecordOfMoreThanTheServerKeeps(t *testing.T) {
	r := detachedSession(t, testShard(t, Config{}), time.Hour).Record(time.Hour)
	for name, shard := range map[string]*Shard{
		"packets": testShard(t, Config{SendPackets: 4}),
		"node":    testShard(t, Config{}),
	} {
		if name == "node" {
			shard.More = func(int, bool) bool { return false }
		}
		var s Session
		s.Restore(shard, r, 0)
		if !s.Overflowed() || s.Spent() || s.sent != r.acked+6 || s.acked != s.sent || shard.Pool.Held() != 0 {
			t.Errorf("%s: overflowed %v, acked %d, sent %d, %d bytes held", name, s.Overflowed(), s.acked, s.sent, shard.Pool.Held())
		}
		if s.overflows != r.overflows {
			t.Errorf("%s: the move counts as an overflow", name)
		}
		_, reset, err := s.Resume(nil, &ResumeRequest{ID: r.ID, Attempt: 1000, Recv: r.wrote, Lowest: r.recv + 1}, 0)
		if err != nil || !reset {
			t.Errorf("%s: resumed without a RESET: %v", name, err)
		}
	}
}

func TestRecordsThatAreNone(t *testing.T) {
	good := detachedSession(t, testShard(t, Config{}), time.Hour).Record(time.Hour)
	for what, spoil := range map[string]func(b *recordBody){
		"version":          func(b *recordBody) { b.Version++ },
		"id":               func(b *recordBody) { b.ID = b.ID[1:] },
		"acked over wrote": func(b *recordBody) { b.Acked = b.Wrote + 1 },
		"wrote over sent":  func(b *recordBody) { b.Wrote += 100 },
		"wrapped":          func(b *recordBody) { b.Acked, b.Wrote = 1<<64-2, 1<<64-1 },
		"received":         func(b *recordBody) { b.Recv = 1 << 63 },
		"epoch":            func(b *recordBody) { b.Epoch = 1<<32 - 1 },
		"kind":             func(b *recordBody) { b.Packets[0].Kind = uint8(codec.Hello) },
		"empty packet":     func(b *recordBody) { b.Packets[1].Body = nil },
	} {
		var b recordBody
		if err := codec.DecodeBody(good.Append(nil), &b); err != nil {
			t.Fatal(err)
		}
		spoil(&b)
		stored, err := codec.AppendBody(nil, &b)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := ParseRecord(stored); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
	}
	stored := good.Append(nil)
	for n := range stored {
		if _, err := ParseRecord(stored[:n]); !errors.Is(err, ErrRecord) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

// FuzzRecord: whatever is stored, it is refused, or becomes a session whose
// counts hold and that writes the same record again.
func FuzzRecord(f *testing.F) {
	t := &testing.T{}
	f.Add(detachedSession(t, testShard(f, Config{}), time.Hour).Record(time.Hour).Append(nil))
	var s Session
	s.Open(testShard(f, Config{}), ID{9}, 0)
	f.Add(s.Record(0).Append(nil))
	shard := testShard(f, Config{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecord(b)
		if err != nil {
			return
		}
		again, err := ParseRecord(r.Append(nil))
		if err != nil || !bytes.Equal(again.Append(nil), r.Append(nil)) {
			t.Fatalf("not read again: %v", err)
		}
		var s Session
		s.Restore(shard, r, time.Hour)
		if s.acked > s.wrote || s.wrote > s.sent || s.next != s.acked+1 || s.out.len() != int(s.sent-s.acked) {
			t.Fatalf("acked %d wrote %d sent %d next %d, %d packets", s.acked, s.wrote, s.sent, s.next, s.out.len())
		}
		_ = s.Check(2*time.Hour, 0)
		if _, _, err := s.Resume(nil, &ResumeRequest{ID: r.ID, Attempt: r.attempt + 1, Recv: r.wrote, Lowest: 1}, time.Hour); err == nil {
			s.Output(nil, s.Epoch(), time.Hour, 1<<20)
		}
		s.Close(Kicked)
		if shard.Pool.Held() != 0 {
			t.Fatalf("%d bytes are held after the end", shard.Pool.Held())
		}
	})
}

// A RESET that its client never read is told again by the next server, with the
// same reason.
func TestUnreadResetMovesWithItsReason(t *testing.T) {
	shard := testShard(t, Config{})
	var s, moved Session
	s.Open(shard, ID{1}, 0)
	if _, err := s.Receive(1, codec.Packet{}, 0); err != nil {
		t.Fatal(err)
	}
	_ = s.Send(codec.Message, number(1), false, 0)
	s.Overflow(0)
	s.Detach(1, 0)
	ask := func(s *Session, attempt uint64) Code {
		t.Helper()
		frame, _, err := s.Resume(nil, &ResumeRequest{ID: ID{1}, Attempt: attempt, Lowest: 1}, 0)
		if err != nil {
			t.Fatal(err)
		}
		var b resetBody
		if err := decodeControl(packetOf(t, frame), &b); err != nil {
			t.Fatal(err)
		}
		return Code(b.Reason)
	}
	if why := ask(&s, 1); why != Overflow {
		t.Fatalf("RESET of %v", why)
	}
	s.Detach(s.Epoch(), 0)
	moved.Restore(shard, s.Record(0), 0)
	if why := ask(&moved, 2); why != Overflow {
		t.Errorf("after the move RESET of %v", why)
	}
}

// TestRecordTellsThatItsSessionIsSealed: the next server keeps the rule.
func TestRecordTellsThatItsSessionIsSealed(t *testing.T) {
	for _, sealed := range []bool{true, false} {
		r, err := ParseRecord((&Record{Sealed: sealed}).Append(nil))
		if err != nil || r.Sealed != sealed {
			t.Errorf("sealed %v became %+v, %v", sealed, r, err)
		}
	}
}
