// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// lobby is a room beside the matches.
type lobby struct {
	*framework.Room
	d *diary
}

func (l *lobby) OnLeave(p *framework.Player, why framework.Reason) {
	l.d.add("%s leaves the lobby: %v", p.User(), why)
}

// withLobby registers lobbies, and one route of each type.
func withLobby(into **framework.Rooms[*lobby]) func(*framework.Server, *bouts, *diary) {
	return func(s *framework.Server, rooms *bouts, d *diary) {
		*into = framework.AddRoom(s, "lobby", func(r *framework.Room) *lobby { return &lobby{r, d} })
		framework.OnRoomRequest(*into, "chat", func(l *lobby, _ *framework.Player, _ int) (string, error) { return "lobby " + l.Key(), nil })
		framework.OnRoomRequest(rooms, "play", func(b *bout, _ *framework.Player, _ int) (string, error) { return "match " + b.p.Map, nil })
	}
}

// follow notes what a client is told of its rooms.
func follow(c *client.Client, name, who string, d *diary) {
	c.Room(name).OnJoined(func(key string) { d.add("%s: in %s", who, name) })
	c.Room(name).OnLeft(func(key string, why client.Reason) {
		d.add("%s: out of %s, %d %s", who, name, why.Code, why.Text)
	})
}

func open(t *testing.T, rooms *bouts, p boutParams) string {
	t.Helper()
	key, err := rooms.Open(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestOneRoomOfEachType: a player is in a lobby and in a match at once, and each
// route finds its room.
func TestOneRoomOfEachType(t *testing.T) {
	var lobbies *framework.Rooms[*lobby]
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
			ctx := context.Background()
			ann := e.newClient("ann", carrier)
			told := &diary{}
			follow(ann, "lobby", "ann", told)
			follow(ann, "match", "ann", told)
			e.connect(ann)
			ask := func(route string) string {
				var got string
				if err := ann.Request(ctx, route, 0, &got); err != nil {
					return fmt.Sprint(err)
				}
				return got
			}
			if err := ann.Join(ctx, "lobby", "europe"); err != nil {
				t.Fatal(err)
			}
			p := e.srv.User("ann")[0]
			if err := rooms.Seat(ctx, open(t, rooms, boutParams{Map: "ice"}), p); err != nil {
				t.Fatal(err)
			}
			if got := ask("chat") + ", " + ask("play"); got != "lobby europe, match ice" {
				t.Errorf("it is in %s", got)
			}
			wantCode(t, ann.Join(ctx, "lobby", "asia"), codec.ErrorInRoom)
			wantCode(t, ann.Leave(ctx), codec.ErrorBadRequest) // which one
			if r := lobbies.Of(p); r == nil || r.Key() != "europe" || len(p.Rooms()) != 2 {
				t.Errorf("in %v of %v", r, p.Rooms())
			}
			if in := e.srv.Inspect(1, func(*framework.Info) bool { return true })[0]; len(strings.Fields(in.Room)) != 2 {
				t.Errorf("inspected in %q", in.Room)
			}
			if err := ann.Room("match").Leave(ctx); err != nil {
				t.Error(err)
			}
			if err := ann.Leave(ctx); err != nil { // the only one
				t.Error(err)
			}
			wantDiary(t, told, "ann: in lobby", "ann: in match", "ann: out of match, 106 ", "ann: out of lobby, 106 ")
		}, withLobby(&lobbies))
	})
}

// TestClientsAreToldOfTheirRooms: put in, moved, removed, closed, each with its
// reason, and of the end of the session.
func TestClientsAreToldOfTheirRooms(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
			ctx := context.Background()
			ann := e.newClient("ann", carrier)
			told := &diary{}
			names := map[string]string{}
			ann.Room("match").OnJoined(func(key string) { told.add("in %s", names[key]) })
			ann.Room("match").OnLeft(func(key string, why client.Reason) { told.add("out of %s: %d %s", names[key], why.Code, why.Text) })
			e.connect(ann)
			p := e.srv.User("ann")[0]
			for _, name := range []string{"a", "b", "c", "d"} {
				names[open(t, rooms, boutParams{Map: name})] = name
			}
			key := func(name string) string {
				for k, n := range names {
					if n == name {
						return k
					}
				}
				return ""
			}
			if err := rooms.Join(ctx, p, key("a")); err != nil {
				t.Fatal(err)
			}
			if err := rooms.Move(p, key("b")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if k, ok := ann.Room("match").Key(); k != key("b") || !ok {
				t.Errorf("the client is in %q, %v", names[k], ok)
			}
			rooms.Of(p).Remove(p, 1234, "cheat")
			time.Sleep(time.Second)
			if _, ok := ann.Room("match").Key(); ok || rooms.Of(p) != nil {
				t.Error("it is in a room still")
			}
			_ = rooms.Join(ctx, p, key("c"))
			rooms.Of(p).Close(0, "won")
			time.Sleep(time.Second)
			_ = rooms.Join(ctx, p, key("d"))
			time.Sleep(time.Second)
			p.Kick(session.Kicked, "bye")
			time.Sleep(time.Second)
			wantDiary(t, told, "in a", "in b", "out of a: 302 ", "out of b: 1234 cheat", "in c", "out of c: 300 won", "in d", "out of d: 200 bye")
		})
	})
}

