// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// busybody calls everything there is, wherever it is called itself.
type busybody struct {
	srv   *framework.Server
	rooms *framework.Rooms[*meddler]
	in    atomic.Int64 // calls of it that have not returned
	calls atomic.Int64
	depth atomic.Int64 // of those that would call themselves: Observers
	quiet atomic.Bool
}

// meddle calls what may be called anywhere, and, if it may wait, what waits.
func (b *busybody) meddle(p *framework.Player, r *framework.Room, waits bool) {
	if b.quiet.Load() || b.depth.Add(1) > 1 {
		if !b.quiet.Load() {
			b.depth.Add(-1)
		}
		return
	}
	defer b.depth.Add(-1)
	b.calls.Add(1)
	b.in.Add(1)
	defer b.in.Add(-1)
	s := b.srv
	_ = s.Stats()
	_ = s.InspectRooms(10, func(in *framework.RoomInfo) bool { return b.rooms.Post(in.Key, func(*meddler) {}) })
	_ = s.Broadcast("all", 1)
	_ = s.User("ann")
	s.Maintenance("", 0)
	_ = s.Group("g").Broadcast("all", 1)
	b.rooms.Post("1", func(*meddler) {})
	if r != nil {
		r.Post(func() {})
		_ = r.Publish(map[string]string{"a": "b"})
		r.SetOpen(true)
		_ = r.HandOver()
		_ = r.Generation()
	}
	if p != nil {
		s.Group("g").Add(p)
		_ = s.Group("g").By(p).Broadcast("all", 1)
		s.Group("g").Remove(p)
		_ = p.Push("one", 1)
		_, _, _, _ = p.Rooms(), p.Attached(), p.RTT(), p.Context()
		_ = p.SetHeartbeat(framework.HeartbeatNormal)
		_ = b.rooms.JoinAsync(p, "1")
		_ = b.rooms.Of(p)
		_ = p.Move("")
		p.OnClose(func() {})
	}
	if !waits {
		return
	}
	_ = s.Inspect(10, func(*framework.Info) bool { return true })
	short := func(f func(ctx context.Context) error) {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		_ = f(ctx)
	}
	short(func(ctx context.Context) error { return b.rooms.Do(ctx, "1", func(*meddler) {}) })
	short(func(ctx context.Context) error { _, err := b.rooms.Open(ctx, struct{}{}); return err })
	short(func(ctx context.Context) error { return b.rooms.Reserve(ctx, "1", "bob") })
	short(func(ctx context.Context) error { return b.rooms.Bring(ctx, "1", "bob") })
	if p != nil {
		short(func(ctx context.Context) error { return b.rooms.Join(ctx, p, "1") })
		short(func(ctx context.Context) error { return b.rooms.Seat(ctx, "1", p) })
		short(func(ctx context.Context) error { return b.rooms.Watch(ctx, p, "2") })
		short(func(ctx context.Context) error { return p.Request(ctx, "asked", 1, nil) })
	}
}

// meddler is a room of it.
type meddler struct {
	*framework.Room
	b *busybody
}

func (m *meddler) OnCreate() error                                   { m.b.meddle(nil, m.Room, true); return nil }
func (m *meddler) OnJoin(p *framework.Player) error                  { m.b.meddle(p, m.Room, true); return nil }
func (m *meddler) OnDetach(p *framework.Player)                      { m.b.meddle(p, m.Room, true) }
func (m *meddler) OnResume(p *framework.Player)                      { m.b.meddle(p, m.Room, true) }
func (m *meddler) OnSnapshot(p *framework.Player)                    { m.b.meddle(p, m.Room, true) }
func (m *meddler) OnLeave(p *framework.Player, _ framework.Reason)   { m.b.meddle(p, m.Room, true) }
func (m *meddler) OnWatch(p *framework.Player) error                 { m.b.meddle(p, m.Room, true); return nil }
func (m *meddler) OnUnwatch(p *framework.Player, _ framework.Reason) { m.b.meddle(p, m.Room, true) }
func (m *meddler) OnEnd(framework.Reason)                            { m.b.meddle(nil, m.Room, true) }
func (m *meddler) OnShutdown(time.Duration)                          { m.b.meddle(nil, m.Room, true) }
func (m *meddler) OnTick(t framework.Tick) {
	if t.N%20 == 0 {
		m.b.meddle(nil, m.Room, true)
	}
}

