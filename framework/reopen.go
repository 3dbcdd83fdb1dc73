// SPDX-License-Identifier: MIT

package framework

import (
	"bytes"
	"context"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/logs"
	"github.com/lifeline-go/lifeline/session"
)

// Sessions whose server is dead, and that are reopened here without a login:
// session/SPEC 6.8.

// loginNote is what the directory keeps of a login for the server that may have to reopen
// its session: what a RESUME does not tell. Fields are only ever appended.
type loginNote struct {
	Routes []byte // hash of the dictionary that the client goes by; nil: by names
	Sealed bool   // it came on a sealed link
}

// loginNote returns what the directory keeps of a login.
func (s *Server) loginNote(at *login) []byte {
	s.mu.Lock()
	n := loginNote{Sealed: at.o.sealed}
	if at.o.numbers {
		n.Routes = s.dict.hash
	}
	s.mu.Unlock()
	b, err := codec.AppendBody(nil, &n)
	if err != nil { // bytes and flags always go
		return nil
	}
	return b
}

// hasRoutes reports whether a session can go on here. Its client goes by the dictionary
// with that hash, or by names if it is nil.
func (s *Server) hasRoutes(hash []byte) bool { return hash == nil || bytes.Equal(hash, s.dict.hash) }

// orphan returns what makes the record of a session whose server is dead, of its client's
// RESUME. It is nil if the session can't be reopened: the game does not, or the client
// would send again what was handled.
func (s *Server) orphan(r *session.ResumeRequest) func(user string, login []byte) []byte {
	if s.cfg.Reopen == nil || !r.Fresh && r.Can&session.CanRestart == 0 {
		return nil
	}
	return func(user string, login []byte) []byte {
		var n loginNote
		if codec.DecodeBody(login, &n) != nil || !s.hasRoutes(n.Routes) {
			return nil // no note, or of a server with other routes
		}
		rec := session.Orphan(r)
		rec.User, rec.Routes, rec.Sealed = user, n.Routes, n.Sealed
		return rec.Append(nil)
	}
}

// arrival is what came of the search for a session that is not here: a record, or why
// there is none. All is zero if no server has it.
type arrival struct {
	rec  *session.Record
	data any // what Config.Reopen has made; it becomes Player.Data
	err  error

	claimed bool // by a login, and given back if that is refused
}

// search asks the store for a session, and the game, if it has to be reopened.
func (s *Server) search(r *session.ResumeRequest) (at arrival) {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.AuthTimeout)
	defer cancel()
	var b []byte
	if b, at.err = s.take(ctx, r.ID, s.orphan(r)); b == nil || at.err != nil {
		return at
	}
	rec, err := session.ParseRecord(b)
	if err != nil || rec.ID != r.ID || !s.hasRoutes(rec.Routes) {
		if err == nil && rec.ID == r.ID {
			s.log.Info("session not restored: its server had other routes, so its client logs in", "session", r.ID, "user", logs.Label(rec.User))
		} else {
			s.log.Error("session not restored: no record of it", "session", r.ID, "error", err)
		}
		s.releaseID(r.ID)
		at.err = &session.CloseError{Code: session.Unknown}
		return at
	}
	if at.rec = rec; !rec.Orphan {
		return at
	}
	if at.data, err = s.reopen(ctx, rec.User); err == nil {
		return at
	}
	why := s.loginRefusal(err, rec.User)
	if why.Code.Final() {
		s.releaseID(r.ID)
	} else { // it is asked again when the client comes again
		s.putBack(rec)
	}
	return arrival{err: why}
}

// reopen runs the game's hook, on a goroutine that it may end.
func (s *Server) reopen(ctx context.Context, user string) (data any, err error) {
	err = errPanicked
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		err = s.ask("Reopen", func() (err error) {
			data, err = s.cfg.Reopen(ctx, user)
			return err
		})
	}()
	<-returned
	return data, err
}
