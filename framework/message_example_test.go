// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
)

// A request has an answer or an error, and a client tells errors apart by their code.
func ExampleOnRequest() {
	const tooPoor = framework.GameError + 1
	srv := newServer()
	framework.OnRequest(srv, "buy", func(_ *framework.Player, gold int) (string, error) {
		if gold < 10 {
			return "", framework.Fail(tooPoor, "a sword costs 10 gold")
		}
		return "a sword", nil
	}).Max(16) // bytes that a client may send
	defer start(srv)()

	c := player(srv, "ann")
	connect(c)
	for _, gold := range []int{5, 20} {
		var bought string
		err := c.Request(context.Background(), "buy", gold, &bought)
		var no *client.Error
		fmt.Printf("%q, too poor: %v\n", bought, errors.As(err, &no) && no.Code == tooPoor)
	}
	// Output:
	// "", too poor: true
	// "a sword", too poor: false
}

// A handler that waits takes a context: it ends with the session of the player, or with
// what middleware makes of it.
func ExampleOnRequestContext() {
	srv := newServer()
	srv.Use(func(next framework.Handler) framework.Handler {
		return func(c *framework.Call) error {
			ctx, cancel := context.WithTimeout(c.Context(), 10*time.Millisecond)
			defer cancel()
			c.SetContext(ctx)
			return next(c)
		}
	})
	framework.OnRequestContext(srv, "score", func(ctx context.Context, _ *framework.Player, _ string) (int, error) {
		<-ctx.Done() // a database that hangs
		return 0, framework.Later(time.Minute, ctx.Err().Error())
	})
	defer start(srv)()

	c := player(srv, "ann")
	connect(c)
	fmt.Println(c.Request(context.Background(), "score", "today", nil))
	// Output: lifeline: context deadline exceeded (code 4)
}

// A handler that reads and writes msgpack itself, as one that only passes it on.
func ExampleOnRaw() {
	srv := newServer()
	framework.OnRaw(srv, "echo", func(_ *framework.Player, payload, dst []byte) ([]byte, error) {
		return append(dst, payload...), nil
	})
	defer start(srv)()

	c := player(srv, "ann")
	connect(c)
	var back []string
	err := c.Request(context.Background(), "echo", []string{"as", "it", "came"}, &back)
	fmt.Println(back, err)
	// Output: [as it came] <nil>
}

// What the game does for a player costs that player, as if it had sent so many bytes more:
// one that asks too often waits.
func ExamplePlayer_Charge() {
	srv := newServer()
	framework.OnMessageContext(srv, "search", func(ctx context.Context, p *framework.Player, what string) {
		p.Charge(10_000)
		_ = p.Push("found", "no "+what) // a costly query, bounded by ctx
	})
	defer start(srv)()

	c, found := player(srv, "ann"), make(chan string, 1)
	client.OnMessage(c, "found", func(text string) { found <- text })
	connect(c)
	_ = c.Send("search", "gold")
	fmt.Println(<-found)
	// Output: no gold
}

// What is large is sent in parts, as fast as the client reads, and fills no buffer.
func ExamplePushAll() {
	srv := newServer()
	framework.OnMessage(srv, "world", func(p *framework.Player, size int) {
		go func() { // ends with the session at the latest
			chunks := slices.Repeat([]string{"chunk"}, size)
			if err := framework.PushAll(p.Context(), p, "chunk", slices.Values(chunks)); err == nil {
				_ = p.Push("complete", true)
			}
		}()
	})
	defer start(srv)()

	c, done := player(srv, "ann"), make(chan bool)
	n := 0
	client.OnMessage(c, "chunk", func(string) { n++ })
	client.OnMessage(c, "complete", func(bool) { close(done) })
	connect(c)
	_ = c.Send("world", 5000) // more than waits for a player at once
	<-done
	fmt.Println(n, "chunks")
	// Output: 5000 chunks
}

// More than may wait for a player is given up, and the game is told by how much. The
// player comes back to a snapshot.
func ExampleOverflowError() {
	srv := newServer()
	defer start(srv)()

	c := player(srv, "ann")
	connect(c)
	p := srv.User("ann")[0]
	c.Pause() // nothing is read for a while
	for p.Attached() {
		time.Sleep(time.Millisecond)
	}
	_ = p.Push("news", 0)
	fmt.Println(p.Queued())
	var err error
	for n := 0; err == nil; n++ {
		err = p.Push("news", n)
	}
	var over *framework.OverflowError
	fmt.Println(errors.Is(err, framework.ErrOverflow), errors.As(err, &over), over.MaxPackets)
	// Output:
	// 1 7
	// true true 1024
}
