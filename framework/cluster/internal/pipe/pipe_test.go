// SPDX-License-Identifier: MIT

package pipe

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
)

var one, two, three = core.Incarnation{Node: 1, Boot: 9}, core.Incarnation{Node: 2, Boot: 9}, core.Incarnation{Node: 3, Boot: 9}

func message(user string, size int) *Message { return &Message{To: Address{User: user}, Size: size} }

// put puts a message of one byte, and places its user.
func put(t *testing.T, s *Sender, user string, at core.Incarnation, now time.Duration) *Message {
	t.Helper()
	m := message(user, 1)
	if err := s.Put(m, now); err != nil {
		t.Fatal(err)
	}
	if name, ok := s.Lookup(now); ok {
		s.Located(name, Place{At, at}, now)
	}
	return m
}

// texts names the errors of what has ended.
func texts(list []Ended) (all []string) {
	for _, e := range list {
		text := "done"
		for _, why := range []error{ErrOffline, ErrUnreachable, ErrUnknown, ErrRefused} {
			if errors.Is(e.Err, why) {
				text = why.Error()
			}
		}
		all = append(all, e.Message.To.User+" "+text)
	}
	return all
}

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

type view map[core.Incarnation]core.Status

func (v view) Status(i core.Incarnation) core.Status { return v[i] }

func TestFind(t *testing.T) {
	v := view{one: core.Up, two: core.Up, three: core.Dead}
	at := func(user string, i core.Incarnation) core.Entry { return core.Entry{User: user, Owner: i} }
	for _, c := range []struct {
		entries []core.Entry
		want    Place
	}{
		{nil, Place{Kind: Nowhere}},
		{[]core.Entry{at("bob", two)}, Place{Kind: Nowhere}},
		{[]core.Entry{at("bob", one), at("ann", two)}, Place{At, two}},
		{[]core.Entry{at("ann", core.Incarnation{})}, Place{Kind: Parked}},
		{[]core.Entry{at("ann", three)}, Place{Kind: Parked}},
		{[]core.Entry{at("ann", three), at("ann", two)}, Place{At, two}},
		{[]core.Entry{at("ann", two), at("ann", core.Incarnation{})}, Place{At, two}},
		{[]core.Entry{at("ann", two), at("ann", one)}, Place{At, one}},
		{[]core.Entry{at("ann", core.Incarnation{Node: 4})}, Place{At, core.Incarnation{Node: 4}}}, // not known here: it may live
	} {
		expect(t, fmt.Sprint(c.entries), Find(c.entries, "ann", one, v), c.want)
	}
}

func TestReceiver(t *testing.T) {
	var r Receiver
	for _, step := range []struct {
		number uint64
		want   Arrival
	}{{0, Late}, {2, Late}, {1, Fresh}, {1, Repeated}, {3, Late}, {2, Fresh}, {2, Repeated}, {1, Late}} {
		got := r.Arrive(step.number)
		expect(t, fmt.Sprint("batch ", step.number), got, step.want)
		if got == Fresh {
			r.Took(step.number, []byte{byte(step.number)})
		}
		if got == Repeated && r.Answer()[0] != byte(step.number) {
			t.Errorf("the answer to %d is that to %d", step.number, r.Answer()[0])
		}
	}
}

// Once a user is absent, so it is for the rest of the batch.
func TestTake(t *testing.T) {
	here := false
	var came []string
	list := Take([]string{"ann 1", "bob 1", "ann 2", "bob 2"}, func(m string) string { return m[:3] }, func(m string) Answer {
		if m[:3] == "ann" && !here {
			here = true // it comes just now
			return Answer{Result: Absent}
		}
		came = append(came, m)
		return Answer{}
	})
	expect(t, "handed over", came, []string{"bob 1", "bob 2"})
	expect(t, "answers", list, []Answer{{Result: Absent}, {}, {Result: Absent}, {}})
}