// TestEverythingFromEverywhere: no call waits for the callback that makes it longer than its
// context says, and none is left waiting.
func TestEverythingFromEverywhere(t *testing.T) {
	b := &busybody{}
	var p0 atomic.Pointer[framework.Player]
	cfg := framework.Config{
		Session: quick, Loops: 2, Duplicate: framework.DuplicateAdopt,
		Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
			b.meddle(p0.Load(), nil, true)
			return framework.Identity{User: string(l.Ticket)}, nil
		},
		OnOpen:     func(p *framework.Player) { p0.Store(p); b.meddle(p, nil, true) },
		OnDetach:   func(p *framework.Player) { b.meddle(p, nil, true) },
		OnResume:   func(p *framework.Player) { b.meddle(p, nil, true) },
		OnSnapshot: func(p *framework.Player) { b.meddle(p, nil, true) },
		OnClose:    func(p *framework.Player, _ framework.Reason) { b.meddle(p, nil, true) },
		OnPanic:    func(p *framework.Player, _ string, _ any) { b.meddle(p, nil, false) },
		Observer: framework.Observer{
			Opened:     func(p *framework.Player, _ bool) { b.meddle(p, nil, false) },
			Lost:       func(p *framework.Player, _ string) { b.meddle(p, nil, false) },
			Resumed:    func(p *framework.Player, _ bool) { b.meddle(p, nil, false) },
			Closed:     func(p *framework.Player, _ framework.Reason) { b.meddle(p, nil, false) },
			Refused:    func(netip.AddrPort, framework.Carrier, framework.Reason) { b.meddle(p0.Load(), nil, false) },
			Handled:    func(p *framework.Player, _ string, _ time.Duration, _ error) { b.meddle(p, nil, false) },
			Dropped:    func(p *framework.Player, _ string, _ int) { b.meddle(p, nil, false) },
			Overflowed: func(p *framework.Player, _ bool) { b.meddle(p, nil, false) },
		},
	}
	cfg.Session.SendPackets = 40
	simulate(t, 1, memnet.Conditions{}, cfg, func(s *framework.Server) {
		b.srv = s
		s.Sends(framework.DropOldest, "all")
		b.rooms = framework.AddRoom(s, "meddlers", func(r *framework.Room) *meddler {
			m := &meddler{r, b}
			b.meddle(nil, r, true)
			r.After(time.Second, func() { b.meddle(nil, r, true) })
			return m
		}).Tick(200 * time.Millisecond).Spectators(5).Most(12).Linger(time.Second)
		framework.OnRequest(s, "ask", func(p *framework.Player, n int) (int, error) { b.meddle(p, nil, true); return n, nil })
		framework.OnRequest(s, "now", func(p *framework.Player, n int) (int, error) { b.meddle(p, nil, false); return n, nil }).Inline()
		framework.OnMessage(s, "boom", func(p *framework.Player, n int) { panic("boom") })
		framework.OnRoomRequest(b.rooms, "size", func(m *meddler, p *framework.Player, n int) (int, error) {
			b.meddle(p, m.Room, true)
			return m.Len(), nil
		})
	}, func(e *env) {
		for i := range 4 {
			user := []string{"ann", "bob", "cat", "ann"}[i]
			c := e.newClient(user, carriers[i%len(carriers)])
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				_ = c.Connect(ctx)
				for round := range 10 {
					_ = c.Join(ctx, "meddlers", []string{"1", "2"}[round%2])
					_ = c.Request(ctx, "ask", 1, nil)
					_ = c.Request(ctx, "now", 1, nil)
					_ = c.Request(ctx, "size", 1, nil)
					c.Cut()
					time.Sleep(time.Second)
					if round == 5 {
						_ = c.Send("boom", 1)
					}
					for _, p := range e.srv.User(user) {
						for range 60 * (round % 2) {
							_ = p.Push("all", 1)
							_ = p.Push("flood", 1)
						}
					}
					_ = c.Leave(ctx)
				}
			}()
		}
		time.Sleep(3 * time.Minute)
		if n := b.calls.Load(); n < 100 {
			t.Errorf("%d calls", n)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := e.srv.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if n := b.in.Load(); n != 0 {
			t.Errorf("%d calls have not returned", n)
		}
		if n := e.srv.Stats().Transport.Panics; n != 0 {
			t.Errorf("%d panics of our own code", n)
		}
		b.quiet.Store(true)
	})
}

