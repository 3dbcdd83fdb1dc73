// SPDX-License-Identifier: MIT

package framework

import (
	"log/slog"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/lifecycle"
	"github.com/lifeline-go/lifeline/framework/internal/mailbox"
	"github.com/lifeline-go/lifeline/framework/internal/watchdog"
	"github.com/lifeline-go/lifeline/session"
)

// This file drives package lifecycle: what is due next for a player is decided
// there, and runs here, on a worker or in a room.

// nextLocked returns what is to be done next, for which seat, if it is for one, and in
// which room (nil: on a worker). The caller holds mu.
func (p *Player) nextLocked() (lifecycle.Task, *seat, *Room) {
	m := p.in.Head()
	wish, of := p.seats.wish(&p.life)
	slowed := p.slowed || p.srv.rooms != nil && p.seats.sought() // what the client has sent after its wish waits for that
	t := p.life.Next(m != nil, slowed, wish)
	switch {
	case t >= lifecycle.LeaveRoom:
		return t, of, of.room
	case t == lifecycle.Message:
		if kind := p.srv.tagged(m.Tag).room; kind != nil {
			if s := p.seats.in(kind); s != nil {
				return t, s, s.room
			}
		}
	}
	return t, nil, nil
}

// schedule gives the player to an executor if there is anything to do.
func (p *Player) schedule() {
	p.mu.Lock()
	due, room := p.activateLocked()
	p.mu.Unlock()
	if due {
		p.srv.dispatch(p, room)
	}
}

// activateLocked reports whether the player has to be dispatched, and where to. The
// caller holds mu, and dispatches once it has released it.
func (p *Player) activateLocked() (due bool, room *Room) {
	if p.active {
		return false, nil
	}
	t, _, room := p.nextLocked()
	p.active = t != lifecycle.Nothing
	return p.active, room
}

// fairShare is how many messages of one player are handled before it is the
// next one's turn.
const fairShare = 64

// work does what is to be done for the player in the room here, or on this
// worker, until there is nothing left or it must be done elsewhere.
func (p *Player) work(here *Room, a *watchdog.Activity) {
	for n := 0; ; n++ {
		p.srv.awaitLease()
		p.mu.Lock()
		t, s, room := p.nextLocked()
		if t == lifecycle.Nothing {
			p.active = false
			p.mu.Unlock()
			return
		}
		if room != here || n == fairShare {
			p.mu.Unlock()
			p.srv.dispatch(p, room)
			return
		}
		if t == lifecycle.LeaveRoom && here.waitsLocked(p, s) {
			p.mu.Unlock()
			return // it is the room's, and still active
		}
		p.srv.watch.Begin(a, &p.user, p.calledLocked(t))
		j := p.beginLocked(t, s)
		p.mu.Unlock()
		p.do(&j, here)
		a.End()
	}
}

// calledLocked names what is called for a task.
func (p *Player) calledLocked(t lifecycle.Task) *string {
	if t == lifecycle.Message {
		return &p.srv.tagged(p.in.Head().Tag).name
	}
	return &taskNames[t]
}

// taskNames are what the game is called for, where that is not a route.
var taskNames = [...]string{
	lifecycle.Open: "OnOpen", lifecycle.Detach: "OnDetach", lifecycle.Resume: "OnResume", lifecycle.Close: "OnClose",
	lifecycle.JoinRoom: "OnJoin", lifecycle.LeaveRoom: "OnLeave", lifecycle.RoomDetach: "OnDetach", lifecycle.RoomResume: "OnResume",
}

// job is a task that has begun, with what its callback needs.
type job struct {
	task     lifecycle.Task
	snapshot bool // OnSnapshot follows
	unhold   bool // Message: the inbox has room again

	seat    *seat            // of a seat's tasks; Message: in the room of the route, nil without one
	message *mailbox.Message // Message
	refused bool             // JoinRoom: the session has ended meanwhile

	app       []byte     // Open: from another server
	reason    Reason     // Close
	migration *migration // Close: to another server
}

// beginLocked takes over all that a task needs from the player.
func (p *Player) beginLocked(t lifecycle.Task, s *seat) job {
	j := job{task: t, seat: s}
	if t >= lifecycle.LeaveRoom {
		j.snapshot = s.life.Begin(t)
	} else {
		j.snapshot = p.life.Begin(t)
	}
	switch t {
	case lifecycle.Open:
		if x := p.extra; x != nil {
			j.app, x.app = x.app, nil
		}
	case lifecycle.Message:
		j.message, j.unhold = p.in.Pop(p.srv.inbox)
	case lifecycle.JoinRoom:
		j.refused = p.life.Ending()
	case lifecycle.LeaveRoom:
		if s.out == nil { // the session ends
			s.out = &leaving{why: *p.reason}
		}
		p.seats.remove(s)
	case lifecycle.Close:
		j.reason = *p.reason
		if p.extra != nil {
			j.migration = p.extra.migration
		}
	}
	return j
}

// do runs the callback of a job, in the room here or on a worker.
func (p *Player) do(j *job, here *Room) {
	cfg := &p.srv.cfg
	switch j.task {
	case lifecycle.Open:
		defer p.call("OnOpen", func() { hook1(cfg.OnOpen, p) })
		p.unpack(j.app)
	case lifecycle.Detach:
		p.call("OnDetach", func() { hook1(cfg.OnDetach, p) })
	case lifecycle.Resume:
		p.call("OnResume", func() { hook1(cfg.OnResume, p) })
		if j.snapshot {
			p.tellRooms()
			p.followAgain(p.following())
			p.call("OnSnapshot", func() { hook1(cfg.OnSnapshot, p) })
		}
	case lifecycle.Message:
		if j.unhold {
			p.wakeLoop()
		}
		p.handle(j.message, j.seat, here)
	case lifecycle.Close:
		p.close(j.reason, j.migration)
	default:
		j.seat.do(p, j)
	}
}