// TestAClientThatReturnsKnowsItsRooms: by its token, in another run of the app, and
// after a RESET, in which what it was told is lost.
func TestAClientThatReturnsKnowsItsRooms(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
			ctx := context.Background()
			told := &diary{}
			ann := e.newClient("ann", carrier)
			follow(ann, "match", "ann", told)
			e.connect(ann)
			p := e.srv.User("ann")[0]
			first, second := open(t, rooms, boutParams{Map: "ice"}), open(t, rooms, boutParams{Map: "sand"})
			if err := rooms.Join(ctx, p, first); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			ann.Pause()
			e.within(time.Second, "ann is away", func() bool { return !p.Attached() })
			rooms.Of(p).Remove(p, 0, "")
			e.within(time.Second, "ann is out", func() bool { return rooms.Of(p) == nil })
			if err := rooms.Join(ctx, p, second); err != nil {
				t.Fatal(err)
			}
			for i := range 3000 {
				_ = p.Push("flood", i)
			}
			ann.Hurry()
			e.within(5*time.Second, "ann was reset", func() bool { return ann.Stats().Resets == 1 })
			time.Sleep(time.Second)
			if key, ok := ann.Room("match").Key(); key != second || !ok {
				t.Errorf("the client is in %q, want %q", key, second)
			}
			wantDiary(t, told, "ann: in match", "ann: out of match, 0 while the client was away", "ann: in match")
			token := ann.Token()
			ann.Cut()
			ann.Pause() // it is dead
			back, err := client.New([]string{e.addr(carrier)}, e.dialers(client.Config{Token: token}))
			if err != nil {
				t.Fatal(err)
			}
			e.clients = append(e.clients, back)
			follow(back, "match", "back", told)
			e.connect(back)
			time.Sleep(time.Second)
			if key, ok := back.Room("match").Key(); key != second || !ok {
				t.Errorf("the next run is in %q, want %q", key, second)
			}
		})
	})
}

// TestMoveThatIsRefusedChangesNothing: nobody ends in no room.
func TestMoveThatIsRefusedChangesNothing(t *testing.T) {
	boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
		c := e.newClient("ann", transport.TCP)
		told := &diary{}
		follow(c, "match", "ann", told)
		e.connect(c)
		p := e.srv.User("ann")[0]
		first, second := open(t, rooms, boutParams{Map: "ice"}), open(t, rooms, boutParams{Map: "sand"})
		if err := rooms.Join(context.Background(), p, first); err != nil {
			t.Fatal(err)
		}
		rooms.Post(second, func(b *bout) { b.SetOpen(true); b.p.Refuse = "all" })
		if err := rooms.Move(p, second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if r := rooms.Of(p); r == nil || r.Key() != first {
			t.Errorf("it is in %v", r)
		}
		wantDiary(t, told, "ann: in match")
		if n := e.srv.Stats().Rooms["match"].Denied; n != 1 {
			t.Errorf("%d refusals are counted", n)
		}
	})
}

