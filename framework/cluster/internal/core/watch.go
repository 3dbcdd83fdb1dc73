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
	ended bool          // its owner's process, for sure
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
	w.leases[node] = &watched{value: v, rev: rev, seen: now}
}

// Expect tells of a member that should have a lease, though none may be seen: the
// directory has lost it, and the server may be dead.
func (w *Watch) Expect(i Incarnation, now time.Duration) {
	if w.leases[i.Node] == nil && i.Node != w.me.Node {
		w.leases[i.Node] = &watched{value: LeaseValue{Owner: i}, seen: now}
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

// Living returns the other servers that are not declared dead.
func (w *Watch) Living() (list []Incarnation) {
	for _, node := range slices.Sorted(maps.Keys(w.leases)) {
		if at := w.leases[node]; !at.value.Dead && at.value.Owner != (Incarnation{}) {
			list = append(list, at.value.Owner)
		}
	}
	return list
}

// Ended tells that the process of a server has ended for sure: it need not be waited for.
func (w *Watch) Ended(i Incarnation) {
	if at := w.leases[i.Node]; at != nil && at.value.Owner == i {
		at.ended = true
	}
}

// Suspects returns the servers to declare dead now.
func (w *Watch) Suspects(now time.Duration) (list []Suspect) {
	sees, alive := w.ever && now-w.renewed <= w.timing.Gap, w.alive()
	for _, i := range w.Living() {
		at := w.leases[i.Node]
		wait := w.timing.DeclareAfter + time.Duration(w.rank(alive, i.Node))*w.timing.Stagger
		if at.ended || sees && now-max(at.seen, w.since) >= wait {
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
