// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"errors"
	"slices"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/logs"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// Sessions that move to another server, and those that come: session/SPEC 14.
//
// Here such a session ends like any other, only more slowly: its link is fenced,
// what was accepted is handled, what the game sends meanwhile is taken, OnClose
// runs. Then all of it becomes a record in the store, and only when that has it,
// the client is told where to go. Until then its owner is this server, and a
// RESUME is told to come back a moment later.

// migration is what a session that leaves carries. Its loop owns it, except app.
type migration struct {
	link    *transport.Link // fenced, waits for the goodbye; nil without one
	address string
	app     []byte // made by Config.Pack, before the loop reads it
}

// ErrNoStore refuses to move a player of a server without Config.Store.
var ErrNoStore = errors.New("framework: neither Config.Store nor Config.Cluster is set")

// Move hands the player over to the servers that share Config.Store, and sends
// its client to one of them. address is what its client dials: one or more URLs
// with blanks between (session/SPEC 8.9), or empty for any that it knows.
//
// Nothing is lost and nothing comes twice, in either direction. For this
// server's game it is an end: the room is left and OnClose runs, with the code
// MOVED. For the other's it is a beginning: OnOpen runs when the player comes.
// Config.Pack and Unpack carry what the one knows to the other. Authenticate is
// not asked again: OnOpen throws out a user that was banned meanwhile.
// A player that is kicked before it has left, or whose record the store refuses,
// does not arrive. If the client was not heard since its login, the session goes once it was. If
// the link is lost before, the client logs in anew; in a cluster it gets the session back with
// DuplicateAdopt if that login had adopted it.
func (p *Player) Move(address string) error {
	if !p.srv.movable() {
		return ErrNoStore
	}
	if err := checkPlaces("Move: address", address); err != nil {
		return err
	}
	p.dismiss(Reason{Code: session.Moved, Text: address})
	return nil
}

// migrating reports that the session is on its way to another server. Called on
// the owning loop.
func (p *Player) migrating() bool { return p.timer == 0 }

// retrySoon is the answer to a client whose session is on its way.
func retrySoon() *session.CloseError { return &session.CloseError{Code: session.Busy, Detail: 100} }

// migrate begins the end of a session on this server.
func (l *loop) migrate(p *Player, address string) {
	p.mu.Lock()
	unheard := p.mustBeHeardLocked()
	p.mu.Unlock()
	if unheard { // its client logs in where it comes to
		l.end(p, Reason{Code: session.ShuttingDown})
		return
	}
	d := &migration{address: address}
	if k := l.unlink(p); k != nil {
		d.link, k.Value = k, d
	}
	p.s.Detach(p.s.Epoch(), l.t.Now())
	l.wheel.Remove(p.timer)
	p.timer = 0
	p.leaves.Store(true)
	p.mu.Lock()
	p.life.End()
	p.moving = true
	p.reason = &Reason{Code: session.Moved, Text: address}
	p.extraLocked().migration = d
	p.extra.failCalls(session.ErrClosed)
	p.mu.Unlock()
	p.release()
	p.schedule()
}

// mustBeHeardLocked reports whether the session is new, and its client was not heard since its
// login: it may have no token by which the session would go on. One that another server has asked
// for goes as it is: its client is there, or another login of its user. Called on the owning loop.
// The caller holds mu.
func (p *Player) mustBeHeardLocked() bool {
	return p.hello != nil && p.resumes == 0 && (p.extra == nil || !p.extra.given)
}

// pack makes what the other server's game is told. It runs before OnClose.
func (p *Player) pack(d *migration) {
	if f := p.srv.cfg.Pack; f != nil {
		p.call("Pack", func() { d.app = f(p) })
	}
	d.app = p.packAll(d.app)
}

// exportOnLoop exports the session on its loop. OnClose has returned.
func (p *Player) exportOnLoop() {
	l := p.owner.Load() // no hand-off takes it while it migrates
	if l.t.Post(onLoop(func() { l.export(p) })) != nil {
		p.srv.closed.Done() // the server has stopped
	}
}

