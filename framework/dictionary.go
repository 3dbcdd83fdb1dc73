// SPDX-License-Identifier: MIT

package framework

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// dictionary gives every registered route a number: session/SPEC 3.12.
// Immutable once the server runs.
type dictionary struct {
	names    []string // sorted: the n-th is route number n
	hash     []byte
	byNumber []*Route
}

// number closes the registration: from here on routes have numbers.
func (s *Server) number() error {
	d := &s.dict
	d.byNumber = nil // of a Start that failed
	d.names = slices.Sorted(maps.Keys(s.routes))
	if err := session.CheckRoutes(d.names); err != nil {
		return fmt.Errorf("framework: %w", err)
	}
	d.hash = session.RoutesHash(d.names)
	for n, name := range d.names {
		r := s.routes[name]
		r.number = codec.NumberedRoute(uint32(n))
		d.byNumber = append(d.byNumber, r)
	}
	return nil
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
