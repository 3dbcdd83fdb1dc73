// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"errors"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/mailbox"
)

// Call is a message or a request on its way to its handler. It lives until the
// Handler returns.
type Call struct {
	Player  *Player
	Route   string
	Request bool // it will be answered

	route        *Route
	room         any
	asked        mailbox.Question
	payload, dst []byte
	ctx          context.Context // nil: the player's
	later        bool            // the handler answers later itself
}

// Context returns what the handler gets, if it takes a context: that of SetContext, or
// else the player's.
func (c *Call) Context() context.Context {
	if c.ctx != nil {
		return c.ctx
	}
	return c.Player.Context()
}

// SetContext hands something on to the handler and to what is wrapped further inside: a
// span, a tenant, a deadline. Make ctx from Call.Context, so that it ends with the
// session.
func (c *Call) SetContext(ctx context.Context) { c.ctx = ctx }

// Handler serves a Call. The error is the handler's; that of a request is
// answered (see Fail).
type Handler func(c *Call) error

// Use puts wrap around every handler, rooms' and Inline ones included, before
// the server starts; what was used first is outermost. A wrap does something
// before and after it calls next, or returns an error instead: to log, to
// measure, to refuse. It runs where the handler does. The built-in requests for rooms
// (RouteJoin and the like) come by too, on a worker or in the room that the player is in:
// of those next returns an error if nothing comes of them, and nil while OnJoin, which
// decides, is still to come.
func (s *Server) Use(wrap func(next Handler) Handler) {
	s.mustBeRegistering("Use")
	if wrap == nil {
		panic("framework: Use of nil")
	}
	s.wraps = append(s.wraps, wrap)
}

// assemble makes one Handler of what was used, nil if that is nothing.
func assemble(wraps []func(Handler) Handler) Handler {
	if len(wraps) == 0 {
		return nil
	}
	h := Handler(func(c *Call) (err error) {
		if begin := c.route.begin; begin != nil {
			err = begin(c.Player, c.asked, c.payload)
			c.later = err == nil
			return err
		}
		c.dst, err = c.route.serve(c.room, c.Player, scope{c.asked, c.ctx}, c.payload, c.dst)
		if c.later = err == errLater; c.later {
			return nil
		}
		return err
	})
	for i := len(wraps) - 1; i >= 0; i-- {
		h = wraps[i](h)
	}
	return h
}

// handle runs the handler of a route with all that was put around it.
func (r *Route) handle(room any, p *Player, kind codec.Kind, asked mailbox.Question, payload, dst []byte) ([]byte, error) {
	var out []byte
	var err error
	if p.srv.cfg.Observer.Handled == nil {
		out, err = r.run(room, p, kind, asked, payload, dst)
	} else {
		out, err = r.observed(p, func() ([]byte, error) { return r.run(room, p, kind, asked, payload, dst) })
	}
	if err != nil && err != errLater {
		examine(err)
	}
	return out, err
}

func (r *Route) run(room any, p *Player, kind codec.Kind, asked mailbox.Question, payload, dst []byte) ([]byte, error) {
	chain := p.srv.chain
	if chain == nil {
		return r.serve(room, p, scope{asked: asked}, payload, dst)
	}
	c := &Call{Player: p, Route: r.name, Request: kind == codec.Request, route: r, room: room, asked: asked, payload: payload, dst: dst}
	err := chain(c)
	if err == nil && c.later {
		err = errLater
	}
	return c.dst, err
}

// begin lets a built-in request begin, with all that was put around it.
func (p *Player) begin(r *Route, m *mailbox.Message) {
	var err error
	if p.srv.chain == nil {
		if p.call(r.name, func() { err = r.begin(p, m.Asked, m.Body) }) && err != nil {
			p.answer(m.Asked, nil, err)
		}
		return
	}
	c := &Call{Player: p, Route: r.name, Request: true, route: r, asked: m.Asked, payload: m.Body}
	if p.call(r.name, func() { err = p.srv.chain(c); examine(err) }) && !c.later { // else the answer is on its way
		p.answer(m.Asked, nil, err)
	}
}

// errLater is what a handler returns that answers later itself.
var errLater = errors.New("framework: the answer comes later")
