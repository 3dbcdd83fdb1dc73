// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// boutParams are what a match of these tests is opened with.
type boutParams struct {
	Map    string
	Refuse string // by: make, OnCreate, panic
}

// bout is a room that is opened by the game.
type bout struct {
	*framework.Room
	p boutParams
	d *diary
}

func (b *bout) OnCreate() error {
	if b.p.Refuse == "OnCreate" {
		return framework.Fail(1002, "not today")
	}
	b.d.add("created %s", b.p.Map)
	return nil
}

func (b *bout) OnJoin(p *framework.Player) error {
	if p.User() == "refused" || b.p.Refuse == "all" {
		return framework.Fail(1001, "you are not on the list")
	}
	time.Sleep(time.Duration(b.d.slow.Load()))
	b.d.add("%s joins", p.User())
	return nil
}

func (b *bout) OnLeave(p *framework.Player, why framework.Reason) {
	b.d.add("%s leaves: %v", p.User(), why)
}
func (b *bout) OnEnd(why framework.Reason) { b.d.add("ends: %v", why) }

type bouts = framework.RoomsOf[*bout, boutParams]

// boutServer runs f with a server of matches.
func boutServer(t *testing.T, cfg framework.Config, f func(e *env, d *diary, rooms *bouts), set ...func(*framework.Server, *bouts, *diary)) {
	t.Helper()
	d := &diary{}
	var rooms *bouts
	cfg.Session = quick
	simulate(t, 1, memnet.Conditions{Delay: 5 * time.Millisecond}, cfg, func(s *framework.Server) {
		rooms = framework.AddRoomWith(s, "match", func(r *framework.Room, p boutParams) (*bout, error) {
			switch p.Refuse {
			case "make":
				return nil, errors.New("no such map")
			case "panic":
				panic("make")
			}
			return &bout{r, p, d}, nil
		})
		for _, f := range set {
			f(s, rooms, d)
		}
	}, func(e *env) { f(e, d, rooms) })
}

func wantDiary(t *testing.T, d *diary, want ...string) {
	t.Helper()
	if got := d.all(); !slices.Equal(got, want) {
		t.Errorf("the room saw %q, want %q", got, want)
	}
}

// TestOpenMakesARoomBeforeAnybodyIsInIt: with its parameters, and with an error
// that tells why there is none.
func TestOpenMakesARoomBeforeAnybodyIsInIt(t *testing.T) {
	boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
		ctx := context.Background()
		for by, code := range map[string]codec.ErrorCode{"make": codec.ErrorInternal, "panic": codec.ErrorInternal, "OnCreate": 1002} {
			_, err := rooms.Open(ctx, boutParams{Refuse: by})
			wantCode(t, err, code)
		}
		if got := roomsOf(e); len(got) != 0 {
			t.Errorf("what was refused is there: %v", got)
		}
		key, err := rooms.Open(ctx, boutParams{Map: "ice"})
		if err != nil || len(key) < 16 {
			t.Fatalf("key %q, %v", key, err)
		}
		if !rooms.Post(key, func(b *bout) { d.add("posted to %s", b.p.Map) }) {
			t.Error("the room takes no post")
		}
		ann := e.dial("ann", transport.TCP)
		if err := ann.Join(ctx, "match", key); err != nil {
			t.Fatal(err)
		}
		if err := ann.Leave(ctx); err != nil {
			t.Fatal(err)
		}
		wantDiary(t, d, "created ice", "posted to ice", "ann joins", "ann leaves: left", "ends: room empty")

		// Nobody comes.
		if _, err := rooms.Open(ctx, boutParams{Map: "sand"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Second)
		if n := len(roomsOf(e)); n != 1 {
			t.Errorf("%d rooms are left after 59 s", n)
		}
		time.Sleep(2 * time.Second)
		if got := d.all()[5:]; !slices.Equal(got, []string{"created sand", "ends: room empty"}) {
			t.Errorf("the room saw %q", got)
		}
	})
}

// TestARoomThatIsRefusedRefusesItsPlayers: by name it is made of nothing.
func TestARoomThatIsRefusedRefusesItsPlayers(t *testing.T) {
	d := &diary{}
	simulate(t, 1, memnet.Conditions{}, framework.Config{}, func(s *framework.Server) {
		framework.AddRoomWith(s, "match", func(r *framework.Room, p boutParams) (*bout, error) {
			if p.Map == "" {
				return nil, framework.Fail(1003, "a match needs a map")
			}
			return &bout{r, p, d}, nil
		}).Linger(-1)
	}, func(e *env) {
		for range 2 {
			wantCode(t, e.dial("ann", transport.TCP).Join(context.Background(), "match", "1"), 1003)
		}
		e.within(time.Second, "no room is left", func() bool { return len(roomsOf(e)) == 0 })
		wantDiary(t, d)
	})
}

