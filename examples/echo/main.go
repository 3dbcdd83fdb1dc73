// SPDX-License-Identifier: MIT

// Command echo is the smallest server there is: it answers "echo" with what it
// was sent, and "burst" {n} with n numbered messages on the route "tick". With -test
// it does to clients whatever a server may, when they ask for it: see README.md.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"os/signal"
	"syscall"
	"time"

	"github.com/lifeline-go/lifeline/framework"
)

type burst struct{ N int }

type tick struct{ N int }

func main() {
	kcp := flag.String("plain-kcp", "127.0.0.1:7777", "listen `address` of plain KCP")
	tcp := flag.String("tcp", "127.0.0.1:7777", "listen `address` of TCP")
	test := flag.String("test", "", "listen `address` of TCP with faults on demand; turns the test mode on, in which clients provoke the server")
	flag.Parse()
	if flag.NArg() > 0 { // what follows it would not be read
		log.Fatalf("%q is no flag", flag.Arg(0))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	cfg := framework.Config{PlainKCP: *kcp, TCP: *tcp}
	if *test != "" {
		cfg = testConfig(cfg)
	}
	srv, err := framework.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	routes(srv)
	if *test != "" {
		provoke(srv)
	}
	if err := srv.Start(); err != nil {
		log.Fatal(err)
	}
	if *test != "" {
		l, err := net.Listen("tcp", *test)
		if err != nil {
			log.Fatal(err)
		}
		defer l.Close()
		go relay(l, srv.Addr(framework.TCP).String()) // ends with l
		log.Printf("serving tcp://%v with faults", l.Addr())
	}
	log.Printf("serving plain-kcp://%v and tcp://%v", srv.Addr(framework.PlainKCP), srv.Addr(framework.TCP))
	<-ctx.Done()
	stop() // a second signal ends the process at once
	stopping, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := srv.Shutdown(stopping); err != nil {
		log.Fatal(err)
	}
}

// routes adds what the server answers to.
func routes(srv *framework.Server) {
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
}
