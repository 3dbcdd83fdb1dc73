// SPDX-License-Identifier: MIT

package framework

import (
	"log/slog"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// life is what the game has been told of a player, beside what is true. What
// is to be told next follows from the difference, so nothing can be forgotten
// or told twice, and transitions nobody has heard of yet cancel out. Guarded
// by the player's mu.
type life struct {
	reason *Reason // of the end, nil before it
	room   *Room   // joined
	join   *joining
	leave  *leaving
	waits  int32 // sessions that must end before this one opens

	// What is true.
	attached bool
	reset    bool // a RESET has yet to be told
	blip     bool // another link has taken over from one that still looked alive
	ending   bool // the session is closed
	moving   bool // or leaves for another server: what is sent is still taken

	// What the game knows.
	toldOpen     bool
	toldAttached bool
	ended        bool // OnClose has returned

	// What the room knows.
	roomKnow bool // of attached
	roomMiss bool // it has yet to hear of a RESET
	roomBlip bool // or of a takeover

	active bool // one executor has the player: a worker or a room
}

// task is the next thing to do for a player.
type task uint8

const (
	nothing task = iota
	tellOpen
	tellDetach
	tellResume
	tellClose
	handleMail
	enterRoom
	leaveRoom
	tellDrop
	tellBack
)

// next decides what is to be done, and in which room (nil: on a worker). The
// caller holds mu.
func (p *Player) nextLocked() (task, *Room) {
	switch {
	case p.waits > 0 || p.ended:
		return nothing, nil
	case !p.toldOpen:
		return tellOpen, nil
	case p.leave != nil: // before join: who moves is out before it is in
		return leaveRoom, p.room
	case p.join != nil:
		return enterRoom, p.join.room
	}
	if !p.ending {
		switch {
		case p.toldAttached && (!p.attached || p.reset || p.blip):
			return tellDetach, nil
		case !p.toldAttached && p.attached:
			return tellResume, nil
		case p.room != nil && p.roomKnow && (!p.attached || p.roomMiss || p.roomBlip):
			return tellDrop, p.room
		case p.room != nil && !p.roomKnow && p.attached:
			return tellBack, p.room
		}
	}
	if m := p.in.head(); m != nil && (!p.slowed || p.ending) {
		if k := m.route.room; k != nil && p.room != nil && p.room.kind == k {
			return handleMail, p.room
		}
		return handleMail, nil
	}
	switch {
	case !p.ending:
		return nothing, nil
	case p.room != nil:
		return leaveRoom, p.room
	}
	return tellClose, nil
}

// wake gives the player to an executor if there is anything to do.
func (p *Player) schedule() {
	p.mu.Lock()
	if p.active {
		p.mu.Unlock()
		return
	}
	t, room := p.nextLocked()
	p.active = t != nothing
	p.mu.Unlock()
	if t != nothing {
		p.srv.dispatch(p, room)
	}
}

// fairShare is how many messages of one player are handled before it is the
// next one's turn.
const fairShare = 64

// work does what is to be done for the player in the room here, or on this
// worker, until there is nothing left or it must be done elsewhere.
func (p *Player) work(here *Room, d *activity) {
	for n := 0; ; n++ {
		p.mu.Lock()
		t, room := p.nextLocked()
		if t == nothing {
			p.active = false
			p.mu.Unlock()
			return
		}
		if room != here || n == fairShare {
			p.mu.Unlock()
			p.srv.dispatch(p, room)
			return
		}
		p.srv.watch.begin(d, p, p.calledLocked(t))
		p.do(t, here)
		d.end()
	}
}

// calledLocked names what is called for a task.
func (p *Player) calledLocked(t task) *string {
	if t == handleMail {
		return &p.in.head().route.name
	}
	return &taskNames[t]
}

// do does one task. It is called with mu held and releases it.
func (p *Player) do(t task, here *Room) {
	s := p.srv
	switch t {
	case tellOpen:
		p.toldOpen, p.toldAttached = true, true
		var app []byte
		if p.extra != nil {
			app, p.extra.app = p.extra.app, nil
		}
		p.mu.Unlock()
		defer p.call("OnOpen", func() { hook1(s.cfg.OnOpen, p) })
		p.unpack(app)
	case tellDetach:
		p.toldAttached, p.blip = false, false
		p.mu.Unlock()
		p.call("OnDetach", func() { hook1(s.cfg.OnDetach, p) })
	case tellResume:
		reset := p.reset
		p.toldAttached, p.reset = true, false
		p.mu.Unlock()
		p.call("OnResume", func() { hook1(s.cfg.OnResume, p) })
		if reset {
			p.call("OnSnapshot", func() { hook1(s.cfg.OnSnapshot, p) })
		}
	case handleMail:
		m := p.in.pop()
		room := p.room
		unhold := p.holding && p.in.len() <= s.inbox.packets/4 && p.in.size() <= s.inbox.bytes/4
		p.holding = p.holding && !unhold
		p.mu.Unlock()
		if unhold {
			p.wakeLoop()
		}
		p.handle(m, room, here)
	case tellClose:
		p.close()
	default:
		p.doInRoom(t, here)
	}
}

func hook1(f func(*Player), p *Player) {
	if f != nil {
		f(p)
	}
}

// close tells the game that it is over. It is called with mu held.
func (p *Player) close() {
	reason := *p.reason
	var d *migration
	if p.extra != nil {
		d = p.extra.migration
	}
	p.mu.Unlock()
	defer p.closed(d)
	defer p.call("OnClose", func() {
		if f := p.srv.cfg.OnClose; f != nil {
			f(p, reason)
		}
	})
	if d != nil {
		p.pack(d)
	}
}

// closed ends what close began: OnClose has returned.
func (p *Player) closed(d *migration) {
	var (
		groups    []string
		followers []*Player
		onClose   []func()
	)
	p.mu.Lock()
	p.ended = true
	if x := p.extra; x != nil { // nothing is added for who has ended
		groups, followers, onClose = x.groups, x.followers, x.onClose
	}
	p.mu.Unlock()
	p.srv.leaveGroups(p, groups)
	p.srv.leaveOrigin(p)
	defer func() {
		for _, f := range followers {
			f.mu.Lock()
			f.waits--
			f.mu.Unlock()
			f.schedule()
		}
		if d != nil {
			p.exportOnLoop()
			return
		}
		p.srv.closeReturned(p)
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
// place logged, and nobody else. What must follow is deferred: see unwinding.
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
func (p *Player) handle(m *message, room, here *Room) {
	r := m.route
	if r.room != nil && (room == nil || room != here) {
		if m.kind == codec.Request {
			p.answer(m.asked, nil, &codec.Error{Code: codec.ErrorNotJoined, Text: "join " + r.room.name + " first"})
		}
		m.free()
		return
	}
	if r.begin != nil {
		if err := r.begin(p, m.asked, m.body); err != nil {
			p.answer(m.asked, nil, err)
		}
		m.free()
		return
	}
	var value any
	if room != nil {
		value = room.value
	}
	reply := newMessage()
	done := p.call(r.name, func() { p.serve(r, value, m, reply) })
	if !done || reply.kind == 0 {
		reply.free()
	} else {
		_ = p.enqueue(reply)
	}
	m.free()
}

// serve calls the route's handler and makes reply of what it returns.
func (p *Player) serve(r *Route, value any, m, reply *message) {
	scratch := newMessage()
	payload, err := r.handle(value, p, m.kind, m.body, scratch.body[:0])
	scratch.body = payload[:0]
	if m.kind == codec.Request {
		reply.asked = m.asked
		reply.body, reply.kind = p.appendAnswer(reply.body[:0], m.asked.id, payload, err, r.name)
	} else if err != nil {
		p.logLimited(slog.LevelWarn, "message refused", "route", r.name, "error", err)
	}
	scratch.free()
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
func (p *Player) answer(q question, v any, err error) {
	m, scratch := newMessage(), newMessage()
	if err == nil {
		scratch.body, err = codec.AppendBody(scratch.body[:0], v)
	}
	m.asked = q
	m.body, m.kind = p.appendAnswer(m.body[:0], q.id, scratch.body, err, "")
	scratch.free()
	_ = p.enqueue(m)
}