// TestBeforeStartAndAfterShutdown: what is called then does nothing, says so where it can, and
// leaves nothing running.
func TestBeforeStartAndAfterShutdown(t *testing.T) {
	var srv *framework.Server
	var rooms *framework.Rooms[*framework.Room]
	var p *framework.Player
	var room *framework.Room
	all := func(when string) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = srv.Broadcast("all", 1)
		_, _, _ = srv.Stats(), srv.User("ann"), srv.Player(session.ID{})
		_ = srv.Inspect(10, func(*framework.Info) bool { return true })
		_ = srv.InspectRooms(10, func(*framework.RoomInfo) bool { return true })
		_ = srv.Group("g").Broadcast("all", 1)
		_ = srv.PublicKey()
		srv.Maintenance("later", 0)
		srv.Maintenance("", 0)
		if key, err := rooms.Open(ctx, struct{}{}); (err == nil) != (p == nil) {
			t.Errorf("%s: room %q was opened, %v", when, key, err)
		}
		if err := rooms.Seat(ctx, "1"); err == nil {
			t.Errorf("%s: seated in no room", when)
		}
		if err := rooms.Reserve(ctx, "1", "ann"); !errors.Is(err, framework.ErrNoRoom) {
			t.Errorf("%s: reserve: %v", when, err)
		}
		if err := rooms.Bring(ctx, "1", "ann"); !errors.Is(err, framework.ErrClosed) {
			t.Errorf("%s: bring: %v", when, err)
		}
		if err := rooms.Do(ctx, "1", func(*framework.Room) {}); !errors.Is(err, framework.ErrNoRoom) {
			t.Errorf("%s: do: %v", when, err)
		}
		if rooms.Post("1", func(*framework.Room) {}) {
			t.Errorf("%s: posted to no room", when)
		}
		if p == nil {
			return
		}
		ran := false
		p.OnClose(func() { ran = true })
		for what, err := range map[string]error{
			"push": p.Push("one", 1), "join": rooms.Join(ctx, p, "1"), "join later": rooms.JoinAsync(p, "1"), "watch": rooms.Watch(ctx, p, "1"),
			"move": rooms.Move(p, "1"), "request": p.Request(ctx, "asked", 1, nil), "leave": p.Leave(),
		} {
			if err == nil || ctx.Err() != nil {
				t.Errorf("%s: %s: %v", when, what, err)
			}
		}
		if !ran || srv.Group("g").Add(p) || p.Attached() || p.Context().Err() == nil || len(p.Rooms()) != 0 {
			t.Errorf("%s: the player lives on", when)
		}
		p.Kick(session.Kicked, "")
		_ = p.SetHeartbeat(framework.HeartbeatNormal)
		room.Close(0, "")
		room.SetOpen(true)
		room.PlayOn(time.Minute)
		if room.Post(func() {}) || room.Remove(p, 0, "") {
			t.Errorf("%s: the room lives on", when)
		}
		if err := room.HandOver(); err == nil {
			t.Errorf("%s: handed over", when)
		}
	}
	simulate(t, 1, memnet.Conditions{}, framework.Config{Session: quick}, func(s *framework.Server) {
		srv = s
		rooms = framework.AddRoom(s, "den", func(r *framework.Room) *framework.Room { return r }).Spectators(1).Listed()
		all("before Start")
	}, func(e *env) {
		c := e.dial("ann", transport.TCP)
		if err := c.Join(context.Background(), "den", "1"); err != nil {
			t.Fatal(err)
		}
		p = srv.User("ann")[0]
		room = rooms.Of(p)
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		results := make(chan error, 3)
		for _, ctx := range []context.Context{context.Background(), gone, context.Background()} {
			go func() { results <- e.srv.Shutdown(ctx) }()
		}
		for range cap(results) {
			if err := <-results; err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		all("after Shutdown")
		time.Sleep(time.Minute)
		all("long after it")
		for range 20 {
			if err := srv.Shutdown(gone); err != nil {
				t.Error("again: ", err)
			}
		}
	})
}

// TestNeverStarted: a server that is shut down before it was started leaves no room running,
// and makes none from then on.
func TestNeverStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := configured(t, framework.Config{})
		var made, over atomic.Int64
		rooms := framework.AddRoom(srv, "den", func(r *framework.Room) *framework.Room { made.Add(1); return r }).Linger(-1)
		early := framework.AddRoom(srv, "hall", func(r *framework.Room) *foyer { return &foyer{r, &over} }).Linger(-1)
		for range 3 {
			if _, err := rooms.Open(t.Context(), struct{}{}); err != nil {
				t.Error(err)
			}
			if _, err := early.Open(t.Context(), struct{}{}); err != nil {
				t.Error(err)
			}
		}
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := rooms.Open(t.Context(), struct{}{}); err == nil || made.Load() != 3 || over.Load() != 3 {
			t.Errorf("%d rooms were made, %d have ended: %v", made.Load(), over.Load(), err)
		}
		if left := srv.Left(); left != nil {
			t.Errorf("left: %q", left)
		}
	})
}

// foyer is a room that counts its end.
type foyer struct {
	*framework.Room
	over *atomic.Int64
}

func (h *foyer) OnEnd(framework.Reason) { h.over.Add(1) }