// TestPrivateRoomsAreTheGamesAlone: no client makes, joins or leaves one.
func TestPrivateRoomsAreTheGamesAlone(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
			ctx := context.Background()
			key, err := rooms.Open(ctx, boutParams{Map: "ice"})
			if err != nil {
				t.Fatal(err)
			}
			ann := e.dial("ann", carrier)
			for _, k := range []string{key, "mine", ""} {
				wantCode(t, ann.Join(ctx, "match", k), codec.ErrorRefused)
			}
			if err := rooms.Join(ctx, e.srv.User("ann")[0], key); err != nil {
				t.Fatal(err)
			}
			wantCode(t, ann.Leave(ctx), codec.ErrorRefused)
			wantDiary(t, d, "created ice", "ann joins")
		}, func(_ *framework.Server, rooms *bouts, _ *diary) { rooms.Private() })
	})
}

// TestCloseEndsARoom: all leave with the reason, then comes OnEnd, once, and the key
// is free. It may be called from anywhere, also twice.
func TestCloseEndsARoom(t *testing.T) {
	boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
		ctx := context.Background()
		key, err := rooms.Open(ctx, boutParams{Map: "ice"})
		if err != nil {
			t.Fatal(err)
		}
		ann, bob := e.dial("ann", transport.TCP), e.dial("bob", transport.KCP)
		for _, c := range []*client.Client{ann, bob} {
			if err := c.Join(ctx, "match", key); err != nil {
				t.Fatal(err)
			}
		}
		var said string
		if err := ann.Request(ctx, "win", "red", &said); err != nil || said != "red wins" {
			t.Errorf("said %q, %v", said, err)
		}
		time.Sleep(time.Second)
		wantDiary(t, d, "created ice", "ann joins", "bob joins", "ann leaves: code 1000: red wins", "bob leaves: code 1000: red wins", "ends: code 1000: red wins")
		if err := ann.Join(ctx, "match", key); err != nil { // another one
			t.Errorf("the key is not free: %v", err)
		}
		r := roomOf(e.srv.User("ann")[0])
		r.SetOpen(true)
		r.Close(0, "")
		r.Close(1001, "too late")
		time.Sleep(time.Second)
		if got := d.all()[6:]; !slices.Equal(got, []string{"created ", "ann joins", "ann leaves: room finished", "ends: room finished"}) {
			t.Errorf("the room saw %q", got)
		}
		if r.Post(func() {}) {
			t.Error("a room that has ended takes posts")
		}
	}, func(s *framework.Server, rooms *bouts, _ *diary) {
		framework.OnRoomRequest(rooms, "win", func(b *bout, _ *framework.Player, team string) (string, error) {
			b.Close(session.Game, team+" wins")
			return team + " wins", nil
		})
	})
}

// TestOnEndComesOnceAndLast, whatever ends the room.
func TestOnEndComesOnceAndLast(t *testing.T) {
	for how, want := range map[string]string{
		"leave": "ends: room empty", "kick": "ends: room empty", "remove": "ends: room empty",
		"shutdown": "ends: shutting down", "empty shutdown": "ends: shutting down", "evict": "ends: room empty: another room needs its place",
	} {
		t.Run(how, func(t *testing.T) {
			boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
				ctx := context.Background()
				key, err := rooms.Open(ctx, boutParams{Map: "ice"})
				if err != nil {
					t.Fatal(err)
				}
				e.dial("ann", transport.TCP)
				p := e.srv.User("ann")[0]
				if !strings.HasPrefix(how, "e") {
					if err := rooms.Join(ctx, p, key); err != nil {
						t.Fatal(err)
					}
				}
				switch how {
				case "leave":
					_ = p.Leave()
				case "kick":
					p.Kick(0, "")
				case "remove":
					if !roomOf(p).Remove(p, 0, "cheat") {
						t.Error("it is no member")
					}
				case "evict":
					if _, err := rooms.Open(ctx, boutParams{Map: "sand"}); err != nil {
						t.Error(err)
					}
				default:
					stop, cancel := context.WithTimeout(ctx, time.Minute)
					defer cancel()
					if err := e.srv.Shutdown(stop); err != nil {
						t.Error(err)
					}
				}
				time.Sleep(time.Second)
				got := d.all()
				if i := slices.Index(got, want); i < 0 || how != "evict" && i != len(got)-1 {
					t.Errorf("the room saw %q, want %q last", got, want)
				}
				if n := strings.Count(strings.Join(got, "\n"), "ends: "); n != 1 {
					t.Errorf("%d ends in %q", n, got)
				}
			}, func(_ *framework.Server, rooms *bouts, _ *diary) { rooms.Most(1) })
		})
	}
}

