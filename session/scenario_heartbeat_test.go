// SPDX-License-Identifier: MIT

package session

import (
	"errors"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// tap counts what arrives on the present link of a player, by direction.
type tap struct {
	beats, pings, echoes, acks, counted, other [2]int
	ids                                        [2][]uint16 // pings and echoes in order
	last                                       [2]time.Duration
}

func (p *player) tap() *tap {
	t := new(tap)
	p.link.record = func(dir int, pk codec.Packet) {
		t.last[dir] = p.w.now
		switch {
		case pk.Kind == codec.Heartbeat:
			if len(pk.Body) != 0 {
				p.w.t.Fatal("a heartbeat with a body")
			}
			t.beats[dir]++
			switch {
			case pk.Flags&codec.EchoWanted != 0:
				t.pings[dir]++
				t.ids[dir] = append(t.ids[dir], pk.Seq)
			case pk.Flags&codec.Echo != 0:
				t.echoes[dir]++
				t.ids[dir] = append(t.ids[dir], pk.Seq)
			default:
				t.acks[dir]++
			}
		case pk.Kind.Counted():
			t.counted[dir]++
		default:
			t.other[dir]++
		}
	}
	return t
}

// Scenario 1.
func TestIdleLinkHasOneHeartbeatAnInterval(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	w.run(15 * time.Second) // past the first, random beat
	got, tap := len(p.seat.got), p.tap()
	w.run(100 * time.Second)
	if n := tap.pings[toServer]; n < 9 || n > 11 {
		t.Errorf("%d heartbeats in ten intervals", n)
	}
	if tap.echoes[toClient] != tap.pings[toServer] || tap.pings[toClient] != 0 {
		t.Errorf("%d echoes of %d heartbeats, %d from the server itself", tap.echoes[toClient], tap.pings[toServer], tap.pings[toClient])
	}
	for i, id := range tap.ids[toServer] {
		if tap.ids[toClient][i] != id {
			t.Errorf("echo %d has id %d, not %d", i, tap.ids[toClient][i], id)
		}
	}
	if n := tap.acks[0] + tap.acks[1] + tap.counted[0] + tap.counted[1] + tap.other[0] + tap.other[1]; n != 0 {
		t.Errorf("%d other packets on an idle link", n)
	}
	if len(p.seat.got) != got {
		t.Error("a heartbeat reached the application")
	}
	if rtt := p.c.RTT(); rtt != 2*w.delay {
		t.Errorf("round trip %v, want %v", rtt, 2*w.delay)
	}
}

// Scenario 2.
func TestTrafficBothWaysNeedsNoHeartbeat(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	w.run(15 * time.Second)
	tap := p.tap()
	for range 200 {
		p.send(1)
		_ = p.seat.push(1)
		w.run(time.Second)
	}
	if tap.beats != [2]int{} {
		t.Errorf("%v heartbeats beside steady traffic", tap.beats)
	}
	if n := tap.counted; n != [2]int{200, 200} {
		t.Errorf("%v packets", n)
	}
}

// Scenario 3.
func TestReceiverAcknowledgesByHeaderOnlyFrames(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	tap, most := p.tap(), 0
	for range 1200 {
		_ = p.seat.push(1)
		w.run(50 * time.Millisecond)
		n, _ := p.seat.s.Queued()
		most = max(most, n)
	}
	if most > ackEvery+2 {
		t.Errorf("%d packets waited for an acknowledgement, more than %d", most, ackEvery+2)
	}
	if tap.counted[toServer] != 0 || tap.beats[toServer] < 1200/ackEvery || tap.beats[toServer] > 1200/ackEvery+12 {
		t.Errorf("the client wrote %d counted packets and %d heartbeats", tap.counted[toServer], tap.beats[toServer])
	}
}

// detachedAfter returns how long after the server last heard of p it detached.
func detachedAfter(t *testing.T, p *player) time.Duration {
	t.Helper()
	tap := p.tap()
	tap.last[toServer] = p.w.now
	var at time.Duration
	p.seat.onHook = func(what string) {
		if what == "detach" && at == 0 {
			at = p.w.now
		}
	}
	p.w.run(p.w.rngBelow(2 * p.w.cfg.Interval))
	p.refuse = true
	p.cut()
	p.w.run(2 * p.w.cfg.Timeout)
	return at - tap.last[toServer]
}

func (w *world) rngBelow(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d))) }

