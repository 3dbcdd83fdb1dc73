// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strings"

	"github.com/lifeline-go/lifeline/bench/link/path"
	"github.com/lifeline-go/lifeline/bench/link/wire"
)

// forward is a proxy for datagrams until it is interrupted.
func forward(udp string, cfg path.Config) error {
	from, to, _ := strings.Cut(udp, "=")
	listen, err := netip.ParseAddrPort(from)
	if err != nil {
		return fmt.Errorf("-udp %s: %w", udp, err)
	}
	server, err := netip.ParseAddrPort(to)
	if err != nil {
		return fmt.Errorf("-udp %s: %w", udp, err)
	}
	u, err := wire.ListenUDP(listen, server, cfg)
	if err != nil {
		return err
	}
	fmt.Printf("forwarding %s to %s\n", u.Addr(), server)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	<-stop
	return u.Close()
}
