// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

func (d *diary) has(line string) func() bool {
	return func() bool { return slices.Contains(d.all(), line) }
}

func roomsOf(e *env) (list []string) {
	for _, in := range e.srv.InspectRooms(100, func(*framework.RoomInfo) bool { return true }) {
		list = append(list, fmt.Sprintf("%s:%d", in.Key, in.Players))
	}
	return list
}

// roomOf returns the only room of a player, nil without one.
func roomOf(p *framework.Player) *framework.Room {
	if all := p.Rooms(); len(all) == 1 {
		return all[0]
	}
	return nil
}

// Strangers fill the fullest room that was made for them, never one that
// somebody else made by its key, and never one that is closed.
func TestStrangersFillTheFullestRoom(t *testing.T) {
	hallServer(t, framework.Config{}, func(e *env, d *diary, rooms *framework.Rooms[*hall]) {
		join(t, e.dial("private", transport.TCP), "party")
		any := func(user, want string) *client.Client {
			c := e.dial(user, transport.TCP)
			if key, err := c.JoinAny(context.Background(), "hall"); err != nil || key != want {
				t.Errorf("%s got into %q, want %q, %v", user, key, want, err)
			}
			return c
		}
		any("a", "1")
		b := any("b", "1")
		any("c", "2")
		if got, want := roomsOf(e), []string{"1:2", "2:1", "party:1"}; !slices.Equal(got, want) {
			t.Errorf("rooms %v, want %v", got, want)
		}
		late := e.dial("late", transport.TCP)
		wantCode(t, late.Join(context.Background(), "hall", "1"), codec.ErrorFull)
		if err := b.Leave(context.Background()); err != nil {
			t.Fatal(err)
		}
		join(t, late, "1") // by its key, which its player told
		roomOf(e.srv.User("c")[0]).SetOpen(false)
		any("d", "3")
		wantCode(t, b.Join(context.Background(), "hall", "2"), codec.ErrorRefused)
		roomOf(e.srv.User("c")[0]).SetOpen(true)
		any("e", "2")
		join(t, b, "4") // the key that the next room for strangers would have
		any("f", "3")
		any("g", "5")
		if got, want := roomsOf(e), []string{"1:2", "2:2", "3:2", "4:1", "5:1", "party:1"}; !slices.Equal(got, want) {
			t.Errorf("rooms %v, want %v", got, want)
		}
		// A seat is taken from the moment that it is promised.
		if st := e.srv.Stats().Rooms["hall"]; st.Players != 9 {
			t.Errorf("%+v", st)
		}
	}, func(rooms *framework.Rooms[*hall]) { rooms.Seats(2) })
}

