// SPDX-License-Identifier: MIT

package cluster

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/place"
	"github.com/lifeline-go/lifeline/framework/internal/jobs"
	"github.com/lifeline-go/lifeline/session"
)

// Rooms in the directory: package place decides, and here it is done. What players wait
// for runs on jobs: those for one room one after the other.

// rooms is a server's part in the rooms of its cluster.
type rooms struct {
	jobs    jobs.Queue
	finds   [len(findNames)]atomic.Uint64 // by what they came to
	answers [len(saysNames)]atomic.Uint64

	mu sync.Mutex
	// Guarded by mu. Calls to the framework's rooms are made under it, and none comes from
	// under their locks.
	here    place.Rooms
	seats   place.Seats
	seated  map[string]roomName // with kept seats, by their names in the directory
	waiting map[string][]func() // to be done one after the other, by name
	loads   map[core.Incarnation]place.Load
	leaving map[string]bool // that are to be handed over, when a search has ended that began before they were made
}

// roomName is a type and a key.
type roomName struct{ kind, key string }

var findNames = [...]string{
	place.Busy: "busy", place.Here: "here", place.Elsewhere: "elsewhere", place.Refused: "refused", findFailed: "failed",
}

// findFailed counts searches that came to nothing in time.
const findFailed = place.Refused + 1

var saysNames = [...]string{place.Working: "working", place.Seated: "seated", place.Refuses: "refused", place.NotHere: "not_here"}

const (
	// roomTime bounds how long a player waits until its room is found.
	roomTime = 5 * time.Second
	// roomAskTime bounds how long a server that asks for a room waits until it is opened
	// here. It may ask again.
	roomAskTime = time.Second
	roomAgain   = 50 * time.Millisecond // after which a room is looked at again that opens or ends
)

// roomsName is the name under which a server answers for its rooms.
func roomsName(i core.Incarnation) string { return i.String() + ".rooms" }

func roomsKey(name string) string { return bucketRooms + "/" + name }

// inTurn runs f when all that was handed in before for the same room is done.
func (r *rooms) inTurn(name string, f func()) {
	r.mu.Lock()
	if r.waiting == nil {
		r.waiting = map[string][]func(){}
	}
	list, busy := r.waiting[name]
	r.waiting[name] = append(list, f)
	r.mu.Unlock()
	if !busy {
		r.jobs.Add(func() { r.takeTurns(name) })
	}
}

func (r *rooms) takeTurns(name string) {
	for {
		r.mu.Lock()
		list := r.waiting[name]
		if len(list) == 0 {
			delete(r.waiting, name)
			r.mu.Unlock()
			return
		}
		r.waiting[name] = list[1:]
		r.mu.Unlock()
		list[0]()
	}
}

// runRoom does what an operation wants until it has a verdict. It gives up when ctx ends.
func (c *Cluster) runRoom(ctx context.Context, op *place.Op) (place.Verdict, error) {
	ev := place.Event{}
	for {
		c.mu.Lock()
		a := op.Next(ev, &c.members)
		c.mu.Unlock()
		switch a.Do {
		case core.Done:
			return a.Verdict, nil
		case core.Wait:
			pause(ctx, a.Wait)
			ev = place.Event{Outcome: core.Waited}
		default:
			ev = c.doRoom(ctx, op.Name, &a)
		}
		if err := ctx.Err(); err != nil && ev.Outcome != core.Written {
			return place.Verdict{}, err
		}
	}
}

// doRoom does one action that needs the bus.
func (c *Cluster) doRoom(ctx context.Context, name string, a *place.Action) place.Event {
	switch a.Do {
	case core.Read:
		ctx, cancel := context.WithTimeout(ctx, requestTime)
		defer cancel()
		b, rev, err := c.bus.Get(ctx, roomsKey(name))
		var e *place.Entry
		if err == nil {
			e, err = place.ParseEntry(b)
		}
		return place.Event{Outcome: outcome(err, core.Loaded), Entry: e, Rev: rev}
	case core.Write:
		ctx, cancel := context.WithTimeout(ctx, requestTime)
		defer cancel()
		return place.Event{Outcome: c.write(ctx, roomsKey(name), a.Entry.Append(nil), a.Rev)}
	}
	answer, ok := c.askForRoom(ctx, a.To, a.Question)
	if !ok {
		return place.Event{Outcome: core.Unanswered}
	}
	return place.Event{Outcome: core.Answered, Answer: answer}
}

