// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"net/netip"

	"github.com/panjf2000/gnet/v2"

	"github.com/lifeline-go/lifeline/bench/server"
)

// echoUDP sends back what comes, as gnet's own examples do.
type echoUDP struct {
	gnet.BuiltinEventEngine
	up chan gnet.Engine
}

// OnBoot implements gnet.EventHandler.
func (e *echoUDP) OnBoot(eng gnet.Engine) gnet.Action {
	e.up <- eng
	return gnet.None
}

// OnTraffic implements gnet.EventHandler.
func (e *echoUDP) OnTraffic(c gnet.Conn) gnet.Action {
	b, err := c.Next(-1)
	if err == nil {
		_, _ = c.Write(b)
	}
	return gnet.None
}

func gnetUDP(o *server.Options) (netip.AddrPort, func(), error) {
	addr := o.OwnPort()
	e := &echoUDP{up: make(chan gnet.Engine, 1)}
	failed := make(chan error, 1)
	go func() { // ends with the engine
		failed <- gnet.Run(e, "udp://"+addr, gnet.WithSocketRecvBuffer(8<<20), gnet.WithSocketSendBuffer(8<<20))
	}()
	select {
	case eng := <-e.up:
		return netip.MustParseAddrPort(addr), func() { _ = eng.Stop(context.Background()) }, nil
	case err := <-failed:
		return netip.AddrPort{}, nil, err
	}
}
