// SPDX-License-Identifier: MIT

package session

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// small is a session with room for eight packets.
func small(t *testing.T) *Session {
	t.Helper()
	var s Session
	s.Open(testShard(t, Config{SendPackets: 8}), ID{1}, 0)
	return &s
}

// waiting are the bodies in the buffer, as numbers.
func waiting(s *Session) (list []int) {
	for i := range s.out.len() {
		list = append(list, int(s.out.at(i).body[0]))
	}
	return list
}

func mustSend(t *testing.T, s *Session, n int) {
	t.Helper()
	if err := s.Send(codec.Message, []byte{byte(n)}, false, 0); err != nil {
		t.Fatalf("send %d: %v", n, err)
	}
}

func mustOffer(t *testing.T, s *Session, n int, tag uint32, newest bool) {
	t.Helper()
	if err := s.Offer(codec.Message, []byte{byte(n)}, false, tag, newest); err != nil {
		t.Fatalf("offer %d: %v", n, err)
	}
}

// SPEC 4.9: what may be left out makes room, the oldest of its own tag first.
func TestOfferedPacketsMakeRoomOldestFirst(t *testing.T) {
	s := small(t)
	mustSend(t, s, 1)
	for n := 2; n <= 8; n++ {
		mustOffer(t, s, n, uint32(1+n%2), false) // even: tag 1, odd: tag 2
	}
	mustOffer(t, s, 9, 2, false)
	if got, want := waiting(s), []int{1, 2, 4, 5, 6, 7, 8, 9}; !slices.Equal(got, want) {
		t.Errorf("%v wait, want %v", got, want)
	}
	for n := 10; n <= 16; n++ {
		mustSend(t, s, n)
	}
	if got, want := waiting(s), []int{1, 10, 11, 12, 13, 14, 15, 16}; !slices.Equal(got, want) {
		t.Errorf("%v wait, want %v", got, want)
	}
	if s.Dropped() != 8 || s.Overflowed() {
		t.Errorf("%d dropped, overflowed %v", s.Dropped(), s.Overflowed())
	}
	// Nothing is left that could be left out: the next one is, unless it must not.
	if err := s.Offer(codec.Message, []byte{17}, false, 2, true); !errors.Is(err, ErrFull) || s.Overflowed() || s.Dropped() != 9 {
		t.Errorf("offered to a full buffer: %v", err)
	}
	if err := s.Send(codec.Message, []byte{18}, false, 0); !errors.Is(err, ErrOverflow) || !s.Overflowed() {
		t.Errorf("sent to a full buffer: %v", err)
	}
	if s.Offer(codec.Message, []byte{19}, false, 2, true) == nil || s.Offer(codec.Heartbeat, []byte{1}, false, 2, true) == nil {
		t.Error("what nobody would take was taken")
	}
}

// The newest of a tag stands at the end, where it was sent; what was written
// stays, for the client may have it.
func TestNewestTakesThePlaceOfWhatWasNeverWritten(t *testing.T) {
	s := small(t)
	mustOffer(t, s, 1, 1, true)
	s.Output(nil, 1, 0, 1<<10)
	mustOffer(t, s, 2, 1, true)
	mustSend(t, s, 3)
	mustOffer(t, s, 4, 1, true)
	mustOffer(t, s, 5, 2, true)
	if got, want := waiting(s), []int{1, 3, 4, 5}; !slices.Equal(got, want) || s.Dropped() != 1 {
		t.Errorf("%v wait, want %v; %d dropped", got, want, s.Dropped())
	}
	s.Detach(1, 0)
	mustOffer(t, s, 6, 1, true)
	if got, want := waiting(s), []int{1, 3, 5, 6}; !slices.Equal(got, want) {
		t.Errorf("%v wait, want %v", got, want)
	}
}

// TestNumbersStayWithTheirPackets tries every kind of step in any order: a
// number that was ever written means the same packet ever after, and all memory
// comes back.
func TestNumbersStayWithTheirPackets(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		shard := testShard(t, Config{SendPackets: 1 + rng.IntN(20)})
		var s Session
		s.Open(shard, ID{1}, 0)
		written := map[uint16]string{}
		sent, attempt := 0, uint64(0)
		for range 300 {
			sent++
			body := fmt.Appendf(nil, "%d", sent)
			switch rng.IntN(6) {
			case 0:
				if s.out.len() < shard.Config.SendPackets {
					_ = s.Send(codec.Message, body, rng.IntN(2) == 0, 0)
				}
			case 1, 2:
				_ = s.Offer(codec.Message, body, rng.IntN(2) == 0, 1+rng.Uint32N(3), rng.IntN(2) == 0)
			case 3:
				out := s.Output(nil, s.Epoch(), 0, rng.IntN(100))
				for len(out) > 0 {
					p, n, err := codec.ParseFrame(out, 1<<10)
					if err != nil {
						t.Fatal(err)
					}
					out = out[n:]
					if !p.Kind.Counted() {
						continue
					}
					if was, ok := written[p.Seq]; ok && was != string(p.Body) {
						t.Fatalf("seed %d: number %d was %q and is %q", seed, p.Seq, was, p.Body)
					}
					written[p.Seq] = string(p.Body)
				}
			case 4:
				ack := s.acked + rng.Uint64N(s.wrote-s.acked+1)
				if s.State() == Attached {
					if _, err := s.Receive(s.Epoch(), codec.Packet{Header: codec.Header{Kind: codec.Heartbeat, Ack: uint32(ack)}}, 0); err != nil {
						t.Fatal(err)
					}
				}
			case 5:
				s.Detach(s.Epoch(), 0)
				if rng.IntN(2) == 0 {
					attempt++
					mustResume(t, &s, ResumeRequest{Attempt: attempt, Recv: s.acked + rng.Uint64N(s.wrote-s.acked+1)}, 0)
				}
			}
			checkEnd(t, "server", &s.endpoint)
			if s.Overflowed() {
				t.Fatalf("seed %d: overflowed", seed)
			}
		}
		s.Close(Left)
		if held := shard.Pool.Held(); held != 0 || s.out.size() != 0 {
			t.Fatalf("seed %d: %d bytes are still held, %d of bodies", seed, held, s.out.size())
		}
	}
}

func BenchmarkNewestOfAFullBuffer(b *testing.B) {
	cfg, _ := Config{}.WithDefaults()
	shard := &Shard{Config: &cfg, Rand: func() uint32 { return 1 }}
	var s Session
	s.Open(shard, ID{1}, 0)
	for range cfg.SendPackets - 1 {
		_ = s.Send(codec.Message, []byte{1}, true, time.Second)
	}
	body := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Offer(codec.Message, body, true, 7, true); err != nil {
			b.Fatal(err)
		}
	}
}
