// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
)

// yard is the rooms of all servers of a stack that count what their members send, and what
// the game was told of them.
type yard struct {
	mu sync.Mutex
	// Guarded by mu.
	log    []string
	faults []string
	unread bool                   // OnRestore fails
	shut   bool                   // OnJoin refuses
	later  string                 // what the type is at the second server, if it is another one
	strike func(at string)        // what else callbacks do; nil: nothing
	save   func() ([]byte, error) // in the place of OnSave; nil: it works
	saving func()                 // runs in OnSave; nil: nothing
	last   map[string]uint64      // by key: the last tick
	rooms  []*framework.Rooms[*count]
}

// count is a room with state.
type count struct {
	*framework.Room
	of    *yard
	node  uint16
	Sums  map[string]uint64 // by user: the last number
	Asked map[string]uint64 // by user: the last one that was asked
	In    map[string]bool   // members
}

func (y *yard) note(format string, args ...any) {
	y.mu.Lock()
	y.log = append(y.log, fmt.Sprintf(format, args...))
	y.mu.Unlock()
}

func (y *yard) fault(format string, args ...any) {
	y.mu.Lock()
	y.faults = append(y.faults, fmt.Sprintf(format, args...))
	y.mu.Unlock()
}

// told returns what was noted and begins with one of the words.
func (y *yard) told(words ...string) (list []string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, line := range y.log {
		if slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(line, w) }) {
			list = append(list, line)
		}
	}
	return list
}

// struck lets a callback fail.
func (y *yard) struck(at string) {
	y.mu.Lock()
	f := y.strike
	y.mu.Unlock()
	if f != nil {
		f(at)
	}
}

func (c *count) OnCreate() error {
	c.of.note("create %s", c.Key())
	c.of.mu.Lock()
	delete(c.of.last, c.Key()) // it is made anew
	c.of.mu.Unlock()
	return nil
}

func (c *count) OnJoin(p *framework.Player) error {
	c.of.mu.Lock()
	shut := c.of.shut
	c.of.mu.Unlock()
	if shut {
		return framework.Fail(framework.GameError, "nobody gets in")
	}
	c.In[p.User()] = true
	c.of.note("join %s %s", c.Key(), p.User())
	return nil
}

func (c *count) OnReturn(p *framework.Player) {
	if !c.In[p.User()] {
		c.of.fault("%s returns to %s, and was not in it", p.User(), c.Key())
	}
	c.of.note("return %s %s", c.Key(), p.User())
	c.of.struck("OnReturn")
}

func (c *count) OnLeave(p *framework.Player, why framework.Reason) {
	delete(c.In, p.User())
	c.of.note("leave %s %s", c.Key(), p.User())
}

func (c *count) OnMissing(user string, why framework.Reason) {
	delete(c.In, user)
	c.of.note("missing %s %s", c.Key(), user)
	c.of.struck("OnMissing")
}

func (c *count) OnWatch(p *framework.Player) error {
	c.of.note("watch %s %s", c.Key(), p.User())
	return nil
}

func (c *count) OnUnwatch(p *framework.Player, _ framework.Reason) {
	c.of.note("unwatch %s %s", c.Key(), p.User())
}

func (c *count) OnEnd(framework.Reason) { c.of.note("end %s", c.Key()) }

func (c *count) OnTick(t framework.Tick) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if t.N <= c.of.last[c.Key()] {
		c.of.faults = append(c.of.faults, fmt.Sprintf("%s has tick %d after %d", c.Key(), t.N, c.of.last[c.Key()]))
	}
	c.of.last[c.Key()] = t.N
}

func (c *count) OnSave() ([]byte, error) {
	if c.of.save != nil {
		return c.of.save()
	}
	c.of.note("save %s", c.Key())
	if c.of.saving != nil {
		c.of.saving()
	}
	return json.Marshal(c)
}

func (c *count) OnRestore(state []byte) error {
	c.of.struck("OnRestore")
	if c.of.unread {
		return errors.New("it is not to be read")
	}
	c.of.note("restore %s", c.Key())
	return json.Unmarshal(state, c)
}

