// SPDX-License-Identifier: MIT

package fan

import (
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
)

// Linger is how long a server goes on to hear of a tag that it has no member of any more:
// one may come again, and interest that comes and goes travels to every server.
const Linger = 5 * time.Second

// heard is a key that is heard of. It has the last number of each server that has told
// anything under it.
type heard struct {
	last map[core.Incarnation]uint64
	in   bool          // there are members
	gone time.Duration // since when there are none
}

// bucket is a subject, as a server wants it.
type bucket struct {
	keys       int // with members
	subscribed bool
	gone       time.Duration // since when it has no key
}

// Inbox is what comes to one server: what it wants to hear, and what it has missed. The
// zero value wants nothing. The caller owns it.
type Inbox struct {
	keys    map[Key]*heard
	buckets [Buckets]bucket
	always  map[Key]bool // have no bucket
	leaving []leaving    // in the order of time; some keys have a member again
}

// leaving is a key that had its last member leave.
type leaving struct {
	key  Key
	gone time.Duration
}

// Always wants a key without a bucket, for ever.
func (x *Inbox) Always(k Key) {
	if x.always == nil {
		x.always = map[Key]bool{}
	}
	x.always[k] = true
	x.key(k).in = true
}

func (x *Inbox) key(k Key) *heard {
	h := x.keys[k]
	if h == nil {
		if x.keys == nil {
			x.keys = map[Key]*heard{}
		}
		h = &heard{last: map[core.Incarnation]uint64{}}
		x.keys[k] = h
	}
	return h
}

// Add wants a key: it has its first member here. It reports whether Step has something.
func (x *Inbox) Add(k Key) bool {
	h, b := x.key(k), &x.buckets[Bucket(k.Tag)]
	if !h.in {
		h.in = true
		b.keys++
	}
	return !b.subscribed && !x.always[k]
}

// Remove wants a key no more: its last member has left. It reports whether NextStep has
// changed.
func (x *Inbox) Remove(k Key, now time.Duration) bool {
	h := x.keys[k]
	if h == nil || !h.in || x.always[k] {
		return false
	}
	h.in, h.gone = false, now
	b := &x.buckets[Bucket(k.Tag)]
	b.keys--
	b.gone = now
	x.leaving = append(x.leaving, leaving{k, now})
	return len(x.leaving) == 1
}

// Step returns the buckets to subscribe to, and those to end. The caller does both, and
// tells what it could not do by Failed.
func (x *Inbox) Step(now time.Duration) (begin, end []int) {
	for len(x.leaving) > 0 && x.leaving[0].gone+Linger <= now {
		at := x.leaving[0]
		x.leaving = x.leaving[1:]
		if h := x.keys[at.key]; h != nil && !h.in && h.gone == at.gone {
			delete(x.keys, at.key)
		}
	}
	for i := range x.buckets {
		switch b := &x.buckets[i]; {
		case b.keys > 0 && !b.subscribed:
			b.subscribed = true
			begin = append(begin, i)
		case b.keys == 0 && b.subscribed && b.gone+Linger <= now:
			b.subscribed = false
			end = append(end, i)
		}
	}
	return begin, end
}

// Failed says that a bucket could not be subscribed to: the next Step wants it again.
func (x *Inbox) Failed(i int) { x.buckets[i].subscribed = false }

// NextStep returns when Step has something to end, if it will.
func (x *Inbox) NextStep() (at time.Duration, ok bool) {
	if len(x.leaving) == 0 {
		return 0, false
	}
	return x.leaving[0].gone + Linger, true
}

// Arrival is what to do with what has come.
type Arrival struct {
	Deliver bool
	Late    bool   // it has come before, or a later one has
	Missed  uint64 // of the same sender and key, that did not come and never will be delivered
}

// Arrive takes a broadcast, or a mark, of another server. The first one of a sender and key
// tells of nothing that was missed: nor is it known since when that sender is heard.
func (x *Inbox) Arrive(from core.Incarnation, k Key, p Position, mark bool) (a Arrival) {
	h := x.keys[k]
	if h == nil {
		return a
	}
	last, known := h.last[from]
	if known && p.Number <= last {
		a.Late = !mark
		return a
	}
	h.last[from] = p.Number
	a.Deliver = h.in && !mark
	if known && h.in {
		a.Missed = p.Number - max(last+1, p.First)
		if mark {
			a.Missed++
		}
	}
	return a
}

// Forget forgets servers that are dead.
func (x *Inbox) Forget(dead func(core.Incarnation) bool) {
	var gone []core.Incarnation
	for _, h := range x.keys {
		for from := range h.last {
			if slices.Contains(gone, from) {
				delete(h.last, from)
			} else if dead(from) {
				gone = append(gone, from)
				delete(h.last, from)
			}
		}
	}
}

// Subjects is how many buckets are subscribed to.
func (x *Inbox) Subjects() (n int) {
	for i := range x.buckets {
		if x.buckets[i].subscribed {
			n++
		}
	}
	return n
}
