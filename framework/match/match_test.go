// SPDX-License-Identifier: MIT

package match_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/gametest"
	"github.com/lifeline-go/lifeline/framework/match"
)

// arena is a room that knows who belongs into it.
type arena struct {
	*framework.Room
	teams string
}

func (a *arena) OnJoin(p *framework.Player) error {
	if strings.HasPrefix(p.User(), "unlucky") {
		return errors.New("no")
	}
	return nil
}

// game is a server with one queue.
type game struct {
	maker *match.Matchmaker
	queue *match.Queue
	rooms *framework.RoomsOf[*arena, string]
	made  chan string
}

// newGame returns what makes the server. Ratings are in the name: "ann 1500".
func (g *game) new(cfg match.Config, opts match.Options) gametest.New {
	return func(c framework.Config) (*framework.Server, error) {
		srv, err := framework.New(c)
		if err != nil {
			return nil, err
		}
		g.rooms = framework.AddRoomWith(srv, "arena", func(r *framework.Room, teams string) (*arena, error) { return &arena{r, teams}, nil }).Private()
		g.maker, g.made = match.New(srv, opts), make(chan string, 100) // more than there are
		if cfg.Ticket == nil {
			cfg.Ticket = func(_ context.Context, players []*framework.Player, w match.Wish) (*match.Ticket, error) {
				if w.Field("mode") == "forbidden" {
					return nil, framework.Fail(1234, "not this mode")
				}
				t := &match.Ticket{Pools: w.Pools(50*time.Millisecond, 10*time.Second, 50*time.Millisecond), Members: make([]match.Member, len(players))}
				for i, p := range players {
					_, _ = fmt.Sscanf(p.User(), "%s %f", new(string), &t.Members[i].Rating)
				}
				return t, nil
			}
		}
		cfg.OnMatch = func(m match.Made, key string) { g.made <- names(m) }
		g.queue = match.Add(g.maker, "ranked", g.rooms, cfg, func(m match.Made) (string, error) { return names(m), nil })
		return srv, nil
	}
}

func names(m match.Made) string {
	var teams []string
	for _, team := range m.Teams {
		var users []string
		for _, p := range team {
			users = append(users, p.User())
		}
		teams = append(teams, strings.Join(users, "+"))
	}
	return strings.Join(teams, "|")
}

// wait enters the queue.
func wait(p *gametest.Player) match.Status {
	return gametest.Request[match.Status](p, match.RouteEnter, match.Wish{Queue: "ranked"})
}

// until waits for a state.
func until(p *gametest.Player, state match.State) match.Status {
	return gametest.Until(p, match.RouteTicket, func(s match.Status) bool { return s.State == state })
}

func TestPlayersMeetInARoom(t *testing.T) {
	g := &game{}
	gametest.Run(t, g.new(match.Config{Rules: match.Rules{Window: match.Window{Start: 100, PerSecond: 20}}}, match.Options{}), func(k *gametest.Game) {
		ann, bob, eve := k.Player("ann 1500"), k.Player("bob 1550"), k.Player("eve 3000")
		if s := wait(eve); s.State != match.Waiting || s.Queue != "ranked" {
			t.Errorf("%+v", s)
		}
		wait(ann)
		wait(bob)
		key := ann.In("arena")
		if bob.In("arena") != key {
			t.Error("ann and bob are in different rooms")
		}
		if s := until(bob, match.Matched); s.Key != key || s.Type != "arena" {
			t.Errorf("%+v", s)
		}
		if s := gametest.Newest[match.Status](eve, match.RouteTicket); s.State != match.Waiting || s.Before != 0 {
			t.Errorf("%+v", s)
		}
		if e := ann.RequestError(match.RouteEnter, match.Wish{Queue: "ranked"}); e.Code != framework.ErrorInRoom {
			t.Errorf("ann enters while it plays: %v", e)
		}
		made := <-g.made
		st := k.Server.Stats().Parts["match.ranked"]
		if made != "ann 1500|bob 1550" || st.Now["waiting"] != 1 || st.Total["matches"] != 1 || st.Total["players"] != 2 {
			t.Errorf("%q, %+v", made, st)
		}
	})
}

