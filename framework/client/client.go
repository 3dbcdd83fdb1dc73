// SPDX-License-Identifier: MIT

package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lifeline-go/lifeline/framework/internal/pending"
	"github.com/lifeline-go/lifeline/session"
)

// Client is one player's end of a session. All its methods, and OnMessage and OnRequest,
// are safe to call from any goroutine, handlers included.
//
// mu is never held while the app's code runs or a socket blocks. Below it, tickets, rooms,
// names of hosts and random bits have locks of their own. Its goroutines, none before
// Connect:
//
//   - run: the clock and the dialling. Ends when the session has.
//   - deliver: every callback of the app. Ends after the last one.
//   - link.read and link.write, one each per link. End with their link.
type Client struct {
	// Immutable after New.
	cfg     Config
	clock   *clock
	random  *entropy
	dialer  dialer
	tickets tickets
	rooms   rooms
	ctx     context.Context // of dialling: ends with the client
	stop    context.CancelFunc

	wake    chan struct{} // 1 deep: run has to look again
	up      chan struct{} // closed when the session is open for the first time
	quiet   chan struct{} // closed when run and all links have ended
	done    chan struct{} // closed after the last callback
	running sync.WaitGroup

	mu        sync.Mutex // guards the rest
	core      *session.Client
	started   bool
	closing   bool // by Close: messages that still wait are not delivered
	ending    bool // run is over: deliver ends when the inbox is empty
	err       error
	link      *link // that the core knows of, nil without one
	silent    silent
	armed     time.Duration // when run looks again by itself
	wantDial  bool
	dialGen   uint64 // counts the core's wishes to dial: an overtaken one is dropped
	undial    context.CancelFunc
	ways      ways    // to the server
	attempt   attempt // to reach the server
	wasUp     bool
	ended     uint64        // sessions
	calls     pending.Table // the tag of a call is the callback that ran when it was made, 0: none
	handlers  map[string]handler
	answerers map[string]answerer
	ends      []func(Reason) // called when a session has ended
	routes    *dictionary    // of the present session, never nil
	inbox     inbox
	work      sync.Cond // the inbox got something, or ending
	space     sync.Cond // the inbox got room, or a link ended
	idle      sync.Cond // a writer has nothing to write
	stats     Stats
}

// New makes a client that does nothing until Connect, so that handlers can be
// registered before the first message. Addresses look like
// "kcp://host:port" or "tcp://host:port" and are tried in their order,
// what lately failed while another one worked last: Config.Fallback.
func New(addrs []string, cfg Config) (*Client, error) {
	list, err := parseAddresses(addrs)
	if err != nil {
		return nil, err
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	key, err := cfg.serverKey(list)
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg: cfg, clock: newClock(), random: &entropy{from: cfg.Rand},
		wake: make(chan struct{}, 1), up: make(chan struct{}), quiet: make(chan struct{}), done: make(chan struct{}),
		handlers: make(map[string]handler), answerers: make(map[string]answerer), routes: new(dictionary),
	}
	c.dialer = dialer{cfg: &c.cfg, serverKey: key, clock: c.clock, random: c.random, names: names{lookup: c.cfg.lookup}}
	c.rooms.ask, c.rooms.begin, c.rooms.later = c.Request, c.begin, c.later
	c.rooms.pause = func(most time.Duration) time.Duration {
		return c.clock.real(time.Duration(c.random.number() % uint64(most)))
	}
	c.inbox.maxPackets, c.inbox.maxBytes = cmp.Or(cfg.InboxPackets, 1024), cmp.Or(cfg.InboxBytes, 1<<20)
	c.ways = newWays(list, cfg.fallback(), c.cfg.logger())
	c.work.L, c.space.L, c.idle.L = &c.mu, &c.mu, &c.mu
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.tickets = tickets{call: cfg.Ticket, timeout: cmp.Or(cfg.TicketTimeout, 10*time.Second), info: len(cfg.Info), clock: c.clock, ctx: c.ctx}
	c.core, err = session.NewClient(session.ClientConfig{
		Ticket: c.takeTicketLocked,
		Info:   cfg.Info, Token: cfg.Token, MaxPackets: cfg.MaxPackets, MaxBytes: cfg.MaxBytes, MaxReceive: cfg.MaxReceive,
		OpeningTimeout: cfg.OpeningTimeout, MinDelay: cfg.MinDelay, MaxDelay: cfg.MaxDelay, Rand: c.random.number,
	})
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("client: %w", err)
	}
	return c, nil
}

