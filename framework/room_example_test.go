// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
)

// fightParams are what a fight is opened with.
type fightParams struct {
	Map    string
	Result chan<- string // of the game's own code: parameters do not travel
}

// fight is a match that the game opens for two players.
type fight struct {
	*framework.Room
	p fightParams
}

func newFight(r *framework.Room, p fightParams) (*fight, error) {
	if p.Map == "" {
		return nil, framework.Fail(1001, "a duel needs a map")
	}
	return &fight{r, p}, nil
}

// OnEnd is the place to write results: it comes once, as the last.
func (d *fight) OnEnd(why framework.Reason) { d.p.Result <- d.p.Map + ": " + why.Text }

// A match is opened with parameters before anybody is in it, its players are seated all
// or none, and it ends with a reason, of which every client hears.
func ExampleRoomsOf_Open() {
	srv := newServer()
	duels := framework.AddRoomWith(srv, "duel", newFight).Private().Seats(2).Grace(30 * time.Second)
	framework.OnRoomMessage(duels, "hit", func(d *fight, p *framework.Player, _ int) {
		d.Close(1000, p.User()+" wins")
	})
	defer start(srv)()

	ctx, ended := context.Background(), make(chan string)
	ann, bob := player(srv, "ann"), player(srv, "bob")
	for _, c := range []*client.Client{ann, bob} {
		connect(c)
		c.Room("duel").OnLeft(func(_ string, why client.Reason) { ended <- why.Text })
	}
	_, err := duels.Open(ctx, fightParams{})
	fmt.Println(err)
	result := make(chan string, 1)
	key, _ := duels.Open(ctx, fightParams{"ice", result})
	fmt.Println(duels.Seat(ctx, key, srv.User("ann")[0], srv.User("bob")[0]))
	fmt.Println(ann.Join(ctx, "duel", "another"))
	_ = bob.Send("hit", 1)
	fmt.Println(<-ended, "/", <-ended)
	fmt.Println(<-result)
	// Output:
	// lifeline: a duel needs a map (code 1001)
	// <nil>
	// lifeline: rooms of type duel are private: the server puts players in (code 6)
	// bob wins / bob wins
	// ice: bob wins
}

// Timers run on the room's goroutine, so they need no lock, and end with the room.
func ExampleRoom_After() {
	srv := newServer()
	ended := make(chan bool)
	framework.AddRoom(srv, "quiz", func(r *framework.Room) *framework.Room {
		left := 3
		r.Every(10*time.Millisecond, func() {
			fmt.Println(left)
			if left--; left == 0 {
				r.Close(0, "")
			}
		})
		r.After(time.Minute, func() { fmt.Println("too late") })
		return r
	})
	defer start(srv)()

	c := player(srv, "ann")
	c.Room("quiz").OnLeft(func(string, client.Reason) { close(ended) })
	connect(c)
	_ = c.Join(context.Background(), "quiz", "1")
	<-ended
	// Output:
	// 3
	// 2
	// 1
}

// What blocks runs beside the room, and its result comes back to it: the tick goes on,
// and the request is answered when the work is done.
func ExampleAsync() {
	srv := newServer()
	type shop struct {
		*framework.Room
		sold int
	}
	shops := framework.AddRoom(srv, "shop", func(r *framework.Room) *shop { return &shop{Room: r} })
	framework.OnRoomRequestAsync(shops, "buy", func(s *shop, p *framework.Player, what string, reply framework.Reply[string]) {
		framework.Async(s, func(context.Context) (int, error) {
			return 7, nil // the price, from a database
		}, func(price int, err error) {
			s.sold++ // on the room's goroutine again
			reply(fmt.Sprintf("%s for %d, sale %d", what, price, s.sold), err)
		})
	})
	defer start(srv)()

	c, ctx := player(srv, "ann"), context.Background()
	connect(c)
	_ = c.Join(ctx, "shop", "1")
	var bought string
	err := c.Request(ctx, "buy", "a hat", &bought)
	fmt.Println(bought, err)
	// Output: a hat for 7, sale 1 <nil>
}

