// SPDX-License-Identifier: MIT

package lifecycle

import (
	"fmt"
	"testing"
	"unsafe"
)

// model is a State, with two seats, beside what an ideal game has heard of it. It is
// a node of the graph that TestEveryOrder walks.
type model struct {
	s       State
	message bool // one waits
	slowed  bool
	running Task // its callback has begun and not returned
	at      int  // the seat that it is for
	seats   [2]place

	opened, closed, attached bool // as the server's callbacks said
	owed                     bool // a RESET whose snapshot was not asked for
	untold                   bool // a takeover that OnDetach has to tell
}

// place is a Seat beside what an ideal room has heard of it.
type place struct {
	there            bool // the player has it, or wishes to
	s                Seat
	member, attached bool // as the room's callbacks said
	owed             bool // a RESET whose snapshot was not asked for
	untold           bool // a takeover that OnDetach has to tell
	cause            bool // something has happened that OnDetach may tell
}

// each calls f for the seats that are there.
func (m *model) each(f func(p *place)) {
	for i := range m.seats {
		if m.seats[i].there {
			f(&m.seats[i])
		}
	}
}

// next is what the caller of the package does to find out what is due.
func (m *model) next() (t Task, at int) {
	wish := Nothing
	for i := range m.seats {
		if p := &m.seats[i]; p.there {
			if w := p.s.Wish(&m.s); w.Before(wish) {
				wish, at = w, i
			}
		}
	}
	return m.s.Next(m.message, m.slowed, wish), at
}

// step is an event, or a part of a task. It reports false if it can't happen now.
type step struct {
	name string
	do   func(m *model) (bool, error)
}

func always(f func(m *model)) func(*model) (bool, error) {
	return func(m *model) (bool, error) {
		f(m)
		return true, nil
	}
}

var steps = []step{
	{"other ended", func(m *model) (bool, error) {
		if m.s.waits == 0 {
			return false, nil
		}
		m.s.OtherEnded()
		return true, nil
	}},
	{"attach", func(m *model) (bool, error) {
		if !m.s.Ending() {
			m.s.Attach()
		}
		return !m.s.Ending(), nil
	}},
	{"detach", always(func(m *model) {
		m.s.Detach()
		m.each(func(p *place) { p.cause = true })
	})},
	{"replace", always(func(m *model) {
		m.s.Replace()
		m.untold = m.untold || m.attached
		m.each(func(p *place) {
			p.s.Replace()
			p.untold, p.cause = p.untold || p.member && p.attached, true
		})
	})},
	{"reset", always(func(m *model) {
		m.s.Reset()
		m.owed = true
		m.each(func(p *place) {
			p.s.Reset()
			p.owed, p.cause = p.owed || p.member, true
		})
	})},
	{"end", always(func(m *model) { m.s.End() })},
	{"message", func(m *model) (bool, error) {
		came := !m.message && !m.s.Ending()
		m.message = m.message || came
		return came, nil
	}},
	{"slow", always(func(m *model) { m.slowed = !m.slowed })},
	{"join", func(m *model) (bool, error) { return m.join(0), nil }},
	{"join another", func(m *model) (bool, error) { return m.join(1), nil }},
	{"leave", func(m *model) (bool, error) { return m.leave(0), nil }},
	{"leave the other", func(m *model) (bool, error) { return m.leave(1), nil }},
	{"begin", (*model).begin},
	{"return", func(m *model) (bool, error) { return m.finish(true) }},
	{"refuse", func(m *model) (bool, error) {
		if m.running != JoinRoom {
			return false, nil
		}
		return m.finish(false)
	}},
}

// join wishes for a seat, as planJoinLocked allows it.
func (m *model) join(i int) bool {
	can := !m.s.Ending() && !m.seats[i].there
	m.seats[i].there = m.seats[i].there || can
	return can
}

func (m *model) leave(i int) bool {
	p := &m.seats[i]
	can := p.there && p.s.In()
	if can {
		p.s.Leave()
	}
	return can
}

// begin starts the task that is due, and checks that the game may hear it now.
func (m *model) begin() (bool, error) {
	if m.running != Nothing {
		return false, nil
	}
	t, at := m.next()
	if t == Nothing {
		return false, nil
	}
	m.running, m.at = t, at
	if t >= LeaveRoom {
		return m.beginSeat(t, &m.seats[at])
	}
	snapshot := m.s.Begin(t)
	bad := func(text string) (bool, error) { return true, fmt.Errorf("task %d: %s", t, text) }
	switch {
	case m.closed:
		return bad("after OnClose")
	case !m.opened && t != Open:
		return bad("before OnOpen")
	}
	switch t {
	case Open:
		if m.opened {
			return bad("OnOpen twice")
		}
		if m.s.waits > 0 {
			return bad("before another session has ended")
		}
		m.opened, m.attached = true, true
	case Detach:
		if !m.attached {
			return bad("OnDetach twice")
		}
		m.attached, m.untold = false, false
	case Resume:
		if m.attached {
			return bad("OnResume without OnDetach")
		}
		if snapshot != m.owed {
			return bad(fmt.Sprintf("snapshot %v, owed %v", snapshot, m.owed))
		}
		m.attached, m.owed = true, false
	case Message:
		if m.slowed && !m.s.Ending() {
			return bad("a message of a slowed player")
		}
		m.message = false
	case Close:
		if m.seats[0].there || m.seats[1].there {
			return bad("OnClose of a member")
		}
		if m.message {
			return bad("OnClose before a message")
		}
		m.closed = true
	}
	return true, nil
}

