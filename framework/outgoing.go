// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"
	"log/slog"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/mailbox"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// outgoing is a message on its way out, to one player or to many. Its payload is
// encoded once. Owned by the function that sends it.
type outgoing struct {
	to      *Route // nil: not in the dictionary
	name    codec.Route
	scratch *mailbox.Message // the payload stands in its body
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
	l.scratch = mailbox.NewMessage()
	payload, err := codec.AppendBody(l.scratch.Body[:0], v)
	if err == nil && len(payload)+len(route)+envelope(route) > s.cfg.Session.MaxBody {
		err = codec.ErrTooLarge // by its name, also for clients that go by numbers
	}
	if err != nil {
		l.free()
		return outgoing{}, err
	}
	l.scratch.Body = payload
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

// message returns a MESSAGE on its route, without a body yet.
func (l *outgoing) message() *mailbox.Message {
	m := mailbox.NewMessage()
	m.Kind = codec.Message
	if l.to != nil {
		m.Tag, m.Droppable = l.to.tag(), l.to.delivery != DeliverAll
	}
	return m
}

func (l *outgoing) free() { l.scratch.Free() }

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
		payload := l.scratch.Body
		l.bodies[i] = codec.AppendMessage(make([]byte, 0, len(payload)+len(l.name.Name())+3), l.route(numbered), payload)
	}
	return l.bodies[i]
}

// Push sends a one-way message. It is delivered exactly once and in order, now
// or after the player has come back, as long as the session lives (see Kick for
// its end). The error is ErrClosed, a *OverflowError if more waits than
// may, or what made v impossible to encode. What is much is better sent by PushAll.
func (p *Player) Push(route string, v any) error {
	e, err := p.push(route, v)
	if err != nil {
		return err
	}
	return p.enqueued(e, true)
}

// PushThen is Push for a caller that holds a lock, which Observer.Dropped might want: then
// tells it what was dropped, and is to be called once the lock is released.
func (p *Player) PushThen(route string, v any) (then func(), err error) {
	e, err := p.push(route, v)
	if err != nil {
		return func() {}, err
	}
	if e.wake {
		p.wakeLoop()
	}
	if e.dropped.Len() == 0 {
		return func() {}, e.err
	}
	return func() { _ = p.enqueued(e, false) }, e.err
}

// push is Push but for what enqueued does.
func (p *Player) push(route string, v any) (e enqueueing, err error) {
	l, err := p.srv.encodeSent(route, v)
	if err != nil {
		return e, err
	}
	defer l.free()
	m := l.message()
	p.mu.Lock()
	defer p.mu.Unlock()
	m.Body = codec.AppendMessage(m.Body[:0], l.route(p.numbers), l.scratch.Body)
	return p.enqueueLocked(m), nil
}

// enqueue hands m to the player's session, wherever that is.
func (p *Player) enqueue(m *mailbox.Message) error {
	p.mu.Lock()
	e := p.enqueueLocked(m)
	p.mu.Unlock()
	return p.enqueued(e, true)
}

// enqueueing is what enqueueLocked leaves to do once mu is released.
type enqueueing struct {
	dropped mailbox.Queue // to be counted and freed
	wake    bool          // the loop has to look
	err     error
}

// enqueueLocked queues m for the player's loop, or refuses and frees it. The caller
// holds mu, and calls enqueued once it has released it.
func (p *Player) enqueueLocked(m *mailbox.Message) (e enqueueing) {
	if p.life.Ending() && !p.moving {
		m.Free()
		e.err = session.ErrClosed
		return e
	}
	if p.extra != nil && p.extra.over.Over() {
		m.Free()
		e.err = p.overflowErrorLocked(p.queuedLocked())
		return e
	}
	packets, bytes := p.queuedLocked()
	e.dropped, e.wake = p.out.Put(m, &p.srv.outbox, !p.life.Attached()), true
	if p.out.Fate() != mailbox.Kept {
		e.err = p.overflowErrorLocked(packets, bytes)
	}
	return e
}

