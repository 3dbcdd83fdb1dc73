// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/limit"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// opening is a link that carries no session yet. Owned by the link's loop.
type opening struct {
	link         *transport.Link // nil once it is closed
	nonce        session.Nonce
	origin       netip.Addr // see originOf
	sealed       bool
	deadline     time.Duration
	asked        uint8    // HELLOs and RESUMEs so far
	waiting      bool     // an answer is being made
	late         bool     // deadline was put off, as the loop was late
	numbers      bool     // the client that said HELLO goes by the dictionary
	routesToTell []string // which it must be told, nil if it knows it
}

// over reports that the link is closed, or a session's by now.
func (o *opening) over() bool { return o.link == nil || o.link.Value != any(o) }

// maxAsks bounds what one link may ask before it carries a session: RESUME, once
// more above STALE, HELLO, and some patience.
const maxAsks = 6

// greet speaks the server's first word.
func (l *loop) greet(k *transport.Link, nonce [16]byte) {
	o := &opening{link: k, origin: l.srv.originOf(k.RemoteAddr().Addr()), deadline: l.t.Now() + l.srv.cfg.Session.OpeningTimeout}
	o.nonce, o.sealed = nonce, k.Carrier().Sealed()
	if !o.sealed {
		if _, err := io.ReadFull(l.srv.cfg.Rand, o.nonce[:]); err != nil {
			k.Close(fmt.Errorf("framework: nonce: %w", err))
			return
		}
	}
	k.Value = o
	if len(l.openings) >= l.sweepAt { // so a peer that opens and closes links without end fills nothing
		l.openings = slices.DeleteFunc(l.openings, (*opening).over)
		l.sweepAt = 2*len(l.openings) + 1024
	}
	l.openings = append(l.openings, o)
	if !o.sealed { // else the handshake has said it
		k.Write(session.AppendGreeting(nil, o.nonce))
	}
}

// opened takes a packet from a link that carries no session.
func (l *loop) opened(k *transport.Link, o *opening, pk codec.Packet) {
	if pk.Kind == codec.Heartbeat || pk.Kind == codec.Datagram {
		return // a plain-KCP client knocks; a datagram overtakes the stream
	}
	err := session.ErrKind
	if o.asked++; o.asked <= maxAsks && !o.waiting {
		switch pk.Kind {
		case codec.Hello:
			err = l.hello(k, o, pk)
		case codec.Resume:
			err = l.resume(k, o, pk)
		}
	}
	if err != nil {
		l.srv.count.protocolErrors.Add(1)
		endLink(k, Reason{Code: session.Protocol})
	}
}

// refuse answers a HELLO or RESUME with no. The link may ask again.
func (l *loop) refuse(o *opening, why *session.CloseError) {
	l.srv.count.refusals.add(why.Code)
	l.srv.observeRefused(o, why)
	o.waiting = false
	if k := o.link; !o.over() {
		why.Text = short(why.Text)
		k.Write(session.AppendRefused(nil, why))
	}
}

// login is a HELLO under authentication. Guarded by the server's mu: a
// repeated HELLO puts its own opening in the place of the one before.
type login struct {
	key  session.OpeningKey
	slot limit.AuthSlot
	l    *loop
	o    *opening
	who  Identity
	err  error

	id      session.ID      // of its session
	adopted *session.Record // of another server's session, to be taken over; nil without one, or if one that is here is
}

func (l *loop) hello(k *transport.Link, o *opening, pk codec.Packet) error {
	h, err := session.ParseHello(pk)
	if err != nil {
		return err
	}
	if h.Nonce != o.nonce {
		return session.ErrControl
	}
	if !k.ValidateAddress() {
		return nil
	}
	o.numbers, o.routesToTell = l.srv.dict.agree(h.Routes)
	s, key := l.srv, h.OpeningKey()
	if why := s.refuseHello(h); why != nil {
		l.refuse(o, why)
		return nil
	}
	s.mu.Lock()
	if s.table.RecordAttempt(key, h.Attempt, l.t.Now()) {
		s.mu.Unlock()
		l.refuse(o, &session.CloseError{Code: session.Stale, Detail: h.Attempt})
		return nil
	}
	o.waiting = true
	if p, ok := s.table.Opening(key); ok {
		s.mu.Unlock()
		l.handOff(&handoff{p: p, kind: reopened, l: l, o: o})
		return nil
	}
	if at := s.logins[key]; at != nil {
		first, unanswered := at.l, at.o
		at.l, at.o = l, o // its first link is lost; this one gets the answer
		s.mu.Unlock()
		stale := &session.CloseError{Code: session.Stale, Detail: h.Attempt}
		_ = first.t.Post(onLoop(func() { first.refuse(unanswered, stale) }))
		return nil
	}
	full := s.fullLocked(o)
	at := &login{key: key, l: l, o: o}
	if full == notFull && s.cfg.Authenticate != nil {
		var ok bool
		if at.slot, ok = s.authSlots.Acquire(o.origin); !ok {
			full = fullLogins
		}
	}
	if full == notFull {
		s.logins[key] = at
	} else {
		s.table.ForgetAttempts(key) // no answer is open, and no session came of it
	}
	s.mu.Unlock()
	if full != notFull {
		s.count.full[full].Add(1)
		l.refuse(o, s.turnedAway(full))
		return nil
	}
	if s.cfg.Authenticate == nil && s.cfg.Cluster == nil {
		s.claim(context.Background(), at) // draws its id
		s.authenticated(at)
		return nil
	}
	who := Login{Ticket: h.Ticket, Info: h.Info, Addr: k.RemoteAddr(), Carrier: k.Carrier()}
	go s.authenticate(at, who) // ends when the hook returns
	return nil
}

