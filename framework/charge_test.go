// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
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

// Nobody pays for what another does.

// echoRoom is a room in which a player makes everybody hear n bytes.
type echoRoom struct{ *framework.Room }

func (p *echoRoom) shout(_ *framework.Player, n int) { _ = p.Broadcast("noise", make([]byte, n)) }

func echoRooms(s *framework.Server) *framework.Rooms[*echoRoom] {
	rooms := framework.AddRoom(s, "hall", func(r *framework.Room) *echoRoom { return &echoRoom{r} })
	framework.OnRoomMessage(rooms, "shout", (*echoRoom).shout)
	return rooms
}

// TestShouterIsSlowedAndItsReadersLive: one player makes the server send ten
// others twice of what their lines carry. None of them loses its session, and
// it is the shouter who waits.
func TestShouterIsSlowedAndItsReadersLive(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		cond := memnet.Conditions{Delay: 20 * time.Millisecond, Rate: 500_000}
		cfg := framework.Config{Session: session.Config{Interval: 2 * time.Second, Timeout: 8 * time.Second, Grace: 30 * time.Second}}
		simulate(t, 11, cond, cfg, func(s *framework.Server) { echoRooms(s) }, func(e *env) {
			var readers []*client.Client
			var heard atomic.Int64
			for i := range 10 {
				c := e.dial(fmt.Sprint("reader", i), carrier)
				client.OnMessage(c, "noise", func([]byte) { heard.Add(1) })
				join(t, c, "1")
				readers = append(readers, c)
			}
			shouter := e.dial("shouter", carrier)
			join(t, shouter, "1")
			said := 0
			shout := func() {
				if shouter.Send("shout", 60_000) == nil {
					said++
				}
			}
			for range 70 {
				shout()
			}
			for range 20 * 15 {
				time.Sleep(time.Second / 15)
				shout()
			}
			st := e.srv.Stats()
			for i, c := range readers {
				// The 16 that may come at once are 3.7 times of what may wait for a player.
				if c.Err() != nil || c.Stats().Opens != 1 || c.Stats().Resets > 3 {
					t.Errorf("reader %d: %v, %+v", i, c.Err(), c.Stats())
				}
			}
			if len(st.Closes) != 0 || st.Throttled == 0 {
				t.Errorf("closes %v, throttled %d times", st.Closes, st.Throttled)
			}
			// 16 at once at most, then one for each eighth of the burst.
			if most := 10 * (16 + 25*8/5); heard.Load() > int64(most) || heard.Load() < 200 {
				t.Errorf("readers heard %d of %d x 10, want no more than %d", heard.Load(), said, most)
			}
			if shouter.Err() != nil {
				t.Errorf("the shouter waits when it is told to, and lost its session: %v", shouter.Err())
			}
		})
	})
}

