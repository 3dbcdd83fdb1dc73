// SPDX-License-Identifier: MIT

package client

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// handler decodes a payload and calls the app. Immutable.
type handler func(payload []byte) error

// OnMessage registers fn for the messages of a route. Handlers and event callbacks
// run one at a time and in order on the client's delivery goroutine. They may
// block: the messages behind them wait, and when too many do the server is
// asked to hold, answers included. A handler may wait for a Request even so, as
// long as fewer than some 4,000 messages come before its answer, which it gets
// at once. All other answers come when the callbacks of what the server sent
// before them have returned, or when one of those has blocked for a second. A
// second handler for the same route panics, and so does a type whose values would
// not arrive whole (codec.CheckType).
func OnMessage[M any](c *Client, route string, fn func(M)) {
	checkTypes(route, reflect.TypeFor[M]())
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.handlers[route]; ok {
		panic(fmt.Sprintf("client: route %q has a handler already", route))
	}
	c.handlers[route] = func(payload []byte) error { return take(payload, fn) }
}

// take decodes a payload and calls fn with it.
func take[M any](payload []byte, fn func(M)) error {
	var m M
	err := codec.DecodeBody(payload, &m)
	if err == nil {
		fn(m)
	}
	return err
}

func checkTypes(route string, types ...reflect.Type) {
	for _, t := range types {
		if err := codec.CheckType(t); err != nil {
			panic(fmt.Sprintf("client: route %q: %v", route, err))
		}
	}
}

// answerer does the same for a request and encodes the answer.
type answerer func(payload []byte) (codec.Raw, error)

// OnRequest registers fn for the requests of the server on a route. It runs
// where the handlers of OnMessage do, in order with them. An error that is a
// *Error reaches the server as it is, any other one as INTERNAL. A second
// handler for the same route panics, and so does a type as with OnMessage.
func OnRequest[Q, A any](c *Client, route string, fn func(Q) (A, error)) {
	checkTypes(route, reflect.TypeFor[Q](), reflect.TypeFor[A]())
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.answerers[route]; ok {
		panic(fmt.Sprintf("client: route %q answers requests already", route))
	}
	c.answerers[route] = func(payload []byte) (codec.Raw, error) {
		var q Q
		if err := codec.DecodeBody(payload, &q); err != nil {
			return nil, codec.BadRequest(err)
		}
		a, err := fn(q)
		if err != nil {
			return nil, err
		}
		return codec.AppendBody(nil, &a)
	}
}

// holdLocked asks the server to stop, or to go on, where the inbox says so.
func (c *Client) holdLocked() {
	if !c.inbox.hold(c.calls.Len() > 0) {
		return
	}
	if c.inbox.held {
		c.stats.Holds++
	}
	c.core.Hold(c.inbox.held)
}

// deliver runs the app's callbacks until the client has ended. Owned by itself.
func (c *Client) deliver() {
	defer close(c.done)
	var log complaint
	for {
		c.mu.Lock()
		c.inbox.end()
		for c.inbox.n == 0 && !c.ending {
			c.work.Wait()
		}
		if c.inbox.n == 0 {
			c.mu.Unlock()
			return
		}
		e := c.inbox.pop()
		if !e.call.IsZero() {
			e.call.Settle(e.answer)
			c.mu.Unlock()
			continue
		}
		if e.state == nil {
			was := c.inbox.held
			c.holdLocked()
			if was && !c.inbox.held {
				c.pumpLocked(c.clock.now())
			}
			c.space.Signal()
		}
		skip := c.closing && e.state == nil
		c.beginLocked()
		c.mu.Unlock()
		switch {
		case e.run != nil:
			e.run()
		case e.state != nil && e.state.Kind == 0: // an answer that was let out
		case e.state != nil:
			switch e.state.Kind {
			case EventGone, EventClosed:
				c.sessionEnded(e.state)
			case EventReset:
				c.rooms.wasReset(e.state.restart)
			}
			log.told(c.cfg.logger(), c.clock.now(), *e.state)
			if c.cfg.OnEvent != nil {
				c.cfg.OnEvent(*e.state)
			}
		case !skip && e.kind == codec.Request:
			c.request(e)
		case !skip:
			c.message(e)
		}
	}
}

