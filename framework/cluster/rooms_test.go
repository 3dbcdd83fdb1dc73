// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
)

// house is the halls of all servers of a stack, and what is wrong with them.
type house struct {
	mu sync.Mutex
	// Guarded by mu.
	open   map[string]*hall  // by key: that which has not ended
	gens   map[string]uint64 // by key: the last one
	log    []string
	faults []string
	rooms  map[uint16]*framework.Rooms[*hall] // by node
}

// hall is a room that is in one place at a time.
type hall struct {
	*framework.Room
	node uint16
	of   *house
}

func (h *hall) OnCreate() error {
	of := h.of
	of.mu.Lock()
	defer of.mu.Unlock()
	if h.Generation() == 0 { // it is Local
		return nil
	}
	if other := of.open[h.Key()]; other != nil {
		of.faults = append(of.faults, fmt.Sprintf("%s is open at %d and at %d", h.Key(), other.node, h.node))
	}
	if last := of.gens[h.Key()]; h.Generation() <= last {
		of.faults = append(of.faults, fmt.Sprintf("%s has generation %d after %d", h.Key(), h.Generation(), last))
	}
	of.open[h.Key()], of.gens[h.Key()] = h, h.Generation()
	of.log = append(of.log, fmt.Sprintf("%s at %d", h.Key(), h.node))
	return nil
}

func (h *hall) OnJoin(p *framework.Player) error {
	if strings.HasPrefix(p.User(), "un") {
		return framework.Fail(1001, "you are not welcome")
	}
	return nil
}

func (h *hall) OnEnd(framework.Reason) {
	h.of.mu.Lock()
	defer h.of.mu.Unlock()
	if h.of.open[h.Key()] == h {
		delete(h.of.open, h.Key())
	}
}

// where tells where a room is and who is in it, of those that are open.
func (o *house) opened() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.log)
}

func (o *house) check(t *testing.T) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.faults {
		t.Error(f)
	}
}

// playRooms is play with a type of room, "hall".
func playRooms(t *testing.T, n int, change func(*framework.Config), set func(*framework.Rooms[*hall]), f func(s *stack, o *house)) {
	o := &house{open: map[string]*hall{}, gens: map[string]uint64{}, rooms: map[uint16]*framework.Rooms[*hall]{}}
	setup := func(node uint16, s *framework.Server) {
		rooms := framework.AddRoom(s, "hall", func(r *framework.Room) *hall { return &hall{r, node, o} })
		if set != nil {
			set(rooms)
		}
		framework.OnRoomRequest(rooms, "who", func(h *hall, _ *framework.Player, _ int) ([]string, error) {
			var list []string
			for _, p := range h.Members() {
				list = append(list, p.User())
			}
			return append(list, fmt.Sprint("at ", h.node)), nil
		})
		framework.OnRoomMessage(rooms, "shout", func(h *hall, p *framework.Player, text string) {
			o.mu.Lock()
			o.log = append(o.log, p.User()+" shouts "+text)
			o.mu.Unlock()
		})
		o.mu.Lock()
		o.rooms[node] = rooms
		o.mu.Unlock()
	}
	playWith(t, "", n, change, setup, func(s *stack) {
		f(s, o)
		o.check(t)
	})
}

func (s *stack) join(c *client.Client, key string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.Join(ctx, "hall", key); err != nil {
		s.t.Fatalf("join %s: %v", key, err)
	}
}

// who asks the room that a client is in.
func (s *stack) who(c *client.Client) string {
	s.t.Helper()
	var list []string
	if err := c.Request(context.Background(), "who", 0, &list); err != nil {
		s.t.Error(err)
	}
	return fmt.Sprint(list)
}

// stayed checks that a client has had one session and no gap.
func (s *stack) stayed(c *client.Client, resumes int) {
	s.t.Helper()
	if st := c.Stats(); st.Opens != 1 || st.Resets != 0 || int(st.Resumes) != resumes {
		s.t.Errorf("opened %d times, reset %d, resumed %d, want %d", st.Opens, st.Resets, st.Resumes, resumes)
	}
}

