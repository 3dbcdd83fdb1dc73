// SPDX-License-Identifier: MIT

package framework

import (
	"slices"
	"sync"
)

// Group is the players who have a tag in common: a guild, a lobby's chat, a
// cell of the map. A player may be in many, whatever room it is in, and leaves
// them when its session ends, after OnClose. There is nothing to make or to end:
// a group is there as long as somebody is in it. Safe to use from any goroutine.
type Group struct {
	srv *Server
	tag string
	by  *Player
}

// groups are the members by tag. A player's mu is taken under mu, no other one.
type groups struct {
	mu    sync.Mutex
	byTag map[string]*members // guarded by mu
}

// members are found by a player, and listed.
type members struct {
	list  []*Player
	place map[*Player]int
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
	all := &g.srv.groups
	all.mu.Lock()
	defer all.mu.Unlock()
	m := all.byTag[g.tag]
	if m != nil {
		if _, in := m.place[p]; in {
			return false
		}
	}
	p.mu.Lock()
	if p.life.Closed() {
		p.mu.Unlock()
		return false
	}
	x := p.extraLocked()
	x.groups = append(x.groups, g.tag)
	p.mu.Unlock()
	if m == nil {
		m = &members{place: map[*Player]int{}}
		if all.byTag == nil {
			all.byTag = map[string]*members{}
		}
		all.byTag[g.tag] = m
	}
	m.place[p] = len(m.list)
	m.list = append(m.list, p)
	return true
}

// Remove takes a player out. It reports false if it was not in.
func (g Group) Remove(p *Player) bool {
	all := &g.srv.groups
	all.mu.Lock()
	defer all.mu.Unlock()
	if !all.removeLocked(g.tag, p) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.extra.groups, g.tag); i >= 0 {
		p.extra.groups = slices.Delete(p.extra.groups, i, i+1)
	}
	return true
}

func (all *groups) removeLocked(tag string, p *Player) bool {
	m := all.byTag[tag]
	if m == nil {
		return false
	}
	i, in := m.place[p]
	if !in {
		return false
	}
	last := len(m.list) - 1
	m.list[i] = m.list[last]
	m.place[m.list[i]] = i
	m.list[last] = nil
	m.list = m.list[:last]
	delete(m.place, p)
	if last == 0 {
		delete(all.byTag, tag)
	}
	return true
}

// leaveGroups takes a player who has ended out of all groups.
func (s *Server) leaveGroups(p *Player, tags []string) {
	if len(tags) == 0 {
		return
	}
	s.groups.mu.Lock()
	defer s.groups.mu.Unlock()
	for _, tag := range tags {
		s.groups.removeLocked(tag, p)
	}
}

// Members returns the players of the group, in no order.
func (g Group) Members() []*Player {
	all := &g.srv.groups
	all.mu.Lock()
	defer all.mu.Unlock()
	if m := all.byTag[g.tag]; m != nil {
		return slices.Clone(m.list)
	}
	return nil
}

// Len returns how many players are in the group.
func (g Group) Len() int {
	all := &g.srv.groups
	all.mu.Lock()
	defer all.mu.Unlock()
	if m := all.byTag[g.tag]; m != nil {
		return len(m.list)
	}
	return 0
}

// Broadcast sends a one-way message to every member but those named. It is
// encoded once, and each loop is woken once.
func (g Group) Broadcast(route string, v any, but ...*Player) error {
	list := g.Members()
	if len(but) > 0 {
		list = slices.DeleteFunc(list, func(p *Player) bool { return slices.Contains(but, p) })
	}
	return g.srv.multicast(list, g.by, route, v)
}
