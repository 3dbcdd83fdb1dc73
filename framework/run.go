// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"reflect"
	"runtime"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/limit"
	"github.com/lifeline-go/lifeline/framework/internal/mailbox"
	"github.com/lifeline-go/lifeline/framework/internal/watchdog"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// New checks the configuration. Nothing runs yet.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	var boot [4]byte
	if _, err := io.ReadFull(cfg.Rand, boot[:]); err != nil {
		return nil, fmt.Errorf("framework: boot id: %w", err)
	}
	s := &Server{
		cfg: cfg, log: cfg.Logger, boot: binary.LittleEndian.Uint32(boot[:]),
		routes: map[string]*Route{}, kinds: map[string]*roomKind{}, logins: map[session.OpeningKey]*login{}, awaitClose: map[string][]*Player{},
		arriving: map[session.ID]bool{}, origins: map[netip.Addr]*origin{},
		// What a client may have unacknowledged fits four times.
		inbox:        mailbox.Limits{Packets: 4 * cfg.Session.RecvPackets, Bytes: 4 * cfg.Session.RecvBytes},
		table:        session.NewTable[*Player](max(2*cfg.Session.Grace, time.Minute), 1<<16),
		returnMemory: returnMemory,
	}
	s.rooms, _ = cfg.Cluster.(ClusterRooms)
	s.watch = watchdog.New(s.log, clock(), since)
	s.pool.most, s.pool.watch = cfg.Workers, s.watch
	s.outbox = mailbox.Bounds{Limits: mailbox.Limits{Packets: cfg.Session.SendPackets, Bytes: cfg.Session.SendBytes}, Budget: &s.budget}
	s.budget.Open(cfg.BufferBytes, max(cfg.Loops, runtime.GOMAXPROCS(0)))
	s.authSlots = limit.NewAuthSlots(cfg.AuthConcurrency)
	s.searches.Limit = cfg.AuthConcurrency
	if cfg.MinVersion != "" {
		s.minVersion, _ = parseVersion(cfg.MinVersion) // it was checked
	}
	s.addRoomRoutes()
	if cfg.Strict {
		s.Sends(DeliverAll, RouteRefused)
	}
	return s, nil
}

// Start begins to serve. It returns once the addresses are bound. A server is
// started once: a second Start, or one after Shutdown, is an error. After a
// Start that failed it may be tried again.
func (s *Server) Start() error {
	if !s.stage.CompareAndSwap(registering, started) {
		if s.stage.Load() == over {
			return errors.New("framework: Start after Shutdown: a server runs once, make another with New")
		}
		return errors.New("framework: Start: the server was started before")
	}
	err := s.start()
	if err != nil {
		s.stage.CompareAndSwap(started, registering)
	}
	return err
}

func (s *Server) start() error {
	if err := s.checkRooms(); err != nil {
		return err
	}
	if err := s.number(); err != nil {
		return err
	}
	s.chain = assemble(s.wraps)
	pages, err := s.listenAdmin()
	if err != nil {
		return err
	}
	t, err := s.listen()
	if err != nil {
		if pages != nil {
			pages.Close()
		}
		return err
	}
	s.t.Store(t)
	if s.admin = pages; pages != nil {
		pages.Serve(s.Admin())
	}
	for _, c := range transport.Carriers() {
		if addr := t.Addr(c); c.Sealed() && addr.IsValid() {
			s.log.Info("sealed links are served", "carrier", c, "addr", addr, "public_key", t.PublicKey())
		}
	}
	return nil
}

// Run is Start, and when ctx ends Shutdown, for Drain.Window and ten seconds at most. Rooms
// that play on, Drain.Wait at most, are waited for before.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Start(); err != nil {
		return err
	}
	<-ctx.Done()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Drain.Window+max(s.cfg.Drain.Wait, 0)+runDrain)
	defer cancel()
	return s.shutdown(stop, runDrain)
}

const (
	// drainTick is how often Shutdown looks which players have their turn or are at rest.
	drainTick = 50 * time.Millisecond
	// runDrain is what Run gives Shutdown besides Drain.Window and what rooms play on for.
	runDrain = 10 * time.Second
	// forceBefore is how long before the end of its context Shutdown stops
	// waiting for clients, so that every OnClose can still run.
	forceBefore = 2 * time.Second
	// linksCloseTime bounds how long links have for their last words.
	linksCloseTime = 2 * time.Second
)

// number closes the registration: from here on routes have numbers.
func (s *Server) number() error {
	d := &s.dict
	d.byNumber = nil // of a Start that failed
	d.names = slices.Sorted(maps.Keys(s.routes))
	if err := session.CheckRoutes(d.names); err != nil {
		return fmt.Errorf("framework: %w", err)
	}
	d.hash = session.RoutesHash(d.names)
	for n, name := range d.names {
		r := s.routes[name]
		r.number = codec.NumberedRoute(uint32(n))
		d.byNumber = append(d.byNumber, r)
	}
	return nil
}

// checkRooms refuses room types that would silently stand still.
func (s *Server) checkRooms() error {
	for _, k := range s.kinds {
		if k.step == 0 && k.of.Kind() != reflect.Interface && k.of.Implements(reflect.TypeFor[TickHandler]()) {
			return fmt.Errorf("framework: room %q: %v has OnTick and would never tick: say how often by Tick", k.name, k.of)
		}
	}
	return nil
}
