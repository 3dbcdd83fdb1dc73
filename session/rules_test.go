// SPDX-License-Identifier: MIT

package session

import (
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// heardSession is open and confirmed, with n packets written and not acknowledged.
func heardSession(t testing.TB, cfg Config, n int) *Session {
	t.Helper()
	s := new(Session)
	s.Open(testShard(t, cfg), ID{1}, 0)
	for range n {
		if err := s.Send(codec.Message, number(1), false, 0); err != nil {
			t.Fatal(err)
		}
	}
	s.Output(nil, 1, 0, 1<<20)
	if _, err := s.Receive(1, codec.Packet{}, 0); err != nil {
		t.Fatal(err)
	}
	return s
}

func mustResume(t testing.TB, s *Session, r ResumeRequest, now time.Duration) (reset bool) {
	t.Helper()
	r.ID, r.Lowest = s.id, max(r.Lowest, 1)
	_, reset, err := s.Resume(nil, &r, now)
	if err != nil {
		t.Fatal(err)
	}
	return reset
}

// SPEC 4.1: an acknowledgement beyond the cursor, of what an earlier link
// carried, moves the cursor and leaves the bytes in flight right.
func TestAcknowledgementBeyondTheCursor(t *testing.T) {
	for ack, next := range map[uint32]uint64{1: 3, 3: 4, 7: 8, 10: 11} {
		s := heardSession(t, Config{}, 10)
		mustResume(t, s, ResumeRequest{Attempt: 1}, 0)
		size := len(number(1))
		s.Output(nil, 2, 0, 2*codec.AppendedFrameSize(size))
		if s.next != 3 || int(s.inFlight) != 2*size {
			t.Fatalf("next %d, %d bytes in flight", s.next, s.inFlight)
		}
		if _, err := s.Receive(2, codec.Packet{Header: codec.Header{Ack: ack}}, 0); err != nil {
			t.Fatal(err)
		}
		if want := int(next-1-uint64(ack)) * size; s.next != next || int(s.inFlight) != want || s.out.len() != 10-int(ack) {
			t.Errorf("after %d: next %d, %d bytes in flight, want %d and %d", ack, s.next, s.inFlight, next, want)
		}
	}
}

// SPEC 4.9: also a client that has received everything which fitted is told
// that something did not.
func TestOverflowIsToldToAClientThatMissesNothing(t *testing.T) {
	s := heardSession(t, Config{SendPackets: 10}, 10)
	if err := s.Send(codec.Message, number(1), false, 0); err != ErrOverflow {
		t.Fatal(err)
	}
	if !mustResume(t, s, ResumeRequest{Attempt: 1, Recv: 10}, 0) {
		t.Error("RESUMED")
	}
	if err := s.Send(codec.Message, number(1), false, 0); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// SPEC 5.1: one ping for one silence, whenever it is looked at.
func TestServerAsksOnce(t *testing.T) {
	s := heardSession(t, Config{}, 0)
	for _, step := range []struct {
		now, late time.Duration
		want      Verdict
		due       time.Duration
	}{
		{s.suspicion() - 1, 0, Probe, s.suspicion()}, // a bare heartbeat: nothing was written for long
		{s.suspicion(), 0, Probe, s.timeout},
		{s.suspicion() + time.Second, 0, Fine, s.timeout},
		{s.suspicion() + s.timeout/3 - 1, 0, Fine, s.timeout},
		{s.timeout, 0, Dead, s.timeout},
	} {
		got := s.Check(step.now, step.late)
		out := s.Output(nil, 1, step.now, 0)
		if got != step.want || s.Due() != step.due || (got == Probe) != (len(out) == 9) {
			t.Errorf("at %v: %v, due %v, %d bytes; want %v, %v", step.now, got, s.Due(), len(out), step.want, step.due)
		}
	}
}

// SPEC 5.4: who was asked before the server stood still gets another chance.
func TestAskedBeforeThePause(t *testing.T) {
	s := heardSession(t, Config{}, 0)
	if s.Check(s.suspicion(), 0) != Probe {
		t.Fatal("not asked")
	}
	s.Output(nil, 1, s.suspicion(), 0)
	now := s.timeout + 30*time.Second
	if got := s.Check(now, 30*time.Second); got != Probe || s.Due() != now+s.timeout-s.suspicion() {
		t.Errorf("%v, due in %v", got, s.Due()-now)
	}
	s.Output(nil, 1, now, 0)
	if got := s.Check(s.Due()-1, 0); got == Dead {
		t.Errorf("just before: %v", got)
	}
	if got := s.Check(s.Due(), 0); got != Dead {
		t.Errorf("in the end: %v", got)
	}
}

// SPEC 5.7: another profile may not leave an entry of the wheel too late.
func TestTuneAsksAnew(t *testing.T) {
	s := heardSession(t, Config{Interval: 2 * time.Second, Timeout: 8 * time.Second}, 0)
	s.Check(s.suspicion(), 0)
	if err := s.Tune(10*time.Second, 35*time.Second); err != nil {
		t.Fatal(err)
	}
	due := s.Due() // where the wheel is set to
	_, _ = s.Receive(1, codec.Packet{}, s.timeout/10)
	if s.Due() < due {
		t.Errorf("due at %v, the wheel looks at %v", s.Due(), due)
	}
}

// SPEC 6.3: an equal attempt is stale.
func TestEqualAttemptIsStale(t *testing.T) {
	s := heardSession(t, Config{}, 0)
	mustResume(t, s, ResumeRequest{Attempt: 5}, 0)
	for _, attempt := range []uint64{0, 4, 5} {
		if _, _, err := s.Resume(nil, &ResumeRequest{ID: s.id, Attempt: attempt, Lowest: 1}, 0); err == nil || err.Code != Stale || err.Detail != 5 || s.Epoch() != 2 {
			t.Errorf("attempt %d: %v, epoch %d", attempt, err, s.Epoch())
		}
	}
}

// SPEC 6.6: RESUMEs that nobody follows up do not prolong the grace.
func TestUnconfirmedResumeDoesNotRenewTheGrace(t *testing.T) {
	s := heardSession(t, Config{}, 0)
	s.Detach(1, 0)
	end := s.graceEnd
	for i := range uint64(5) { // half of them while the one before is still up
		now := time.Duration(i+1) * 10 * time.Second
		mustResume(t, s, ResumeRequest{Attempt: i + 1}, now)
		if i%2 == 0 {
			s.Detach(s.Epoch(), now+time.Second)
		}
	}
	if s.State() != Detached || s.graceEnd != end || s.Check(end, 0) != Lapsed {
		t.Errorf("%v, the grace ends at %v instead of %v", s.State(), s.graceEnd, end)
	}

	s = heardSession(t, Config{}, 0)
	mustResume(t, s, ResumeRequest{Attempt: 1}, time.Minute) // the old link was heard
	s.Detach(2, 70*time.Second)
	if s.graceEnd != 2*time.Minute {
		t.Errorf("after a half-open link the grace ends at %v", s.graceEnd)
	}
	mustResume(t, s, ResumeRequest{Attempt: 2}, 80*time.Second)
	_, _ = s.Receive(3, codec.Packet{}, 81*time.Second)
	s.Detach(3, 90*time.Second)
	if s.graceEnd != 150*time.Second {
		t.Errorf("after a heard link the grace ends at %v", s.graceEnd)
	}
}

// SPEC 6.6: nobody was ever heard, so it waits for a repeated HELLO only.
func TestUnheardSessionWaitsForItsHello(t *testing.T) {
	s := new(Session)
	s.Open(testShard(t, Config{}), ID{1}, 0)
	s.Detach(1, time.Second)
	if s.Due() != 6*time.Second || s.Check(6*time.Second-1, 0) != Fine || s.Check(6*time.Second, 0) != Lapsed {
		t.Errorf("due at %v", s.Due())
	}
	s.Reopen(2 * time.Second)
	if s.State() != Attached || s.Epoch() != 2 {
		t.Errorf("%v, epoch %d", s.State(), s.Epoch())
	}
}

// What RESUMED tells is not told twice.
func TestResumedTellsHoldAndProfile(t *testing.T) {
	s := heardSession(t, Config{}, 0)
	s.Hold(true)
	_ = s.Tune(time.Second, 4*time.Second)
	out, _, err := s.Resume(nil, &ResumeRequest{ID: s.id, Attempt: 1, Lowest: 1}, 0)
	var b resumedBody
	if err != nil || decodeControl(packetOf(t, out), &b) != nil || !b.Hold || b.Params.Interval != 1000 || b.Params.Timeout != 4000 {
		t.Fatalf("%+v %v", b, err)
	}
	if more := s.Output(nil, 2, 0, 1<<20); len(more) != 0 || s.Wants() {
		t.Errorf("%x behind it", more)
	}
}

// SPEC 6.7: under its new name the session knows no earlier attempt.
func TestRename(t *testing.T) {
	s := heardSession(t, Config{}, 3)
	mustResume(t, s, ResumeRequest{Attempt: 1 << 60}, 0)
	s.Rename(ID{2})
	s.Takeover(0)
	if n, _ := s.Queued(); s.ID() != (ID{2}) || n != 0 || s.Confirmed() || s.Epoch() != 3 {
		t.Errorf("%v, %d queued, epoch %d", s.ID(), n, s.Epoch())
	}
	mustResume(t, s, ResumeRequest{Attempt: 1, Recv: 3}, 0)
}
