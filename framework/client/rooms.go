// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"maps"
	"slices"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// Room is the client's view of one type of room: of which one it is in, by its own
// wish or the server's, and why it is out again. A client is in one room of each type
// at a time. Its methods are safe to call from any goroutine.
type Room struct {
	c    *Client
	name string

	// Guarded by Client.mu.
	key      string
	in       bool
	watching bool
	onJoined func(key string)
	onLeft   func(key string, why Reason)
	list     map[string]RoomInfo // that is followed
	onList   func([]RoomInfo)    // nil: none is
}

// Reason is why a client has left a room: a code of package session, one of the
// server's framework (RoomFinished and the like) or one of the game's, from 1,000 on.
// The code is 0 if that was told while the client was away and is lost.
type Reason struct {
	Code session.Code
	Text string
}

// What the server tells of rooms, and what it is asked.
const (
	routeJoined = "room.joined"
	routeLeft   = "room.left"
	routeRooms  = "room.all"
	routeJoin   = "room.join"
	routeLeave  = "room.leave"
	routeWatch  = "room.watch"

	routeRefused = "message.refused"
)

// Room returns the view of a type of room, always the same one.
func (c *Client) Room(name string) *Room {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.roomLocked(name)
}

func (c *Client) roomLocked(name string) *Room {
	r := c.rooms[name]
	if r == nil {
		r = &Room{c: c, name: name}
		if c.rooms == nil {
			c.rooms = map[string]*Room{}
		}
		c.rooms[name] = r
	}
	return r
}

// OnJoined sets what is called when the client gets into a room of the type, by Join
// or because the server has put it there. It runs where the handlers of OnMessage do:
// after those of what the server's OnJoin has sent, and before Join returns.
func (r *Room) OnJoined(f func(key string)) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.onJoined = f
}

// OnLeft sets what is called when the client is out of a room of the type, and why:
// by Leave, because the room has ended, the server has taken it out or moved it to
// another room (OnJoined comes first then), or because the session has ended. It
// runs where the handlers of OnMessage do, after those of what the room has sent.
func (r *Room) OnLeft(f func(key string, why Reason)) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.onLeft = f
}

// Key returns the key of the room that the client is in. ok is false if it is in none
// of the type.
func (r *Room) Key() (key string, ok bool) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.key, r.in
}

// Watching reports whether the client is in as a spectator.
func (r *Room) Watching() bool {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.watching
}

// Join takes a seat in the room of a key and returns the key. If it is empty, that is
// the fullest room which takes strangers and has a free seat, or a new one. In the room
// that the client is in it is in already. The error is as Request's.
func (r *Room) Join(ctx context.Context, key string) (string, error) {
	err := r.c.Request(ctx, routeJoin, [...]string{r.name, key}, &key)
	return key, err
}

// Watch enters the room of a key to listen only, where the server allows spectators.
// The error is as Request's.
func (r *Room) Watch(ctx context.Context, key string) error {
	return r.c.Request(ctx, routeWatch, [...]string{r.name, key}, nil)
}

// Leave gives up the seat. The error is as Request's.
func (r *Room) Leave(ctx context.Context) error {
	return r.c.Request(ctx, routeLeave, [...]string{r.name}, nil)
}

// Join takes a seat in a room, as Room(room).Join does. The error is as Request's.
func (c *Client) Join(ctx context.Context, room, key string) error {
	return c.Request(ctx, routeJoin, [...]string{room, key}, nil)
}

// JoinAny takes a seat in the fullest room of a type that takes strangers and
// has one free, or in a new one, and returns its key. The error is as Request's.
func (c *Client) JoinAny(ctx context.Context, room string) (key string, err error) {
	return c.Room(room).Join(ctx, "")
}

// Leave gives up the seat in the only room that the client is in. The error is as
// Request's.
func (c *Client) Leave(ctx context.Context) error {
	return c.Request(ctx, routeLeave, struct{}{}, nil)
}

