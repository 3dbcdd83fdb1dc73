// SPDX-License-Identifier: MIT

package framework

import (
	"slices"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/lifecycle"
	"github.com/lifeline-go/lifeline/session"
)

// do runs the callback of a job that is the seat's, on the room's goroutine.
func (s *seat) do(p *Player, j *job) {
	r := s.room
	switch j.task {
	case lifecycle.JoinRoom:
		s.join(p, j)
	case lifecycle.LeaveRoom:
		s.left(p)
	case lifecycle.RoomDetach:
		if grace := r.kind.grace; grace > 0 {
			s.away = r.After(grace, func() { s.outstay(p) })
		}
		if v, ok := r.value.(DetachHandler); ok && !s.watching {
			p.call("OnDetach", func() { v.OnDetach(p) })
		}
	case lifecycle.RoomResume:
		s.stopTimer()
		if v, ok := r.value.(ResumeHandler); ok && !s.watching {
			p.call("OnResume", func() { v.OnResume(p) })
		}
		if v, ok := r.value.(SnapshotHandler); ok && j.snapshot {
			p.call("OnSnapshot", func() { v.OnSnapshot(p) })
		}
	}
}

// outstay takes the seat of a member that has been away for the type's Grace.
func (s *seat) outstay(p *Player) {
	if p.Attached() { // OnResume is on its way, unless that link is lost as well before
		s.away = s.room.After(s.room.kind.grace, func() { s.outstay(p) })
	} else {
		s.room.dismiss(p, Reason{Code: session.Expired, Text: "away for " + s.room.kind.grace.String()})
	}
}

func (s *seat) stopTimer() {
	if s.away != nil {
		s.away.Stop()
		s.away = nil
	}
}

// left ends a seat: OnLeave, and the client is told.
func (s *seat) left(p *Player) {
	r := s.room
	s.remove(p)
	s.stopTimer()
	out := *s.out
	if r.gone() { // it goes on in the room
		p.mu.Lock()
		if i := p.extra.rejoinsAt(r); i >= 0 {
			p.extra.rejoin[i].Member = true
		}
		p.mu.Unlock()
		if out.done != nil {
			out.done()
		}
		r.releaseSeat(s.watching, out.why)
		return
	}
	p.roomHeartbeat(r.kind)
	defer func() {
		if !out.rises {
			p.tellLeft(leaveNews{r.kind.name, r.Key(), out.why.Code, short(out.why.Text)})
		}
		if out.done != nil {
			out.done()
		}
		r.releaseSeat(s.watching, out.why)
	}()
	if s.watching {
		if v, ok := r.value.(UnwatchHandler); ok {
			p.call("OnUnwatch", func() { v.OnUnwatch(p, out.why) })
		}
		return
	}
	if v, ok := r.value.(LeaveHandler); ok {
		p.call("OnLeave", func() { v.OnLeave(p, out.why) })
	}
}

// join decides on a wish: OnJoin, or OnWatch.
func (s *seat) join(p *Player, j *job) {
	r := s.room
	err := error(session.ErrClosed)
	returns := !s.watching && r.returned(p)
	defer func() { s.joined(p, returns, err) }()
	if j.refused {
		if returns {
			r.missed(&absentee{user: p.user}, p.endReason())
		}
		return
	}
	if err = r.born.err; err != nil {
		return
	}
	if r.ended() != nil {
		err = refusal(codec.ErrorRefused, "the room is closed")
		return
	}
	if s.refused != nil {
		if err = s.refused(); err != nil {
			return
		}
	}
	if returns {
		err = nil
		r.add(&r.members, p)
		if v, ok := r.value.(ReturnHandler); ok {
			p.call("OnReturn", func() { v.OnReturn(p) })
		}
		return
	}
	p.tellOut(s.came, "its seat was lost on the way")    // before what OnJoin sends
	err = refusal(codec.ErrorInternal, "internal error") // of an OnJoin that panics
	said := error(nil)
	if s.watching {
		r.add(&r.watchers, p)
		if v, ok := r.value.(WatchHandler); !ok || p.call("OnWatch", func() { said = v.OnWatch(p); examine(said) }) {
			err = said
		}
		return
	}
	// A member while OnJoin runs, so that it hears its own broadcast.
	if i := slices.Index(r.watchers, p); i >= 0 { // and hears it once
		s.from.remove(p)
		defer func() {
			if err != nil {
				r.watchers = slices.Insert(r.watchers, i, p)
			}
		}()
	}
	r.add(&r.members, p)
	if v, ok := r.value.(JoinHandler); !ok || p.call("OnJoin", func() { said = v.OnJoin(p); examine(said) }) {
		err = said
	}
}