// askForRoom asks another server for a seat.
func (c *Cluster) askForRoom(ctx context.Context, to core.Incarnation, q place.Question) (place.Answer, bool) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	b, err := c.bus.Ask(ctx, roomsName(to), q.Append(nil))
	if err != nil {
		return place.Answer{}, false
	}
	a, err := place.ParseAnswer(b)
	if err != nil {
		c.log.Error("an answer about a room is not understood", "by", to, "error", err)
		return place.Answer{}, false
	}
	r := &c.rooms
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.loads == nil || len(r.loads) > 1<<10 { // some are of servers that are no more
		r.loads = map[core.Incarnation]place.Load{}
	}
	r.loads[to] = a.Load
	return a, true
}

// FindRoom implements framework.ClusterRooms.
func (c *Cluster) FindRoom(q framework.RoomQuery, done func(framework.RoomPlace, error)) {
	ctx, cancel := context.WithTimeout(c.ctx, roomTime)
	name := place.Name(q.Type, q.Key)
	c.rooms.inTurn(name, func() {
		defer cancel()
		var at framework.RoomPlace
		err := ctx.Err()
		if err == nil {
			at, err = c.findRoom(ctx, q)
		}
		c.rooms.count(at, err)
		done(at, err)
	})
}

// count counts what came of the search for a room.
func (r *rooms) count(at framework.RoomPlace, err error) {
	var no *codec.Error
	switch {
	case err == nil && at.Address == "":
		r.finds[place.Here].Add(1)
	case err == nil:
		r.finds[place.Elsewhere].Add(1)
	case !errors.As(err, &no):
		r.finds[findFailed].Add(1)
	case no.Code == codec.ErrorBusy:
		r.finds[place.Busy].Add(1)
	default:
		r.finds[place.Refused].Add(1)
	}
}

// fill adds what was counted.
func (r *rooms) fill(st *framework.ClusterStats) {
	st.Rooms, st.RoomFinds, st.RoomAsked = map[string]int64{}, named(r.finds[:], findNames[:]), named(r.answers[:], saysNames[:])
	r.mu.Lock()
	defer r.mu.Unlock()
	st.RoomSeats = int64(r.seats.Len())
	for state, n := range r.here.Counts() {
		st.Rooms[state] = int64(n)
	}
}

// findRoom finds a room for a player.
func (c *Cluster) findRoom(ctx context.Context, q framework.RoomQuery) (framework.RoomPlace, error) {
	ask := place.Question{Type: q.Type, Key: q.Key, User: q.User, Session: q.Session}
	choose := c.chooseLocked
	if q.Watch {
		ask.Session, choose = session.ID{}, nowhere
	}
	_, made := maker(q.Key)
	for {
		perhaps := false
		if made {
			at, err := c.askMaker(ctx, ask)
			if perhaps = err == errPerhaps; !perhaps && err != errNotAtMaker {
				return at, err
			}
		}
		at, err := c.findListed(ctx, q, place.Find{Me: c.me, Type: q.Type, Key: q.Key, User: q.User, Session: ask.Session, Choose: choose})
		if !perhaps || err != errUnlisted {
			return at, err
		}
		if !pause(ctx, roomAgain) {
			return framework.RoomPlace{}, busyRoom()
		}
	}
}

// findListed finds a room that has an entry, or makes one.
func (c *Cluster) findListed(ctx context.Context, q framework.RoomQuery, f place.Find) (framework.RoomPlace, error) {
	v, err := c.find(ctx, place.Name(q.Type, q.Key), f)
	switch {
	case err != nil:
		return framework.RoomPlace{}, err
	case v.Result == place.None:
		return framework.RoomPlace{}, errUnlisted
	case v.Result == place.Here:
		return framework.RoomPlace{}, nil
	case v.Result == place.Elsewhere:
		return c.roomPlace(v.To)
	case v.Result == place.Refused:
		return framework.RoomPlace{}, roomRefusal(v.Why)
	case q.Watch:
		return framework.RoomPlace{}, noRoom()
	}
	return framework.RoomPlace{}, busyRoom()
}

