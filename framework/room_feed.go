// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/filter"
	"github.com/lifeline-go/lifeline/session"

	"github.com/lifeline-go/lifeline/framework/internal/roomlist"
)

// This file tells clients of changes of the lists that they follow: what package roomlist
// decides.

const (
	// feedEvery is how long changes of rooms are collected.
	feedEvery = 500 * time.Millisecond
	// feedRooms is how many rooms one message tells of: they have to fit into it.
	feedRooms = 20
)

// listNews is what RouteListed tells.
type listNews struct {
	Type  string
	Whole bool // it begins anew
	Rooms []roomlist.Room
	Gone  []string
}

// changedLocked takes note that a list tells something else of a room that is here from now
// on.
func (k *roomKind) changedLocked(key string) {
	k.told.stale = true
	k.feedLocked(key)
}

// feedLocked takes note that a list tells something else of a room from now on.
func (k *roomKind) feedLocked(key string) {
	if k.feed.Changed(key) {
		time.AfterFunc(feedEvery, k.flush)
	}
}

// flush tells what has changed. It runs on a goroutine of the runtime, once at a time.
func (k *roomKind) flush() {
	k.telling.Lock()
	defer k.telling.Unlock()
	k.mu.Lock()
	all := k.feed.News(k.roomOfKeyLocked, k.allLocked)
	k.mu.Unlock()
	for _, n := range all {
		for rooms := range slices.Chunk(n.Rooms, feedRooms) {
			k.tellNews(n.To, rooms, []string{})
		}
		for gone := range slices.Chunk(n.Gone, roomlist.MaxListed) {
			k.tellNews(n.To, []roomlist.Room{}, gone)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.feed.Told() {
		time.AfterFunc(feedEvery, k.flush)
	}
}

// tellNews tells followers of rooms, in as many messages as it takes.
func (k *roomKind) tellNews(to []*Player, rooms []roomlist.Room, gone []string) {
	err := k.srv.multicast(to, nil, RouteListed, &listNews{k.name, false, rooms, gone})
	if r, g := len(rooms)/2, len(gone)/2; err == codec.ErrTooLarge && r+g > 0 {
		k.tellNews(to, rooms[:r], gone[:g])
		k.tellNews(to, rooms[r:], gone[g:])
	}
}

// listedLocked is what a list tells of the room.
func (r *Room) listedLocked() roomlist.Room {
	return roomlist.Room{Key: r.seats.Key, Players: r.seats.Taken(), Seats: r.kind.plan.Seats, Watched: r.seats.Watched(), Open: !r.seats.Shut(), Published: r.published}
}

func (k *roomKind) unfollow(p *Player) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.feed.Unfollow(p)
}

// followList tells the player a list, and every change of it from then on. It is called
// where the player's callbacks run.
func (p *Player) followList(k *roomKind, text string, f filter.Filter) (total int, err error) {
	if !p.noteFollows(k) {
		return 0, session.ErrClosed
	}
	list, err := k.tellFollower(p, text, f)
	if err != nil {
		return 0, err
	}
	k.followOthers()
	return list.Total, nil
}

// tellFollower adds a player to those that follow a list, and tells it the list, behind the
// news of the one before.
func (k *roomKind) tellFollower(p *Player, text string, f filter.Filter) (roomlist.List, error) {
	k.telling.Lock()
	defer k.telling.Unlock()
	list, err := k.follow(p, text, f)
	if err == nil {
		// Without kind.mu: a player's mu is not taken under it.
		p.tellList(k.name, list.Rooms)
		k.followed(p, text, list)
	}
	return list, err
}

// tellList tells the player a list as a whole, in as many messages as it takes.
func (p *Player) tellList(of string, list []roomlist.Room) {
	for whole := true; whole || len(list) > 0; whole = false {
		n := min(len(list), feedRooms)
		for p.Push(RouteListed, &listNews{of, whole, list[:n], []string{}}) == codec.ErrTooLarge && n > 0 {
			n /= 2
		}
		list = list[min(max(n, 1), len(list)):] // one that fits into no message is left out
	}
}

// following is a list that a player follows, as it goes to another server.
type following struct{ Type, Filter string }

// following returns the lists that the player follows.
func (p *Player) following() (all []following) {
	p.mu.Lock()
	var kinds []*roomKind
	if p.extra != nil {
		kinds = p.extra.follows
	}
	p.mu.Unlock()
	for _, k := range kinds {
		k.mu.Lock()
		if text, ok := k.feed.Follows(p); ok {
			all = append(all, following{k.name, text})
		}
		k.mu.Unlock()
	}
	return all
}

// followAgain tells the lists that the player followed on another server, or of which
// changes may be lost. What can't be followed here is empty.
func (p *Player) followAgain(all []following) {
	for _, was := range all {
		k := p.srv.kinds[was.Type]
		f, err := filter.Parse(was.Filter)
		if err == nil && k != nil && k.listed {
			_, err = p.followList(k, was.Filter, f)
		} else if err == nil {
			err = refusal(codec.ErrorRefused, "rooms of type "+short(was.Type)+" are not listed here")
		}
		if err != nil {
			p.tellList(was.Type, []roomlist.Room{})
			p.logLimited(slog.LevelWarn, "a list of rooms is not followed any more", "room", was.Type, "error", err)
		}
	}
}

// follow adds a player to those that follow a list, and returns the list. Until followed
// is called the player is told no changes.
func (k *roomKind) follow(p *Player, text string, f filter.Filter) (roomlist.List, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	list, ok := k.feed.Follow(p, text, f, k.allLocked())
	if !ok {
		return list, k.deny(refusal(codec.ErrorBusy, fmt.Sprintf("%d lists of rooms of type %s are followed, as many as may be", k.feed.Len(), k.name)))
	}
	return list, nil
}

// followed takes note that the player has been told the list. What has changed since is
// told with the next changes.
func (k *roomKind) followed(p *Player, text string, list roomlist.List) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range k.feed.Listed(p, text, list, k.allLocked()) {
		k.feedLocked(key)
	}
}

// noteFollows takes note that the player follows a list, which its end ends. It reports
// false if it has ended.
func (p *Player) noteFollows(k *roomKind) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life.Closed() {
		return false
	}
	if x := p.extraLocked(); !slices.Contains(x.follows, k) {
		x.follows = append(x.follows, k)
	}
	return true
}

// What clients ask of the rooms of a type that is Listed: codec/SPEC 6.4.
const (
	// RouteList asks for the rooms that a filter chooses: [type, filter]. The answer is
	// [total, rooms], with the rooms as [key, players, seats, watched, open, published].
	RouteList = "room.list"
	// RouteFollow asks for the list by RouteListed, and for every change of it from then
	// on: [type, filter]. The answer, behind the list, is how many rooms the filter
	// chooses. A player follows one list of each type. In a cluster rooms of other servers
	// may come a little later. After a RESET, and on another server
	// to which its session has moved, the list is told anew as a whole.
	RouteFollow = "room.follow"
	// RouteUnfollow ends that: [type].
	RouteUnfollow = "room.unfollow"
	// RouteListed tells of a list that is followed: [type, whole, rooms that are new or
	// have changed, keys of rooms that are gone]. If whole is true the list begins anew.
	RouteListed = "room.listed"
)
