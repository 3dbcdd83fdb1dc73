// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// The built-in requests by which a client enters a room, with [type, key], and
// leaves the one it is in.
const (
	RouteJoin  = "room.join"
	RouteLeave = "room.leave"
)

// What a room type may implement. All of it runs on the room's one goroutine,
// with the handlers registered by On and OnRequest, so its fields need no lock.
type (
	// Joiner decides on a player who wants in. An error refuses (see Fail).
	Joiner interface{ OnJoin(p *Player) error }
	// Dropper hears that a player's link is lost. Its seat is kept.
	Dropper interface{ OnDrop(p *Player) }
	// Resumer hears that a player is back: nothing was lost, nothing comes twice.
	Resumer interface{ OnResume(p *Player) }
	// Snapshotter is called after OnResume when messages to the player were
	// given up: send it what it needs to go on.
	Snapshotter interface{ OnSnapshot(p *Player) }
	// Leaver hears that a player has left, exactly once per OnJoin that returned nil.
	Leaver interface{ OnLeave(p *Player, why Reason) }
	// Downer hears that the server shuts down and lets the members go within this
	// time: tell them, save what must be saved. Everything goes on until then.
	Downer interface{ OnShutdown(within time.Duration) }
	// Ticker is called at the fixed step given to Rooms.Tick.
	Ticker interface{ OnTick(t Tick) }
)

// Tick is one step of a room's time.
type Tick struct {
	N       uint64        // counts from 1; skipped steps are counted too
	Step    time.Duration // the fixed length of a step
	Overrun time.Duration // how late this step is
}

// Rooms is a registered type of room: R is what the game made for it, usually
// a pointer to a struct.
type Rooms[R any] struct{ kind *roomKind }

// roomKind is a type of room without its Go type.
type roomKind struct {
	srv  *Server
	name string
	make func(*Room) any
	step time.Duration
	// profile is what members get while they are in; nil: the server's.
	profile *Profile

	ticks, overruns, skipped atomic.Uint64

	mu     sync.Mutex
	open   map[string]*Room // guarded by mu
	opened uint64           // guarded by mu
}

// Room is one room with its goroutine. The game's own type usually embeds it.
// Broadcast, Members and Len belong to the room's goroutine, which is where all
// callbacks run; Post is for everybody else.
type Room struct {
	kind  *roomKind
	key   string
	value any
	wakes chan struct{} // 1 deep: a doorbell

	// Owned by the room's goroutine.
	members []*Player

	mu     sync.Mutex
	ready  []*Player // members that have work, each at most once
	posted []func()
	guests int  // members, and those whose OnJoin is to come; guarded by kind.mu
	closed bool // guarded by mu
}

// AddRoom registers a type of room. make is called on the room's goroutine
// when the first player of a key joins; the room ends when the last has left.
func AddRoom[R any](s *Server, name string, make func(r *Room) R) *Rooms[R] {
	if s.t.Load() != nil || s.kinds[name] != nil || name == "" {
		panic(fmt.Sprintf("framework: room %q registered twice, too late or without a name", name))
	}
	k := &roomKind{srv: s, name: name, make: func(r *Room) any { return make(r) }, open: map[string]*Room{}}
	s.kinds[name] = k
	return &Rooms[R]{k}
}

// Tick makes rooms that implement Ticker tick at a fixed step.
func (rs *Rooms[R]) Tick(step time.Duration) *Rooms[R] {
	if step < time.Millisecond {
		panic("framework: a tick of less than a millisecond")
	}
	rs.kind.step = step
	return rs
}

// On registers the room's handler of a one-way message. From a player who is
// in no such room the message is dropped.
func On[R, M any](rs *Rooms[R], route string, fn func(room R, p *Player, m M)) *Route {
	return rs.kind.srv.add(Route{name: route, room: rs.kind, serve: func(room any, p *Player, payload, dst []byte) ([]byte, error) {
		return dst, take(payload, func(m M) { fn(room.(R), p, m) })
	}})
}

// OnRequest registers the room's handler of a request. From a player who is in
// no such room it is answered with codec.ErrorNotJoined.
func OnRequest[R, Q, A any](rs *Rooms[R], route string, fn func(room R, p *Player, q Q) (A, error)) *Route {
	return rs.kind.srv.add(Route{name: route, reply: true, room: rs.kind, serve: func(room any, p *Player, payload, dst []byte) ([]byte, error) {
		return answer(payload, dst, func(q Q) (A, error) { return fn(room.(R), p, q) })
	}})
}

