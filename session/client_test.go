// SPDX-License-Identifier: MIT

package session

import (
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

var noon = time.Unix(1_700_000_000, 0)

// openClient is open since 0 and has written its first heartbeat.
func openClient(t testing.TB) *Client {
	t.Helper()
	c := fuzzClients(t)["open"]
	c.Output(nil, 0, 1<<20)
	c.Check(0, noon)
	c.Changes()
	return c
}

// SPEC 5.4: a client whose timers came late asks before it judges.
func TestClientThatStoodStillAsksFirst(t *testing.T) {
	for _, answered := range []bool{true, false} {
		c := openClient(t)
		_, _ = c.Receive(codec.Packet{}, 5*time.Second)
		c.Check(5*time.Second, noon.Add(5*time.Second))
		now := 2 * time.Minute // the process was not run
		if got := c.Check(now, noon.Add(now)); got != Wait || c.State() != Open {
			t.Fatalf("%v, %v: judged without having looked", got, c.State())
		}
		if out := c.Output(nil, now, 0); len(out) != 9 || codec.Flags(out[2])&codec.EchoWanted == 0 {
			t.Errorf("it wrote %x", out)
		}
		if answered {
			_, _ = c.Receive(codec.Packet{}, now+time.Second)
		}
		now += probeLimit
		if got := c.Check(now, noon.Add(now)); (got == Cut) == answered {
			t.Errorf("answered %v: %v", answered, got)
		}
	}
}

// SPEC 5.1: sending is no sign of life of the other side.
func TestWhoOnlySendsAsksToo(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	w.run(15 * time.Second)
	tap := p.tap()
	for range 50 {
		p.send(1)
		w.run(2 * time.Second)
	}
	if n := tap.pings[toServer]; n < 9 || n > 11 {
		t.Errorf("%d pings in ten intervals", n)
	}
	if n, _ := p.c.Queued(); n > 8 {
		t.Errorf("%d packets wait for an acknowledgement", n)
	}
}

// A client that lost what it had received can't be told that nothing is missing.
func TestRestartedClientRefusesResumed(t *testing.T) {
	c := fuzzClients(t)["restarted"]
	_, err := c.Receive(packetOf(t, appendControl(nil, codec.Resumed, &resumedBody{2, 0, false, testParams(t)})), 0)
	if ch := c.Changes(); err == nil || c.State() == Open || len(ch) != 1 || ch[0].Err.Code != Inconsistent || len(ch[0].Undelivered) != 3 {
		t.Errorf("%v, %v, %+v", err, c.State(), ch)
	}
}

// SPEC 8.9: who is told where to go goes there at once, and remembers it as
// long as the session lives. Servers that send it to and fro end in a login.
func TestMovedClientGoesWhereItIsTold(t *testing.T) {
	answer := func(c *Client, address string) {
		t.Helper()
		if _, err := c.Receive(packetOf(t, AppendRefused(nil, &CloseError{Code: Moved, Text: address})), 0); err != nil {
			t.Fatal(err)
		}
	}
	c := fuzzClients(t)["resuming"]
	before := c.tries
	answer(c, "tcp://b:1 tcp://b:2")
	if c.Address() != "tcp://b:1 tcp://b:2" || c.State() != Waiting || c.Check(0, noon) != Cut || c.Check(0, noon) != Dial || c.tries != before {
		t.Fatalf("%v, address %q, due %v, attempt %d, was %d", c.State(), c.Address(), c.Due(), c.tries, before)
	}
	for n := 2; n <= 11; n++ { // the first eight are no failed resumes
		address := []string{"tcp://b:1", "tcp://a:1"}[n%2]
		c.LinkUp(0, noon, false)
		if _, err := c.Receive(packetOf(t, AppendGreeting(nil, Nonce{})), 0); err != nil {
			t.Fatal(err)
		}
		answer(c, address)
		if gone := n == 11; gone != (c.Token() == "") || gone != (c.Address() == "") {
			t.Errorf("sent to and fro %d times: token %q, address %q", n, c.Token(), c.Address())
		}
		c.Check(0, noon)
		c.Check(c.Due(), noon)
	}

	c = openClient(t)
	if _, err := c.Receive(packetOf(t, AppendBye(nil, &CloseError{Code: Moved, Text: "tcp://b:1"})), 0); err != nil {
		t.Fatal(err)
	}
	if c.Address() != "tcp://b:1" || c.Token() == "" || c.Due() != 0 || c.tries != 0 {
		t.Errorf("moved while open: %v, address %q, due %v", c.State(), c.Address(), c.Due())
	}
	c.Close()
	if c.Address() != "" {
		t.Error("the next session is sent there too")
	}
}

// SPEC 8.4: STALE is answered once.
func TestStaleTwiceLogsIn(t *testing.T) {
	c := fuzzClients(t)["resuming"]
	last := c.attempt
	c.Output(nil, 0, 0)
	for i := range uint64(2) {
		if _, err := c.Receive(packetOf(t, AppendRefused(nil, &CloseError{Code: Stale, Detail: last + 100*(i+1)})), 0); err != nil {
			t.Fatal(err)
		}
		p := packetOf(t, c.Output(nil, 0, 0))
		if i == 0 {
			if r, err := ParseResume(p); err != nil || p.Kind != codec.Resume || r.Attempt != last+101 {
				t.Errorf("after the first: %v %+v %v", p.Kind, r, err)
			}
		} else if p.Kind != codec.Hello {
			t.Errorf("after the second: %v", p.Kind)
		}
	}
}

// SPEC 6.1: a login that was refused is over, and the next one is another.
func TestRefusedLoginIsNotRepeated(t *testing.T) {
	for code, same := range map[Code]bool{Internal: false, Stale: false, Busy: true, ShuttingDown: true, OpeningTimeout: true} {
		c := fuzzClients(t)["logging in"]
		c.cfg.MaxDelay = time.Second
		first := HelloRequest{Opening: c.opening, Attempt: c.attempt} // written already
		if _, err := c.Receive(packetOf(t, AppendRefused(nil, &CloseError{Code: code, Detail: 10})), 0); err != nil || c.State() != Waiting {
			t.Fatalf("%v: %v, %v", code, err, c.State())
		}
		if c.Check(0, noon) != Cut || c.Check(2*time.Second, noon.Add(2*time.Second)) != Dial {
			t.Fatalf("%v: no new link", code)
		}
		c.LinkUp(2*time.Second, noon, false)
		_, _ = c.Receive(packetOf(t, AppendGreeting(nil, Nonce{})), 2*time.Second)
		second, err := ParseHello(packetOf(t, c.Output(nil, 2*time.Second, 0)))
		if err != nil || (second.Opening == first.Opening) != same || second.Attempt <= first.Attempt {
			t.Errorf("%v: %x attempt %d, then %x attempt %d, %v", code, first.Opening, first.Attempt, second.Opening, second.Attempt, err)
		}
	}
}

// SPEC 7.3: what an open link may carry and what is ignored on it.
func TestControlOnAnOpenLink(t *testing.T) {
	params := testParams(t)
	for name, step := range map[string]struct {
		frame []byte
		want  error
	}{
		"RESUMED again":   {appendControl(nil, codec.Resumed, &resumedBody{9, 7, true, params}), nil},
		"RESET again":     {appendControl(nil, codec.Reset, &resetBody{9, 7, 7, true, 1, params, nil}), nil},
		"WELCOME again":   {packetFrame(welcomePacket(t, newWorld(t, 1, Config{}))), nil},
		"GREETING":        {AppendGreeting(nil, Nonce{}), ErrKind},
		"REFUSED":         {AppendRefused(nil, &CloseError{Code: Kicked}), ErrKind},
		"DETACH":          {appendDetach(nil), ErrKind},
		"TUNE":            {appendControl(nil, codec.Tune, &tuneBody{1000, 2000}), nil},
		"TUNE of nothing": {appendControl(nil, codec.Tune, &tuneBody{0, 2000}), ErrControl},
		"TUNE too short":  {appendControl(nil, codec.Tune, &tuneBody{1000, 1999}), ErrControl},
		"TUNE that wraps": {appendControl(nil, codec.Tune, &tuneBody{1 << 31, 5}), ErrControl},
	} {
		c := openClient(t)
		recv, acked, epoch, held := c.recv, c.acked, c.epoch, c.held
		if _, err := c.Receive(packetOf(t, step.frame), time.Second); (err == nil) != (step.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, step.want)
		}
		if c.State() != Open || c.recv != recv || c.acked != acked || c.epoch != epoch || c.held != held || len(c.Changes()) != 0 {
			t.Errorf("%s changed something: %v", name, c.State())
		}
	}
}