func nowhere([]core.Incarnation) core.Incarnation { return core.Incarnation{} }

func refusal(code codec.ErrorCode, text string) error { return &codec.Error{Code: code, Text: text} }

func noRoom() error { return refusal(codec.ErrorRefused, "there is no such room") }

func busyRoom() error {
	return refusal(codec.ErrorBusy, "the room is not to be had at present, as its server starts or ends")
}

// roomRefusal is how a player is told that it does not get into a room.
func roomRefusal(why place.Refusal) error {
	code := codec.ErrorRefused
	switch why {
	case place.Full:
		code = codec.ErrorFull
	case place.TooMany:
		code = codec.ErrorBusy
	case place.Collision, place.TooLong:
		code = codec.ErrorBadRequest
	}
	return refusal(code, why.String())
}

// roomPlace is where a room is that another server has.
func (c *Cluster) roomPlace(i core.Incarnation) (framework.RoomPlace, error) {
	c.mu.Lock()
	m, ok := c.members.Member(i)
	c.mu.Unlock()
	switch {
	case !ok || !bytes.Equal(m.Routes, c.host.Routes()):
		return framework.RoomPlace{}, busyRoom() // of another release: sessions do not go there
	case m.Draining: // since it was asked
		return framework.RoomPlace{}, busyRoom()
	case m.Address == "":
		return framework.RoomPlace{}, refusal(codec.ErrorRefused, "clients can't be sent to the server that has the room")
	}
	return framework.RoomPlace{Address: m.Address}, nil
}

// find looks for a room, and opens it if this server has become its owner.
func (c *Cluster) find(ctx context.Context, name string, f place.Find) (place.Verdict, error) {
	r := &c.rooms
	_, f.Made = maker(f.Key)
	for {
		r.mu.Lock()
		state := place.Moving // soon
		if !f.Made || !c.leavesLocked(f.Type, f.Key) {
			state = r.here.Arrive(name)
		}
		r.mu.Unlock()
		switch {
		case state == place.Free:
			v, err := c.runRoom(ctx, place.NewFind(f))
			if err == nil && v.Result == place.Here {
				return v, c.openRoom(name, roomName{f.Type, f.Key}, &v)
			}
			r.mu.Lock()
			r.here.Forget(name) // what was written of it all the same is found by the next one
			r.mu.Unlock()
			return v, err
		case state == place.Open && c.host.HasRoom(f.Type, f.Key):
			return place.Verdict{Result: place.Here}, nil
		}
		if !pause(ctx, roomAgain) {
			return place.Verdict{}, ctx.Err()
		}
	}
}

// openRoom opens a room that this server owns now.
func (c *Cluster) openRoom(name string, at roomName, v *place.Verdict) error {
	c.rooms.mu.Lock()
	c.rooms.here.Opened(name, v.Gen)
	c.rooms.mu.Unlock()
	err := c.host.OpenRoom(at.kind, at.key, v.Gen, v.Snapshot)
	switch {
	case err == nil:
	case v.Snapshot != nil: // else its state would be lost
		c.passOn(name, at, v)
	default:
		c.CloseRoom(at.kind, at.key)
	}
	return err
}

// dropSeatsLocked forgets the seats that are kept in a room which goes. The caller holds mu.
func (r *rooms) dropSeatsLocked(name string) {
	r.seats.Drop(name)
	delete(r.seated, name)
}

// CloseRoom implements framework.ClusterRooms.
func (c *Cluster) CloseRoom(kind, key string) {
	r, name := &c.rooms, place.Name(kind, key)
	r.mu.Lock()
	gen, ok := r.here.Close(name)
	r.dropSeatsLocked(name)
	r.mu.Unlock()
	if !ok {
		return
	}
	c.jobs.Add(func() {
		c.untilDone(func(ctx context.Context) bool {
			v, err := c.runRoom(ctx, place.NewClose(c.me, kind, key, gen))
			return err == nil && v.Result == place.Released
		})
		r.mu.Lock()
		r.here.Forget(name)
		r.mu.Unlock()
	})
}