// TestRoomOfAnotherServer: the player moves to where the room is, and its request is
// answered from there. What it sends at once after that reaches the room.
func TestRoomOfAnotherServer(t *testing.T) {
	playRooms(t, 3, nil, nil, func(s *stack, o *house) {
		ann, bob := s.dial(s.servers[0], "ann", ""), s.dial(s.servers[1], "bob", "")
		s.join(ann, "red")
		s.join(bob, "red")
		if got := s.who(bob); got != "[ann bob at 1]" {
			t.Errorf("in the room: %s", got)
		}
		s.stayed(ann, 0)
		s.stayed(bob, 1)
		red, blue := look(t, s.servers[2].Server, "?room=hall/red").Room, look(t, s.servers[2].Server, "?room=hall/blue").Room
		if red == nil || red.State != "up" || red.Node != 1 || red.Gen == 0 || blue == nil || blue.State != "none" {
			t.Errorf("operators see %+v and %+v", red, blue)
		}
		for i, want := range []string{"map[here:1]", "map[elsewhere:1]"} {
			if st := s.servers[i].Stats().Cluster; fmt.Sprint(st.RoomFinds) != want || st.Rooms["open"] != int64(1-i) || st.RoomSeats != 0 {
				t.Errorf("server %d counts %v, %v, %d seats", i+1, st.RoomFinds, st.Rooms, st.RoomSeats)
			}
		}
		s.join(bob, "red") // to make sure
		s.stayed(bob, 1)
		if err := bob.Leave(context.Background()); err != nil {
			t.Error(err)
		}
		if err := ann.Leave(context.Background()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		cid := s.dial(s.servers[2], "cid", "")
		s.join(cid, "red")
		if got := fmt.Sprint(o.opened()); got != "[red at 1 red at 3]" {
			t.Errorf("rooms: %s", got)
		}
		if n := s.logins(); n != 3 {
			t.Errorf("%d logins", n)
		}
	})
}

// TestRefusedByRoomElsewhere: who can't get in stays where it is; who is refused by OnJoin
// is told so from there.
func TestRefusedByRoomElsewhere(t *testing.T) {
	playRooms(t, 2, nil, func(rooms *framework.Rooms[*hall]) { rooms.Seats(2).Spectators(2) }, func(s *stack, o *house) {
		ann, bob, cid := s.dial(s.servers[0], "ann", ""), s.dial(s.servers[1], "bob", ""), s.dial(s.servers[1], "cid", "")
		s.join(ann, "red")
		unwanted := s.dial(s.servers[1], "unwanted", "")
		ctx := context.Background()
		if code := codeOf(unwanted.Join(ctx, "hall", "red")); code != 1001 {
			t.Errorf("refused by OnJoin: code %d", code)
		}
		s.stayed(unwanted, 1)
		s.join(bob, "red")
		if code := codeOf(cid.Join(ctx, "hall", "red")); code != codec.ErrorFull {
			t.Errorf("a full room: code %d", code)
		}
		s.stayed(cid, 0)
		if code := codeOf(watch(cid, "blue")); code != codec.ErrorRefused {
			t.Errorf("to watch a room that is not: code %d", code)
		}
		s.stayed(cid, 0)
		if err := watch(cid, "red"); err != nil {
			t.Error(err)
		}
		s.stayed(cid, 1)
		if got := fmt.Sprint(o.opened()); got != "[red at 1]" {
			t.Errorf("rooms: %s", got)
		}
	})
}

func watch(c *client.Client, key string) error {
	return c.Request(context.Background(), framework.RouteWatch, []string{"hall", key}, nil)
}

func codeOf(err error) codec.ErrorCode {
	var no *codec.Error
	if errors.As(err, &no) {
		return no.Code
	}
	return 0
}

// TestLocalRooms: keys of a type that is Local mean one server.
func TestLocalRooms(t *testing.T) {
	playRooms(t, 2, nil, func(rooms *framework.Rooms[*hall]) { rooms.Local() }, func(s *stack, o *house) {
		for i, user := range []string{"ann", "bob"} {
			c := s.dial(s.servers[i], user, "")
			s.join(c, "red")
			if got, want := s.who(c), fmt.Sprintf("[%s at %d]", user, i+1); got != want {
				t.Errorf("in the room: %s, want %s", got, want)
			}
			s.stayed(c, 0)
		}
	})
}

// TestMadeKeys: a room of strangers, and one that the game has opened, is found by its key
// from everywhere, and lives without the directory.
func TestMadeKeys(t *testing.T) {
	playRooms(t, 2, nil, nil, func(s *stack, o *house) {
		ann, bob, cid := s.dial(s.servers[0], "ann", ""), s.dial(s.servers[1], "bob", ""), s.dial(s.servers[1], "cid", "")
		ctx := context.Background()
		stranger, err := ann.JoinAny(ctx, "hall")
		if err != nil {
			t.Fatal(err)
		}
		s.join(bob, stranger)
		if got := s.who(bob); got != "[ann bob at 1]" {
			t.Errorf("of strangers: %s", got)
		}
		key, err := o.rooms[1].Open(ctx, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		s.join(cid, key)
		if got := s.who(cid); got != "[cid at 1]" {
			t.Errorf("opened: %s", got)
		}
		if n := s.servers[0].Stats().Cluster.Rooms["open"]; n != 0 {
			t.Errorf("%d rooms in the directory", n)
		}
		dan := s.dial(s.servers[1], "dan", "")
		if code := codeOf(dan.Join(ctx, "hall", "1.00000001-7")); code != codec.ErrorRefused {
			t.Errorf("a key of a server that is no more: code %d", code)
		}
	})
}

// TestMessagesWaitForTheRoom: what a client sends after its wish, and before the answer, finds
// it in the room although the directory took its time.
func TestMessagesWaitForTheRoom(t *testing.T) {
	playRooms(t, 1, nil, nil, func(s *stack, o *house) {
		ann := s.dial(s.servers[0], "ann", "")
		s.servers[0].line.setLate(300 * time.Millisecond)
		var joining sync.WaitGroup
		joining.Go(func() { s.join(ann, "red") })
		time.Sleep(time.Millisecond) // its request is on its way
		if err := ann.Send("shout", "hi"); err != nil {
			t.Error(err)
		}
		joining.Wait()
		s.within(time.Second, "heard", func() bool { return fmt.Sprint(o.opened()) == "[red at 1 ann shouts hi]" })
		s.servers[0].line.setLate(0)
	})
}

// TestJoinInOnOpen: a player whose client was not heard yet is not sent away before it was.
func TestJoinInOnOpen(t *testing.T) {
	var built *house
	change := func(c *framework.Config) {
		open, node := c.OnOpen, uint16(netip.MustParseAddrPort(c.TCP).Addr().As4()[3])
		c.OnOpen = func(p *framework.Player) {
			open(p)
			built.mu.Lock()
			rooms := built.rooms[node]
			built.mu.Unlock()
			if err := rooms.JoinAsync(p, "lobby"); err != nil && codeOf(err) != codec.ErrorInRoom {
				t.Error(err)
			}
		}
	}
	playRooms(t, 2, change, nil, func(s *stack, o *house) {
		built = o
		ann := s.dial(s.servers[0], "ann", "")
		s.within(5*time.Second, "in", func() bool { return len(o.opened()) == 1 })
		bob := s.dial(s.servers[1], "bob", "")
		s.within(5*time.Second, "moved", func() bool { return s.servers[0].has("bob") })
		s.within(5*time.Second, "in", func() bool { return strings.Contains(s.who(bob), "bob at 1") })
		s.stayed(ann, 0)
		if n := s.logins(); n != 2 {
			t.Errorf("%d logins", n)
		}
	})
}

// TestManyRooms lets players of three servers go from room to room while they talk, and
// one server after the other is restarted: every room is in one place, every request is
// answered, and nothing is lost or comes twice.
func TestManyRooms(t *testing.T) {
	const players, each, keys = 8, 400, 5
	for _, carrier := range []string{"tcp", "plain-kcp"} {
		t.Run(carrier, func(t *testing.T) {
			playRooms(t, 3, quickReopens, nil, func(s *stack, o *house) {
				var d deaths
				var talkers []*talker
				var talking sync.WaitGroup
				joined, refused := 0, map[codec.ErrorCode]int{}
				var mu sync.Mutex
				for i := range players {
					k := s.talker(&d, carrier, fmt.Sprint("p", i), i)
					talkers = append(talkers, k)
					talking.Go(func() {
						for n := range uint64(each) {
							if err := k.Send("say", n+1); err != nil {
								t.Error(err)
								return
							}
							time.Sleep(50 * time.Millisecond)
						}
					})
					talking.Go(func() {
						rng := rand.New(rand.NewPCG(1, uint64(i)))
						for end := time.Now().Add(each * 50 * time.Millisecond); time.Now().Before(end); {
							ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // clients wait before they dial
							err := k.Join(ctx, "hall", fmt.Sprint("key", rng.IntN(keys)))
							cancel()
							mu.Lock()
							if err == nil {
								joined++
							} else if refused[codeOf(err)]++; codeOf(err) != codec.ErrorBusy && codeOf(err) != codec.ErrorInRoom {
								t.Errorf("%s: %v", k.user, err)
							}
							mu.Unlock()
							time.Sleep(time.Duration(rng.IntN(500)) * time.Millisecond)
							_ = k.Leave(context.Background())
							time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
						}
					})
				}
				for i := range 3 {
					time.Sleep(4 * time.Second)
					if err := s.servers[0].Shutdown(context.Background()); err != nil {
						t.Error(err)
					}
					s.servers = s.servers[1:]
					s.add(uint16(i + 1))
				}
				talking.Wait()
				s.within(time.Minute, "all is handled", func() bool {
					return !slices.ContainsFunc(talkers, func(k *talker) bool { return len(s.handled(k.user)) < each })
				})
				moved := 0
				for _, k := range talkers {
					s.accounted(k, each)
					st := k.Stats()
					moved += int(st.Resumes)
					if st.Opens != 1 || st.Resets != 0 {
						t.Errorf("%s: %+v", k.user, st)
					}
				}
				t.Logf("%d joins, %d moves, refused %v", joined, moved, refused)
				if joined < 50 || moved < 10 {
					t.Errorf("%d joins, %d moves", joined, moved)
				}
			})
		})
	}
}

// TestDrainedRoomGoesTogether: the members of a room whose server is stopped are together in
// it at another one, without a login or a RESET. What waits for the room meanwhile gets in.
func TestDrainedRoomGoesTogether(t *testing.T) {
	playRooms(t, 4, func(c *framework.Config) { c.Drain.Window = 8 * time.Second }, func(rooms *framework.Rooms[*hall]) { rooms.Linger(time.Hour) }, func(s *stack, o *house) {
		var all []*client.Client
		for i := range 6 {
			c := s.dial(s.servers[i%3], fmt.Sprint("p", i), "")
			s.join(c, "red")
			all = append(all, c)
		}
		late := s.dial(s.servers[1], "late", "")
		for i := range 3 { // others, so that the room has its turn later
			s.dial(s.servers[0], fmt.Sprint("alone", i), "")
		}
		first := s.servers[0]
		var stopping sync.WaitGroup
		stopping.Go(func() {
			if err := first.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(100 * time.Millisecond)
		s.join(late, "red")
		stopping.Wait()
		s.servers = s.servers[1:]
		time.Sleep(3 * time.Second)
		at := ""
		for _, c := range all {
			list := strings.Fields(strings.Trim(s.who(c), "[]"))
			node := list[len(list)-1]
			if len(list) != 6+1+2 || at != "" && at != node || node == "1" {
				t.Errorf("in the room: %v", list)
			}
			at = node
			if st := c.Stats(); st.Opens != 1 || st.Resets != 0 {
				t.Errorf("%+v", st)
			}
		}
		if n := len(o.opened()); n != 2 {
			t.Errorf("rooms: %v", o.opened())
		}
	})
}

// TestRoomOfADeadServer: while a server that has a room may live, the room is nowhere else.
// When it is dead the room is made anew, with a higher generation.
func TestRoomOfADeadServer(t *testing.T) {
	playRooms(t, 3, nil, nil, func(s *stack, o *house) {
		ann, bob := s.dial(s.servers[0], "ann", ""), s.dial(s.servers[1], "bob", "")
		s.join(ann, "red")
		s.servers[0].line.set(true)
		ctx := context.Background()
		if code := codeOf(bob.Join(ctx, "hall", "red")); code != codec.ErrorBusy {
			t.Errorf("the owner does not answer: code %d", code)
		}
		s.stayed(bob, 0)
		o.mu.Lock()
		delete(o.open, "red") // it stands still from now on
		o.mu.Unlock()
		s.within(time.Minute, "made anew", func() bool { return bob.Join(ctx, "hall", "red") == nil })
		if s.servers[0].c.Valid() {
			t.Error("the room is made anew while its server may act")
		}
		if got := fmt.Sprint(o.opened()); got != "[red at 1 red at 2]" {
			t.Errorf("rooms: %s", got)
		}
		s.servers[0].line.set(false)
		s.within(10*time.Second, "fenced", func() bool { return s.servers[0].Stats().Sessions == 0 })
		s.within(10*time.Second, "its rooms have ended", func() bool {
			return len(s.servers[0].InspectRooms(9, func(*framework.RoomInfo) bool { return true })) == 0
		})
		_ = ann.Close()
	})
}

// TestKeptSeatIsGivenBack: a client that is sent to a room and never comes has its seat for
// a time.
func TestKeptSeatIsGivenBack(t *testing.T) {
	playRooms(t, 2, nil, func(rooms *framework.Rooms[*hall]) { rooms.Seats(2) }, func(s *stack, o *house) {
		ann, bob, cid := s.dial(s.servers[0], "ann", ""), s.dial(s.servers[1], "bob", ""), s.dial(s.servers[0], "cid", "")
		s.join(ann, "red")
		ctx, cancel := context.WithCancel(context.Background())
		go func() { _ = bob.Join(ctx, "hall", "red") }()
		s.within(time.Second, "a seat is kept", func() bool { return s.servers[0].Stats().Cluster.RoomSeats == 1 })
		cancel()
		_ = bob.Close()
		if code := codeOf(cid.Join(context.Background(), "hall", "red")); code != codec.ErrorFull {
			t.Errorf("the last seat is kept: code %d", code)
		}
		time.Sleep(17 * time.Second)
		s.join(cid, "red")
	})
}