func packetFrame(p codec.Packet) []byte { return codec.AppendFrame(nil, p.Header, p.Body) }

// SPEC 5.7: a shorter interval is applied to the beat that is due next.
func TestShorterIntervalIsAppliedAtOnce(t *testing.T) {
	c := openClient(t)
	c.beatEvery = 10 * time.Second
	_, _ = c.Receive(packetOf(t, appendControl(nil, codec.Tune, &tuneBody{2000, 8000})), time.Second)
	if due := c.Due(); due > 2*time.Second {
		t.Errorf("the next beat is due at %v", due)
	}
}

// What a left link still delivers is dropped, in every state.
func TestLeftLinkIsNotHeard(t *testing.T) {
	c := openClient(t)
	c.LinkDown(time.Second)
	for _, p := range []codec.Packet{{}, {Header: codec.Header{Kind: codec.Message, Seq: 1}, Body: number(1)}, packetOf(t, AppendBye(nil, &CloseError{Code: Kicked}))} {
		if deliver, err := c.Receive(p, 2*time.Second); deliver || err != ErrFenced || c.State() != Waiting || c.recv != 0 {
			t.Errorf("%v: %v %v, %v", p.Kind, deliver, err, c.State())
		}
	}
}

// SPEC 3.4: parameters that can't work are a protocol error.
func TestImpossibleParameters(t *testing.T) {
	good := paramsBody{paramsFields{1000, 2000, 0, 0, 100, 1, 100}, false}
	for name, change := range map[string]func(b *paramsBody){
		"":                 func(b *paramsBody) {},
		"interval 0":       func(b *paramsBody) { b.Interval = 0 },
		"timeout":          func(b *paramsBody) { b.Timeout = 1999 },
		"timeout 0":        func(b *paramsBody) { b.Timeout = 0 },
		"interval's limit": func(b *paramsBody) { b.Interval, b.Timeout = 1<<31, 1<<32-1 },
		"max body 0":       func(b *paramsBody) { b.MaxBody = 0 },
		"packets 0":        func(b *paramsBody) { b.Packets = 0 },
		"bytes":            func(b *paramsBody) { b.Bytes = 99 },
	} {
		b := good
		change(&b)
		c := fuzzClients(t)["logging in"]
		_, err := c.Receive(packetOf(t, appendControl(nil, codec.Welcome, &welcomeBody{make([]byte, 16), make([]byte, 32), 0, 0, b, nil, nil})), 0)
		if (err == nil) != (name == "") || (c.State() == Open) != (name == "") {
			t.Errorf("%q: %v, %v", name, err, c.State())
		}
	}
}

