// SPDX-License-Identifier: MIT

// Package cluster makes many servers one: a session that was opened at one of them goes
// on at any, a user is known at all of them, and a server that drains hands its players
// to the others, without a loss and without a login.
//
//	bus := new(cluster.Memory) // of one process; that of package cluster/nats joins many
//	c, err := cluster.New(cluster.Config{Bus: bus})
//	srv, err := framework.New(framework.Config{Cluster: c, Secret: secret, Address: "tcp://10.0.0.7:7777"})
//
// A session lives whole on one server. A directory says on which; one compare-and-swap of
// its entry there is the only way to become the owner. A server acts for its sessions only
// while it holds a lease, which it renews every 2 s. If it can't, it pauses before another
// may take them over: its players wait, and go on when the directory is back. SPEC.md of
// this package has the rules and why they are as they are.
//
// A game sends to a user by name, from any server and any goroutine:
//
//	err = c.User("ann").Push("whisper", "hello")
//
// The room of a key is at one server of all. A player that joins it at another one goes there,
// in the same session; see framework's Rooms.Local and Room.Generation. Seats, parties, lists and
// calls reach rooms wherever they are: RoomsOf.Reserve, Bring, Listed and Everywhere, and RoomOf.
// A room goes on at another server when its own is stopped, if its type is a
// framework.SaveHandler.
//
// To players at all servers a game sends by Group and Cluster.Broadcast. Cluster.Ban keeps a user
// out of all servers. Servers call each other by Handle and Call; one that serves no players,
// as it listens to no address, may join for that alone.
package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/framework/internal/jobs"
	"github.com/lifeline-go/lifeline/session"
)

// Config says how a server is one of many.
type Config struct {
	// Bus joins the servers. Required.
	Bus Bus
	// Node is this server's number in the cluster. If zero, the smallest that is free.
	Node uint16
	// OnUndelivered is told of a message that User.Push or Kick took on its way to another
	// server, and that was not handed over there: err is ErrOffline, ErrUnreachable or
	// ErrRefused; or ErrUnknown if it may have been. route is empty for Kick. It runs on any
	// goroutine and must not block. If nil, it is logged now and then.
	OnUndelivered func(user, route string, err error)
	// Labels are what calls find this server by, as "shop": see Any. If empty, by its number
	// and its users only.
	Labels []string
	// OnMissed is told of broadcasts of another server that did not get here, as the bus
	// loses what it can't carry: n of them to a group's tag, or to all players if tag is
	// empty. It comes before the next one that did get here, or a second after the last was
	// lost: let the game send its players what they need. What was lost before the first
	// that came from a server is not noticed. It runs on any goroutine and must not block.
	// If nil, they are only counted: Stats.
	OnMissed func(tag string, n uint64)
	// Dir is a directory on a disk of this machine, for the proof that a process has ended:
	// a server that crashes is then declared dead at once by itself, when it is started
	// again under its number, and by other servers that have the same Dir. It must outlive
	// the process, and its container. Linux only. If empty, a crash is found after 20 s.
	Dir string
	// Isolation is what this server does once its lease has run out, because the directory
	// does not answer it. If zero, Pause.
	Isolation Isolation
	// Rand returns a number from 0 to n-1: what chance decides comes from it, as which of
	// two servers gets a room. It is called from many goroutines. If nil, rand.IntN.
	Rand func(n int) int
}

// Isolation is what a server does that can't reach the directory.
type Isolation uint8

const (
	// Pause lets the players wait until the directory answers again. No two servers ever
	// act for one session, user or room.
	Pause Isolation = iota
	// Serve lets players who have a link play on, for as long as the directory is away, but
	// those in keyed rooms (they wait); nobody can log in or resume meanwhile. The price: if
	// this server alone is cut off, the others declare it dead after 20 s, and then a user
	// may play at two servers, until this one hears of it and ends its sessions.
	Serve
)

