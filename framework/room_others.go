// SPDX-License-Identifier: MIT

package framework

import (
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/roomlist"
)

// This file lets lists have the rooms of all servers of a cluster. Each server is asked when
// a list is, and again and again while one is followed.

const (
	// othersAge is how old what other servers have told may be when a list is asked for.
	othersAge = time.Second
	// othersEvery is how often they are asked while a list is followed.
	othersEvery = 2 * time.Second
	// toldAge is how old what this server tells others may be, if something has changed.
	toldAge = feedEvery
)

// otherRooms is what is known of the rooms of a type at other servers. Guarded by kind.mu.
type otherRooms struct {
	roomlist.Others
	at      time.Time // when they were asked last; zero: never
	asking  bool
	waiting []func()
	armed   bool // they are asked again, as a list is followed
}

// toldRooms is what this server has told others of the rooms of a type. Guarded by kind.mu.
type toldRooms struct {
	version uint64 // of body; 0: there is none
	at      time.Time
	body    []byte // immutable
	stale   bool   // something has changed since
}

// RoomList is what a server tells of its rooms of a type.
type RoomList struct {
	Server  string // its incarnation
	Version uint64 // 0: it did not answer in time, or has nothing to tell
	Body    []byte // empty if Version is what was known
	Away    bool   // players can't go there: it drains, or has another release
}

// roomsBody is what RoomList.Body has. Fields are only ever appended.
type roomsBody struct {
	Rooms []roomlist.Room // of a type that is Listed
	Free  []roomlist.Free // of one that is matched Everywhere
}

// withOthers calls f once what other servers tell of their rooms is known, on any goroutine.
func (k *roomKind) withOthers(f func()) {
	k.mu.Lock()
	o := &k.others
	if !k.clustered() || !o.asking && !o.at.IsZero() && clock().Sub(o.at) < othersAge {
		k.mu.Unlock()
		f()
		return
	}
	o.waiting = append(o.waiting, f)
	ask := !o.asking
	o.asking = true
	known := o.Known()
	k.mu.Unlock()
	if ask {
		k.srv.rooms.Lists(k.name, known, k.heardOthers)
	}
}

// heardOthers takes what the other servers tell.
func (k *roomKind) heardOthers(lists []RoomList) {
	told := map[string]roomlist.Told{}
	for _, l := range lists {
		t := roomlist.Told{Version: l.Version}
		if len(l.Body) > 0 {
			var body roomsBody
			err := codec.DecodeBody(l.Body, &body)
			if t.Rooms, t.Free = body.Rooms, body.Free; err != nil {
				k.srv.log.Error("a list of rooms of another server is not understood", "room", k.name, "by", l.Server, "error", err)
				t = roomlist.Told{}
			}
		}
		t.Away = l.Away
		told[l.Server] = t
	}
	k.mu.Lock()
	o := &k.others
	for _, key := range o.Update(told) {
		k.feedLocked(key)
	}
	o.at, o.asking = clock(), false
	waiting := o.waiting
	o.waiting = nil
	k.mu.Unlock()
	for _, f := range waiting {
		f()
	}
}

// followOthers asks other servers again and again, while a list is followed.
func (k *roomKind) followOthers() {
	k.mu.Lock()
	o := &k.others
	goes := !o.armed && k.clustered() && k.feed.Len() > 0 && !k.srv.released.Load()
	if goes {
		o.armed = true
	}
	k.mu.Unlock()
	if goes {
		k.withOthers(func() {
			time.AfterFunc(othersEvery, func() {
				k.mu.Lock()
				o.armed = false
				k.mu.Unlock()
				k.followOthers()
			})
		})
	}
}

// roomOfKeyLocked is what a list tells of the room of a key, wherever it is.
func (k *roomKind) roomOfKeyLocked(key string) (roomlist.Room, bool) {
	if at := k.plan.Get(key); at != nil {
		return at.Value.listedLocked(), true
	}
	return k.others.Get(key)
}

// allLocked is what lists tell of all rooms.
func (k *roomKind) allLocked() []roomlist.Room {
	return k.others.Append(k.hereLocked(), func(key string) bool { return k.plan.Get(key) != nil })
}

// hereLocked is what lists tell of the rooms of this server.
func (k *roomKind) hereLocked() []roomlist.Room {
	all := make([]roomlist.Room, 0, k.plan.Len())
	for at := range k.plan.All() {
		all = append(all, at.Value.listedLocked())
	}
	return all
}

// tellLocked is what this server tells others of its rooms.
func (k *roomKind) tellLocked() *roomsBody {
	body := &roomsBody{}
	if k.listed {
		body.Rooms = roomlist.Tell(k.hereLocked())
	}
	if k.everywhere {
		for _, at := range k.plan.Fullest(roomlist.MaxFree) {
			body.Free = append(body.Free, roomlist.Free{Key: at.Key, Players: at.Taken()})
		}
	}
	return body
}

// RoomList implements ClusterRoomHost.
func (h clusterHost) RoomList(kind string, known uint64) (RoomList, error) {
	k := h.s.kinds[kind]
	if k == nil || !k.listed && !k.everywhere || !k.clustered() {
		return RoomList{}, refusal(codec.ErrorNoRoute, "rooms of type "+short(kind)+" are not told of here")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	t, now := &k.told, clock()
	if t.version == 0 || t.stale && now.Sub(t.at) >= toldAge {
		body, err := codec.AppendBody(nil, k.tellLocked())
		if err != nil {
			return RoomList{}, err
		}
		*t = toldRooms{version: t.version + 1, at: now, body: body}
	}
	l := RoomList{Version: t.version}
	if t.version != known {
		l.Body = t.body
	}
	return l, nil
}
