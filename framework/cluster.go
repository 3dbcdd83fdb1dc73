// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// Cluster is what a server asks that is one of many: framework/cluster has one. It knows
// which of them owns a session, and this server acts for its sessions only while Valid
// says so. Its methods are called from many goroutines. They may block until ctx ends,
// but for those whose comments say that they do not.
type Cluster interface {
	// Join makes the server one of the cluster, and returns the number of its node. It is
	// called once, before the server listens: a Start that fails after it needs another
	// Cluster to be tried again.
	Join(ctx context.Context, h ClusterHost) (node uint16, err error)
	// Valid reports whether the server may act for its sessions now. It does not block,
	// and is called for every batch of packets.
	Valid() bool
	// HasLease reports whether the server is sure that it owns what it owns. It lets players
	// in, and lets rooms run that the cluster keeps, only then. Valid is true then, and may be
	// true without it where the game has chosen to serve on without a directory. It does not
	// block.
	HasLease() bool
	// Claim makes the server the owner of a session that is about to open, once no other
	// server has one of the user that the policy forbids. login is kept for the server that
	// may have to reopen the session: Find. adopted is the record of one that this session
	// takes over. The error is a *CloseError if it tells the client why not. If there is none,
	// Opened or Release follows.
	Claim(ctx context.Context, user string, id ID, login []byte, policy Duplicate) (adopted []byte, err error)
	// Opened tells that the session of a login is open here, with what it has adopted. It does
	// not block.
	Opened(id ID)
	// Release gives up a session that has ended, or that was claimed in vain: then what it would
	// have adopted is where servers find it. It does not block.
	Release(id ID)
	// Find makes the server the owner of a session that is not here, and returns its
	// record. If its server is dead, that record is made by orphan, of what Claim was told;
	// where orphan is nil, or makes none, the session is gone. orphan must not block. The
	// error is a *CloseError if it tells the client where to go, or when to come again.
	// Without a record and an error no server has it.
	Find(ctx context.Context, id ID, policy Duplicate, orphan func(user string, login []byte) []byte) (record []byte, err error)
	// Park gives a session to the server that finds it. If the server does not own it any more,
	// the error is ErrFenced.
	Park(ctx context.Context, id ID, record []byte) error
	// Elsewhere is where clients dial to reach another server, empty if there is none. id is
	// of the session that goes there. takes is false if no server has the routes of this one:
	// then the session does not go on there, and its client logs in. It does not block.
	Elsewhere(id ID) (address string, takes bool)
	// Drain tells the others that this server lets its players go. It does not block.
	Drain()
	// Leave makes the server none of the cluster any more.
	Leave(ctx context.Context) error
	// Stats counts what was done. It does not block, and may be called before Join.
	Stats() ClusterStats
	// Page is what operators see as /debug/cluster. It may be asked before Join.
	Page() http.Handler
}

// ClusterHost is a server as its Cluster sees it. Its methods do not block.
type ClusterHost interface {
	Boot() uint32
	Address() string // Config.Address
	Secret() Secret
	Keys() []string // public ones of Config.KeyFile, that which clients are told first; none if no sealed carrier is served
	Routes() []byte // differs where the routes do
	Logger() *slog.Logger
	// Evict ends a session for another login of its user, by the policy. It reports true,
	// and does nothing, if the policy keeps the other login out. Release follows when
	// OnClose has returned, or Park if the policy hands the session over.
	Evict(id ID, policy Duplicate) (present bool)
	// Give makes the server Park a session.
	Give(id ID)
	// Fence ends all sessions: the others have declared this server dead, and Valid is
	// false for ever.
	Fence()
	// User returns the sessions of a user that are here, oldest first, and none that Park was
	// given: another server may have it already.
	User(user string) []*Player
	// Request is Player.Request in two steps: it sends, in order with Push, and answer waits.
	Request(p *Player, route string, v any) (answer func(context.Context) ([]byte, error), err error)
	// Group is Server.Group, and Broadcast is Server.Broadcast.
	Group(tag string) Group
	Broadcast(route string, v any) error
	// WatchGroups calls f whenever a group gets its first member or loses its last, and at
	// once for those that have any. f must not call this package.
	WatchGroups(f func(tag string, some bool))
	// Panicked is called while a panic of the game's code unwinds, that serves no player: in
	// is what the cluster has called.
	Panicked(in string, v any)
	ClusterRoomHost
}