// Clients look for a room, and watch one, without a seat in it.
func ExampleRoomsOf_Listed() {
	srv := newServer()
	duels := framework.AddRoomWith(srv, "duel", func(r *framework.Room, p fightParams) (*framework.Room, error) {
		return r, r.Publish(map[string]string{"map": p.Map})
	}).Seats(2).Spectators(100).Listed()
	defer start(srv)()

	c, ctx := player(srv, "ann"), context.Background()
	connect(c)
	for _, name := range []string{"ice", "sand"} {
		_, _ = duels.Open(ctx, fightParams{Map: name})
	}
	list, total, err := c.Room("duel").List(ctx, "map=ice free>0")
	fmt.Println(total, list[0].Published["map"], list[0].Players, "of", list[0].Seats, err)
	err = c.Room("duel").Watch(ctx, list[0].Key)
	fmt.Println(c.Room("duel").Watching(), err)
	_, _, err = c.Room("duel").List(ctx, "map ice")
	fmt.Println(err)
	// Output:
	// 1 ice 0 of 2 <nil>
	// true <nil>
	// lifeline: filter: want = != < <= > or >= after "map" (code 3)
}

// profile is what this game knows of a player.
type profile struct{ Rank string }

// What a login loads is there in OnOpen and in every handler.
func ExampleDataOf() {
	srv, err := framework.New(framework.Config{
		TCP: "127.0.0.1:0",
		Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
			return framework.Identity{User: string(l.Ticket), Data: &profile{Rank: "gold"}}, nil
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	framework.CarryData[*profile](srv) // to other servers, too
	framework.OnRequest(srv, "rank", func(p *framework.Player, _ int) (string, error) {
		return framework.DataOf[*profile](p).Rank, nil
	})
	defer start(srv)()

	c := player(srv, "ann")
	connect(c)
	var rank string
	err = c.Request(context.Background(), "rank", 0, &rank)
	fmt.Println(rank, err)
	// Output: gold <nil>
}

// A room looks who is in it, and takes a player out, with a reason for its client.
func ExampleRoom_Remove() {
	srv := newServer()
	stage := framework.AddRoom(srv, "stage", func(r *framework.Room) *framework.Room { return r }).Spectators(10)
	framework.OnRoomRequest(stage, "vote out", func(r *framework.Room, _ *framework.Player, user string) (string, error) {
		for _, p := range r.Members() {
			if p.User() == user {
				r.Remove(p, framework.CodeGame, "voted out")
			}
		}
		return fmt.Sprint(len(r.Members()), " on the stage, ", len(r.Watchers()), " watch"), nil
	})
	defer start(srv)()

	ctx, out := context.Background(), make(chan string)
	ann, bob, eve := player(srv, "ann"), player(srv, "bob"), player(srv, "eve")
	bob.Room("stage").OnLeft(func(_ string, why client.Reason) { out <- why.Text })
	for _, c := range []*client.Client{ann, bob, eve} {
		connect(c)
	}
	_, _ = ann.Join(ctx, "stage", "1"), bob.Join(ctx, "stage", "1")
	_ = eve.Room("stage").Watch(ctx, "1")
	var said string
	fmt.Println(ann.Request(ctx, "vote out", "bob", nil))
	fmt.Println("bob:", <-out)
	err := ann.Request(ctx, "vote out", "nobody", &said)
	fmt.Println(said, err)
	// Output:
	// <nil>
	// bob: voted out
	// 1 on the stage, 1 watch <nil>
}

// Who is there, for a page of the game's own.
func ExampleServer_Inspect() {
	srv := newServer()
	defer start(srv)()
	connect(player(srv, "ann"))
	connect(player(srv, "bob"))

	for _, in := range srv.Inspect(10, func(in *framework.Info) bool { return in.User == "bob" }) {
		fmt.Println(in.User, in.Carrier, in.State)
	}
	// Output: bob tcp attached
}