// chooseLocked returns where a room shall be that is nowhere. The caller holds mu: runRoom
// does while an operation decides.
func (c *Cluster) chooseLocked(tried []core.Incarnation) core.Incarnation {
	here := place.Load{Node: c.me}
	here.Players, here.Capacity = c.host.Load()
	if c.draining || slices.Contains(tried, c.me) {
		here.Node = core.Incarnation{}
	}
	var others []place.Load
	takers, _ := c.takersLocked(c.host.Routes())
	for _, m := range takers {
		if slices.Contains(tried, m.Incarnation) {
			continue
		}
		c.rooms.mu.Lock()
		l := c.rooms.loads[m.Incarnation]
		c.rooms.mu.Unlock()
		l.Node = m.Incarnation
		others = append(others, l)
	}
	return place.Choose(here, others, c.rand)
}

// --- rooms whose keys a server has made itself

// maker returns the server that has made a key, for a room of strangers or one that the
// game has opened. Such a room has no entry in the directory until it is handed over: no other
// server makes it.
func maker(key string) (core.Incarnation, bool) {
	text, _, ok := strings.Cut(key, "-")
	i, err := core.ParseIncarnation(text)
	return i, ok && err == nil
}

// Why the directory is asked for a room after the server that has made its key.
var (
	errNotAtMaker = errors.New("cluster: the room is not at the server that has made its key")
	errPerhaps    = errors.New("cluster: the server that has made the key does not answer, or the room is about to go")
)

// errUnlisted is noRoom for a key that was made by a server, and has no entry.
var errUnlisted = noRoom()

// askMaker asks the server that has made a key for its room.
func (c *Cluster) askMaker(ctx context.Context, q place.Question) (framework.RoomPlace, error) {
	at, _ := maker(q.Key)
	gone, keeps := errNotAtMaker, c.host.KeepsRooms(q.Type)
	if !keeps {
		gone = noRoom()
	}
	if s := c.status(at); at == c.me || s != core.Up && s != core.Draining {
		return framework.RoomPlace{}, gone
	}
	for {
		switch a, ok := c.askForRoom(ctx, at, q); {
		case ok && a.Says == place.Seated:
			return c.roomPlace(at)
		case ok && a.Says == place.Refuses:
			return framework.RoomPlace{}, roomRefusal(a.Why)
		case ok && a.Says == place.NotHere:
			return framework.RoomPlace{}, gone
		case keeps:
			return framework.RoomPlace{}, errPerhaps
		case !ok:
			return framework.RoomPlace{}, busyRoom()
		}
		if !pause(ctx, roomAgain) {
			return framework.RoomPlace{}, busyRoom()
		}
	}
}

// --- what other servers ask

// answerRooms answers another server that asks for a room. One without a lease says
// nothing.
func (c *Cluster) answerRooms(b []byte) []byte {
	q, err := place.ParseQuestion(b)
	if err != nil || !c.HasLease() {
		return nil
	}
	a := c.answerRoom(q)
	c.rooms.answers[a.Says].Add(1)
	a.Load.Node = c.me
	a.Load.Players, a.Load.Capacity = c.host.Load()
	return a.Append(nil)
}

func (c *Cluster) answerRoom(q place.Question) place.Answer {
	r, name := &c.rooms, place.Name(q.Type, q.Key)
	at, made := maker(q.Key)
	if made && at == c.me { // it is open, then about to go, then what is noted here
		if c.openMade(q, name) {
			return c.seat(q, name)
		}
		if c.leaves(q.Type, q.Key) {
			return place.Answer{Says: place.Working}
		}
	}
	r.mu.Lock()
	state := r.here.State(name)
	r.mu.Unlock()
	switch {
	case made && !c.host.KeepsRooms(q.Type):
		return place.Answer{Says: place.NotHere}
	case state == place.Open:
		return c.seat(q, name)
	case state != place.Free:
		return place.Answer{Says: place.Working}
	case !c.takesRooms():
		return place.Answer{Says: place.NotHere}
	}
	return c.openForOther(q, name)
}