// refuseHello is why no client that says this is let in, nil if it may be.
func (s *Server) refuseHello(h *session.HelloRequest) *session.CloseError {
	switch {
	case h.Version != session.ProtocolVersion:
		return &session.CloseError{Code: session.Version, Text: fmt.Sprintf("the server speaks version %d", session.ProtocolVersion)}
	case s.outdated(h.Info) != nil:
		return s.outdated(h.Info)
	case !s.mayLetIn():
		id, _ := s.newID("") // so that players spread
		return s.paused(id)
	}
	return nil
}

// overdue gives the place of a hook back that goes on after its time.
func (s *Server) overdue(at *login) {
	s.mu.Lock()
	strays := s.authSlots.Overdue(&at.slot)
	s.mu.Unlock()
	if !strays {
		return
	}
	if n, ok := s.strayLogins.Allow(clock()); ok {
		s.log.Error("Authenticate has not returned in its time: it must heed its context", "times", n)
	}
}

// decidedLocked ends a login. The caller holds s.mu.
func (s *Server) decidedLocked(at *login) {
	delete(s.logins, at.key)
	s.authSlots.Release(&at.slot)
	if at.err != nil {
		s.table.ForgetAttempts(at.key)
	}
}

// authenticate runs the game's hook on a goroutine of its own.
func (s *Server) authenticate(at *login, who Login) {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.AuthTimeout)
	defer cancel()
	late := time.AfterFunc(s.cfg.AuthTimeout*5/4, func() { s.overdue(at) }) // a hook that heeds ctx needs a moment
	defer late.Stop()
	returned := false
	defer func() {
		if v := unwinding(returned, recover()); v != nil {
			s.panicked(nil, "Authenticate", v)
			at.err = errPanicked
		}
		s.authenticated(at)
	}()
	if s.cfg.Authenticate != nil {
		at.who, at.err = s.cfg.Authenticate(ctx, who)
		examine(at.err)
	}
	if at.err == nil {
		s.claim(ctx, at)
	}
	returned = true
}

// authenticated brings the result to the loop whose link waits for it now.
func (s *Server) authenticated(at *login) {
	s.mu.Lock()
	l := at.l
	s.mu.Unlock()
	if l.t.Post(at) != nil { // the server has stopped
		s.mu.Lock()
		s.decidedLocked(at)
		s.mu.Unlock()
		s.releaseID(at.id)
	}
}

// Run implements transport.Task: the game has decided on a login.
func (at *login) Run(t *transport.Loop) {
	l := loopOf(t)
	s := l.srv
	s.mu.Lock()
	if at.l != l { // repeated on another loop meanwhile
		next := at.l
		s.mu.Unlock()
		_ = next.t.Post(at)
		return
	}
	s.decidedLocked(at)
	s.mu.Unlock()
	if at.err != nil {
		l.refuse(at.o, s.loginRefusal(at.err, at.who.User))
		return
	}
	if at.adopted != nil {
		if why := l.restoreToAdopt(at); why != nil {
			s.releaseID(at.id)
			l.refuse(at.o, why)
			return
		}
	}
	l.admit(at)
}

// welcome returns the WELCOME of a session for the link of an opening.
func (l *loop) welcome(p *Player, o *opening) []byte {
	var key session.Key
	if o.sealed {
		key = l.t.ResumeKey(p.s.ID())
	}
	return p.s.AppendWelcome(nil, l.keys.Of(p.s.ID()), key, o.routesToTell)
}

// attach makes the opening's link the player's and writes the answer. If the
// link has gone meanwhile the session waits, detached.
func (l *loop) attach(p *Player, o *opening, answer []byte) {
	k := o.link
	o.link = nil
	if k == nil || k.Value != any(o) {
		l.detach(p)
		return
	}
	k.Value, p.link = p, k
	l.srv.count.attached[k.Carrier()].Add(1)
	k.Write(answer)
	l.wheel.Set(p.timer, p.due(l.t.Now()))
	p.measure()
	p.mu.Lock()
	p.life.Attach()
	p.mu.Unlock()
	p.schedule()
	l.touch(p)
}

func (l *loop) resume(k *transport.Link, o *opening, pk codec.Packet) error {
	r, err := session.ParseResume(pk)
	if err != nil {
		return err
	}
	s := l.srv
	if !l.keys.Verify(r, o.nonce) {
		l.refuse(o, &session.CloseError{Code: session.Unknown})
		return nil
	}
	if !k.ValidateAddress() { // the proof covers the nonce that was sent there
		return nil
	}
	if !s.mayLetIn() {
		l.refuse(o, s.paused(r.ID))
		return nil
	}
	s.mu.Lock()
	p, ok := s.table.Get(r.ID)
	s.mu.Unlock()
	if !ok {
		l.fetchOrRefuse(o, r)
		return nil
	}
	o.waiting = true
	l.handOff(&handoff{p: p, kind: resumed, r: r, l: l, o: o})
	return nil
}

// closeReason is the answer to a valid RESUME of a session that lives no more.
func (s *Server) closeReason(id session.ID, now time.Duration) *session.CloseError {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stone, ok := s.table.Tombstone(id, now); ok {
		return stone.Refusal()
	}
	if address := s.cfg.Peers[id.Node()]; address != "" && id.Node() != s.cfg.Node {
		return &session.CloseError{Code: session.Moved, Text: address}
	}
	return &session.CloseError{Code: session.Unknown}
}
