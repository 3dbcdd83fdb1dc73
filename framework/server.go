// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/admin"
	"github.com/lifeline-go/lifeline/framework/internal/jobs"
	"github.com/lifeline-go/lifeline/framework/internal/limit"
	"github.com/lifeline-go/lifeline/framework/internal/logs"
	"github.com/lifeline-go/lifeline/framework/internal/mailbox"
	"github.com/lifeline-go/lifeline/framework/internal/tags"
	"github.com/lifeline-go/lifeline/framework/internal/watchdog"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// Server holds the players. Make it with New, register routes and rooms, then
// Run it, or Start and Shutdown.
type Server struct {
	cfg          Config
	log          *slog.Logger
	boot         uint32
	routes       map[string]*Route // immutable once started
	dict         dictionary
	hooks        []Hooks             // those with a Part; not changed once it is started
	groups       tags.Index[*Player] // a player's mu is taken under its lock, no other one
	wraps        []func(Handler) Handler
	chain        Handler // of wraps; immutable once started
	kinds        map[string]*roomKind
	rooms        ClusterRooms                        // of Config.Cluster; nil: keys mean this server only
	inbox        mailbox.Limits                      // of each player
	outbox       mailbox.Bounds                      // of each player, and of all
	t            atomic.Pointer[transport.Transport] // nil before Start has returned
	stage        atomic.Int32                        // registering, started, over
	count        counters
	pool         workers
	watch        *watchdog.Watchdog
	budget       limit.Budget                // Config.BufferBytes
	returnMemory func()                      // memory, to the system
	carried      *carried                    // nil: data stays; immutable once started
	parts        map[string]func() PartStats // immutable once started
	minVersion   []uint64                    // nil: none; immutable
	maintained   atomic.Pointer[maintenance]
	closed       sync.WaitGroup // sessions whose OnClose has not returned
	released     atomic.Bool    // no session is this server's any more: of a Cluster

	running sync.WaitGroup // rooms

	slowLogins, failedLogins, failedSearches, strayLogins, undeclared, adminRefusals logs.Limiter

	// Of the admin pages: written before and by Start.
	pages     []page
	adminMade atomic.Bool   // Admin has read pages
	admin     *admin.Server // nil if not served

	searches jobs.Queue // for sessions of other servers

	mu sync.Mutex
	// Guarded by mu. No player's mu is taken under it.
	table      *session.Table[*Player]
	logins     map[session.OpeningKey]*login
	authSlots  limit.AuthSlots     // Config.AuthConcurrency
	arriving   map[session.ID]bool // that Config.Store or Config.Cluster is asked for, or will be
	origins    map[netip.Addr]*origin
	here       int                  // sessions that this machine opened, all in all
	awaitClose map[string][]*Player // by user: closed, but OnClose has not returned
	loops      []*loop
	draining   bool
	drainCtx   context.Context // of Shutdown; nil before
	drainEnd   time.Time       // of the turns of the players; zero before
}

// The stages of a server. A Start that fails goes back to the first.
const (
	registering int32 = iota
	started
	over
)

// mustBeRegistering panics if the server was started: what is registered then would
// not be seen, or be read and written at once.
func (s *Server) mustBeRegistering(what string) {
	if s.stage.Load() != registering {
		panic("framework: " + what + " after the server was started")
	}
}

// Addr returns the address that a carrier is served on, the zero one before
// Start or if it is not.
func (s *Server) Addr(c Carrier) netip.AddrPort {
	if t := s.t.Load(); t != nil {
		return t.Addr(c)
	}
	return netip.AddrPort{}
}

// PublicKey returns what clients of sealed KCP must know of this server: their
// Config.ServerKey. Empty if that is not served, or before Start.
func (s *Server) PublicKey() string {
	if t := s.t.Load(); t != nil {
		return t.PublicKey()
	}
	return ""
}

func (s *Server) players() []*Player {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Player, 0, s.table.Len())
	s.table.All(func(_ session.ID, p *Player) bool {
		all = append(all, p)
		return true
	})
	return all
}

// Player returns the player with a session id, nil if there is none.
func (s *Server) Player(id ID) *Player {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, _ := s.table.Get(id)
	return p
}

// User returns the sessions of a user, oldest first.
func (s *Server) User(user string) []*Player {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.table.User(user)
}

// failure makes what the player is told of an error. What the game did not
// code itself is told to the log only.
func (s *Server) failure(err error, p *Player, route string) *codec.Error {
	var e *codec.Error
	var wait *later
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &wait):
		return &codec.Error{Code: codec.ErrorBusy, Text: wait.text}
	}
	p.logLimited(slog.LevelError, "request failed", "route", route, "error", err)
	return &codec.Error{Code: codec.ErrorInternal, Text: "internal error"}
}

// roomFailure is failure for a room that was not made.
func (s *Server) roomFailure(err error, r *Room) error {
	var e *codec.Error
	if errors.As(err, &e) {
		return e
	}
	s.log.Error("a room was not made", "room", r.name(), "error", err)
	return &codec.Error{Code: codec.ErrorInternal, Text: "internal error"}
}

// panicked counts, logs and reports a panic of the game's code, called while it
// unwinds. p is the player that it served, nil for none in particular.
func (s *Server) panicked(p *Player, in string, v any, attrs ...any) {
	s.notePanic(in, v, attrs...)
	s.tellPanic(p, in, v)
}

// notePanic counts and logs a panic.
func (s *Server) notePanic(in string, v any, attrs ...any) {
	s.count.panics.Add(1)
	s.log.Error("panic in the game's code", append(attrs, "in", in, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))...)
}

// tellPanic reports a panic to the game.
func (s *Server) tellPanic(p *Player, in string, v any) {
	if s.cfg.OnPanic == nil {
		return
	}
	defer func() {
		if again := recover(); again != nil {
			s.log.Error("panic in OnPanic", "panic", fmt.Sprint(again))
		}
	}()
	s.cfg.OnPanic(p, in, v)
}

// dispatch gives an active player to the executor of its next task.
func (s *Server) dispatch(p *Player, room *Room) {
	if room != nil {
		room.submit(p)
		return
	}
	s.pool.submit(p)
}

// page is one more page of the admin handler.
type page struct {
	pattern string
	handler http.Handler
}