// seatNews is what RouteJoined tells.
type seatNews struct {
	Type, Key string
	Watching  bool
}

// leaveNews is what RouteLeft tells.
type leaveNews struct {
	Type, Key string
	Code      session.Code
	Text      string
}

// roomNews takes what the server tells of rooms. It reports false if the route is of
// something else. It runs on the delivery goroutine.
func (c *Client) roomNews(route string, payload []byte) (ours bool, err error) {
	switch route {
	case routeJoined:
		var m seatNews
		if err = codec.DecodeBody(payload, &m); err == nil {
			c.joined(m)
		}
	case routeLeft:
		var m leaveNews
		if err = codec.DecodeBody(payload, &m); err == nil {
			c.left(m.Type, m.Key, Reason{m.Code, m.Text})
		}
	case routeRooms:
		var all []seatNews
		if err = codec.DecodeBody(payload, &all); err == nil {
			c.allRooms(all)
		}
	case routeListed:
		err = c.listed(payload)
	case routeRefused:
		var m refusedNews
		if err = codec.DecodeBody(payload, &m); err == nil {
			c.refusedMessage(m)
		}
	default:
		return false, nil
	}
	return true, err
}

// refusedNews is what a strict server tells of a message that came to nothing.
type refusedNews struct {
	Route string
	Code  codec.ErrorCode
	Text  string
}

func (c *Client) refusedMessage(m refusedNews) {
	err := &codec.Error{Code: m.Code, Text: m.Text}
	if c.cfg.OnRefused != nil {
		c.cfg.OnRefused(m.Route, err)
		return
	}
	c.cfg.logger().Warn("client: the server refused a message", "route", m.Route, "error", err)
}

func (c *Client) joined(m seatNews) {
	c.mu.Lock()
	r := c.roomLocked(m.Type)
	known := r.in && r.key == m.Key && r.watching == m.Watching
	r.key, r.in, r.watching = m.Key, true, m.Watching
	f := r.onJoined
	c.mu.Unlock()
	if f != nil && !known {
		f(m.Key)
	}
}

// left takes note that a room was left. The client may be in another one of the type
// by now: it was moved.
func (c *Client) left(name, key string, why Reason) {
	c.mu.Lock()
	r := c.roomLocked(name)
	if r.in && r.key == key {
		r.key, r.in, r.watching = "", false, false
	}
	f := r.onLeft
	c.mu.Unlock()
	if f != nil {
		f(key, why)
	}
}

// allRooms takes over which rooms the client is in: what was told before may be lost.
func (c *Client) allRooms(all []seatNews) {
	here := map[string]string{}
	for _, m := range all {
		here[m.Type] = m.Key
	}
	c.leftAll(Reason{Text: "while the client was away"}, func(r *Room) bool {
		key, in := here[r.name]
		return in && key == r.key
	})
	for _, m := range all {
		c.joined(m)
	}
}

// leftAll takes note that all rooms were left, except those that keep says.
func (c *Client) leftAll(why Reason, keep func(*Room) bool) {
	c.mu.Lock()
	type place struct{ name, key string }
	var gone []place
	for _, name := range slices.Sorted(maps.Keys(c.rooms)) {
		if r := c.rooms[name]; r.in && !keep(r) {
			gone = append(gone, place{name, r.key})
		}
	}
	c.mu.Unlock()
	for _, p := range gone {
		c.left(p.name, p.key, why)
	}
}

// sessionEnded leaves all rooms of a session that has ended.
func (c *Client) sessionEnded(e *Event) {
	var why Reason
	if end, ok := e.Err.(*session.CloseError); ok {
		why = Reason{end.Code, end.Text}
	}
	c.leftAll(why, func(*Room) bool { return false })
	c.mu.Lock()
	ends := c.ends
	c.mu.Unlock()
	for _, f := range ends {
		f(why)
	}
}
