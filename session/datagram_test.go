// SPDX-License-Identifier: MIT

package session

import (
	"errors"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// beats returns the heartbeats in b.
func beats(t testing.TB, b []byte) (list []codec.Header) {
	t.Helper()
	for len(b) > 0 {
		p, n, err := codec.ParseFrame(b, codec.DefaultMaxBody)
		if err != nil || n == 0 {
			t.Fatalf("%x: %v", b, err)
		}
		if p.Kind == codec.Heartbeat {
			list = append(list, p.Header)
		}
		b = b[n:]
	}
	return list
}

// SPEC 5.8: of four pings one goes in the stream.
func TestEveryFourthPingStaysInTheStream(t *testing.T) {
	c := openClient(t)
	now := time.Duration(0)
	beside, within := 0, 0
	for range 12 {
		now = c.Due()
		c.Check(now, noon.Add(now))
		out := beats(t, c.OutputDatagram(nil, now))
		in := beats(t, c.Output(nil, now, 1<<20))
		if len(out)+len(in) != 1 {
			t.Fatalf("%d beside and %d in the stream, want one", len(out), len(in))
		}
		beside += len(out)
		within += len(in)
		h := append(out, in...)[0]
		echo := codec.Packet{Header: codec.Header{Flags: codec.Echo, Seq: h.Seq, Ack: uint32(c.wrote)}}
		if _, err := c.ReceiveDatagram(echo, now+time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if beside != 9 || within != 3 {
		t.Errorf("%d beside and %d in the stream, want 9 and 3", beside, within)
	}
}

// SPEC 5.8: after a ping that was not answered, lost as it may be, the next one is
// asked where nothing is lost, until its echo is there.
func TestPingAfterOneWithoutAnswerStaysInTheStream(t *testing.T) {
	c := openClient(t)
	now := time.Duration(0)
	next := func() (beside, within []codec.Header) {
		now = c.Due()
		c.Check(now, noon.Add(now))
		return beats(t, c.OutputDatagram(nil, now)), beats(t, c.Output(nil, now, 1<<20))
	}
	if beside, _ := next(); len(beside) != 1 {
		t.Fatal("the first did not go beside")
	}
	var asked codec.Header
	for n := range 2 {
		beside, within := next()
		if len(beside) != 0 || len(within) != 1 || n > 0 && within[0].Seq != asked.Seq {
			t.Fatalf("%v beside, %v in the stream, asked %v", beside, within, asked)
		}
		asked = within[0]
	}
	if _, err := c.Receive(codec.Packet{Header: codec.Header{Flags: codec.Echo, Seq: asked.Seq, Ack: uint32(c.wrote)}}, now); err != nil {
		t.Fatal(err)
	}
	if c.questionOpen || c.pingOpen {
		t.Error("the echo did not answer it")
	}
}

// SPEC 5.8: a probe decides about the link, so it must not be lost.
func TestProbeStaysInTheStream(t *testing.T) {
	c := openClient(t)
	c.Hurry(20 * time.Second)
	if out := c.OutputDatagram(nil, 20*time.Second); len(out) != 0 {
		t.Errorf("%x went beside", out)
	}
	if in := beats(t, c.Output(nil, 20*time.Second, 0)); len(in) != 1 {
		t.Error("no probe")
	}
}

// SPEC 5.8: a ping beside the stream may overtake packets; its echo audits nothing.
func TestPingBesideTheStreamAuditsNothing(t *testing.T) {
	for _, beside := range []bool{true, false} {
		c := openClient(t)
		if err := c.Send(codec.Message, []byte{1}); err != nil {
			t.Fatal(err)
		}
		c.Output(nil, time.Second, 1<<20)
		c.pingDue = true
		var ping []codec.Header
		if beside {
			ping = beats(t, c.OutputDatagram(nil, time.Second))
		} else {
			ping = beats(t, c.Output(nil, time.Second, 1<<20))
		}
		if len(ping) != 1 {
			t.Fatal("no ping")
		}
		echo := codec.Packet{Header: codec.Header{Flags: codec.Echo, Seq: ping[0].Seq, Ack: uint32(c.acked)}}
		_, err := c.ReceiveDatagram(echo, 2*time.Second)
		if want := !beside; errors.Is(err, ErrGap) != want {
			t.Errorf("beside %v: %v", beside, err)
		}
		if beside && c.RTT() != time.Second {
			t.Errorf("round trip %v, want 1s", c.RTT())
		}
	}
}

// SPEC 5.8: what came beside the stream may be older than the HOLD in it.
func TestHoldTravelsInTheStreamOnly(t *testing.T) {
	s := heardSession(t, Config{}, 0)
	hold := codec.Packet{Header: codec.Header{Flags: codec.Hold}}
	if _, err := s.Receive(1, hold, 0); err != nil || !s.held {
		t.Fatal("not held: ", err)
	}
	if _, err := s.ReceiveDatagram(1, codec.Packet{}, 0); err != nil || !s.held {
		t.Error("a late heartbeat has lifted HOLD: ", err)
	}
	if _, err := s.Receive(1, codec.Packet{}, 0); err != nil || s.held {
		t.Error("still held: ", err)
	}
	if _, err := s.ReceiveDatagram(1, hold, 0); err != nil || s.held {
		t.Error("a late heartbeat has set HOLD: ", err)
	}
	ping := codec.Packet{Header: codec.Header{Flags: codec.EchoWanted, Seq: 7}}
	for _, on := range []bool{true, false} {
		s.Hold(on)
		if _, err := s.ReceiveDatagram(1, ping, 0); err != nil {
			t.Fatal(err)
		}
		if out := s.OutputDatagram(nil, 1, 0); len(out) != 0 {
			t.Errorf("hold %v is told beside: %x", on, out)
		}
		if in := beats(t, s.Output(nil, 1, 0, 1<<20)); len(in) == 0 || in[0].Flags&codec.Hold != 0 != on {
			t.Errorf("hold %v is not told: %v", on, in)
		}
	}
	if _, err := s.ReceiveDatagram(1, ping, 0); err != nil {
		t.Fatal(err)
	}
	if out := beats(t, s.OutputDatagram(nil, 1, 0)); len(out) != 1 || out[0].Flags != codec.Echo || out[0].Seq != 7 {
		t.Errorf("the echo is %v", out)
	}
}

// SPEC 5.8: an echo in the stream says that what was written before has come,
// which one beside it could not say.
func TestAnEchoTravelsAsItsPingDid(t *testing.T) {
	s := heardSession(t, Config{}, 0)
	ping := func(id uint16) codec.Packet {
		return codec.Packet{Header: codec.Header{Flags: codec.EchoWanted, Seq: id}}
	}
	for i, beside := range []bool{true, false, true, false, false, true} {
		receive := s.Receive
		if beside {
			receive = s.ReceiveDatagram
		}
		if _, err := receive(1, ping(uint16(i)), 0); err != nil {
			t.Fatal(err)
		}
		out, in := beats(t, s.OutputDatagram(nil, 1, 0)), beats(t, s.Output(nil, 1, 0, 1<<20))
		if len(out)+len(in) != 1 || len(out) == 1 != beside {
			t.Errorf("ping %d, beside %v: %d echoes beside, %d in the stream", i, beside, len(out), len(in))
		}
	}
	c := openClient(t)
	if _, err := c.Receive(ping(9), 0); err != nil {
		t.Fatal(err)
	}
	if out := c.OutputDatagram(nil, 0); len(out) != 0 {
		t.Errorf("the client's echo of a ping in the stream went beside: %x", out)
	}
}

// SPEC 5.8: the server asks once, and reliably.
func TestTheServersPingStaysInTheStream(t *testing.T) {
	s := heardSession(t, Config{}, 0)
	now := s.Due()
	if s.Check(now, 0) != Probe {
		t.Fatal("no probe")
	}
	if out := s.OutputDatagram(nil, 1, now); len(out) != 0 {
		t.Errorf("%x went beside", out)
	}
	if in := beats(t, s.Output(nil, 1, now, 1<<20)); len(in) != 1 || in[0].Flags != codec.EchoWanted {
		t.Errorf("asked %v", in)
	}
}

// SPEC 5.8: only heartbeats and datagrams travel beside the stream, and what
// overtakes the answer to the opening harms nothing.
func TestWhatMayComeBeside(t *testing.T) {
	message := codec.Packet{Header: codec.Header{Kind: codec.Message, Seq: 1}, Body: []byte{1}}
	datagram := codec.Packet{Header: codec.Header{Kind: codec.Datagram}, Body: []byte{1}}
	s := heardSession(t, Config{}, 0)
	if _, err := s.ReceiveDatagram(1, message, 0); !errors.Is(err, ErrKind) {
		t.Errorf("a counted packet: %v", err)
	}
	if ev, err := s.ReceiveDatagram(1, datagram, 0); ev != Deliver || err != nil {
		t.Errorf("a datagram: %v, %v", ev, err)
	}
	if _, err := s.ReceiveDatagram(2, datagram, 0); !errors.Is(err, ErrFenced) {
		t.Errorf("of another link: %v", err)
	}
	c := openClient(t)
	if _, err := c.ReceiveDatagram(message, 0); !errors.Is(err, ErrKind) {
		t.Errorf("a counted packet for the client: %v", err)
	}
	if deliver, err := c.ReceiveDatagram(datagram, 0); !deliver || err != nil {
		t.Errorf("a datagram for the client: %v, %v", deliver, err)
	}
	c = fuzzClients(t)["logging in"]
	if c == nil || c.State() != Opening {
		t.Fatal("no client that opens")
	}
	for _, p := range []codec.Packet{datagram, {}} {
		if deliver, err := c.ReceiveDatagram(p, 0); deliver || err != nil || c.State() != Opening {
			t.Errorf("%v before the answer: %v, %v", p.Kind, deliver, err)
		}
	}
}
