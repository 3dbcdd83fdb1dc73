// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"fmt"
	"reflect"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/logs"
	"github.com/lifeline-go/lifeline/framework/internal/mailbox"
)

// Route is a name that this server knows: of a handler, of what it sends, or of
// both. Immutable once the server runs, except for the counters.
type Route struct {
	srv    *Server
	name   string
	named  codec.Route
	number codec.Route // once the server runs
	handler

	max      int  // bytes of a payload that clients may send
	sends    bool // declared by Sends
	delivery Delivery
	types    RouteTypes

	lateLog logs.Limiter // it was Inline and took too long
}

// RouteTypes are the types of what travels on a route, as the game registered
// them. One is nil where nothing travels. OnRaw takes and answers codec.Raw.
type RouteTypes struct {
	Message          reflect.Type // of clients: OnMessage, OnRoomMessage
	Question, Answer reflect.Type // of clients, and what they get: OnRequest, OnRoomRequest
	Push             reflect.Type // to clients: SendsAs
	Asked, Told      reflect.Type // to clients, and what they answer: Asks
	Untyped          bool         // to clients: Sends, which names no type
}

// Name returns the name of the route.
func (r *Route) Name() string { return r.name }

// Types returns the types of what travels on the route.
func (r *Route) Types() RouteTypes { return r.types }

// handler is what takes the messages and requests of clients on a route.
type handler struct {
	room   *roomKind // whose members it serves; nil: every player
	inline bool
	// serve handles a message. For a request it appends the answer's payload
	// to dst. room is the game's own room value, nil outside of rooms.
	// It returns errLater if it answers itself later.
	serve func(room any, p *Player, in scope, payload, dst []byte) ([]byte, error)
	reply bool // takes requests
	// begin, if not nil, takes over a request and answers it later itself.
	begin func(p *Player, q mailbox.Question, payload []byte) error
}

// Inline makes the handler run on the event loop: no queue, no goroutine, and
// it must not block, for that would stop every player of its loop. Messages
// that are behind queued ones of the same player still wait their turn. It must
// not call runtime.Goexit, as t.FailNow does: that ends the process.
func (r *Route) Inline() *Route {
	r.srv.mustBeRegistering("Inline of route " + r.name)
	if r.room != nil {
		panic("framework: route " + r.name + " runs in its room and can't be inline")
	}
	r.inline = true
	return r
}

// maxOfRoom is what Route.Max is for the routes of rooms, which often send on what
// they take.
const maxOfRoom = 4 << 10

// Max bounds the payload that a client may send on the route, in bytes of
// msgpack. If it is not called, the bound is 4 KiB for the routes of rooms
// (OnRoomMessage, OnRoomRequest) and Config.Session.MaxBody for the others. A larger request is
// answered with ErrorBadRequest, a larger message is dropped; both are
// counted (Stats.TooLarge). Set it near the largest that an honest client sends:
// what a handler sends on to others is as large.
func (r *Route) Max(n int) *Route {
	if n < 1 {
		panic(fmt.Sprintf("framework: route %s takes at most %d bytes, less than 1", r.name, n))
	}
	r.max = n
	return r
}

// route finds or makes the route of a name before the server runs.
func (s *Server) route(name string) *Route {
	r := s.routes[name]
	if r == nil {
		r = &Route{srv: s, name: name, named: codec.NamedRoute(name)}
	}
	if !r.named.Valid() {
		panic(fmt.Sprintf("framework: route name %q must have 1 to %d bytes", name, codec.MaxRouteName))
	}
	s.mustBeRegistering("route " + name + " registered")
	s.routes[name] = r
	return r
}

// add registers a handler of the types.
func (s *Server) add(name string, h handler, of RouteTypes) *Route {
	r := s.route(name)
	if r.handled() {
		panic("framework: route " + r.name + " registered twice")
	}
	r.handler, r.max = h, s.cfg.Session.MaxBody
	r.types.Message, r.types.Question, r.types.Answer = of.Message, of.Question, of.Answer
	if h.room != nil {
		r.max = maxOfRoom
	}
	return r
}

// checkHandler panics where a handler is nil or takes or returns a type whose
// values would not arrive whole.
func checkHandler(route string, isNil bool, types ...reflect.Type) {
	if isNil {
		panic("framework: route " + route + ": the handler is nil")
	}
	for _, t := range types {
		if err := codec.CheckType(t); err != nil {
			panic("framework: route " + route + ": " + err.Error())
		}
	}
}

// handled reports whether clients may send on the route.
func (h *handler) handled() bool { return h.serve != nil || h.begin != nil }