// Cluster is one server's part in a cluster. It implements framework.Cluster. Make one for
// each server.
type Cluster struct {
	bus   *meter
	count counters
	node  uint16
	dir   string
	start time.Time
	until atomic.Int64 // the end of the lease, in time since start
	acts  atomic.Int64 // until then it acts for its players: with Serve perhaps longer
	ahead atomic.Int64 // how far the wall clock was ahead of ours, when keepLease last looked
	serve bool         // Config.Isolation
	rand  func(n int) int

	onUndelivered func(user, route string, err error)
	messages      *messages
	broadcasts    *broadcasts
	services      *services
	presence      *presence
	labels        []string
	rooms         rooms
	lists         listCounters

	// Set by Join, for others to read once joined is true.
	joined atomic.Bool
	host   framework.ClusterHost
	log    *slog.Logger
	me     core.Incarnation
	ctx    context.Context // of all that runs while the server is one of the cluster
	cancel context.CancelFunc
	jobs   jobs.Queue
	bans   bans
	wake   bell     // the lease has something to do
	mark   *os.File // others take this process for ended when it is closed; nil without Config.Dir

	// Of keepLease.
	complained time.Duration
	lastError  error

	mu sync.Mutex
	// Guarded by mu.
	lease    *core.Lease
	watch    *core.Watch
	members  core.Members
	holdings core.Holdings
	draining bool
	frozen   bool                         // by a freezer
	sent     map[session.ID]time.Duration // clients that were sent to the owner of their session
	given    map[session.ID]time.Duration // sessions that another server has asked for
	declared map[core.Incarnation]bool    // a tombstone was made here, or is being made
}

// New checks the configuration. Nothing runs before the server is started.
func New(cfg Config) (*Cluster, error) {
	if cfg.Bus == nil {
		return nil, errors.New("cluster: Config.Bus is nil")
	}
	if cfg.Isolation > Serve {
		return nil, fmt.Errorf("cluster: Config.Isolation %d is neither Pause nor Serve", cfg.Isolation)
	}
	c := &Cluster{
		bus: newMeter(cfg.Bus), node: cfg.Node, dir: cfg.Dir, serve: cfg.Isolation == Serve, rand: cfg.Rand, start: clock(), onUndelivered: cfg.OnUndelivered, labels: slices.Clone(cfg.Labels), wake: newBell(),
		sent: map[session.ID]time.Duration{}, given: map[session.ID]time.Duration{}, declared: map[core.Incarnation]bool{},
	}
	c.jobs.Limit, c.rooms.jobs.Limit = maxJobs, maxJobs
	c.messages, c.broadcasts, c.services = newMessages(c), newBroadcasts(c, cfg.OnMissed), newServices(c)
	c.presence = newPresence(c)
	if c.rand == nil {
		c.rand = rand.IntN
	}
	c.serveRooms()
	return c, nil
}

func (c *Cluster) now() time.Duration { return since(c.start) }

// Valid implements framework.Cluster.
func (c *Cluster) Valid() bool { return c.before(&c.acts) }

// HasLease implements framework.Cluster.
func (c *Cluster) HasLease() bool { return c.before(&c.until) }

// before reports whether it is before end, for sure: the machine was not suspended.
func (c *Cluster) before(end *atomic.Int64) bool {
	now, _, stood := c.times()
	if stood {
		c.wake.ring()
		return false
	}
	return int64(now) < end.Load()
}

// times returns our time, how far the wall clock is ahead of it, and whether that has grown so much
// since keepLease last looked that the machine must have been suspended.
func (c *Cluster) times() (now, ahead time.Duration, stood bool) {
	now, ahead = times(c.start)
	return now, ahead, int64(ahead)-c.ahead.Load() >= int64(suspended)
}

// ErrSecret refuses a server that has another Secret than the cluster.
var ErrSecret = errors.New("cluster: this server's Secret is not that of the others")

// ErrKey refuses a server. Its clients would not find the key that they know at the others.
var ErrKey = errors.New("cluster: this server's KeyFile is not that of the others")

// ErrNumber says that no number was free for this server's node in time.
var ErrNumber = errors.New("cluster: the number of the node is taken")