// An empty room lingers, and its time stands still; who comes in time finds it as
// it was.
func TestEmptyRoomsLinger(t *testing.T) {
	for _, linger := range []time.Duration{10 * time.Second, -1} {
		hallServer(t, framework.Config{}, func(e *env, d *diary, rooms *framework.Rooms[*hall]) {
			c := e.dial("ann", transport.TCP)
			for range 3 {
				join(t, c, "1")
				time.Sleep(1050 * time.Millisecond)
				if err := c.Leave(context.Background()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(9 * time.Second)
			}
			if d.halls.Load() != 1 || !slices.Equal(roomsOf(e), []string{"1:0"}) {
				t.Errorf("%d halls were made, %v are there", d.halls.Load(), roomsOf(e))
			}
			time.Sleep(2 * time.Second)
			d.mu.Lock()
			ticks := len(d.ticks)
			d.mu.Unlock()
			if n := len(roomsOf(e)); n != 0 && linger > 0 || n != 1 && linger < 0 || ticks != 30 {
				t.Errorf("linger %v: %d rooms, %d ticks", linger, n, ticks)
			}
			for i, tick := range d.ticks {
				if tick.N != uint64(i+1) || tick.Overrun != 0 {
					t.Errorf("tick %d is %+v", i+1, tick)
				}
			}
			join(t, c, "1")
			if n := d.halls.Load(); n != 2 && linger > 0 || n != 1 && linger < 0 {
				t.Errorf("linger %v: %d halls were made", linger, n)
			}
		}, func(rooms *framework.Rooms[*hall]) { rooms.Linger(linger) })
	}
}

// Who moves is in before it is out, and stays where it is when it is not let in.
func TestMovingBetweenRooms(t *testing.T) {
	hallServer(t, framework.Config{}, func(e *env, d *diary, rooms *framework.Rooms[*hall]) {
		e.dial("ann", transport.TCP)
		e.dial("bob", transport.TCP)
		ann, bob := e.srv.User("ann")[0], e.srv.User("bob")[0]
		if rooms.Move(ann, "1") != nil { // from nowhere
			t.Error("ann is not let in")
		}
		e.within(time.Second, "ann is in", d.has("ann joins"))
		wantCode(t, rooms.JoinAsync(ann, "2"), codec.ErrorInRoom)
		wantCode(t, rooms.Move(bob, "1"), codec.ErrorFull)
		if rooms.Move(bob, "2") != nil {
			t.Error("bob is not let in")
		}
		e.within(time.Second, "bob is in", d.has("bob joins"))
		wantCode(t, rooms.Move(ann, "2"), codec.ErrorFull)
		if roomOf(ann) == nil || roomOf(ann).Key() != "1" {
			t.Error("ann was moved out of her room")
		}
		if err := rooms.Move(ann, ""); err != nil {
			t.Error(err)
		}
		e.within(time.Second, "ann has moved", func() bool { r := roomOf(ann); return r != nil && r.Key() != "1" })
		want := []string{"ann joins", "bob joins", "ann joins", "ann leaves: moved to another room"}
		if got := d.all(); !slices.Equal(got, want) {
			t.Errorf("the rooms saw %v, want %v", got, want)
		}
		// Gone in the middle of a move, everything is given back.
		if err := rooms.Move(ann, "9"); err != nil {
			t.Error(err)
		}
		ann.Kick(session.Kicked, "")
		bob.Kick(session.Kicked, "")
		e.within(time.Second, "the rooms are empty", func() bool { return len(roomsOf(e)) == 0 })
		if wantCode(t, bob.Leave(), codec.ErrorNotJoined); rooms.Move(bob, "1") == nil {
			t.Error("a closed player moved")
		}
	}, func(rooms *framework.Rooms[*hall]) { rooms.Seats(1) })
}

// closing is a room that says goodbye.
type closing struct {
	*framework.Room
	d *diary
}

func (c closing) OnShutdown(time.Duration) {
	c.d.add("%s shuts down with %d", c.Key(), c.Len())
	if c.Key() == "2" {
		panic("too late")
	}
}

func (c closing) OnLeave(p *framework.Player, why framework.Reason) {
	c.d.add("%s leaves: %v", p.User(), why)
}

func TestRoomsHearOfTheShutdownBeforeTheirMembersLeave(t *testing.T) {
	d := &diary{}
	var panics []string
	cfg := framework.Config{OnPanic: func(p *framework.Player, in string, v any) {
		panics = append(panics, fmt.Sprint(p == nil, " ", in, ": ", v))
		panic("in OnPanic too")
	}}
	simulate(t, 1, memnet.Conditions{}, cfg, func(s *framework.Server) {
		framework.AddRoom(s, "hall", func(r *framework.Room) closing { return closing{r, d} }).Linger(-1)
	}, func(e *env) {
		join(t, e.dial("ann", transport.TCP), "1")
		bob := e.dial("bob", transport.TCP)
		join(t, bob, "2")
		if err := bob.Leave(context.Background()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.srv.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		got := d.all()
		slices.Sort(got[1:3])
		want := []string{"bob leaves: left", "1 shuts down with 1", "2 shuts down with 0", "ann leaves: shutting down"}
		if !slices.Equal(got, want) || !slices.Equal(panics, []string{"true OnShutdown: too late"}) {
			t.Errorf("the rooms saw %v, want %v; panics %v", got, want, panics)
		}
	})
}

func TestOnPanicNamesThePlayerAndTheRoute(t *testing.T) {
	var told atomic.Value
	cfg := framework.Config{OnPanic: func(p *framework.Player, in string, v any) { told.Store(fmt.Sprint(p.User(), " ", in, ": ", v)) }}
	hallServer(t, cfg, func(e *env, d *diary, rooms *framework.Rooms[*hall]) {
		c := e.dial("ann", transport.TCP)
		join(t, c, "1")
		_ = c.Send("boom", 1)
		e.within(time.Second, "it is told", func() bool { return told.Load() == "ann boom: boom" })
	})
}

// A room that never comes to what was posted does not pile it up.
func TestPostsAreBounded(t *testing.T) {
	hallServer(t, framework.Config{}, func(e *env, d *diary, rooms *framework.Rooms[*hall]) {
		join(t, e.dial("ann", transport.TCP), "1")
		block, taken := make(chan struct{}), 0
		var ran atomic.Int64
		rooms.Post("1", func(*hall) { <-block })
		time.Sleep(time.Second)
		for rooms.Post("1", func(*hall) { ran.Add(1) }) {
			taken++
		}
		close(block)
		time.Sleep(time.Second)
		if taken != 4096 || ran.Load() != 4096 || !rooms.Post("1", func(*hall) {}) {
			t.Errorf("%d taken, %d ran", taken, ran.Load())
		}
	})
}

func TestBroadcastReachesWhomItIsFor(t *testing.T) {
	hallServer(t, framework.Config{Loops: 2}, func(e *env, d *diary, rooms *framework.Rooms[*hall]) {
		got := map[string]*atomic.Int64{}
		for _, user := range []string{"a1", "a2", "b1", "b2"} {
			n := new(atomic.Int64)
			got[user] = n
			c := e.newClient(user, transport.TCP)
			client.OnMessage(c, "team", func(v int64) { n.Add(v) })
			e.connect(c)
			join(t, c, "1")
		}
		rooms.Post("1", func(h *hall) {
			_ = h.BroadcastTo(func(p *framework.Player) bool { return p.User()[0] == 'a' }, "team", 1)
			_ = h.Broadcast("team", 10, h.Members()[3])
			_ = h.Broadcast("team", 100)
		})
		time.Sleep(time.Second)
		for user, want := range map[string]int64{"a1": 111, "a2": 111, "b1": 110, "b2": 100} {
			if n := got[user].Load(); n != want {
				t.Errorf("%s got %d, want %d", user, n, want)
			}
		}
	})
}

// TestJoiningTheRoomOneIsInSucceeds: an app that comes back by its token, or takes
// the session over, does not know that its seat was kept.
func TestJoiningTheRoomOneIsInSucceeds(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		hallServer(t, framework.Config{Duplicate: framework.DuplicateAdopt}, func(e *env, d *diary, rooms *framework.Rooms[*hall]) {
			c := e.dial("ann", carrier)
			join(t, c, "1")
			again := func(c *client.Client) {
				join(t, c, "1")
				if key, err := c.JoinAny(context.Background(), "hall"); key != "1" || err != nil {
					t.Errorf("any hall is %q, %v", key, err)
				}
				wantCode(t, c.Join(context.Background(), "hall", "2"), codec.ErrorInRoom)
			}
			again(c)
			token := c.Token()
			c.Cut()
			c.Pause() // it is dead: it does not dial again
			back, err := client.New([]string{e.addr(carrier)}, e.dialers(client.Config{Token: token}))
			if err != nil {
				t.Fatal(err)
			}
			e.clients = append(e.clients, back)
			e.connect(back)
			again(back)
			again(e.dial("ann", carrier)) // adopts the session
			p := e.srv.User("ann")[0]
			if err := rooms.Move(p, "1"); err != nil || roomOf(p).Len() != 1 {
				t.Errorf("moved to where it is: %v", err)
			}
			roomOf(p).SetOpen(false)
			again(e.dial("ann", carrier)) // it is in, whoever else may come
			if got, want := roomsOf(e), []string{"1:1"}; !slices.Equal(got, want) || d.halls.Load() != 1 {
				t.Errorf("rooms %v, want %v, %d were made", got, want, d.halls.Load())
			}
			if told := strings.Join(d.all(), ", "); strings.Count(told, "joins") != 1 || strings.Contains(told, "leaves") {
				t.Errorf("the room was told %s", told)
			}
		}, func(rooms *framework.Rooms[*hall]) { rooms.Seats(1) })
	})
}

// TestJoinWhileJoining: who asks twice for one room is let in once, and told twice.
func TestJoinWhileJoining(t *testing.T) {
	hallServer(t, framework.Config{}, func(e *env, d *diary, rooms *framework.Rooms[*hall]) {
		e.dial("ann", transport.TCP)
		p := e.srv.User("ann")[0]
		told := make(chan error, 3)
		for range 3 {
			go func() { told <- rooms.Join(context.Background(), p, "1") }()
		}
		for range 3 {
			if err := <-told; err != nil {
				t.Error(err)
			}
		}
		if got := d.all(); !slices.Equal(got, []string{"ann joins"}) {
			t.Errorf("the room was told %v", got)
		}
	})
}