// Dial is New and Connect in one, for apps that need no handlers before the
// first message.
func Dial(ctx context.Context, addrs []string, cfg Config) (*Client, error) {
	c, err := New(addrs, cfg)
	if err != nil {
		return nil, err
	}
	if err := c.Connect(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Connect starts the client and returns when its session is open. From then on
// it comes back by itself whenever a link breaks. Until then it tries for as
// long as ctx lasts, and tells of each attempt by the state Failed. Otherwise
// the client is closed for good and the error is ctx's with what went wrong last,
// or a *CloseError when the server refused for good. A second call is
// an error and changes nothing; after Close, or once the client has ended, that
// is ErrClosed.
func (c *Client) Connect(ctx context.Context) error {
	late := ctx.Err()
	c.mu.Lock()
	started, over := c.started, c.closing || c.core.State() == session.Ended
	c.started = started || late == nil
	c.mu.Unlock()
	switch {
	case over:
		return fmt.Errorf("client: Connect: %w", session.ErrClosed)
	case started:
		return errors.New("client: Connect was called before")
	case late != nil:
		_ = c.Close()
		return fmt.Errorf("client: no session: %w", late)
	}
	go c.run()     // ends with the session: Close
	go c.deliver() // ends after run
	select {
	case <-c.up:
		return nil
	case <-c.quiet:
		return c.Err()
	case <-ctx.Done():
	}
	c.mu.Lock()
	last := c.attempt.why()
	c.mu.Unlock()
	_ = c.Close()
	if last != nil {
		return fmt.Errorf("client: no session: %w; last: %w", ctx.Err(), last)
	}
	return fmt.Errorf("client: no session: %w", ctx.Err())
}

// Close says goodbye, which ends the session on the server at once, and waits
// until the server has what was sent before, at most Config.CloseTimeout. What
// it has not is reported in the last State, Closed. Messages that wait for a
// handler are dropped. A handler that runs goes on: wait for Done, elsewhere,
// to know that it returned.
func (c *Client) Close() error {
	c.mu.Lock()
	if !c.started {
		c.started = true
		c.core.Close()
		c.changesLocked()
		close(c.quiet)
		go c.deliver() // ends at once: there is nothing but the last State
		c.finishLocked()
		c.mu.Unlock()
		return nil
	}
	first := !c.closing
	c.closing = true
	if first && c.core.State() == session.Open {
		c.drainLocked()
	}
	if first {
		c.core.Close()
		c.settleLocked()
		c.stop()
	}
	c.mu.Unlock()
	<-c.quiet
	return nil
}

// drainLocked waits until what was sent is written and acknowledged, so that
// nothing is reported that the server has, and the goodbye
// stands behind it.
func (c *Client) drainLocked() {
	l, late := c.link, false
	t := time.AfterFunc(c.cfg.closeTimeout(), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		late = true
		c.idle.Broadcast()
	})
	defer t.Stop()
	for !late && c.link == l && l != nil && l.busy {
		c.idle.Wait()
	}
	waits := func() bool { n, _ := c.core.Queued(); return n > 0 && !late && c.link == l && l != nil }
	if waits() {
		c.core.Ask()
		c.pumpLocked(c.clock.now())
	}
	for waits() {
		c.idle.Wait()
	}
}

// finishLocked lets deliver end.
func (c *Client) finishLocked() {
	c.ending = true
	c.work.Broadcast()
	c.stop()
	c.lastAnswersLocked()
}

// lastAnswersLocked lets answers out behind a callback that does not return, as run did.
func (c *Client) lastAnswersLocked() {
	switch {
	case c.inbox.answers == 0:
	case c.inbox.blockedAt() <= c.clock.now():
		c.inbox.releaseAll()
	default:
		time.AfterFunc(c.clock.real(answerPatience), func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.lastAnswersLocked()
		})
	}
}