// export stores the session. From here on nothing is sent to it any more.
func (l *loop) export(p *Player) {
	p.mu.Lock()
	p.moving = false
	d := p.extra.migration
	p.mu.Unlock()
	l.drainOut(p)
	s := l.srv
	if why := p.kicked(); why.Code != session.Moved { // thrown out on the way out
		l.exported(p, d, why)
		return
	}
	r := p.s.Record(l.t.Now())
	r.Sealed = p.sealed
	r.User, r.App = p.user, d.app
	if p.numbers {
		r.Routes = s.dict.hash
	}
	go func() { // ends when the store has answered, which ctx bounds
		ctx, cancel := context.WithTimeout(context.Background(), s.parkTime())
		defer cancel()
		why := Reason{Code: session.Internal, Text: "not stored"}
		defer func() { // also if the store ends this goroutine
			if l.t.Post(onLoop(func() { l.exported(p, d, why) })) != nil {
				s.closed.Done()
			}
		}()
		if err := s.park(ctx, r); err != nil {
			s.log.Error("session not stored", "session", p.ID(), "user", p.label(), "error", err)
			return
		}
		if why = p.kicked(); why.Code != session.Moved {
			_, _ = s.take(ctx, r.ID, nil) // no other server shall
		} else {
			why = Reason{Code: session.Moved, Text: d.address}
		}
	}()
}

// stored reports that the session is with the store, or on its way there: another server may have
// it already, and nothing that is done to it here would reach it.
func (p *Player) stored() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.extra != nil && p.extra.migration != nil && !p.moving
}

// kicked returns why the session ends.
func (p *Player) kicked() Reason {
	p.mu.Lock()
	defer p.mu.Unlock()
	return *p.extra.kick
}

// exported ends the session on this server and tells its client.
func (l *loop) exported(p *Player, d *migration, why Reason) {
	if why.Code != session.Moved {
		l.srv.releaseID(p.s.ID())
	}
	defer l.srv.closed.Done()
	if p.hasEnded() {
		return
	}
	var stone session.Tombstone
	if why.Code == session.Moved {
		stone.Address, stone.Told = d.address, d.link != nil
	}
	l.recordEnd(p, stone, why)
	switch {
	case d.link == nil:
		p.s.Close(why.Code)
	case !l.staysToClose(p, d.link, why):
		p.s.Close(why.Code)
		endLink(d.link, why)
	}
}

// staysToClose reports whether a session that does not move after all still has something
// to write to its fenced link. It is closing then, like any other.
func (l *loop) staysToClose(p *Player, k *transport.Link, why Reason) bool {
	if why.Code == session.Moved || !p.s.Unwritten() || !p.s.Reattach() {
		return false
	}
	p.mu.Lock()
	p.reason = &why
	p.mu.Unlock()
	k.Value = p
	p.timer = l.wheel.Add(p, l.t.Now()+closingTime)
	l.beginClosing(p, k)
	return true
}

// --- arriving

// fetchOrRefuse answers a good RESUME of a session that is not here. A client that
// has been told where its session went and comes all the same was sent back, or
// can't get there: the store knows.
func (l *loop) fetchOrRefuse(o *opening, r *session.ResumeRequest) {
	s := l.srv
	s.mu.Lock()
	stone, known := s.table.Tombstone(r.ID, l.t.Now())
	s.table.MarkTold(r.ID)
	s.mu.Unlock()
	if !s.movable() || known && (stone.Code != session.Moved || !stone.Told) {
		l.refuse(o, s.closeReason(r.ID, l.t.Now()))
		return
	}
	l.fetch(o, r)
}

// maxWaiting is how many sessions may wait for each that the store and the game are asked
// for. When a server dies the players of it come at once.
const maxWaiting = 16