// Scenario 4.
func TestSilentPeerIsFoundAtTheTimeout(t *testing.T) {
	for seed := range uint64(50) {
		w := newWorld(t, seed, Config{})
		p := w.connected("a")
		if d := detachedAfter(t, p); d < w.cfg.Timeout || d > w.cfg.Timeout+w.cfg.Tick {
			t.Fatalf("seed %d: detached after %v, want %v and at most a tick more", seed, d, w.cfg.Timeout)
		}
		if p.c.State() == Open || p.changes[1] != Lost {
			t.Fatalf("the client did not notice: %v", p)
		}
	}
}

// Scenario 5.
func TestEachProfileHasItsOwnDeadline(t *testing.T) {
	w := newWorld(t, 1, Config{})
	normal, demanding := w.connected("normal"), w.connected("demanding")
	demanding.seat.tune(2*time.Second, 8*time.Second)
	w.run(time.Minute)
	if demanding.c.Params().Timeout != 8*time.Second || normal.c.Params().Timeout != 35*time.Second {
		t.Fatal("the profiles did not arrive")
	}
	at := map[*player]time.Duration{}
	taps := map[*player]*tap{}
	for _, p := range w.players {
		taps[p] = p.tap()
		p.seat.onHook = func(string) {
			if at[p] == 0 {
				at[p] = w.now
			}
		}
		p.refuse = true
	}
	w.run(20 * time.Second)
	normal.cut()
	demanding.cut()
	w.run(2 * time.Minute)
	for p, timeout := range map[*player]time.Duration{normal: 35 * time.Second, demanding: 8 * time.Second} {
		if d := at[p] - taps[p].last[toServer]; d < timeout || d > timeout+w.cfg.Tick {
			t.Errorf("%s: detached after %v, want %v", p.user, d, timeout)
		}
	}
}

// Scenario 6.
func TestTwoLostHeartbeatsEndNothing(t *testing.T) {
	for dir, flag := range map[int]codec.Flags{toServer: codec.EchoWanted, toClient: codec.Echo} {
		for at := range 8 {
			w := newWorld(t, uint64(at), Config{})
			p := w.connected("a")
			seen, lost := 0, 0
			p.link.swallow = func(d int, f []byte) bool {
				h, _ := codec.ParseHeader(f[1:])
				if d != dir || h.Kind != codec.Heartbeat || h.Flags&flag == 0 {
					return false
				}
				seen++
				if seen > at && lost < 2 {
					lost++
					return true
				}
				return false
			}
			w.run(5 * time.Minute)
			if lost != 2 || len(p.changes) != 1 || len(p.seat.hooks) != 1 {
				t.Errorf("direction %d, heartbeats %d and %d lost: %v, %v", dir, at+1, at+2, p, p.seat.hooks)
			}
		}
	}
}

// Scenario 7.
func TestTricklingBytesAreLife(t *testing.T) {
	for dir := range 2 {
		w := newWorld(t, 1, Config{Interval: 2 * time.Second, Timeout: 8 * time.Second})
		p := w.connected("a")
		p.link.perByte[dir] = 900 * time.Microsecond
		// A minute on this line. An element behind the payload is skipped.
		big, _ := codec.AppendBody(nil, make([]byte, 60_000))
		first := uint64(1)
		if dir == toServer {
			first = 2
		}
		body := append(append([]byte{0x93}, number(first)[1:]...), big...)
		if dir == toServer {
			_ = p.c.Send(codec.Message, body)
			p.sent++
		} else {
			_ = p.seat.s.Send(codec.Message, body, false, w.now)
			p.seat.sent++
			p.seat.wake()
		}
		w.flush()
		// At its end come the acknowledgements that waited behind it.
		w.until(time.Minute, func() bool { return len(p.got)+len(p.seat.got) == 2 })
		w.run(5 * time.Second)
		if len(p.changes) != 1 || len(p.seat.hooks) != 1 {
			t.Fatalf("direction %d: a link died while bytes came: %v %v", dir, p, p.seat.hooks)
		}
		// The bytes stop in the middle: dead.
		if dir == toServer {
			_ = p.c.Send(codec.Message, body)
		} else {
			_ = p.seat.s.Send(codec.Message, body, false, w.now)
			p.seat.wake()
		}
		w.flush()
		w.run(20 * time.Second)
		hooks := len(p.seat.hooks)
		p.refuse = true
		p.cut()
		w.run(8*time.Second + 2*w.cfg.Tick)
		if len(p.seat.hooks) != hooks+1 || p.c.State() == Open {
			t.Errorf("direction %d: a link lives on without bytes: %v %v", dir, p, p.seat.hooks)
		}
	}
}

