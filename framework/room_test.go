// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
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

// hall is a room that writes down what happens to it. log is read by the test
// and belongs to mu; everything else to the room's goroutine.
type hall struct {
	*framework.Room
	diary *diary
}

type diary struct {
	mu    sync.Mutex
	lines []string
	halls atomic.Int64
	ticks []framework.Tick
	slow  atomic.Int64 // how long a tick takes
	panik atomic.Bool  // the next tick panics
}

func (d *diary) add(format string, args ...any) {
	d.mu.Lock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
	d.mu.Unlock()
}

func (d *diary) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

func (h *hall) OnJoin(p *framework.Player) error {
	switch p.User() {
	case "refused":
		return framework.Fail(1001, "you are not on the list")
	case "clumsy":
		panic("OnJoin")
	}
	h.diary.add("%s joins", p.User())
	return h.Broadcast("joined", p.User(), p)
}
func (h *hall) OnDetach(p *framework.Player)   { h.diary.add("%s drops", p.User()) }
func (h *hall) OnResume(p *framework.Player)   { h.diary.add("%s resumes", p.User()) }
func (h *hall) OnSnapshot(p *framework.Player) { h.diary.add("%s needs a snapshot", p.User()) }
func (h *hall) OnLeave(p *framework.Player, why framework.Reason) {
	h.diary.add("%s leaves: %v", p.User(), why)
}
func (h *hall) OnTick(t framework.Tick) {
	h.diary.mu.Lock()
	h.diary.ticks = append(h.diary.ticks, t)
	h.diary.mu.Unlock()
	if h.diary.panik.Swap(false) {
		panic("OnTick")
	}
	time.Sleep(time.Duration(h.diary.slow.Load()))
}

func hallServer(t *testing.T, cfg framework.Config, f func(e *env, d *diary, rooms *framework.Rooms[*hall]), set ...func(*framework.Rooms[*hall])) {
	t.Helper()
	d := &diary{}
	var rooms *framework.Rooms[*hall]
	cfg.Session = quick
	simulate(t, 1, memnet.Conditions{Delay: 5 * time.Millisecond}, cfg, func(s *framework.Server) {
		rooms = framework.AddRoom(s, "hall", func(r *framework.Room) *hall {
			d.halls.Add(1)
			return &hall{r, d}
		}).Tick(100 * time.Millisecond)
		framework.OnRoomRequest(rooms, "size", func(h *hall, _ *framework.Player, _ int) (int, error) { return h.Len(), nil })
		framework.OnRoomMessage(rooms, "shout", func(h *hall, p *framework.Player, s string) { _ = h.Broadcast("heard", p.User()+": "+s) })
		framework.OnRoomMessage(rooms, "boom", func(*hall, *framework.Player, int) { panic("boom") })
		for _, f := range set {
			f(rooms)
		}
	}, func(e *env) { f(e, d, rooms) })
}

func join(t *testing.T, c *client.Client, key string) {
	t.Helper()
	if err := c.Join(context.Background(), "hall", key); err != nil {
		t.Fatal(err)
	}
}

