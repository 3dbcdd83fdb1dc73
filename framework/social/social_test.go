// SPDX-License-Identifier: MIT

package social_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/gametest"
	"github.com/lifeline-go/lifeline/framework/social"
)

// game is a server with both. Users whose names begin with x are nobody's friends.
type game struct {
	parties  *social.Parties
	presence *social.PresenceOf
	changes  chan string
}

func (g *game) new(cfg social.PartyConfig) gametest.New {
	return func(c framework.Config) (*framework.Server, error) {
		srv, err := framework.New(c)
		if err != nil {
			return nil, err
		}
		g.changes = make(chan string, 100) // more than there are
		cfg.MayInvite = func(_ *framework.Player, user string) bool { return !strings.HasPrefix(user, "x") }
		cfg.OnChange = func(players []*framework.Player) {
			var users []string
			for _, p := range players {
				users = append(users, p.User())
			}
			slices.Sort(users)
			g.changes <- fmt.Sprint(users)
		}
		g.parties = social.NewParties(srv, cfg)
		g.presence = social.NewPresence(srv, social.PresenceConfig{Watches: 3, Watchers: 2, MayWatch: func(_ *framework.Player, user string) bool { return !strings.HasPrefix(user, "x") }})
		return srv, nil
	}
}

func invite(p *gametest.Player, user string) {
	gametest.Request[social.PartyState](p, social.RouteInvite, user)
}

// join takes the next invitation.
func join(p *gametest.Player) {
	i := gametest.Next[social.Invitation](p, social.RouteInvited)
	gametest.Request[social.PartyState](p, social.RouteJoin, i.Party)
}

// shown is a state as the tests write it: "ann+ bob- eve" for ready and away.
func shown(s social.PartyState) string {
	var all []string
	for _, m := range s.Members {
		name := m.User
		if m.Ready {
			name += "+"
		}
		if m.Away {
			name += "-"
		}
		all = append(all, name)
	}
	return strings.Join(all, " ") + s.Why
}

// sees waits until a player is told of this party.
func sees(p *gametest.Player, want string) {
	gametest.Until(p, social.RouteParty, func(s social.PartyState) bool { return shown(s) == want })
}

func refused(t *testing.T, p *gametest.Player, route string, v any, code framework.ErrorCode) {
	t.Helper()
	if e := p.RequestError(route, v); e.Code != code {
		t.Errorf("%s: %v, want code %d", route, e, code)
	}
}

