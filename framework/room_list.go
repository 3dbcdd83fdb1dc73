// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/filter"
	"github.com/lifeline-go/lifeline/framework/internal/mailbox"
)

// What clients ask of the rooms of a type that is Listed: codec/SPEC 6.4.
const (
	// RouteList asks for the rooms that a filter chooses: [type, filter]. The answer is
	// [total, rooms], with the rooms as [key, players, seats, watched, open, published].
	RouteList = "room.list"
	// RouteFollow asks for the list by RouteListed, and for every change of it from then
	// on: [type, filter]. The answer, behind the list, is how many rooms the filter
	// chooses. A player follows one list of each type. After a RESET, and on another server
	// to which its session has moved, the list is told anew as a whole.
	RouteFollow = "room.follow"
	// RouteUnfollow ends that: [type].
	RouteUnfollow = "room.unfollow"
	// RouteListed tells of a list that is followed: [type, whole, rooms that are new or
	// have changed, keys of rooms that are gone]. If whole is true the list begins anew.
	RouteListed = "room.listed"
)

const (
	maxListed    = 100 // rooms in an answer, and in a list that is followed
	priceOfList  = 20  // in messages: see Config.Rate
	maxPublished = 512 // bytes of a room's names and values
)

// listedRoom is what a list tells of a room.
type listedRoom struct {
	Key       string
	Players   int
	Seats     int // 0: no limit
	Watched   int
	Open      bool
	Published [][2]string // names and values, by name
}

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
// most; a name has none of the characters of filters and blanks. An error changes
// nothing. Safe to call from any goroutine.
func (r *Room) Publish(values map[string]string) error {
	size := 0
	var list [][2]string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if name == "" || strings.ContainsAny(name, "=!<>\" ") || !printable(name) || !printable(values[name]) {
			return fmt.Errorf("framework: room %s can't publish %q", r.name(), name)
		}
		size += len(name) + len(values[name])
		list = append(list, [2]string{name, values[name]})
	}
	if size > maxPublished {
		return fmt.Errorf("framework: room %s publishes %d bytes, more than %d", r.name(), size, maxPublished)
	}
	r.kind.mu.Lock()
	defer r.kind.mu.Unlock()
	r.published = list
	r.kind.changedLocked(r.seats.Key)
	return nil
}

// listedLocked is what a list tells of the room.
func (r *Room) listedLocked() listedRoom {
	return listedRoom{r.seats.Key, r.seats.Taken(), r.kind.plan.Seats, r.seats.Watched(), !r.seats.Shut(), r.published}
}

func (l *listedRoom) equal(o *listedRoom) bool {
	return l.Players == o.Players && l.Watched == o.Watched && l.Open == o.Open && slices.Equal(l.Published, o.Published)
}

// field returns what filters compare.
func (l *listedRoom) field(name string) (string, bool) {
	switch name {
	case "key":
		return l.Key, true
	case "players":
		return strconv.Itoa(l.Players), true
	case "watched":
		return strconv.Itoa(l.Watched), true
	case "open":
		return strconv.FormatBool(l.Open), true
	case "seats":
		return strconv.Itoa(l.Seats), l.Seats > 0
	case "free":
		if l.Seats == 0 {
			return "inf", true
		}
		return strconv.Itoa(l.Seats - l.Players), true
	}
	for _, p := range l.Published {
		if p[0] == name {
			return p[1], true
		}
	}
	return "", false
}

// roomList is the answer to RouteList.
type roomList struct {
	Total int
	Rooms []listedRoom
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
	k.mu.Lock()
	all := k.allLocked()
	k.mu.Unlock()
	list := choose(f, all, s.cfg.Session.MaxBody)
	p.answer(asked, &list, nil)
	return nil
}

// allLocked is what lists tell of all rooms.
func (k *roomKind) allLocked() []listedRoom {
	all := make([]listedRoom, 0, k.plan.Len())
	for at := range k.plan.All() {
		all = append(all, at.Value.listedLocked())
	}
	return all
}

// choose makes the list of those that the filter chooses, by key.
func choose(f filter.Filter, all []listedRoom, maxBody int) roomList {
	list := roomList{Rooms: []listedRoom{}}
	for i := range all {
		if f.Matches(all[i].field) {
			list.Rooms = append(list.Rooms, all[i])
		}
	}
	list.Total = len(list.Rooms)
	slices.SortFunc(list.Rooms, func(a, b listedRoom) int { return strings.Compare(a.Key, b.Key) })
	size := 0
	for i, r := range list.Rooms {
		if size += 64 + len(r.Key) + maxPublished/8; len(r.Published) > 0 {
			size += maxPublished
		}
		if i >= maxListed || size > maxBody {
			list.Rooms = list.Rooms[:i]
			break
		}
	}
	return list
}
