// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/lifeline-go/lifeline/codec"
)

// RoomInfo is what a list tells of a room.
type RoomInfo struct {
	Key       string
	Players   int
	Seats     int // 0: no limit
	Watched   int // spectators
	Open      bool
	Published map[string]string // what the room has published
}

// listedRoom is a RoomInfo as it travels.
type listedRoom struct {
	Key       string
	Players   int
	Seats     int
	Watched   int
	Open      bool
	Published [][2]string
}

func (l *listedRoom) info() RoomInfo {
	in := RoomInfo{l.Key, l.Players, l.Seats, l.Watched, l.Open, make(map[string]string, len(l.Published))}
	for _, p := range l.Published {
		in.Published[p[0]] = p[1]
	}
	return in
}

// roomList is the answer to a question for a list.
type roomList struct {
	Total int
	Rooms []listedRoom
}

// listNews is what has changed in a list that is followed.
type listNews struct {
	Type  string
	Whole bool // it begins anew
	Rooms []listedRoom
	Gone  []string
}

const (
	routeList     = "room.list"
	routeFollow   = "room.follow"
	routeUnfollow = "room.unfollow"
	routeListed   = "room.listed"
)

// List returns rooms of the type, by key, and how many there are; the first 100 of
// them at most. A filter is terms with blanks between, all of which must hold, as in
// `map=ice rating>=1000 free>0`: a field that rooms publish, or key, players, seats,
// free, watched or open; one of = != < <= > >=; and a value, between quotes where it
// has blanks. An empty one chooses all. The error is as Request's: a codec.Error with
// ErrorBadRequest for a filter that can't be read, ErrorRefused where the server lists
// no rooms of the type.
func (r *Room) List(ctx context.Context, filter string) (list []RoomInfo, total int, err error) {
	var a roomList
	if err := r.all.ask(ctx, routeList, [...]string{r.name, filter}, &a); err != nil {
		return nil, 0, err
	}
	for i := range a.Rooms {
		list = append(list, a.Rooms[i].info())
	}
	return list, a.Total, nil
}

// Follow is List again and again: f gets the list before Follow returns, and whenever it
// has changed, half a second later at most. It runs where the handlers of OnMessage do.
// A list of more than 20 rooms comes in parts. A second Follow takes the place of the
// first, unless it is refused. It ends with the session: follow again when EventOpened comes. A RESET and a move
// to another server begin the list anew. It has 100 rooms at most: filter. The error is as
// List's.
func (r *Room) Follow(ctx context.Context, filter string, f func([]RoomInfo)) error {
	r.all.mu.Lock()
	was := r.onList
	r.onList = f
	r.follows++
	turn := r.follows
	r.all.mu.Unlock()
	err := r.all.ask(ctx, routeFollow, [...]string{r.name, filter}, nil)
	var no *codec.Error
	if errors.As(err, &no) && no.Code != codec.ErrorReset { // the server has changed nothing
		r.all.mu.Lock()
		if r.follows == turn {
			r.onList = was
		}
		r.all.mu.Unlock()
	}
	return err
}

// Unfollow ends Follow. The error is as Request's.
func (r *Room) Unfollow(ctx context.Context) error {
	r.all.mu.Lock()
	r.onList = nil
	r.follows++
	r.all.mu.Unlock()
	return r.all.ask(ctx, routeUnfollow, [...]string{r.name}, nil)
}

// listed takes what has changed in a list.
func (s *rooms) listed(n listNews) {
	s.mu.Lock()
	r := s.getLocked(n.Type)
	if n.Whole || r.list == nil {
		r.list = map[string]RoomInfo{}
	}
	for i := range n.Rooms {
		r.list[n.Rooms[i].Key] = n.Rooms[i].info()
	}
	for _, key := range n.Gone {
		delete(r.list, key)
	}
	list := slices.SortedFunc(maps.Values(r.list), func(a, b RoomInfo) int { return strings.Compare(a.Key, b.Key) })
	f := r.onList
	s.mu.Unlock()
	if f != nil {
		f(list)
	}
}
