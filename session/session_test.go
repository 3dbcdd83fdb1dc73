// SPDX-License-Identifier: MIT

package session

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// Closed is absorbing, whoever calls what.
func TestClosedIsAbsorbing(t *testing.T) {
	shard := testShard(t, Config{})
	var s Session
	s.Open(shard, ID{1}, 0)
	_ = s.Send(codec.Message, number(1), false, 0)
	s.Close(Kicked)
	if s.Reopen(0) {
		t.Error("reopened")
	}
	s.Takeover(0)
	s.Detach(1, 0)
	s.Saw(time.Hour)
	s.Hold(true)
	_, _, _ = s.Resume(nil, &ResumeRequest{ID: ID{1}, Attempt: 9, Lowest: 1}, 0)
	if s.State() != Closed || s.Epoch() != 1 || s.Reason() != Kicked || s.Wants() || s.Check(48*time.Hour, 0) != Fine || s.Due() != Never {
		t.Errorf("%v, epoch %d, %v", s.State(), s.Epoch(), s.Reason())
	}
	if n, b := s.Queued(); n != 0 || b != 0 {
		t.Errorf("%d packets, %d bytes", n, b)
	}
}

// What no peer would take is refused by Send and harms nothing.
func TestSendRefusesWhatCannotArrive(t *testing.T) {
	w := newWorld(t, 1, Config{MaxBody: 600, SendBytes: 100_000})
	p := w.connected("a")
	for _, c := range []struct {
		kind codec.Kind
		body []byte
		want error
	}{
		{codec.Message, nil, codec.ErrNoBody}, {codec.Message, []byte{}, codec.ErrNoBody},
		{codec.Message, make([]byte, 601), codec.ErrTooLarge}, {codec.Datagram, number(1), codec.ErrCounted},
		{codec.Heartbeat, nil, codec.ErrCounted}, {codec.Bye, number(1), codec.ErrCounted}, {200, number(1), codec.ErrCounted},
	} {
		if err := p.seat.s.Send(c.kind, c.body, false, w.now); !errors.Is(err, c.want) {
			t.Errorf("server, %v of %d: %v, want %v", c.kind, len(c.body), err, c.want)
		}
		if err := p.c.Send(c.kind, c.body); !errors.Is(err, c.want) {
			t.Errorf("client, %v of %d: %v, want %v", c.kind, len(c.body), err, c.want)
		}
	}
	_ = p.seat.push(2)
	p.send(2)
	p.back()
}

// The client learns only with WELCOME that a server takes less than it thought.
func TestTooLargeForThisServer(t *testing.T) {
	w := newWorld(t, 1, Config{MaxBody: 600})
	p := w.player("a")
	p.send(1)
	big, _ := codec.AppendBody(nil, make([]byte, 5000))
	if err := p.c.Send(codec.Request, big); err != nil {
		t.Fatal(err)
	}
	p.send(2)
	p.back()
	if len(p.refused) != 1 || p.refused[0].Kind != codec.Request || len(p.refused[0].Body) != len(big) {
		t.Errorf("%d packets reported", len(p.refused))
	}
	if err := p.c.Send(codec.Message, big); err != codec.ErrTooLarge {
		t.Errorf("afterwards: %v", err)
	}
}

func TestClientIsFullAndDropsNothing(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.playerWith(ClientConfig{MaxPackets: 5, MaxBytes: 1000}, "a")
	p.refuse = true
	p.send(5)
	if err := p.c.Send(codec.Message, number(6)); err != ErrFull {
		t.Errorf("%v", err)
	}
	p.refuse = false
	w.until(time.Minute, func() bool { return p.c.State() == Open })
	p.back()
	if err := p.c.Send(codec.Message, make([]byte, 2000)); err != nil {
		t.Errorf("one packet always may wait: %v", err)
	}
	if err := p.c.Send(codec.Message, make([]byte, 10)); err != ErrFull {
		t.Errorf("bytes: %v", err)
	}
}

