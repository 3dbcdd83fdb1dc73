// SPDX-License-Identifier: MIT

package framework

import (
	"container/list"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// The built-in requests by which a client enters a room, with [type, key], and
// leaves the one it is in. An empty key stands for any room with a free seat. The
// answer to RouteJoin is the key of the room.
const (
	RouteJoin  = "room.join"
	RouteLeave = "room.leave"
)

// What a room type may implement. All of it runs on the room's one goroutine,
// with the handlers registered by OnRoomMessage and OnRoomRequest, so its fields need no lock.
type (
	// JoinHandler decides on a player who wants in. An error refuses (see Fail).
	JoinHandler interface{ OnJoin(p *Player) error }
	// DetachHandler hears that a player's link is lost. Its seat is kept.
	DetachHandler interface{ OnDetach(p *Player) }
	// ResumeHandler hears that a player is back: nothing was lost, nothing comes twice.
	ResumeHandler interface{ OnResume(p *Player) }
	// SnapshotHandler is called after OnResume when messages to the player were
	// given up: send it what it needs to go on.
	SnapshotHandler interface{ OnSnapshot(p *Player) }
	// LeaveHandler hears that a player has left, exactly once per OnJoin that returned nil.
	LeaveHandler interface{ OnLeave(p *Player, why Reason) }
	// ShutdownHandler hears that the server shuts down and lets the members go within this
	// time: tell them, save what must be saved. Everything goes on until then.
	ShutdownHandler interface{ OnShutdown(within time.Duration) }
	// TickHandler is called at the fixed step given to Rooms.Tick. Ten panics in a row
	// end the room, and the sessions of its members with INTERNAL.
	TickHandler interface{ OnTick(t Tick) }
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
	of   reflect.Type // what make returns
	step time.Duration
	// heartbeat is what members get while they are in; nil: the server's.
	heartbeat *HeartbeatProfile
	seats     int           // 0: no limit
	linger    time.Duration // negative: as long as the server runs
	most      int           // rooms
	keys      func(key string) bool

	ticks, overruns, skipped atomic.Uint64

	mu sync.Mutex
	// Guarded by mu.
	open      map[string]*Room
	matchable map[*Room]bool // those that any stranger may get into
	empty     list.List      // of *Room: those that linger, by how long they have been empty
	opened    uint64
	refused   uint64 // rooms that were not made, for want of room
	evicted   uint64 // rooms that ended before their time, for others
	matches   uint64 // rooms that were made for strangers
	ending    bool   // nothing lingers any more
}

// Room is one room with its goroutine. The game's own type usually embeds it.
// Broadcast, Members and Len belong to the room's goroutine, which is where all
// callbacks run; Post is for everybody else.
type Room struct {
	kind  *roomKind
	key   string
	value any
	wakes chan struct{} // 1 deep: a waiting wake-up is enough

	// Owned by the room's goroutine.
	members  []*Player
	serving  *Player   // whose handler or callback runs, and pays for what that sends
	made     bool      // value is what it will be
	steps    *stepper  // nil before made
	last     uint64    // step
	panics   int       // ticks in a row that did not return
	todo     []*Player // taken from ready
	calls    []func()  // and from posted
	activity *activity

	// Guarded by kind.mu.
	seatsTaken int           // by members, and reserved for those whose OnJoin is to come
	shut       bool          // by SetOpen
	matched    bool          // made for strangers
	failed     bool          // its ticks panic: it ends
	idle       *time.Timer   // ends the room if it stays empty
	empty      *list.Element // of kind.empty, nil while it is not empty

	mu     sync.Mutex
	ready  []*Player // members that have work, each at most once
	posted []func()
	closed bool
}

// AddRoom registers a type of room. make is called on the room's goroutine
// when the first player of a key joins; the room ends when the last has left,
// or later: see Linger. What can't work panics: a method of R that looks like a
// callback and is none, because its name or its signature is a little off, too.
func AddRoom[R any](s *Server, name string, make func(r *Room) R) *Rooms[R] {
	switch {
	case name == "":
		panic("framework: AddRoom without a name")
	case s.kinds[name] != nil:
		panic(fmt.Sprintf("framework: room %q registered twice", name))
	case make == nil:
		panic(fmt.Sprintf("framework: room %q: make is nil", name))
	}
	s.mustBeRegistering(fmt.Sprintf("room %q registered", name))
	of := reflect.TypeFor[R]()
	if err := checkCallbacks(of); err != nil {
		panic(fmt.Sprintf("framework: room %q: %v", name, err))
	}
	k := &roomKind{srv: s, name: name, make: func(r *Room) any { return make(r) }, of: of, open: map[string]*Room{}, matchable: map[*Room]bool{}, most: maxRooms, keys: printable}
	s.kinds[name] = k
	return &Rooms[R]{k}
}

// Tick makes rooms that implement TickHandler tick at a fixed step, of at least a
// millisecond, while they have members. In an empty room time stands still: the
// first step after that is the next one, and comes a step later. A type that is no
// TickHandler panics.
func (rs *Rooms[R]) Tick(step time.Duration) *Rooms[R] {
	k := rs.kind.setting("Tick")
	switch {
	case step < time.Millisecond:
		panic(fmt.Sprintf("framework: room %q: a Tick of %v is less than a millisecond", k.name, step))
	case k.of.Kind() != reflect.Interface && !k.of.Implements(reflect.TypeFor[TickHandler]()):
		panic(fmt.Sprintf("framework: room %q: Tick, and %v has no OnTick(framework.Tick)", k.name, k.of))
	}
	k.step = step
	return rs
}

// setting returns the type of room, which can be changed before Start alone.
func (k *roomKind) setting(what string) *roomKind {
	k.srv.mustBeRegistering(fmt.Sprintf("%s of room %q", what, k.name))
	return k
}

// Seats bounds the members of each room: who comes when all seats are taken is
// refused. Who asks for any room gets into the fullest with a free seat.
func (rs *Rooms[R]) Seats(n int) *Rooms[R] {
	k := rs.kind.setting("Seats")
	if n < 1 {
		panic(fmt.Sprintf("framework: room %q: Seats %d, want at least one", k.name, n))
	}
	k.seats = n
	return rs
}

const (
	maxRooms   = 10_000 // of a type, unless Rooms.Most says otherwise
	maxRoomKey = 128    // bytes, unless Rooms.Keys says otherwise
)

// Most bounds how many rooms of the type there are, empty ones included. If it
// is not called, 10,000. When a player needs one more, the room ends that has
// been empty for longest; if none is, the player is refused with codec.ErrorBusy
// and counted (RoomStats.Refused). A room that a client's request makes is
// charged to its player as 100 messages: see Config.Rate.
func (rs *Rooms[R]) Most(n int) *Rooms[R] {
	k := rs.kind.setting("Most")
	if n < 1 {
		panic(fmt.Sprintf("framework: room %q: Most(%d) is less than 1", k.name, n))
	}
	k.most = n
	return rs
}

// Keys says which keys rooms of the type may have: valid returns true for them.
// It must be safe to call from any goroutine, and is not asked for the empty key,
// which stands for any room. If Keys is not called, a key is valid UTF-8 of at
// most 128 bytes that can be printed. Another key is refused with
// codec.ErrorBadRequest.
func (rs *Rooms[R]) Keys(valid func(key string) bool) *Rooms[R] {
	k := rs.kind.setting("Keys")
	if valid == nil {
		panic(fmt.Sprintf("framework: room %q: Keys(nil)", k.name))
	}
	k.keys = valid
	return rs
}

// Linger keeps an empty room for d before it ends; if d is negative, as long as
// the server runs, or until another room needs its place: see Most. The room does
// not tick while it is empty. If d is zero, as at first, it ends at once.
func (rs *Rooms[R]) Linger(d time.Duration) *Rooms[R] {
	k := rs.kind.setting("Linger")
	if err := meant("Linger", d); err != nil {
		panic(fmt.Sprintf("framework: room %q: %v", k.name, err))
	}
	k.linger = d
	return rs
}

// OnRoomMessage registers the room's handler of a one-way message. From a player who is
// in no such room the message is dropped.
func OnRoomMessage[R, M any](rs *Rooms[R], route string, fn func(room R, p *Player, m M)) *Route {
	checkHandler(route, fn == nil, reflect.TypeFor[M]())
	return rs.kind.srv.add(route, handler{room: rs.kind, serve: func(room any, p *Player, payload, dst []byte) ([]byte, error) {
		return dst, take(payload, func(m M) { fn(room.(R), p, m) })
	}})
}

// OnRoomRequest registers the room's handler of a request. From a player who is in
// no such room it is answered with codec.ErrorNotJoined.
func OnRoomRequest[R, Q, A any](rs *Rooms[R], route string, fn func(room R, p *Player, q Q) (A, error)) *Route {
	checkHandler(route, fn == nil, reflect.TypeFor[Q](), reflect.TypeFor[A]())
	return rs.kind.srv.add(route, handler{reply: true, room: rs.kind, serve: func(room any, p *Player, payload, dst []byte) ([]byte, error) {
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

func (r *Room) name() string { return r.kind.name + "/" + r.key }

// Key returns the key that the room was made for.
func (r *Room) Key() string { return r.key }

// Len returns how many members the room has.
func (r *Room) Len() int { return len(r.members) }

// Members returns the members in the order they came. The slice is the room's.
func (r *Room) Members() []*Player { return r.members }

// Broadcast sends a one-way message to every member but those named. It is
// encoded once, and each loop is woken once. In a handler or a callback of a
// player its bytes, times the members but one, are charged to that player: see
// Player.Charge. In OnTick, and in what was posted, no player is charged.
func (r *Room) Broadcast(route string, v any, but ...*Player) error {
	if len(but) == 0 {
		return r.kind.srv.multicast(r.members, r.serving, route, v)
	}
	return r.BroadcastTo(func(p *Player) bool { return !slices.Contains(but, p) }, route, v)
}

// BroadcastTo is Broadcast to those members for whom to returns true: a team,
// or who is near enough to see it. Where that would be asked too often, keep the
// members in a Group for each cell of the map.
func (r *Room) BroadcastTo(to func(*Player) bool, route string, v any) error {
	var list []*Player
	for _, p := range r.members {
		if to(p) {
			list = append(list, p)
		}
	}
	return r.kind.srv.multicast(list, r.serving, route, v)
}

// maxPosted bounds the functions that wait for a room.
const maxPosted = 4096

// Post runs f on the room's goroutine. It reports false once the room has
// ended, or so far behind that 4,096 functions wait. Safe to call from any
// goroutine.
func (r *Room) Post(f func()) bool { return r.post(f, maxPosted) }

func (r *Room) post(f func(), most int) bool {
	r.mu.Lock()
	ok := !r.closed && len(r.posted) < most
	if ok {
		r.posted = append(r.posted, f)
	}
	r.mu.Unlock()
	r.wake()
	return ok
}

func (r *Room) submit(p *Player) {
	r.mu.Lock()
	r.ready = append(r.ready, p)
	r.mu.Unlock()
	r.wake()
}

func (r *Room) wake() {
	select {
	case r.wakes <- struct{}{}:
	default:
	}
}

// run is the room's goroutine.
func (r *Room) run() {
	over := false
	defer func() {
		if over {
			r.steps.stop()
			r.kind.srv.watch.forget(r.activity)
			r.kind.srv.running.Done()
			return
		}
		r.activity.end()
		go r.run() // the game's code ended this goroutine: the room goes on in another
	}()
	if !r.made {
		r.made = true
		r.guard(&callNewRoom, func() { r.value = r.kind.make(r) })
	}
	ticker, _ := r.value.(TickHandler)
	if r.steps == nil {
		step := r.kind.step
		if ticker == nil {
			step = 0
		}
		r.steps = newStepper(step, r.wake)
	}
	over = r.serve() // what the goroutine before this one has left
	for !over {
		r.steps.run(len(r.members) > 0)
		r.tick(ticker)
		<-r.wakes
		over = r.serve()
	}
}

// maxTickPanics ticks in a row that panic end a room: it is not the room that it
// should be any more, and would be logged for ever.
const maxTickPanics = 10

// tick lets a step of the room's time happen, if it is due.
func (r *Room) tick(ticker TickHandler) {
	t, due := r.steps.next()
	if !due {
		return
	}
	r.ticked(t, t.N-r.last-1)
	r.last = t.N
	if r.panics++; r.panics > maxTickPanics {
		r.fail()
		return
	}
	if r.guard(&callTick, func() { ticker.OnTick(t) }) {
		r.panics = 0
	}
}

// fail ends a room that can't go on, and with it the sessions of its members:
// they are told, and log in anew. Whoever asks for its key meanwhile gets another.
func (r *Room) fail() {
	k := r.kind
	k.srv.log.Error("a room has failed and ends", "room", r.name(), "times", maxTickPanics)
	r.steps.stop()
	k.mu.Lock()
	r.failed, r.shut = true, true
	if k.open[r.key] == r {
		delete(k.open, r.key)
	}
	r.updateMatchableLocked()
	if r.seatsTaken == 0 { // it lingers
		r.closeLocked()
	}
	k.mu.Unlock()
	for _, p := range r.members {
		p.Kick(session.Internal, "the room has failed")
	}
}

func (r *Room) ticked(t Tick, skipped uint64) {
	k := r.kind
	k.ticks.Add(1)
	k.skipped.Add(skipped)
	late := t.Overrun > t.Step/2
	if late {
		k.overruns.Add(1)
	}
	if f := k.srv.cfg.Observer.TickLate; f != nil && (late || skipped > 0) {
		k.srv.observe("TickLate", func() { f(r.name(), t, skipped) })
	}
}

// serve lets every member with work do it, and runs what was posted. It
// reports whether the room is closed and idle.
func (r *Room) serve() (over bool) {
	r.mu.Lock()
	r.todo, r.ready = append(r.todo, r.ready...), nil
	r.calls, r.posted = append(r.calls, r.posted...), nil
	over = r.closed && len(r.todo) == 0
	r.mu.Unlock()
	r.serving = nil
	for len(r.calls) > 0 {
		f := r.calls[0]
		r.calls[0] = nil
		r.calls = r.calls[1:]
		r.guard(&callPost, f)
	}
	worked := len(r.todo) > 0
	for len(r.todo) > 0 {
		r.serving = r.todo[0]
		r.serving.work(r, r.activity) // again, should the game's code end this goroutine
		r.todo[0] = nil
		r.todo = r.todo[1:]
	}
	r.serving, r.todo, r.calls = nil, nil, nil
	if worked {
		r.wake() // once more: the last member may just have left
	}
	return over
}

// guard runs the game's code that serves no one player, and reports whether it
// returned. A panic is logged and the room goes on.
func (r *Room) guard(what *string, f func()) (ok bool) {
	r.kind.srv.watch.begin(r.activity, nil, what)
	defer func() {
		r.activity.end()
		if v := unwinding(ok, recover()); v != nil {
			r.kind.srv.panicked(nil, *what, v, "room", r.name())
		}
	}()
	f()
	return true
}
