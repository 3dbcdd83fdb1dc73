// SPDX-License-Identifier: MIT

package main

import (
	"io"
	"log"
	"net/netip"
	"strings"

	"github.com/lonng/nano"
	"github.com/lonng/nano/component"
	"github.com/lonng/nano/session"

	"github.com/lifeline-go/lifeline/bench/server"
)

// Bench is a component of nano, whose handlers are its methods.
type Bench struct{ component.Base }

// Echo answers a request with what is in it.
func (*Bench) Echo(s *session.Session, payload []byte) error { return s.Response(payload) }

func nanoTCP(o *server.Options) (netip.AddrPort, func(), error) { return nanoServer(o, false) }

func nanoWS(o *server.Options) (netip.AddrPort, func(), error) { return nanoServer(o, true) }

// nanoServer is as its examples have it, but for what they log.
func nanoServer(o *server.Options, websocket bool) (netip.AddrPort, func(), error) {
	at := o.OwnPort()
	components := &component.Components{}
	components.Register(&Bench{}, component.WithName("bench"), component.WithNameFunc(strings.ToLower))
	go nano.Listen(at, nano.WithComponents(components), nano.WithIsWebsocket(websocket), nano.WithLogger(log.New(io.Discard, "", 0)))
	addr := netip.MustParseAddrPort(at)
	return addr, nano.Shutdown, taken(addr, "tcp4")
}
