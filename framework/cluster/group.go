// SPDX-License-Identifier: MIT

package cluster

import (
	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/fan"
)

// Group is the players of all servers that have a tag in common: a guild, a chat. Each
// server has its own members, those of framework.Server.Group with the tag, and a broadcast
// goes to all of them. There is nothing to make or to end. Its methods are safe to call from
// any goroutine, after Start, and do not block.
//
// A session that moves to another server takes its groups along, and its player does not get
// what is broadcast meanwhile. One that is reopened, as its server has crashed, is in none: add
// the player in OnOpen, which each server calls for every session that comes.
type Group struct {
	c   *Cluster
	tag string
	by  *framework.Player
}

// Group returns the group with a tag.
func (c *Cluster) Group(tag string) Group { return Group{c: c, tag: tag} }

// By returns the group whose broadcasts are charged to p, for the copies that this server
// sends: see framework.Group.By.
func (g Group) By(p *framework.Player) Group {
	g.by = p
	return g
}

// local is the part of the group that is here.
func (g Group) local() framework.Group {
	l := g.c.host.Group(g.tag)
	if g.by != nil {
		l = l.By(g.by)
	}
	return l
}

// Add takes a player of this server in: see framework.Group.Add. If it is the first one
// here, what other servers broadcast is heard a moment later.
func (g Group) Add(p *framework.Player) bool { return g.c.joined.Load() && g.local().Add(p) }

// Remove takes a player out. It reports false if it was not in.
func (g Group) Remove(p *framework.Player) bool { return g.c.joined.Load() && g.local().Remove(p) }

// Len returns how many players of this server are in the group.
func (g Group) Len() int {
	if !g.c.joined.Load() {
		return 0
	}
	return g.local().Len()
}

// Broadcast sends a one-way message to every member at every server but those named, which
// are players of this server. It is encoded once, and goes once to each server that has a
// member.
//
// From server to server it goes at most once. What one server broadcasts to one tag comes
// in its order. A server that finds that it has missed something tells Config.OnMissed, and
// counts it. What must not be missed goes by User.Push.
//
// The error is why v can't be sent, ErrBackpressure if 8 MiB wait for the bus already, or
// ErrUnreachable if this server is not in the cluster. After one of the last two the members
// that are here have got it.
func (g Group) Broadcast(route string, v any, but ...*framework.Player) error {
	return g.c.broadcasts.tell(fan.Key{Kind: castGroup, Tag: g.tag}, route, v, func(body codec.Raw) error {
		return g.local().Broadcast(route, body, but...)
	})
}

// Broadcast sends a one-way message to every player of every server: see Group.Broadcast,
// whose promise and errors it has. Config.OnMissed is told an empty tag.
func (c *Cluster) Broadcast(route string, v any) error {
	return c.broadcasts.tell(fan.Key{Kind: castAll}, route, v, func(body codec.Raw) error {
		return c.host.Broadcast(route, body)
	})
}
