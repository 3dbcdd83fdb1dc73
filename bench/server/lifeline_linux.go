// SPDX-License-Identifier: MIT

package server

import (
	"context"
	"fmt"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

const anyPort = "127.0.0.1:0"

// startLifeline starts the server that all this is about. Whatever is not in
// the options is as a studio gets it that sets nothing.
func startLifeline(o *Options) (*service, error) {
	cfg := framework.Config{Session: session.Config{Interval: o.Interval}}
	carrier := transport.PlainKCP
	switch o.Carrier {
	case "plain-kcp":
		cfg.PlainKCP = anyPort
	case "tcp":
		cfg.TCP, carrier = anyPort, transport.TCP
	default:
		return nil, fmt.Errorf("no carrier %q", o.Carrier)
	}
	if o.Links > 50_000 {
		// Half of the links may be of unproved addresses: room for all of them.
		cfg.MaxLinks = 2 * o.Links
	}
	srv, err := framework.New(cfg)
	if err != nil {
		return nil, err
	}
	framework.HandleRaw(srv, "echo", func(_ *framework.Player, payload, dst []byte) ([]byte, error) {
		return append(dst, payload...), nil
	}).Inline()
	if err := srv.Start(); err != nil {
		return nil, err
	}
	return &service{
		addr: srv.Addr(carrier), stats: srv.Stats,
		stop: func() {
			// Its players are gone; there is nobody to say goodbye to.
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = srv.Shutdown(ctx)
		},
	}, nil
}