// beginSeat is begin for a task of a seat.
func (m *model) beginSeat(t Task, p *place) (bool, error) {
	bad := func(text string) (bool, error) { return true, fmt.Errorf("task %d: %s", t, text) }
	switch {
	case m.closed:
		return bad("after OnClose")
	case !m.opened:
		return bad("before OnOpen")
	case !p.there:
		return bad("of a seat that is none")
	}
	snapshot := p.s.Begin(t)
	switch t {
	case JoinRoom:
		if p.member {
			return bad("OnJoin of a member")
		}
		p.attached, p.owed, p.untold = true, false, false
		p.cause = !m.s.Attached() // the room takes it for attached
	case LeaveRoom:
		if !p.member {
			return bad("OnLeave without OnJoin")
		}
		*p = place{}
	case RoomDetach:
		if !p.member || !p.attached {
			return bad("OnDetach twice, or outside")
		}
		if !p.cause {
			return bad("OnDetach without a cause")
		}
		p.attached, p.untold, p.cause = false, false, false
	case RoomResume:
		if !p.member || p.attached {
			return bad("OnResume without OnDetach, or outside")
		}
		if p.owed && !snapshot {
			return bad("the room misses a snapshot")
		}
		p.attached, p.owed = true, false
	default:
		return bad("is no task")
	}
	return true, nil
}

// finish lets the running callback return. ok is OnJoin's answer.
func (m *model) finish(ok bool) (bool, error) {
	switch m.running {
	case Nothing:
		return false, nil
	case JoinRoom:
		p := &m.seats[m.at]
		if p.member = ok; ok {
			p.s.Joined()
		} else {
			*p = place{}
		}
	case Close:
		m.s.Close()
	}
	m.running, m.at = Nothing, 0
	return true, nil
}

// settled runs tasks until there is nothing to do, and checks that the game has
// been told what is true.
func (m model) settled() error {
	m.s.waits = 0
	if m.running != Nothing {
		_, _ = m.finish(true)
	}
	for n := 0; ; n++ {
		began, err := m.begin()
		if err != nil {
			return err
		}
		if !began {
			break
		}
		_, _ = m.finish(true)
		if n == 20 {
			return fmt.Errorf("no end of tasks")
		}
	}
	for _, p := range m.seats {
		switch {
		case !p.there:
		case !p.s.In():
			return fmt.Errorf("a wish to join or to leave was not answered")
		case !p.member:
			return fmt.Errorf("in a room that has not let it in")
		case p.attached != m.s.Attached():
			return fmt.Errorf("the room was told attached %v", p.attached)
		case m.attached && p.owed:
			return fmt.Errorf("a room's snapshot is owed")
		case p.untold:
			return fmt.Errorf("a takeover was not told to the room")
		}
	}
	switch {
	case m.closed != m.s.Ending() || m.closed != m.s.Closed():
		return fmt.Errorf("closed %v, ending %v", m.closed, m.s.Ending())
	case m.closed:
		return nil
	case !m.opened:
		return fmt.Errorf("never opened")
	case m.attached != m.s.Attached():
		return fmt.Errorf("the game was told attached %v", m.attached)
	case m.attached && m.owed:
		return fmt.Errorf("a snapshot is owed")
	case m.untold:
		return fmt.Errorf("a takeover was not told")
	case m.message && !m.slowed:
		return fmt.Errorf("a message waits")
	}
	return nil
}

// TestEveryOrder walks every state that any order of events, callbacks and their
// returns leads to. In each it checks that OnOpen comes first and once, OnClose
// last and once, OnDetach and OnResume alternate, OnJoin and OnLeave pair up, and
// that in the end the game has heard what is true.
func TestEveryOrder(t *testing.T) {
	type from struct {
		before model
		step   string
	}
	start := model{}
	start.s.WaitFor(1)
	came := map[model]from{start: {}}
	trace := func(m model) (path string) {
		for m != start {
			f := came[m]
			path, m = f.step+", "+path, f.before
		}
		return path
	}
	todo := []model{start}
	for len(todo) > 0 {
		m := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if err := m.settled(); err != nil {
			t.Fatalf("after %s%+v: %v", trace(m), m, err)
		}
		for _, s := range steps {
			next := m
			can, err := s.do(&next)
			if err != nil {
				t.Fatalf("after %s%s: %v", trace(m), s.name, err)
			}
			if !can {
				continue
			}
			if _, known := came[next]; !known {
				came[next] = from{m, s.name}
				todo = append(todo, next)
			}
		}
	}
	t.Logf("%d states", len(came))
	if len(came) < 1000 {
		t.Errorf("only %d states were reached", len(came))
	}
}

func TestStateIsSmall(t *testing.T) {
	if got := unsafe.Sizeof(State{}); got != 8 {
		t.Errorf("a State takes %d bytes, want 8: every player has one", got)
	}
}