// TestTimersRunOnTheRoomsGoroutine: in the order of their time, also while the room
// is empty, and never once it was closed.
func TestTimersRunOnTheRoomsGoroutine(t *testing.T) {
	boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
		key, err := rooms.Open(context.Background(), boutParams{Map: "ice"})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		note := func(what string) { d.add("%s after %v", what, time.Since(begin)) }
		var late *framework.Timer
		rooms.Post(key, func(b *bout) {
			b.After(5*time.Second, func() { note("last"); b.Close(0, "") })
			b.After(time.Second, func() { note("a") })
			b.After(time.Second, func() { note("b") })
			b.After(time.Second, func() { panic("a timer") })
			n := 0
			var every *framework.Timer
			every = b.Every(700*time.Millisecond, func() {
				note("every")
				if n++; n == 2 {
					time.Sleep(1500 * time.Millisecond) // of the next two one is late, and one is left out
				}
				if n == 4 {
					if !every.Stop() || every.Stop() {
						t.Error("stopped not once")
					}
				}
			})
			late = b.After(time.Minute, func() { t.Error("a timer runs in a room that has ended") })
		})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if late.Stop() {
			t.Error("a timer of a room that has ended was to come")
		}
		wantDiary(t, d, "created ice", "every after 700ms", "a after 1s", "b after 1s", "every after 1.4s", "every after 2.9s", "every after 3.5s", "last after 5s", "ends: room finished")
		if n := e.srv.Stats().Panics; n != 1 {
			t.Errorf("%d panics", n)
		}
	})
}

// TestNoTimerRunsWhileAClosedRoomWaits: neither in the round of the Close, nor while what
// Async began is waited for.
func TestNoTimerRunsWhileAClosedRoomWaits(t *testing.T) {
	for _, empty := range []bool{true, false} {
		boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
			key := open(t, rooms, boutParams{Map: "ice"})
			if !empty {
				if err := e.dial("ann", transport.TCP).Join(context.Background(), "match", key); err != nil {
					t.Fatal(err)
				}
			}
			rooms.Post(key, func(b *bout) {
				b.After(time.Second, func() { b.Close(0, "") })
				b.After(time.Second, func() { t.Error("a timer of the same moment runs after Close") })
				b.Every(1500*time.Millisecond, func() { t.Error("a timer runs in a room that waits for its end") })
				framework.Async(b, func(context.Context) (int, error) { time.Sleep(5 * time.Second); return 0, nil }, func(int, error) { d.add("done") })
			})
			time.Sleep(10 * time.Second)
			if got := d.all(); !slices.Equal(got[len(got)-2:], []string{"done", "ends: room finished"}) {
				t.Errorf("the room saw %q", got)
			}
		})
	}
}

// TestAsyncComesBackToTheRoom: with the result, on its goroutine, before OnEnd.
func TestAsyncComesBackToTheRoom(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
			ctx := context.Background()
			key, err := rooms.Open(ctx, boutParams{Map: "ice"})
			if err != nil {
				t.Fatal(err)
			}
			ann := e.dial("ann", carrier)
			if err := ann.Join(ctx, "match", key); err != nil {
				t.Fatal(err)
			}
			buy := func(what string) (string, error) {
				var got string
				err := ann.Request(ctx, "buy", what, &got)
				return got, err
			}
			if got, err := buy("hat"); got != "hat for 1" || err != nil {
				t.Errorf("bought %q, %v", got, err)
			}
			_, err = buy("moon")
			wantCode(t, err, 1010)
			_, err = buy("panic")
			wantCode(t, err, codec.ErrorInternal)
			_ = ann.Leave(ctx)
			time.Sleep(time.Minute)
			got := d.all()
			if want := []string{"ann leaves: left", "saved: context canceled", "ends: room empty"}; !slices.Equal(got[len(got)-3:], want) {
				t.Errorf("the room saw %q, want %q last", got, want)
			}
		}, func(s *framework.Server, rooms *bouts, d *diary) {
			framework.OnRoomRequestAsync(rooms, "buy", func(b *bout, p *framework.Player, what string, reply framework.Reply[string]) {
				framework.Async(b, func(context.Context) (int, error) {
					time.Sleep(time.Second) // the shop
					switch what {
					case "moon":
						return 0, framework.Fail(1010, "not for sale")
					case "panic":
						panic("shop")
					}
					return 1, nil
				}, func(price int, err error) {
					reply(fmt.Sprintf("%s for %d", what, price), err)
					reply("twice", nil)
				})
				if what == "moon" {
					framework.Async(b, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }, func(_ int, err error) { d.add("saved: %v", err) })
				}
			})
		})
	})
}