// errClaim is a login that the cluster has not let in.
type errClaim struct{ why *session.CloseError }

func (e errClaim) Error() string { return e.why.Error() }

// mayAct reports whether the server may act for its sessions now.
func (s *Server) mayAct() bool { return s.cfg.Cluster == nil || s.cfg.Cluster.Valid() }

// mayLetIn reports whether the server may let players in now, who are new or come back.
func (s *Server) mayLetIn() bool { return s.cfg.Cluster == nil || s.cfg.Cluster.HasLease() }

// leaseTick is how often a server that may not act looks whether it may again.
const leaseTick = 50 * time.Millisecond

// awaitLease waits until the server may act, or has nothing to act for.
func (s *Server) awaitLease() {
	for !s.mayAct() && !s.released.Load() {
		time.Sleep(leaseTick)
	}
}

// awaitLease waits until the room may go on: one that the cluster keeps, since it may be
// opened elsewhere, only with a lease.
func (r *Room) awaitLease() {
	s := r.kind.srv
	s.awaitLease()
	for r.born.owned && !s.mayLetIn() && !s.released.Load() {
		time.Sleep(leaseTick)
	}
}

// paused is the answer to clients while the server may not act. One that was declared dead
// never will again, and sends them to another.
func (s *Server) paused(id ID) *session.CloseError {
	if s.released.Load() {
		if at, _ := s.elsewhere(id); at != "" {
			return &session.CloseError{Code: session.Moved, Text: at}
		}
	}
	return busyFor(2*time.Second, "the server waits for its cluster")
}

// join makes the server one of its cluster, if it has one.
func (s *Server) join() error {
	if s.cfg.Cluster == nil {
		return nil
	}
	h := clusterHost{s: s}
	if s.cfg.KCP != "" || s.cfg.SealedTCP != "" {
		var err error
		if h.keys, err = transport.PublicKeys(s.cfg.KeyFile, s.log); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), joinTimeout)
	defer cancel()
	node, err := s.cfg.Cluster.Join(ctx, h)
	s.cfg.Node = node
	s.prefixKeys()
	return err
}

// listen makes the server one of its cluster, if it has one, and serves the carriers.
func (s *Server) listen() (*transport.Transport, error) {
	if err := s.join(); err != nil {
		return nil, err
	}
	t, err := transport.Start(s.cfg.transport(), &transportHandler{s})
	if err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err = errors.Join(err, s.leave(ctx))
	}
	return t, err
}

// joinTimeout is how long Start waits for the cluster. A server that comes back at once
// after a crash must wait until it was declared dead.
const joinTimeout = time.Minute

// leave ends what join began. No session is here any more.
func (s *Server) leave(ctx context.Context) error {
	if s.cfg.Cluster == nil {
		return nil
	}
	s.released.Store(true)
	return s.cfg.Cluster.Leave(ctx)
}

// newID draws the id of a user's session.
func (s *Server) newID(user string) (session.ID, error) {
	if s.cfg.Cluster == nil || user == "" {
		return session.NewID(s.cfg.Node, s.boot, s.cfg.Rand)
	}
	return session.NewUserID(s.cfg.Node, s.boot, s.cfg.Secret.UserHash(user), s.cfg.Rand)
}

// claim makes the server the owner of the session that a login opens.
func (s *Server) claim(ctx context.Context, at *login) {
	if at.id, at.err = s.newID(at.who.User); at.err != nil || s.cfg.Cluster == nil {
		return
	}
	if draining, _ := s.notTaking(); draining { // else the user's session elsewhere would end for nothing
		s.count.full[fullDraining].Add(1)
		at.err = errClaim{s.notLetIn(fullDraining)}
		return
	}
	var why *session.CloseError
	b, err := s.cfg.Cluster.Claim(ctx, at.who.User, at.id, s.loginNote(at), s.cfg.Duplicate)
	switch {
	case errors.As(err, &why):
		at.err = errClaim{why}
	case err != nil:
		at.err = err
	case b != nil:
		switch rec, err := session.ParseRecord(b); {
		case err != nil:
			s.log.Error("session not adopted", "session", at.id, "error", err)
		case !rec.Orphan: // else there is nothing to be adopted
			at.adopted = rec
		}
	}
}