func TestAParty(t *testing.T) {
	g := &game{}
	gametest.Run(t, g.new(social.PartyConfig{Size: 3, AllReady: true}), func(k *gametest.Game) {
		ann, bob, eve, joe := k.Player("ann"), k.Player("bob"), k.Player("eve"), k.Player("joe")
		xavier := k.Player("xavier")
		refused(t, ann, social.RouteInvite, "nobody", framework.ErrorRefused)
		refused(t, ann, social.RouteInvite, "ann", framework.ErrorRefused)
		refused(t, ann, social.RouteInvite, "xavier", framework.ErrorRefused)
		invite(ann, "bob")
		invite(ann, "eve")
		invite(ann, "joe")
		join(bob)
		join(eve)
		if c := []string{<-g.changes, <-g.changes}; c[0] != "[ann bob]" || c[1] != "[ann bob eve]" {
			t.Errorf("changes %q", c)
		}
		i := gametest.Next[social.Invitation](joe, social.RouteInvited)
		if i.By != "ann" || i.Left != 60_000 {
			t.Errorf("%+v", i)
		}
		refused(t, joe, social.RouteJoin, i.Party, framework.ErrorFull)
		refused(t, xavier, social.RouteJoin, i.Party, framework.ErrorRefused)
		refused(t, bob, social.RouteInvite, "joe", framework.ErrorRefused)
		refused(t, bob, social.RouteKick, "eve", framework.ErrorRefused)
		sees(eve, "ann bob eve")

		// Only its leader queues it, when all are ready.
		a, b := k.Server.User("ann")[0], k.Server.User("bob")[0]
		if _, err := g.parties.Together(b); err == nil {
			t.Error("bob leads")
		}
		if _, err := g.parties.Together(a); err == nil {
			t.Error("nobody is ready")
		}
		gametest.Request[bool](bob, social.RouteReady, true)
		gametest.Request[bool](eve, social.RouteReady, true)
		sees(ann, "ann bob+ eve+")
		if all, err := g.parties.Together(a); err != nil || len(all) != 3 || all[0] != a {
			t.Errorf("%v %v", all, err)
		}

		gametest.Request[bool](ann, social.RouteLead, "eve")
		sees(bob, "eve+ ann bob+")
		gametest.Request[bool](eve, social.RouteKick, "bob")
		sees(bob, "kicked")
		sees(ann, "eve ann")
		if c := <-g.changes; c != "[ann bob eve]" {
			t.Errorf("changes %q", c)
		}
		// The lead passes on when the leader leaves.
		gametest.Request[bool](eve, social.RouteLeave, nil)
		sees(ann, "ann")
		refused(t, eve, social.RouteLeave, nil, framework.ErrorRefused)
		refused(t, eve, social.RouteReady, true, framework.ErrorRefused)
		gametest.Request[bool](ann, social.RouteLeave, nil)
		refused(t, joe, social.RouteJoin, i.Party, framework.ErrorRefused)
		if st := k.Server.Stats().Parts["parties"]; st.Now["parties"] != 0 || st.Now["members"] != 0 || st.Now["invited"] != 0 || st.Total["joined"] != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// A party lives through lost links and new logins; one that leaves for good is out of it.
func TestAPartyStaysTogether(t *testing.T) {
	for _, c := range []framework.Carrier{framework.TCP, framework.WebSocket, framework.PlainKCP, framework.KCP} {
		t.Run(c.String(), func(t *testing.T) {
			g := &game{}
			gametest.Options{Carrier: c}.Run(t, g.new(social.PartyConfig{}), func(k *gametest.Game) {
				ann, bob, eve := k.Player("ann"), k.Player("bob"), k.Player("eve")
				for _, p := range []*gametest.Player{bob, eve} {
					invite(ann, p.User)
					join(p)
				}
				ann.Cut()
				sees(bob, "ann- bob eve")
				if _, err := g.parties.Together(k.Server.User("ann")[0]); err == nil {
					t.Error("a party with somebody who is away goes on")
				}
				ann.Heal()
				sees(bob, "ann bob eve")

				again := k.Player("ann") // logs in on another machine
				sees(again, "ann bob eve")
				gametest.Request[bool](again, social.RouteLead, "bob")
				sees(bob, "bob ann eve")

				bob.Close()
				sees(eve, "ann eve")
				eve.Cut() // for longer than its session lives
				k.Within("eve is out", func() bool { return k.Server.Stats().Parts["parties"].Now["members"] == 1 })
				k.Player("joe").Close() // that it is in no party is no refusal
				k.Sleep(time.Second)
				if n := k.Server.Stats().Parts["parties"].Total["refused"]; n != 0 {
					t.Errorf("%d were refused", n)
				}
			})
		})
	}
}

// TestOneThatJoinsAsItsLinkIsLostIsAway: OnDetach was before its request was handled.
func TestOneThatJoinsAsItsLinkIsLostIsAway(t *testing.T) {
	g := &game{}
	slow := func(c framework.Config) (*framework.Server, error) {
		srv, err := g.new(social.PartyConfig{})(c)
		if err == nil {
			framework.OnMessage(srv, "slow", func(*framework.Player, int) { time.Sleep(3 * time.Second) })
		}
		return srv, err
	}
	gametest.Run(t, slow, func(k *gametest.Game) {
		ann, bob := k.Player("ann"), k.Player("bob")
		invite(ann, "bob")
		i := gametest.Next[social.Invitation](bob, social.RouteInvited)
		bob.Send("slow", 1)
		go func() { _ = bob.Client.Request(k.T.Context(), social.RouteJoin, i.Party, nil) }() // ends with the test
		k.Sleep(time.Second)
		bob.Client.Pause()
		sees(ann, "ann bob-")
		bob.Client.Hurry()
		sees(ann, "ann bob")
	})
}

func TestInvitationsAreBounded(t *testing.T) {
	g := &game{}
	gametest.Run(t, g.new(social.PartyConfig{Invites: 2}), func(k *gametest.Game) {
		var leaders []*gametest.Player
		for i := range 3 {
			leaders = append(leaders, k.Player(fmt.Sprint("leader", i)))
		}
		bob, eve, joe := k.Player("bob"), k.Player("eve"), k.Player("joe")
		invite(leaders[0], "bob")
		invite(leaders[0], "bob") // again: no second one
		invite(leaders[0], "eve")
		refused(t, leaders[0], social.RouteInvite, "joe", framework.ErrorBusy)
		invite(leaders[1], "bob")
		refused(t, leaders[2], social.RouteInvite, "bob", framework.ErrorBusy)
		first := gametest.Next[social.Invitation](bob, social.RouteInvited)
		gametest.Request[bool](bob, social.RouteDecline, first.Party)
		refused(t, bob, social.RouteJoin, first.Party, framework.ErrorRefused)
		invite(leaders[2], "bob")
		k.Sleep(time.Minute)
		refused(t, eve, social.RouteJoin, first.Party, framework.ErrorRefused)
		invite(leaders[0], "joe")
		join(joe)
		refused(t, joe, social.RouteJoin, first.Party, framework.ErrorInRoom)
	})
}

func watch(p *gametest.Player, users ...string) string {
	return fmt.Sprint(gametest.Request[[]social.UserState](p, social.RouteWatch, users))
}

func next(t *testing.T, p *gametest.Player, want string) {
	t.Helper()
	if got := fmt.Sprint(gametest.Next[social.UserState](p, social.RoutePresence)); got != want {
		t.Errorf("told %s, want %s", got, want)
	}
}

// A lost link is away, not offline; what is told after it is true.
func TestPresence(t *testing.T) {
	g := &game{}
	gametest.Run(t, g.new(social.PartyConfig{}), func(k *gametest.Game) {
		ann := k.Player("ann")
		if got := watch(ann, "bob", "xavier", "bob"); got != "[{bob 0 }]" {
			t.Error(got)
		}
		bob := k.Player("bob")
		next(t, ann, "{bob 2 }")
		g.presence.Set("bob", social.Status{Playing: true, Text: "ranked, 2:1"})
		next(t, ann, "{bob 3 ranked, 2:1}")
		bob.Cut()
		next(t, ann, "{bob 1 ranked, 2:1}")
		bob.Heal()
		next(t, ann, "{bob 3 ranked, 2:1}")
		g.presence.Set("bob", social.Status{})
		next(t, ann, "{bob 2 }")
		bob.Close()
		next(t, ann, "{bob 0 }")
		g.presence.Set("bob", social.Status{Text: "of nobody"})
		g.presence.Set("eve", social.Status{Text: "of nobody"})
		k.Player("bob")
		next(t, ann, "{bob 2 }")
		k.Player("bob") // takes the first one over: it is never away
		k.Sleep(time.Minute)
		if all := gametest.All[social.UserState](ann, social.RoutePresence); len(all) != 0 {
			t.Errorf("told of nothing new: %v", all)
		}
		gametest.Request[bool](ann, social.RouteUnwatch, nil)
		g.presence.Set("bob", social.Status{Text: "alone"})
		k.Settle()
		st := k.Server.Stats().Parts["presence"]
		if st.Now["watches"] != 0 || st.Now["watchers"] != 0 || st.Now["users"] != 1 {
			t.Errorf("%+v", st)
		}
		if g.presence.Of("bob").Text != "alone" {
			t.Errorf("%v", g.presence.Of("bob"))
		}
		g.presence.Set("bob", social.Status{Text: "x" + strings.Repeat("é", 100)}) // no letter is cut in two
		if got := g.presence.Of("bob").Text; got != "x"+strings.Repeat("é", 63) {
			t.Errorf("%q", got)
		}
	})
}

// One that was found without a link for a moment is looked at again.
func TestAwayAtFirstIsLookedAtAgain(t *testing.T) {
	g := &game{}
	gametest.Run(t, g.new(social.PartyConfig{}), func(k *gametest.Game) {
		ann, bob := k.Player("ann"), k.Player("bob")
		bob.Cut()
		k.Within("the server has missed bob", func() bool { return !k.Server.User("bob")[0].Attached() })
		if got := watch(ann, "bob"); got != "[{bob 1 }]" {
			t.Error(got)
		}
		bob.Heal()
		next(t, ann, "{bob 2 }")
	})
}

func TestWatchesAreBounded(t *testing.T) {
	g := &game{}
	gametest.Run(t, g.new(social.PartyConfig{}), func(k *gametest.Game) {
		ann, bob, eve := k.Player("ann"), k.Player("bob"), k.Player("eve")
		refused(t, ann, social.RouteWatch, []string{"1", "2", "3", "4"}, framework.ErrorBadRequest)
		watch(ann, "1", "2", "3")
		refused(t, ann, social.RouteWatch, []string{"4"}, framework.ErrorFull)
		gametest.Request[bool](ann, social.RouteUnwatch, []string{"2", "not watched"})
		watch(ann, "4")
		watch(bob, "1")
		if got := watch(eve, "1", "2"); got != "[{2 0 }]" { // two watch 1 already
			t.Error(got)
		}
		ann.Close()
		bob.Close()
		eve.Close()
		k.Within("nothing is watched", func() bool {
			st := k.Server.Stats().Parts["presence"]
			return st.Now["users"] == 0 && st.Now["watchers"] == 0
		})
	})
}

// TestTakenOverAtAnotherServer ends the membership, as the session has gone for good; taken over
// at the same one, the place waits for the session that takes it.
func TestTakenOverAtAnotherServer(t *testing.T) {
	g := &game{}
	gametest.Options{Servers: 2}.Run(t, g.new(social.PartyConfig{}), func(k *gametest.Game) {
		here, there := k.Nodes()[0], k.Nodes()[1]
		ann, bob := here.Player("ann"), here.Player("bob")
		invite(ann, "bob")
		join(bob)
		is := func(want string) {
			t.Helper()
			k.Sleep(time.Second)
			if got := shown(gametest.Newest[social.PartyState](ann, social.RouteParty)); got != want {
				t.Errorf("the party is %q, want %q", got, want)
			}
		}
		here.Player("bob")
		is("ann bob")
		there.Player("bob")
		is("ann")
	})
}

// TestAnInvitationIsForgottenWithItsParty: also that of a user who was at another server when
// it was over.
func TestAnInvitationIsForgottenWithItsParty(t *testing.T) {
	g := &game{}
	gametest.Options{Servers: 2}.Run(t, g.new(social.PartyConfig{}), func(k *gametest.Game) {
		ann, bob := k.Player("ann"), k.Player("bob")
		k.Player("eve")
		invite(ann, "bob")
		k.Sleep(time.Second)
		if err := bob.Seen().Move(k.Nodes()[1].Address()); err != nil {
			t.Fatal(err)
		}
		k.Within("bob is there", func() bool { return bob.Node() == k.Nodes()[1] })
		k.Sleep(2 * time.Minute)
		invite(ann, "eve")
		ann.Close()
		k.Sleep(time.Minute)
		if now := k.Server.Stats().Parts["parties"].Now; now["invited"] != 0 || now["parties"] != 0 {
			t.Errorf("%v", now)
		}
	})
}
