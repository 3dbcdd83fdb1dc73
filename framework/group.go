// SPDX-License-Identifier: MIT

package framework

import (
	"slices"
)

// Group is the players who have a tag in common: a guild, a lobby's chat, a
// cell of the map. A player may be in many, whatever room it is in, takes them
// along when its session moves to another server, and leaves them when it ends,
// after OnClose. There is nothing to make or to end:
// a group is there as long as somebody is in it. Safe to use from any goroutine.
type Group struct {
	srv *Server
	tag string
	by  *Player
}

// Group returns the group with a tag.
func (s *Server) Group(tag string) Group { return Group{srv: s, tag: tag} }

// By returns the group whose broadcasts are charged to p, as those of a room in
// p's handlers are: see Player.Charge. For what p makes the group hear, as a chat.
func (g Group) By(p *Player) Group {
	g.by = p
	return g
}

// Add takes a player in. It reports false if it is in already, or its session
// has ended.
func (g Group) Add(p *Player) bool {
	return g.srv.groups.Add(g.tag, p, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.life.Closed() {
			return false
		}
		x := p.extraLocked()
		x.groups = append(x.groups, g.tag)
		return true
	})
}

// Remove takes a player out. It reports false if it was not in.
func (g Group) Remove(p *Player) bool {
	return g.srv.groups.Remove(g.tag, p, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if i := slices.Index(p.extra.groups, g.tag); i >= 0 {
			p.extra.groups = slices.Delete(p.extra.groups, i, i+1)
		}
	})
}

// Members returns the players of the group, in no order.
func (g Group) Members() []*Player { return g.srv.groups.Members(g.tag) }

// Len returns how many players are in the group.
func (g Group) Len() int { return g.srv.groups.Len(g.tag) }

// Broadcast sends a one-way message to every member but those named. It is
// encoded once, and each loop is woken once.
func (g Group) Broadcast(route string, v any, but ...*Player) error {
	list := g.Members()
	if len(but) > 0 {
		list = slices.DeleteFunc(list, func(p *Player) bool { return slices.Contains(but, p) })
	}
	return g.srv.multicast(list, g.by, route, v)
}
