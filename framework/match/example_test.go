// SPDX-License-Identifier: MIT

package match_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"slices"
	"strings"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/match"
)

// ring is a match of two.
type ring struct {
	*framework.Room
	users []string
}

// Two players wait in a queue, and meet in a room that is opened for them.
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
	rings := framework.AddRoomWith(srv, "ring", func(r *framework.Room, users []string) (*ring, error) {
		return &ring{r, users}, nil
	}).Private().Seats(2)
	framework.OnRoomRequest(rings, "who", func(m *ring, _ *framework.Player, _ bool) (string, error) {
		return strings.Join(m.users, " against "), nil
	})
	match.Add(match.New(srv, match.Options{}), "quick", rings, match.Config{
		Rules: match.Rules{Teams: 2, Size: 1},
	}, func(m match.Made) (users []string, err error) {
		for _, p := range m.Players() {
			users = append(users, p.User())
		}
		slices.Sort(users)
		return users, nil
	})
	if err := srv.Start(); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	defer srv.Shutdown(ctx)

	seated := make(chan *client.Client, 2)
	for _, user := range []string{"ann", "bob"} {
		c, err := client.New([]string{"tcp://" + srv.Addr(framework.TCP).String()}, client.Config{
			Ticket: func(context.Context) ([]byte, error) { return []byte(user), nil },
		})
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		q := client.NewQueue(c)
		c.Room("ring").OnJoined(func(string) { seated <- c })
		if err := c.Connect(ctx); err != nil {
			log.Fatal(err)
		}
		fmt.Println(user, "waits:", q.Enter(ctx, client.Wish{Queue: "quick"}))
	}
	for range 2 {
		var who string
		err := (<-seated).Request(ctx, "who", true, &who)
		fmt.Println(who, err)
	}
	// Output:
	// ann waits: <nil>
	// bob waits: <nil>
	// ann against bob <nil>
	// ann against bob <nil>
}
