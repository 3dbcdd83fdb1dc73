// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/pending"
	"github.com/lifeline-go/lifeline/session"
)

// buffers are where bodies are put together.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Request sends v and waits for the answer, which it reads into reply, a
// pointer, or ignores if reply is nil. When it returns, the handlers of what the
// server sent before the answer have returned too: see On. The request outlives
// lost links; only ctx bounds the wait. The error is ctx's, ErrFull when too much waits
// to be sent, ErrClosed, or a *Error: what the server answered,
// or ErrorReset when the session was reset or ended before the answer.
// After ctx ended the server may still do what was asked.
func (c *Client) Request(ctx context.Context, route string, v, reply any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	id, call, err := c.send(codec.Request, route, v)
	if err != nil {
		return err
	}
	payload, err := call.Wait(ctx, func() {
		c.mu.Lock()
		c.calls.Take(id)
		c.mu.Unlock()
	})
	if err != nil || reply == nil {
		return err
	}
	return codec.DecodeBody(payload, reply)
}

// begin sends a request. What comes of it is told to done, which runs where the handlers of
// OnMessage do.
func (c *Client) begin(route string, v any, done func(error)) {
	_, call, err := c.send(codec.Request, route, v)
	if err != nil {
		c.later(func() { done(err) })
		return
	}
	go func() { // ends with the answer, a RESET or the session
		_, err := call.Wait(context.Background(), nil)
		c.later(func() { done(err) })
	}()
}

// later runs f where the handlers of OnMessage do.
func (c *Client) later(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inbox.pushCall(f)
	c.work.Signal()
}

// Send sends v one way. It never blocks: without a link it waits to be sent,
// and when too much does the error is ErrFull.
func (c *Client) Send(route string, v any) error {
	_, _, err := c.send(codec.Message, route, v)
	return err
}

// SendNewest sends v one way for the moment: what is overtaken by a later one on
// the same route, or lost, is of no use any more, as with inputs and positions.
// It goes outside of the stream where the link can do that (sealed KCP, and a
// route that the server has numbered), and else, or without a link, as Send does.
func (c *Client) SendNewest(route string, v any) error {
	if len(route) == 0 || len(route) > codec.MaxRouteName {
		return fmt.Errorf("client: route %q: %w", route, codec.ErrRoute)
	}
	c.mu.Lock()
	var s *sealed
	if l := c.link; l != nil && c.core.State() == session.Open {
		if k, ok := l.conn.(*sealedConn); ok {
			s = k.s
		}
	}
	r, ack := c.routes.route(route), uint32(c.core.Received())
	c.mu.Unlock()
	if s == nil || !r.IsNumber() {
		return c.Send(route, v)
	}
	payload, err := codec.AppendBody(nil, v)
	if err != nil {
		return err
	}
	h := codec.Header{Kind: codec.Datagram, Ack: ack}
	if !s.sendDatagram(codec.AppendFrame(nil, h, codec.AppendMessage(nil, r, payload))) {
		return c.Send(route, v)
	}
	return nil
}

// send sends a MESSAGE, or a REQUEST with its id and its call.
func (c *Client) send(kind codec.Kind, route string, v any) (id uint64, call pending.Call, err error) {
	if len(route) == 0 || len(route) > codec.MaxRouteName {
		return 0, call, fmt.Errorf("client: route %q: %w", route, codec.ErrRoute)
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	payload, err := codec.AppendBody((*buf)[:0], v)
	if err != nil {
		return 0, call, err
	}
	*buf = payload
	c.mu.Lock()
	defer c.mu.Unlock()
	body, r := *buf, c.routes.route(route)
	if kind == codec.Request {
		id = c.calls.Next()
		body = codec.AppendRequest(body, id, r, payload)
	} else {
		body = codec.AppendMessage(body, r, payload)
	}
	*buf = body[:0]
	body = body[len(payload):]
	if err := c.core.Send(kind, body); errors.Is(err, codec.ErrTooLarge) {
		return 0, call, fmt.Errorf("client: route %q: %d bytes, the server takes %d: %w", route, len(body), c.core.Params().MaxBody, err)
	} else if err != nil {
		return 0, call, err
	}
	if kind == codec.Request {
		call = c.calls.Add(c.inbox.callback)
		c.holdLocked() // a handler that waits for it must not be what holds it up
		c.space.Signal()
	}
	c.stats.Sent++
	c.pumpLocked(c.clock.now())
	return id, call, nil
}

// answerLocked takes a RESPONSE or a FAILURE. An unknown id is that of a request that
// was given up.
func (c *Client) answerLocked(p codec.Packet) {
	id, a, err := pending.Parse(p)
	if err != nil {
		c.stats.Dropped++
	}
	if call := c.calls.Take(id); !call.IsZero() {
		if c.inbox.release(call, a) {
			c.work.Signal()
		}
	}
}

// failCallsLocked ends all requests: their answers can't come any more.
func (c *Client) failCallsLocked(text string) {
	c.calls.FailAll(&codec.Error{Code: codec.ErrorReset, Text: text})
}

// failTooLargeLocked ends the requests that the server would not take.
func (c *Client) failTooLargeLocked(packets []codec.Packet) {
	for _, p := range packets {
		if p.Kind != codec.Request {
			continue
		}
		id, _, _, err := codec.ParseRequest(p.Body)
		if err != nil {
			continue
		}
		if call := c.calls.Take(id); !call.IsZero() {
			call.Settle(pending.Answer{Err: codec.ErrTooLarge})
		}
	}
}

// askedLocked takes a request of the server. Without a handler it is answered
// at once.
func (c *Client) askedLocked(p codec.Packet) {
	id, r, _, err := codec.ParseRequest(p.Body)
	if err != nil {
		c.stats.Dropped++
		if id, ok := codec.EnvelopeID(p.Body); ok {
			_ = c.core.Send(codec.Failure, codec.AppendFailure(nil, id, codec.ErrorBadRequest, "malformed envelope"))
		}
		return
	}
	name := c.routes.name(r)
	if c.answerers[name] != nil {
		c.pushLocked(p)
		return
	}
	body := codec.AppendFailure(nil, id, codec.ErrorNoRoute, "the client answers no such request: "+name)
	if err := c.core.Send(codec.Failure, body); err != nil {
		c.stats.Dropped++
	}
}

// pushLocked queues what a handler is to get.
func (c *Client) pushLocked(p codec.Packet) {
	c.inbox.pushMessage(p, c.routes, c.ended)
	c.work.Signal()
}

// Room returns the view of a type of room, always the same one.
func (c *Client) Room(name string) *Room { return c.rooms.get(name) }

// Join takes a seat in a room, as Room(room).Join does. The error is as Request's.
func (c *Client) Join(ctx context.Context, room, key string) error {
	c.rooms.appDecides(room)
	return c.Request(ctx, routeJoin, [...]string{room, key}, nil)
}

// JoinAny takes a seat in the fullest room of a type that takes strangers and
// has one free, or in a new one, and returns its key. The error is as Request's.
func (c *Client) JoinAny(ctx context.Context, room string) (key string, err error) {
	return c.Room(room).Join(ctx, "")
}

// Leave gives up the seat in the only room that the client is in. The error is as
// Request's.
func (c *Client) Leave(ctx context.Context) error {
	c.rooms.appDecides("")
	return c.Request(ctx, routeLeave, struct{}{}, nil)
}
