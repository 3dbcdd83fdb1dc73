// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/session"
)

// Two servers of one cluster, in one process. A player logs in at the first. The second one
// sends it a message, and knows nothing but its name.
func ExampleUser() {
	ctx := context.Background()
	bus := new(cluster.Memory) // with servers on many machines that of package cluster/nats
	start := func() (*framework.Server, *cluster.Cluster) {
		c, err := cluster.New(cluster.Config{Bus: bus})
		if err != nil {
			panic(err)
		}
		srv, err := framework.New(framework.Config{
			TCP: "127.0.0.1:0", Cluster: c, Secret: session.Secret{1}, Logger: slog.New(slog.DiscardHandler),
			Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
				return framework.Identity{User: string(l.Ticket)}, nil
			},
		})
		if err == nil {
			err = srv.Start()
		}
		if err != nil {
			panic(err)
		}
		return srv, c
	}
	one, _ := start()
	two, c := start()
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