// add takes a number: those of a user come one after the other.
func (c *count) add(p *framework.Player, n uint64) {
	if !c.In[p.User()] || n != c.Sums[p.User()]+1 {
		c.of.fault("%s of %s at %d: %d after %d, a member %v", p.User(), c.Key(), c.node, n, c.Sums[p.User()], c.In[p.User()])
	}
	c.Sums[p.User()] = n
}

func (c *count) ask(p *framework.Player, n uint64) (uint64, error) {
	if n != c.Asked[p.User()]+1 {
		c.of.fault("%s asks %d after %d", p.User(), n, c.Asked[p.User()])
	}
	c.Asked[p.User()] = n
	return n, nil
}

func (c *count) sums(*framework.Player, int) (map[string]uint64, error) {
	return maps.Clone(c.Sums), nil
}

// playYard is play with a type of room that keeps its state, "count".
func playYard(t *testing.T, n int, change func(*framework.Config), set func(*framework.Rooms[*count]), f func(s *stack, y *yard)) {
	y := &yard{last: map[string]uint64{}}
	setup := func(node uint16, s *framework.Server) {
		fresh := func(r *framework.Room) *count {
			return &count{Room: r, of: y, node: node, Sums: map[string]uint64{}, Asked: map[string]uint64{}, In: map[string]bool{}}
		}
		rooms := framework.AddRoom(s, "count", fresh).Tick(50 * time.Millisecond)
		y.rooms = append(y.rooms, rooms)
		framework.AddRoom(s, "side", fresh).Tick(50 * time.Millisecond)
		if set != nil {
			set(rooms)
		}
		framework.OnRoomMessage(rooms, "add", (*count).add)
		framework.OnRoomRequest(rooms, "ask", (*count).ask)
		framework.OnRoomRequest(rooms, "sums", (*count).sums)
	}
	playWith(t, "", n, change, setup, func(s *stack) {
		f(s, y)
		y.mu.Lock()
		defer y.mu.Unlock()
		for _, fault := range y.faults {
			t.Error(fault)
		}
	})
}

func quickDrain(c *framework.Config) { c.Drain.Window = time.Second }

func quickReopens(c *framework.Config) {
	reopens(c)
	quickDrain(c)
}

func (s *stack) enter(c *client.Client, key string) { s.enterType(c, "count", key) }

func (s *stack) enterType(c *client.Client, kind, key string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.Join(ctx, kind, key); err != nil {
		s.t.Fatalf("join %s: %v", key, err)
	}
}

// sums asks the room that a client is in.
func (s *stack) sums(c *client.Client) (sums map[string]uint64) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := c.Request(ctx, "sums", 0, &sums); err != nil {
		s.t.Error(err)
	}
	return sums
}

// stop shuts the first server down.
func (s *stack) stop() {
	s.t.Helper()
	v := s.servers[0]
	s.servers = s.servers[1:]
	if err := v.Shutdown(context.Background()); err != nil {
		s.t.Error(err)
	}
}

