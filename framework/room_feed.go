// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/filter"
	"github.com/lifeline-go/lifeline/framework/internal/mailbox"
	"github.com/lifeline-go/lifeline/session"
)

// feed tells clients of changes of the list of a type of room that they follow. It is
// guarded by kind.mu. Without followers there is none.
type feed struct {
	lists   map[string]*followed // by filter
	changed map[string]bool      // keys of rooms, since the last time
	armed   bool                 // flush is to come
}

// followed is a list that clients follow.
type followed struct {
	filter    filter.Filter
	told      map[string]bool  // keys of the rooms that its followers know of
	followers map[*Player]bool // false: the list itself is on its way
}

const (
	// feedEvery is how long changes of rooms are collected.
	feedEvery = 500 * time.Millisecond
	// feedRooms is how many rooms one message tells of: they have to fit into it.
	feedRooms = 20
	// maxFilters bounds the different lists of a type that are followed.
	maxFilters = 64
)

// changedLocked takes note that a list tells something else of a room from now on.
func (k *roomKind) changedLocked(key string) {
	f := k.feed
	if f == nil {
		return
	}
	f.changed[key] = true
	if !f.armed {
		f.armed = true
		time.AfterFunc(feedEvery, k.flush)
	}
}

// flush tells what has changed. It runs on a goroutine of the runtime, once at a time.
func (k *roomKind) flush() {
	type news struct {
		to   []*Player
		body listNews
	}
	var all []news
	k.mu.Lock()
	f := k.feed
	if f == nil {
		k.mu.Unlock()
		return
	}
	keys := slices.Sorted(maps.Keys(f.changed))
	for _, l := range f.lists {
		if n := k.newsLocked(l, keys); len(n.Rooms)+len(n.Gone) > 0 {
			all = append(all, news{l.ready(), n})
		}
	}
	clear(f.changed)
	k.mu.Unlock()
	for _, n := range all {
		for rooms := range slices.Chunk(n.body.Rooms, feedRooms) {
			_ = k.srv.multicast(n.to, nil, RouteListed, &listNews{k.name, false, rooms, []string{}})
		}
		for gone := range slices.Chunk(n.body.Gone, maxListed) {
			_ = k.srv.multicast(n.to, nil, RouteListed, &listNews{k.name, false, []listedRoom{}, gone})
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if f.armed = len(f.changed) > 0; f.armed {
		time.AfterFunc(feedEvery, k.flush)
	}
}

// ready are the followers that have the list.
func (l *followed) ready() (to []*Player) {
	for p, has := range l.followers {
		if has {
			to = append(to, p)
		}
	}
	return to
}

// listNews is what RouteListed tells.
type listNews struct {
	Type  string
	Whole bool // it begins anew
	Rooms []listedRoom
	Gone  []string
}

// newsLocked returns what the followers of a list have not been told of these rooms.
func (k *roomKind) newsLocked(l *followed, keys []string) listNews {
	n := listNews{Type: k.name, Rooms: []listedRoom{}, Gone: []string{}}
	for _, key := range keys {
		var room listedRoom
		at := k.plan.Get(key)
		if at != nil {
			room = at.Value.listedLocked()
		}
		switch {
		case at != nil && l.filter.Matches(room.field):
			if l.told[key] || len(l.told) < maxListed {
				l.told[key] = true
				n.Rooms = append(n.Rooms, room)
			}
		case l.told[key]:
			delete(l.told, key)
			n.Gone = append(n.Gone, key)
		}
	}
	return n
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

// followList tells the player a list, and every change of it from then on. It is called
// where the player's callbacks run.
func (p *Player) followList(k *roomKind, text string, f filter.Filter) (total int, err error) {
	if !p.noteFollows(k) {
		return 0, session.ErrClosed
	}
	list, err := k.follow(p, text, f)
	if err != nil {
		return 0, err
	}
	// Without kind.mu: a player's mu is not taken under it.
	p.tellList(k.name, list.Rooms)
	k.followed(p, text, list)
	return list.Total, nil
}

// tellList tells the player a list as a whole.
func (p *Player) tellList(of string, list []listedRoom) {
	whole := true
	for rooms := range slices.Chunk(list, feedRooms) {
		_ = p.Push(RouteListed, &listNews{of, whole, rooms, []string{}})
		whole = false
	}
	if whole {
		_ = p.Push(RouteListed, &listNews{of, whole, []listedRoom{}, []string{}})
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
		if k.feed != nil {
			for text, l := range k.feed.lists {
				if _, in := l.followers[p]; in {
					all = append(all, following{k.name, text})
				}
			}
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
			p.tellList(was.Type, nil)
			p.logLimited(slog.LevelWarn, "a list of rooms is not followed any more", "room", was.Type, "error", err)
		}
	}
}

// follow adds a player to those that follow a list, and returns the list. Until followed
// is called the player is told no changes.
func (k *roomKind) follow(p *Player, text string, f filter.Filter) (list roomList, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.listsWithoutLocked(p, text) >= maxFilters { // before anything changes
		return list, k.deny(refusal(codec.ErrorBusy, fmt.Sprintf("%d lists of rooms of type %s are followed, as many as may be", maxFilters, k.name)))
	}
	k.unfollowLocked(p)
	if k.feed == nil {
		k.feed = &feed{lists: map[string]*followed{}, changed: map[string]bool{}}
	}
	l := k.feed.lists[text]
	if l == nil {
		l = &followed{filter: f, told: map[string]bool{}, followers: map[*Player]bool{}}
		k.feed.lists[text] = l
	}
	l.followers[p] = false
	list = choose(f, k.allLocked(), k.srv.cfg.Session.MaxBody)
	for _, r := range list.Rooms {
		l.told[r.Key] = true
	}
	return list, nil
}

// listsWithoutLocked counts the lists that others than the player follow, but for the one
// of a filter.
func (k *roomKind) listsWithoutLocked(p *Player, own string) (n int) {
	if k.feed == nil {
		return 0
	}
	for text, l := range k.feed.lists {
		if _, in := l.followers[p]; text != own && (!in || len(l.followers) > 1) {
			n++
		}
	}
	return n
}

// followed takes note that the player has been told the list. What has changed since is
// told with the next changes.
func (k *roomKind) followed(p *Player, text string, list roomList) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.feed.lists[text]
	l.followers[p] = true
	was := map[string]listedRoom{}
	for _, r := range list.Rooms {
		was[r.Key] = r
	}
	for _, r := range choose(l.filter, k.allLocked(), k.srv.cfg.Session.MaxBody).Rooms {
		if old, ok := was[r.Key]; !ok || !old.equal(&r) {
			k.changedLocked(r.Key)
		}
		delete(was, r.Key)
	}
	for key := range was {
		k.changedLocked(key)
	}
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

func (k *roomKind) unfollow(p *Player) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unfollowLocked(p)
}

func (k *roomKind) unfollowLocked(p *Player) {
	if k.feed == nil {
		return
	}
	for text, l := range k.feed.lists {
		if delete(l.followers, p); len(l.followers) == 0 {
			delete(k.feed.lists, text)
		}
	}
	if len(k.feed.lists) == 0 {
		k.feed = nil
	}
}
