// SPDX-License-Identifier: MIT

// Package strangers keeps what was begun by peers that have shown nothing yet,
// by the networks that they come from, and says what makes room for the next.
package strangers

import (
	"net/netip"

	"github.com/lifeline-go/lifeline/transport/internal/linked"
)

// Network is the network that an address is counted with: so many bits of an
// IPv4 address, or of an IPv6 address. An IPv4 address in IPv6 is IPv4, and a zone
// makes no difference.
func Network(ip netip.Addr, four, six int) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	bits := six
	if ip.Is4() {
		bits = four
	}
	p, _ := ip.Prefix(bits)
	return p
}

// Table holds entries by network. When it is full, the oldest entry of the
// network that has most is to go: an attacker that fills it pushes out its own, and an
// honest peer needs its place for no longer than a round trip. Every method takes
// the same time however many entries there are. The zero value is empty. Owned by
// its user.
type Table[T any] struct {
	networks map[netip.Prefix]*network[T]
	sizes    []linked.List[*network[T]] // the networks that have i+1 entries, by how long they have
	n        int
}

// Entry is a place in a Table.
type Entry[T any] struct {
	Value T
	of    *network[T]
	place linked.Node[*Entry[T]] // in its network
}

// network is what a Table has of one network.
type network[T any] struct {
	prefix  netip.Prefix
	entries linked.List[*Entry[T]]
	place   linked.Node[*network[T]] // in the list of its size
}

// Len returns how many entries there are.
func (t *Table[T]) Len() int { return t.n }

// Add makes an entry.
func (t *Table[T]) Add(p netip.Prefix, v T) *Entry[T] {
	if t.networks == nil {
		t.networks = make(map[netip.Prefix]*network[T])
	}
	of := t.networks[p]
	if of == nil {
		of = &network[T]{prefix: p}
		of.place.Value = of
		t.networks[p] = of
	}
	e := &Entry[T]{Value: v, of: of}
	e.place.Value = e
	t.leave(of)
	of.entries.Push(&e.place)
	t.enter(of)
	t.n++
	return e
}

// Remove takes out an entry. One that is out already may be removed again.
func (t *Table[T]) Remove(e *Entry[T]) {
	of := e.of
	if of == nil {
		return
	}
	e.of = nil
	t.leave(of)
	of.entries.Remove(&e.place)
	t.enter(of)
	t.n--
}

// First returns the entry that is to go first, nil if there is none. Of networks
// that have as many it is the one that has had them for longest.
func (t *Table[T]) First() *Entry[T] {
	if len(t.sizes) == 0 {
		return nil
	}
	return t.sizes[len(t.sizes)-1].First().Value.entries.First().Value
}

// leave takes a network out of the list of its size, which is about to change.
func (t *Table[T]) leave(of *network[T]) {
	if n := of.entries.Len(); n > 0 {
		t.sizes[n-1].Remove(&of.place)
	}
}

// enter puts a network into the list of its new size, or forgets it.
func (t *Table[T]) enter(of *network[T]) {
	n := of.entries.Len()
	if n > len(t.sizes) {
		t.sizes = append(t.sizes, linked.List[*network[T]]{})
	}
	if n > 0 {
		t.sizes[n-1].Push(&of.place)
	} else {
		delete(t.networks, of.prefix)
	}
	for last := len(t.sizes); last > 0 && t.sizes[last-1].Len() == 0; last-- {
		t.sizes = t.sizes[:last-1]
	}
}
