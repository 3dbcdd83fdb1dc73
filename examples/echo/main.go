// SPDX-License-Identifier: MIT

// Command echo is the smallest server there is: it answers "echo" with what it
// was sent, and "burst" {n} with n numbered messages on the route "tick".
package main

import (
	"context"
	"flag"
	"log"
	"os/signal"
	"syscall"

	"github.com/lifeline-go/lifeline/framework"
)

type burst struct{ N int }

type tick struct{ N int }

func main() {
	kcp := flag.String("plain-kcp", "127.0.0.1:7777", "listen `address` of plain KCP")
	tcp := flag.String("tcp", "127.0.0.1:7777", "listen `address` of TCP")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	srv, err := framework.New(framework.Config{PlainKCP: *kcp, TCP: *tcp})
	if err != nil {
		log.Fatal(err)
	}
	framework.OnRaw(srv, "echo", func(_ *framework.Player, payload, dst []byte) ([]byte, error) {
		return append(dst, payload...), nil
	}).Inline()
	framework.OnRequest(srv, "burst", func(p *framework.Player, b burst) (int, error) {
		for i := range min(b.N, 1000) {
			if err := p.Push("tick", tick{i + 1}); err != nil {
				return i, err
			}
		}
		return min(b.N, 1000), nil
	})
	if err := srv.Start(); err != nil {
		log.Fatal(err)
	}
	log.Printf("serving plain-kcp://%v and tcp://%v", srv.Addr(framework.PlainKCP), srv.Addr(framework.TCP))
	<-ctx.Done()
	stop() // a second signal ends the process at once
	if err := srv.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
}