// What waits is bounded by server and by user, and what has ended makes room.
func TestBounds(t *testing.T) {
	s := NewSender(Limits{Server: 100, User: 60, Batch: 50, Messages: 10, Patience: time.Minute})
	expect(t, "first", s.Put(message("ann", 50), 0), error(nil))
	expect(t, "too much for the user", s.Put(message("ann", 11), 0), ErrBackpressure)
	expect(t, "another user", s.Put(message("bob", 50), 0), error(nil))
	expect(t, "too much for users not yet looked up", s.Put(message("cid", 1), 0), ErrBackpressure)
	for range 2 {
		user, _ := s.Lookup(0)
		s.Located(user, Place{At, two}, 0)
	}
	expect(t, "looked up", s.Put(message("cid", 1), 0), error(nil))
	expect(t, "woken", s.Wake(), []core.Incarnation{two})
	for n, want := range []string{"[ann done]", "[bob done]"} {
		b, _, _ := s.Next(two, 0)
		expect(t, "number", b.Number, n+1)
		expect(t, "ended", texts(s.Answered(two, b.Number, make([]Answer, 1), 0)), want)
	}
	if _, _, ok := s.Next(two, 0); ok || s.Bytes() != 1 {
		t.Errorf("%d bytes wait", s.Bytes())
	}
	expect(t, "a user that was there", s.Put(message("ann", 60), 0), error(nil))
	expect(t, "woken again", s.Wake(), []core.Incarnation{two})
}

// Where messages come so often that more than one goes at once, batches are a time apart.
// A single message, and a whole batch, do not wait.
func TestGather(t *testing.T) {
	s := NewSender(Limits{Server: 1000, User: 1000, Batch: 50, Messages: 10, Gather: time.Millisecond, Patience: time.Minute})
	var waits []time.Duration
	for _, step := range []struct {
		now  time.Duration
		puts int
	}{{0, 1}, {100, 1}, {200, 2}, {300, 1}, {200 + time.Millisecond, 1}, {200 + time.Millisecond, 2}, {300 + time.Millisecond, 50}} {
		for range step.puts {
			if err := s.Put(&Message{To: Address{Server: two}, Size: 1}, step.now); err != nil {
				t.Fatal(err)
			}
		}
		b, wait, _ := s.Next(two, step.now)
		waits = append(waits, wait)
		s.Answered(two, b.Number, make([]Answer, len(b.Messages)), step.now)
	}
	expect(t, "waits", waits, []time.Duration{0, 0, 0, time.Millisecond - 100, 0, time.Millisecond, 0})
}

// A batch that has no answer is sent again with its number. In the end it is sent without
// what was in it, and what comes later waits for its answer.
func TestNoAnswer(t *testing.T) {
	s := NewSender(Default)
	put(t, s, "ann", two, 0)
	var tries []time.Duration
	var ended []Ended
	now := time.Duration(0)
	for ended == nil {
		b, wait, ok := s.Next(two, now)
		switch {
		case !ok || b.Number > 1:
			t.Fatalf("batch %d, %v", b.Number, ok)
		case wait > 0:
			now += wait
			continue
		}
		tries = append(tries, now)
		ended = s.Unanswered(two, 1, false, now+b.Wait)
	}
	expect(t, "ended", texts(ended), []string{"ann " + ErrUnknown.Error()})
	expect(t, "tries", tries[:6], "[0s 250ms 750ms 1.75s 3.75s 5.75s]")
	put(t, s, "ann", two, now)
	b, _, _ := s.Next(two, now+2*time.Second)
	if b.Number != 1 || len(b.Messages) != 0 {
		t.Errorf("batch %d has %d messages", b.Number, len(b.Messages))
	}
	s.Answered(two, 1, nil, now)
	if b, _, _ = s.Next(two, now); b.Number != 2 || len(b.Messages) != 1 {
		t.Errorf("batch %d has %d messages", b.Number, len(b.Messages))
	}
}

// When a server is dead, what may have come there ends. All else goes where its user is.
func TestForget(t *testing.T) {
	for name, c := range map[string]struct {
		unanswered []bool // whether it was surely not received
		asking     bool
		want       []string
	}{
		"asked":                 {nil, true, []string{"ann " + ErrUnknown.Error()}},
		"no answer":             {[]bool{false}, false, []string{"ann " + ErrUnknown.Error()}},
		"no server":             {[]bool{true, true}, false, nil},
		"no answer, no server":  {[]bool{false, true}, false, []string{"ann " + ErrUnknown.Error()}},
		"no server, then asked": {[]bool{true}, true, []string{"ann " + ErrUnknown.Error()}},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewSender(Default)
			put(t, s, "ann", two, 0)
			now := time.Duration(0)
			next := func() {
				_, wait, _ := s.Next(two, now)
				if now += wait; wait > 0 {
					s.Next(two, now)
				}
			}
			for _, never := range c.unanswered {
				next()
				s.Unanswered(two, 1, never, now)
			}
			if c.asking {
				next()
			}
			put(t, s, "ann", two, now)
			put(t, s, "bob", two, now)
			left := 3 - len(c.want)
			expect(t, "ended", texts(s.Forget(two, now)), c.want)
			for range 2 {
				user, _ := s.Lookup(now)
				s.Located(user, Place{At, three}, now)
			}
			b, _, _ := s.Next(three, now)
			expect(t, "goes on", len(b.Messages), left)
			expect(t, "left", s.Bytes(), left)
		})
	}
}