// openMade makes the room of a key that was made here, if it is not open: for a player, not to
// watch, and if it can't be elsewhere.
func (c *Cluster) openMade(q place.Question, name string) bool {
	r, may := &c.rooms, c.takesRooms() && q.Session != session.ID{} && !c.host.KeepsRooms(q.Type)
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.host.HasRoom(q.Type, q.Key) {
		return true
	}
	r.dropSeatsLocked(name) // of the one before: its end is not told
	return may && c.host.OpenRoom(q.Type, q.Key, 0, nil) == nil
}

// takesRooms reports whether rooms may be made here for players of other servers.
func (c *Cluster) takesRooms() bool {
	players, capacity := c.host.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.draining && (capacity == 0 || players < capacity)
}

// openForOther opens a room here that another server asks for, if it is nowhere.
func (c *Cluster) openForOther(q place.Question, name string) place.Answer {
	soon, cancel := context.WithTimeout(c.ctx, roomAskTime)
	defer cancel()
	answered := make(chan place.Answer, 1)
	ctx, stop := context.WithTimeout(c.ctx, roomTime)
	c.rooms.inTurn(name, func() {
		defer stop()
		v, err := c.find(ctx, name, place.Find{Me: c.me, Type: q.Type, Key: q.Key, User: q.User, Session: q.Session, Asked: true})
		var no *codec.Error
		switch {
		case errors.As(err, &no), err == nil && v.Result == place.None: // it can't be made here
			answered <- place.Answer{Says: place.NotHere}
		case err == nil && v.Result == place.Here:
			answered <- c.seat(q, name)
		default: // another server has it by now: the entry will tell
			answered <- place.Answer{Says: place.Working}
		}
	})
	select {
	case a := <-answered:
		return a
	case <-soon.Done():
		return place.Answer{Says: place.Working}
	}
}

// seat keeps a seat in a room that is here, for a session that is on its way.
func (c *Cluster) seat(q place.Question, name string) place.Answer {
	c.mu.Lock()
	draining := c.draining
	c.mu.Unlock()
	r := &c.rooms
	r.mu.Lock()
	defer r.mu.Unlock()
	ends := false
	sit := func() place.Refusal {
		err := c.host.Sit(q.Type, q.Key, q.User)
		var no *codec.Error
		switch {
		case err == nil:
			return place.Granted
		case !errors.As(err, &no): // it has begun to end
			ends = true
			return place.Closed
		case no.Code == codec.ErrorFull:
			return place.Full
		case no.Code == codec.ErrorBusy:
			return place.TooMany
		}
		return place.Closed
	}
	why := place.Granted
	switch {
	case draining: // no player can come: the room goes
		why = sit()
	case q.Session == session.ID{}: // to watch: the seat is looked for when it comes
		ends = !c.host.HasRoom(q.Type, q.Key)
	case c.host.Expects(q.Type, q.Key, q.User, q.Session):
	default:
		why = r.seats.Keep(name, q.Session, c.now(), sit)
	}
	switch {
	case ends:
		return place.Answer{Says: place.Working}
	case why != place.Granted:
		return place.Answer{Says: place.Refuses, Why: why}
	}
	if r.seated == nil {
		r.seated = map[string]roomName{}
	}
	r.seated[name] = roomName{q.Type, q.Key}
	return place.Answer{Says: place.Seated, Gen: r.here.Gen(name)}
}

// TakeSeat implements framework.ClusterRooms.
func (c *Cluster) TakeSeat(kind, key string, id session.ID) bool {
	c.rooms.mu.Lock()
	defer c.rooms.mu.Unlock()
	return c.rooms.seats.Use(place.Name(kind, key), id)
}

// seatsEvery is how often seats are given back whose players have not come in time.
const seatsEvery = time.Second

// giveSeatsBack frees the seats of those that have not come.
func (c *Cluster) giveSeatsBack() {
	for pause(c.ctx, seatsEvery) {
		r, now := &c.rooms, c.now()
		r.mu.Lock()
		for _, s := range r.seats.Expired(now) {
			at := r.seated[s.Name]
			c.host.Unsit(at.kind, at.key)
		}
		for name := range r.seated {
			if r.seats.Of(name) == 0 {
				delete(r.seated, name)
			}
		}
		r.mu.Unlock()
	}
}
