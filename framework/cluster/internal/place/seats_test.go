// SPDX-License-Identifier: MIT

package place

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/session"
)

func numbered(n int) (id session.ID) {
	binary.BigEndian.PutUint64(id[:], uint64(n))
	return id
}

func sits() Refusal { return Granted }

func TestSeats(t *testing.T) {
	var s Seats
	full := func() Refusal { return Full }
	if why := s.Keep("a", numbered(1), 0, full); why != Full || s.Len() != 0 {
		t.Errorf("of a full room: %v, %d kept", why, s.Len())
	}
	if why := s.Keep("a", numbered(1), time.Second, sits); why != Granted {
		t.Error(why)
	}
	if at, ok := s.NextAt(); !ok || at != time.Second+SeatTime {
		t.Errorf("it ends at %v, %v", at, ok)
	}
	// Asked again it is the same seat, for longer.
	if why := s.Keep("a", numbered(1), 5*time.Second, full); why != Granted || s.Of("a") != 1 {
		t.Errorf("again: %v, %d", why, s.Of("a"))
	}
	s.Keep("b", numbered(1), 5*time.Second, sits)
	s.Keep("b", numbered(2), 6*time.Second, sits)
	if list := s.Expired(time.Second + SeatTime); list != nil {
		t.Errorf("too soon: %v", list)
	}
	if list := s.Expired(5*time.Second + SeatTime); !slices.Equal(list, []Seat{{"a", numbered(1)}, {"b", numbered(1)}}) {
		t.Errorf("expired: %v", list)
	}
	if s.Use("a", numbered(1)) || !s.Use("b", numbered(2)) || s.Use("b", numbered(2)) || s.Len() != 0 {
		t.Error("a seat is used once, and not when its time is over")
	}
	s.Keep("a", numbered(3), 0, sits)
	s.Keep("c", numbered(3), 0, sits)
	s.Drop("a")
	s.Drop("nothing")
	if s.Use("a", numbered(3)) || s.Of("a") != 0 || s.Len() != 1 {
		t.Error("the seats of a room end with it")
	}
}

func TestSeatsAreBounded(t *testing.T) {
	var s Seats
	for i := range MaxSeats + 10 {
		room := string(rune('A' + i/MaxRoomSeats))
		if why := s.Keep(room, numbered(i), 0, sits); (why == Granted) != (i < MaxSeats) {
			t.Fatalf("%d at the server: %v", i, why)
		}
	}
	s.Expired(SeatTime)
	for i := range MaxRoomSeats + 1 {
		if why := s.Keep("a", numbered(i), 0, sits); (why == Granted) != (i < MaxRoomSeats) {
			t.Fatalf("%d in a room: %v", i, why)
		}
	}
	if why := s.Keep("b", numbered(1), 0, sits); why != Granted {
		t.Errorf("of another room: %v", why)
	}
}

// TestSeatsByModel: whatever comes after what, the seats are those of a model.
func TestSeatsByModel(t *testing.T) {
	var s Seats
	r := rand.New(rand.NewPCG(1, 1))
	model, now := map[Seat]time.Duration{}, time.Duration(0)
	for range 20000 {
		now += time.Duration(r.IntN(1000)) * time.Millisecond
		at := Seat{string(rune('a' + r.IntN(4))), numbered(r.IntN(8))}
		_, kept := model[at]
		switch r.IntN(6) {
		case 0, 1:
			s.Keep(at.Name, at.Session, now, sits)
			model[at] = now + SeatTime
		case 2:
			if s.Use(at.Name, at.Session) != kept {
				t.Fatalf("%v was kept: %v", at, kept)
			}
			delete(model, at)
		case 3:
			if r.IntN(10) == 0 {
				s.Drop(at.Name)
				for other := range model {
					if other.Name == at.Name {
						delete(model, other)
					}
				}
			}
		default:
			next, any := s.NextAt()
			list := s.Expired(now)
			if len(list) > 0 && (!any || next > now) {
				t.Fatalf("at %v %v expired, and nothing was due before %v", now, list, next)
			}
			for _, e := range list {
				if until, ok := model[e]; !ok || until > now {
					t.Fatalf("%v expired at %v, and is kept until %v, %v", e, now, until, ok)
				}
				delete(model, e)
			}
			for e, until := range model {
				if until <= now {
					t.Fatalf("%v did not expire: %v", e, until)
				}
			}
		}
		n := 0
		for e := range model {
			if e.Name == at.Name {
				n++
			}
		}
		if s.Len() != len(model) || s.Of(at.Name) != n {
			t.Fatalf("%d seats, %d of %s; want %d, %d", s.Len(), s.Of(at.Name), at.Name, len(model), n)
		}
	}
}

func TestRooms(t *testing.T) {
	var h Rooms
	if h.Arrive("a") != Free || h.Arrive("a") != Opening || h.State("b") != Free {
		t.Error("a Find begins once")
	}
	if _, ok := h.Close("a"); ok {
		t.Error("what is not open was closed")
	}
	h.Opened("a", 7)
	if h.Arrive("a") != Open || h.Gen("a") != 7 {
		t.Error(h.State("a"), h.Gen("a"))
	}
	if gen, ok := h.Move("a"); gen != 7 || !ok || h.State("a") != Moving || h.Gen("a") != 0 {
		t.Error(gen, ok, h.State("a"))
	}
	if _, ok := h.Close("a"); ok {
		t.Error("what moves was closed")
	}
	h.Opened("a", 9) // given up
	if gen, ok := h.Close("a"); gen != 9 || !ok || h.State("a") != Closing {
		t.Error(gen, ok, h.State("a"))
	}
	if h.Arrive("b") != Free || h.Len() != 2 || h.Counts()["closing"] != 1 || h.Counts()["opening"] != 1 {
		t.Error(h.Counts())
	}
	h.Forget("a")
	h.Forget("b")
	h.Forget("b")
	if h.Len() != 0 || h.State("a") != Free {
		t.Error(h.Len())
	}
	for state, n := range h.Counts() {
		if n != 0 {
			t.Errorf("%s: %d", state, n)
		}
	}
}
