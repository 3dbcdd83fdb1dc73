// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"slices"
)

// User implements ClusterHost.
func (h clusterHost) User(user string) []*Player {
	return slices.DeleteFunc(h.s.User(user), (*Player).stored)
}

// Request implements ClusterHost.
func (h clusterHost) Request(p *Player, route string, v any) (func(context.Context) ([]byte, error), error) {
	id, call, err := p.ask(route, v)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) ([]byte, error) { return p.await(ctx, id, call) }, nil
}

// Group implements ClusterHost.
func (h clusterHost) Group(tag string) Group { return h.s.Group(tag) }

// Broadcast implements ClusterHost.
func (h clusterHost) Broadcast(route string, v any) error { return h.s.Broadcast(route, v) }

// WatchGroups implements ClusterHost.
func (h clusterHost) WatchGroups(f func(tag string, some bool)) { h.s.groups.Watch(f) }

// Panicked implements ClusterHost.
func (h clusterHost) Panicked(in string, v any) { h.s.panicked(nil, in, v) }
