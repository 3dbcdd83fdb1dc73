// SPDX-License-Identifier: MIT

package roomlist

import (
	"cmp"
	"maps"
	"slices"
)

// The bounds of what servers of a cluster tell each other of the rooms of one type.
const (
	MaxTold      = 1000     // rooms that a server tells of
	MaxToldBytes = 64 << 10 // their keys and what they publish, and 32 for each
	MaxOthers    = 10_000   // rooms of all other servers that a list knows of
	MaxFree      = 8        // rooms for strangers that a server tells of
)

// Tell returns what a server tells others of its rooms. If they are too many, those come first
// that a player may get into, then by key.
func Tell(all []Room) []Room {
	all = first(MaxTold, all, byUse, func(*Room) bool { return true })
	size, n := 0, 0
	for n < len(all) {
		if size += all[n].size(); size > MaxToldBytes {
			break
		}
		n++
	}
	return all[:n]
}

// byUse is the order of Tell.
func byUse(a, b *Room) int {
	switch takes := a.takes(); {
	case takes == b.takes():
		return byKey(a, b)
	case takes:
		return -1
	}
	return 1
}

// takes reports whether a player may get into the room.
func (l *Room) takes() bool { return l.Open && (l.Seats == 0 || l.Players < l.Seats) }

func (l *Room) size() int {
	n := 32 + len(l.Key)
	for _, p := range l.Published {
		n += len(p[0]) + len(p[1])
	}
	return n
}

// Told is what one server has told of its rooms.
type Told struct {
	Version uint64 // of what it tells: never 0
	Rooms   []Room
	Free    []Free
	Away    bool // strangers can't go there
}

// Free is a room that any stranger may get into.
type Free struct {
	Key     string
	Players int
}

// Others is the rooms of one type at all other servers, as they have told them. The zero
// value has none.
type Others struct {
	servers map[string]Told
	rooms   map[string]Room // by key
	free    []Free          // the fullest first
}

// Known returns the versions of what servers have told.
func (o *Others) Known() map[string]uint64 {
	m := make(map[string]uint64, len(o.servers))
	for name, t := range o.servers {
		m[name] = t.Version
	}
	return m
}

// Update takes what the servers tell now, all that there are. One with the version of before,
// or 0, tells nothing new. It returns the keys of the rooms that have changed.
func (o *Others) Update(servers map[string]Told) (changed []string) {
	for name, t := range servers {
		if was, ok := o.servers[name]; ok && (t.Version == 0 || t.Version == was.Version) {
			was.Away = t.Away
			servers[name] = was
		}
	}
	o.servers = servers
	rooms := map[string]Room{}
	o.free = nil
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		told, free := servers[name].Rooms, servers[name].Free
		if !servers[name].Away {
			o.free = append(o.free, free[:min(len(free), MaxFree)]...)
		}
		for _, r := range told[:min(len(told), MaxTold)] {
			if _, twice := rooms[r.Key]; !twice && len(rooms) < MaxOthers { // twice: it moves
				rooms[r.Key] = r
			}
		}
	}
	for key, r := range rooms {
		if was, ok := o.rooms[key]; !ok || !was.equal(&r) {
			changed = append(changed, key)
		}
	}
	for key := range o.rooms {
		if _, ok := rooms[key]; !ok {
			changed = append(changed, key)
		}
	}
	o.rooms = rooms
	slices.SortStableFunc(o.free, func(a, b Free) int { return cmp.Compare(b.Players, a.Players) })
	slices.Sort(changed)
	return changed
}

// Fullest returns the key of the fullest room that strangers may get into, as far as is
// known, and false if there is none.
func (o *Others) Fullest() (key string, ok bool) {
	if len(o.free) == 0 {
		return "", false
	}
	return o.free[0].Key, true
}

// NotFree takes note that strangers do not get into a room any more.
func (o *Others) NotFree(key string) {
	o.free = slices.DeleteFunc(o.free, func(f Free) bool { return f.Key == key })
}

// Get returns what a list tells of the room of a key.
func (o *Others) Get(key string) (Room, bool) {
	r, ok := o.rooms[key]
	return r, ok
}

// Append appends all rooms but those that skip returns true for.
func (o *Others) Append(list []Room, skip func(key string) bool) []Room {
	for key, r := range o.rooms {
		if !skip(key) {
			list = append(list, r)
		}
	}
	return list
}
