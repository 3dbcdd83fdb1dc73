// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
)

// events makes a client that tells what becomes of its session.
func events(srv *framework.Server, name string) (*client.Client, <-chan client.Event) {
	all := make(chan client.Event, 100) // more than there are
	return playerWith(srv, name, func(e client.Event) { all <- e }), all
}

// A kick has a code of the game's own, a text for people, and a number for the client's
// code. The client does not come back by itself.
func ExamplePlayer_KickWith() {
	const cheated = framework.CodeGame + 1
	srv := newServer()
	framework.OnMessage(srv, "teleport", func(p *framework.Player, _ int) {
		p.KickWith(framework.Reason{Code: cheated, Text: "too fast", Detail: 3})
	})
	defer start(srv)()

	c, all := events(srv, "ann")
	connect(c)
	_ = c.Send("teleport", 1)
	for e := range all {
		if e.Kind == client.EventClosed {
			end := e.Err.(*client.CloseError)
			fmt.Println(end.Code == cheated, end.Text, end.Detail)
			break
		}
	}
	// Output: true too fast 3
}

// While the game is being mended, logins are sent away with a text. Sessions that live go
// on, and those sent away come back by themselves.
func ExampleServer_Maintenance() {
	srv := newServer()
	defer start(srv)()
	ann := player(srv, "ann")
	connect(ann)

	srv.Maintenance("back at noon", time.Millisecond)
	bob, all := events(srv, "bob")
	go func() { _ = bob.Connect(context.Background()) }() // ends with the client
	e := <-all
	fmt.Println(e.Kind, e.Err.(*client.CloseError).Text)
	fmt.Println(ann.Err())

	srv.Maintenance("", 0)
	for e.Kind != client.EventOpened {
		e = <-all
	}
	fmt.Println(e.Kind)
	// Output:
	// refused back at noon
	// <nil>
	// opened
}

// Later sends a player away for a while, as while a service is down: the client logs in
// again by itself.
func ExampleLater() {
	var down atomic.Bool
	down.Store(true)
	srv, err := framework.New(framework.Config{
		TCP: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
		Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
			if down.Swap(false) {
				return framework.Identity{}, framework.Later(time.Millisecond, "the account service is down")
			}
			return framework.Identity{User: string(l.Ticket)}, nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer start(srv)()

	c, all := events(srv, "ann")
	connect(c)
	e := <-all
	fmt.Println(e.Kind, e.Err.(*client.CloseError).Text)
	fmt.Println((<-all).Kind)
	// Output:
	// refused the account service is down
	// opened
}

// What is built on a server beside the game, as matchmaking is, has hooks and numbers of
// its own.
func ExampleServer_AddHooks() {
	srv := newServer()
	var visits atomic.Uint64
	closed := make(chan string)
	srv.AddHooks(framework.Hooks{
		OnOpen: func(p *framework.Player) {
			visits.Add(1)
			p.OnClose(func() { closed <- p.User() + " is gone" })
		},
		OnClose: func(p *framework.Player, why framework.Reason) { closed <- fmt.Sprint(p.User(), ": ", why) },
	})
	srv.AddStats("visits", func() framework.PartStats {
		return framework.PartStats{Total: map[string]uint64{"visits": visits.Load()}}
	})
	defer start(srv)()

	c := player(srv, "ann")
	connect(c)
	_ = c.Close()
	fmt.Println(<-closed)
	fmt.Println(<-closed)
	fmt.Println(srv.Stats().Parts["visits"].Total["visits"])
	// Output:
	// ann: left
	// ann is gone
	// 1
}

// score is what a player takes along.
type score struct{ Points int }

// A player moves to another server of the game in the middle of its session: nothing is
// lost, nothing comes twice, and no login is asked for.
func ExamplePlayer_Move() {
	var store framework.MemoryStore // a real one is a database that both reach
	serve := func(node uint16) *framework.Server {
		srv, err := framework.New(framework.Config{
			TCP: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
			Node: node, Secret: framework.Secret{1, 2, 3}, Store: &store, Address: fmt.Sprint("tcp://127.0.0.1:", node),
			Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
				return framework.Identity{User: string(l.Ticket), Data: &score{}}, nil
			},
		})
		if err != nil {
			panic(err)
		}
		framework.CarryData[*score](srv)
		framework.OnRequest(srv, "add", func(p *framework.Player, n int) (int, error) {
			s := framework.DataOf[*score](p)
			s.Points += n
			return s.Points, nil
		})
		return srv
	}
	one, two := serve(1), serve(2)
	defer start(two)()
	defer start(one)()

	c, all := events(one, "ann")
	connect(c)
	add := func(n int) {
		var points int
		err := c.Request(context.Background(), "add", n, &points)
		fmt.Println(points, err)
	}
	add(3)
	_ = one.User("ann")[0].Move("tcp://" + two.Addr(framework.TCP).String())
	for e := range all {
		if e.Kind == client.EventResumed {
			break
		}
	}
	add(4)
	fmt.Println(len(one.User("ann")), len(two.User("ann")))
	// Output:
	// 3 <nil>
	// 7 <nil>
	// 0 1
}
