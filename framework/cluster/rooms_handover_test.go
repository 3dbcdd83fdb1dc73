// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
)

// handOver hands the room of a key over, wherever it is, and returns the index of the server
// that had it.
func (y *yard) handOver(t *testing.T, key string) (from int, err error) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		for i, rooms := range y.rooms {
			if rooms.Do(context.Background(), key, func(c *count) { err = c.HandOver() }) == nil {
				return i, err
			}
		}
	}
	t.Fatalf("room %s is nowhere", key)
	return 0, nil
}

// TestHandOverBackAndForth hands a room over ten times while its members send and ask: it goes
// on as it was, and no member sees anything of it.
func TestHandOverBackAndForth(t *testing.T) {
	const players, each, times = 4, 200, 10
	for _, carrier := range []string{"tcp", "plain-kcp"} {
		t.Run(carrier, func(t *testing.T) {
			playYard(t, 2, reopens, nil, func(s *stack, y *yard) {
				var d deaths
				var all []*talker
				var talking sync.WaitGroup
				for i := range players {
					k := s.talker(&d, carrier, fmt.Sprint("p", i), i)
					s.enter(k.Client, "red")
					all = append(all, k)
				}
				for _, k := range all {
					talking.Go(func() { k.adds(t, each) })
					talking.Go(func() { k.asks(t, each/4) })
				}
				for i := range times {
					time.Sleep(time.Second)
					if from, err := y.handOver(t, "red"); err != nil || from != i%2 {
						t.Errorf("handed over by %d: %v", from, err)
					}
				}
				talking.Wait()
				for _, k := range all {
					sums := s.sums(k.Client)
					for j := range players {
						if got := sums[fmt.Sprint("p", j)]; got != each || len(sums) != players {
							t.Errorf("%s sees %v, of p%d want %d", k.user, sums, j, each)
						}
					}
					if st := k.Stats(); st.Opens != 1 || st.Resets != 0 || st.Resumes < times {
						t.Errorf("%s: %+v", k.user, st)
					}
				}
				if n := s.logins(); n != players {
					t.Errorf("%d logins of %d players", n, players)
				}
				if joins := y.told("join"); len(joins) != players || len(y.told("create")) != 1 || y.told("leave", "missing", "end") != nil {
					t.Errorf("%q", y.told("create", "join", "leave", "missing", "end"))
				}
				if len(y.told("save")) != times || len(y.told("restore")) != times {
					t.Errorf("%d rooms restored, %d saved", len(y.told("restore")), len(y.told("save")))
				}
			})
		})
	}
}

// TestJoinsOfARoomThatIsHandedOver: players who ask for the room at that moment, at either
// server, get into it where it goes on.
func TestJoinsOfARoomThatIsHandedOver(t *testing.T) {
	playYard(t, 2, nil, nil, func(s *stack, y *yard) {
		ann, bob, cid := s.dial(s.servers[0], "ann", ""), s.dial(s.servers[0], "bob", ""), s.dial(s.servers[1], "cid", "")
		s.enter(ann, "red")
		_ = ann.Send("add", 1)
		time.Sleep(time.Second)
		if _, err := y.handOver(t, "red"); err != nil {
			t.Fatal(err)
		}
		var joining sync.WaitGroup
		for _, c := range []*client.Client{bob, cid} {
			joining.Go(func() { s.enter(c, "red") })
		}
		joining.Wait()
		for _, c := range []*client.Client{ann, bob, cid} {
			if got := fmt.Sprint(s.sums(c)); got != "map[ann:1]" {
				t.Errorf("the room has %s", got)
			}
		}
		s.stayed(ann, 1)
		s.stayed(bob, 1)
		s.stayed(cid, 0)
		if got := y.told("create", "leave", "missing", "end"); len(got) != 1 {
			t.Errorf("%q", got)
		}
	})
}

// TestSeatsOfUsersGoAlong: a seat that is kept for a user is kept where the room goes on.
func TestSeatsOfUsersGoAlong(t *testing.T) {
	set := func(rooms *framework.Rooms[*count]) { rooms.Seats(2) }
	playYard(t, 2, nil, set, func(s *stack, y *yard) {
		ann, bob, cid := s.dial(s.servers[0], "ann", ""), s.dial(s.servers[0], "bob", ""), s.dial(s.servers[1], "cid", "")
		s.enter(ann, "red")
		if err := y.rooms[1].Reserve(context.Background(), "red", "bob"); err != nil {
			t.Fatal(err)
		}
		if _, err := y.handOver(t, "red"); err != nil {
			t.Fatal(err)
		}
		s.within(5*time.Second, "it is back", func() bool { return len(y.told("return")) == 1 })
		if code := codeOf(cid.Join(context.Background(), "count", "red")); code != codec.ErrorFull {
			t.Errorf("a stranger: code %d", code)
		}
		s.enter(bob, "red")
		s.stayed(bob, 1)
	})
}

