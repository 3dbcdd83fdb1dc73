// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/session"
)

// startServer starts one of the servers of a cluster.
func startServer(bus cluster.Bus, change func(*framework.Config, *cluster.Cluster)) (*framework.Server, *cluster.Cluster) {
	c, err := cluster.New(cluster.Config{Bus: bus, Labels: []string{"shop"}, OnMissed: func(tag string, n uint64) {
		fmt.Println("missed", n, "of", tag) // send the members here what they need
	}})
	if err != nil {
		panic(err)
	}
	cfg := framework.Config{
		TCP: "127.0.0.1:0", Cluster: c, Secret: session.Secret{1}, Logger: slog.New(slog.DiscardHandler),
		Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
			return framework.Identity{User: string(l.Ticket)}, nil
		},
	}
	change(&cfg, c)
	srv, err := framework.New(cfg)
	if err == nil {
		err = srv.Start()
	}
	if err != nil {
		panic(err)
	}
	return srv, c
}

// join logs a user in at a server.
func join(srv *framework.Server, user string) *client.Client {
	c, err := client.New([]string{"tcp://" + srv.Addr(framework.TCP).String()}, client.Config{
		Ticket: func(context.Context) ([]byte, error) { return []byte(user), nil },
	})
	if err == nil {
		err = c.Connect(context.Background())
	}
	if err != nil {
		panic(err)
	}
	return c
}

// A guild has members at two servers. What is broadcast at one gets to all of them.
func ExampleGroup() {
	ctx := context.Background()
	bus := new(cluster.Memory)
	opened := make(chan string, 1)
	a, one := startServer(bus, func(*framework.Config, *cluster.Cluster) {})
	b, two := startServer(bus, func(cfg *framework.Config, c *cluster.Cluster) {
		cfg.OnOpen = func(p *framework.Player) {
			c.Group("guild 7").Add(p) // at each server, for whoever comes
			opened <- p.User()
		}
	})
	defer func() {
		_ = a.Shutdown(ctx)
		_ = b.Shutdown(ctx)
	}()
	bob := join(b, "bob")
	defer bob.Close()
	heard := make(chan string, 10)
	client.OnMessage(bob, "chat", func(text string) { heard <- text })
	<-opened
	fmt.Println(two.Group("guild 7").Len(), "member here")

	for text := ""; text == ""; { // the other server hears of the first member a moment later
		if err := one.Group("guild 7").Broadcast("chat", "the gate is open"); err != nil {
			panic(err)
		}
		select {
		case text = <-heard:
			fmt.Println(text)
		case <-time.After(20 * time.Millisecond):
		}
	}
	_ = one.Broadcast("chat", "to all players of the game")
	for text := range heard {
		if text == "to all players of the game" {
			fmt.Println(text)
			break
		}
	}
	two.Group("guild 7").Remove(b.User("bob")[0])
	// Output:
	// 1 member here
	// the gate is open
	// to all players of the game
}

// A server without players keeps the shop of the game. Another one calls it.
func ExampleCall() {
	type buy struct {
		User, Item string
	}
	type receipt struct {
		Price uint32
	}
	ctx := context.Background()
	bus := new(cluster.Memory)
	shop, _ := startServer(bus, func(cfg *framework.Config, c *cluster.Cluster) {
		cfg.TCP = "" // it listens to no address
		cluster.Handle(c, "shop.buy", func(_ context.Context, from cluster.Member, q buy) (receipt, error) {
			if q.Item != "sword" {
				return receipt{}, framework.Fail(framework.GameError+1, "no "+q.Item+" is for sale")
			}
			return receipt{Price: 30}, nil
		})
	})
	game, c := startServer(bus, func(*framework.Config, *cluster.Cluster) {})
	defer func() {
		_ = game.Shutdown(ctx)
		_ = shop.Shutdown(ctx)
	}()

	r, err := cluster.Call[receipt](ctx, c, cluster.Node(1), "shop.buy", buy{"ann", "sword"})
	fmt.Println(r.Price, err)
	_, err = cluster.Call[receipt](ctx, c, cluster.Any("shop"), "shop.buy", buy{"ann", "crown"})
	fmt.Println(err)
	_, err = cluster.Call[receipt](ctx, c, cluster.OwnerOf("eve"), "shop.buy", buy{"eve", "sword"})
	fmt.Println(errors.Is(err, cluster.ErrOffline))
	// Output:
	// 30 <nil>
	// lifeline: no crown is for sale (code 1001)
	// true
}

// Two servers of one cluster, in one process. A player logs in at the first. The second one
// sends it a message, and knows nothing but its name.
func ExampleUser() {
	ctx := context.Background()
	bus := new(cluster.Memory) // with servers on many machines that of package cluster/nats
	one, _ := startServer(bus, func(*framework.Config, *cluster.Cluster) {})
	two, c := startServer(bus, func(*framework.Config, *cluster.Cluster) {})
	defer func() {
		_ = one.Shutdown(ctx)
		_ = two.Shutdown(ctx)
	}()

	ann, err := client.New([]string{"tcp://" + one.Addr(framework.TCP).String()}, client.Config{
		Ticket: func(context.Context) ([]byte, error) { return []byte("ann"), nil },
	})
	if err != nil {
		panic(err)
	}
	defer ann.Close()
	heard := make(chan string)
	client.OnMessage(ann, "whisper", func(text string) { heard <- text })
	if err := ann.Connect(ctx); err != nil {
		panic(err)
	}

	if err := c.User("ann").Push("whisper", "hello from the other server"); err != nil {
		panic(err) // too much waits for ann's server
	}
	fmt.Println(<-heard)
	at, err := c.User("ann").Where(ctx)
	fmt.Println(at.Node, at.Attached, err)
	// Output:
	// hello from the other server
	// 1 true <nil>
}