// TestSeatIsAllOrNothing: what OnJoin said is told, and the others are where they
// were.
func TestSeatIsAllOrNothing(t *testing.T) {
	var lobbies *framework.Rooms[*lobby]
	boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
		ctx := context.Background()
		var players []*framework.Player
		for _, user := range []string{"ann", "bob", "refused", "eve"} {
			e.dial(user, transport.TCP)
			p := e.srv.User(user)[0]
			if err := lobbies.Join(ctx, p, "1"); err != nil {
				t.Fatal(err)
			}
			players = append(players, p)
		}
		ann, bob, no, eve := players[0], players[1], players[2], players[3]
		key := open(t, rooms, boutParams{Map: "ice"})
		nobodyIn := func(what string) {
			t.Helper()
			time.Sleep(time.Second)
			for _, p := range players {
				if rooms.Of(p) != nil || lobbies.Of(p) == nil {
					t.Errorf("%s: %s is in %v", what, p.User(), p.Rooms())
				}
			}
			if got := e.srv.Stats().Rooms["match"].Players; got != 0 {
				t.Errorf("%s: %d seats are taken", what, got)
			}
		}
		wantCode(t, rooms.Seat(ctx, key, ann, bob, no), 1001)
		nobodyIn("refused")
		err := rooms.Seat(ctx, key, players...)
		wantCode(t, err, codec.ErrorFull)
		if want := fmt.Sprintf("%d seats are wanted, and 0 of 3 are taken", len(players)); !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		nobodyIn("full")
		wantCode(t, rooms.Seat(ctx, "elsewhere", ann), codec.ErrorRefused)
		wantCode(t, rooms.Seat(ctx, key, ann, ann), codec.ErrorInRoom)
		nobodyIn("twice the same")
		rooms.Post(key, func(*bout) { time.Sleep(5 * time.Second) })
		soon, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := rooms.Seat(soon, key, ann, bob); err != context.DeadlineExceeded {
			t.Errorf("a busy room: %v", err)
		}
		time.Sleep(5 * time.Second)
		nobodyIn("too late")
		eve.Kick(0, "")
		time.Sleep(time.Second)
		players = players[:3]
		if err := rooms.Seat(ctx, key, ann, eve); err != session.ErrClosed {
			t.Errorf("one that has ended: %v", err)
		}
		nobodyIn("ended")
		// The room is as it was, but for those who were in for a moment.
		if err := rooms.Seat(ctx, key, ann, bob); err != nil {
			t.Fatal(err)
		}
		if err := rooms.Seat(ctx, key, bob, ann); err != nil { // they are in
			t.Error(err)
		}
		if got := e.srv.Stats().Rooms["match"].Players; got != 2 {
			t.Errorf("%d seats are taken, want 2", got)
		}
		got := d.all()
		if joins, leaves := count(got, "joins"), count(got, "303"); joins != count(got, "removed from the room: not all got in")+2 {
			t.Errorf("%d joins and %d leaves in %q", joins, leaves, got)
		}
	}, withLobby(&lobbies), func(_ *framework.Server, rooms *bouts, _ *diary) { rooms.Private().Seats(3).Linger(-1) })
}

func count(lines []string, part string) (n int) {
	for _, line := range lines {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

// TestGraceOfAType: a seat is lost sooner than the session, and in its type alone.
func TestGraceOfAType(t *testing.T) {
	var lobbies *framework.Rooms[*lobby]
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
			ctx := context.Background()
			ann := e.newClient("ann", carrier)
			told := &diary{}
			follow(ann, "match", "ann", told)
			follow(ann, "lobby", "ann", told)
			e.connect(ann)
			p := e.srv.User("ann")[0]
			if err := lobbies.Join(ctx, p, "1"); err != nil {
				t.Fatal(err)
			}
			if err := rooms.Join(ctx, p, open(t, rooms, boutParams{})); err != nil {
				t.Fatal(err)
			}
			away := func(d time.Duration) {
				ann.Pause()
				time.Sleep(d)
				ann.Hurry()
				e.within(2*time.Second, "ann is back", p.Attached)
				time.Sleep(time.Second)
			}
			away(4 * time.Second)
			away(4 * time.Second) // counted anew
			if rooms.Of(p) == nil {
				t.Error("the seat was lost too early")
			}
			away(6 * time.Second)
			if rooms.Of(p) != nil || lobbies.Of(p) == nil {
				t.Errorf("in %v", p.Rooms())
			}
			wantDiary(t, told, "ann: in lobby", "ann: in match", "ann: out of match, 102 away for 5s")
		}, withLobby(&lobbies), func(_ *framework.Server, rooms *bouts, _ *diary) { rooms.Grace(5 * time.Second) })
	})
}

// TestGraceCountsOnIfALinkComesAndGoes: the room does not hear of one that is lost again
// before the player's OnResume has returned.
func TestGraceCountsOnIfALinkComesAndGoes(t *testing.T) {
	cfg := framework.Config{OnResume: func(*framework.Player) { time.Sleep(3 * time.Second) }}
	boutServer(t, cfg, func(e *env, d *diary, rooms *bouts) {
		ann := e.dial("ann", transport.TCP)
		if err := ann.Join(context.Background(), "match", open(t, rooms, boutParams{})); err != nil {
			t.Fatal(err)
		}
		p := e.srv.User("ann")[0]
		ann.Pause()
		time.Sleep(4 * time.Second)
		ann.Hurry()
		e.within(time.Second, "ann is back", p.Attached)
		time.Sleep(1500 * time.Millisecond) // the seat's time is over
		ann.Pause()
		e.within(time.Second, "ann is gone again", func() bool { return !p.Attached() })
		time.Sleep(6 * time.Second)
		if rooms.Of(p) != nil {
			t.Error("the seat is kept for longer than Grace")
		}
	}, func(_ *framework.Server, rooms *bouts, _ *diary) { rooms.Grace(5 * time.Second) })
}