func hook1(f func(*Player), p *Player) {
	if f != nil {
		f(p)
	}
}

// close tells the game that the session is over.
func (p *Player) close(reason Reason, m *migration) {
	defer p.closed(m)
	defer p.call("OnClose", func() {
		if f := p.srv.cfg.OnClose; f != nil {
			f(p, reason)
		}
	})
	if m != nil {
		p.pack(m)
	}
}

// closed ends what close began: OnClose has returned.
func (p *Player) closed(m *migration) {
	var (
		groups    []string
		follows   []*roomKind
		followers []*Player
		onClose   []func()
	)
	p.mu.Lock()
	p.life.Close()
	if x := p.extra; x != nil { // nothing is added after the end
		groups, follows, followers, onClose = x.groups, x.follows, x.followers, x.onClose
	}
	p.mu.Unlock()
	p.srv.groups.RemoveAll(groups, p)
	for _, k := range follows {
		k.unfollow(p)
	}
	p.srv.leaveOrigin(p)
	p.endSought(session.ErrClosed)
	defer func() {
		for _, f := range followers {
			f.mu.Lock()
			f.life.OtherEnded()
			f.mu.Unlock()
			f.schedule()
		}
		if m != nil {
			p.exportOnLoop()
			return
		}
		p.srv.closeReturned(p)
		p.srv.releaseID(p.ID())
		p.srv.closed.Done()
	}()
	p.callEach(onClose)
}

// callEach calls what was registered by OnClose, the last one first.
func (p *Player) callEach(fs []func()) {
	if n := len(fs); n > 0 {
		defer p.callEach(fs[:n-1])
		p.call("OnClose", fs[n-1])
	}
}

// call runs the game's code. A panic ends the player that it served, with the
// place logged, and no other. What must follow is deferred: see unwinding.
func (p *Player) call(what string, f func()) (ok bool) {
	defer func() {
		if v := unwinding(ok, recover()); v != nil {
			p.panicked(what, v)
		}
	}()
	f()
	return true
}

func (p *Player) panicked(what string, r any) {
	defer p.Kick(session.Internal, "")
	p.srv.panicked(p, what, r, "session", p.ID(), "user", p.label())
}

// handle serves one message in the room it was meant for or on a worker.
func (p *Player) handle(m *mailbox.Message, s *seat, here *Room) {
	r := p.srv.tagged(m.Tag)
	var value any
	if r.room != nil {
		if s == nil || s.room != here || s.watching {
			p.outside(m, s)
			m.Free()
			return
		}
		value = here.value
	}
	if r.begin != nil {
		p.begin(r, m)
		m.Free()
		return
	}
	reply := mailbox.NewMessage()
	done := p.call(r.name, func() { p.serve(r, value, m, reply) })
	if !done || reply.Kind == 0 {
		reply.Free()
	} else {
		_ = p.enqueue(reply)
	}
	m.Free()
}

// outside refuses what only members of a room may send.
func (p *Player) outside(m *mailbox.Message, s *seat) {
	p.srv.count.notJoined.Add(1)
	r := p.srv.tagged(m.Tag)
	err := &codec.Error{Code: codec.ErrorNotJoined, Text: "join " + r.room.name + " first"}
	if s != nil && s.watching {
		err = &codec.Error{Code: codec.ErrorRefused, Text: "a spectator only listens"}
	}
	if m.Kind == codec.Request {
		p.answer(m.Asked, nil, err)
		return
	}
	p.tellRefused(r.name, err)
}

// serve calls the route's handler and makes reply of what it returns.
func (p *Player) serve(r *Route, value any, m, reply *mailbox.Message) {
	scratch := mailbox.NewMessage()
	payload, err := r.handle(value, p, m.Kind, m.Asked, m.Body, scratch.Body[:0])
	scratch.Body = payload[:0]
	if err == errLater {
		scratch.Free()
		return
	}
	if m.Kind == codec.Request {
		reply.Asked = m.Asked
		reply.Body, reply.Kind = p.appendAnswer(reply.Body[:0], m.Asked.ID, payload, err, r.name)
	} else if err != nil {
		p.logLimited(slog.LevelWarn, "message refused", "route", r.name, "error", err)
		p.tellRefused(r.name, err)
	}
	scratch.Free()
}

// appendAnswer makes the RESPONSE, or FAILURE, of a request.
func (p *Player) appendAnswer(dst []byte, id uint64, payload []byte, err error, route string) ([]byte, codec.Kind) {
	if err == nil {
		body := codec.AppendResponse(dst, id, payload)
		if len(body) <= p.srv.cfg.Session.MaxBody {
			return body, codec.Response
		}
		err = codec.ErrTooLarge
	}
	e := p.srv.failure(err, p, route)
	return codec.AppendFailure(dst[:0], id, e.Code, short(e.Text)), codec.Failure
}

// answer answers a request with a value, or failed.
func (p *Player) answer(q mailbox.Question, v any, err error) {
	m, scratch := mailbox.NewMessage(), mailbox.NewMessage()
	if err == nil {
		scratch.Body, err = codec.AppendBody(scratch.Body[:0], v)
	}
	m.Asked = q
	m.Body, m.Kind = p.appendAnswer(m.Body[:0], q.ID, scratch.Body, err, "")
	scratch.Free()
	_ = p.enqueue(m)
}
