// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
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
