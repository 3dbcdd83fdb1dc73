// SPDX-License-Identifier: MIT

package core

import (
	"maps"
	"slices"
	"time"
)

// Watch looks after the other servers. It suspects one whose lease was not seen renewed
// for DeclareAfter, if it could itself see and write all that time: a watcher that is cut
// off, or a directory that was away, must kill no other. To declare a suspect dead is a
// write on the very revision that was seen, so a server that has renewed meanwhile lives.
type Watch struct {
	timing  Timing
	me      Incarnation
	leases  map[uint16]*watched
	since   time.Duration // from when its sight is whole
	renewed time.Duration // its own lease, the last time
	ever    bool
}

// watched is a lease as it was seen.
type watched struct {
	value LeaseValue
	rev   uint64
	seen  time.Duration // changed, or spared
}

// Suspect is a server that may be declared dead by a write on Rev.
type Suspect struct {
	Value LeaseValue // to be written
	Rev   uint64
}

// NewWatch returns a watch that has seen nothing.
func NewWatch(me Incarnation, t Timing) *Watch {
	return &Watch{timing: t, me: me, leases: map[uint16]*watched{}}
}

// Saw takes a lease as it stands under node.
func (w *Watch) Saw(node uint16, v LeaseValue, rev uint64, now time.Duration) {
	if node == w.me.Node {
		return
	}
	at := w.leases[node]
	if at != nil && at.rev == rev {
		return
	}
	w.leases[node] = &watched{v, rev, now}
}

// Expect tells of a member that should have a lease, though none may be seen: the
// directory has lost it, and the server may be dead.
func (w *Watch) Expect(i Incarnation, now time.Duration) {
	if w.leases[i.Node] == nil && i.Node != w.me.Node {
		w.leases[i.Node] = &watched{LeaseValue{Owner: i}, 0, now}
	}
}

// Renewed tells that this server has renewed its own lease.
func (w *Watch) Renewed(now time.Duration) {
	if !w.ever || now-w.renewed > w.timing.Gap {
		w.since = now
	}
	w.ever, w.renewed = true, now
}

// Blind tells that the watch of the directory was interrupted.
func (w *Watch) Blind(now time.Duration) { w.since = now }

// Spared tells that a suspect could not be declared dead: it has renewed, or the
// directory did not answer.
func (w *Watch) Spared(node uint16, now time.Duration) {
	if at := w.leases[node]; at != nil {
		at.seen = now
	}
}

// Silence returns how long ago a node's lease was seen renewed, 0 if it never was.
func (w *Watch) Silence(node uint16, now time.Duration) time.Duration {
	if at := w.leases[node]; at != nil {
		return now - at.seen
	}
	return 0
}

// Suspects returns the servers to declare dead now.
func (w *Watch) Suspects(now time.Duration) (list []Suspect) {
	if !w.ever || now-w.renewed > w.timing.Gap {
		return nil
	}
	alive := w.alive()
	for _, node := range slices.Sorted(maps.Keys(w.leases)) {
		at := w.leases[node]
		wait := w.timing.DeclareAfter + time.Duration(w.rank(alive, node))*w.timing.Stagger
		if !at.value.Dead && at.value.Owner != (Incarnation{}) && now-max(at.seen, w.since) >= wait {
			list = append(list, at.suspect())
		}
	}
	return list
}

func (at *watched) suspect() Suspect {
	return Suspect{LeaseValue{at.value.Owner, at.value.Counter, true}, at.rev}
}

// alive returns the numbers of all nodes that are not declared dead, this one's too.
func (w *Watch) alive() []uint16 {
	list := []uint16{w.me.Node}
	for node, at := range w.leases {
		if !at.value.Dead {
			list = append(list, node)
		}
	}
	slices.Sort(list)
	return list
}

// rank is how many nodes stand between a node and this one, upwards and around: they
// are earlier to declare it dead.
func (w *Watch) rank(alive []uint16, node uint16) int {
	me, _ := slices.BinarySearch(alive, w.me.Node)
	it, _ := slices.BinarySearch(alive, node)
	return (me - it - 1 + len(alive)) % len(alive)
}

// Dead returns the servers whose leases say that they were declared dead, or have left.
// Each of them needs a tombstone, by the server that sees it first.
func (w *Watch) Dead() (list []Incarnation) {
	for _, at := range w.leases {
		if at.value.Dead {
			list = append(list, at.value.Owner)
		}
	}
	slices.SortFunc(list, func(a, b Incarnation) int { return int(a.Node) - int(b.Node) })
	return list
}
