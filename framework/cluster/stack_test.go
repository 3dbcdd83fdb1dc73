// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// stack is some servers of one cluster and their players, whole, on a network in memory
// and a virtual clock.
type stack struct {
	t       *testing.T
	net     *memnet.Network
	bus     cluster.Memory
	change  func(*framework.Config)
	dir     string // cluster.Config.Dir of all servers
	hostOf  string // of the next server; if empty, it follows from the node
	alone   cluster.Isolation
	labels  map[uint16][]string
	setup   func(node uint16, s *framework.Server) // registers rooms; nil: none
	meter   *traffic                               // counts what servers ask of the bus; nil: nothing does
	servers []*server
	clients []*client.Client

	mu      sync.Mutex
	said    map[string][]uint64 // by user: what reached a handler, of whichever server
	log     []string            // hooks
	tickets int                 // that were shown to Authenticate
	lost    []string            // what OnUndelivered was told, of whichever server
	missed  []string            // likewise OnMissed
}

// server is one of a stack.
type server struct {
	*framework.Server
	c    *cluster.Cluster
	line *line
	host string
}

// line is a server's way to the bus, which can be cut, or slow.
type line struct {
	cluster.Bus
	mu   sync.Mutex
	cut  bool
	late time.Duration // every answer of the directory
	lose string        // the next read of a key that begins so is lost
	held chan struct{} // if not nil, Publish waits until it is closed
	full bool          // the directory refuses to write sessions
	no   int           // writes that it has refused
	mute []string      // keys that begin so are not answered
}

var (
	errCut   = errors.New("the line is cut")
	errLarge = errors.New("a value of more than 1 MiB, as NATS says")
	errFull  = errors.New("no space on the disk")
)

func (l *line) down() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}

func (l *line) set(cut bool) {
	l.mu.Lock()
	l.cut = cut
	l.mu.Unlock()
}

// setLate makes every answer of the directory late.
func (l *line) setLate(d time.Duration) {
	l.mu.Lock()
	l.late = d
	l.mu.Unlock()
}

// setFull lets the directory refuse to write sessions, and returns how many writes it has refused.
func (l *line) setFull(full bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.full = full
	return l.no
}

func (l *line) refuses(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.full || !strings.HasPrefix(key, "sessions/") {
		return false
	}
	l.no++
	return true
}

// loseOne loses the next read of a key that begins with prefix, as while there is no leader.
func (l *line) loseOne(prefix string) {
	l.mu.Lock()
	l.lose = prefix
	l.mu.Unlock()
}

func (l *line) lost(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lose == "" || !strings.HasPrefix(key, l.lose) {
		return false
	}
	l.lose = ""
	return true
}

// setMute leaves unanswered what is asked of keys that begin so.
func (l *line) setMute(prefixes ...string) {
	l.mu.Lock()
	l.mute = prefixes
	l.mu.Unlock()
}

func (l *line) muted(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.mute, func(p string) bool { return strings.HasPrefix(key, p) })
}

// answered waits until an answer is there. In time, or else it is none.
func (l *line) answered(ctx context.Context) error {
	l.mu.Lock()
	d := l.late
	l.mu.Unlock()
	if d > 0 {
		time.Sleep(d)
	}
	return ctx.Err()
}

func (l *line) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	if l.down() || l.muted(key) || l.lost(key) {
		<-ctx.Done()
		return nil, 0, errCut
	}
	b, rev, err := l.Bus.Get(ctx, key)
	return b, rev, errors.Join(err, l.answered(ctx))
}

func (l *line) Put(ctx context.Context, key string, value []byte, rev uint64) (uint64, error) {
	if l.down() || l.muted(key) {
		<-ctx.Done()
		return 0, errCut
	}
	if len(value) > 1<<20 {
		time.Sleep(time.Millisecond)
		return 0, errLarge
	}
	if l.refuses(key) {
		time.Sleep(time.Millisecond)
		return 0, errFull
	}
	next, err := l.Bus.Put(ctx, key, value, rev)
	return next, errors.Join(err, l.answered(ctx))
}

func (l *line) Ask(ctx context.Context, name string, question []byte) ([]byte, error) {
	if l.down() {
		<-ctx.Done()
		return nil, errCut
	}
	return l.Bus.Ask(ctx, name, question)
}

func (l *line) Serve(ctx context.Context, name string, answer func([]byte) []byte) error {
	return l.Bus.Serve(ctx, name, func(q []byte) []byte {
		if l.down() {
			return nil
		}
		return answer(q)
	})
}

func (l *line) Publish(subject string, message []byte) error {
	l.mu.Lock()
	held, cut := l.held, l.cut
	l.mu.Unlock()
	if held != nil {
		<-held
	}
	if cut {
		return nil // it is lost
	}
	return l.Bus.Publish(subject, message)
}

func (l *line) Subscribe(ctx context.Context, subject string, heard func([]byte)) error {
	return l.Bus.Subscribe(ctx, subject, func(m []byte) {
		if !l.down() {
			heard(m)
		}
	})
}

// play runs f with n servers.
func play(t *testing.T, n int, change func(*framework.Config), f func(s *stack)) {
	playIn(t, "", n, change, f)
}

