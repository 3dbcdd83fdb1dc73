// SPDX-License-Identifier: MIT

package lifecycle

import (
	"fmt"
	"testing"
	"unsafe"
)

// model is a State beside what an ideal game has heard of it. It is a node of the
// graph that TestEveryOrder walks.
type model struct {
	s       State
	message bool // one waits
	slowed  bool
	running Task // its callback has begun and not returned

	opened, closed, attached bool // as the server's callbacks said
	member, roomAttached     bool // as the room's callbacks said
	owed, roomOwed           bool // a RESET whose snapshot was not asked for
	untold, roomUntold       bool // a takeover that OnDetach has to tell
	roomCause                bool // something has happened that OnDetach of the room may tell
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
		m.roomCause = true
	})},
	{"replace", always(func(m *model) {
		m.s.Replace()
		m.untold, m.roomUntold, m.roomCause = m.untold || m.attached, m.roomUntold || m.member && m.roomAttached, true
	})},
	{"reset", always(func(m *model) {
		m.s.Reset()
		m.owed, m.roomCause = true, true
		if m.member {
			m.roomOwed = true
		}
	})},
	{"end", always(func(m *model) { m.s.End() })},
	{"message", func(m *model) (bool, error) {
		came := !m.message && !m.s.Ending()
		m.message = m.message || came
		return came, nil
	}},
	{"slow", always(func(m *model) { m.slowed = !m.slowed })},
	{"join", func(m *model) (bool, error) { // as planJoinLocked allows it
		if m.s.Ending() || m.s.has(joining) || m.s.has(inRoom) && !m.s.has(leaving) {
			return false, nil
		}
		m.s.Join()
		return true, nil
	}},
	{"leave", func(m *model) (bool, error) {
		if !m.s.has(inRoom) || m.s.has(leaving) {
			return false, nil
		}
		m.s.Leave()
		return true, nil
	}},
	{"begin", (*model).begin},
	{"return", func(m *model) (bool, error) { return m.finish(true) }},
	{"refuse", func(m *model) (bool, error) {
		if m.running != JoinRoom {
			return false, nil
		}
		return m.finish(false)
	}},
}

// begin starts the task that is due, and checks that the game may hear it now.
func (m *model) begin() (bool, error) {
	if m.running != Nothing {
		return false, nil
	}
	t := m.s.Next(m.message, m.slowed)
	if t == Nothing {
		return false, nil
	}
	snapshot := m.s.Begin(t)
	m.running = t
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
	case JoinRoom:
		if m.member {
			return bad("OnJoin of a member")
		}
		m.roomAttached, m.roomOwed, m.roomUntold = true, false, false
		m.roomCause = !m.s.Attached() // the room takes it for attached
	case LeaveRoom:
		if !m.member {
			return bad("OnLeave without OnJoin")
		}
		m.member, m.roomOwed, m.roomUntold = false, false, false
	case RoomDetach:
		if !m.member || !m.roomAttached {
			return bad("OnDetach twice, or outside")
		}
		if !m.roomCause {
			return bad("OnDetach without a cause")
		}
		m.roomAttached, m.roomUntold, m.roomCause = false, false, false
	case RoomResume:
		if !m.member || m.roomAttached {
			return bad("OnResume without OnDetach, or outside")
		}
		if m.roomOwed && !snapshot {
			return bad("the room misses a snapshot")
		}
		m.roomAttached, m.roomOwed = true, false
	case Close:
		if m.member {
			return bad("OnClose of a member")
		}
		if m.message {
			return bad("OnClose before a message")
		}
		m.closed = true
	}
	return true, nil
}

// finish lets the running callback return. ok is OnJoin's answer.
func (m *model) finish(ok bool) (bool, error) {
	switch m.running {
	case Nothing:
		return false, nil
	case JoinRoom:
		m.s.Joined(ok)
		m.member = ok
	case Close:
		m.s.Close()
	}
	m.running = Nothing
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
	switch {
	case m.s.has(joining | leaving):
		return fmt.Errorf("a wish to join or to leave was not answered")
	case m.closed != m.s.Ending() || m.closed != m.s.Closed():
		return fmt.Errorf("closed %v, ending %v", m.closed, m.s.Ending())
	case m.closed:
		return nil
	case !m.opened:
		return fmt.Errorf("never opened")
	case m.attached != m.s.Attached():
		return fmt.Errorf("the game was told attached %v", m.attached)
	case m.member != m.s.has(inRoom):
		return fmt.Errorf("member %v", m.member)
	case m.member && m.roomAttached != m.s.Attached():
		return fmt.Errorf("the room was told attached %v", m.roomAttached)
	case m.attached && (m.owed || m.member && m.roomOwed):
		return fmt.Errorf("a snapshot is owed")
	case m.untold || m.member && m.roomUntold:
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