// Post runs f with the room of a key on its goroutine, if there is one.
func (rs *Rooms[R]) Post(key string, f func(room R)) bool {
	rs.kind.mu.Lock()
	r := rs.kind.open[key]
	rs.kind.mu.Unlock()
	return r != nil && r.Post(func() { f(r.value.(R)) })
}

// Key returns the key that the room was made for.
func (r *Room) Key() string { return r.key }

// Len returns how many members the room has.
func (r *Room) Len() int { return len(r.members) }

// Members returns the members in the order they came. The slice is the room's.
func (r *Room) Members() []*Player { return r.members }

// Broadcast sends a one-way message to every member but those named. It is
// encoded once, and each loop is woken once.
func (r *Room) Broadcast(route string, v any, but ...*Player) error {
	to := r.members
	if len(but) > 0 {
		to = nil
		for _, p := range r.members {
			if !slices.Contains(but, p) {
				to = append(to, p)
			}
		}
	}
	return r.kind.srv.multicast(to, route, v)
}

// Post runs f on the room's goroutine. It reports false once the room has
// ended. Safe to call from any goroutine.
func (r *Room) Post(f func()) bool {
	r.mu.Lock()
	ok := !r.closed
	if ok {
		r.posted = append(r.posted, f)
	}
	r.mu.Unlock()
	r.ring()
	return ok
}

func (r *Room) submit(p *Player) {
	r.mu.Lock()
	r.ready = append(r.ready, p)
	r.mu.Unlock()
	r.ring()
}

func (r *Room) ring() {
	select {
	case r.wakes <- struct{}{}:
	default:
	}
}

// joining is a player's way in. done is called on the room's goroutine.
type joining struct {
	room *Room
	done func(error)
}

// leaving is its way out.
type leaving struct {
	why  Reason
	done func()
}

// beginJoin takes the request of a client: [type, key].
func (s *Server) beginJoin(p *Player, id uint64, payload []byte) error {
	var q struct{ Type, Key string }
	if err := codec.DecodeBody(payload, &q); err != nil {
		return badRequest(err)
	}
	k := s.kinds[q.Type]
	if k == nil {
		return Fail(codec.ErrorRefused, "there is no room type "+q.Type)
	}
	return k.enter(p, q.Key, func(err error) { p.answer(id, err) })
}

func (s *Server) beginLeave(p *Player, id uint64, _ []byte) error {
	return p.exit(func() { p.answer(id, nil) })
}

// Join brings a player into the room of a key, which is made if need be, and
// waits for OnJoin. When ctx ends first, the player may get in all the same.
// Not to be called by a room's callback, or a hook or handler of that player:
// it would wait for itself. From clients the request RouteJoin does the same.
func (rs *Rooms[R]) Join(ctx context.Context, p *Player, key string) error {
	done := make(chan error, 1)
	if err := rs.kind.enter(p, key, func(err error) { done <- err }); err != nil {
		return err
	}
	p.wake()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Enter is Join without the wait: it may be called anywhere, also in the
// player's own callbacks, as OnOpen. Whom OnJoin refuses simply stays outside.
func (rs *Rooms[R]) Enter(p *Player, key string) error {
	err := rs.kind.enter(p, key, func(err error) {
		if err != nil {
			rs.kind.srv.log.Info("not let in", "session", p.ID(), "user", p.user, "room", rs.kind.name+"/"+key, "error", err)
		}
	})
	p.wake()
	return err
}

// Leave takes the player out of its room. OnLeave follows on the room's goroutine.
func (p *Player) Leave() error {
	err := p.exit(func() {})
	p.wake()
	return err
}

func (p *Player) exit(done func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.room == nil || p.leave != nil {
		return Fail(codec.ErrorNotJoined, "not in a room")
	}
	p.leave = &leaving{Reason{session.Left, ""}, done}
	return nil
}

// enter plans the player's way into a room.
func (k *roomKind) enter(p *Player, key string, done func(error)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ending:
		return session.ErrClosed
	case p.room != nil && p.leave == nil || p.join != nil:
		return Fail(codec.ErrorRefused, "already in a room")
	}
	p.join = &joining{k.seat(key), done}
	return nil
}

// seat finds or makes the room of a key and keeps it for one more guest.
func (k *roomKind) seat(key string) *Room {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.open[key]
	if r == nil {
		r = &Room{kind: k, key: key, wakes: make(chan struct{}, 1)}
		k.open[key] = r
		k.opened++
		k.srv.running.Add(1)
		go r.run() // ends when its last guest has left
	}
	r.guests++
	return r
}

// unseat gives a guest's place back. The last one closes the room.
func (r *Room) unseat() {
	k := r.kind
	k.mu.Lock()
	defer k.mu.Unlock()
	if r.guests--; r.guests == 0 {
		delete(k.open, r.key)
		r.mu.Lock()
		r.closed = true
		r.mu.Unlock()
	}
}