// SPEC 8.2: without its ticket nobody logs in.
func TestNoTicketIsAFailedAttempt(t *testing.T) {
	ready := false
	c, err := NewClient(ClientConfig{Rand: func() uint64 { return 1 }, Ticket: func() ([]byte, bool) { return []byte("t"), ready }})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Duration(0)
	dial := func() (hello bool, next Action) {
		for c.Check(now, noon) != Dial {
			now = c.Due()
		}
		c.LinkUp(now, noon, false)
		c.Greeted(ProtocolVersion, Nonce{}, now)
		return len(c.Output(nil, now, 1<<20)) > 0, c.Check(now, noon)
	}
	for range 5 { // more than the failed resumes that would end a session
		if hello, next := dial(); hello || next != Cut || c.State() != Waiting {
			t.Fatalf("HELLO %v, then %v, %v", hello, next, c.State())
		}
	}
	if len(c.Changes()) > 0 {
		t.Error("that is no change of a session")
	}
	ready = true
	if hello, next := dial(); !hello || next != Wait || c.State() != Opening {
		t.Errorf("with a ticket: HELLO %v, then %v, %v", hello, next, c.State())
	}
}

// SPEC 5.6: what the carrier says by itself keeps no link, but tells that the way
// is open, so that it is the stream that is stuck.
func TestCarriedIsNoLifeButTellsThatTheWayIsOpen(t *testing.T) {
	for _, carried := range []bool{false, true} {
		w := newWorld(t, 1, Config{})
		p := w.connected("a")
		w.run(15 * time.Second)
		c := p.c
		c.Hurry(w.now)
		c.Output(nil, w.now, 0) // the question
		last := c.lastRecv
		c.probeBy = Never
		if carried {
			c.Carried(w.now + time.Second)
		}
		at := last
		for c.State() == Open {
			at = c.Due()
			c.Check(at, w.wall.Add(at-w.now))
			c.Output(nil, at, 0)
		}
		if at != last+c.params.Timeout {
			t.Errorf("carried %v: left %v after the last word", carried, at-last)
		}
		ch := c.Changes()
		if lost := ch[len(ch)-1]; lost.Kind != Lost || lost.Stuck != carried {
			t.Errorf("carried %v: %+v", carried, lost)
		}
	}
}
