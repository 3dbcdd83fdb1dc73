// SPDX-License-Identifier: MIT

package framework

import (
	"errors"
	"net/netip"
	"time"

	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// Observer is told what Stats counts, with the player concerned, as it happens: for
// traces and for systems of metrics that want to be pushed. Each function may be
// nil and costs nothing then.
//
// Where a function runs is said with it. On an event loop and in a room it keeps
// others waiting: it must not block, nor take longer than to note what it was
// told. Several may run at once, but those that an event loop calls about one
// session come in order: Opened first, Closed last. A panic is treated as one of
// a hook that serves no player in particular (see Config.OnPanic). runtime.Goexit, as t.FailNow
// calls it, ends the process where an event loop calls the function.
type Observer struct {
	// Opened: a session begins here, or arrives from another server. On its
	// event loop, before OnOpen.
	Opened func(p *Player, arrived bool)
	// Lost: a session has lost its link, for a reason as in Stats.Lost. On its
	// event loop, before OnDetach.
	Lost func(p *Player, reason string)
	// Resumed: another link carries the session on; reset tells that messages to
	// the player were given up. On the event loop of the new link, before OnResume.
	Resumed func(p *Player, reset bool)
	// Closed: a session has ended here. On its event loop, before OnClose unless
	// it moved to another server.
	Closed func(p *Player, why Reason)
	// Refused: a HELLO or RESUME was answered with no. from is the zero address if
	// its link is gone. On that link's event loop.
	Refused func(from netip.AddrPort, carrier Carrier, why Reason)
	// Handled: a handler has returned, or panicked, with what was put around it
	// by Use. err is what it returned. It runs where the handler did: on a worker,
	// in the room, or for an Inline one on the event loop.
	Handled func(p *Player, route string, took time.Duration, err error)
	// InlineLate: an Inline handler kept its event loop too long. On that loop.
	InlineLate func(route string, took time.Duration)
	// TickLate: a tick came more than half a step late, or steps before it were
	// left out. room is type/key. On the room's goroutine, before OnTick.
	TickLate func(room string, t Tick, skipped uint64)
	// Dropped: n messages of a route were dropped from what waited for a player,
	// see Delivery. On the goroutine that sends, or on the session's event loop.
	Dropped func(p *Player, route string, n int)
	// Overflowed: all that waited for a player was dropped; overBudget tells that
	// Config.BufferBytes was the reason. On the session's event loop.
	Overflowed func(p *Player, overBudget bool)
}

// errPanicked is what Observer.Handled is told of a handler that panicked.
var errPanicked = errors.New("framework: the handler panicked")

// observe calls a function of the Observer. None of them ends a session.
func (s *Server) observe(which string, f func()) {
	returned := false
	defer func() {
		if v := unwinding(returned, recover()); v != nil {
			s.panicked(nil, "Observer."+which, v)
		}
	}()
	f()
	returned = true
}

// observeOnLoop is observe for a function that an event loop calls. Nothing can keep the
// goroutine of a loop that is ended: see loop.call.
func (s *Server) observeOnLoop(which string, f func()) {
	returned := false
	defer func() {
		if !returned {
			go panic("framework: Observer." + which + ": " + errGoexit.Error())
		}
	}()
	s.observe(which, f)
	returned = true
}

// lost counts a link that a session has lost.
func (s *Server) lost(p *Player, how loss) {
	s.count.lost[how].Add(1)
	s.observeLost(p, lossNames[how])
}

func (s *Server) observeLost(p *Player, reason string) {
	if f := s.cfg.Observer.Lost; f != nil {
		s.observeOnLoop("Lost", func() { f(p, reason) })
	}
}

func (s *Server) observeOpened(p *Player, arrived bool) {
	if f := s.cfg.Observer.Opened; f != nil {
		s.observeOnLoop("Opened", func() { f(p, arrived) })
	}
}

func (s *Server) observeClosed(p *Player, why Reason) {
	if f := s.cfg.Observer.Closed; f != nil {
		s.observeOnLoop("Closed", func() { f(p, why) })
	}
}

func (s *Server) observeRefused(o *opening, why *session.CloseError) {
	f := s.cfg.Observer.Refused
	if f == nil {
		return
	}
	var from netip.AddrPort
	var carrier transport.Carrier
	if k := o.link; k != nil {
		from, carrier = k.RemoteAddr(), k.Carrier()
	}
	s.observeOnLoop("Refused", func() { f(from, carrier, Reason{Code: why.Code, Text: why.Text, Detail: why.Detail}) })
}

// dropped counts messages of a route that were left out of what waits for p,
// whose mu is not held.
func (s *Server) dropped(p *Player, r *Route, n int) {
	s.count.dropped.Add(uint64(n))
	if f := s.cfg.Observer.Dropped; f != nil {
		s.observe("Dropped", func() { f(p, r.name, n) })
	}
}

// observed runs a handler under the Observer's eyes.
func (r *Route) observed(p *Player, handle func() ([]byte, error)) (out []byte, err error) {
	start := clock()
	err = errPanicked
	defer func() {
		took, err := clock().Sub(start), err
		if err == errLater {
			err = nil
		}
		p.srv.observe("Handled", func() { p.srv.cfg.Observer.Handled(p, r.name, took, err) })
	}()
	return handle()
}