// TestWhatIsChargedToWhom: a broadcast of a player's handler, or a group's By, is
// its own. What the room does by itself is nobody's. Who has rested goes on.
func TestWhatIsChargedToWhom(t *testing.T) {
	const big = 300_000
	cfg := framework.Config{Session: session.Config{MaxBody: 1 << 20, SendBytes: 1 << 26, RecvBytes: 1 << 24}}
	for name, c := range map[string]struct {
		do   func(p *framework.Player, room *echoRoom)
		slow bool
	}{
		"room":     {func(p *framework.Player, r *echoRoom) { r.shout(p, big) }, true},
		"room but": {func(p *framework.Player, r *echoRoom) { _ = r.Broadcast("noise", make([]byte, big), p) }, true},
		"some": {func(p *framework.Player, r *echoRoom) {
			_ = r.BroadcastTo(func(*framework.Player) bool { return true }, "noise", make([]byte, big))
		}, true},
		"posted": {func(p *framework.Player, r *echoRoom) { r.Post(func() { r.shout(p, big) }) }, false},
		"group":  {nil, false},
		"by":     {nil, true},
		"charge": {func(p *framework.Player, _ *echoRoom) { p.Charge(2 * big) }, true},
		"alone": {func(p *framework.Player, r *echoRoom) {
			_ = r.BroadcastTo(func(q *framework.Player) bool { return p == q }, "noise", make([]byte, big))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var done atomic.Int64
			var group framework.Group
			do := c.do
			switch name {
			case "group":
				do = func(*framework.Player, *echoRoom) { _ = group.Broadcast("noise", make([]byte, big)) }
			case "by":
				do = func(p *framework.Player, _ *echoRoom) { _ = group.By(p).Broadcast("noise", make([]byte, big)) }
			}
			simulate(t, 12, memnet.Conditions{Delay: time.Millisecond}, cfg, func(s *framework.Server) {
				rooms := echoRooms(s)
				group = s.Group("all")
				framework.OnRoomMessage(rooms, "do", func(r *echoRoom, p *framework.Player, _ int) { do(p, r); done.Add(1) })
			}, func(e *env) {
				for _, user := range []string{"ann", "bob", "cid", "dan"} {
					join(t, e.dial(user, transport.TCP), "1")
				}
				for _, p := range e.players() {
					group.Add(p)
				}
				ann := e.clients[0]
				for range 20 { // 20 x 600,000 bytes or more: 11 s of the rate, of which 5 s may come at once
					if err := ann.Send("do", 1); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Second)
				if n := done.Load(); c.slow && (n < 8 || n > 12) || !c.slow && n != 20 {
					t.Errorf("%d of 20 were done after a second", n)
				}
				if n := e.srv.Stats().Throttled; (n > 0) != c.slow {
					t.Errorf("throttled %d times", n)
				}
				e.within(20*time.Second, "all is done", func() bool { return done.Load() == 20 })
			})
		})
	}
}

// TestSlowedPlayerKeepsItsOrder: what waits is handled before what comes later,
// Inline or not; a request is told to come back, and who leaves has its
// messages handled first.
func TestSlowedPlayerKeepsItsOrder(t *testing.T) {
	var d diary
	cfg := framework.Config{Rate: framework.Rate{Bytes: 1000, Burst: 8 * time.Second}}
	simulate(t, 13, memnet.Conditions{Delay: time.Millisecond}, cfg, func(s *framework.Server) {
		framework.OnMessage(s, "cost", func(p *framework.Player, n int) { d.add("cost %d", n); p.Charge(1000) })
		framework.OnMessage(s, "note", func(_ *framework.Player, n int) { d.add("note %d", n) }).Inline()
	}, func(e *env) {
		c := e.dial("ann", transport.TCP)
		for i := range 12 {
			_ = c.Send("cost", i)
			_ = c.Send("note", i)
		}
		e.within(30*time.Second, "all is done", func() bool { return len(d.all()) == 24 })
		for i, line := range d.all() {
			if want := fmt.Sprintf("%s %d", []string{"cost", "note"}[i%2], i/2); line != want {
				t.Fatalf("%d is %q, want %q", i, line, want)
			}
		}
		for i := range 12 {
			_ = c.Send("cost", 100+i)
		}
		time.Sleep(100 * time.Millisecond)
		if n := len(d.all()); n == 36 {
			t.Error("nothing waits")
		}
		_ = c.Close()
		e.within(5*time.Second, "what it had sent is done", func() bool { return len(d.all()) == 36 })
	})
}