// beginLocked notes that a callback begins.
func (c *Client) beginLocked() {
	c.inbox.begin(c.clock.now())
	if c.inbox.answers > 0 && c.dueLocked() < c.armed {
		c.wakeRun()
	}
}

var errNoHandler = errors.New("client: no handler")

// message hands one message to its handler.
func (c *Client) message(e entry) {
	route := ""
	r, payload, err := codec.ParseMessage(e.body)
	if err == nil {
		route = e.routes.name(r)
		err = c.dispatch(route, payload)
	}
	if err != nil {
		c.mu.Lock()
		c.stats.Dropped++
		c.mu.Unlock()
		level := slog.LevelWarn
		if errors.Is(err, errNoHandler) {
			level = slog.LevelDebug
		}
		c.cfg.logger().Log(c.ctx, level, "client: message dropped", "route", route, "error", err)
	}
}

// dispatch gives a message to what takes its route.
func (c *Client) dispatch(route string, payload []byte) error {
	if ours, err := c.rooms.take(route, payload); ours {
		return err
	}
	if route == routeRefused {
		return take(payload, c.refused)
	}
	c.mu.Lock()
	fn := c.handlers[route]
	c.mu.Unlock()
	switch {
	case fn != nil:
		return fn(payload)
	case c.cfg.OnMessage != nil:
		c.cfg.OnMessage(route, payload)
		return nil
	}
	return errNoHandler
}

const routeRefused = "message.refused"

// refusedNews is what a strict server tells of a message that came to nothing.
type refusedNews struct {
	Route string
	Code  codec.ErrorCode
	Text  string
}

func (c *Client) refused(m refusedNews) {
	err := &codec.Error{Code: m.Code, Text: m.Text}
	if c.cfg.OnRefused != nil {
		c.cfg.OnRefused(m.Route, err)
		return
	}
	c.cfg.logger().Warn("client: the server refused a message", "route", m.Route, "error", err)
}

// sessionEnded leaves all rooms of a session that has ended, and tells the views.
func (c *Client) sessionEnded(e *Event) {
	var why Reason
	if end, ok := e.Err.(*session.CloseError); ok {
		why = Reason{end.Code, end.Text}
	}
	c.rooms.leaveAll(why, func(*Room) bool { return false })
	c.mu.Lock()
	ends := c.ends
	c.mu.Unlock()
	for _, f := range ends {
		f(why)
	}
}

// onEnd makes f run when a session has ended, on the delivery goroutine.
func (c *Client) onEnd(f func(why Reason)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends = append(c.ends, f)
}

// request hands a request of the server to its handler and sends the answer.
func (c *Client) request(e entry) {
	id, r, payload, err := codec.ParseRequest(e.body)
	if err != nil {
		return // it was parsed when it came
	}
	name := e.routes.name(r)
	c.mu.Lock()
	fn := c.answerers[name]
	c.mu.Unlock()
	var a codec.Raw
	if a, err = fn(payload); err == nil {
		if err = c.answer(e, codec.Response, codec.AppendResponse(nil, id, a)); err == nil {
			return
		}
	}
	var coded *codec.Error
	if !errors.As(err, &coded) {
		c.cfg.logger().Error("client: request failed", "route", name, "error", err)
		coded = &codec.Error{Code: codec.ErrorInternal, Text: "internal error"}
	}
	if c.answer(e, codec.Failure, codec.AppendFailure(nil, id, coded.Code, coded.Text)) != nil {
		_ = c.answer(e, codec.Failure, codec.AppendFailure(nil, id, coded.Code, ""))
	}
}

// answer sends the answer to a request. The error is that it is larger than the
// server takes. One that can't be sent otherwise is not: the server's patience
// ends. Nor is one to a session that is over: in another one its id is another
// request's.
func (c *Client) answer(e entry, kind codec.Kind, body []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.ended != c.ended {
		return nil
	}
	switch err := c.core.Send(kind, body); {
	case errors.Is(err, codec.ErrTooLarge):
		return fmt.Errorf("client: an answer of %d bytes, the server takes %d: %w", len(body), c.core.Params().MaxBody, err)
	case err != nil:
		c.stats.Dropped++
		c.cfg.logger().Warn("client: answer not sent", "error", err)
	default:
		c.pumpLocked(c.clock.now())
	}
	return nil
}
