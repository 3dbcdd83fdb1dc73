// SPDX-License-Identifier: MIT

package framework

import (
	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// outgoing is a message on its way out, to one player or to many. Its payload is
// encoded once. Owned by the function that sends it.
type outgoing struct {
	to      *Route // nil: not in the dictionary
	name    codec.Route
	scratch *message // the payload stands in its body
	bodies  [2][]byte
}

// encode encodes v for a route. The caller frees what is returned.
func (s *Server) encode(route string, v any) (outgoing, error) {
	l := outgoing{to: s.routes[route]}
	if l.to != nil {
		l.name = l.to.named
	} else if l.name = codec.NamedRoute(route); !l.name.Valid() {
		return outgoing{}, codec.ErrRoute
	}
	l.scratch = newMessage()
	payload, err := codec.AppendBody(l.scratch.body[:0], v)
	if err == nil && len(payload)+len(route)+envelope(route) > s.cfg.Session.MaxBody {
		err = codec.ErrTooLarge // by its name, also for clients that go by numbers
	}
	if err != nil {
		l.free()
		return outgoing{}, err
	}
	l.scratch.body = payload
	return l, nil
}

// encodeSent is encode for a one-way message: see Config.Strict.
func (s *Server) encodeSent(route string, v any) (outgoing, error) {
	l, err := s.encode(route, v)
	if err == nil {
		if err = s.checkSent(&l, route); err != nil {
			l.free()
		}
	}
	return l, err
}

// envelope is what a MESSAGE takes beside its payload and the route's name: the
// heads of the array and of the name.
func envelope(route string) int {
	if len(route) <= 31 {
		return 2
	}
	return 3
}

func (l *outgoing) free() { l.scratch.free() }

// route is how the route is written for a player.
func (l *outgoing) route(numbered bool) codec.Route {
	if numbered && l.to != nil {
		return l.to.number
	}
	return l.name
}

// body returns the body of the MESSAGE, which all players with the dictionary, or all
// without it, have in common.
func (l *outgoing) body(numbered bool) []byte {
	i := 0
	if numbered && l.to != nil {
		i = 1
	}
	if l.bodies[i] == nil {
		payload := l.scratch.body
		l.bodies[i] = codec.AppendMessage(make([]byte, 0, len(payload)+len(l.name.Name())+3), l.route(numbered), payload)
	}
	return l.bodies[i]
}

// Push sends a one-way message. It is delivered exactly once and in order, now
// or after the player has come back, as long as the session lives (see Kick for
// its end). The error is ErrClosed, a *OverflowError if more waits than
// may, or what made v impossible to encode. What is much is better sent by PushAll.
func (p *Player) Push(route string, v any) error {
	l, err := p.srv.encodeSent(route, v)
	if err != nil {
		return err
	}
	defer l.free()
	m := newMessage()
	m.kind, m.route = codec.Message, l.to
	p.mu.Lock()
	m.body = codec.AppendMessage(m.body[:0], l.route(p.numbers), l.scratch.body)
	e := p.enqueueLocked(m)
	p.mu.Unlock()
	return p.enqueued(e, true)
}

// enqueue hands m to the player's session, wherever that is.
func (p *Player) enqueue(m *message) error {
	p.mu.Lock()
	e := p.enqueueLocked(m)
	p.mu.Unlock()
	return p.enqueued(e, true)
}

// enqueueing is what enqueueLocked leaves to do once mu is released.
type enqueueing struct {
	dropped queue // to be counted and freed
	wake    bool  // the loop has to look
	err     error
}

// enqueueLocked queues m for the player's loop, or refuses and frees it. The caller
// holds mu, and calls enqueued once it has released it.
func (p *Player) enqueueLocked(m *message) (e enqueueing) {
	if p.life.Ending() && !p.moving {
		m.free()
		e.err = session.ErrClosed
		return e
	}
	if p.extra != nil && p.extra.over.now {
		m.free()
		e.err = p.overflowErrorLocked(p.queuedLocked())
		return e
	}
	packets, bytes := p.out.len(), p.out.size()
	e.dropped, e.wake = p.queueLocked(m), true
	if p.dropped != kept {
		e.err = p.overflowErrorLocked(packets, bytes)
	}
	return e
}

// enqueued ends what enqueueLocked began, without mu. If wake is false the caller
// wakes the loop.
func (p *Player) enqueued(e enqueueing, wake bool) error {
	p.countDropped(&e.dropped)
	if wake && e.wake {
		p.wakeLoop()
	}
	return e.err
}

// Broadcast sends a one-way message to every player. It is encoded once.
// No player is charged for it: see Player.Charge.
func (s *Server) Broadcast(route string, v any) error {
	return s.multicast(s.players(), nil, route, v)
}

// multicast encodes v once, queues it for all players, and wakes each loop once.
// by, if not nil, is charged for it.
func (s *Server) multicast(players []*Player, by *Player, route string, v any) error {
	l, err := s.encodeSent(route, v)
	if err != nil {
		return err
	}
	defer l.free()
	if by != nil && len(players) > 1 { // one copy is as much as it has sent itself
		by.charge(int64(len(l.scratch.body)) * int64(len(players)-1))
	}
	var batches []*wakeBatch // by loop
	for _, p := range players {
		if p.enqueueShared(&l) != nil || p.woken.Swap(true) {
			continue
		}
		if l := p.owner.Load(); l != nil {
			i := l.t.Index()
			for len(batches) <= i {
				batches = append(batches, nil)
			}
			if batches[i] == nil {
				batches[i] = &wakeBatch{l: l}
			}
			batches[i].players = append(batches[i].players, p)
		}
	}
	for _, b := range batches {
		if b != nil {
			_ = b.l.t.Post(b)
		}
	}
	return nil
}

// enqueueShared queues a copy of a message that goes to many. The caller wakes the loop.
func (p *Player) enqueueShared(l *outgoing) error {
	m := newMessage()
	m.kind, m.route = codec.Message, l.to
	p.mu.Lock()
	m.shared = l.body(p.numbers)
	e := p.enqueueLocked(m)
	p.mu.Unlock()
	if p.enqueued(e, false) == session.ErrClosed {
		return session.ErrClosed
	}
	return nil // the loop is woken for an overflow too
}

// wakeBatch wakes the loop for many of its players at once.
type wakeBatch struct {
	l       *loop
	players []*Player
}

// Run implements transport.Task.
func (b *wakeBatch) Run(t *transport.Loop) {
	for _, p := range b.players {
		(*wakeTask)(p).Run(t)
	}
}
