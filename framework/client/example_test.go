// SPDX-License-Identifier: MIT

package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
)

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	// A server, to have something to talk to.
	srv, err := framework.New(framework.Config{TCP: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	framework.OnRequest(srv, "double", func(p *framework.Player, n int) (int, error) {
		return 2 * n, p.Push("news", "somebody doubled")
	})
	if err := srv.Start(); err != nil {
		log.Fatal(err)
	}
	defer srv.Shutdown(ctx)

	// Handlers are registered before the first message can arrive.
	c, err := client.New([]string{"tcp://" + srv.Addr(transport.TCP).String()}, client.Config{
		OnEvent: func(s client.Event) { fmt.Println("session", s.Kind) },
	})
	if err != nil {
		log.Fatal(err)
	}
	news := make(chan string, 1)
	client.OnMessage(c, "news", func(text string) { news <- text })
	if err := c.Connect(ctx); err != nil {
		log.Fatal(err)
	}

	var n int
	if err := c.Request(ctx, "double", 21, &n); err != nil {
		log.Fatal(err)
	}
	fmt.Println(n, <-news)

	c.Cut() // somebody trips over the cable
	if err := c.Request(ctx, "double", n, &n); err != nil {
		log.Fatal(err)
	}
	fmt.Println(n, <-news)

	_ = c.Close()
	<-c.Done()
	// Output:
	// session opened
	// 42 somebody doubled
	// session lost
	// session resumed
	// 84 somebody doubled
	// session closed
}
