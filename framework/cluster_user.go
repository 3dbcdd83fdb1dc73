// SPDX-License-Identifier: MIT

package framework

import "context"

// User implements ClusterHost.
func (h clusterHost) User(user string) []*Player { return h.s.User(user) }

// Request implements ClusterHost.
func (h clusterHost) Request(p *Player, route string, v any) (func(context.Context) ([]byte, error), error) {
	id, call, err := p.ask(route, v)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) ([]byte, error) { return p.await(ctx, id, call) }, nil
}