// A player that is cut while it waits keeps its place, on every carrier.
func TestACutPlayerIsStillServed(t *testing.T) {
	for _, c := range []framework.Carrier{framework.TCP, framework.SealedTCP, framework.WebSocket, framework.PlainKCP, framework.KCP} {
		if c == framework.SealedTCP {
			continue // the kit does not serve it
		}
		t.Run(c.String(), func(t *testing.T) {
			g := &game{}
			gametest.Options{Carrier: c}.Run(t, g.new(match.Config{}, match.Options{}), func(k *gametest.Game) {
				ann, bob := k.Player("ann"), k.Player("bob")
				wait(ann)
				ann.Cut()
				k.Sleep(45 * time.Second) // the server has missed it by now
				wait(bob)
				k.Sleep(2 * time.Second)
				if _, in := bob.Client.Room("arena").Key(); in {
					t.Error("bob is matched with somebody who is away")
				}
				ann.Heal()
				if ann.In("arena") != bob.In("arena") {
					t.Error("not in one room")
				}
				if until(bob, match.Matched).Key != until(ann, match.Matched).Key {
					t.Error("told different rooms")
				}
			})
		})
	}
}

// One that does not come back is out, and one that leaves for good at once.
func TestWhoIsGoneIsOut(t *testing.T) {
	g := &game{}
	gametest.Run(t, g.new(match.Config{Rules: match.Rules{Grace: 5 * time.Second}}, match.Options{}), func(k *gametest.Game) {
		ann, bob := k.Player("ann"), k.Player("bob")
		wait(ann)
		ann.Cut()
		k.Within("ann is dropped", func() bool { return g.queue.Stats().Dropped == 1 })
		wait(bob)
		bob.Close()
		k.Within("bob is out", func() bool { return g.queue.Stats().Left == 1 })
		ann.Heal()
		if s := until(ann, match.None); s.Text != "connection lost" {
			t.Errorf("%+v", s)
		}
		if _, in := g.maker.Status(k.Server.User("ann")[0]); in {
			t.Error("ann is in the queue still")
		}
	})
}

// party makes everybody whose name begins alike a party.
func party(srv func() *framework.Server) match.Options {
	return match.Options{Party: func(p *framework.Player) (all []*framework.Player, err error) {
		if p.User() == "alone" {
			return nil, framework.Fail(1001, "not the leader")
		}
		all = []*framework.Player{p}
		for _, n := range "123" {
			if user := p.User()[:1] + string(n); user != p.User() {
				all = append(all, srv().User(user)...)
			}
		}
		return all, nil
	}}
}