// TestRouteMax: what is larger than its route takes reaches no handler.
func TestRouteMax(t *testing.T) {
	var heard atomic.Int64
	simulate(t, 14, memnet.Conditions{Delay: time.Millisecond}, framework.Config{}, func(s *framework.Server) {
		rooms := echoRooms(s)
		count := func(string) (int, error) { heard.Add(1); return 1, nil }
		framework.OnRoomMessage(rooms, "room", func(_ *echoRoom, _ *framework.Player, m string) { heard.Add(1) })
		framework.OnRoomRequest(rooms, "ask", func(_ *echoRoom, _ *framework.Player, q string) (int, error) { return count(q) })
		framework.OnRoomRequest(rooms, "more", func(_ *echoRoom, _ *framework.Player, q string) (int, error) { return count(q) }).Max(5000)
		framework.OnRequest(s, "any", func(_ *framework.Player, q string) (int, error) { return count(q) })
		framework.OnRequest(s, "less", func(_ *framework.Player, q string) (int, error) { return count(q) }).Inline().Max(10)
	}, func(e *env) {
		c := e.dial("ann", transport.TCP)
		join(t, c, "1")
		want, refused := int64(0), uint64(0)
		for _, x := range []struct {
			route string
			n     int
			ok    bool
		}{
			{"ask", 4093, true}, {"ask", 4094, false}, {"more", 4997, true}, {"more", 4998, false}, // 3 bytes are the string's head
			{"any", 60_000, true}, {"less", 9, true}, {"less", 10, false},
		} {
			var n int
			err := c.Request(e.t.Context(), x.route, strings.Repeat("x", x.n), &n)
			var told *codec.Error
			if x.ok {
				want++
			} else {
				refused++
			}
			if x.ok && err != nil || !x.ok && (!errors.As(err, &told) || told.Code != codec.ErrorBadRequest || !strings.Contains(told.Text, x.route)) {
				t.Errorf("%d bytes for %s: %v", x.n, x.route, err)
			}
		}
		_ = c.Send("room", strings.Repeat("x", 4094))
		_ = c.Send("room", strings.Repeat("x", 4093))
		e.within(time.Second, "the smaller one arrives", func() bool { return heard.Load() == want+1 })
		if n := e.srv.Stats().TooLarge; n != refused+1 {
			t.Errorf("%d were too large, want %d", n, refused+1)
		}
	})
}

