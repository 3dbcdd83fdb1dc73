// SPDX-License-Identifier: MIT

package client

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/lifeline-go/lifeline/codec"
)

// handler decodes a payload and calls the app. Immutable.
type handler func(payload []byte) error

// On registers fn for the messages of a route. Handlers and State callbacks
// run one at a time and in order on the client's delivery goroutine. They may
// block: the messages behind them wait, and when too many do the server is
// asked to hold, answers included. A handler may wait for a Request even so, as
// long as fewer than some 4,000 messages come before its answer. A second
// handler for the same route panics.
func On[M any](c *Client, route string, fn func(M)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.handlers[route]; ok {
		panic(fmt.Sprintf("client: route %q has a handler already", route))
	}
	c.handlers[route] = func(payload []byte) error {
		var m M
		if err := codec.DecodeBody(payload, &m); err != nil {
			return err
		}
		fn(m)
		return nil
	}
}

// entry is a message, or a state if there is one.
type entry struct {
	body  []byte // of a MESSAGE or DATAGRAM
	state *State
}

// inbox is the queue before the app's callbacks: a ring whose places keep
// their memory. Guarded by Client.mu.
type inbox struct {
	ring     []entry
	head, n  int
	spare    []byte // what the popped message stands in
	messages int
	bytes    int // of messages
	held     bool
}

// keepBody is the largest memory that a place of the ring keeps.
const keepBody = 4 << 10

func (q *inbox) push() *entry {
	if q.n == len(q.ring) {
		ring := make([]entry, max(2*len(q.ring), 8))
		copy(ring[copy(ring, q.ring[q.head:]):], q.ring[:q.head])
		q.ring, q.head = ring, 0
	}
	e := &q.ring[(q.head+q.n)%len(q.ring)]
	q.n++
	return e
}

func (q *inbox) pushMessage(body []byte) {
	e := q.push()
	e.state = nil
	e.body = append(e.body[:0], body...)
	q.messages++
	q.bytes += len(body)
}

func (q *inbox) pushState(s State) { q.push().state = &s }

// pop takes the oldest entry. Its body lives until the next message is popped.
func (q *inbox) pop() entry {
	at := &q.ring[q.head]
	e := *at
	if e.state == nil {
		q.messages--
		q.bytes -= len(e.body)
		if cap(q.spare) > keepBody {
			q.spare = nil
		}
		at.body, q.spare = q.spare, e.body
	}
	at.state = nil
	q.head = (q.head + 1) % len(q.ring)
	q.n--
	return e
}

// While requests wait for an answer the inbox may exceed its bounds by this:
// HOLD would stop the answers too, and the handler that does not empty the inbox
// may be waiting for one. What a server has on its way at most is less.
const (
	patientPackets = 4096
	patientBytes   = 4 << 20
)

// fullLocked reports whether the inbox holds more than part/4 of what it may.
func (c *Client) fullLocked(part int) bool {
	packets, bytes := c.cfg.inboxPackets(), c.cfg.inboxBytes()
	if len(c.calls) > 0 {
		packets, bytes = packets+patientPackets, bytes+patientBytes
	}
	return c.inbox.messages*4 >= packets*part || c.inbox.bytes*4 >= bytes*part
}

// holdLocked asks the server to stop at three quarters and to go on at one.
func (c *Client) holdLocked() {
	switch {
	case !c.inbox.held && c.fullLocked(3):
		c.inbox.held = true
		c.stats.Holds++
	case c.inbox.held && !c.fullLocked(1):
		c.inbox.held = false
	default:
		return
	}
	c.core.Hold(c.inbox.held)
}

// deafLocked reports that the inbox is so full that a server which heard HOLD
// can't have filled it so; what it sends waits in the socket.
func (c *Client) deafLocked() bool { return c.fullLocked(8) }

// deliver runs the app's callbacks until the client has ended. Owned by itself.
func (c *Client) deliver() {
	defer close(c.done)
	for {
		c.mu.Lock()
		for c.inbox.n == 0 && !c.ending {
			c.work.Wait()
		}
		if c.inbox.n == 0 {
			c.mu.Unlock()
			return
		}
		e := c.inbox.pop()
		if e.state == nil {
			was := c.inbox.held
			c.holdLocked()
			if was && !c.inbox.held {
				c.pumpLocked(c.clock.now())
			}
			c.space.Signal()
		}
		skip := c.closing && e.state == nil
		c.mu.Unlock()
		switch {
		case e.state != nil:
			if c.cfg.OnState != nil {
				c.cfg.OnState(*e.state)
			}
		case !skip:
			c.message(e.body)
		}
	}
}

var errNoHandler = errors.New("client: no handler")

// message hands one message to its handler.
func (c *Client) message(body []byte) {
	r, payload, err := codec.ParseMessage(body)
	if err == nil {
		c.mu.Lock()
		var fn handler
		if r.IsNumber() {
			fn = c.handlers[r.String()]
		} else {
			fn = c.handlers[string(r.Name())]
		}
		c.mu.Unlock()
		switch {
		case fn != nil:
			err = fn(payload)
		case c.cfg.OnMessage != nil:
			c.cfg.OnMessage(r.String(), payload)
		default:
			err = errNoHandler
		}
	}
	if err != nil {
		c.mu.Lock()
		c.stats.Dropped++
		c.mu.Unlock()
		level := slog.LevelWarn
		if errors.Is(err, errNoHandler) {
			level = slog.LevelDebug
		}
		c.cfg.logger().Log(c.ctx, level, "client: message dropped", "route", r.String(), "err", err)
	}
}
