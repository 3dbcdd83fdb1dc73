// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/logs"
	"github.com/lifeline-go/lifeline/session"
)

// A login that Authenticate has let in is admitted by the policy for users that have
// a session already, and by the bounds of the server.

// admission is what was decided on a login under Server.mu, for its loop to do.
type admission struct {
	full  full      // why it is refused for a time
	adopt *Player   // whose session it takes over
	olds  []*Player // sessions that must end before this one opens

	// unsure are sessions that keep the login out if they are present. That is under
	// their own locks, so it must be found out before the login can be decided.
	unsure []*Player
}

// admit opens the session of a login, or refuses it.
func (l *loop) admit(at *login) {
	s := l.srv
	p := &Player{srv: s, Data: at.who.Data, user: at.who.User, hello: &at.key, numbers: at.o.numbers, sealed: at.o.sealed}
	var a admission
	for {
		absent := a.unsure
		s.mu.Lock()
		a = l.admitLocked(p, at.id, at, absent)
		s.mu.Unlock()
		if len(a.unsure) == 0 {
			break
		}
		if slices.ContainsFunc(a.unsure, (*Player).present) {
			s.releaseID(at.id)
			l.refuse(at.o, &session.CloseError{Code: session.AlreadyIn})
			return
		}
	}
	switch {
	case a.full != notFull:
		s.count.full[a.full].Add(1)
		s.releaseID(at.id)
		l.refuse(at.o, s.notLetIn(a.full))
		return
	case a.adopt != nil:
		l.handOff(&handoff{p: a.adopt, kind: adopted, key: at.key, id: at.id, l: l, o: at.o})
		return
	}
	s.opened(at.id)
	s.count.opened.Add(1)
	s.observeOpened(p, false)
	for _, old := range a.olds {
		old.Kick(session.TakenOver, "") // or it has ended already
		p.waitForEndOf(old)
	}
	l.attach(p, at.o, l.welcome(p, at.o))
}

// admitLocked decides on a login, and makes p its session if that opens. absent are
// sessions of its user that are known not to be present. The caller holds s.mu.
func (l *loop) admitLocked(p *Player, id session.ID, at *login, absent []*Player) admission {
	s, user := l.srv, at.who.User
	var olds []*Player
	if s.cfg.Duplicate != DuplicateAllow { // else there may be any number of them
		olds = s.table.User(user)
	}
	unknown := func(p *Player) bool { return !slices.Contains(absent, p) }
	switch {
	case s.cfg.Duplicate == DuplicateReject && slices.ContainsFunc(olds, unknown):
		return admission{full: notFull, unsure: olds}
	case s.draining && at.adopted == nil: // Shutdown has counted the sessions
		return admission{full: fullDraining}
	case len(olds) > 0 && s.cfg.Duplicate == DuplicateAdopt:
		return admission{full: notFull, adopt: olds[len(olds)-1]}
	case s.cfg.Duplicate == DuplicateAllow && user != "" && s.cfg.SessionsPerUser > 0 && len(s.table.User(user)) >= s.cfg.SessionsPerUser:
		return admission{full: fullUser}
	case s.atAddressLimitLocked(at.o.origin): // others came meanwhile
		return admission{full: fullAddress}
	}
	s.joinOriginLocked(p, at.o.origin)
	olds = append(olds, s.awaitClose[user]...)
	p.life.WaitFor(len(olds)) // before it can be found
	p.s.Open(&l.shard, id, l.t.Now())
	p.timer = l.wheel.Add(p, p.s.Due())
	p.owner.Store(l)
	s.table.Put(id, user, p)
	s.table.SetOpening(at.key, p)
	s.closed.Add(1)
	return admission{full: notFull, olds: olds}
}

// fullLocked returns why no login is let in at present. The caller holds s.mu.
func (s *Server) fullLocked(o *opening) full {
	switch {
	case s.draining:
		return fullDraining
	case s.maintained.Load() != nil:
		return fullMaintenance
	case s.table.Len()+len(s.logins)+len(s.arriving) >= s.cfg.MaxSessions:
		return fullSessions
	case s.atAddressLimitLocked(o.origin):
		return fullAddress
	}
	return notFull
}

// present reports whether the player has a link, or has just logged in.
func (p *Player) present() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.life.Ending() && (p.life.Attached() || !p.life.Opened())
}