// Join implements framework.Cluster.
func (c *Cluster) Join(ctx context.Context, h framework.ClusterHost) (uint16, error) {
	if c.host != nil {
		return 0, errors.New("cluster: a Cluster is of one server, and joins once")
	}
	c.host = h
	if err := c.checkMeta(ctx); err != nil {
		return 0, err
	}
	node := c.node
	if node == 0 {
		var err error
		if node, err = c.takeNode(ctx); err != nil {
			return 0, err
		}
	}
	c.me = core.Incarnation{Node: node, Boot: h.Boot()}
	c.log = h.Logger().With("incarnation", c.me)
	c.bus.log = c.log
	c.lease, c.watch = core.NewLease(c.me, core.Default), core.NewWatch(c.me, core.Default)
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.joined.Store(true)
	if f, ok := c.bus.Bus.(freezer); ok {
		f.OnFreeze(c.freeze)
	}
	if err := c.enter(ctx); err != nil {
		c.cancel()
		c.dropMark()
		return 0, err
	}
	go c.lookAfterOthers() // ends with ctx
	go c.giveSeatsBack()   // likewise
	c.messages.start()
	c.broadcasts.start()
	if c.presence.here != nil {
		go c.presence.keep() // ends with ctx
	}
	c.log.Info("joined the cluster", "addr", h.Address())
	return node, nil
}

// enter makes this server one of those that live.
func (c *Cluster) enter(ctx context.Context) error {
	for _, step := range []func() error{c.makeMark, c.watchAll, c.checkKeys, c.serveAll, c.broadcasts.listen} {
		if err := step(); err != nil {
			return err
		}
	}
	go c.keepLease() // ends with ctx, or with the lease
	if err := c.awaitLease(ctx); err != nil {
		return err
	}
	return c.describe(ctx)
}

// serveAll begins to answer the others.
func (c *Cluster) serveAll() error {
	for name, answer := range map[string]func([]byte) []byte{
		c.me.String(): c.answer, statsName(c.me): c.answerStats, pipeName(c.me): c.messages.receive, callName(c.me): c.services.answer,
		roomsName(c.me): c.answerRooms,
	} {
		if err := c.bus.Serve(c.ctx, name, answer); err != nil {
			return err
		}
	}
	return nil
}

// makeMark lets others of this machine see when this process has ended.
func (c *Cluster) makeMark() (err error) {
	if c.dir != "" {
		c.mark, err = mark(c.dir, c.me)
	}
	return err
}

func markPath(dir string, i core.Incarnation) string { return filepath.Join(dir, i.String()) }

// dropMark removes the mark of a server that owns nothing any more.
func (c *Cluster) dropMark() {
	if c.mark != nil {
		_ = errors.Join(os.Remove(c.mark.Name()), c.mark.Close()) // one that stays harms nothing
	}
}

// ended reports that the process of an incarnation has ended for sure.
func (c *Cluster) ended(i core.Incarnation) bool {
	return c.dir != "" && i != (core.Incarnation{}) && ended(c.dir, i)
}

// checkMeta makes sure that the server belongs to those that are there.
func (c *Cluster) checkMeta(ctx context.Context) error {
	want := metaBody{Version: metaVersion, Secret: fingerprint(c.host.Secret())}
	const key = bucketMeta + "/cluster"
	for {
		b, rev, err := c.bus.Get(ctx, key)
		if err == nil && len(b) == 0 {
			if _, err = c.bus.Put(ctx, key, encode(&want), rev); err == nil {
				return nil
			}
		}
		var got metaBody
		switch {
		case len(b) > 0 && decode(b, &got) != nil, len(b) > 0 && got.Version != metaVersion:
			return fmt.Errorf("cluster: its directory has format %d, and this server knows %d", got.Version, metaVersion)
		case len(b) > 0 && !bytes.Equal(got.Secret, want.Secret):
			return ErrSecret
		case len(b) > 0:
			return nil
		}
		if !pause(ctx, 100*time.Millisecond) {
			return fmt.Errorf("cluster: the directory does not answer: %w", errors.Join(err, ctx.Err()))
		}
	}
}