func TestRoomSeesAPlayersWholeLife(t *testing.T) {
	hallServer(t, framework.Config{}, func(e *env, d *diary, _ *framework.Rooms[*hall]) {
		ann, bob := e.newClient("ann", transport.TCP), e.newClient("bob", transport.PlainKCP)
		var heard, joined []string
		client.OnMessage(ann, "heard", func(s string) { heard = append(heard, s) })
		client.OnMessage(ann, "joined", func(s string) { joined = append(joined, s) })
		e.connect(ann)
		e.connect(bob)
		wantCode(t, ann.Request(context.Background(), "size", 0, new(int)), codec.ErrorNotJoined)
		join(t, ann, "1")
		join(t, bob, "1")
		wantCode(t, ann.Join(context.Background(), "hall", "2"), codec.ErrorInRoom)
		wantCode(t, ann.Join(context.Background(), "nowhere", "2"), codec.ErrorNoRoute)
		var n int
		if err := bob.Request(context.Background(), "size", 0, &n); err != nil || n != 2 {
			t.Fatalf("size %d, %v", n, err)
		}
		_ = bob.Send("shout", "hi")
		bob.Pause() // the link goes, the seat stays
		e.within(time.Second, "bob drops", func() bool { return slices.Contains(d.all(), "bob drops") })
		bob.Hurry()
		e.within(time.Second, "bob resumes", func() bool { return slices.Contains(d.all(), "bob resumes") })
		if err := bob.Leave(context.Background()); err != nil {
			t.Fatal(err)
		}
		wantCode(t, bob.Request(context.Background(), "size", 0, &n), codec.ErrorNotJoined)
		_ = ann.Close()
		e.within(time.Second, "ann leaves", func() bool { return slices.Contains(d.all(), "ann leaves: left") })
		want := []string{"ann joins", "bob joins", "bob drops", "bob resumes", "bob leaves: left", "ann leaves: left"}
		if got := d.all(); !slices.Equal(got, want) {
			t.Errorf("the room saw %v, want %v", got, want)
		}
		if !slices.Equal(heard, []string{"bob: hi"}) || !slices.Equal(joined, []string{"bob"}) {
			t.Errorf("ann heard %v and saw %v join", heard, joined)
		}
		// Empty, the room has ended; the next one is another.
		join(t, bob, "1")
		if d.halls.Load() != 2 {
			t.Errorf("%d halls were made, want 2", d.halls.Load())
		}
	})
}

func TestRoomRefusesAndSurvivesPanics(t *testing.T) {
	hallServer(t, framework.Config{}, func(e *env, d *diary, _ *framework.Rooms[*hall]) {
		ann := e.dial("ann", transport.TCP)
		join(t, ann, "1")
		refused := e.dial("refused", transport.TCP)
		wantCode(t, refused.Join(context.Background(), "hall", "1"), 1001)
		for _, user := range []string{"clumsy", "boomer"} {
			c := e.dial(user, transport.TCP)
			if user == "boomer" {
				join(t, c, "1")
				_ = c.Send("boom", 1)
			} else if err := c.Join(context.Background(), "hall", "1"); err == nil {
				t.Error("a join that panicked succeeded")
			}
			e.within(time.Second, user+" is closed", func() bool { return slices.Contains(e.of(user), "close internal error") })
			_ = c.Close()
		}
		d.panik.Store(true)
		time.Sleep(time.Second)
		var n int
		if err := ann.Request(context.Background(), "size", 0, &n); err != nil || n != 1 {
			t.Errorf("size %d, %v", n, err)
		}
		if p := e.srv.Stats().Panics; p != 3 {
			t.Errorf("%d panics counted, want 3", p)
		}
	})
}

func TestTicksKeepTheirStepAndTellOverruns(t *testing.T) {
	hallServer(t, framework.Config{}, func(e *env, d *diary, _ *framework.Rooms[*hall]) {
		d.slow.Store(int64(30 * time.Millisecond))
		join(t, e.dial("ann", transport.TCP), "1")
		time.Sleep(time.Second)
		d.mu.Lock()
		for i, tk := range d.ticks {
			if tk.N != uint64(i+1) || tk.Step != 100*time.Millisecond || tk.Overrun != 0 {
				t.Errorf("tick %d is %+v", i, tk)
			}
		}
		if n := len(d.ticks); n < 9 || n > 10 {
			t.Errorf("%d ticks in a second", n)
		}
		d.ticks = nil
		d.slow.Store(int64(250 * time.Millisecond))
		d.mu.Unlock()
		time.Sleep(2 * time.Second)
		d.mu.Lock()
		defer d.mu.Unlock()
		late := 0
		for i, tk := range d.ticks[1:] {
			if tk.N <= d.ticks[i].N {
				t.Errorf("tick %d after %d", tk.N, d.ticks[i].N)
			}
			if tk.Overrun > 0 {
				late++
			}
		}
		if late == 0 {
			t.Error("no overrun was told")
		}
	})
}

