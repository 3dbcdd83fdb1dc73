// SPDX-License-Identifier: MIT

package framework

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/framework/internal/seats"
	"github.com/lifeline-go/lifeline/framework/internal/watchdog"
	"github.com/lifeline-go/lifeline/session"
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
	// WatchHandler decides on a spectator: see RoomsOf.Spectators. An error refuses.
	// Without it any may watch. A spectator is no member: of the callbacks it gets
	// OnSnapshot besides.
	WatchHandler interface{ OnWatch(p *Player) error }
	// UnwatchHandler hears that a spectator has left, exactly once per OnWatch that
	// returned nil.
	UnwatchHandler interface{ OnUnwatch(p *Player, why Reason) }
	// SaveHandler and RestoreHandler let a room go on at another server: of a type that has
	// both, and whose keys mean all servers of a cluster (see Local), a server that shuts
	// down hands its rooms over with their members. Nobody joins, leaves or is reset by it.
	// So do rooms by keys that the server has made, by Open or for strangers. To let them end
	// here instead is PlayOn.
	//
	// OnSave is the last of all that runs in the room here: no tick, timer, message or
	// callback comes after it, no OnLeave and no OnEnd. It returns all that the room needs,
	// at most MaxRoomState bytes. What the room has begun by Async has ended before. If
	// OnSave fails, or no other server can take the room, it is logged and counted
	// (RoomStats.StateLost), and the room ends here as one of a type without it.
	SaveHandler interface{ OnSave() ([]byte, error) }
	// RestoreHandler takes what OnSave has returned. It runs at the other server in the place
	// of OnCreate, after the room was made as any, with the zero parameters if it was made by
	// Open, and before all else. Steps of Tick
	// go on counting; SetOpen and Publish are as they were; After and Every must be called
	// anew. On an error, or a panic, that is logged and counted, and the room is made anew:
	// OnJoin comes for its members, whose clients are told that they have left, and are in.
	// Room.Generation is higher than before.
	RestoreHandler interface{ OnRestore(state []byte) error }
	// ReturnHandler hears of each member that has come along with its room, in the place of
	// OnJoin: the state knows it, by User, and p is another value than before.
	// OnLeave comes for it as for any member.
	ReturnHandler interface{ OnReturn(p *Player) }
	// MissingHandler hears that a member has not come along: within Grace, or 15 s if that
	// is more, or since its user has logged in anew. Its seat is free. It gets no OnLeave.
	MissingHandler interface{ OnMissing(user string, why Reason) }
	// ShutdownHandler hears that the server shuts down and lets the members go within this
	// time: tell them, save what must be saved. Everything goes on until then.
	ShutdownHandler interface{ OnShutdown(within time.Duration) }
	// CreateHandler is called once, after the room was made and before anybody is in
	// it. An error refuses: the room ends before it has begun, without OnEnd, and
	// its opener and its first players are told the error (see Fail).
	CreateHandler interface{ OnCreate() error }
	// EndHandler is called once, as the last of all that runs in the room: when the
	// last member has left, or OnLeave has run for all after Room.Close. Here results
	// are written; it may block. The reason is that of Close, RoomEmpty,
	// session.ShuttingDown or session.Internal.
	EndHandler interface{ OnEnd(why Reason) }
	// TickHandler is called at the fixed step given to Rooms.Tick. Ten panics in a row
	// end the room, and the sessions of its members with INTERNAL.
	TickHandler interface{ OnTick(t Tick) }
)