// TestTheKeyOfAClosedRoomIsAnotherRoom: for its members and spectators too, from the moment that
// it is closed.
func TestTheKeyOfAClosedRoomIsAnotherRoom(t *testing.T) {
	ctx := context.Background()
	for name, again := range map[string]func(rooms *framework.Rooms[*theatre], all []*framework.Player) error{
		"JoinAsync": func(rooms *framework.Rooms[*theatre], all []*framework.Player) error {
			return errors.Join(rooms.JoinAsync(all[0], "1"), rooms.JoinAsync(all[1], "1"))
		},
		"Move": func(rooms *framework.Rooms[*theatre], all []*framework.Player) error {
			return errors.Join(rooms.Move(all[0], "1"), rooms.Move(all[1], "1"))
		},
		"Bring": func(rooms *framework.Rooms[*theatre], all []*framework.Player) error {
			if err := rooms.JoinAsync(all[1], "1"); err != nil { // Bring makes no room
				return err
			}
			return rooms.Bring(ctx, "1", all[0].User())
		},
		"Seat": func(rooms *framework.Rooms[*theatre], all []*framework.Player) error {
			err := rooms.JoinAsync(all[1], "1")
			go func() { _ = rooms.Seat(ctx, "1", all[0]) }() // which waits for this room's turn
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := &diary{}
			var rooms *framework.Rooms[*theatre]
			simulate(t, 1, memnet.Conditions{}, framework.Config{Session: quick}, func(s *framework.Server) {
				rooms = framework.AddRoom(s, "play", func(r *framework.Room) *theatre { return &theatre{r, d} }).Spectators(1)
			}, func(e *env) {
				ann, bob := e.dial("ann", transport.TCP), e.dial("bob", transport.TCP)
				if err := ann.Join(ctx, "play", "1"); err != nil {
					t.Fatal(err)
				}
				if err := bob.Room("play").Watch(ctx, "1"); err != nil {
					t.Fatal(err)
				}
				rooms.Post("1", func(th *theatre) {
					all := append(slices.Clone(th.Members()), th.Watchers()...)
					th.Close(0, "")
					if err := again(rooms, all); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Second)
				})
				time.Sleep(5 * time.Second)
				for _, c := range []*client.Client{ann, bob} {
					if key, in := c.Room("play").Key(); !in || key != "1" || c.Room("play").Watching() {
						t.Errorf("a client is in %q: %v", key, in)
					}
				}
				got := d.all()[2:]
				slices.Sort(got)
				want := []string{"ann joins", "ann leaves", "bob has watched: room finished", "bob joins", "ends: room finished"}
				if !slices.Equal(got, want) {
					t.Errorf("the rooms saw %q, want %q", got, want)
				}
			})
		})
	}
}

// saver is a room that writes what each member has when it leaves.
type saver struct {
	*framework.Room
	d *diary
}

func (s *saver) save(what string) {
	framework.Async(s, func(context.Context) (string, error) { time.Sleep(time.Second); return what, nil },
		func(saved string, err error) { s.d.add("saved %q: %v", saved, err) })
}

func (s *saver) OnLeave(p *framework.Player, _ framework.Reason) { s.save(p.User()) }
func (s *saver) OnEnd(framework.Reason)                          { s.save("the end") }

// TestWhatOnLeaveBeginsIsWaitedFor: however the room ends. Only OnEnd comes too late to begin
// anything.
func TestWhatOnLeaveBeginsIsWaitedFor(t *testing.T) {
	for name, end := range map[string]func(s *saver){
		"closed": func(s *saver) { s.Close(0, "") },
		"empty":  func(s *saver) { s.Remove(s.Members()[0], 0, "") },
	} {
		t.Run(name, func(t *testing.T) {
			d := &diary{}
			var rooms *framework.Rooms[*saver]
			simulate(t, 1, memnet.Conditions{}, framework.Config{Session: quick}, func(s *framework.Server) {
				rooms = framework.AddRoom(s, "saver", func(r *framework.Room) *saver { return &saver{r, d} })
			}, func(e *env) {
				if err := e.dial("ann", transport.TCP).Join(context.Background(), "saver", "1"); err != nil {
					t.Fatal(err)
				}
				rooms.Post("1", end)
				time.Sleep(time.Minute)
				wantDiary(t, d, `saved "ann": <nil>`, `saved "": lifeline: the room has ended (code 4)`)
			})
		})
	}
}