func TestPartiesAcceptTogether(t *testing.T) {
	g := &game{}
	var k *gametest.Game
	opts := party(func() *framework.Server { return k.Server })
	cfg := match.Config{Rules: match.Rules{Size: 2, Accept: 10 * time.Second, Penalty: func(int) time.Duration { return time.Minute }}}
	gametest.Run(t, g.new(cfg, opts), func(game *gametest.Game) {
		k = game
		a1, a2, b1, b2 := k.Player("a1"), k.Player("a2"), k.Player("b1"), k.Player("b2")
		if e := k.Player("alone").RequestError(match.RouteEnter, match.Wish{Queue: "ranked"}); e.Code != 1001 {
			t.Errorf("%v", e)
		}
		wait(a1)
		if s := until(a2, match.Waiting); s.Queue != "ranked" {
			t.Errorf("the party is not told: %+v", s)
		}
		if e := a2.RequestError(match.RouteEnter, match.Wish{Queue: "ranked"}); e.Code != framework.ErrorRefused {
			t.Errorf("twice: %v", e)
		}
		wait(b1)
		s := until(b2, match.Proposed)
		if s.Players != 4 || s.Left != 10_000 {
			t.Errorf("%+v", s)
		}
		for _, p := range []*gametest.Player{a1, a2, b1} {
			gametest.Request[bool](p, match.RouteAnswer, match.Answer{Match: s.Match, Accept: true})
		}
		b2.Drop() // comes back at once
		gametest.Until(b2, match.RouteTicket, func(s match.Status) bool { return s.Accepted == 3 && !s.You })
		gametest.Request[bool](b2, match.RouteAnswer, match.Answer{Match: s.Match})
		if s := until(b1, match.None); s.Text != "declined" {
			t.Errorf("%+v", s)
		}
		if s := gametest.Until(a2, match.RouteTicket, func(s match.Status) bool { return s.Why != 0 }); s.State != match.Waiting {
			t.Errorf("%+v", s)
		}
		if e := b2.RequestError(match.RouteEnter, match.Wish{Queue: "ranked"}); e.Code != framework.ErrorRefused || e.Text != "declined too often: come back in 1m0s" {
			t.Errorf("%v", e)
		}
		k.Sleep(time.Minute)
		wait(b2)
		s = until(b1, match.Proposed)
		for _, p := range []*gametest.Player{a1, a2, b1, b2} {
			gametest.Request[bool](p, match.RouteAnswer, match.Answer{Match: s.Match, Accept: true})
		}
		key := a1.In("arena")
		for _, p := range []*gametest.Player{a2, b1, b2} {
			if p.In("arena") != key {
				t.Error("torn")
			}
		}
	})
}