// enqueued ends what enqueueLocked began, without mu. If wake is false the caller
// wakes the loop.
func (p *Player) enqueued(e enqueueing, wake bool) error {
	for m := e.dropped.Pop(); m != nil; m = e.dropped.Pop() {
		p.srv.dropped(p, p.srv.tagged(m.Tag), 1)
		m.Free()
	}
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
		by.charge(int64(len(l.scratch.Body)) * int64(len(players)-1))
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
	m := l.message()
	p.mu.Lock()
	m.Shared = l.body(p.numbers)
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

func (p *Player) queuedLocked() (packets, bytes int) {
	q := p.queued.Load()
	return p.out.Len() + int(q>>32), p.out.Size() + int(uint32(q))
}

// publishQueued takes note of what waits in the session. Called on the owning loop.
func (p *Player) publishQueued() {
	packets, bytes := p.s.Queued()
	if q := uint64(packets)<<32 | uint64(bytes); q != p.queued.Load() {
		p.queued.Store(q)
	}
}

// overflowErrorLocked is what Push returns once all is given up.
func (p *Player) overflowErrorLocked(packets, bytes int) error {
	cfg := &p.srv.cfg.Session
	return &OverflowError{packets, bytes, cfg.SendPackets, cfg.SendBytes}
}

// overflowed cuts the link of a player that did not read what was sent to it, or
// was sent too much at once: it comes back to a RESET, or too often and then not
// at all.
func (l *loop) overflowed(p *Player, overBudget bool) {
	l.srv.count.overflows.Add(1)
	if overBudget {
		l.srv.count.overBudget.Add(1)
	}
	if f := l.srv.cfg.Observer.Overflowed; f != nil {
		l.srv.observeOnLoop("Overflowed", func() { f(p, overBudget) })
	}
	p.mu.Lock()
	p.extraLocked().over.Note(l.t.Now(), l.srv.cfg.Session.Grace)
	p.mu.Unlock()
	text := "outgoing buffer overflowed"
	if p.link != nil && !overBudget {
		text = "outgoing buffer overflowed: more was sent at once than may wait (see PushAll), or the client reads too slowly"
	}
	p.logLimited(slog.LevelWarn, text, "over_budget", overBudget, "limit", l.srv.cfg.Session.SendBytes)
	if p.migrating() {
		return // the next server's RESET says so
	}
	if p.s.Spent() {
		l.end(p, Reason{Code: session.Overflow})
		return
	}
	l.cut(p, session.SlowReader)
}

// forward hands a message that was collected to the session, or to the link's
// unreliable channel.
func (l *loop) forward(p *Player, m *mailbox.Message) {
	if !m.Droppable {
		l.send(p, m.Kind, m.Content(), m.Shared != nil)
		return
	}
	r, before := l.srv.tagged(m.Tag), p.s.Dropped()
	if r.delivery != DeliverNewest || !l.datagram(p, m) {
		// Full, overflowed or closed: left out, as is its kind.
		_ = p.s.Offer(m.Kind, m.Content(), m.Shared != nil, m.Tag, r.delivery == DeliverNewest)
	}
	if n := p.s.Dropped() - before; n > 0 {
		l.srv.dropped(p, r, int(n))
		if p.link != nil { // else it is away, which is what such routes are for
			p.lags(r)
		}
	}
}

// lags logs, once for each session, that messages are left out though the player
// has a link.
func (p *Player) lags(r *Route) {
	p.mu.Lock()
	x := p.extraLocked()
	known := x.lags
	x.lags = true
	p.mu.Unlock()
	if !known {
		p.srv.log.Info("messages dropped: the player does not keep up", "session", p.ID(), "user", p.label(), "route", r.name)
	}
}

// datagram sends a message outside of the stream, if the link can do that and
// the client goes by numbers: a name would not be accepted.
func (l *loop) datagram(p *Player, m *mailbox.Message) bool {
	if p.link == nil || !p.numbers {
		return false
	}
	l.buf = codec.AppendFrame(l.buf[:0], codec.Header{Kind: codec.Datagram, Ack: uint32(p.s.Received())}, m.Content())
	if !p.link.WriteDatagram(l.buf) {
		return false
	}
	for p.s.DropOffered(m.Tag) { // it must not come later than what is newer
	}
	return true
}

// overtaken reports whether a datagram of k with number n is older than one of its
// route that was there before: SPEC 4.10. Carriers without an order of their own
// number it 0.
func (l *loop) overtaken(k *transport.Link, route uint32, n uint64) bool {
	if n == 0 {
		return false
	}
	newest := l.newest[k]
	if newest == nil {
		newest = map[uint32]uint64{}
		l.newest[k] = newest
	}
	if n <= newest[route] {
		return true
	}
	newest[route] = n
	return false
}

// checkSent refuses to send on a route that was not declared, if the server is strict:
// its name may be misspelt.
func (s *Server) checkSent(l *outgoing, route string) error {
	if !s.cfg.Strict || l.to != nil {
		return nil
	}
	err := fmt.Errorf("framework: route %q is sent on and not declared: name it in Server.Sends, or is it misspelt?", route)
	if n, ok := s.undeclared.Allow(clock()); ok {
		s.log.Error("a message is not sent", "route", route, "times", n, "error", err)
	}
	return err
}
