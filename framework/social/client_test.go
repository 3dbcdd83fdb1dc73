// SPDX-License-Identifier: MIT

package social_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/gametest"
	"github.com/lifeline-go/lifeline/framework/social"
)

// The views of the Go client.
func TestTheClientsViews(t *testing.T) {
	g := &game{}
	gametest.Run(t, g.new(social.PartyConfig{}), func(k *gametest.Game) {
		ctx := k.T.Context()
		var parties []*client.Party
		var friends []*client.Friends
		told := make(chan string, 100) // more than there are
		for _, user := range []string{"ann", "bob"} {
			p := k.NewPlayer(user)
			parties, friends = append(parties, client.NewParty(p.Client)), append(friends, client.NewFriends(p.Client))
			parties[len(parties)-1].OnInvited(func(i client.Invitation) { told <- i.By + " invites " + user })
			p.Connect()
		}
		friends[0].OnChanged(func(s client.UserState) { told <- fmt.Sprint(s) })
		ann, bob := parties[0], parties[1]
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		all, err := friends[0].Watch(ctx, "bob", "eve")
		if must(err); fmt.Sprint(all) != "[{bob 2 } {eve 0 }]" || fmt.Sprint(friends[0].All()) != fmt.Sprint(all) {
			t.Errorf("%v, %v", all, friends[0].All())
		}
		must(ann.Invite(ctx, "bob"))
		if got := <-told; got != "ann invites bob" {
			t.Error(got)
		}
		must(bob.Join(ctx, ann.State().ID))
		must(bob.Ready(ctx, true))
		must(ann.Lead(ctx, "bob"))
		k.Within("bob leads", func() bool {
			s := ann.State()
			return s.Leader == "bob" && len(s.Members) == 2 && s.Members[0].Ready && s.Size == 5
		})
		if err := ann.Kick(ctx, "bob"); err == nil {
			t.Error("ann leads no more")
		}
		must(bob.Kick(ctx, "ann"))
		k.Within("ann is out", func() bool { return ann.State().ID == 0 && ann.State().Why == "kicked" })
		must(bob.Invite(ctx, "ann"))
		<-told
		must(ann.Decline(ctx, bob.State().ID))
		must(bob.Leave(ctx))

		k.Server.User("bob")[0].Kick(framework.CodeKicked, "")
		if got := <-told; got != "{bob 0 }" {
			t.Error(got)
		}
		must(friends[0].Unwatch(ctx, "eve"))
		if all := friends[0].All(); len(all) != 1 {
			t.Errorf("%v", all)
		}
		must(friends[0].Unwatch(ctx))
		k.Sleep(time.Second)
		if all := friends[0].All(); len(all) != 0 {
			t.Errorf("%v", all)
		}
	})
}

// A user who is watched again is where the answer says, whatever was known of it before.
func TestWatchedAgain(t *testing.T) {
	g := &game{}
	gametest.Run(t, g.new(social.PartyConfig{}), func(k *gametest.Game) {
		ann := k.NewPlayer("ann")
		friends := client.NewFriends(ann.Client)
		ann.Connect()
		bob := k.Player("bob")
		for _, want := range []string{"[{bob 2 }]", "[{bob 0 }]"} {
			if _, err := friends.Watch(k.T.Context(), "bob"); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(friends.All()); got != want {
				t.Errorf("ann sees %v, want %v", got, want)
			}
			g.presence.Unwatch(ann.Seen(), "bob") // friends no more: ann is told no change
			bob.Close()
			k.Sleep(time.Second)
		}
	})
}

// A client whose messages were given up is told all again.
func TestAfterAResetAllIsToldAgain(t *testing.T) {
	g := &game{}
	gametest.Run(t, g.new(social.PartyConfig{}), func(k *gametest.Game) {
		ann, bob := k.Player("ann"), k.Player("bob")
		watch(ann, "bob")
		invite(ann, "bob")
		join(bob)
		ann.Restart() // its app knows nothing
		gametest.Until(ann, social.RouteAll, func(all []social.UserState) bool { return fmt.Sprint(all) == "[{bob 2 }]" })
		sees(ann, "ann bob")
	})
}

// What is told is the same bytes for clients in every language.
func TestWireIsThatOfTheVectors(t *testing.T) {
	text, err := os.ReadFile("../client/testdata/social.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]string
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]any{
		"party":      &social.PartyState{Party: 9, Leader: "ann", Size: 5, Members: []social.PartyMember{{User: "ann", Ready: true}, {User: "bob", Away: true}}},
		"invitation": &social.Invitation{Party: 9, By: "ann", Left: 60_000},
		"user":       &social.UserState{User: "bob", Presence: social.Playing, Text: "2:1"},
	} {
		b, err := codec.AppendBody(nil, v)
		if err != nil || hex.EncodeToString(b) != want[name] {
			t.Errorf("%s: %x, want %s (%v)", name, b, want[name], err)
		}
	}
}