// Room is one room with its goroutine. The game's own type usually embeds it.
// Broadcast, Members, Len, After and Every belong to the room's goroutine, which is
// where all callbacks run; Post is for all other goroutines.
type Room struct {
	kind  *roomKind
	seats *seats.Room[*Room] // guarded by kind.mu, its key is immutable
	wakes chan struct{}      // 1 deep: a waiting wake-up is enough
	born  birth

	// Owned by the room's goroutine.
	value    any
	members  []*Player
	watchers []*Player
	// everybody are both, if it is not nil and there are watchers.
	everybody []*Player
	serving   *Player   // whose handler or callback runs, and pays for what that sends
	steps     *stepper  // nil before it was made
	last      uint64    // step
	panics    int       // ticks in a row that did not return
	todo      []*Player // taken from ready
	calls     []func()  // and from posted
	timers    timers
	work      roomWork
	activity  *watchdog.Activity
	move      *move // to another server; nil before that has begun
	toldEnd   bool  // OnShutdown was called

	// Guarded by kind.mu.
	over      *Reason              // why it ends, nil before that is known: from then on it is closed to all
	published [][2]string          // by Publish; the slice is immutable
	sentAway  bool                 // its members were: see sendAwayLocked
	drained   bool                 // Shutdown lets a member go, or what it keeps
	kept      int                  // seats of players who are on their way from other servers: see Sit
	reserved  map[string]time.Time // seats that are kept for users, until then: see RoomsOf.Reserve
	playsOn   time.Time            // until then Shutdown leaves the members alone
	idle      *time.Timer          // ends the room if it stays empty
	moves     bool                 // it goes to another server, as far as it has not ended: see handOver
	absent    map[session.ID]*absentee
	// returnTime ends the wait for the absent.
	returnTime *time.Timer

	ends atomic.Bool // for timers: it was closed, or is empty for good

	mu     sync.Mutex
	ready  []*Player // members that have work, each at most once
	posted []func()
	closed bool
	still  bool // it moves to another server: Post takes nothing
}

func (r *Room) name() string { return r.kind.name + "/" + r.seats.Key }

// Key returns the key that the room was made for.
func (r *Room) Key() string { return r.seats.Key }

// Len returns how many members the room has.
func (r *Room) Len() int { return len(r.members) }

// Members returns the members in the order they came. The slice is the room's.
func (r *Room) Members() []*Player { return r.members }

// Watchers returns the spectators in the order they came. The slice is the room's.
func (r *Room) Watchers() []*Player { return r.watchers }

// Broadcast sends a one-way message to every member and spectator but those named. It is
// encoded once, and each loop is woken once. In a handler or a callback of a
// player its bytes, times the members but one, are charged to that player: see
// Player.Charge. In OnTick, and in what was posted, no player is charged.
func (r *Room) Broadcast(route string, v any, but ...*Player) error {
	if len(but) == 0 {
		return r.kind.srv.multicast(r.audience(), r.serving, route, v)
	}
	list := slices.DeleteFunc(slices.Clone(r.audience()), func(p *Player) bool { return slices.Contains(but, p) })
	return r.kind.srv.multicast(list, r.serving, route, v)
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

const (
	// maxPosted bounds the functions that wait for a room.
	maxPosted = 4096
	// unbounded is for the few that the room itself can't be without.
	unbounded = math.MaxInt
)

// Post runs f on the room's goroutine. It reports false once the room has
// ended, or so far behind that 4,096 functions wait. Safe to call from any
// goroutine.
func (r *Room) Post(f func()) bool { return r.post(f, maxPosted) }

func (r *Room) post(f func(), most int) bool {
	r.mu.Lock()
	ok := !r.closed && !r.still && len(r.posted) < most
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

// deliver is Post without a bound and after the room's end: for what it waits for.
func (r *Room) deliver(f func()) {
	r.mu.Lock()
	r.posted = append(r.posted, f)
	r.mu.Unlock()
	r.wake()
}

// After runs f on the room's goroutine once d has passed, unless the timer is
// stopped before. It ends with the room. It runs whether or not the room has
// members, unlike OnTick. To be called on the room's goroutine, where the room is
// made too. What f panics with is logged, and the room goes on.
func (r *Room) After(d time.Duration, f func()) *Timer { return r.timers.add(d, 0, f) }

// Every is After again and again, every d, which is a millisecond at least. A call
// that is late is followed by one on time; calls that were missed are left out.
func (r *Room) Every(d time.Duration, f func()) *Timer {
	if d < time.Millisecond {
		panic("framework: Every " + d.String() + " is less than a millisecond")
	}
	return r.timers.add(d, d, f)
}