// theatre is a room with spectators.
type theatre struct {
	*framework.Room
	d *diary
}

func (th *theatre) OnWatch(p *framework.Player) error {
	if p.User() == "refused" {
		return framework.Fail(1001, "sold out")
	}
	th.d.add("%s watches, %d play, %d watch", p.User(), th.Len(), len(th.Watchers()))
	return nil
}
func (th *theatre) OnUnwatch(p *framework.Player, why framework.Reason) {
	th.d.add("%s has watched: %v", p.User(), why)
}
func (th *theatre) OnJoin(p *framework.Player) error {
	if p.User() == "shy" {
		return framework.Fail(1001, "stage fright")
	}
	th.d.add("%s joins", p.User())
	return th.Broadcast("said", "welcome "+p.User())
}
func (th *theatre) OnLeave(p *framework.Player, _ framework.Reason) { th.d.add("%s leaves", p.User()) }
func (th *theatre) OnDetach(p *framework.Player)                    { th.d.add("%s drops", p.User()) }
func (th *theatre) OnEnd(why framework.Reason)                      { th.d.add("ends: %v", why) }

// TestSpectatorsListenOnly: they are not counted, can't send, hear what is broadcast,
// and go when the room ends.
func TestSpectatorsListenOnly(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		d := &diary{}
		simulate(t, 1, memnet.Conditions{}, framework.Config{Session: quick}, func(s *framework.Server) {
			rooms := framework.AddRoom(s, "play", func(r *framework.Room) *theatre { return &theatre{r, d} }).Seats(1).Spectators(2)
			framework.OnRoomRequest(rooms, "say", func(th *theatre, _ *framework.Player, text string) (int, error) {
				_ = th.BroadcastTo(func(*framework.Player) bool { return true }, "whisper", text)
				return th.Len(), th.Broadcast("said", text)
			})
			framework.AddRoom(s, "closed", func(r *framework.Room) *lobby { return &lobby{r, d} })
		}, func(e *env) {
			ctx := context.Background()
			ann, bob, eve := e.dial("ann", carrier), e.newClient("bob", carrier), e.dial("eve", carrier)
			heard := &diary{}
			client.OnMessage(bob, "said", func(text string) { heard.add("%s", text) })
			client.OnMessage(bob, "whisper", func(text string) { t.Error("a spectator is of no team") })
			follow(bob, "play", "bob", heard)
			e.connect(bob)
			wantCode(t, bob.Room("play").Watch(ctx, "1"), codec.ErrorRefused) // no room is made for it
			if err := ann.Join(ctx, "play", "1"); err != nil {
				t.Fatal(err)
			}
			wantCode(t, e.dial("refused", carrier).Room("play").Watch(ctx, "1"), 1001)
			for range 2 { // the second time it is in
				if err := bob.Room("play").Watch(ctx, "1"); err != nil || !bob.Room("play").Watching() {
					t.Fatalf("watch: %v", err)
				}
			}
			wantCode(t, bob.Join(ctx, "play", "1"), codec.ErrorInRoom)
			if err := eve.Room("play").Watch(ctx, "1"); err != nil {
				t.Error(err)
			}
			wantCode(t, e.dial("late", carrier).Room("play").Watch(ctx, "1"), codec.ErrorFull)
			wantCode(t, ann.Room("closed").Watch(ctx, "1"), codec.ErrorRefused)
			var n int
			wantCode(t, bob.Request(ctx, "say", "boo", &n), codec.ErrorRefused)
			if err := ann.Request(ctx, "say", "to be", &n); err != nil || n != 1 {
				t.Errorf("%d members, %v", n, err)
			}
			if err := eve.Leave(ctx); err != nil {
				t.Error(err)
			}
			st := e.srv.Stats()
			if r := st.Rooms["play"]; r.Players != 1 || r.Watched != 1 || r.Denied != 4 || st.NotJoined != 1 {
				t.Errorf("%+v, %d not joined", r, st.NotJoined)
			}
			if err := ann.Leave(ctx); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			want := []string{"ann joins", "bob watches, 1 play, 1 watch", "eve watches, 1 play, 2 watch", "eve has watched: left", "ann leaves", "bob has watched: room empty", "ends: room empty"}
			if got := d.all(); !slices.Equal(got, want) {
				t.Errorf("the room saw %q, want %q", got, want)
			}
			wantDiary(t, heard, "bob: in play", "to be", "bob: out of play, 301 ")
			if n := len(roomsOf(e)); n != 0 {
				t.Errorf("%d rooms are left", n)
			}
		})
	})
}

