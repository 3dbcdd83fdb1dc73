// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/lifeline-go/lifeline/codec"
)

// OnRequest registers the handler of a request: it returns the answer, or an
// error (see Fail). A duplicate route panics.
func OnRequest[Q, A any](s *Server, route string, fn func(p *Player, q Q) (A, error)) *Route {
	return addRequest(s, route, nil, fn == nil, func(_ any, p *Player, _ scope, q Q) (A, error) { return fn(p, q) })
}

// OnMessage registers the handler of a one-way message.
func OnMessage[M any](s *Server, route string, fn func(p *Player, m M)) *Route {
	return addMessage(s, route, nil, fn == nil, func(_ any, p *Player, _ scope, m M) { fn(p, m) })
}

// OnRequestContext is OnRequest for a handler that waits: ctx ends when the session
// does, which Shutdown brings about too, and carries what middleware has put there
// (Call.SetContext). A client's patience is not told to the server: bound what must not
// wait for long by context.WithTimeout. A context is made for each session that needs
// one, and kept.
func OnRequestContext[Q, A any](s *Server, route string, fn func(ctx context.Context, p *Player, q Q) (A, error)) *Route {
	return addRequest(s, route, nil, fn == nil, func(_ any, p *Player, in scope, q Q) (A, error) { return fn(in.context(p), p, q) })
}

// OnMessageContext is OnMessage for a handler that waits: see OnRequestContext.
func OnMessageContext[M any](s *Server, route string, fn func(ctx context.Context, p *Player, m M)) *Route {
	return addMessage(s, route, nil, fn == nil, func(_ any, p *Player, in scope, m M) { fn(in.context(p), p, m) })
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

// addRequest registers the handler of a request, of the members of a type of room or of
// every player.
func addRequest[Q, A any](s *Server, route string, of *roomKind, isNil bool, fn func(room any, p *Player, in scope, q Q) (A, error)) *Route {
	checkHandler(route, isNil, reflect.TypeFor[Q](), reflect.TypeFor[A]())
	return s.add(route, handler{reply: true, room: of, serve: func(room any, p *Player, in scope, payload, dst []byte) ([]byte, error) {
		var q Q
		if err := codec.DecodeBody(payload, &q); err != nil {
			return dst, badRequest(err)
		}
		a, err := fn(room, p, in, q)
		if err != nil {
			return dst, err
		}
		return codec.AppendBody(dst, &a)
	}}, RouteTypes{Question: reflect.TypeFor[Q](), Answer: reflect.TypeFor[A]()})
}

// addMessage is addRequest for a one-way message.
func addMessage[M any](s *Server, route string, of *roomKind, isNil bool, fn func(room any, p *Player, in scope, m M)) *Route {
	checkHandler(route, isNil, reflect.TypeFor[M]())
	return s.add(route, handler{room: of, serve: func(room any, p *Player, in scope, payload, dst []byte) ([]byte, error) {
		var m M
		if err := codec.DecodeBody(payload, &m); err != nil {
			return dst, badRequest(err)
		}
		fn(room, p, in, m)
		return dst, nil
	}}, RouteTypes{Message: reflect.TypeFor[M]()})
}

// SendsAs is Sends with the type of what is sent, so that it can be checked and
// generated for clients: see package gen. A type whose values would not arrive
// whole panics.
func SendsAs[M any](s *Server, how Delivery, routes ...string) {
	s.Sends(how, routes...)
	for _, name := range routes {
		checkHandler(name, false, reflect.TypeFor[M]())
		of := &s.routes[name].types
		of.Push, of.Untyped = reflect.TypeFor[M](), false
	}
}

// Asks declares routes on which the server asks clients (Player.Request): what it
// asks, and what they answer. They travel as numbers, and package gen generates
// them for clients. A type whose values would not arrive whole panics.
func Asks[Q, A any](s *Server, routes ...string) {
	for _, name := range routes {
		checkHandler(name, false, reflect.TypeFor[Q](), reflect.TypeFor[A]())
		r := s.route(name)
		if r.types.Asked != nil {
			panic("framework: route " + name + " declared twice")
		}
		r.types.Asked, r.types.Told = reflect.TypeFor[Q](), reflect.TypeFor[A]()
	}
}

// Routes returns what clients may send on and what the server sends, by name.
// Printed, each is a line.
func (s *Server) Routes() []*Route {
	all := make([]*Route, 0, len(s.routes))
	for _, name := range slices.Sorted(maps.Keys(s.routes)) {
		all = append(all, s.routes[name])
	}
	return all
}

// String describes the route: its name, what takes it, and how it is sent.
func (r *Route) String() string {
	line := fmt.Sprintf("%-20s", r.name)
	switch {
	case !r.handled():
	case r.reply && r.serve == nil:
		line += " request (built in)"
	case r.reply:
		line += " request"
	default:
		line += " message"
	}
	switch {
	case r.room != nil:
		line += " in " + r.room.name
	case r.inline:
		line += " inline"
	}
	if r.sends {
		line += " sent: " + r.delivery.String()
	}
	if r.types.Asked != nil {
		line += " asked"
	}
	return line
}
