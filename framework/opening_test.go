// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestHelloThatWaitedForTheLoop: an Inline handler that keeps its loop for longer than a
// link may take to say HELLO closes no link of which the HELLO waits in the kernel meanwhile.
func TestHelloThatWaitedForTheLoop(t *testing.T) {
	const n, timeout = 100, 2 * time.Second // more links than share a batch
	srv, err := framework.New(framework.Config{TCP: "127.0.0.1:0", Loops: 1, Logger: slog.New(slog.DiscardHandler), Session: session.Config{OpeningTimeout: timeout}})
	if err != nil {
		t.Fatal(err)
	}
	standing, over := make(chan struct{}), make(chan struct{})
	framework.OnMessage(srv, "stand", func(*framework.Player, int) { close(standing); <-over }).Inline()
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = srv.Shutdown(context.Background()) }()
	c, err := client.New([]string{"tcp://" + srv.Addr(transport.TCP).String()}, client.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	var links [n]*raw
	var nonces [n][]byte
	for i := range n {
		conn, err := net.Dial("tcp", srv.Addr(transport.TCP).String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		links[i] = &raw{t: t, conn: conn}
		var greeting struct {
			Version uint8
			Nonce   []byte
		}
		links[i].read(codec.Greeting, &greeting)
		nonces[i] = greeting.Nonce
	}
	if err := c.Send("stand", 1); err != nil {
		t.Fatal(err)
	}
	<-standing
	if srv.Stats().OpeningTimeouts > 0 {
		t.Skip("this machine is too slow for that")
	}
	for i, r := range links {
		r.hello(nonces[i], fmt.Sprint("user", i), 1)
	}
	time.Sleep(timeout * 5 / 4)
	close(over)
	for _, r := range links {
		if kind, _, err := r.next(); err != nil || kind != byte(codec.Welcome) {
			t.Fatalf("a HELLO was answered by kind %d, %v", kind, err)
		}
	}
}

// TestLinksThatAreGoneAreForgotten: a peer that opens links and closes them, or has them evicted,
// costs no more memory than links that are open at once.
func TestLinksThatAreGoneAreForgotten(t *testing.T) {
	simulate(t, 1, memnet.Conditions{}, framework.Config{Loops: 1}, nil, func(e *env) {
		const n = 5000
		for range n {
			conn, err := e.net.DialTCP(context.Background(), e.srv.Addr(transport.TCP))
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
			time.Sleep(100 * time.Microsecond) // all in less than OpeningTimeout
		}
		if got := e.srv.Openings(); got > n/2 {
			e.t.Errorf("%d links are gone, and %d are kept", n, got)
		}
	})
}