// awaitCloseLocked keeps a session that is closed in sight of its user's next one
// until OnClose has returned. The caller holds s.mu.
func (s *Server) awaitCloseLocked(p *Player) {
	if p.user != "" && s.cfg.Duplicate != DuplicateAllow {
		s.awaitClose[p.user] = append(s.awaitClose[p.user], p)
	}
}

// closeReturned ends what awaitCloseLocked began.
func (s *Server) closeReturned(p *Player) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.awaitClose[p.user]
	if i := slices.Index(list, p); i >= 0 && len(list) > 1 {
		s.awaitClose[p.user] = slices.Delete(list, i, i+1)
	} else if i >= 0 {
		delete(s.awaitClose, p.user)
	}
}

// waitForEndOf makes p, which counts on it, wait until old has ended.
func (p *Player) waitForEndOf(old *Player) {
	old.mu.Lock()
	ended := old.life.Closed()
	if !ended {
		x := old.extraLocked()
		x.followers = append(x.followers, p)
	}
	old.mu.Unlock()
	if ended {
		p.mu.Lock()
		p.life.OtherEnded()
		p.mu.Unlock()
	}
}

// maintenance is what logins are told meanwhile.
type maintenance struct {
	text  string
	after time.Duration
}

// Maintenance keeps all logins out from now on: they are told the text, which is for
// people, and to come back after so long, as by Later. Sessions that live go on. An
// empty text lets logins in again. Safe to call from any goroutine, before Start too.
func (s *Server) Maintenance(text string, after time.Duration) {
	if text == "" {
		s.maintained.Store(nil)
		return
	}
	if after <= 0 {
		after = busyRetry
	}
	s.maintained.Store(&maintenance{text, after})
}

// turnedAway is what a login is told that is refused before Authenticate has seen its ticket. A
// server of a cluster that drains sends it to another one: else its client would come here again
// and again.
func (s *Server) turnedAway(why full) *session.CloseError {
	if why == fullDraining && s.cfg.Cluster != nil {
		id, _ := s.newID("") // so that players spread
		if to, _ := s.elsewhere(id); to != "" {
			return &session.CloseError{Code: session.Moved, Text: to}
		}
	}
	return s.notLetIn(why)
}

// notLetIn is what a login is told that is refused for a time.
func (s *Server) notLetIn(why full) *session.CloseError {
	switch m := s.maintained.Load(); {
	case why == fullMaintenance && m != nil:
		return busyFor(m.after, m.text)
	case why == fullDraining && s.cfg.Drain.Text != "":
		return busy(s.cfg.Drain.Text)
	}
	return busy(fullTexts[why])
}

// outdated refuses an app that is older than Config.MinVersion.
func (s *Server) outdated(info string) *session.CloseError {
	if s.minVersion == nil {
		return nil
	}
	if v := appVersion(info); v != nil && slices.Compare(v, s.minVersion) >= 0 {
		return nil
	}
	return &session.CloseError{Code: session.Outdated, Text: s.cfg.UpdateURL}
}

// loginRefusal is what a client is told when its login ended with an error. Only what
// the game said by Fail or a CloseError is final: a mistake of the game, or a service
// that is down, throws no player out. A CloseError that says Remote is of another
// session, as of a client that the game uses itself.
func (s *Server) loginRefusal(err error, user string) *session.CloseError {
	var no *codec.Error
	var end *session.CloseError
	var wait *later
	var claim errClaim
	switch {
	case errors.As(err, &claim):
		return claim.why
	case errors.As(err, &end) && !end.Remote && end.Code >= session.Game:
		return Reason{Code: end.Code, Text: end.Text, Detail: end.Detail}.closeError()
	case errors.As(err, &no):
		code := session.Code(no.Code)
		if code < session.Game { // not by Fail
			code = session.Denied
		}
		return &session.CloseError{Code: code, Text: no.Text}
	case errors.As(err, &wait):
		s.count.full[fullLater].Add(1)
		return busyFor(wait.after, wait.text)
	case errors.Is(err, context.DeadlineExceeded):
		if n, ok := s.slowLogins.Allow(clock()); ok {
			s.log.Warn("login not decided in time", "user", logs.Label(user), "times", n, "error", err)
		}
	case !errors.Is(err, errPanicked): // which is logged already
		if n, ok := s.failedLogins.Allow(clock()); ok {
			s.log.Error("login failed", "user", logs.Label(user), "times", n, "error", err)
		}
	}
	s.count.full[fullUndecided].Add(1)
	return busy("the login could not be decided")
}