// checkKeys makes sure that the server shares a key with each of those that live. While one
// key takes the place of another, files have both.
func (c *Cluster) checkKeys() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	mine := c.host.Keys()
	for _, m := range c.members.Living() {
		if len(mine) > 0 && len(m.Keys) > 0 && !slices.ContainsFunc(mine, func(key string) bool { return slices.Contains(m.Keys, key) }) {
			return fmt.Errorf("%w: it begins with %s, that of server %d with %s", ErrKey, mine[0], m.Incarnation.Node, m.Keys[0])
		}
	}
	return nil
}

// takeNode takes the smallest number that is free. Its lease stands there from now on, so
// that servers that start at the same time have different ones.
func (c *Cluster) takeNode(ctx context.Context) (uint16, error) {
	for n := uint16(1); n != 0; {
		mine, err := c.tryNode(ctx, n)
		switch {
		case err == nil && mine:
			return n, nil
		case err == nil:
			n++
		case !errors.Is(err, ErrConflict) && !pause(ctx, 100*time.Millisecond):
			return 0, fmt.Errorf("cluster: no number: %w", err)
		}
	}
	return 0, ErrNumber
}

// tryNode takes a number. It reports false if another server has it.
func (c *Cluster) tryNode(ctx context.Context, n uint16) (bool, error) {
	b, rev, err := c.bus.Get(ctx, leaseKey(n))
	if err != nil {
		return false, err
	}
	me := core.Incarnation{Node: n, Boot: c.host.Boot()}
	v, err := core.ParseLease(n, b)
	switch {
	case err != nil:
		return false, err
	case v.Owner == me: // an answer was lost
		return true, nil
	case v.Owner != (core.Incarnation{}) && !v.Dead:
		return false, nil
	case v.Owner != (core.Incarnation{}):
		// The lease is the only trace of its death until there is a tombstone.
		if err := c.tombstone(ctx, v.Owner); err != nil {
			return false, err
		}
	}
	first := core.LeaseValue{Owner: me}
	_, err = c.bus.Put(ctx, leaseKey(n), first.Append(nil), rev)
	return err == nil, err
}

// awaitLease waits for the first lease.
func (c *Cluster) awaitLease(ctx context.Context) error {
	said := false
	for !c.HasLease() {
		c.mu.Lock()
		taken, over := c.lease.Taken(), c.lease.Over()
		c.mu.Unlock()
		if c.ended(taken) {
			c.mu.Lock()
			c.lease.Ended(taken)
			c.mu.Unlock()
		} else if taken != (core.Incarnation{}) && !said {
			said = true
			c.log.Warn("the number of this node is taken, perhaps by a server that has crashed: waiting until it is declared dead", "by", taken)
		}
		if over || !pause(ctx, 20*time.Millisecond) {
			if taken != (core.Incarnation{}) || over {
				return fmt.Errorf("%w: %d, by %v", ErrNumber, c.me.Node, taken)
			}
			return fmt.Errorf("cluster: no lease: %w", ctx.Err())
		}
	}
	return nil
}

// describe writes the server's own record.
func (c *Cluster) describe(ctx context.Context) error {
	c.mu.Lock()
	m := core.Member{Incarnation: c.me, Draining: c.draining, Address: c.host.Address(), Routes: c.host.Routes(), Keys: c.host.Keys(), Labels: c.labels}
	c.members.Put(m)
	c.mu.Unlock()
	key, want := bucketMembers+"/"+strconv.Itoa(int(c.me.Node)), encodeMember(m)
	for {
		b, rev, err := c.bus.Get(ctx, key)
		if err == nil && bytes.Equal(b, want) {
			return nil
		}
		if err == nil {
			if _, err = c.bus.Put(ctx, key, want, rev); err == nil {
				return nil
			}
		}
		if !pause(ctx, 100*time.Millisecond) {
			return fmt.Errorf("cluster: describe this server: %w", errors.Join(err, ctx.Err()))
		}
	}
}

// Elsewhere implements framework.Cluster: by the id, so that players spread.
func (c *Cluster) Elsewhere(id session.ID) (address string, takes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list, others := c.takersLocked(c.host.Routes())
	if takes = len(list) > 0; !takes {
		list = others
	}
	if len(list) == 0 {
		return "", false
	}
	return oneOf(list, id).Address, takes
}

