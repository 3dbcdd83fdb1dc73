// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/kcptest"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// env is a server on an in-memory network under a virtual clock, with a record
// of every hook it called.
type env struct {
	t   *testing.T
	net *memnet.Network
	srv *framework.Server

	clients []*client.Client

	mu    sync.Mutex
	hooks map[string][]string // by user
	order []string            // of all users
	alive []*framework.Player // so that no address is used twice
}

// simulate runs f in a bubble of virtual time.
func simulate(t *testing.T, seed uint64, cond memnet.Conditions, cfg framework.Config, setup func(*framework.Server), f func(*env)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := serve(t, memnet.New(seed, cond), "10.0.0.1", cfg, setup)
		defer e.end()
		f(e)
	})
}

// serve starts a server of a network.
func serve(t *testing.T, network *memnet.Network, host string, cfg framework.Config, setup func(*framework.Server)) *env {
	t.Helper()
	e := &env{t: t, net: network, hooks: map[string][]string{}}
	cfg.Network = e.net
	serveAll(&cfg, host)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Authenticate == nil {
		cfg.Authenticate = func(_ context.Context, l framework.Login) (framework.Identity, error) {
			return framework.Identity{User: string(l.Ticket)}, nil
		}
	}
	e.record(&cfg)
	srv, err := framework.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	e.srv = srv
	if setup != nil {
		setup(srv)
	}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	return e
}

// end stops everything, failed or not: a bubble must be left empty.
func (e *env) end() {
	for _, c := range e.clients {
		_ = c.Close()
	}
	if err := e.srv.Shutdown(context.Background()); err != nil {
		e.t.Errorf("shutdown: %v", err)
	}
	if missing, held := e.srv.Unaccounted(); missing != 0 || held != 0 {
		e.t.Errorf("all is over, and %d bytes were not given back to the budget, %d are held", missing, held)
	}
	time.Sleep(2 * time.Second) // sockets of stock KCP linger
	for user, hooks := range e.hooks {
		checkHooks(e.t, user, hooks)
	}
}

// record notes every hook before the test's own.
func (e *env) record(cfg *framework.Config) {
	open, detach, resume, closed := cfg.OnOpen, cfg.OnDetach, cfg.OnResume, cfg.OnClose
	cfg.OnOpen = func(p *framework.Player) {
		e.note(p, "open")
		if open != nil {
			open(p)
		}
	}
	cfg.OnDetach = func(p *framework.Player) {
		e.note(p, "detach")
		if detach != nil {
			detach(p)
		}
	}
	cfg.OnResume = func(p *framework.Player) {
		e.note(p, "resume")
		if resume != nil {
			resume(p)
		}
	}
	cfg.OnClose = func(p *framework.Player, why framework.Reason) {
		defer e.note(p, "close "+why.String()) // it may panic
		if closed != nil {
			closed(p, why)
		}
	}
}

func (e *env) note(p *framework.Player, what string) {
	key := fmt.Sprintf("%s %p", p.User(), p)
	e.mu.Lock()
	e.hooks[key] = append(e.hooks[key], what)
	e.order = append(e.order, p.User()+" "+what)
	if what == "open" {
		e.alive = append(e.alive, p)
	}
	e.mu.Unlock()
}

// of returns the hooks of a user's only session.
func (e *env) of(user string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	for key, hooks := range e.hooks {
		if len(key) > len(user) && key[:len(user)] == user && key[len(user)] == ' ' {
			return append([]string(nil), hooks...)
		}
	}
	return nil
}

// all returns the hooks of everybody in the order they were called.
func (e *env) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.order...)
}

// players returns all that were opened so far, living or not.
func (e *env) players() []*framework.Player {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]*framework.Player(nil), e.alive...)
}

// short is for what may not be answered.
func short() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	time.AfterFunc(6*time.Second, cancel)
	return ctx
}

// checkHooks: open once and first, close once and last, detach and resume in turn.
func checkHooks(t *testing.T, user string, hooks []string) {
	t.Helper()
	state := ""
	for i, h := range hooks {
		ok := false
		switch h {
		case "open":
			ok = i == 0
		case "detach":
			ok = state == "open" || state == "resume"
		case "resume":
			ok = state == "detach"
		default: // close
			ok = i == len(hooks)-1 && i > 0
		}
		if !ok {
			t.Errorf("%s: hook %d in %v", user, i, hooks)
			return
		}
		state = h
	}
	if len(hooks) < 2 || state[:5] != "close" {
		t.Errorf("%s: never closed: %v", user, hooks)
	}
}

// dialers makes the client use the network of the test.
func (e *env) dialers(cfg client.Config) client.Config {
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		at, err := netip.ParseAddrPort(addr)
		if err != nil {
			return nil, err
		}
		if network == "plain-kcp" {
			pc, err := e.net.ListenPacket()
			if err != nil {
				return nil, err
			}
			return kcptest.Dial(pc, net.UDPAddrFromAddrPort(at), 1), nil
		}
		return e.net.DialTCP(ctx, at)
	}
	cfg.ServerKey = e.srv.PublicKey()
	cfg.ListenPacket = func() (net.PacketConn, error) { return e.net.ListenPacket() }
	cfg.KCP = func(pc net.PacketConn, server net.Addr, conv uint32, mtu int) net.Conn {
		c := kcptest.Dial(pc, server, conv)
		c.SetMTU(mtu)
		return c
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg
}

func (e *env) addr(carrier transport.Carrier) string {
	return fmt.Sprintf("%v://%v", carrier, e.srv.Addr(carrier))
}

// newClient makes a client that is not connected yet.
func (e *env) newClient(user string, carrier transport.Carrier) *client.Client {
	e.t.Helper()
	c, err := client.New([]string{e.addr(carrier)}, e.dialers(client.Config{Ticket: func(context.Context) ([]byte, error) { return []byte(user), nil }}))
	if err != nil {
		e.t.Fatal(err)
	}
	e.clients = append(e.clients, c)
	return c
}

// dial makes a client with an open session.
func (e *env) dial(user string, carrier transport.Carrier) *client.Client {
	e.t.Helper()
	c := e.newClient(user, carrier)
	e.connect(c)
	return c
}

func (e *env) connect(c *client.Client) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.Connect(ctx); err != nil {
		e.t.Fatalf("connect: %v", err)
	}
}

// within waits in virtual time until ok returns true.
func (e *env) within(d time.Duration, what string, ok func() bool) {
	e.t.Helper()
	for end := time.Now().Add(d); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			for _, c := range e.clients {
				e.t.Logf("client %v: %+v", c.ID(), c.Stats())
			}
			for _, in := range e.srv.Inspect(100, func(*framework.Info) bool { return true }) {
				e.t.Logf("server %+v", in)
			}
			e.t.Fatalf("not within %v: %s", d, what)
		}
	}
}

// carriers are what the situations of session/SITUATIONS.md are played on, the
// simulation and the storm too: all. A new one has its address in serveAll.
var carriers = transport.Carriers()

// serveAll makes a server serve all of them, each on a port of its own.
func serveAll(cfg *framework.Config, host string) {
	cfg.PlainKCP, cfg.TCP, cfg.WebSocket = host+":7777", host+":7778", host+":7779"
	cfg.KCP, cfg.SealedTCP = host+":7780", host+":7781"
}

// onEach runs a test once per carrier.
func onEach(t *testing.T, f func(t *testing.T, c transport.Carrier)) {
	for _, c := range carriers {
		t.Run(c.String(), func(t *testing.T) { f(t, c) })
	}
}

var quick = session.Config{Interval: 2 * time.Second, Timeout: 8 * time.Second}