// run is the room's goroutine.
func (r *Room) run() {
	defer r.kind.srv.running.Done()
	r.guard("NewRoom", func() { r.value = r.kind.make(r) })
	ticker, _ := r.value.(Ticker)
	steps := newStepper(r.kind.step, ticker != nil)
	defer steps.stop()
	last := uint64(0)
	for {
		select {
		case <-r.wakes:
			if r.serve() {
				return
			}
		case <-steps.c():
			if t, due := steps.next(); due {
				r.kind.ticked(t, t.N-last-1)
				last = t.N
				r.guard("OnTick", func() { ticker.OnTick(t) })
			}
		}
	}
}

func (k *roomKind) ticked(t Tick, skipped uint64) {
	k.ticks.Add(1)
	k.skipped.Add(skipped)
	if t.Overrun > t.Step/2 {
		k.overruns.Add(1)
	}
}

// serve lets every member with work do it, and runs what was posted. It
// reports whether the room is closed and idle.
func (r *Room) serve() (over bool) {
	r.mu.Lock()
	ready, posted := r.ready, r.posted
	r.ready, r.posted = nil, nil
	over = r.closed && len(ready) == 0
	r.mu.Unlock()
	for _, f := range posted {
		r.guard("Post", f)
	}
	for _, p := range ready {
		p.work(r)
	}
	if len(ready) > 0 {
		r.ring() // once more: the last member may just have left
	}
	return over
}

// guard runs the game's code that serves no one player. A panic is logged and
// the room goes on.
func (r *Room) guard(what string, f func()) {
	defer func() {
		if v := recover(); v != nil {
			r.kind.srv.panicked(v, "room", r.kind.name+"/"+r.key, "in", what)
		}
	}()
	f()
}

// doInRoom does a player's task that is the room's. It is called on the room's
// goroutine with the player's mu held, and releases it.
func (p *Player) doInRoom(t task, r *Room) {
	switch t {
	case enterRoom:
		p.enterRoom(r)
	case leaveRoom:
		why := leaving{done: func() {}}
		if p.leave != nil {
			why = *p.leave
		} else {
			why.why = *p.reason // nobody asked: the session ends
		}
		p.leave, p.room = nil, nil
		p.mu.Unlock()
		r.remove(p)
		p.roomProfile(r.kind, false)
		if v, ok := r.value.(Leaver); ok {
			p.call("OnLeave", func() { v.OnLeave(p, why.why) })
		}
		why.done()
		r.unseat()
	case tellDrop:
		p.roomKnow, p.roomBlip = false, false
		p.mu.Unlock()
		if v, ok := r.value.(Dropper); ok {
			p.call("OnDrop", func() { v.OnDrop(p) })
		}
	case tellBack:
		miss := p.roomMiss
		p.roomKnow, p.roomMiss = true, false
		p.mu.Unlock()
		if v, ok := r.value.(Resumer); ok {
			p.call("OnResume", func() { v.OnResume(p) })
		}
		if v, ok := r.value.(Snapshotter); ok && miss {
			p.call("OnSnapshot", func() { v.OnSnapshot(p) })
		}
	}
}

func (p *Player) enterRoom(r *Room) {
	j := p.join
	ending := p.ending
	// What is lost from here on may be what OnJoin sent.
	p.roomKnow, p.roomMiss, p.roomBlip = true, false, false
	p.mu.Unlock()
	err := error(session.ErrClosed)
	switch {
	case ending:
	case r.value == nil:
		err = Fail(codec.ErrorInternal, "internal error") // its maker panicked
	default:
		// A member while OnJoin runs, so that it hears its own broadcast.
		r.members = append(r.members, p)
		err = nil
		if v, ok := r.value.(Joiner); ok {
			if !p.call("OnJoin", func() { err = v.OnJoin(p) }) {
				err = Fail(codec.ErrorInternal, "internal error")
			}
		}
	}
	p.mu.Lock()
	p.join = nil
	if err == nil {
		p.room = r
	}
	p.mu.Unlock()
	if err != nil {
		r.remove(p)
		r.unseat()
	} else {
		p.roomProfile(r.kind, true)
	}
	j.done(err)
}

func (r *Room) remove(p *Player) {
	if i := slices.Index(r.members, p); i >= 0 {
		r.members = slices.Delete(r.members, i, i+1)
	}
}

// stopRooms waits until every room has ended: their members have left by then.
func (s *Server) stopRooms(ctx context.Context) error {
	done := make(chan struct{})
	go func() { // ends with the last room
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("framework: rooms are still busy: %w", ctx.Err())
	}
}