// A user that meets no session is looked up again, later and later, and not for ever.
func TestAbsent(t *testing.T) {
	s := NewSender(Default)
	put(t, s, "ann", two, 0)
	var looks []time.Duration
	now := time.Duration(0)
	for !s.Empty() {
		b, _, ok := s.Next(two, now)
		if !ok {
			t.Fatal("nothing to send")
		}
		s.Answered(two, b.Number, []Answer{{Result: Absent}}, now)
		at, _ := s.NextLookup()
		looks, now = append(looks, at-now), at
		user, _ := s.Lookup(now)
		if ended := s.Located(user, Place{At, two}, now); ended != nil {
			expect(t, "ended", texts(ended), []string{"ann " + ErrOffline.Error()})
		}
	}
	expect(t, "pauses", looks[:9], "[0s 20ms 40ms 80ms 160ms 320ms 640ms 1s 1s]")
	if now < 30*time.Second || now > 31*time.Second || s.Moved() != uint64(len(looks)) {
		t.Errorf("given up after %v, %d times sent again", now, s.Moved())
	}
}

// A user without an entry is offline; one that was somewhere just now is looked up once more.
func TestNowhere(t *testing.T) {
	s := NewSender(Default)
	lookUp := func(at Place, now time.Duration) []string {
		t.Helper()
		user, ok := s.Lookup(now)
		if !ok {
			t.Fatalf("nothing to look up at %v", now)
		}
		return texts(s.Located(user, at, now))
	}
	offline := []string{"ann " + ErrOffline.Error()}
	_ = s.Put(message("ann", 1), 0)
	expect(t, "never seen", lookUp(Place{Kind: Nowhere}, 0), offline)

	put(t, s, "ann", two, 0)
	b, _, _ := s.Next(two, 0)
	s.Answered(two, b.Number, []Answer{{Result: Absent}}, 0)
	expect(t, "seen", lookUp(Place{Kind: Nowhere}, 0), []string{})
	expect(t, "once more", lookUp(Place{Kind: Nowhere}, 500*time.Millisecond), offline)

	var now time.Duration
	for kind, why := range map[PlaceKind]error{Unclear: ErrUnreachable, Parked: ErrOffline} {
		_ = s.Put(message("ann", 1), now)
		begin, got := now, []string(nil)
		for got == nil {
			now, _ = s.NextLookup()
			got = lookUp(Place{Kind: kind}, now)
		}
		expect(t, fmt.Sprint("kind ", kind), got, []string{"ann " + why.Error()})
		if d := now - begin; d < 30*time.Second || d > 31*time.Second {
			t.Errorf("given up after %v", d)
		}
	}
}

// An answer that is missing, or of another batch, hands nothing over.
func TestOddAnswers(t *testing.T) {
	s := NewSender(Default)
	put(t, s, "ann", two, 0)
	put(t, s, "ann", two, 0)
	b, _, _ := s.Next(two, 0)
	expect(t, "of another batch", s.Answered(two, b.Number+1, make([]Answer, 2), 0), []Ended(nil))
	expect(t, "of another server", s.Answered(three, b.Number, make([]Answer, 2), 0), []Ended(nil))
	expect(t, "of one message", texts(s.Answered(two, b.Number, []Answer{{Result: Refused, Text: "full"}}, 0)),
		[]string{"ann " + ErrRefused.Error(), "ann " + ErrRefused.Error()})
	if !s.Empty() || s.Bytes() != 0 {
		t.Errorf("%d bytes wait", s.Bytes())
	}
}

// What waits when the server stops is told: what may have come, and what did not.
func TestClose(t *testing.T) {
	s := NewSender(Default)
	put(t, s, "ann", two, 0)
	s.Next(two, 0)
	put(t, s, "ann", two, 0)
	got := texts(s.Close())
	expect(t, "ended", got, []string{"ann " + ErrUnknown.Error(), "ann " + ErrUnreachable.Error()})
	if !s.Empty() || s.Bytes() != 0 {
		t.Errorf("%d bytes wait", s.Bytes())
	}
}
