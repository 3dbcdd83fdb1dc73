// SPDX-License-Identifier: MIT

package roomlist

import (
	"maps"
	"slices"

	"github.com/lifeline-go/lifeline/framework/internal/filter"
)

// maxFilters bounds the different lists of a type that are followed.
const maxFilters = 64

// Feed is the lists of one type of room that are followed, by F. The zero value has no
// followers, and takes no note of changes.
type Feed[F comparable] struct {
	lists   map[string]*followed[F] // by the text of the filter
	changed map[string]bool         // keys of rooms, since the last News
	armed   bool                    // News is to come
}

// followed is a list that is followed.
type followed[F comparable] struct {
	filter    filter.Filter
	told      map[string]bool // keys of the rooms that its followers know of
	more      bool            // there may be others, which had no place
	followers map[F]bool      // false: the list itself is on its way
}

// News is what followers have not been told yet.
type News[F comparable] struct {
	To    []F
	Rooms []Room   // new, or changed
	Gone  []string // keys
}

// Len is how many lists are followed.
func (f *Feed[F]) Len() int { return len(f.lists) }

// Changed takes note that a list tells something else of a room from now on. If it
// reports true, the caller calls News in a while.
func (f *Feed[F]) Changed(key string) (arm bool) {
	if len(f.lists) == 0 {
		return false
	}
	f.changed[key] = true
	arm = !f.armed
	f.armed = true
	return arm
}

// News returns what has changed since the last time. room is what a list tells of the
// room of a key, and reports false if there is none; all is of all rooms. The caller tells
// the followers, and then calls Told.
func (f *Feed[F]) News(room func(key string) (Room, bool), all func() []Room) (news []News[F]) {
	keys := slices.Sorted(maps.Keys(f.changed))
	var every []Room // of all, once a list needs it
	for _, l := range f.lists {
		n := News[F]{Rooms: []Room{}, Gone: []string{}}
		for _, key := range keys {
			r, ok := room(key)
			switch {
			case ok && l.filter.Matches(r.field):
				if l.takes(key) {
					n.Rooms = append(n.Rooms, r)
				}
			case l.told[key]:
				delete(l.told, key)
				n.Gone = append(n.Gone, key)
			}
		}
		if l.more && len(l.told) < MaxListed {
			if every == nil {
				every = all()
			}
			n.Rooms = append(n.Rooms, l.others(every)...)
		}
		if len(n.Rooms)+len(n.Gone) == 0 {
			continue
		}
		for to, has := range l.followers {
			if has {
				n.To = append(n.To, to)
			}
		}
		news = append(news, n)
	}
	clear(f.changed)
	return news
}

// takes reports whether followers are told of a room that the filter chooses.
func (l *followed[F]) takes(key string) bool {
	if !l.told[key] && len(l.told) >= MaxListed {
		l.more = true
		return false
	}
	l.told[key] = true
	return true
}

// others returns the first of the rooms that followers are told of besides.
func (l *followed[F]) others(all []Room) (rooms []Room) {
	n := max(MaxListed-len(l.told), 0)
	rooms = first(n+1, all, byKey, func(r *Room) bool { return !l.told[r.Key] && l.filter.Matches(r.field) })
	l.more = len(rooms) > n
	rooms = rooms[:min(n, len(rooms))]
	for i := range rooms {
		l.told[rooms[i].Key] = true
	}
	return rooms
}

// Told tells that the followers have been told the news. If it reports true, there are
// others, and the caller calls News in a while.
func (f *Feed[F]) Told() (arm bool) {
	f.armed = len(f.changed) > 0
	return f.armed
}

// Follow makes who follow the list of a filter, and no other one, and returns the list.
// Until Listed is called it is told no changes. All followers of a list know the same rooms.
// It reports false if as many lists are followed as may be.
func (f *Feed[F]) Follow(who F, text string, of filter.Filter, all []Room) (list List, ok bool) {
	if f.without(who, text) >= maxFilters { // before anything changes
		return list, false
	}
	f.Unfollow(who)
	if f.lists == nil {
		f.lists, f.changed = map[string]*followed[F]{}, map[string]bool{}
	}
	l := f.lists[text]
	if l == nil {
		l = &followed[F]{filter: of, told: map[string]bool{}, followers: map[F]bool{}}
		f.lists[text] = l
	}
	l.followers[who] = false
	l.others(all)
	list.Total = count(of, all)
	list.Rooms = first(len(l.told), all, byKey, func(r *Room) bool { return l.told[r.Key] && of.Matches(r.field) })
	return list, true
}

// without counts the lists that others follow, but for the one of a filter.
func (f *Feed[F]) without(who F, own string) (n int) {
	for text, l := range f.lists {
		if _, in := l.followers[who]; text != own && (!in || len(l.followers) > 1) {
			n++
		}
	}
	return n
}

// Follows returns the filter of the list that who follows, and false without one.
func (f *Feed[F]) Follows(who F) (text string, ok bool) {
	for text, l := range f.lists {
		if _, in := l.followers[who]; in {
			return text, true
		}
	}
	return "", false
}

// Listed tells that who has been told the list. It returns the keys of the rooms that
// have changed since, for Changed.
func (f *Feed[F]) Listed(who F, text string, list List, all []Room) (changed []string) {
	l := f.lists[text]
	if l == nil {
		return nil // it has unfollowed meanwhile
	}
	if _, ok := l.followers[who]; !ok {
		return nil
	}
	l.followers[who] = true
	was := map[string]Room{}
	for _, r := range list.Rooms {
		was[r.Key] = r
		l.told[r.Key] = true // the others may have been told meanwhile that it is gone
	}
	for _, r := range first(len(l.told), all, byKey, func(r *Room) bool { return l.told[r.Key] && l.filter.Matches(r.field) }) {
		if old, ok := was[r.Key]; !ok || !old.equal(&r) {
			changed = append(changed, r.Key)
		}
		delete(was, r.Key)
	}
	for key := range was {
		changed = append(changed, key)
	}
	return changed
}

// Unfollow ends what Follow began.
func (f *Feed[F]) Unfollow(who F) {
	for text, l := range f.lists {
		if delete(l.followers, who); len(l.followers) == 0 {
			delete(f.lists, text)
		}
	}
	if len(f.lists) == 0 {
		clear(f.changed)
	}
}
