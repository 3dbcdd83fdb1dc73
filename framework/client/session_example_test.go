// SPDX-License-Identifier: MIT

package client_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
)

// serve starts a server for an example. Its players are who they say they are.
func serve(setup func(*framework.Server)) (addr string, stop func()) {
	srv, err := framework.New(framework.Config{
		TCP: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
		Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
			return framework.Identity{User: string(l.Ticket)}, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	setup(srv)
	if err := srv.Start(); err != nil {
		log.Fatal(err)
	}
	return "tcp://" + srv.Addr(framework.TCP).String(), func() { _ = srv.Shutdown(context.Background()) }
}

// The player's app is closed and started again within the grace: the session goes on.
// What the server sent meanwhile is lost, so the app asks anew.
func ExampleClient_Token() {
	addr, stop := serve(func(srv *framework.Server) {
		framework.OnMessage(srv, "subscribe", func(p *framework.Player, _ bool) { _ = p.Push("news", "you won") })
	})
	defer stop()
	ctx := context.Background()

	first, err := client.Dial(ctx, []string{addr}, client.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer first.Close()
	token := first.Token() // stored like a password
	first.Pause()          // the app is put away, and never comes back

	news := make(chan string, 1)
	second, err := client.New([]string{addr}, client.Config{
		Token:   token,
		OnEvent: func(e client.Event) { fmt.Println("session", e.Kind) },
	})
	if err != nil {
		log.Fatal(err)
	}
	client.OnMessage(second, "news", func(text string) { news <- text })
	if err := second.Connect(ctx); err != nil {
		log.Fatal(err)
	}
	_ = second.Send("subscribe", true)
	fmt.Println(<-news, first.ID() == second.ID())
	_ = second.Close()
	<-second.Done()
	// Output:
	// session reset
	// you won true
	// session closed
}

// Input that is overtaken by the next is sent for the moment only: what is lost holds up
// nothing, where the carrier can do that.
func ExampleClient_SendNewest() {
	seen := make(chan int, 1)
	addr, stop := serve(func(srv *framework.Server) {
		framework.OnMessage(srv, "steer", func(_ *framework.Player, angle int) {
			if angle == 90 {
				seen <- angle
			}
		})
	})
	defer stop()

	c, err := client.Dial(context.Background(), []string{addr}, client.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for angle := 0; angle <= 90; angle += 10 { // 60 times a second in a real one
		_ = c.SendNewest("steer", angle)
	}
	fmt.Println("steers", <-seen)
	// Output: steers 90
}

// A list of rooms that is kept up to date, as in a lobby.
func ExampleRoom_Follow() {
	addr, stop := serve(func(srv *framework.Server) {
		framework.AddRoom(srv, "duel", func(r *framework.Room) *framework.Room { return r }).Seats(2).Listed()
	})
	defer stop()
	ctx := context.Background()

	dial := func() *client.Client {
		c, err := client.Dial(ctx, []string{addr}, client.Config{})
		if err != nil {
			log.Fatal(err)
		}
		return c
	}
	lobby, ann := dial(), dial()
	defer lobby.Close()
	defer ann.Close()
	lists := make(chan []client.RoomInfo, 10) // more than there are
	err := lobby.Room("duel").Follow(ctx, "free>0", func(list []client.RoomInfo) { lists <- list })
	fmt.Println(len(<-lists), "rooms", err)
	_ = ann.Join(ctx, "duel", "ice")
	for list := range lists {
		if len(list) > 0 {
			fmt.Println(list[0].Key, list[0].Players, "of", list[0].Seats)
			break
		}
	}
	fmt.Println(lobby.Room("duel").Unfollow(ctx))
	// Output:
	// 0 rooms <nil>
	// ice 1 of 2
	// <nil>
}

// Rooms tell when the client gets in and out, at its own wish or the server's.
func ExampleRoom_OnJoined() {
	addr, stop := serve(func(srv *framework.Server) {
		duels := framework.AddRoom(srv, "duel", func(r *framework.Room) *framework.Room { return r })
		framework.OnRoomMessage(duels, "give up", func(r *framework.Room, p *framework.Player, _ bool) {
			r.Close(framework.CodeGame, p.User()+" gave up")
		})
	})
	defer stop()
	ctx := context.Background()

	c, err := client.New([]string{addr}, client.Config{
		Ticket: func(context.Context) ([]byte, error) { return []byte("ann"), nil }, TicketTimeout: time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	duel, over := c.Room("duel"), make(chan bool)
	duel.OnJoined(func(key string) { fmt.Println("in", key) })
	duel.OnLeft(func(key string, why client.Reason) {
		fmt.Println("out of", key, "-", why.Text)
		close(over)
	})
	if err := c.Connect(ctx); err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	key, err := duel.Join(ctx, "") // the fullest that has a free seat, or a new one
	fmt.Println("joined", key, err)
	_ = c.Send("give up", true)
	<-over
	// Output:
	// in 1
	// joined 1 <nil>
	// out of 1 - ann gave up
}