// playIn is play with a Config.Dir.
func playIn(t *testing.T, dir string, n int, change func(*framework.Config), f func(s *stack)) {
	playWith(t, dir, n, change, nil, f)
}

// playWith is playIn with rooms that setup registers at each server.
func playWith(t *testing.T, dir string, n int, change func(*framework.Config), setup func(uint16, *framework.Server), f func(s *stack)) {
	synctest.Test(t, func(t *testing.T) {
		s := &stack{t: t, net: memnet.New(1, memnet.Conditions{Delay: 5 * time.Millisecond}), change: change, setup: setup, dir: dir, said: map[string][]uint64{}}
		defer s.end()
		for i := range n {
			s.add(uint16(i + 1))
		}
		f(s)
	})
}

func (s *stack) end() {
	for _, c := range s.clients {
		_ = c.Close()
	}
	for _, v := range s.servers {
		v.line.set(false)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := v.Shutdown(ctx); err != nil {
			s.t.Errorf("shutdown of %s: %v", v.host, err)
		}
		cancel()
	}
	time.Sleep(2 * time.Second)
}

// add starts a server.
func (s *stack) add(node uint16) *server {
	s.t.Helper()
	v := &server{line: &line{Bus: &s.bus}, host: fmt.Sprint("10.0.0.", node)}
	if s.meter != nil {
		v.line.Bus = counted{&s.bus, s.meter}
	}
	if s.hostOf != "" {
		v.host = s.hostOf
	}
	missed := func(tag string, n uint64) {
		s.mu.Lock()
		s.missed = append(s.missed, fmt.Sprintf("%d: %d of %q", node, n, tag))
		s.mu.Unlock()
	}
	c, err := cluster.New(cluster.Config{Bus: v.line, Node: node, Dir: s.dir, Isolation: s.alone, OnUndelivered: s.undelivered, OnMissed: missed, Labels: s.labels[node]})
	if err != nil {
		s.t.Fatal(err)
	}
	v.c = c
	cfg := framework.Config{
		Loops: 1, TCP: v.host + ":7778", Network: s.net, Secret: session.Secret{1}, Cluster: c, Address: "tcp://" + v.host + ":7778",
		Session: session.Config{Interval: 2 * time.Second, Timeout: 8 * time.Second}, Logger: slog.New(slog.DiscardHandler),
		Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
			s.mu.Lock()
			s.tickets++
			s.mu.Unlock()
			return framework.Identity{User: string(l.Ticket)}, nil
		},
		OnOpen:  func(p *framework.Player) { s.note("%d opens %s", node, p.User()) },
		OnClose: func(p *framework.Player, why framework.Reason) { s.note("%d closes %s: %v", node, p.User(), why.Code) },
	}
	if s.change != nil {
		s.change(&cfg)
	}
	if v.Server, err = framework.New(cfg); err != nil {
		s.t.Fatal(err)
	}
	framework.OnMessage(v.Server, "say", func(p *framework.Player, n uint64) {
		s.mu.Lock()
		s.said[p.User()] = append(s.said[p.User()], n)
		s.mu.Unlock()
		_ = p.Push("echo", n)
	})
	if s.setup != nil {
		s.setup(node, v.Server)
	}
	if err := v.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.servers = append(s.servers, v)
	return v
}

func (s *stack) note(format string, args ...any) {
	s.mu.Lock()
	s.log = append(s.log, fmt.Sprintf(format, args...))
	s.mu.Unlock()
}

func (s *stack) undelivered(user, route string, err error) {
	s.mu.Lock()
	s.lost = append(s.lost, fmt.Sprintf("%s %s: %v", user, route, err))
	s.mu.Unlock()
}

// undeliveredOf returns what OnUndelivered was told.
func (s *stack) undeliveredOf() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lost)
}

// client makes a client that dials one server, with a ticket or a token.
func (s *stack) client(v *server, user, token string) *client.Client {
	s.t.Helper()
	c, err := client.New([]string{"tcp://" + v.host + ":7778"}, client.Config{
		Ticket: func(context.Context) ([]byte, error) { return []byte(user), nil }, Token: token, Logger: slog.New(slog.DiscardHandler),
		Dial: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return s.net.DialTCP(ctx, netip.MustParseAddrPort(addr))
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.clients = append(s.clients, c)
	return c
}

// dial makes a client with an open session.
func (s *stack) dial(v *server, user, token string) *client.Client {
	s.t.Helper()
	c := s.client(v, user, token)
	s.connect(c)
	return c
}

func (s *stack) connect(c *client.Client) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.Connect(ctx); err != nil {
		s.t.Fatalf("connect: %v", err)
	}
}

func (s *stack) within(d time.Duration, what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(d); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.t.Fatalf("not within %v: %s; hooks: %q", d, what, s.log)
		}
	}
}

// handled returns what reached a handler of a user's.
func (s *stack) handled(user string) []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.said[user])
}

// logins returns how often a user has logged in.
func (s *stack) logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tickets
}

// hooks returns what was called so far.
func (s *stack) hooks() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

func (v *server) has(user string) bool { return len(v.User(user)) == 1 }

func network() *memnet.Network { return memnet.New(1, memnet.Conditions{}) }
