// SPDX-License-Identifier: MIT

package session

import (
	"reflect"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// checkEnd fails unless the counters are in order: SPEC 4.1.
func checkEnd(t testing.TB, who string, e *endpoint) {
	t.Helper()
	if e.acked > e.wrote || e.wrote > e.sent || e.next <= e.acked || e.next > e.sent+1 ||
		uint64(e.out.len()) != e.sent-e.acked || e.inFlight < 0 || int(e.inFlight) > e.out.size() {
		t.Fatalf("%s: acked %d wrote %d sent %d next %d, %d packets of %d bytes, %d in flight",
			who, e.acked, e.wrote, e.sent, e.next, e.out.len(), e.out.size(), e.inFlight)
	}
}

// use does with a session what its loop does, whatever state it is in.
func useSession(t testing.TB, s *Session, now time.Duration) {
	t.Helper()
	_ = s.Send(codec.Message, number(1), false, now)
	checkFrames(t, s.Output(nil, s.Epoch(), now, 4000))
	s.Check(now, 0)
	if s.Due() < 0 {
		t.Fatalf("due at %v", s.Due())
	}
	checkEnd(t, "session", &s.endpoint)
}

func useClient(t testing.TB, c *Client, now time.Duration) {
	t.Helper()
	_ = c.Send(codec.Message, number(1))
	c.Check(now, time.Unix(1_700_000_000, 0).Add(now))
	checkFrames(t, c.Output(nil, now, 4000))
	c.Changes()
	if c.Due() < 0 {
		t.Fatalf("due at %v", c.Due())
	}
	checkEnd(t, "client", &c.endpoint)
}

func checkFrames(t testing.TB, b []byte) {
	t.Helper()
	for len(b) > 0 {
		_, n, err := codec.ParseFrame(b, 1<<20)
		if err != nil || n == 0 {
			t.Fatalf("%x is no frame: %v", b, err)
		}
		b = b[n:]
	}
}

// fuzzClients are clients in every state in which packets come.
func fuzzClients(t testing.TB) map[string]*Client {
	rand := uint64(0)
	cfg := ClientConfig{Rand: func() uint64 { rand += 0x9e3779b97f4a7c15; return rand }}
	wall := time.Unix(1_700_000_000, 0)
	out := map[string]*Client{}
	make := func(name, token string, upTo int) {
		cfg.Token = token
		c, err := NewClient(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_ = c.Send(codec.Message, number(1))
		}
		c.Check(0, wall)
		c.LinkUp(0, wall, false)
		var s Session
		s.Open(testShard(t, Config{}), ID{1}, 0)
		for i, f := range [][]byte{AppendGreeting(nil, Nonce{}), s.AppendWelcome(nil, Key{1}, Key{}, nil)} {
			if i >= upTo {
				break
			}
			if _, err := c.Receive(packetOf(t, f), 0); err != nil {
				t.Fatal(err)
			}
			c.Output(nil, 0, 1<<20)
		}
		out[name] = c
	}
	make("ungreeted", "", 0)
	make("logging in", "", 1)
	make("restarted", Token(ID{1}, Key{1}, Key{}), 1)
	make("open", "", 2)
	make("resuming", "", 2)
	c := out["resuming"]
	c.LinkDown(0)
	c.Hurry(0)
	c.Check(0, wall)
	c.LinkUp(0, wall, false)
	if _, err := c.Receive(packetOf(t, AppendGreeting(nil, Nonce{})), 0); err != nil {
		t.Fatal(err)
	}
	return out
}

func fuzzSessions(t testing.TB) map[string]*Session {
	out := map[string]*Session{}
	for _, name := range []string{"attached", "resumed", "detached", "closed"} {
		s := new(Session)
		s.Open(testShard(t, Config{}), ID{1}, 0)
		for range 40 {
			_ = s.Send(codec.Message, number(1), false, 0)
		}
		s.Output(nil, 1, 0, 200)
		switch name {
		case "resumed":
			s.Output(nil, 1, 0, 1<<20)
			_, _, _ = s.Resume(nil, &ResumeRequest{ID: ID{1}, Attempt: 5, Recv: 3, Lowest: 1}, 0)
			s.Output(nil, 2, 0, 200)
		case "detached":
			s.Detach(1, 0)
		case "closed":
			s.Close(Kicked)
		}
		out[name] = s
	}
	return out
}

// FuzzControl: no body of any kind panics anybody or breaks the counters.
func FuzzControl(f *testing.F) {
	for _, c := range makeControls() {
		p, _, _ := codec.ParseFrame(c, 1<<20)
		f.Add(uint8(p.Kind), uint32(0), p.Body)
	}
	f.Add(uint8(codec.Heartbeat), uint32(1<<31), []byte{})
	f.Fuzz(func(t *testing.T, kind uint8, ack uint32, body []byte) {
		p := codec.Packet{Header: codec.Header{Kind: codec.Kind(kind % uint8(codec.Datagram+1)), Ack: ack}, Body: body}
		if _, err := ParseHello(p); err == nil && p.Kind == codec.Hello {
			h, _ := ParseHello(p)
			if back, err := ParseHello(packetOf(t, h.append(nil))); err != nil || back.OpeningKey() != h.OpeningKey() || back.Nonce != h.Nonce || back.Attempt != h.Attempt {
				t.Fatalf("%+v came back as %+v, %v", h, back, err)
			}
		}
		if r, err := ParseResume(p); err == nil {
			if back, err := ParseResume(packetOf(t, r.append(nil))); err != nil || !reflect.DeepEqual(back, r) {
				t.Fatalf("%+v came back as %+v, %v", r, back, err)
			}
			for _, s := range fuzzSessions(t) {
				before, state := s.Epoch(), s.State()
				if _, _, err := s.Resume(nil, r, time.Second); err != nil && (s.Epoch() != before || s.State() != state) {
					t.Fatalf("a refused resume changed something: %v", err)
				}
				useSession(t, s, 2*time.Second)
			}
		}
		if e, err := ParseEnd(p); err == nil {
			_ = e.Error()
		}
		for name, s := range fuzzSessions(t) {
			_, _ = s.Receive(s.Epoch(), p, time.Second)
			useSession(t, s, 2*time.Second)
			_ = name
		}
		for _, c := range fuzzClients(t) {
			if _, err := c.Receive(p, time.Second); err != nil {
				c.LinkDown(time.Second)
			}
			useClient(t, c, 2*time.Second)
			useClient(t, c, 40*time.Second)
		}
	})
}

// makeControls are control packets whose numbers are at their limits.
func makeControls() (out [][]byte) {
	var id ID
	id[0] = 1
	var key Key
	good := Params{time.Second, 4 * time.Second, time.Minute, time.Second, 1000, 10, 1000, false}.body()
	for _, n := range []uint64{0, 1, 3, 4, 40, 1<<16 - 1, 1 << 31, 1<<32 - 1, 1 << 62, 1<<62 + 1, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		out = append(out,
			appendControl(nil, codec.Welcome, &welcomeBody{id[:], key[:], n, n, good, nil, nil}),
			appendControl(nil, codec.Resume, &resumeBody{id[:], n, &n, n, key[:]}),
			appendControl(nil, codec.Resume, &resumeBody{id[:], n, nil, n, key[:]}),
			appendControl(nil, codec.Resumed, &resumedBody{uint32(n), n, true, good}),
			appendControl(nil, codec.Reset, &resetBody{uint32(n), n, n, true, uint32(n), good, nil}),
			appendControl(nil, codec.Reset, &resetBody{uint32(n), 1, n, true, uint32(n), good, nil}),
			appendControl(nil, codec.Reset, &resetRestartBody{resetBody{uint32(n), 1, n, true, uint32(n), good, nil}, true}),
			appendControl(nil, codec.Refused, &endBody{uint32(n), "text", n}),
			appendControl(nil, codec.Refused, &endBody{uint32(Stale), "", n}),
			appendControl(nil, codec.Refused, &endBody{uint32(Gone), "", n}),
			appendControl(nil, codec.Refused, &endBody{uint32(Busy), "", n}),
			appendControl(nil, codec.Bye, &endBody{uint32(n), "text", n}),
			appendControl(nil, codec.Tune, &tuneBody{uint32(n), uint32(n)}),
			appendControl(nil, codec.Tune, &tuneBody{1 << 31, uint32(n)}),
			appendControl(nil, codec.Move, &moveBody{uint32(n), "x"}),
			appendControl(nil, codec.Welcome, &welcomeBody{id[:], key[:], 0, 0, paramsBody{paramsFields{uint32(n), uint32(n), uint32(n), uint32(n), uint32(n), uint32(n), uint32(n)}, true}, nil, nil}),
			appendControl(nil, codec.Welcome, &welcomeBody{id[:], key[:], 0, 0, paramsBody{paramsFields{1, 1<<32 - 1, uint32(n), uint32(n), 1, 1, uint32(n)}, false}, nil, nil}),
		)
	}
	var h HelloRequest
	return append(out, h.append(nil), AppendGreeting(nil, Nonce{}), appendDetach(nil), codec.AppendFrame(nil, codec.Header{Kind: codec.Detach}, []byte{0xc0}))
}

// FuzzSession feeds whole streams of frames to both ends.
func FuzzSession(f *testing.F) {
	var all []byte
	for _, c := range makeControls() {
		f.Add(c)
		all = append(all, c...)
	}
	f.Add(all)
	for i, h := range []codec.Header{{}, {Flags: codec.EchoWanted, Seq: 7}, {Flags: codec.Echo, Seq: 1}, {Flags: codec.Hold}, {Ack: 5}, {Ack: 1 << 31}} {
		b := codec.AppendFrame(nil, h, nil)
		for seq := range uint16(4) {
			b = codec.AppendFrame(b, codec.Header{Kind: codec.Message, Seq: seq, Ack: uint32(i)}, number(uint64(seq)))
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		var packets []codec.Packet
		for b := stream; len(packets) < 200; {
			p, n, err := codec.ParseFrame(b, 1<<16)
			if err != nil || n == 0 {
				break
			}
			packets = append(packets, p)
			b = b[n:]
		}
		for _, s := range fuzzSessions(t) {
			now := time.Second
			for _, p := range packets {
				now += 700 * time.Millisecond
				if _, err := s.Receive(s.Epoch(), p, now); err != nil {
					s.Detach(s.Epoch(), now)
				}
				useSession(t, s, now)
				if r, err := ParseResume(p); err == nil {
					_, _, _ = s.Resume(nil, r, now)
					useSession(t, s, now)
				}
			}
		}
		for _, c := range fuzzClients(t) {
			now := time.Second
			for _, p := range packets {
				now += 700 * time.Millisecond
				if _, err := c.Receive(p, now); err != nil {
					c.LinkDown(now)
				}
				useClient(t, c, now)
				if c.State() == Dialing {
					c.LinkUp(now, time.Unix(1_700_000_000, 0), false)
				}
				if len(c.ctl) > 4096 {
					t.Fatalf("%d bytes of control wait", len(c.ctl))
				}
			}
		}
	})
}
