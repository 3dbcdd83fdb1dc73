// SPDX-License-Identifier: MIT

package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// AnyPort is Listen, and without it an address whose port is the system's choice.
func (o *Options) AnyPort() string { return cmp.Or(o.Listen, cmp.Or(o.Host, "127.0.0.1")+":0") }

// OwnPort is Listen, and without it an address that the system gives to no socket
// by itself. A server with several loops shares its port among sockets of one
// user. Another socket of that user that is bound the same way takes a part of its
// players, without an error on either side, and tests around here bind port 0 all
// the time. What else draws such ports draws others, and another process that draws
// of these has another address of the machine itself.
func (o *Options) OwnPort() string {
	pid := os.Getpid()
	host := cmp.Or(o.Host, fmt.Sprintf("127.%d.%d.%d", 1+pid>>14&0x7f, pid>>7&0x7f, 1+pid&0x7f))
	return cmp.Or(o.Listen, fmt.Sprintf("%s:%d", host, 20_000+rand.IntN(5_000)))
}

// startLifeline starts the server that all this is about. Whatever is not in
// the options is as a studio gets it that sets nothing.
func startLifeline(o *Options) (*service, error) {
	s, err := tryLifeline(o)
	for range 5 {
		if !errors.Is(err, unix.EADDRINUSE) {
			break
		}
		s, err = tryLifeline(o)
	}
	return s, err
}

func tryLifeline(o *Options) (*service, error) {
	g := &game{o: o}
	cfg := framework.Config{CoalesceDelay: o.CoalesceDelay, Session: session.Config{Interval: o.Interval, Timeout: o.Timeout}}
	cfg.Rate = framework.Rate{Messages: -1, Bytes: -1} // no player sends what a load generator does
	cfg.AlwaysCookie = o.Cookies == "all"
	if o.Cookies == "none" {
		cfg.CookieRate = -1
	}
	if o.Game {
		cfg.OnOpen, cfg.OnDetach, cfg.OnClose = g.onOpen, g.onDetach, g.onClose
	}
	carrier := transport.PlainKCP
	switch o.Carrier {
	case "plain-kcp":
		cfg.PlainKCP = o.OwnPort()
	case "kcp":
		cfg.KCP, carrier = o.OwnPort(), transport.KCP
	case "tcp":
		cfg.TCP, carrier = o.AnyPort(), transport.TCP
	case "stcp":
		cfg.SealedTCP, carrier = o.AnyPort(), transport.SealedTCP
	case "ws":
		cfg.WebSocket, carrier = o.AnyPort(), transport.WebSocket
	default:
		return nil, fmt.Errorf("no carrier %q", o.Carrier)
	}
	if cfg.KeyFile = o.KeyFile; cfg.KeyFile == "" && (cfg.KCP != "" || cfg.SealedTCP != "") {
		cfg.KeyFile = filepath.Join(os.TempDir(), fmt.Sprintf("lifeline-bench-%d.key", os.Getpid()))
		defer os.Remove(cfg.KeyFile) // it has been read by then
	}
	if o.Links > 50_000 {
		// Half of the links may be of addresses that are not validated: room for all of them.
		cfg.MaxLinks = 2 * o.Links
	}
	ledger, err := openLedger(o.Ledger)
	if err != nil {
		return nil, err
	}
	g.ledger = ledger
	halls, err := mapFile[hallPage](o.HallLedger)
	if err != nil {
		return nil, err
	}
	send, leave, err := o.join(&cfg, ledger)
	if err != nil {
		return nil, err
	}
	srv, err := framework.New(cfg)
	if err != nil {
		leave()
		return nil, err
	}
	g.routes(srv)
	if o.Halls {
		g.addHalls(srv, halls)
	}
	if o.Fan {
		send = g.broadcaster(srv, cfg.Cluster)
	}
	if err := srv.Start(); err != nil {
		leave()
		return nil, err
	}
	if o.Pushes > 0 || o.PushEach > 0 {
		go g.push() // ends with the process
	}
	return &service{
		addr: srv.Addr(carrier), key: srv.PublicKey(), stats: srv.Stats, game: g, send: send,
		drain: func() error {
			ctx, cancel := context.WithTimeout(context.Background(), o.Drain+drainTime)
			defer cancel()
			defer leave()
			return srv.Shutdown(ctx)
		},
		stop: func() {
			// Its players are gone; there is nobody to say goodbye to.
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = srv.Shutdown(ctx)
			leave()
		},
	}, nil
}
