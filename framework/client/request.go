// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// call is a request that waits for its answer. Guarded by Client.mu until it
// is taken out of Client.calls; then whoever took it sends the answer.
type call struct {
	answer chan answer // 1 deep: nobody waits to answer
	during uint64      // the callback that ran when it was asked, 0: none
}

type answer struct {
	payload []byte
	err     error
}

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
	k := &call{answer: make(chan answer, 1)}
	id, err := c.send(codec.Request, route, v, k)
	if err != nil {
		return err
	}
	var a answer
	select {
	case a = <-k.answer:
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.calls, id)
		c.mu.Unlock()
		select {
		case a = <-k.answer: // it came all the same
		default:
			return ctx.Err()
		}
	}
	if a.err != nil || reply == nil {
		return a.err
	}
	return codec.DecodeBody(a.payload, reply)
}

// Send sends v one way. It never blocks: without a link it waits to be sent,
// and when too much does the error is ErrFull.
func (c *Client) Send(route string, v any) error {
	_, err := c.send(codec.Message, route, v, nil)
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
	if !s.writeBeside(codec.AppendFrame(nil, h, codec.AppendMessage(nil, r, payload))) {
		return c.Send(route, v)
	}
	return nil
}

// Join takes a seat in a room. The error is as Request's.
func (c *Client) Join(ctx context.Context, room, key string) error {
	return c.Request(ctx, "room.join", [...]string{room, key}, nil)
}

// JoinAny takes a seat in the fullest room of a type that takes strangers and
// has one free, or in a new one, and returns its key. The error is as Request's.
func (c *Client) JoinAny(ctx context.Context, room string) (key string, err error) {
	err = c.Request(ctx, "room.join", [...]string{room, ""}, &key)
	return key, err
}

// Leave gives up the seat in the room. The error is as Request's.
func (c *Client) Leave(ctx context.Context) error {
	return c.Request(ctx, "room.leave", struct{}{}, nil)
}

func (c *Client) send(kind codec.Kind, route string, v any, k *call) (id uint64, err error) {
	if len(route) == 0 || len(route) > codec.MaxRouteName {
		return 0, fmt.Errorf("client: route %q: %w", route, codec.ErrRoute)
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	payload, err := codec.AppendBody((*buf)[:0], v)
	if err != nil {
		return 0, err
	}
	*buf = payload
	c.mu.Lock()
	defer c.mu.Unlock()
	body, r := *buf, c.routes.route(route)
	if k != nil {
		c.lastCall++
		id = c.lastCall
		body = codec.AppendRequest(body, id, r, payload)
	} else {
		body = codec.AppendMessage(body, r, payload)
	}
	*buf = body[:0]
	body = body[len(payload):]
	if err := c.core.Send(kind, body); errors.Is(err, codec.ErrTooLarge) {
		return 0, fmt.Errorf("client: route %q: %d bytes, the server takes %d: %w", route, len(body), c.core.Params().MaxBody, err)
	} else if err != nil {
		return 0, err
	}
	if k != nil {
		c.calls[id], k.during = k, c.callback
		c.holdLocked() // a handler that waits for it must not be what holds it up
		c.space.Signal()
	}
	c.stats.Sent++
	c.pumpLocked(c.clock.now())
	return id, nil
}

// answerLocked takes a RESPONSE or a FAILURE. Unknown ids are those of
// requests that nobody waits for any more.
func (c *Client) answerLocked(p codec.Packet) {
	var id uint64
	var a answer
	var err error
	if p.Kind == codec.Response {
		var payload []byte
		id, payload, err = codec.ParseResponse(p.Body)
		a.payload = append([]byte(nil), payload...)
	} else {
		var code codec.ErrorCode
		var text []byte
		id, code, text, err = codec.ParseFailure(p.Body)
		a.err = &codec.Error{Code: code, Text: string(text)}
	}
	if err != nil { // whoever waits for it is told, if it can be found
		c.stats.Dropped++
		id, _ = codec.EnvelopeID(p.Body)
		a = answer{err: fmt.Errorf("client: malformed answer: %w", err)}
	}
	if k := c.calls[id]; k != nil {
		delete(c.calls, id)
		c.releaseLocked(k, a)
	}
}

// failCallsLocked ends all requests: their answers can't come any more.
func (c *Client) failCallsLocked(text string) {
	for id, k := range c.calls {
		delete(c.calls, id)
		k.answer <- answer{err: &codec.Error{Code: codec.ErrorReset, Text: text}}
	}
}

// failTooLargeLocked ends the requests that the server would not take.
func (c *Client) failTooLargeLocked(packets []codec.Packet) {
	for _, p := range packets {
		if p.Kind != codec.Request {
			continue
		}
		id, _, _, err := codec.ParseRequest(p.Body)
		if k := c.calls[id]; err == nil && k != nil {
			delete(c.calls, id)
			k.answer <- answer{err: codec.ErrTooLarge}
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
