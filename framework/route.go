// SPDX-License-Identifier: MIT

package framework

import (
	"bytes"
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
	if k := r.handler.room; r.handled() && k != nil && k != h.room {
		panic("framework: route " + r.name + " registered twice: it belongs to room type " + k.name)
	} else if r.handled() {
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

// Sends declares routes that the server sends on, before it starts: they travel
// as numbers, and how tells what may be left out. Routes that are not declared
// work too; they travel by name, and every message of theirs is delivered.
func (s *Server) Sends(how Delivery, routes ...string) {
	if how > DeliverNewest {
		panic("framework: there is no such Delivery")
	}
	for _, name := range routes {
		r := s.route(name)
		if r.sends {
			panic("framework: route " + name + " declared twice")
		}
		r.sends, r.delivery = true, how
		r.types.Untyped = true
	}
}

// dictionary gives every registered route a number: session/SPEC 3.12.
// Immutable once the server runs.
type dictionary struct {
	names    []string // sorted: the n-th is route number n
	hash     []byte
	byNumber []*Route
}

// find returns the route that a packet names, nil if there is none.
func (s *Server) find(r codec.Route) *Route {
	if !r.IsNumber() {
		return s.routes[string(r.Name())]
	}
	if n := int(r.Number()); n < len(s.dict.byNumber) {
		return s.dict.byNumber[n]
	}
	return nil
}

// tag is the number of a route as messages carry it: plus one, as 0 stands for none.
func (r *Route) tag() uint32 { return r.number.Number() + 1 }

// tagged returns the route of a message that has one.
func (s *Server) tagged(tag uint32) *Route { return s.dict.byNumber[tag-1] }

// agree decides by the hash of a HELLO whether its client goes by numbers, and
// whether it must be told them.
func (d *dictionary) agree(hash []byte) (numbers bool, tell []string) {
	switch {
	case hash == nil:
		return false, nil
	case bytes.Equal(hash, d.hash):
		return true, nil
	}
	return true, d.names
}