// poller is a room that asks a database again and again, which takes no notice of its end.
type poller struct {
	*framework.Room
	d *diary
}

func (p *poller) poll() {
	framework.Async(p, func(context.Context) (int, error) { time.Sleep(3 * time.Second); return 0, nil }, func(_ int, err error) {
		if err != nil {
			p.d.add("polls no more: %v", err)
			return
		}
		p.poll()
	})
}

func (p *poller) OnEnd(framework.Reason) { p.d.add("ends") }

// TestARoomThatPollsEnds: 10 s after it has become empty, or was closed, nothing is begun any more.
func TestARoomThatPollsEnds(t *testing.T) {
	for _, closes := range []bool{true, false} {
		d := &diary{}
		var rooms *framework.Rooms[*poller]
		simulate(t, 1, memnet.Conditions{}, framework.Config{Session: quick}, func(s *framework.Server) {
			rooms = framework.AddRoom(s, "poller", func(r *framework.Room) *poller { return &poller{r, d} })
		}, func(e *env) {
			ann := e.dial("ann", transport.TCP)
			if err := ann.Join(context.Background(), "poller", "1"); err != nil {
				t.Fatal(err)
			}
			rooms.Post("1", (*poller).poll)
			time.Sleep(10 * time.Second)
			if closes {
				rooms.Post("1", func(p *poller) { p.Close(0, "") })
			} else if err := ann.Leave(context.Background()); err != nil {
				t.Error(err)
			}
			time.Sleep(9 * time.Second)
			wantDiary(t, d)
			time.Sleep(5 * time.Second)
			wantDiary(t, d, "polls no more: lifeline: the room has ended (code 4)", "ends")
		})
	}
}

// TestAsyncIsBounded: what is one too many is told so, and nothing is lost.
func TestAsyncIsBounded(t *testing.T) {
	boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
		key, err := rooms.Open(context.Background(), boutParams{})
		if err != nil {
			t.Fatal(err)
		}
		done, busy := 0, 0
		rooms.Post(key, func(b *bout) {
			for range 300 {
				framework.Async(b, func(context.Context) (int, error) { time.Sleep(time.Second); return 0, nil }, func(_ int, err error) {
					if done++; err != nil {
						busy++
					}
				})
			}
		})
		time.Sleep(2 * time.Second)
		rooms.Post(key, func(*bout) { d.add("%d done, %d busy", done, busy) })
		time.Sleep(time.Second)
		wantDiary(t, d, "created ", "300 done, 44 busy")
	})
}

// TestARoomThatIsFarBehindEndsAllTheSame: as many functions wait as may, and the notice that
// the server shuts down besides. The members go when the room is closed.
func TestARoomThatIsFarBehindEndsAllTheSame(t *testing.T) {
	boutServer(t, framework.Config{Drain: framework.Drain{Window: time.Hour, Wait: time.Hour}}, func(e *env, d *diary, rooms *bouts) {
		key := open(t, rooms, boutParams{})
		var members []*framework.Player
		for _, user := range []string{"ann", "bob"} { // one of them has the first turn
			e.dial(user, transport.TCP)
			p := e.srv.User(user)[0]
			if err := rooms.Seat(e.t.Context(), key, p); err != nil {
				t.Error(err)
				return
			}
			members = append(members, p)
		}
		r, busy, done := roomOf(members[0]), make(chan struct{}), make(chan error)
		r.Post(func() { <-busy })
		time.Sleep(time.Second)
		for r.Post(func() {}) {
		}
		go func() { done <- e.srv.Shutdown(e.t.Context()) }()
		time.Sleep(2 * time.Second)
		r.Close(0, "played")
		close(busy)
		time.Sleep(time.Second)
		for _, p := range members {
			if roomOf(p) != nil {
				t.Errorf("%s is in a room that was closed: %v", p.User(), d.all())
			}
			p.Kick(0, "")
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestATimerThatIsSetAnewLeavesTheOthersTheirTurn, also if it has been due for long.
func TestATimerThatIsSetAnewLeavesTheOthersTheirTurn(t *testing.T) {
	boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
		key := open(t, rooms, boutParams{})
		done := make(chan bool)
		rooms.Post(key, func(b *bout) {
			turns, ran := 0, false
			var again func()
			again = func() {
				if turns++; turns < 100 && !ran {
					b.After(-time.Hour, again)
					return
				}
				done <- ran
			}
			b.After(-time.Hour, again)
			b.After(0, func() { ran = true })
		})
		if !<-done {
			t.Error("a timer that is due waits for one that is set anew")
		}
	})
}