// Both windows are kept, and one packet always may be on its way.
func TestWindow(t *testing.T) {
	shard := testShard(t, Config{SendPackets: 8, MaxBody: 600, SendBytes: 800})
	var s Session
	s.Open(shard, ID{1}, 0)
	count := func() (n int) {
		for b := s.Output(nil, 1, 0, 1<<20); len(b) > 0; n++ {
			_, size, err := codec.ParseFrame(b, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			b = b[size:]
		}
		return n
	}
	for range 8 {
		_ = s.Send(codec.Message, number(1), false, 0)
	}
	if n := count(); n != 8 {
		t.Errorf("%d packets", n)
	}
	c := endpoint{next: 1}
	c.attach(0)
	for range 10 {
		c.push(&shard.Pool, codec.Message, make([]byte, 300), false)
	}
	for _, step := range []struct {
		w    window
		ack  uint32
		want int
	}{{window{4, 1000}, 0, 3}, {window{2, 1000}, 2, 1}, {window{4, 100}, 3, 0}, {window{4, 100}, 4, 1}, {window{100, 10_000}, 4, 5}} {
		if err := c.receiveAck(&shard.Pool, step.ack, 0); err != nil {
			t.Fatal(err)
		}
		before := c.next
		c.output(nil, 0, 1<<20, step.w, nil)
		if got := int(c.next - before); got != step.want {
			t.Errorf("%+v after %d: %d packets written", step.w, step.ack, got)
		}
	}
}

// HOLD: nothing counted is written, everything else is; it survives a resume
// and is told anew.
func TestHold(t *testing.T) {
	for dir := range 2 {
		w := newWorld(t, 1, Config{})
		p := w.connected("a")
		hold := func(on bool) {
			if dir == toServer {
				p.seat.hold(on)
			} else {
				p.c.Hold(on)
				w.flush()
			}
			w.run(100 * time.Millisecond)
		}
		send := func() {
			if dir == toServer {
				p.send(3)
			} else {
				_ = p.seat.push(3)
			}
		}
		arrived := func() int {
			if dir == toServer {
				return len(p.seat.got)
			}
			return len(p.got)
		}
		hold(true)
		before := arrived()
		send()
		w.run(5 * time.Minute) // far beyond every timeout
		if arrived() != before || len(p.changes) != 1 || len(p.seat.hooks) != 1 {
			t.Fatalf("direction %d: %d came under HOLD; %v %v", dir, arrived()-before, p, p.seat.hooks)
		}
		p.lose()
		w.until(time.Minute, func() bool { return p.c.State() == Open })
		w.run(10 * time.Second)
		// Until its first heartbeat the new link of a client is not held.
		if dir == toServer && arrived() != before {
			t.Errorf("direction %d: RESUMED did not tell HOLD", dir)
		}
		before = arrived()
		send()
		w.run(10 * time.Second)
		if arrived() != before {
			t.Errorf("direction %d: HOLD was forgotten by the resume", dir)
		}
		hold(false)
		p.back()
	}
}

// BYE, DETACH and every other kind in every state: no panic, and after the end
// nothing happens.
func TestEveryKindInEveryState(t *testing.T) {
	for kind := codec.Heartbeat; kind <= codec.Datagram+3; kind++ {
		for name, s := range fuzzSessions(t) {
			state := s.State()
			p := codec.Packet{Header: codec.Header{Kind: kind, Seq: 1}}
			if kind != codec.Heartbeat {
				p.Body = []byte{0x90}
			}
			ev, err := s.Receive(s.Epoch(), p, time.Second)
			switch {
			case state != Attached:
				if err != ErrFenced || ev != Nothing {
					t.Errorf("%s: %v: %v %v", name, kind, ev, err)
				}
			case kind == codec.Heartbeat:
				if err != nil || ev != Nothing {
					t.Errorf("%s: %v: %v %v", name, kind, ev, err)
				}
			case kind.Counted() || kind == codec.Datagram:
				if err != nil || ev != Deliver {
					t.Errorf("%s: %v: %v %v", name, kind, ev, err)
				}
			case kind == codec.Detach || kind == codec.Bye:
				if want := map[codec.Kind]Event{codec.Detach: PeerDetach, codec.Bye: PeerBye}[kind]; err != nil || ev != want {
					t.Errorf("%s: %v: %v %v", name, kind, ev, err)
				}
			default:
				if err != ErrKind || ev != Nothing {
					t.Errorf("%s: %v: %v %v", name, kind, ev, err)
				}
			}
			if s.State() != state {
				t.Errorf("%s: %v made it %v", name, kind, s.State())
			}
		}
	}
}

// Every wish of the app in every state of the client.
func TestEveryWishInEveryState(t *testing.T) {
	states := map[string]func(w *world, p *player){
		"new":     func(w *world, p *player) {},
		"dialing": func(w *world, p *player) { p.noDial = true; w.run(time.Second) },
		"opening": func(w *world, p *player) {
			w.onLink = func(l *link) { l.swallow = func(int, []byte) bool { return true } }
			w.run(time.Second)
		},
		"open":    func(w *world, p *player) { w.until(time.Second, func() bool { return p.c.State() == Open }) },
		"waiting": func(w *world, p *player) { p.refuse = true; w.run(time.Minute) },
		"paused":  func(w *world, p *player) { w.run(time.Second); p.c.Pause(w.now); w.act() },
		"ended":   func(w *world, p *player) { w.run(time.Second); p.c.Close(); w.act() },
	}
	wishes := map[string]func(w *world, p *player){
		"Pause": func(w *world, p *player) { p.c.Pause(w.now) },
		"Hurry": func(w *world, p *player) { p.c.Hurry(w.now) },
		"Close": func(w *world, p *player) { p.c.Close() },
		"Hold":  func(w *world, p *player) { p.c.Hold(true); p.c.Hold(false) },
		"Saw":   func(w *world, p *player) { p.c.Saw(w.now) },
		"Down":  func(w *world, p *player) { p.link = nil; p.c.LinkDown(w.now) },
		"Up":    func(w *world, p *player) { p.c.LinkUp(w.now, w.wall, false) },
	}
	for from, prepare := range states {
		for first, a := range wishes {
			for second, b := range wishes {
				if from == "dialing" && (first == "Up" || second == "Up") {
					continue // a link without a socket
				}
				w := newWorld(t, 1, Config{})
				p := w.player("a")
				prepare(w, p)
				a(w, p)
				b(w, p)
				w.act()
				w.run(time.Minute)
				a(w, p)
				w.act()
				w.run(time.Minute)
				name := fmt.Sprint(from, ", ", first, ", ", second)
				closed := from == "ended" || first == "Close" || second == "Close"
				if closed != (p.c.State() == Ended) {
					t.Errorf("%s: %v", name, p)
				}
				if closed {
					continue
				}
				p.noDial, p.refuse, w.onLink = false, false, nil
				if p.c.State() == Dialing {
					p.c.LinkDown(w.now)
				}
				p.c.Hurry(w.now)
				w.act()
				w.until(10*time.Minute, func() bool { p.c.Hurry(w.now); return p.c.State() == Open })
				p.send(1)
				p.back()
				if len(p.c.ctl) != 0 || len(p.c.changes) != 0 {
					t.Errorf("%s: %d bytes, %d changes wait", name, len(p.c.ctl), len(p.c.changes))
				}
			}
		}
	}
}

// Nothing that a client keeps grows while nobody collects it.
func TestClientKeepsNoPile(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	p.noDial = true
	for range 1000 {
		p.c.Pause(w.now)
		p.c.Hurry(w.now)
		p.c.Check(w.now, w.wall)
		p.c.Check(w.now, w.wall)
		p.c.LinkUp(w.now, w.wall, true)
		for range 20 {
			w.advance(100 * time.Millisecond)
			p.c.Check(w.now, w.wall) // knocks, and nobody writes
		}
	}
	if len(p.c.ctl) > 1000 || cap(p.c.ctl) > 10_000 || len(p.c.changes) > 10 {
		t.Errorf("%d bytes of control, %d changes", cap(p.c.ctl), len(p.c.changes))
	}
}

// The highest attempt there is leaves nothing above it: such a session can't be
// resumed again, and its client logs in.
func TestLastAttempt(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	p.lose()
	p.c.attempt = math.MaxUint64 - 1
	w.until(time.Minute, func() bool { return p.c.State() == Open })
	if p.seat.s.attempt != math.MaxUint64 {
		t.Fatalf("attempt %d", p.seat.s.attempt)
	}
	p.lose()
	w.until(time.Minute, func() bool { return p.c.State() == Open })
	p.send(1)
	p.back()
	if w.srv.logins != 2 || p.last.Code != Stale {
		t.Errorf("%d logins, %v", w.srv.logins, p)
	}
	p.lose()
	p.back()
	if w.srv.logins != 2 {
		t.Errorf("%d logins: the new session can't be resumed", w.srv.logins)
	}
}

// A server that tells counts that can't be ends the session, not the client.
func TestContradictingServer(t *testing.T) {
	params := testParams(t)
	for name, answer := range map[string]func(c *Client) []byte{
		"RESUMED above": func(c *Client) []byte {
			return appendControl(nil, codec.Resumed, &resumedBody{2, c.wrote + 1, false, params})
		},
		"RESUMED below": func(c *Client) []byte {
			return appendControl(nil, codec.Resumed, &resumedBody{2, c.acked - 1, false, params})
		},
		"RESET above": func(c *Client) []byte {
			return appendControl(nil, codec.Reset, &resetBody{2, 50, c.wrote + 1, false, 0, params, nil})
		},
		"RESET below": func(c *Client) []byte {
			return appendControl(nil, codec.Reset, &resetBody{2, 50, c.acked - 1, false, 0, params, nil})
		},
		"RESET base": func(c *Client) []byte {
			return appendControl(nil, codec.Reset, &resetBody{2, c.recv - 1, c.acked, false, 0, params, nil})
		},
	} {
		w := newWorld(t, 1, Config{})
		p := w.connected("a")
		p.send(40)
		_ = p.seat.push(2)
		w.run(time.Second)
		p.lose()
		w.onLink = func(l *link) {
			w.onLink = nil
			l.swallow = func(dir int, f []byte) bool {
				if dir == toServer && frameKind(f) == codec.Resume {
					l.write(toClient, answer(p.c))
					return true
				}
				return false
			}
		}
		id := p.c.ID()
		w.until(time.Minute, func() bool { return p.c.State() == Open })
		if p.c.ID() == id || p.changes[2] != Ending || p.last.Code != Inconsistent || w.srv.logins != 2 {
			t.Errorf("%s: %v", name, p)
		}
	}
}

func testParams(t testing.TB) paramsBody {
	return testShard(t, Config{}).Config.params(10*time.Second, 35*time.Second).body()
}

// Configurations that can't work are refused and name the field.
func TestConfig(t *testing.T) {
	c, err := Config{}.WithDefaults()
	if err != nil || c.Interval != 10*time.Second || c.Timeout != 35*time.Second || c.Grace != time.Minute || c.MaxBody != codec.DefaultMaxBody {
		t.Errorf("%+v %v", c, err)
	}
	if c, err := (Config{Grace: -1, MaxAge: -1}).WithDefaults(); err != nil || c.Grace != 0 || c.MaxAge != Never {
		t.Errorf("%+v %v", c, err)
	}
	if c, err := (Config{MaxAge: math.MaxInt64 - 5}).WithDefaults(); err != nil || c.MaxAge != Never {
		t.Errorf("%+v %v", c, err)
	}
	for name, c := range map[string]Config{
		"interval": {Interval: time.Microsecond}, "negative": {Interval: -1}, "timeout": {Interval: time.Second, Timeout: 1999 * time.Millisecond},
		"huge interval": {Interval: 1 << 60}, "tick": {Tick: 10 * time.Second}, "negative tick": {Tick: -1}, "grace": {Grace: 1 << 62},
		"opening": {OpeningTimeout: -1}, "window": {ReconnectWindow: -1}, "huge window": {ReconnectWindow: 1 << 62}, "body": {MaxBody: 100}, "huge body": {MaxBody: 1 << 28},
		"send packets": {SendPackets: 1 << 15}, "recv packets": {RecvPackets: -1}, "send bytes": {SendBytes: 1000}, "recv bytes": {RecvBytes: 1000}, "huge bytes": {RecvBytes: 1<<30 + 1},
	} {
		if _, err := c.WithDefaults(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	// Whatever is accepted can be told to a client.
	for _, c := range []Config{{}, {Interval: 2 * time.Millisecond, Timeout: 4 * time.Millisecond, Tick: time.Millisecond}, {Interval: maxDuration / 2, Timeout: maxDuration, Grace: maxDuration, ReconnectWindow: maxDuration}, {MaxBody: 1<<28 - 1, SendBytes: maxBytes, RecvBytes: maxBytes}} {
		full, err := c.WithDefaults()
		if err != nil {
			t.Fatal(err)
		}
		want := full.params(full.Interval, full.Timeout)
		if got, err := want.body().params(); err != nil || got != want {
			t.Errorf("%+v came as %+v, %v", want, got, err)
		}
	}
	rand := func() uint64 { return 1 }
	for name, c := range map[string]ClientConfig{
		"no Rand": {}, "packets": {Rand: rand, MaxPackets: -1}, "bytes": {Rand: rand, MaxBytes: -1}, "opening": {Rand: rand, OpeningTimeout: -1},
		"min": {Rand: rand, MinDelay: -1}, "max": {Rand: rand, MinDelay: time.Minute, MaxDelay: time.Second}, "huge": {Rand: rand, MaxDelay: 1 << 62},
	} {
		if _, err := NewClient(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCodes(t *testing.T) {
	for code, want := range map[Code]string{LinkLost: "link lost", Denied: "denied", Game: "code 1000", 0: "code 0"} {
		if got := code.String(); got != want {
			t.Errorf("%d: %q", code, got)
		}
	}
	for _, c := range []struct {
		code             Code
		resumable, final bool
	}{{0, true, false}, {99, true, false}, {100, false, false}, {199, false, false}, {200, false, true}, {Game, false, true}, {math.MaxUint32, false, true}} {
		if c.code.Resumable() != c.resumable || c.code.Final() != c.final {
			t.Errorf("%d: resumable %v, final %v", c.code, c.code.Resumable(), c.code.Final())
		}
	}
	if got := (&CloseError{Code: Gone, Text: "expired", Remote: true}).Error(); got != "session: closed by peer: session gone: expired" {
		t.Error(got)
	}
	for _, s := range []State{0, Attached, Detached, Closed} {
		_ = s.String()
	}
}