// TestOperatorHandsARoomOver by the admin pages.
func TestOperatorHandsARoomOver(t *testing.T) {
	playYard(t, 2, nil, nil, func(s *stack, y *yard) {
		ann := s.dial(s.servers[0], "ann", "")
		s.enter(ann, "red")
		for _, c := range []struct {
			query string
			want  int
		}{{"type=count&key=blue", 404}, {"type=none&key=red", 404}, {"type=count&key=red", 202}, {"type=count&key=red", 404}} {
			r := httptest.NewRequest("POST", "http://localhost/debug/rooms/hand-over?"+c.query, nil)
			r.RemoteAddr = "127.0.0.1:1"
			w := httptest.NewRecorder()
			s.servers[0].Admin().ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("%s: %d, want %d: %s", c.query, w.Code, c.want, w.Body)
			}
		}
		s.within(5*time.Second, "it is back", func() bool { return len(y.told("return")) == 1 })
		s.sums(ann)
		s.stayed(ann, 1)
	})
}

// TestOtherRoomsOfAMember: a member leaves its room of another type, and is told. Who is there
// as well stays.
func TestOtherRoomsOfAMember(t *testing.T) {
	playYard(t, 2, nil, nil, func(s *stack, y *yard) {
		ann, bob := s.dial(s.servers[0], "ann", ""), s.dial(s.servers[0], "bob", "")
		left := make(chan string, 2)
		ann.Room("side").OnLeft(func(key string, why client.Reason) { left <- fmt.Sprint(key, " ", why.Code) })
		ann.Room("count").OnLeft(func(key string, why client.Reason) { left <- fmt.Sprint(key, " ", why.Code) })
		s.enterType(ann, "side", "blue")
		s.enterType(bob, "side", "blue")
		s.enter(ann, "red")
		if _, err := y.handOver(t, "red"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := <-left; got != fmt.Sprint("blue ", framework.CodeMoved) || len(left) != 0 {
			t.Errorf("ann has left %s, and %d more", got, len(left))
		}
		if _, in := ann.Room("side").Key(); in {
			t.Error("ann is in blue")
		}
		if key, _ := ann.Room("count").Key(); key != "red" {
			t.Errorf("ann is in %q", key)
		}
		s.stayed(ann, 1)
		s.stayed(bob, 0)
		if got := fmt.Sprint(y.told("leave", "return", "missing", "end")); got != "[leave blue ann return red ann]" {
			t.Error(got)
		}
	})
}

// TestHandOverIsRefused: what can't be handed over stays as it is.
func TestHandOverIsRefused(t *testing.T) {
	playYard(t, 1, nil, nil, func(s *stack, y *yard) {
		ann := s.dial(s.servers[0], "ann", "")
		s.enter(ann, "red")
		refused := func(key string, want error) {
			t.Helper()
			if _, err := y.handOver(t, key); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", key, err, want)
			}
		}
		refused("red", framework.ErrNoServer)
		s.add(2)
		time.Sleep(3 * time.Second) // until it is known
		_ = y.rooms[0].Do(context.Background(), "red", func(c *count) {
			if err := c.HandOver(); err != nil {
				t.Error(err)
			}
			if err := c.HandOver(); !errors.Is(err, framework.ErrRoomMoves) {
				t.Errorf("twice: %v", err)
			}
		})
		s.within(5*time.Second, "it is back", func() bool { return len(y.told("return")) == 1 })
		_ = y.rooms[1].Do(context.Background(), "red", func(c *count) {
			c.Close(0, "")
			if err := c.HandOver(); !errors.Is(err, framework.ErrNoRoom) {
				t.Errorf("of a room that ends: %v", err)
			}
		})
		time.Sleep(time.Second)
		if got := fmt.Sprint(y.told("leave", "missing")); got != "[leave red ann]" {
			t.Error(got)
		}
	})
}

// TestLocalRoomStays: a key of a Local type means its server only.
func TestLocalRoomStays(t *testing.T) {
	playYard(t, 2, nil, func(rooms *framework.Rooms[*count]) { rooms.Local() }, func(s *stack, y *yard) {
		s.enter(s.dial(s.servers[0], "ann", ""), "red")
		if _, err := y.handOver(t, "red"); !errors.Is(err, framework.ErrRoomStays) {
			t.Error(err)
		}
	})
}