// OnRequest registers the handler of a request: it returns the answer, or an
// error (see Fail). A duplicate route panics.
func OnRequest[Q, A any](s *Server, route string, fn func(p *Player, q Q) (A, error)) *Route {
	checkHandler(route, fn == nil, reflect.TypeFor[Q](), reflect.TypeFor[A]())
	return s.add(route, handler{reply: true, serve: func(_ any, p *Player, _ scope, payload, dst []byte) ([]byte, error) {
		return answer(payload, dst, func(q Q) (A, error) { return fn(p, q) })
	}}, RouteTypes{Question: reflect.TypeFor[Q](), Answer: reflect.TypeFor[A]()})
}

// OnMessage registers the handler of a one-way message.
func OnMessage[M any](s *Server, route string, fn func(p *Player, m M)) *Route {
	checkHandler(route, fn == nil, reflect.TypeFor[M]())
	return s.add(route, handler{serve: func(_ any, p *Player, _ scope, payload, dst []byte) ([]byte, error) {
		return dst, take(payload, func(m M) { fn(p, m) })
	}}, RouteTypes{Message: reflect.TypeFor[M]()})
}

// OnRequestContext is OnRequest for a handler that waits: ctx ends when the session
// does, which Shutdown brings about too, and carries what middleware has put there
// (Call.SetContext). A client's patience is not told to the server: bound what must not
// wait for long by context.WithTimeout. A context is made for each session that needs
// one, and kept.
func OnRequestContext[Q, A any](s *Server, route string, fn func(ctx context.Context, p *Player, q Q) (A, error)) *Route {
	checkHandler(route, fn == nil, reflect.TypeFor[Q](), reflect.TypeFor[A]())
	return s.add(route, handler{reply: true, serve: func(_ any, p *Player, in scope, payload, dst []byte) ([]byte, error) {
		return answer(payload, dst, func(q Q) (A, error) { return fn(in.context(p), p, q) })
	}}, RouteTypes{Question: reflect.TypeFor[Q](), Answer: reflect.TypeFor[A]()})
}

// OnMessageContext is OnMessage for a handler that waits: see OnRequestContext.
func OnMessageContext[M any](s *Server, route string, fn func(ctx context.Context, p *Player, m M)) *Route {
	checkHandler(route, fn == nil, reflect.TypeFor[M]())
	return s.add(route, handler{serve: func(_ any, p *Player, in scope, payload, dst []byte) ([]byte, error) {
		return dst, take(payload, func(m M) { fn(in.context(p), p, m) })
	}}, RouteTypes{Message: reflect.TypeFor[M]()})
}

// scope is what a handler may need beside its payload.
type scope struct {
	asked mailbox.Question
	ctx   context.Context // set by middleware; nil: the player's
}

func (in *scope) context(p *Player) context.Context {
	if in.ctx != nil {
		return in.ctx
	}
	return p.Context()
}

// OnRaw registers the handler of a request that reads and writes msgpack
// itself: it appends one value to dst. payload and dst live until it returns.
func OnRaw(s *Server, route string, fn func(p *Player, payload, dst []byte) ([]byte, error)) *Route {
	checkHandler(route, fn == nil)
	return s.add(route, handler{reply: true, serve: func(_ any, p *Player, _ scope, payload, dst []byte) ([]byte, error) {
		out, err := fn(p, payload, dst)
		if !sameMemory(out, dst) {
			// Not ours to write to again: payload, or what the game keeps.
			out = append(dst, out...)
		}
		return out, err
	}}, RouteTypes{Question: reflect.TypeFor[codec.Raw](), Answer: reflect.TypeFor[codec.Raw]()})
}

// sameMemory reports whether a and b end in the same place, as all parts of one
// allocation do unless their capacity was cut.
func sameMemory(a, b []byte) bool {
	return cap(a) > 0 && cap(b) > 0 && &a[:cap(a)][cap(a)-1] == &b[:cap(b)][cap(b)-1]
}

func answer[Q, A any](payload, dst []byte, fn func(Q) (A, error)) ([]byte, error) {
	var q Q
	if err := codec.DecodeBody(payload, &q); err != nil {
		return dst, badRequest(err)
	}
	a, err := fn(q)
	if err != nil {
		return dst, err
	}
	return codec.AppendBody(dst, &a)
}

func take[M any](payload []byte, fn func(M)) error {
	var m M
	if err := codec.DecodeBody(payload, &m); err != nil {
		return badRequest(err)
	}
	fn(m)
	return nil
}

func badRequest(err error) error { return codec.BadRequest(err) }