// fetch asks the store for a session whose RESUME is good and that is not here.
func (l *loop) fetch(o *opening, r *session.ResumeRequest) {
	s := l.srv
	s.mu.Lock()
	full, asked := s.fullLocked(o), s.arriving[r.ID]
	if len(s.arriving) >= maxWaiting*s.cfg.AuthConcurrency {
		full = fullLogins
	}
	if full == notFull {
		s.arriving[r.ID] = true
	}
	s.mu.Unlock()
	if asked { // for another link of the same client
		l.refuse(o, retrySoon())
		return
	}
	if full != notFull {
		s.count.full[full].Add(1)
		why := busy(fullTexts[full])
		to, takes := s.elsewhere(r.ID)
		switch gone := s.closeReason(r.ID, l.t.Now()); {
		case gone.Code != session.Moved && full == fullDraining && takes && s.cfg.Cluster != nil: // that one knows where it is
			why = &session.CloseError{Code: session.Moved, Text: to}
		case gone.Code != session.Moved:
		case gone.Text != "":
			why = gone // not back here, for sure
		default: // the next server has it, perhaps at this address, once this one has gone
			why = retrySoon()
		}
		l.refuse(o, why)
		return
	}
	o.waiting = true
	until := clock().Add(s.cfg.AuthTimeout)
	s.searches.Add(func() {
		at := arrival{err: retrySoon()}
		defer func() { // also if the game's code ends this goroutine
			if l.t.Post(onLoop(func() { l.fetched(o, r, at) })) != nil && at.rec != nil {
				s.putBack(at.rec) // the server has stopped meanwhile
			}
		}()
		if clock().Before(until) { // else its client has given up
			at = s.search(r)
		}
	})
}

// fetched takes the store's answer.
func (l *loop) fetched(o *opening, r *session.ResumeRequest, at arrival) {
	s := l.srv
	s.mu.Lock()
	delete(s.arriving, r.ID)
	s.mu.Unlock()
	var why *session.CloseError
	switch {
	case errors.As(at.err, &why):
	case at.err != nil:
		s.log.Error("session not fetched", "session", r.ID, "error", at.err)
		why = retrySoon()
	case at.rec == nil:
		why = s.closeReason(r.ID, l.t.Now())
	default:
		why = l.restore(at, o, r)
	}
	if why != nil {
		l.refuse(o, why)
	}
}

// restore opens a session that has come from another server, and lets its
// client's RESUME decide on the rest.
func (l *loop) restore(at arrival, o *opening, r *session.ResumeRequest) *session.CloseError {
	p, why := l.restored(at, o)
	if why != nil {
		return why
	}
	l.handOff(&handoff{p: p, kind: resumed, r: r, l: l, o: o})
	p.schedule()
	return nil
}

// restoreToAdopt opens the session of another server that a login is about to take over. It
// returns why the login can't be let in, which gives the session back.
func (l *loop) restoreToAdopt(at *login) *session.CloseError {
	p, why := l.restored(arrival{rec: at.adopted, claimed: true}, at.o)
	switch {
	case why == nil:
		p.schedule()
	case why.Code == session.TakenOver:
		at.adopted = nil
	default:
		return why
	}
	return nil
}

// restored makes a player, without a link, of a record.
func (l *loop) restored(at arrival, o *opening) (*Player, *session.CloseError) {
	s, rec := l.srv, at.rec
	p := &Player{srv: s, Data: at.data, user: rec.User, numbers: rec.Routes != nil, sealed: rec.Sealed}
	// The answer to a question of the server that had it may come here.
	p.extraLocked().calls.StartAfter(uint64(rec.Epoch+1) << 32)
	p.extraLocked().app = rec.App
	leaving := func(p *Player) bool { return p.leaves.Load() }
	var others []*Player // of its user
	s.mu.Lock()
	if rec.User != "" && s.cfg.Duplicate != DuplicateAllow {
		others = s.table.User(rec.User)
	}
	old, again := s.table.Get(rec.ID)
	switch {
	case s.draining, again && leaving(old), slices.ContainsFunc(others, leaving):
		// Shutdown has counted the sessions, or it comes back before one is quite gone.
		s.mu.Unlock()
		if !at.claimed {
			go s.putBack(rec)
		}
		return nil, retrySoon()
	case again: // a store that has given it away twice
		s.mu.Unlock()
		return nil, retrySoon()
	case len(others) > 0:
		s.mu.Unlock()
		s.releaseID(rec.ID)
		return nil, &session.CloseError{Code: session.TakenOver} // its user has logged in afresh
	}
	s.joinOriginLocked(p, o.origin)
	olds := s.awaitClose[rec.User]
	p.life.WaitFor(len(olds))
	p.s.Restore(&l.shard, rec, l.t.Now())
	p.timer = l.wheel.Add(p, p.s.Due())
	p.owner.Store(l)
	s.table.Put(rec.ID, rec.User, p)
	s.closed.Add(1)
	s.mu.Unlock()
	s.count.arrived.Add(1)
	if rec.Orphan {
		s.count.reopened.Add(1)
	}
	s.observeOpened(p, true)
	for _, old := range olds {
		p.waitForEndOf(old)
	}
	return p, nil
}