// Scenario 8.
func TestPingOvertakesBulkAndItsClockStartsWhenWritten(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	w.run(20 * time.Second)
	p.link.room = 100
	p.send(100)
	var order []codec.Kind
	p.link.record = func(dir int, pk codec.Packet) {
		if dir == toServer {
			order = append(order, pk.Kind)
		}
	}
	p.c.Hurry(w.now)
	w.flush()
	w.run(5 * time.Second)
	for i, k := range order {
		if k == codec.Heartbeat {
			if i > 10 {
				t.Errorf("the ping left behind %d packets", i)
			}
			break
		}
	}
	if len(order) < 101 {
		t.Fatalf("only %d packets arrived", len(order))
	}

	var s Session
	shard := testShard(t, Config{})
	s.Open(shard, ID{}, 0)
	s.pingDue = true // at 0, but the writer is busy until 5 s
	out := s.Output(nil, 1, 5*time.Second, 0)
	h, _ := codec.ParseHeader(out[1:])
	if _, err := s.Receive(1, codec.Packet{Header: codec.Header{Flags: codec.Echo, Seq: h.Seq}}, 5*time.Second+30*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if s.RTT() != 30*time.Millisecond {
		t.Errorf("round trip %v includes the time in the queue", s.RTT())
	}
}

func testShard(t testing.TB, cfg Config) *Shard {
	t.Helper()
	full, err := cfg.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	n := uint32(0)
	return &Shard{Config: &full, Rand: func() uint32 { n++; return n }}
}

// Scenario 9.
func TestWhoDoesNotReadDoesNotJudge(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	p.link.unread, p.asleep = true, true // so that nobody but the server can judge
	for i := range 10 {
		p.link.write(toServer, codec.AppendFrame(nil, codec.Header{Seq: uint16(i)}, nil))
		w.run(10 * time.Second)
		if len(p.seat.hooks) != 1 {
			t.Fatalf("declared dead with its heartbeats unread: %v", p.seat.hooks)
		}
	}
	p.link.unread = false
	w.run(time.Second)
	at := w.now
	w.until(time.Minute, func() bool { return p.seat.s.State() == Detached })
	if d := w.now - at; d < 33*time.Second {
		t.Errorf("after reading, the silence was %v", d)
	}
}

// Scenario 10: bytes are acknowledged by the peer's machine, the application
// behind it hangs.
func TestHungApplicationIsDead(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	p.link.swallow = func(dir int, _ []byte) bool { return dir == toServer }
	at := w.now
	w.until(w.cfg.Timeout+w.cfg.Tick, func() bool { return p.seat.s.State() == Detached })
	if w.now-at < w.cfg.Timeout-w.cfg.Interval {
		t.Errorf("detached after %v", w.now-at)
	}
}

// Scenario 15.
func TestEchoesThatNobodyAskedForMeanNothing(t *testing.T) {
	var s Session
	s.Open(testShard(t, Config{}), ID{}, 0)
	s.pingDue = true
	out := s.Output(nil, 1, time.Second, 0)
	h, _ := codec.ParseHeader(out[1:])
	echo := func(id uint16, at time.Duration) {
		t.Helper()
		if ev, err := s.Receive(1, codec.Packet{Header: codec.Header{Flags: codec.Echo, Seq: id}}, at); ev != Nothing || err != nil {
			t.Fatalf("echo of %d: %v %v", id, ev, err)
		}
	}
	echo(h.Seq+1, 1001*time.Millisecond)
	if s.RTT() != 0 {
		t.Errorf("a wrong id made a round trip of %v", s.RTT())
	}
	echo(h.Seq, 1100*time.Millisecond)
	echo(h.Seq, 1900*time.Millisecond) // again, late
	if s.RTT() != 100*time.Millisecond {
		t.Errorf("round trip %v, want 100ms", s.RTT())
	}
}

// Scenario 16.
func TestPingFlood(t *testing.T) {
	interval := 10 * time.Second
	for _, c := range []struct {
		factor  time.Duration
		answers bool // all of them
		ends    bool
	}{{1, true, false}, {4, true, false}, {8, false, false}, {100, false, true}, {1000, false, true}} {
		var s Session
		s.Open(testShard(t, Config{Interval: interval}), ID{}, 0)
		sent, echoes, now := 0, 0, time.Duration(0)
		var err error
		for err == nil && sent < 2000 {
			sent++
			now += interval / c.factor
			_, err = s.Receive(1, codec.Packet{Header: codec.Header{Flags: codec.EchoWanted, Seq: uint16(sent)}}, now)
			if len(s.Output(nil, 1, now, 1<<20)) > 0 {
				echoes++
			}
		}
		if (echoes == sent) != c.answers || errors.Is(err, ErrFlood) != c.ends {
			t.Errorf("%d times the rate: %d of %d answered, %v", c.factor, echoes, sent, err)
		}
		if most := pingBurst + 2 + int(4*now/interval); echoes > most {
			t.Errorf("%d times the rate: %d echoes in %v, more than %d", c.factor, echoes, now, most)
		}
	}

	// A fresh link has its burst from the start.
	var s Session
	s.Open(testShard(t, Config{}), ID{}, 0)
	for i := range pingBurst + 5 {
		_, err := s.Receive(1, codec.Packet{Header: codec.Header{Flags: codec.EchoWanted, Seq: uint16(i)}}, time.Second)
		if got := len(s.Output(nil, 1, time.Second, 1<<20)) > 0; got != (i <= pingBurst) || err != nil {
			t.Errorf("ping %d of a fresh link: answered %v, %v", i+1, got, err)
		}
	}

	// In the world it ends the session for good.
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	l := p.link
	for i := range 1000 {
		l.write(toServer, codec.AppendFrame(nil, codec.Header{Flags: codec.EchoWanted, Seq: uint16(i)}, nil))
	}
	w.run(time.Second)
	if p.c.State() != Ended || p.last.Code != Policy {
		t.Errorf("after a flood: %v", p)
	}
}

// Scenario 16: a fresh link is answered too, and an app that hurries with every
// frame is not punished.
func TestHurryingAppIsNotPunished(t *testing.T) {
	for _, interval := range []time.Duration{time.Second, 10 * time.Second, time.Minute} {
		w := newWorld(t, 1, Config{Interval: interval})
		p := w.connected("a")
		for range 60 * 120 {
			p.c.Hurry(w.now)
			w.flush()
			w.run(time.Second / 60)
		}
		if len(p.changes) != 1 || len(p.seat.hooks) != 1 {
			t.Errorf("interval %v: %v %v", interval, p, p.seat.hooks)
		}
	}
}

// Scenario 17.
func TestNewLinkInheritsNoMissedPing(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	w.run(20 * time.Second)
	p.c.Hurry(w.now)
	w.flush()
	id := p.c.pingID
	p.lose()
	w.until(10*time.Second, func() bool { return p.c.State() == Open })
	if p.c.pingOpen || p.c.probeBy != Never {
		t.Error("the new link waits for an echo of the old one")
	}
	p.receive(codec.Packet{Header: codec.Header{Flags: codec.Echo, Seq: id}})
	w.run(time.Minute)
	if len(p.changes) != 3 || p.changes[2] != Resumed {
		t.Errorf("%v", p)
	}
}

// Scenario 18.
func TestFirstBeatsAreSpread(t *testing.T) {
	const clients = 20_000
	w := newWorld(t, 1, Config{})
	welcome := welcomePacket(t, w)
	ticks := make([]int, w.cfg.Interval/w.cfg.Tick)
	for range clients {
		c, err := NewClient(ClientConfig{Rand: w.rng.Uint64})
		if err != nil {
			t.Fatal(err)
		}
		c.Check(0, w.wall)
		c.LinkUp(0, w.wall, false)
		for _, pk := range []codec.Packet{packetOf(t, AppendGreeting(nil, Nonce{})), welcome} {
			if _, err := c.Receive(pk, 0); err != nil {
				t.Fatal(err)
			}
		}
		c.Output(nil, 0, 0)
		ticks[c.Due()/w.cfg.Tick]++
	}
	for i, n := range ticks {
		if n > 3*clients/len(ticks) {
			t.Errorf("tick %d has %d beats of %d", i, n, clients)
		}
	}
}

func packetOf(t testing.TB, frame []byte) codec.Packet {
	t.Helper()
	p, n, err := codec.ParseFrame(frame, 1<<20)
	if err != nil || n != len(frame) {
		t.Fatalf("not one frame: %d of %d, %v", n, len(frame), err)
	}
	return p
}

func welcomePacket(t testing.TB, w *world) codec.Packet {
	var s Session
	s.Open(&w.srv.shard, ID{1}, 0)
	return packetOf(t, s.AppendWelcome(nil, Key{}, Key{}, nil))
}
