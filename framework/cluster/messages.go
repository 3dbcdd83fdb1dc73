// SPDX-License-Identifier: MIT

package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/pipe"
	"github.com/lifeline-go/lifeline/framework/internal/logs"
	"github.com/lifeline-go/lifeline/framework/internal/pending"
)

// Messages to users at other servers: package pipe decides, and here it is done.

// Why a message to a user was not taken, or not handed over: use errors.Is.
var (
	ErrBackpressure = pipe.ErrBackpressure // 8 MiB wait for the user's server, or 1 MiB for the user
	ErrOffline      = pipe.ErrOffline      // no server has a session of the user
	ErrUnreachable  = pipe.ErrUnreachable  // nor was it handed over: the directory or a server did not answer in time
	ErrUnknown      = pipe.ErrUnknown      // it was handed over, or not: the user's server has died, or did not answer
	ErrRefused      = pipe.ErrRefused      // by the user's server, as its buffer is full
)

var errOutside = fmt.Errorf("%w: this server is not in the cluster", ErrUnreachable)

// maxMessage bounds the body of a message in bytes. NATS takes no more than 1 MiB at once.
const maxMessage = 512 << 10

// messageCost is what a message counts for beside its bytes.
const messageCost = 128

// maxLookups bounds the goroutines that look users up, maxRequests those that wait for the
// answers of clients that other servers have asked.
const (
	maxLookups  = 32
	maxRequests = 1 << 12
)

// messages is what is on its way from this server, and what comes from others.
type messages struct {
	c    *Cluster
	wake bell // there is a lookup before keep looks again

	requests                                             atomic.Int64 // that wait for answers of clients
	sent, handedOver, received, repeated, unanswered     atomic.Uint64
	backpressure, offline, unreachable, unknown, refused atomic.Uint64
	said, garbled                                        logs.Limiter

	mu sync.Mutex
	// Guarded by mu.
	open    bool // between Join and Leave
	sender  *pipe.Sender
	calls   pending.Table // of Request and Move
	from    map[core.Incarnation]*incoming
	lookups int           // goroutines
	looks   time.Duration // when keep does
}

// incoming is what comes from one server.
type incoming struct {
	mu sync.Mutex
	r  pipe.Receiver // guarded by mu
}

// outgoing is the Content of a pipe.Message.
type outgoing struct {
	messageBody
	call uint64 // of messages.calls; 0 if none waits
}

func newMessages(c *Cluster) *messages {
	return &messages{c: c, wake: newBell(), sender: pipe.NewSender(pipe.Default), from: map[core.Incarnation]*incoming{}}
}

// pipeName is the name on the bus by which a server takes messages.
func pipeName(i core.Incarnation) string { return i.String() + ".pipe" }

// start takes messages from now on, until the cluster is left.
func (m *messages) start() {
	m.mu.Lock()
	m.open = true
	m.mu.Unlock()
	go m.keep() // ends with the cluster's ctx
}

func (m *messages) isOpen() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.open
}

// here returns the sessions of a user that are here, none if something for the user is on
// its way: that comes first.
func (m *messages) here(user string) []*framework.Player {
	m.mu.Lock()
	open, waits := m.open, m.sender.Waits(user)
	m.mu.Unlock()
	if !open || waits {
		return nil
	}
	return m.c.host.User(user)
}

