// SPDX-License-Identifier: MIT

package social_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/social"
)

// A player invites a friend into a party, and sees where the friend is.
func Example() {
	srv, err := framework.New(framework.Config{
		TCP: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
		Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
			return framework.Identity{User: string(l.Ticket)}, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	all := func(*framework.Player, string) bool { return true } // of a real game: friends
	social.NewParties(srv, social.PartyConfig{Size: 4, MayInvite: all})
	presence := social.NewPresence(srv, social.PresenceConfig{MayWatch: all})
	if err := srv.Start(); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	defer srv.Shutdown(ctx)

	dial := func(user string, view func(*client.Client)) *client.Client {
		c, err := client.New([]string{"tcp://" + srv.Addr(framework.TCP).String()}, client.Config{
			Ticket: func(context.Context) ([]byte, error) { return []byte(user), nil },
		})
		if err != nil {
			log.Fatal(err)
		}
		view(c)
		if err := c.Connect(ctx); err != nil {
			log.Fatal(err)
		}
		return c
	}
	var anns, bobs *client.Party
	var friends *client.Friends
	invited, seen := make(chan client.Invitation, 1), make(chan client.UserState, 10) // more than there are
	defer dial("bob", func(c *client.Client) {
		bobs = client.NewParty(c)
		bobs.OnInvited(func(i client.Invitation) { invited <- i })
	}).Close()
	defer dial("ann", func(c *client.Client) {
		anns, friends = client.NewParty(c), client.NewFriends(c)
		friends.OnChanged(func(s client.UserState) { seen <- s })
	}).Close()

	fmt.Println("invite:", anns.Invite(ctx, "bob"))
	i := <-invited
	fmt.Println(i.By, "invites bob:", bobs.Join(ctx, i.Party))
	fmt.Println(len(bobs.State().Members), "in the party of", bobs.State().Leader)

	there, err := friends.Watch(ctx, "bob")
	fmt.Println(there[0].User, there[0].Presence == client.Online, err)
	presence.Set("bob", social.Status{Playing: true, Text: "in the ring"})
	s := <-seen
	fmt.Println(s.User, s.Presence == client.Playing, s.Text)
	// Output:
	// invite: <nil>
	// ann invites bob: <nil>
	// 2 in the party of ann
	// bob true <nil>
	// bob true in the ring
}