// joined takes note of what became of a player's way into the room. A client whose seat goes
// on is told nothing.
func (s *seat) joined(p *Player, returns bool, err error) {
	r := s.room
	p.mu.Lock()
	goesOn := returns && s.came != nil && s.came.Member
	s.came = nil
	if err == nil {
		s.life.Joined()
		p.extra.dropPutOff(s.kind.name)
		if from := s.from; from != nil {
			if from.life.In() {
				from.leave(Reason{Code: RoomMoved}, nil)
			}
			from.out.rises = from.room == r
		}
	} else {
		p.seats.remove(s)
	}
	s.from = nil
	done := s.done
	s.done = nil
	p.mu.Unlock()
	if err != nil {
		r.kind.joinsRefused.Add(1)
		s.remove(p)
		r.releaseSeat(s.watching, Reason{})
	} else {
		p.roomHeartbeat(r.kind)
		if !goesOn {
			_ = p.Push(RouteJoined, &seatNews{r.kind.name, r.Key(), s.watching})
		}
		if r.move != nil { // it has just begun to
			r.takeAlong(p)
		}
	}
	done(r.Key(), err)
}

func (r *Room) add(list *[]*Player, p *Player) {
	*list = append(*list, p)
	r.everybody = nil
}

// remove takes the player off the list of its room.
func (s *seat) remove(p *Player) {
	r := s.room
	list := &r.members
	if s.watching {
		list = &r.watchers
	}
	*list = slices.DeleteFunc(*list, func(other *Player) bool { return other == p })
	r.everybody = nil
}

// audience are the members and the spectators. The slice is the room's.
func (r *Room) audience() []*Player {
	if len(r.watchers) == 0 {
		return r.members
	}
	if r.everybody == nil {
		r.everybody = slices.Concat(r.members, r.watchers)
	}
	return r.everybody
}

// --- what clients are told

// What the server tells clients of their rooms: codec/SPEC 6.4.
const (
	// RouteJoined tells [type, key, watching]: the player is in.
	RouteJoined = "room.joined"
	// RouteLeft tells [type, key, code, text]: the player has left, and why.
	RouteLeft = "room.left"
	// RouteRooms tells [[type, key, watching], ...]: all that the player is in. It comes
	// after a RESET, before any snapshot.
	RouteRooms = "room.all"
)

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

// tellLeft tells the client that it is out of a room, without the text if that is too much.
func (p *Player) tellLeft(n leaveNews) {
	if p.Push(RouteLeft, &n) == codec.ErrTooLarge {
		n.Text = ""
		_ = p.Push(RouteLeft, &n)
	}
}

// tellOut tells the client that it is out of a room that did not go on with it, if it takes
// itself for a member. j is what has come with the session, or nil.
func (p *Player) tellOut(j *joining, text string) {
	if j == nil {
		return
	}
	p.mu.Lock()
	tell := j.Member
	j.Member = false
	p.mu.Unlock()
	if tell {
		p.tellLeft(leaveNews{j.Type, j.Key, session.Moved, short(text)})
	}
}

// tellRooms tells all the rooms that the player is in: what was told before may be
// lost.
func (p *Player) tellRooms() {
	if len(p.srv.kinds) == 0 {
		return
	}
	all := []seatNews{}
	p.mu.Lock()
	for s := range p.seats.all() {
		if !s.life.Joining() {
			all = append(all, seatNews{s.kind.name, s.key(), s.watching})
		} else if s.came != nil {
			s.came.Member = false // by this its client knows
		}
	}
	if p.extra != nil {
		for _, j := range p.extra.putOff {
			j.Member = false
		}
	}
	p.mu.Unlock()
	n := len(all)
	for p.Push(RouteRooms, all[:n]) == codec.ErrTooLarge && n > 0 {
		n--
	}
	for i := range all[n:] { // what found no room
		_ = p.Push(RouteJoined, &all[n+i])
	}
}

// roomHeartbeat applies the profile of a room of type k that p has entered or left:
// of all its rooms that which finds a dead link soonest.
func (p *Player) roomHeartbeat(k *roomKind) {
	if k.heartbeat == nil {
		return
	}
	f := HeartbeatProfile{p.srv.cfg.Session.Interval, p.srv.cfg.Session.Timeout}
	p.mu.Lock()
	own := false
	for s := range p.seats.all() {
		if h := s.kind.heartbeat; h != nil && s.life.In() && (!own || h.Timeout < f.Timeout) {
			f, own = *h, true
		}
	}
	p.mu.Unlock()
	_ = p.SetHeartbeat(f) // all were checked at start
}