// takersLocked returns the other servers that clients can be sent to: those with these routes, and
// those of another release. The caller holds mu.
func (c *Cluster) takersLocked(routes []byte) (same, others []core.Member) {
	for _, m := range c.members.Living() {
		switch {
		case m.Incarnation == c.me || m.Draining || m.Address == "":
		case bytes.Equal(m.Routes, routes):
			same = append(same, m)
		default:
			others = append(others, m)
		}
	}
	return same, others
}

// oneOf chooses by the id, so that players spread.
func oneOf(list []core.Member, id session.ID) core.Member {
	h := fnv.New32a()
	_, _ = h.Write(id[:])
	return list[int(h.Sum32()%uint32(len(list)))]
}

// Drain implements framework.Cluster.
func (c *Cluster) Drain() {
	c.mu.Lock()
	c.draining = true
	c.mu.Unlock()
	go func() { // ends when it is written, or with the server
		if err := c.describe(c.ctx); err != nil && c.ctx.Err() == nil {
			c.log.Error("the others do not know that this server drains", "error", err)
		}
	}()
}

// flushTime bounds how long a server that leaves waits for what it sends to others.
const flushTime = time.Second

// Leave implements framework.Cluster: the others need not wait for this server to be
// declared dead.
func (c *Cluster) Leave(ctx context.Context) error {
	defer c.cancel()
	defer c.messages.close()
	defer c.broadcasts.close()
	c.services.leave(ctx)
	soon, cancel := context.WithTimeout(ctx, flushTime)
	for !(c.messages.empty() && c.broadcasts.empty()) && pause(soon, 10*time.Millisecond) {
	}
	cancel()
	err := c.settle(ctx)
	c.mu.Lock()
	c.lease.Leave()
	c.mu.Unlock()
	c.wake.ring()
	for {
		c.mu.Lock()
		left := c.lease.Left() || c.lease.Over()
		c.mu.Unlock()
		if left {
			c.dropMark()
			dead := c.tombstone(ctx, c.me)
			for dead != nil && pause(ctx, 100*time.Millisecond) {
				dead = c.tombstone(ctx, c.me)
			}
			return errors.Join(err, dead)
		}
		if !pause(ctx, 10*time.Millisecond) {
			return fmt.Errorf("cluster: leave: %w", errors.Join(err, ctx.Err()))
		}
	}
}

// settle waits until this server owns nothing, and nothing is on its way here: what it would leave
// in the directory under its name is lost.
func (c *Cluster) settle(ctx context.Context) error {
	for {
		c.mu.Lock()
		n, over := c.holdings.Len(), c.lease.Over()
		c.mu.Unlock()
		if n == 0 || over {
			return c.jobs.Wait(ctx)
		}
		if !pause(ctx, 10*time.Millisecond) {
			return fmt.Errorf("cluster: %d sessions are not given up: %w", n, ctx.Err())
		}
	}
}

// Member is a server of the cluster.
type Member struct {
	Node     uint16
	Draining bool
	Address  string   // what clients dial to reach it
	Labels   []string // Config.Labels

	incarnation core.Incarnation
}

func memberOf(m core.Member) Member {
	return Member{m.Incarnation.Node, m.Draining, m.Address, slices.Clone(m.Labels), m.Incarnation}
}

// member describes a server, by its number alone if it is not known to live.
func (c *Cluster) member(i core.Incarnation) Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m, ok := c.members.Member(i); ok {
		return memberOf(m)
	}
	return Member{Node: i.Node, incarnation: i}
}

// Members returns the servers that live, as far as is known here. It does not block.
func (c *Cluster) Members() (list []Member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members.Living() {
		list = append(list, memberOf(m))
	}
	return list
}

// bell wakes a goroutine that sleeps. If none does, its next sleep ends at once.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// sleep waits for d, for ring, or for the end of ctx.
func (b bell) sleep(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	select {
	case <-b:
	case <-ctx.Done():
	}
}

// pause waits for d, and reports false if ctx ends before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(max(d, 1))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
