// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lifeline-go/lifeline/framework/internal/roomlist"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/filter"
	"github.com/lifeline-go/lifeline/framework/internal/mailbox"
)

// priceOfList is what asking for a list costs, in messages: see Config.Rate.
const priceOfList = 20

// addListRoutes registers what every server with rooms answers; the types say whether
// they are listed.
func (s *Server) addListRoutes() {
	s.add(RouteList, handler{reply: true, begin: s.beginList}, RouteTypes{})
	s.add(RouteFollow, handler{reply: true, begin: s.beginFollow}, RouteTypes{})
	s.add(RouteUnfollow, handler{reply: true, begin: s.beginUnfollow}, RouteTypes{})
	s.Sends(DeliverAll, RouteListed)
}

// Publish sets what lists of rooms tell of this one beside its seats, and what filters
// compare: its map, its mode, a rating. Names and values have 512 bytes together at
// most; a name has none of the characters of filters and blanks, and is none of key, players,
// seats, free, watched and open, which lists tell of every room. An error changes nothing.
// Safe to call from any goroutine.
func (r *Room) Publish(values map[string]string) error {
	size := 0
	var list [][2]string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case roomlist.Tells(name):
			return fmt.Errorf("framework: room %s can't publish %s, which its list tells already", r.name(), name)
		case name == "", strings.ContainsAny(name, "=!<>\" "), !printable(name), !printable(values[name]):
			return fmt.Errorf("framework: room %s can't publish %q", r.name(), name)
		}
		size += len(name) + len(values[name])
		list = append(list, [2]string{name, values[name]})
	}
	if size > roomlist.MaxPublished {
		return fmt.Errorf("framework: room %s publishes %d bytes, more than %d", r.name(), size, roomlist.MaxPublished)
	}
	r.kind.mu.Lock()
	defer r.kind.mu.Unlock()
	r.published = list
	r.kind.changedLocked(r.seats.Key)
	return nil
}

// listQuestion reads what RouteList and RouteFollow ask, and charges for it.
func (s *Server) listQuestion(p *Player, payload []byte) (*roomKind, string, filter.Filter, error) {
	var q struct{ Type, Filter string }
	if err := codec.DecodeBody(payload, &q); err != nil {
		return nil, "", nil, badRequest(err)
	}
	k, err := s.roomType(q.Type)
	if err != nil {
		return nil, "", nil, err
	}
	if !k.listed {
		return nil, "", nil, k.deny(refusal(codec.ErrorRefused, "rooms of type "+k.name+" are not listed"))
	}
	f, err := filter.Parse(q.Filter)
	if err != nil {
		return nil, "", nil, k.deny(refusal(codec.ErrorBadRequest, err.Error()))
	}
	if !p.affords(priceOfList) {
		s.count.rateLimited.Add(1)
		return nil, "", nil, refusal(codec.ErrorBusy, "too many lists were asked for")
	}
	return k, q.Filter, f, nil
}

func (s *Server) beginList(p *Player, asked mailbox.Question, payload []byte) error {
	k, _, f, err := s.listQuestion(p, payload)
	if err != nil {
		return err
	}
	k.withOthers(func() {
		k.mu.Lock()
		all := k.allLocked()
		k.mu.Unlock()
		list := roomlist.Choose(f, all, s.cfg.Session.MaxBody)
		p.answer(asked, &list, nil)
	})
	return nil
}

func (s *Server) beginFollow(p *Player, asked mailbox.Question, payload []byte) error {
	k, text, f, err := s.listQuestion(p, payload)
	if err != nil {
		return err
	}
	total, err := p.followList(k, text, f)
	if err != nil {
		return err
	}
	p.answer(asked, total, nil)
	return nil
}

func (s *Server) beginUnfollow(p *Player, asked mailbox.Question, payload []byte) error {
	var types []string
	if err := codec.DecodeBody(payload, &types); err != nil {
		return badRequest(err)
	}
	if len(types) != 1 {
		return refusal(codec.ErrorBadRequest, "want the type of the rooms")
	}
	k, err := s.roomType(types[0])
	if err != nil {
		return err
	}
	k.unfollow(p)
	p.answer(asked, nil, nil)
	return nil
}
