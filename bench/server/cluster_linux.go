// SPDX-License-Identifier: MIT

package server

import (
	"context"
	"net/netip"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/framework/cluster/nats"
	"github.com/lifeline-go/lifeline/session"
)

// drainTime is what a drain has besides its window.
const drainTime = 20 * time.Second

// startDirectory is the process with the directory of a cluster.
func startDirectory(o *Options) (*service, error) {
	bus, err := nats.Start(nats.Config{Listen: o.Listen})
	if err != nil {
		return nil, err
	}
	return &service{addr: netip.MustParseAddrPort(o.Listen), stop: bus.Close}, nil
}

// join makes a server one of many, if it is to be. leave closes what joins it.
func (o *Options) join(cfg *framework.Config, l *ledger) (send *sender, leave func(), err error) {
	leave = func() {}
	cfg.Secret, cfg.Drain.Window = session.Secret{1}, o.Drain
	if o.Users {
		cfg.Authenticate = func(_ context.Context, l framework.Login) (framework.Identity, error) {
			return framework.Identity{User: string(l.Ticket)}, nil
		}
	}
	if o.Cluster == "" {
		return nil, leave, nil
	}
	var bus cluster.Bus = new(cluster.Memory)
	if o.Cluster != "memory" {
		at := nats.Config{Peers: o.Peers, Peer: o.Peer}
		if len(o.Peers) > 0 {
			at.Dir = o.Dir
		}
		if o.Cluster != "nats" {
			at.Join = []string{o.Cluster}
		}
		b, err := nats.Start(at)
		if err != nil {
			return nil, nil, err
		}
		bus, leave = b, b.Close
	}
	if o.Listen != "" {
		cfg.Address = o.Carrier + "://" + o.Listen
	}
	cfg.Reopen = func(context.Context, string) (any, error) { return nil, nil }
	undelivered := func(string, string, error) { send.undelivered.Add(1) } // none before one is sent
	if o.SendTo == 0 {
		undelivered = nil
	}
	c, err := cluster.New(cluster.Config{Bus: bus, Node: o.Node, Dir: o.Dir, OnUndelivered: undelivered})
	if err != nil {
		leave()
		return nil, nil, err
	}
	cfg.Cluster = c
	if o.SendTo > 0 {
		send = newSender(o, l, toUsers(c, o.SendTo))
	}
	return send, leave, nil
}