// putBack returns a session that can't stay here.
func (s *Server) putBack(rec *session.Record) {
	ctx, cancel := context.WithTimeout(context.Background(), s.parkTime())
	defer cancel()
	if !rec.Orphan {
		rec.Epoch++ // ours since it was taken
	}
	if err := s.park(ctx, rec); err != nil {
		s.log.Error("session not put back", "session", rec.ID, "user", logs.Label(rec.User), "error", err)
	}
}

// unpack tells the game what the other server's knew. It runs before OnOpen.
func (p *Player) unpack(packed []byte) {
	l := p.unpackAll(packed)
	defer p.followAgain(l.Follows)
	p.joinAgain(l.Joins)
	for _, tag := range l.Groups {
		p.srv.Group(tag).Add(p)
	}
	p.unpackParts(l.Parts)
	if f := p.srv.cfg.Unpack; f != nil && len(l.App) > 0 {
		p.call("Unpack", func() { f(p, l.App) })
	}
}

// carried encodes Player.Data for another server.
type carried struct {
	encode func(data any) ([]byte, error)
	decode func(b []byte) (any, error)
}

// luggage is what goes to another server besides the session. Later fields are empty
// where the other server does not know them.
type luggage struct {
	Data    []byte // empty: none is carried
	App     []byte // made by Config.Pack
	Follows []following
	Joins   []joining // wishes for rooms, the answers to which come from there
	Groups  []string  // tags
	Parts   []part
}

// part is what Hooks.Pack has made.
type part struct {
	Name  string
	State []byte
}

// packParts returns what the parts of the server want to go with the player.
func (p *Player) packParts() (parts []part) {
	for _, h := range p.srv.hooks {
		p.call("Pack", func() {
			if b := h.Pack(p); b != nil {
				parts = append(parts, part{h.Part, b})
			}
		})
	}
	return parts
}

func (p *Player) unpackParts(parts []part) {
	for _, h := range p.srv.hooks {
		for _, from := range parts {
			if from.Name == h.Part {
				p.call("Unpack", func() { h.Unpack(p, from.State) })
			}
		}
	}
}

// groups returns the tags of the player.
func (p *Player) groups() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.extra == nil {
		return nil
	}
	return slices.Clone(p.extra.groups)
}

// packAll makes what goes to another server, nil for nothing: the player's data, and the
// lists that it follows, beside what Config.Pack has made.
func (p *Player) packAll(app []byte) []byte {
	l := luggage{App: app, Follows: p.following(), Joins: p.packJoins(), Groups: p.groups(), Parts: p.packParts()}
	if c := p.srv.carried; c != nil && p.Data != nil {
		var err error
		if l.Data, err = c.encode(p.Data); err != nil {
			p.srv.log.Error("the player's data does not move", "session", p.ID(), "user", p.label(), "error", err)
		}
	}
	if len(l.App)+len(l.Data)+len(l.Follows)+len(l.Joins)+len(l.Groups)+len(l.Parts) == 0 {
		return nil
	}
	b, err := codec.AppendBody(nil, &l)
	if err != nil { // bytes and text always go
		return nil
	}
	return b
}

// unpackAll takes over the player's data, and returns all that has come.
func (p *Player) unpackAll(packed []byte) (l luggage) {
	if packed == nil {
		return l
	}
	err := codec.DecodeBody(packed, &l)
	if c := p.srv.carried; c != nil && err == nil && len(l.Data) > 0 {
		var data any
		if data, err = c.decode(l.Data); err == nil {
			p.Data = data
		}
	}
	if err != nil {
		p.srv.log.Error("the player's data has not come", "session", p.ID(), "user", p.label(), "error", err)
	}
	return l
}