// TestSnapshotIsAskedForAfterAReset: a member that overflowed comes back to
// OnResume and then OnSnapshot.
func TestSnapshotIsAskedForAfterAReset(t *testing.T) {
	hallServer(t, framework.Config{}, func(e *env, d *diary, _ *framework.Rooms[*hall]) {
		ann := e.dial("ann", transport.TCP)
		join(t, ann, "1")
		ann.Pause()
		e.within(time.Second, "ann drops", func() bool { return slices.Contains(d.all(), "ann drops") })
		p := e.srv.User("ann")[0]
		for i := range 3000 {
			_ = p.Push("flood", i)
		}
		ann.Hurry()
		e.within(5*time.Second, "a snapshot is asked for", func() bool { return slices.Contains(d.all(), "ann needs a snapshot") })
		if got, want := d.all()[1:], []string{"ann drops", "ann resumes", "ann needs a snapshot"}; !slices.Equal(got, want) {
			t.Errorf("the room saw %v, want %v", got, want)
		}
	})
}

// TestMembersWhoNeverComeBackLeaveOnce: the seat is given up when the grace ends.
func TestMembersWhoNeverComeBackLeaveOnce(t *testing.T) {
	hallServer(t, framework.Config{}, func(e *env, d *diary, _ *framework.Rooms[*hall]) {
		ann := e.dial("ann", transport.PlainKCP)
		join(t, ann, "1")
		ann.Pause()
		time.Sleep(50 * time.Second)
		if slices.Contains(d.all(), "ann leaves: expired") {
			t.Error("the seat was given up too early")
		}
		time.Sleep(15 * time.Second)
		if got, want := d.all(), []string{"ann joins", "ann drops", "ann leaves: expired"}; !slices.Equal(got, want) {
			t.Errorf("the room saw %v, want %v", got, want)
		}
	})
}

func TestServerSideJoinAndPost(t *testing.T) {
	hallServer(t, framework.Config{}, func(e *env, d *diary, rooms *framework.Rooms[*hall]) {
		e.dial("ann", transport.TCP)
		p := e.srv.User("ann")[0]
		if err := rooms.Join(context.Background(), p, "7"); err != nil {
			t.Fatal(err)
		}
		size := make(chan int, 1)
		if !rooms.Post("7", func(h *hall) { size <- h.Len() }) || <-size != 1 {
			t.Error("the room is not there")
		}
		if rooms.Post("8", func(*hall) {}) {
			t.Error("a room nobody made took a post")
		}
		p.Kick(session.Kicked, "")
		e.within(time.Second, "ann leaves", func() bool { return slices.Contains(d.all(), "ann leaves: kicked") })
		if err := rooms.Join(context.Background(), p, "7"); err == nil {
			t.Error("a closed player joined")
		}
	})
}

// TestPlayersEnterFromTheirOwnHook: the lobby that everybody is in from the start.
func TestPlayersEnterFromTheirOwnHook(t *testing.T) {
	var rooms *framework.Rooms[*hall]
	d := &diary{}
	var entered atomic.Int32
	cfg := framework.Config{Session: quick, OnOpen: func(p *framework.Player) {
		if err := rooms.JoinAsync(p, "lobby"); err != nil {
			t.Error(err)
		}
		entered.Add(1)
	}}
	simulate(t, 1, memnet.Conditions{}, cfg, func(s *framework.Server) {
		rooms = framework.AddRoom(s, "hall", func(r *framework.Room) *hall { return &hall{r, d} }).Tick(time.Second)
	}, func(e *env) {
		c := e.dial("ann", transport.TCP)
		e.dial("refused", transport.TCP)
		e.within(time.Second, "both hooks have run", func() bool { return entered.Load() == 2 })
		e.within(time.Second, "ann is in", func() bool { return slices.Contains(d.all(), "ann joins") })
		_ = c.Close()
		e.within(time.Second, "ann is out", func() bool { return slices.Contains(d.all(), "ann leaves: left") })
	})
}