// A match whose room refuses a player does not begin, and is tried three times.
func TestARoomThatRefuses(t *testing.T) {
	g := &game{}
	gametest.Run(t, g.new(match.Config{}, match.Options{}), func(k *gametest.Game) {
		ann, bob := k.Player("ann"), k.Player("unlucky")
		wait(ann)
		wait(bob)
		if s := until(bob, match.None); s.Text != "the match could not begin" {
			t.Errorf("%+v", s)
		}
		until(ann, match.None)
		if st := g.queue.Stats(); st.Failed != 3 || st.Waiting != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestARoomThatRunsIsFilledUp(t *testing.T) {
	g := &game{}
	gametest.Run(t, g.new(match.Config{}, match.Options{}), func(k *gametest.Game) {
		ann, bob, eve := k.Player("ann"), k.Player("bob"), k.Player("eve")
		wait(ann)
		wait(bob)
		key := ann.In("arena")
		if err := g.queue.Backfill(match.Backfill{Room: key, Free: []int{0, 1}}); err != nil {
			t.Fatal(err)
		}
		k.Sleep(5 * time.Second)
		wait(eve)
		if eve.In("arena") != key {
			t.Error("eve is elsewhere")
		}
		g.queue.EndBackfill(key)
	})
}

// The game's code may panic.
func TestPanicsOfRules(t *testing.T) {
	g := &game{}
	cfg := match.Config{Rules: match.Rules{Together: func(a, b *match.Ticket) bool { panic("together") }}}
	gametest.Run(t, g.new(cfg, match.Options{}), func(k *gametest.Game) {
		ann, bob := k.Player("ann"), k.Player("bob")
		wait(ann)
		wait(bob)
		k.Sleep(10 * time.Second)
		if st := g.queue.Stats(); st.Waiting != 2 {
			t.Errorf("%+v", st)
		}
		if !gametest.Request[bool](ann, match.RouteCancel, nil) {
			t.Error("not cancelled")
		}
		if s := until(ann, match.None); s.Text != "cancelled" {
			t.Errorf("%+v", s)
		}
	})
}

// What clients may not ask for.
func TestWishesAreBounded(t *testing.T) {
	g := &game{}
	gametest.Run(t, g.new(match.Config{}, match.Options{}), func(k *gametest.Game) {
		ann := k.Player("ann")
		long := strings.Repeat("x", 65)
		for name, c := range map[string]struct {
			w    match.Wish
			code client.ErrorCode
		}{
			"no queue":    {match.Wish{Queue: "none"}, framework.ErrorNoRoute},
			"regions":     {match.Wish{Queue: "ranked", Regions: make([]match.Region, 17)}, framework.ErrorBadRequest},
			"same region": {match.Wish{Queue: "ranked", Regions: []match.Region{{"eu", 1}, {"eu", 2}}}, framework.ErrorBadRequest},
			"long":        {match.Wish{Queue: "ranked", Fields: []match.Field{{"a", long}}}, framework.ErrorBadRequest},
			"fields":      {match.Wish{Queue: "ranked", Fields: make([]match.Field, 17)}, framework.ErrorBadRequest},
			"the game's":  {match.Wish{Queue: "ranked", Fields: []match.Field{{"mode", "forbidden"}}}, 1234},
		} {
			if e := ann.RequestError(match.RouteEnter, c.w); e.Code != c.code {
				t.Errorf("%s: %v", name, e)
			}
		}
		if e := ann.RequestError(match.RouteAnswer, match.Answer{Match: 1, Accept: true}); e.Code != framework.ErrorRefused {
			t.Errorf("%v", e)
		}
		if e := ann.RequestError(match.RouteCancel, nil); e.Code != framework.ErrorRefused {
			t.Errorf("%v", e)
		}
	})
}

// TestRefusalNamesNoPackage: what the queue refuses is told to the client in its words alone.
func TestRefusalNamesNoPackage(t *testing.T) {
	g := &game{}
	var both []*framework.Player
	opts := match.Options{Party: func(*framework.Player) ([]*framework.Player, error) { return both, nil }}
	gametest.Run(t, g.new(match.Config{}, opts), func(k *gametest.Game) {
		ann, bob := k.Player("ann"), k.Player("bob")
		both = []*framework.Player{ann.Seen(), bob.Seen()}
		e := ann.RequestError(match.RouteEnter, match.Wish{Queue: "ranked"})
		if want := "a ticket of 2 players, want 1 to 1: not a ticket of this queue"; e.Code != framework.ErrorBadRequest || e.Text != want {
			t.Errorf("%d %q, want %q", e.Code, e.Text, want)
		}
	})
}

func TestRegionsBecomePools(t *testing.T) {
	w := match.Wish{Regions: []match.Region{{"eu", 30}, {"us", 120}, {"asia", 0}}}
	got := fmt.Sprint(w.Pools(50*time.Millisecond, 10*time.Second, 50*time.Millisecond))
	if got != "[{eu 0s} {us 20s} {asia 3m10s}]" {
		t.Error(got)
	}
}

// TestOneThatEntersAsItsLinkIsLostIsAway: OnDetach was before its request was handled.
func TestOneThatEntersAsItsLinkIsLostIsAway(t *testing.T) {
	g := &game{}
	slow := func(c framework.Config) (*framework.Server, error) {
		srv, err := g.new(match.Config{Rules: match.Rules{Grace: 20 * time.Second}}, match.Options{})(c)
		if err == nil {
			framework.OnMessage(srv, "slow", func(*framework.Player, int) { time.Sleep(3 * time.Second) })
		}
		return srv, err
	}
	gametest.Run(t, slow, func(k *gametest.Game) {
		ann, bob := k.Player("ann 0"), k.Player("bob 0")
		bob.Send("slow", 1)
		go func() { // ends with the test
			_ = bob.Client.Request(k.T.Context(), match.RouteEnter, match.Wish{Queue: "ranked"}, nil)
		}()
		k.Sleep(time.Second)
		bob.Client.Pause()
		k.Sleep(4 * time.Second)
		wait(ann)
		k.Sleep(5 * time.Second)
		if st := g.queue.Stats(); st.Waiting != 2 || st.Matches != 0 {
			t.Errorf("matched with one that is away: %+v", st)
		}
		k.Sleep(20 * time.Second)
		if st := g.queue.Stats(); st.Waiting != 1 || st.Dropped != 1 {
			t.Errorf("one that stays away keeps its place: %+v", st)
		}
	})
}