// Done is closed when the client has ended for good and the last callback has
// returned.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns why the client ended, a *CloseError, or nil while it
// has not.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Cut drops the link without a word on the network, as a pulled cable would;
// for bots and tests. The client itself notices at once and comes back. A KCP
// socket is closed, and no packet says so. A TCP socket is neither read nor
// written any more, but kept open until the server must have missed it (or
// Close, or the fourth further Cut), because closing it would tell; what was
// written before may still arrive. A connection that Config.Dial made and that
// has a method Cut() is told to do it itself.
func (c *Client) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil {
		return
	}
	c.stats.Cuts++
	c.abandonLocked(c.clock.now())
	c.settleLocked()
}

// Rebind gives the link another local address without a word on the network,
// as happens to a phone that goes from Wi-Fi to mobile and to a player behind a
// NAT that forgets; for bots and tests. The link goes on. It reports false if
// there is no link, or one on a carrier that can't.
func (c *Client) Rebind() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil {
		return false
	}
	k, ok := c.link.conn.(*sealedConn)
	if ok {
		k.s.move()
		c.stats.Rebinds++
	}
	return ok
}

// Pause goes to the background: the server is told that the player is away,
// which starts the grace of the session, and no link is kept until Hurry.
func (c *Client) Pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.core.Pause(c.clock.now())
	if c.link != nil {
		c.link.told = true
	}
	if c.undial != nil {
		c.undial()
	}
	c.settleLocked()
}

// Hurry tells that the app is back in the foreground or that the local network
// changed: a lost link is opened again at once, a pause ends, and a link that
// seems to be fine is asked to prove it within seconds.
func (c *Client) Hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ways.networkChanged()
	c.core.Hurry(c.clock.now())
	c.settleLocked()
}

// Token returns the reconnect token: one opaque string that a later run of the
// app may hand to Config.Token while the session lives. Whoever has it is the
// player: store it like a password. It is empty without a session.
func (c *Client) Token() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.core.Token()
}

// ID returns the id of the session, zero without one.
func (c *Client) ID() ID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.core.ID()
}

// RTT returns the smoothed round trip of heartbeats on the current link, 0
// before the first.
func (c *Client) RTT() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.core.RTT()
}

// Stats counts what happened since New.
type Stats struct {
	Carrier  string // of the current link: "kcp", "plain-kcp", "tcp" or "ws", empty without one
	Opens    uint64 // sessions
	Resumes  uint64 // links that carried a session on, nothing lost
	Resets   uint64 // links that carried a session on, the server's stream anew
	Losses   uint64 // open links that were lost, those cut included
	Cuts     uint64 // links that Cut dropped
	Rebinds  uint64 // changes of the local address that Rebind made
	Dials    uint64 // addresses dialled
	Failures uint64 // dials that failed

	Sent       uint64 // requests and messages accepted by Send and Request
	Received   uint64 // messages, answers and requests of the server
	BytesIn    uint64 // of frames
	BytesOut   uint64
	Dropped    uint64 // of them without a handler, malformed, or not of its type
	Holds      uint64 // times that the server was asked to hold
	OutPackets int    // packets that the server has not accepted
	OutBytes   int
	InPackets  int // messages that wait for a handler
}

// Stats returns the counters.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	if c.link != nil {
		s.Carrier = c.link.way.carrier.String()
	}
	s.OutPackets, s.OutBytes = c.core.Queued()
	s.InPackets = c.inbox.messages
	return s
}
