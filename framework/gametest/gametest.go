// SPDX-License-Identifier: MIT

package gametest

import (
	"cmp"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// New makes the game's server from a configuration that the kit has begun: where
// to listen, the network, the sources of chance, the log. It adds what is the
// game's own, as Authenticate and the hooks, calls framework.New, registers rooms and
// handlers, and leaves it to the kit to start the server.
type New func(framework.Config) (*framework.Server, error)

// Conditions say how badly a network behaves: delay, loss and the like. Loss,
// jitter, duplication and reordering hold for the KCP carriers alone.
type Conditions = memnet.Conditions

// Options say how a test is run. The zero value works. Immutable.
type Options struct {
	// Seed is what all chance in the test comes from: Game.Rand, ids, the pauses of
	// clients, what the network loses.
	Seed uint64
	// Conditions are those of every player's line, until SetConditions. If zero, nothing
	// is lost and every way takes some microseconds.
	Conditions Conditions
	// Carrier is what players connect over unless Player is told otherwise. If zero,
	// TCP, which is the fastest to simulate.
	Carrier framework.Carrier
	// Client changes what a user's client is made with, as its ticket, which is
	// else the user's name.
	Client func(user string, cfg *client.Config)
	// Servers is how many servers the test begins with, as one cluster: Config.Cluster of
	// each is a *cluster.Cluster. Game.Nodes has them, and AddNode adds more. If zero, one
	// server without a cluster.
	Servers int
	// Cluster changes what a server of the cluster is made with, as its labels. Its node is
	// set.
	Cluster func(cfg *cluster.Config)
	// Store is where sessions wait while they move between the servers of a test without
	// Servers, as a new(framework.MemoryStore). If nil, they end with their server.
	Store framework.Store
	// Patience is how long, in virtual time, a test waits for what it expects. If
	// zero, 2 minutes.
	Patience time.Duration
	// Logger takes the log of servers and clients. If nil, it becomes part of the
	// test's output, which go test shows if the test fails or with -v.
	Logger *slog.Logger
}

// Game is a server with its players, or several, on a network in memory, under a virtual
// clock. The goroutine of the test owns it.
type Game struct {
	*Node              // the first server
	Rand    *rand.Rand // of Options.Seed
	T       *testing.T // of this test
	opts    Options
	new     New
	net     *memnet.Network
	secret  [32]byte
	start   time.Time
	bus     cluster.Memory
	keyFile string // of the servers of a cluster
	nodes   []*Node
	killed  []*process
	players []*Player
	moves   uint16 // addresses that players have moved to
}

// Run tests the game with Options of its own: see Options.Run.
func Run(t *testing.T, game New, test func(g *Game)) {
	t.Helper()
	Options{}.Run(t, game, test)
}

// Run starts the game's server and calls test, on a virtual clock that stands still
// while anything is left to do: minutes of play take milliseconds, and no deadline is
// missed because the machine is busy. When test returns, every player leaves and
// the server is shut down; that has to succeed as well.
//
// It runs under testing/synctest: the game must not wait for anything outside of the
// test, as real sockets or child processes, and goroutines that it starts must have
// ended when its server has.
func (o Options) Run(t *testing.T, game New, test func(g *Game)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if o.Patience <= 0 {
			o.Patience = 2 * time.Minute
		}
		o.Carrier = cmp.Or(o.Carrier, framework.TCP)
		if o.Logger == nil {
			o.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
		}
		g := &Game{
			T: t, opts: o, new: game, start: time.Now(),
			Rand: rand.New(rand.NewPCG(o.Seed, 1)), net: memnet.New(o.Seed, Conditions{}),
		}
		binary.LittleEndian.PutUint64(g.secret[:], o.Seed+1)
		if o.Servers > 0 {
			g.keyFile = filepath.Join(t.TempDir(), "key")
		}
		defer g.end()
		g.Node = g.AddNode()
		for range o.Servers - 1 {
			g.AddNode()
		}
		test(g)
	})
}

// end stops everything, failed or not: nothing may be left behind.
func (g *Game) end() {
	for _, p := range g.players {
		p.Heal()
		_ = p.Client.Close()
	}
	for _, n := range g.nodes {
		n.Heal()
	}
	for _, p := range g.killed {
		p.line.revive()
		p.stop(g)
	}
	for _, n := range g.nodes {
		n.stop()
	}
	time.Sleep(2 * time.Second) // sockets of KCP linger
}

// Sleep lets d of virtual time pass: everybody plays on meanwhile.
func (g *Game) Sleep(d time.Duration) { time.Sleep(d) }

// Settle returns when nothing is left to do for anybody at this moment of virtual
// time. It does not wait for what is still on its way.
func (g *Game) Settle() { synctest.Wait() }

// Now returns how much virtual time has passed in the test.
func (g *Game) Now() time.Duration { return time.Since(g.start) }

// Within waits until ok returns true, and fails the test if it does not within
// Options.Patience. what says what is waited for.
func (g *Game) Within(what string, ok func() bool) {
	g.T.Helper()
	for end := time.Now().Add(g.opts.Patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			g.T.Fatalf("not within %v: %s", g.opts.Patience, what)
		}
	}
}

// Players returns the players in the order in which they were made.
func (g *Game) Players() []*Player { return g.players }

// chance is a source of random bytes that a seed repeats. Safe to use from any
// goroutine.
type chance struct {
	mu     sync.Mutex
	source *rand.ChaCha8 // guarded by mu
}

func newChance(seed, stream uint64) *chance {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	binary.LittleEndian.PutUint64(key[8:], stream)
	return &chance{source: rand.NewChaCha8(key)}
}

// number returns one from 0 to n-1.
func (c *chance) number(n int) int {
	var b [8]byte
	_, _ = c.Read(b[:])
	return int(binary.LittleEndian.Uint64(b[:]) % uint64(n))
}

// Read implements io.Reader.
func (c *chance) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.source.Read(b)
}