// adds sends the numbers from 1 to n, which a room adds up.
func (k *talker) adds(t *testing.T, n uint64) {
	for i := range n {
		if err := k.Send("add", i+1); err != nil {
			t.Error(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// asks sends the numbers from 1 to n as requests. The room answers with the same number.
func (k *talker) asks(t *testing.T, n uint64) {
	for i := uint64(1); i <= n; i++ {
		var got uint64
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		err := k.Request(ctx, "ask", i, &got)
		cancel()
		if err != nil || got != i {
			t.Errorf("%s asked %d: %d, %v", k.user, i, got, err)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// TestRollingRestartKeepsRooms restarts three servers, one after the other, while members of
// rooms send and ask: each room goes on as it was, and no member sees anything of it.
func TestRollingRestartKeepsRooms(t *testing.T) {
	const players, keys, each = 9, 3, 250
	for _, carrier := range []string{"tcp", "plain-kcp"} {
		t.Run(carrier, func(t *testing.T) {
			playYard(t, 3, quickReopens, nil, func(s *stack, y *yard) {
				var d deaths
				var all []*talker
				var talking sync.WaitGroup
				for i := range players {
					k := s.talker(&d, carrier, fmt.Sprint("p", i), i)
					s.enter(k.Client, fmt.Sprint("key", i%keys))
					all = append(all, k)
				}
				for _, k := range all {
					talking.Go(func() { k.adds(t, each) })
					talking.Go(func() { k.asks(t, each/4) })
				}
				for i := range 3 {
					time.Sleep(2 * time.Second)
					s.stop()
					s.add(uint16(i + 1))
				}
				talking.Wait()
				for i, k := range all {
					sums := s.sums(k.Client)
					for j := i % keys; j < players; j += keys {
						if got := sums[fmt.Sprint("p", j)]; got != each || len(sums) != players/keys {
							t.Errorf("%s sees %v, of p%d want %d", k.user, sums, j, each)
						}
					}
					if st := k.Stats(); st.Opens != 1 || st.Resets != 0 {
						t.Errorf("%s: %+v", k.user, st)
					}
				}
				if joins := y.told("join"); len(joins) != players || len(y.told("create")) != keys || y.told("leave", "missing", "end") != nil {
					t.Errorf("%q", y.told("create", "join", "leave", "missing", "end"))
				}
				if n := len(y.told("restore")); n < 3 || n != len(y.told("save")) {
					t.Errorf("%d rooms restored, %d saved", n, len(y.told("save")))
				}
			})
		})
	}
}

// TestHandOverWaitsForTheDirectory: without an answer of the directory the room stands still
// and then goes on as it was.
func TestHandOverWaitsForTheDirectory(t *testing.T) {
	playYard(t, 2, quickDrain, nil, func(s *stack, y *yard) {
		ann := s.dial(s.servers[0], "ann", "")
		s.enter(ann, "red")
		for n := range uint64(5) {
			_ = ann.Send("add", n+1)
		}
		time.Sleep(time.Second)
		first := s.servers[0]
		first.line.set(true)
		var stopping sync.WaitGroup
		stopping.Go(s.stop)
		s.within(5*time.Second, "saved", func() bool { return len(y.told("save")) == 1 })
		_ = ann.Send("add", 6)
		time.Sleep(5 * time.Second)
		if got := y.told("restore"); got != nil {
			t.Errorf("it goes on elsewhere: %q", got)
		}
		first.line.set(false)
		stopping.Wait()
		if got := fmt.Sprint(s.sums(ann)); got != "map[ann:6]" {
			t.Errorf("the room has %s", got)
		}
		s.stayed(ann, 1)
		if got := y.told("leave", "end", "missing"); got != nil {
			t.Errorf("%q", got)
		}
	})
}

// TestHandOverThatFails: a room that can't be handed over ends as one of a type without state,
// and what is left of its write does not bring it back.
func TestHandOverThatFails(t *testing.T) {
	type failure struct {
		servers int
		before  func(s *stack, y *yard)
		lost    uint64
		log     string
	}
	unsaved := func(save func() ([]byte, error)) failure {
		return failure{2, func(_ *stack, y *yard) { y.save = save }, 1, "[create red join red ann leave red ann end red create red join red ann]"}
	}
	unread := func(strike func(string)) failure {
		return failure{2, func(_ *stack, y *yard) { y.strike = strike }, 1, "[create red join red ann save red create red join red ann]"}
	}
	for name, c := range map[string]failure{
		"OnSave fails":                 unsaved(func() ([]byte, error) { return nil, errors.New("it is not to be saved") }),
		"OnSave panics":                unsaved(func() ([]byte, error) { panic("it is not to be saved") }),
		"OnSave ends its goroutine":    unsaved(func() ([]byte, error) { runtime.Goexit(); return nil, nil }),
		"the state is too large":       unsaved(func() ([]byte, error) { return make([]byte, framework.MaxRoomState+1), nil }),
		"OnRestore fails":              {2, func(_ *stack, y *yard) { y.unread = true }, 1, "[create red join red ann save red create red join red ann]"},
		"OnRestore panics":             unread(func(string) { panic("it is not to be read") }),
		"OnRestore ends its goroutine": unread(func(string) { runtime.Goexit() }),
		"there is no other server":     {1, func(*stack, *yard) {}, 0, "[create red join red ann leave red ann end red]"},
	} {
		t.Run(name, func(t *testing.T) {
			playYard(t, c.servers, quickDrain, nil, func(s *stack, y *yard) {
				ann := s.dial(s.servers[0], "ann", "")
				s.enter(ann, "red")
				first, all := s.servers[0], s.servers
				c.before(s, y)
				s.stop()
				time.Sleep(3 * time.Second)
				if got := fmt.Sprint(y.told("")); got != c.log {
					t.Errorf("%s, want %s", got, c.log)
				}
				lost := uint64(0)
				for _, v := range all {
					lost += v.Stats().Rooms["count"].StateLost
				}
				if st := first.Stats().Rooms["count"]; lost != c.lost || strings.HasPrefix(name, "OnRestore") && st.HandedOver != 1 {
					t.Errorf("%d lost: %+v", lost, st)
				}
			})
		})
	}
}

// TestMembersOfALostRoomAreTold: a client takes itself for a member of a room that is handed
// over. If the room does not go on, or without that member, the client is told: first that it
// is out, then that it is in a new one, if it is.
func TestMembersOfALostRoomAreTold(t *testing.T) {
	in, out := "in red", fmt.Sprint("out of red: ", uint32(client.CodeMoved))
	for name, c := range map[string]struct {
		set  func(y *yard)
		away bool // for longer than the seat is kept
		want []string
	}{
		"it goes on":                      {func(*yard) {}, false, []string{in}},
		"OnRestore fails":                 {func(y *yard) { y.unread = true }, false, []string{in, out, in}},
		"OnRestore fails, OnJoin refuses": {func(y *yard) { y.unread, y.shut = true, true }, false, []string{in, out}},
		"its type keeps no state there":   {func(y *yard) { y.later = "plain" }, false, []string{in, out, in}},
		"its type is not there":           {func(y *yard) { y.later = "none" }, false, []string{in, out}},
		"the client comes after its time": {func(*yard) {}, true, []string{in, out, in}},
		"that late, and OnJoin refuses":   {func(y *yard) { y.shut = true }, true, []string{in, out}},
	} {
		t.Run(name, func(t *testing.T) {
			y := &yard{last: map[string]uint64{}}
			setup := func(node uint16, s *framework.Server) {
				switch {
				case node == 1 || y.later == "":
					framework.AddRoom(s, "count", func(r *framework.Room) *count {
						return &count{Room: r, of: y, node: node, In: map[string]bool{}}
					}).Tick(50 * time.Millisecond)
				case y.later == "plain":
					framework.AddRoom(s, "count", func(r *framework.Room) *framework.Room { return r })
				case y.later == "none":
					framework.AddRoom(s, "other", func(r *framework.Room) *framework.Room { return r })
				}
			}
			c.set(y)
			shut := y.shut
			y.shut = false
			var log strings.Builder
			change := func(c *framework.Config) {
				quickDrain(c)
				c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
			}
			playWith(t, "", 2, change, setup, func(s *stack) {
				var d deaths
				w := seated{told: map[string][]string{}}
				ann := s.talker(&d, "tcp", "ann", 0)
				w.follow(ann, "count")
				s.enter(ann.Client, "red")
				bob := s.dial(s.servers[0], "bob", "") // who keeps the room, if ann is late
				s.enter(bob, "red")
				y.mu.Lock()
				y.shut = shut
				y.mu.Unlock()
				if c.away {
					ann.Pause()
				}
				s.stop()
				if c.away {
					time.Sleep(time.Minute)
					ann.Hurry()
				}
				time.Sleep(10 * time.Second)
				if got := w.of("ann"); !slices.Equal(got, c.want) {
					t.Errorf("told %q, want %q", got, c.want)
				}
				if why := "has not OnSave and OnRestore here"; strings.Contains(log.String(), why) != (y.later == "plain") {
					t.Errorf("logged %q", log.String())
				}
				if _, ok := ann.Room("count").Key(); ok != (c.want[len(c.want)-1] == in) {
					t.Errorf("it takes itself for a member: %v", ok)
				}
			})
		})
	}
}

// TestResetOnTheWay: a member that meets a RESET at a server between that of its room and the
// next one is told there that it is in no room, and at the next one that it is in.
func TestResetOnTheWay(t *testing.T) {
	few := func(c *framework.Config) {
		quickDrain(c)
		c.Session.SendPackets = 16
	}
	out := "[in red out of red: 0 in red]"
	heard := map[string]bool{}
	// One of three servers is neither the room's nor the next. It sends the member on, mostly after
	// it has told it of the RESET, at times before.
	for i := 0; i < 3 || i < 60 && !heard[out]; i++ {
		first := i % 3
		playYard(t, 3, few, nil, func(s *stack, y *yard) {
			var d deaths
			w := seated{told: map[string][]string{}}
			ann := s.talker(&d, "tcp", "ann", first)
			s.servers[0], s.servers[first] = s.servers[first], s.servers[0]
			w.follow(ann, "count")
			s.enter(ann.Client, "red")
			ann.Pause()
			time.Sleep(time.Second)
			for range 50 {
				_ = s.servers[0].User("ann")[0].Push("shout", 1)
			}
			s.stop()
			ann.Hurry()
			time.Sleep(10 * time.Second)
			heard[fmt.Sprint(w.of("ann"))] = true
			if _, in := ann.Room("count").Key(); !in || ann.Stats().Resets != 1 || y.told("return") == nil {
				t.Errorf("in %v, %+v, %q", in, ann.Stats(), y.told(""))
			}
		})
	}
	if !heard[out] {
		t.Errorf("told %v: none met the RESET on the way", heard)
	}
}

// TestMemberComesByAnotherServer: a member of a room that was handed over, whose client comes to
// a server that has not the room, has the seat that it had: in a full room too, and not a second
// one in a room with free seats.
func TestMemberComesByAnotherServer(t *testing.T) {
	for _, seats := range []int{2, 4} {
		between := false
		for first := range 3 { // one of them is neither the room's server nor the next
			set := func(rooms *framework.Rooms[*count]) { rooms.Seats(seats) }
			playYard(t, 3, quickDrain, set, func(s *stack, y *yard) {
				var d deaths
				w := seated{told: map[string][]string{}}
				ann := s.talker(&d, "tcp", "ann", first)
				s.servers[0], s.servers[first] = s.servers[first], s.servers[0]
				w.follow(ann, "count")
				s.enter(ann.Client, "red")
				bob := s.dial(s.servers[0], "bob", "")
				s.enter(bob, "red")
				ann.Pause()
				time.Sleep(time.Second)
				s.stop()
				ann.Hurry()
				time.Sleep(10 * time.Second)
				if _, in := ann.Room("count").Key(); fmt.Sprint(w.of("ann")) != "[in red]" || !in {
					t.Errorf("%d seats: told %q, in %v", seats, w.of("ann"), in)
				}
				taken := 0
				for _, v := range s.servers {
					taken += v.Stats().Rooms["count"].Players
					between = between || v.Stats().Arrived > 0 && !v.has("ann") && !v.has("bob")
				}
				if taken != 2 {
					t.Errorf("%d of %d seats are taken by two: %q", taken, seats, y.told(""))
				}
			})
		}
		if !between {
			t.Error("none came by another server")
		}
	}
}

// TestWishGoesAlong: a member of a room that was handed over, which comes to a server that does not
// find the room at present, and goes on to another one before it has, is in the room there.
func TestWishGoesAlong(t *testing.T) {
	between := 0
	for first := range 3 { // one of them is neither the room's server nor the next
		for _, after := range []time.Duration{4 * time.Second, 5500 * time.Millisecond, 5750 * time.Millisecond, 6 * time.Second, 8 * time.Second} {
			playYard(t, 3, quickDrain, nil, func(s *stack, y *yard) {
				var d deaths
				ann := s.talker(&d, "tcp", "ann", first)
				s.servers[0], s.servers[first] = s.servers[first], s.servers[0]
				s.enter(ann.Client, "red")
				ann.Pause()
				time.Sleep(time.Second)
				s.stop()
				time.Sleep(3 * time.Second)
				for _, v := range s.servers {
					v.line.setMute("rooms/")
				}
				ann.Hurry()
				time.Sleep(after)
				at := slices.IndexFunc(s.servers, func(v *server) bool { return v.has("ann") })
				for _, v := range s.servers {
					v.line.setMute()
				}
				if at >= 0 && y.told("return") == nil {
					between++
					s.servers[0], s.servers[at] = s.servers[at], s.servers[0]
					s.stop()
				}
				time.Sleep(10 * time.Second)
				if key, in := ann.Room("count").Key(); !in || key != "red" || len(y.told("return")) != 1 {
					t.Errorf("%v later it takes itself to be in %q, and the game was told %q", after, key, y.told("return", "missing"))
				}
			})
		}
	}
	if between == 0 {
		t.Error("none came to a server between")
	}
}

// TestHandOverIsGivenUp: when Shutdown must end, a room that could not be handed over ends, too.
func TestHandOverIsGivenUp(t *testing.T) {
	playYard(t, 2, quickDrain, nil, func(s *stack, y *yard) {
		ann := s.dial(s.servers[0], "ann", "")
		s.enter(ann, "red")
		first := s.servers[0]
		s.servers = s.servers[1:]
		first.line.set(true)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = first.Shutdown(ctx) // it can't leave its cluster
		time.Sleep(time.Minute) // nor give its sessions away
		if got := fmt.Sprint(y.told("")); got != "[create red join red ann save red leave red ann end red]" {
			t.Error(got)
		}
		if st := first.Stats().Rooms["count"]; st.StateLost != 1 || st.HandedOver != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestTargetDies: the server that a room goes to dies before it has taken the room, or before
// it runs there. It goes on at another one, with its members.
func TestTargetDies(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration // of OnSave; every answer of the directory takes the target 900 ms
		state string
	}{
		"before it has the room": {500 * time.Millisecond, "moving"},
		"before the room runs":   {1200 * time.Millisecond, "up"},
	} {
		t.Run(name, func(t *testing.T) {
			playYard(t, 3, quickReopens, nil, func(s *stack, y *yard) {
				var d deaths
				var all []*talker
				w := seated{told: map[string][]string{}}
				for i := range 4 {
					k := s.talker(&d, "tcp", fmt.Sprint("p", i), 0)
					w.follow(k, "count")
					s.enter(k.Client, "red")
					for n := range uint64(7) {
						_ = k.Send("add", n+1)
					}
					all = append(all, k)
				}
				time.Sleep(time.Second)
				var by framework.ID // as the room chooses its server
				sum := sha256.Sum256([]byte("count/red"))
				copy(by[:], sum[:])
				address, _ := s.servers[0].c.Elsewhere(by)
				witness, other := s.servers[1], s.servers[2]
				target := s.servers[slices.IndexFunc(s.servers, func(v *server) bool { return strings.Contains(address, v.host+":") })]
				if witness == target {
					witness = other
				}
				target.line.setLate(900 * time.Millisecond)
				var stopping sync.WaitGroup
				stopping.Go(s.stop)
				s.within(5*time.Second, "saved", func() bool { return len(y.told("save")) == 1 })
				time.Sleep(c.after)
				d.kill(target)
				// The server that drains may send its clients to the dead one again and again.
				if room := look(t, witness.Server, "?room=count/red").Room; room == nil || room.State != c.state {
					t.Errorf("the room is %+v", room)
				}
				stopping.Wait()
				for _, k := range all {
					s.within(2*time.Minute, "it goes on", func() bool {
						ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
						defer cancel()
						var sums map[string]uint64
						return k.Request(ctx, "sums", 0, &sums) == nil && fmt.Sprint(sums) == "map[p0:7 p1:7 p2:7 p3:7]"
					})
				}
				if got := y.told("create", "leave", "missing", "end"); len(got) != 1 || len(y.told("return")) != 4 {
					t.Errorf("%q, %q", got, y.told("return"))
				}
				for _, k := range all { // and its client notices nothing
					if got := fmt.Sprint(w.of(k.user)); got != "[in red]" {
						t.Errorf("%s is told %s", k.user, got)
					}
				}
			})
		})
	}
}

// TestCrashAfterHandOver: a room that was handed over, and whose server crashes later, begins
// anew: what it was handed over with is older than what was lost.
func TestCrashAfterHandOver(t *testing.T) {
	playYard(t, 3, quickReopens, nil, func(s *stack, y *yard) {
		var d deaths
		k := s.talker(&d, "tcp", "ann", 0)
		s.enter(k.Client, "red")
		_ = k.Send("add", 1)
		time.Sleep(time.Second)
		s.stop()
		_ = k.Send("add", 2)
		time.Sleep(time.Second)
		if got := fmt.Sprint(s.sums(k.Client)); got != "map[ann:2]" {
			t.Errorf("the room has %s", got)
		}
		i := slices.IndexFunc(s.servers, func(v *server) bool { return v.has("ann") })
		d.kill(s.servers[i])
		s.within(time.Minute, "in a room again", func() bool { return len(y.told("join")) == 2 })
		if got := fmt.Sprint(s.sums(k.Client)); got != "map[]" {
			t.Errorf("the room has %s", got)
		}
		if st := k.Stats(); st.Opens != 1 || st.Resets != 1 {
			t.Errorf("%+v", st)
		}
		if n := len(y.told("create")); n != 2 {
			t.Errorf("%q", y.told(""))
		}
	})
}

// TestMemberThatStaysAway: the seat of a member whose client does not come along is kept for
// the type's Grace; then the game is told.
func TestMemberThatStaysAway(t *testing.T) {
	set := func(rooms *framework.Rooms[*count]) { rooms.Seats(2).Grace(20 * time.Second) }
	playYard(t, 2, quickDrain, set, func(s *stack, y *yard) {
		var d deaths
		ann, bob, cid := s.dial(s.servers[0], "ann", ""), s.talker(&d, "tcp", "bob", 0), s.dial(s.servers[1], "cid", "")
		s.enter(ann, "red")
		s.enter(bob.Client, "red")
		for _, v := range s.servers { // it loses its way
			d.lose(v.host)
		}
		s.stop()
		time.Sleep(10 * time.Second)
		if err := cid.Join(context.Background(), "count", "red"); err == nil {
			t.Error("the seat of a member that is away was given away")
		}
		s.within(10*time.Second, "missing", func() bool { return fmt.Sprint(y.told("missing")) == "[missing red bob]" })
		s.enter(cid, "red")
		if got := fmt.Sprint(y.told("return", "leave")); got != "[return red ann]" {
			t.Error(got)
		}
	})
}

// TestCallbacksOfReturnPanic: each gives back what it was called for, and the room goes on.
func TestCallbacksOfReturnPanic(t *testing.T) {
	set := func(rooms *framework.Rooms[*count]) { rooms.Seats(4).Grace(20 * time.Second) }
	for _, how := range []string{"panic", "Goexit"} {
		t.Run(how, func(t *testing.T) {
			playYard(t, 2, quickDrain, set, func(s *stack, y *yard) {
				var d deaths
				ann, eve := s.dial(s.servers[0], "ann", ""), s.dial(s.servers[1], "eve", "")
				s.enter(ann, "red")
				for _, user := range []string{"bob", "cat", "dan"} {
					s.enter(s.talker(&d, "tcp", user, 0).Client, "red")
				}
				for _, v := range s.servers { // they lose their way
					d.lose(v.host)
				}
				y.mu.Lock()
				y.strike = func(at string) {
					switch {
					case at == "OnRestore":
					case how == "panic":
						panic("boom")
					default:
						runtime.Goexit()
					}
				}
				y.mu.Unlock()
				s.stop()
				time.Sleep(time.Minute)
				st := s.servers[0].Stats()
				if n := len(y.told("missing")); n != 3 || st.Panics < 4 {
					t.Errorf("%d are missing, %d panics: %q", n, st.Panics, y.told(""))
				}
				if room := st.Rooms["count"]; room.Open != 0 || room.Players != 0 {
					t.Errorf("%+v", room)
				}
				s.enter(eve, "red")
			})
		})
	}
}

// TestMembersThatStayAwayGoInOrder: in that of their sessions, which is the same in each run of
// a test.
func TestMembersThatStayAwayGoInOrder(t *testing.T) {
	set := func(rooms *framework.Rooms[*count]) { rooms.Grace(20 * time.Second) }
	playYard(t, 2, quickDrain, set, func(s *stack, y *yard) {
		var d deaths
		away := map[string]string{} // users by session
		for i := range 6 {
			c := s.talker(&d, "tcp", fmt.Sprint("p", i), 0)
			s.enter(c.Client, "red")
			away[c.ID().String()] = fmt.Sprint("missing red p", i)
		}
		for _, v := range s.servers { // they lose their way
			d.lose(v.host)
		}
		s.stop()
		time.Sleep(30 * time.Second)
		var want []string
		for _, id := range slices.Sorted(maps.Keys(away)) {
			want = append(want, away[id])
		}
		if got := y.told("missing"); !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

// TestRoomsOfOnePlayerMoveTogether: rooms of two types that share members go to one server, and
// none waits for another one for ever.
func TestRoomsOfOnePlayerMoveTogether(t *testing.T) {
	playYard(t, 3, quickDrain, nil, func(s *stack, y *yard) {
		var all []*client.Client
		for i := range 6 { // each room shares a member with the next one
			c := s.dial(s.servers[0], fmt.Sprint("p", i), "")
			s.enterType(c, "count", fmt.Sprint("c", i/2))
			s.enterType(c, "side", fmt.Sprint("s", (i+1)/2%3))
			all = append(all, c)
		}
		time.Sleep(time.Second)
		s.stop()
		for _, c := range all {
			s.sums(c)
			s.stayed(c, 1)
		}
		if got := y.told("leave", "missing", "end"); got != nil || len(y.told("restore")) != 6 || len(y.told("return")) != 12 {
			t.Errorf("%q", y.told(""))
		}
	})
}

// TestEmptyRoomIsHandedOver: a room that lingers goes on at the next server, too, and one
// whose members have not come yet goes on from there.
func TestEmptyRoomIsHandedOver(t *testing.T) {
	playYard(t, 2, quickDrain, func(rooms *framework.Rooms[*count]) { rooms.Linger(time.Hour) }, func(s *stack, y *yard) {
		var d deaths
		ann, bob := s.dial(s.servers[0], "ann", ""), s.talker(&d, "tcp", "bob", 0)
		s.enter(ann, "red")
		s.enter(bob.Client, "blue")
		_ = ann.Send("add", 1)
		time.Sleep(100 * time.Millisecond)
		if err := ann.Leave(context.Background()); err != nil {
			t.Error(err)
		}
		for _, v := range s.servers { // bob loses its way
			d.lose(v.host)
		}
		s.stop()
		s.add(3)
		time.Sleep(time.Second)
		s.stop()
		time.Sleep(time.Second)
		s.enter(ann, "red")
		if got := fmt.Sprint(s.sums(ann)); got != "map[ann:1]" {
			t.Errorf("the room has %s", got)
		}
		if got := y.told("missing", "end"); got != nil || len(y.told("restore")) != 4 {
			t.Errorf("%q", y.told(""))
		}
	})
}

// TestSpectatorOfARoomThatMoves: a spectator leaves before the room is saved, and comes again.
func TestSpectatorOfARoomThatMoves(t *testing.T) {
	playYard(t, 2, quickDrain, func(rooms *framework.Rooms[*count]) { rooms.Spectators(2) }, func(s *stack, y *yard) {
		ann, eve := s.dial(s.servers[0], "ann", ""), s.dial(s.servers[0], "eve", "")
		s.enter(ann, "red")
		if err := eve.Room("count").Watch(context.Background(), "red"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		s.stop()
		want := "[create red join red ann watch red eve unwatch red eve save red restore red return red ann watch red eve]"
		s.within(5*time.Second, "it watches again", func() bool { return len(y.told("watch")) == 2 && len(y.told("return")) == 1 })
		time.Sleep(time.Second)
		if got := fmt.Sprint(y.told("")); got != want && got != strings.Replace(want, "return red ann watch red eve", "watch red eve return red ann", 1) {
			t.Error(got)
		}
		s.stayed(ann, 1)
		s.stayed(eve, 1)
	})
}
