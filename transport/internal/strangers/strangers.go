// SPDX-License-Identifier: MIT

// Package strangers keeps what was begun by peers that have proved nothing yet,
// by the networks that they come from, and says what makes room for the next.
package strangers

import "net/netip"

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
// network that has most is to go: whoever fills it pushes out its own, and an
// honest peer needs its place for no longer than a round trip. Every method takes
// the same time however many entries there are. The zero value is empty. Owned by
// its user.
type Table[T any] struct {
	networks map[netip.Prefix]*network[T]
	sizes    []list[T] // the networks that have i+1 entries, by how long they have
	n        int
}

// Entry is a place in a Table.
type Entry[T any] struct {
	Value        T
	of           *network[T]
	older, newer *Entry[T]
}

// network is what a Table has of one network.
type network[T any] struct {
	prefix        netip.Prefix
	n             int
	oldest, last  *Entry[T]
	before, after *network[T] // in the list of its size
}

type list[T any] struct{ first, last *network[T] }

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
		t.networks[p] = of
	}
	e := &Entry[T]{Value: v, of: of, older: of.last}
	if of.last == nil {
		of.oldest = e
	} else {
		of.last.newer = e
	}
	of.last = e
	t.resize(of, 1)
	return e
}

// Remove takes out an entry. One that is out already may be removed again.
func (t *Table[T]) Remove(e *Entry[T]) {
	of := e.of
	if of == nil {
		return
	}
	e.of = nil
	if e.older == nil {
		of.oldest = e.newer
	} else {
		e.older.newer = e.newer
	}
	if e.newer == nil {
		of.last = e.older
	} else {
		e.newer.older = e.older
	}
	e.older, e.newer = nil, nil
	if t.resize(of, -1); of.n == 0 {
		delete(t.networks, of.prefix)
	}
}

// First returns the entry that is to go first, nil if there is none. Of networks
// that have as many it is the one that has had them for longest.
func (t *Table[T]) First() *Entry[T] {
	if len(t.sizes) == 0 {
		return nil
	}
	return t.sizes[len(t.sizes)-1].first.oldest
}

// resize moves a network to the list of its new size.
func (t *Table[T]) resize(of *network[T], by int) {
	t.n += by
	if of.n > 0 {
		l := &t.sizes[of.n-1]
		if of.before == nil {
			l.first = of.after
		} else {
			of.before.after = of.after
		}
		if of.after == nil {
			l.last = of.before
		} else {
			of.after.before = of.before
		}
	}
	if of.n += by; of.n > 0 {
		if len(t.sizes) < of.n {
			t.sizes = append(t.sizes, list[T]{})
		}
		l := &t.sizes[of.n-1]
		of.before, of.after = l.last, nil
		if l.last == nil {
			l.first = of
		} else {
			l.last.after = of
		}
		l.last = of
	}
	for n := len(t.sizes); n > 0 && t.sizes[n-1].first == nil; n-- {
		t.sizes = t.sizes[:n-1]
	}
}