// TestRoomWithoutStateStays: a type that keeps no state has nothing to go on with elsewhere.
func TestRoomWithoutStateStays(t *testing.T) {
	playRooms(t, 2, nil, nil, func(s *stack, o *house) {
		ann := s.dial(s.servers[0], "ann", "")
		s.join(ann, "red")
		if err := o.rooms[1].Do(context.Background(), "red", func(h *hall) {
			if err := h.HandOver(); !errors.Is(err, framework.ErrRoomStays) {
				t.Error(err)
			}
		}); err != nil {
			t.Error(err)
		}
		s.stayed(ann, 0)
	})
}

// TestTargetHasNoPlace: the server that the room goes to may not make it. It goes on here
// again, as it was.
func TestTargetHasNoPlace(t *testing.T) {
	playYard(t, 2, nil, func(rooms *framework.Rooms[*count]) { rooms.Most(1) }, func(s *stack, y *yard) {
		ann, bob := s.dial(s.servers[0], "ann", ""), s.dial(s.servers[1], "bob", "")
		s.enter(bob, "blue")
		s.enter(ann, "red")
		_ = ann.Send("add", 1)
		time.Sleep(time.Second)
		if _, err := y.handOver(t, "red"); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(s.sums(ann)); got != "map[ann:1]" {
			t.Errorf("the room has %s", got)
		}
		s.stayed(ann, 2)
		if from, _ := y.handOver(t, "red"); from != 0 {
			t.Errorf("the room is at server %d", from+1)
		}
		time.Sleep(5 * time.Second)
		if got := y.told("create", "leave", "missing", "end"); len(got) != 2 {
			t.Errorf("%q", got)
		}
	})
}

// TestEmptyRoomComesBack: a room that nobody is in, and that the other server may not make, is
// open here again, though nobody asks for it.
func TestEmptyRoomComesBack(t *testing.T) {
	set := func(rooms *framework.Rooms[*count]) { rooms.Most(1).Linger(time.Hour) }
	playYard(t, 2, nil, set, func(s *stack, y *yard) {
		ann, bob := s.dial(s.servers[0], "ann", ""), s.dial(s.servers[1], "bob", "")
		s.enter(bob, "blue")
		s.enter(ann, "red")
		_ = ann.Send("add", 1)
		time.Sleep(100 * time.Millisecond)
		if err := ann.Leave(context.Background()); err != nil {
			t.Error(err)
		}
		if _, err := y.handOver(t, "red"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if err := y.rooms[0].Do(context.Background(), "red", func(c *count) {
			if got := fmt.Sprint(c.Sums); got != "map[ann:1]" {
				t.Errorf("the room has %s", got)
			}
		}); err != nil {
			t.Error(err)
		}
	})
}

// TestTargetOfHandOverDies: the only other server dies before it has the room, or before the
// room runs there. It goes on here again, with its members.
func TestTargetOfHandOverDies(t *testing.T) {
	for name, after := range map[string]time.Duration{ // OnSave; every answer of the directory takes the target 900 ms
		"before it has the room": 500 * time.Millisecond,
		"before the room runs":   1200 * time.Millisecond,
	} {
		t.Run(name, func(t *testing.T) {
			playYard(t, 2, reopens, nil, func(s *stack, y *yard) {
				var d deaths
				var all []*talker
				for i := range 3 {
					k := s.talker(&d, "tcp", fmt.Sprint("p", i), 0)
					s.enter(k.Client, "red")
					_ = k.Send("add", 1)
					all = append(all, k)
				}
				time.Sleep(time.Second)
				target := s.servers[1]
				target.line.setLate(900 * time.Millisecond)
				if _, err := y.handOver(t, "red"); err != nil {
					t.Fatal(err)
				}
				s.within(5*time.Second, "saved", func() bool { return len(y.told("save")) == 1 })
				time.Sleep(after)
				d.kill(target)
				for _, k := range all {
					s.within(2*time.Minute, "it goes on", func() bool {
						ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
						defer cancel()
						var sums map[string]uint64
						return k.Request(ctx, "sums", 0, &sums) == nil && fmt.Sprint(sums) == "map[p0:1 p1:1 p2:1]"
					})
				}
				if got := y.told("create", "leave", "missing", "end"); len(got) != 1 || len(y.told("return")) != 3 {
					t.Errorf("%q, %q", got, y.told("return"))
				}
				if from, _ := y.handOver(t, "red"); from != 0 {
					t.Errorf("the room is at server %d", from+1)
				}
			})
		})
	}
}