// TestRoomsCostTheirMaker: one player who makes rooms, as fast as it may, gets no
// further than its rate, is told so, and keeps its session. Nobody is in the
// rooms, so they cost no tick.
func TestRoomsCostTheirMaker(t *testing.T) {
	simulate(t, 15, memnet.Conditions{Delay: time.Millisecond}, framework.Config{}, func(s *framework.Server) {
		rooms := framework.AddRoom(s, "hall", func(r *framework.Room) *hall { return &hall{r, &diary{}} })
		rooms.Tick(50 * time.Millisecond).Linger(time.Minute)
	}, func(e *env) {
		c, busy := e.dial("ann", transport.TCP), 0
		for n, end := 0, time.Now().Add(30*time.Second); time.Now().Before(end); n++ {
			err := c.Join(e.t.Context(), "hall", fmt.Sprint("room", n))
			if err == nil {
				err = c.Leave(e.t.Context())
			}
			var told *codec.Error
			if errors.As(err, &told) && told.Code == codec.ErrorBusy {
				busy++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		st := e.srv.Stats()
		// 5 s of the rate at once and 30 s of it make 350, less what its requests cost.
		if r := st.Rooms["hall"]; r.Opened < 100 || r.Opened > 350 || r.Ticks > r.Opened || busy == 0 || st.RateLimited == 0 {
			t.Errorf("%+v, %d times busy, %d rate limited", r, busy, st.RateLimited)
		}
		if c.Err() != nil {
			t.Error(c.Err())
		}
	})
}

// TestAsManyRoomsAsThereMayBe: the one that has been empty for longest goes
// first; without one, who wants another is refused.
func TestAsManyRoomsAsThereMayBe(t *testing.T) {
	for _, linger := range []time.Duration{time.Hour, -1} {
		hallServer(t, framework.Config{}, func(e *env, d *diary, _ *framework.Rooms[*hall]) {
			visit := func(c *client.Client, key string) {
				join(t, c, key)
				time.Sleep(time.Millisecond)
				if err := c.Leave(e.t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			want := func(rooms ...string) {
				t.Helper()
				if got := roomsOf(e); fmt.Sprint(got) != fmt.Sprint(rooms) {
					t.Errorf("%v are there, want %v", got, rooms)
				}
			}
			ann, bob, cid, dan := e.dial("ann", transport.TCP), e.dial("bob", transport.TCP), e.dial("cid", transport.TCP), e.dial("dan", transport.TCP)
			visit(ann, "a")
			visit(ann, "b")
			visit(ann, "c")
			visit(ann, "a") // empty for less long than b
			want("a:0", "b:0", "c:0")
			visit(ann, "d")
			want("a:0", "c:0", "d:0")
			join(t, bob, "c")
			join(t, cid, "e")
			want("c:1", "d:0", "e:1")
			join(t, ann, "f")
			err := dan.Join(e.t.Context(), "hall", "g")
			var told *codec.Error
			if !errors.As(err, &told) || told.Code != codec.ErrorBusy {
				t.Errorf("one more: %v", err)
			}
			join(t, dan, "c")
			want("c:2", "e:1", "f:1")
			if r := e.srv.Stats().Rooms["hall"]; r.Refused != 1 || r.Evicted != 3 || r.Opened != 6 {
				t.Errorf("%+v", r)
			}
		}, func(rooms *framework.Rooms[*hall]) { rooms.Most(3).Linger(linger) })
	}
}

// TestKeysOfRooms: what can't be printed, or is too long, is no key.
func TestKeysOfRooms(t *testing.T) {
	long := strings.Repeat("x", 129)
	for name, keys := range map[string]func(string) bool{"": nil, "own": func(key string) bool { return key == long }} {
		hallServer(t, framework.Config{}, func(e *env, d *diary, _ *framework.Rooms[*hall]) {
			c := e.dial("ann", transport.TCP)
			for key, ok := range map[string]bool{
				"": true, "x": true, long[1:]: true, "Halle 7, für alle": true, "部屋": true,
				long: false, "a\x00b": false, "a\nb": false, "\xff": false, "a\u202eb": false,
			} {
				if keys != nil {
					ok = key == "" || keys(key)
				}
				err := c.Join(e.t.Context(), "hall", key)
				var told *codec.Error
				if ok && err != nil || !ok && (!errors.As(err, &told) || told.Code != codec.ErrorBadRequest) {
					t.Errorf("%s key %q: %v", name, key, err)
				}
				if err == nil {
					_ = c.Leave(e.t.Context())
				}
			}
		}, func(rooms *framework.Rooms[*hall]) {
			if keys != nil {
				rooms.Keys(keys)
			}
		})
	}
}

// TestOneAddressHasAShareOfTheWorkers: its players can't keep the workers from
// others, whatever they ask for; when they are done, their own wait no more.
func TestOneAddressHasAShareOfTheWorkers(t *testing.T) {
	const workers, share = 64, 16
	release := make(chan struct{})
	var done atomic.Int64
	simulate(t, 16, memnet.Conditions{Delay: time.Millisecond}, framework.Config{Workers: workers}, func(s *framework.Server) {
		framework.OnMessage(s, "slow", func(*framework.Player, int) { <-release; done.Add(1) })
		framework.OnRequest(s, "ask", func(_ *framework.Player, n int) (int, error) { return n, nil })
	}, func(e *env) {
		release = make(chan struct{}) // of the bubble
		for i := range workers + 10 {
			e.net.NextAddr(netip.MustParseAddr("192.0.2.1"))
			c := e.dial(fmt.Sprint("flooder", i), transport.TCP)
			if err := c.Send("slow", 1); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		if w := e.srv.Stats().Workers; w.Busy != share || w.Waiting != workers+10-share {
			t.Errorf("%+v, want %d busy and the others waiting", w, share)
		}
		var n int
		if err := e.dial("victim", transport.TCP).Request(e.t.Context(), "ask", 7, &n); err != nil || n != 7 {
			t.Errorf("another address asks: %v", err)
		}
		var told *codec.Error
		if err := e.clients[0].Request(e.t.Context(), "ask", 7, &n); !errors.As(err, &told) || told.Code != codec.ErrorBusy {
			t.Errorf("the same address asks: %v, want BUSY", err)
		}
		close(release)
		e.within(time.Second, "all are done", func() bool { return done.Load() == workers+10 })
		time.Sleep(10 * time.Millisecond)
		if w := e.srv.Stats().Workers; w.Busy != 0 || w.Waiting != 0 {
			t.Errorf("%+v when all is done", w)
		}
		if err := e.clients[0].Request(e.t.Context(), "ask", 7, &n); err != nil {
			t.Error(err)
		}
	})
}

// TestSessionsOfOneAddressAndUser: with a link or without, there are as many as
// there may be, on each carrier. When one has ended another gets in.
func TestSessionsOfOneAddressAndUser(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		cfg := framework.Config{Session: quick, Duplicate: framework.DuplicateAllow, SessionsPerAddress: 3, SessionsPerUser: 2}
		simulate(t, 17, memnet.Conditions{Delay: time.Millisecond}, cfg, nil, func(e *env) {
			dial := func(user, from string) error {
				e.net.NextAddr(netip.MustParseAddr(from))
				c := e.newClient(user, carrier)
				err := c.Connect(shortly(e.t, time.Second))
				if len(e.clients)%2 == 0 {
					c.Pause() // and does not dial from where the next one is
				}
				return err
			}
			for i := range 3 {
				if err := dial(fmt.Sprint("u", i), "192.0.2.1"); err != nil {
					t.Fatal(err)
				}
			}
			if dial("u4", "192.0.2.1") == nil {
				t.Error("a fourth session of an address")
			}
			if err := dial("u0", "192.0.2.2"); err != nil {
				t.Error(err)
			}
			if dial("u0", "192.0.2.3") == nil {
				t.Error("a third session of a user")
			}
			full := e.srv.Stats().Full
			if full["address"] == 0 || full["user"] == 0 {
				t.Errorf("full %v", full)
			}
			_ = e.clients[0].Close()
			time.Sleep(time.Second)
			if err := dial("u5", "192.0.2.1"); err != nil {
				t.Errorf("after one has left: %v", err)
			}
		})
	})
}

// TestSessionsOfOneAddressThatLogInTogether: what is decided slowly lets no more in.
func TestSessionsOfOneAddressThatLogInTogether(t *testing.T) {
	cfg := framework.Config{Session: quick, SessionsPerAddress: 3}
	cfg.Authenticate = func(_ context.Context, l framework.Login) (framework.Identity, error) {
		time.Sleep(time.Second)
		return framework.Identity{User: string(l.Ticket)}, nil
	}
	simulate(t, 19, memnet.Conditions{}, cfg, nil, func(e *env) {
		for i := range 6 {
			e.net.NextAddr(netip.MustParseAddr("192.0.2.1"))
			c := e.newClient(fmt.Sprint("u", i), transport.TCP)
			go func() { _ = c.Connect(context.Background()) }() // ends with the client
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(1200 * time.Millisecond) // and none has come again, from another address
		if n, refused := len(e.players()), e.srv.Stats().Full["address"]; n != 3 || refused != 3 {
			t.Errorf("%d sessions of one address, %d refused, want 3 and 3", n, refused)
		}
	})
}

// TestWhatIsNoMessageCostsItsBytes: a client that sends again and again what was
// accepted long ago, or nothing but heartbeats, pays for it as for anything else.
func TestWhatIsNoMessageCostsItsBytes(t *testing.T) {
	for name, again := range map[string]struct {
		h    codec.Header
		body bool
	}{
		"duplicates": {codec.Header{Kind: codec.Message, Seq: 1}, true},
		"heartbeats": {codec.Header{Kind: codec.Heartbeat}, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := framework.Config{Rate: framework.Rate{Messages: -1, Bytes: 10_000, Burst: 500 * time.Millisecond}}
			simulate(t, 18, memnet.Conditions{}, cfg, func(s *framework.Server) {
				framework.OnMessage(s, "say", func(*framework.Player, []byte) {})
			}, func(e *env) {
				r, nonce := e.raw()
				r.hello(nonce, "ann", 1)
				r.read(codec.Welcome, new(any))
				say := codec.AppendMessage(nil, codec.NamedRoute("say"), append([]byte{0xc4, 100}, make([]byte, 100)...))
				r.write(codec.Header{Kind: codec.Message, Seq: 1}, say)
				var body []byte
				if again.body {
					body = say
				}
				for range 70_000 { // a heartbeat costs 16 us, the least there is
					if e.srv.Stats().Closes["policy"] > 0 {
						return
					}
					if _, err := r.conn.Write(codec.AppendFrame(nil, again.h, body)); err != nil {
						break
					}
				}
				e.within(time.Second, "it is closed", func() bool { return e.srv.Stats().Closes["policy"] > 0 })
			})
		})
	}
}