// TestASpectatorBecomesAMember: by Move into the room that it watches. It is a member then, hears
// all once, and its client is never out. If OnJoin refuses it watches on.
func TestASpectatorBecomesAMember(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		d := &diary{}
		var rooms *framework.Rooms[*theatre]
		simulate(t, 1, memnet.Conditions{}, framework.Config{Session: quick}, func(s *framework.Server) {
			rooms = framework.AddRoom(s, "play", func(r *framework.Room) *theatre { return &theatre{r, d} }).Seats(2).Spectators(2)
			framework.OnRoomRequest(rooms, "say", func(th *theatre, _ *framework.Player, text string) (string, error) {
				return fmt.Sprint(th.Len(), " play, ", len(th.Watchers()), " watch"), th.Broadcast("said", text)
			})
		}, func(e *env) {
			ctx := context.Background()
			ann := e.dial("ann", carrier)
			if err := ann.Join(ctx, "play", "1"); err != nil {
				t.Fatal(err)
			}
			heard := map[string]*diary{"shy": {}, "bob": {}}
			for _, user := range []string{"shy", "bob"} {
				c := e.newClient(user, carrier)
				client.OnMessage(c, "said", func(text string) { heard[user].add("%s", text) })
				follow(c, "play", user, heard[user])
				e.connect(c)
				if err := c.Room("play").Watch(ctx, "1"); err != nil {
					t.Fatal(err)
				}
				if err := rooms.Move(e.srv.User(user)[0], "1"); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
				if key, in := c.Room("play").Key(); !in || key != "1" || c.Room("play").Watching() != (user == "shy") {
					t.Errorf("%s is in %q: %v, and watches: %v", user, key, in, c.Room("play").Watching())
				}
			}
			var state string
			if err := ann.Request(ctx, "say", "to be", &state); err != nil || state != "2 play, 1 watch" {
				t.Errorf("%s, %v", state, err)
			}
			time.Sleep(time.Second)
			wantDiary(t, heard["shy"], "shy: in play", "welcome bob", "to be")
			wantDiary(t, heard["bob"], "bob: in play", "welcome bob", "bob: in play", "to be")
			want := []string{"ann joins", "shy watches, 1 play, 1 watch", "bob watches, 1 play, 2 watch", "bob joins", "bob has watched: moved to another room"}
			if got := d.all(); !slices.Equal(got, want) {
				t.Errorf("the room saw %q, want %q", got, want)
			}
		})
	})
}

// TestTheOlderPlaceIsLeftFirst: of two in one room, so its client hears all of it before it is
// told that it is out.
func TestTheOlderPlaceIsLeftFirst(t *testing.T) {
	d := &diary{}
	var rooms *framework.Rooms[*hasty]
	simulate(t, 1, memnet.Conditions{}, framework.Config{Session: quick}, func(s *framework.Server) {
		rooms = framework.AddRoom(s, "play", func(r *framework.Room) *hasty { return &hasty{r, "play"} }).Spectators(1).Linger(time.Hour)
		framework.AddRoom(s, "lobby", func(r *framework.Room) *hasty { return &hasty{r, "lobby"} })
	}, func(e *env) {
		ctx := context.Background()
		c := e.newClient("ann", transport.TCP)
		follow(c, "play", "ann", d)
		client.OnMessage(c, "bye", func(what string) { d.add("%s", what) })
		e.connect(c)
		key, err := rooms.Open(ctx, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.Join(ctx, "lobby", "1"), c.Room("play").Watch(ctx, key), rooms.Move(e.srv.User("ann")[0], key)); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		wantDiary(t, d, "ann: in play", "ann: in play", "member of lobby", "spectator of play", "member of play", "ann: out of play, 106 ")
	})
}

// hasty is a room whose members wish to leave all their rooms as soon as they are in, and again
// as they leave.
type hasty struct {
	*framework.Room
	of string
}

func (h *hasty) OnJoin(p *framework.Player) error {
	_ = p.Leave()
	return nil
}

func (h *hasty) OnLeave(p *framework.Player, _ framework.Reason) {
	_ = p.Push("bye", "member of "+h.of)
	_ = p.Leave()
}

func (h *hasty) OnUnwatch(p *framework.Player, _ framework.Reason) {
	_ = p.Push("bye", "spectator of "+h.of)
}
