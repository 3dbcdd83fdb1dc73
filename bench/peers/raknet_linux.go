// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"io"
	"net"
	"net/netip"

	"github.com/sandertv/go-raknet"

	"github.com/lifeline-go/lifeline/bench/server"
)

// rakNet is its listener with a goroutine a connection, as its example has it.
func rakNet(o *server.Options) (netip.AddrPort, func(), error) {
	l, err := raknet.Listen(o.AnyPort())
	if err != nil {
		return netip.AddrPort{}, nil, err
	}
	go func() { // ends with the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go o.Echo(c)
		}
	}()
	return l.Addr().(*net.UDPAddr).AddrPort(), func() { _ = l.Close() }, nil
}

func dialRakNet(ctx context.Context, from netip.Addr, to netip.AddrPort) (io.ReadWriteCloser, error) {
	d := raknet.Dialer{UpstreamDialer: &net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}}
	return d.DialContext(ctx, to.String())
}