// put takes a message on its way. If call is not nil, it is settled with what comes of it.
func (m *messages) put(to pipe.Address, b messageBody, call *pending.Call) (id uint64, err error) {
	size := len(b.Body) + len(b.Route) + len(b.Text) + len(b.User) + messageCost
	if len(b.Body) > maxMessage {
		return 0, fmt.Errorf("cluster: a message of %d bytes, of at most %d: %w", len(b.Body), maxMessage, codec.ErrTooLarge)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.open {
		return 0, errOutside
	}
	out := &outgoing{messageBody: b}
	if call != nil {
		id = m.calls.Next()
		out.call = id
		if b.Kind == kindRequest {
			out.ID = id
		}
	}
	if err := m.sender.Put(&pipe.Message{To: to, Size: size, Content: out}, m.c.now()); err != nil {
		m.backpressure.Add(1)
		return 0, err
	}
	if call != nil {
		*call = m.calls.Add(0)
	}
	m.sent.Add(1)
	m.goOnLocked()
	return id, nil
}

// forget gives a call up.
func (m *messages) forget(id uint64) {
	m.mu.Lock()
	m.calls.Take(id)
	m.mu.Unlock()
}

// step lets f change the sender, and does what it wants then.
func (m *messages) step(f func(now time.Duration) []pipe.Ended) {
	m.mu.Lock()
	ended := f(m.c.now())
	m.goOnLocked()
	m.mu.Unlock()
	m.tell(ended)
}

// goOnLocked begins what the sender wants. The caller holds mu.
func (m *messages) goOnLocked() {
	for _, to := range m.sender.Wake() {
		go m.run(to) // ends when nothing waits for that server
	}
	for m.lookups < maxLookups {
		user, ok := m.sender.Lookup(m.c.now())
		if !ok {
			break
		}
		m.lookups++
		go m.lookUp(user) // ends with the directory's answer
	}
	if at, ok := m.sender.NextLookup(); ok && at < m.looks {
		m.wake.ring()
	}
}

// lookPause is how long keep sleeps at least, if nothing wakes it.
const lookPause = 10 * time.Millisecond

// keep looks users up again whose sessions are on their way.
func (m *messages) keep() {
	for m.c.ctx.Err() == nil {
		m.mu.Lock()
		m.looks = 0 // it looks now, and must not wake itself: what is due may have to wait
		m.goOnLocked()
		now := m.c.now()
		at, ok := m.sender.NextLookup()
		if !ok {
			at = now + time.Hour
		}
		m.looks = max(at, now+lookPause)
		d := m.looks - now
		m.mu.Unlock()
		m.wake.sleep(m.c.ctx, d)
	}
}

// lookUp finds the server of a user.
func (m *messages) lookUp(user string) {
	at := m.c.locate(m.c.ctx, user)
	m.step(func(now time.Duration) []pipe.Ended {
		m.lookups--
		return m.sender.Located(user, at, now)
	})
}

// run sends what waits for a server, until nothing does.
func (m *messages) run(to core.Incarnation) {
	for {
		if m.c.dead(to) {
			m.step(func(now time.Duration) []pipe.Ended { return m.sender.Forget(to, now) })
			return
		}
		m.mu.Lock()
		b, wait, ok := m.sender.Next(to, m.c.now())
		m.mu.Unlock()
		switch {
		case !ok:
			return
		case wait > 0:
			pause(m.c.ctx, wait)
			continue
		}
		answers, err := m.ask(to, b)
		m.step(func(now time.Duration) []pipe.Ended {
			if err == nil {
				return m.sender.Answered(to, b.Number, answers, now)
			}
			m.unanswered.Add(1)
			return m.sender.Unanswered(to, b.Number, errors.Is(err, ErrNoServer), now)
		})
	}
}

// ask brings a batch to a server.
func (m *messages) ask(to core.Incarnation, b pipe.Batch) ([]pipe.Answer, error) {
	body := batchBody{Node: m.c.me.Node, Boot: m.c.me.Boot, Number: b.Number, Messages: make([]messageBody, len(b.Messages))}
	for i, msg := range b.Messages {
		body.Messages[i] = msg.Content.(*outgoing).messageBody
	}
	return m.askBatch(m.c.ctx, to, &body, b.Wait)
}

// askBatch is ask for a batch as it is sent.
func (m *messages) askBatch(ctx context.Context, to core.Incarnation, body *batchBody, limit time.Duration) ([]pipe.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var b []byte
	var err error
	if to == m.c.me {
		if b = m.receive(encode(body)); b == nil {
			err = ErrNoAnswer
		}
	} else {
		b, err = m.c.bus.Ask(ctx, pipeName(to), encode(body))
	}
	if err != nil {
		return nil, err
	}
	return decodeAnswers(b, len(body.Messages))
}

// tell tells what came of messages.
func (m *messages) tell(ended []pipe.Ended) {
	for _, e := range ended {
		out := e.Message.Content.(*outgoing)
		if e.Err == nil {
			m.handedOver.Add(1)
		} else {
			m.counter(e.Err).Add(1)
		}
		switch {
		case out.Kind == kindAnswer: // the other server's call ends with its time
		case out.call != 0:
			if e.Err != nil || out.Kind != kindRequest { // a request waits for its answer
				m.settle(out.call, pending.Answer{Err: e.Err})
			}
		case e.Err != nil:
			m.undelivered(out.User, out.Route, e.Err)
		}
	}
}

// counter is the one of an error.
func (m *messages) counter(err error) *atomic.Uint64 {
	switch {
	case errors.Is(err, ErrOffline):
		return &m.offline
	case errors.Is(err, ErrUnreachable):
		return &m.unreachable
	case errors.Is(err, ErrUnknown):
		return &m.unknown
	}
	return &m.refused
}

// settle ends a call.
func (m *messages) settle(id uint64, a pending.Answer) {
	m.mu.Lock()
	call := m.calls.Take(id)
	m.mu.Unlock()
	if !call.IsZero() {
		call.Settle(a)
	}
}

// undelivered tells the game of a message that its sender does not wait for.
func (m *messages) undelivered(user, route string, err error) {
	if f := m.c.onUndelivered; f != nil {
		f(user, route, err)
		return
	}
	if n, ok := m.said.Allow(clock()); ok {
		m.c.log.Info("a message to a user was not handed over", "user", logs.Label(user), "route", route, "times", n, "error", err)
	}
}

// forgetDead forgets the servers that are dead.
func (m *messages) forgetDead() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sender.ForgetIdle(m.c.dead)
	m.forgetSendersLocked()
}

// empty reports that nothing is on its way.
func (m *messages) empty() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sender.Empty()
}

// close ends all that is on its way.
func (m *messages) close() {
	m.mu.Lock()
	m.open = false
	ended := m.sender.Close()
	m.mu.Unlock()
	m.tell(ended)
	m.mu.Lock()
	m.calls.FailAll(ErrUnknown) // requests that clients have
	m.mu.Unlock()
}

// locate asks the directory for the server of a user.
func (c *Cluster) locate(ctx context.Context, user string) pipe.Place {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	entries, _, err := c.entries(ctx, c.userKey(user))
	if err != nil {
		return pipe.Place{Kind: pipe.Unclear}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return pipe.Find(entries, user, c.me, &c.members)
}

// dead reports whether a server has a tombstone.
func (c *Cluster) dead(i core.Incarnation) bool { return c.status(i) == core.Dead }
