// SPDX-License-Identifier: MIT

// Package roomlist is the lists of rooms that clients ask for and follow: which rooms a
// filter chooses, and which changes of a list its followers have not been told.
//
// It knows no room, player, lock or clock: the caller guards it, and hands in what a list
// tells of each room. The rules are those of codec/SPEC 6.4.
package roomlist

import (
	"slices"
	"strconv"
	"strings"

	"github.com/lifeline-go/lifeline/framework/internal/filter"
)

const (
	// MaxListed is how many rooms an answer has, and a list that is followed.
	MaxListed = 100
	// MaxPublished bounds a room's names and values, in bytes.
	MaxPublished = 512
)

// Room is what a list tells of a room.
type Room struct {
	Key       string
	Players   int
	Seats     int // 0: no limit
	Watched   int
	Open      bool
	Published [][2]string // names and values, by name
}

func (l *Room) equal(o *Room) bool {
	return l.Players == o.Players && l.Watched == o.Watched && l.Open == o.Open && slices.Equal(l.Published, o.Published)
}

// field returns what filters compare.
func (l *Room) field(name string) (string, bool) {
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

// Tells reports whether lists tell a field of every room, so that none can publish one of
// that name: filters would not see it.
func Tells(name string) bool {
	_, told := (&Room{Seats: 1}).field(name)
	return told
}

// List is the answer to RouteList.
type List struct {
	Total int
	Rooms []Room
}

// Choose makes the list of those that the filter chooses, by key.
func Choose(f filter.Filter, all []Room, maxBody int) List {
	list := List{count(f, all), first(MaxListed, all, byKey, func(r *Room) bool { return f.Matches(r.field) })}
	size := 0
	for i, r := range list.Rooms {
		if size += 64 + len(r.Key) + MaxPublished/8; len(r.Published) > 0 {
			size += MaxPublished
		}
		if size > maxBody {
			list.Rooms = list.Rooms[:i]
			break
		}
	}
	return list
}

// count is how many rooms the filter chooses.
func count(f filter.Filter, all []Room) (n int) {
	for i := range all {
		if f.Matches(all[i].field) {
			n++
		}
	}
	return n
}

// first returns the first n of the rooms for which choose returns true, in order. There may
// be tens of thousands: they are not sorted, and few are asked about that are not among the
// first.
func first(n int, all []Room, order func(a, b *Room) int, choose func(r *Room) bool) []Room {
	var best []*Room
	for i := range all {
		r, full := &all[i], len(best) == n
		if full && (n == 0 || order(best[n-1], r) <= 0) || !choose(r) {
			continue
		}
		if full {
			best = best[:n-1]
		}
		at, _ := slices.BinarySearchFunc(best, r, order)
		best = slices.Insert(best, at, r)
	}
	rooms := make([]Room, len(best))
	for i, r := range best {
		rooms[i] = *r
	}
	return rooms
}

func byKey(a, b *Room) int { return strings.Compare(a.Key, b.Key) }