// releaseID gives a session up in the directory of the cluster.
func (s *Server) releaseID(id session.ID) {
	if s.cfg.Cluster != nil && id != (session.ID{}) {
		s.cfg.Cluster.Release(id)
	}
}

// opened tells the cluster that a login has its session.
func (s *Server) opened(id session.ID) {
	if s.cfg.Cluster != nil {
		s.cfg.Cluster.Opened(id)
	}
}

// movable reports whether sessions can go to other servers.
func (s *Server) movable() bool { return s.cfg.Store != nil || s.cfg.Cluster != nil }

// parkTime bounds how long a session that leaves waits for the store. A directory may be
// without a leader for ten seconds, and nobody has to lose a session for that.
func (s *Server) parkTime() time.Duration {
	if s.cfg.Cluster != nil {
		return max(s.cfg.AuthTimeout, 30*time.Second)
	}
	return s.cfg.AuthTimeout
}

// park stores the record of a session that leaves.
func (s *Server) park(ctx context.Context, r *session.Record) error {
	if s.cfg.Cluster != nil {
		return s.cfg.Cluster.Park(ctx, r.ID, r.Append(nil))
	}
	return s.ask("Store.Put", func() error { return s.cfg.Store.Put(ctx, r.ID, r.Epoch, r.Append(nil), s.table.Keep()) })
}

// take returns the record of a session that shall go on here. orphan makes that of one
// whose server is dead; if it is nil, there is none.
func (s *Server) take(ctx context.Context, id session.ID, orphan func(user string, login []byte) []byte) (record []byte, err error) {
	if s.cfg.Cluster != nil {
		return s.cfg.Cluster.Find(ctx, id, s.cfg.Duplicate, orphan)
	}
	err = s.ask("Store.Take", func() (err error) {
		record, err = s.cfg.Store.Take(ctx, id, s.cfg.Address)
		return err
	})
	return record, err
}

// ask runs the game's code that serves no player. A panic of it is an error, which is
// logged already.
func (s *Server) ask(what string, f func() error) (err error) {
	returned := false
	defer func() {
		if v := unwinding(returned, recover()); v != nil {
			s.panicked(nil, what, v)
			err = errPanicked
		}
	}()
	err = f()
	examine(err)
	returned = true
	return err
}

// elsewhere is where the client of a player is sent that must go, and whether its session may
// go on there, and so its rooms.
func (s *Server) elsewhere(id session.ID) (address string, takes bool) {
	if s.cfg.Cluster != nil && (s.cfg.Drain.Address == "" || s.stage.Load() != over) {
		return s.cfg.Cluster.Elsewhere(id)
	}
	return s.cfg.Drain.Address, s.cfg.Drain.Address != ""
}

// clusterHost implements ClusterHost.
type clusterHost struct {
	s    *Server
	keys []string
}

func (h clusterHost) Boot() uint32         { return h.s.boot }
func (h clusterHost) Address() string      { return h.s.cfg.Address }
func (h clusterHost) Secret() Secret       { return h.s.cfg.Secret }
func (h clusterHost) Keys() []string       { return h.keys }
func (h clusterHost) Routes() []byte       { return h.s.dict.hash }
func (h clusterHost) Logger() *slog.Logger { return h.s.log }

func (h clusterHost) Evict(id ID, policy Duplicate) (present bool) {
	p := h.s.Player(id)
	switch {
	case p == nil: // it is ending
	case policy == DuplicateReject && p.present():
		return true
	case policy == DuplicateAdopt:
		h.Give(id)
	default:
		p.Kick(session.TakenOver, "")
	}
	return false
}

func (h clusterHost) Give(id ID) {
	if p := h.s.Player(id); p != nil {
		p.mu.Lock()
		p.extraLocked().given = true
		p.mu.Unlock()
		p.dismiss(Reason{Code: session.Moved})
	}
}

func (h clusterHost) Fence() {
	h.s.endRooms()
	h.s.released.Store(true)
	for _, p := range h.s.players() {
		p.dismiss(Reason{Code: session.ShuttingDown, Text: "the server has lost its place"})
	}
}
