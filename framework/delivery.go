// SPDX-License-Identifier: MIT

package framework

import (
	"reflect"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/mailbox"
	"github.com/lifeline-go/lifeline/transport"
)

// Delivery is what may become of the messages of a route on their way to a
// player that does not keep up. It never delays another player.
type Delivery uint8

const (
	// DeliverAll comes exactly once and in order. A player that lets more wait
	// than Session.SendPackets or SendBytes is cut, keeps its session, and comes
	// back to a snapshot (OnSnapshot).
	DeliverAll Delivery = iota
	// DropOldest leaves out the oldest messages of the route that wait, before
	// that happens. What comes, comes once and in order.
	DropOldest
	// DeliverNewest is for positions and the like, of which only the newest counts:
	// it takes the place of those that still wait. Where the carrier has an
	// unreliable channel it goes there, as a datagram, which may be lost; one
	// that was overtaken is dropped.
	DeliverNewest
)

var deliveryNames = [...]string{"every message", "drop oldest", "newest only"}

func (d Delivery) String() string { return deliveryNames[min(int(d), len(deliveryNames)-1)] }

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

// forward hands a message that was collected to the session, or to the link's
// unreliable channel.
func (l *loop) forward(p *Player, m *mailbox.Message) {
	if !m.Droppable {
		l.send(p, m.Kind, m.Content(), m.Shared != nil)
		return
	}
	r, before := l.srv.tagged(m.Tag), p.s.Dropped()
	if r.delivery != DeliverNewest || !l.datagram(p, m) {
		// Full, overflowed or closed: left out, as is its kind.
		_ = p.s.Offer(m.Kind, m.Content(), m.Shared != nil, m.Tag, r.delivery == DeliverNewest)
	}
	if n := p.s.Dropped() - before; n > 0 {
		l.srv.dropped(p, r, int(n))
		if p.link != nil { // else it is away, which is what such routes are for
			p.lags(r)
		}
	}
}

// lags logs, once for each session, that messages are left out though the player
// has a link.
func (p *Player) lags(r *Route) {
	p.mu.Lock()
	x := p.extraLocked()
	known := x.lags
	x.lags = true
	p.mu.Unlock()
	if !known {
		p.srv.log.Info("messages dropped: the player does not keep up", "session", p.ID(), "user", p.label(), "route", r.name)
	}
}

// datagram sends a message outside of the stream, if the link can do that and
// the client goes by numbers: a name would not be accepted.
func (l *loop) datagram(p *Player, m *mailbox.Message) bool {
	if p.link == nil || !p.numbers {
		return false
	}
	l.buf = codec.AppendFrame(l.buf[:0], codec.Header{Kind: codec.Datagram, Ack: uint32(p.s.Received())}, m.Content())
	if !p.link.WriteDatagram(l.buf) {
		return false
	}
	for p.s.DropOffered(m.Tag) { // it must not come later than what is newer
	}
	return true
}

// overtaken reports whether a datagram of k with number n is older than one of its
// route that was there before: SPEC 4.10. Carriers without an order of their own
// number it 0.
func (l *loop) overtaken(k *transport.Link, route uint32, n uint64) bool {
	if n == 0 {
		return false
	}
	newest := l.newest[k]
	if newest == nil {
		newest = map[uint32]uint64{}
		l.newest[k] = newest
	}
	if n <= newest[route] {
		return true
	}
	newest[route] = n
	return false
}
