// SPDX-License-Identifier: MIT

package core

import (
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// LeaseValue is what stands in the directory under a node's number.
type LeaseValue struct {
	Owner   Incarnation
	Counter uint64 // of renewals
	Dead    bool   // the owner was declared dead, or has left
}

type leaseBody struct {
	Boot    uint32
	Counter uint64
	Dead    bool
}

// Append appends the value as it is stored under its node.
func (v LeaseValue) Append(dst []byte) []byte {
	dst, err := codec.AppendBody(dst, &leaseBody{v.Owner.Boot, v.Counter, v.Dead})
	if err != nil {
		panic(fmt.Sprintf("cluster: encode a lease: %v", err)) // it is ours, so it can't fail
	}
	return dst
}

// ParseLease reads what Append wrote under node. Nothing is the lease of none.
func ParseLease(node uint16, b []byte) (LeaseValue, error) {
	var body leaseBody
	if len(b) == 0 {
		return LeaseValue{}, nil
	}
	if err := codec.DecodeBody(b, &body); err != nil {
		return LeaseValue{}, fmt.Errorf("%w: %w", ErrEntries, err)
	}
	return LeaseValue{Incarnation{node, body.Boot}, body.Counter, body.Dead}, nil
}

// Lease keeps this server's own lease. It is valid for a while from the moment when the
// last renewal that succeeded was sent, by this server's clock. A server acts for its
// sessions only while its lease is valid.
type Lease struct {
	timing  Timing
	me      Incarnation
	held    bool // it was, once
	over    bool // the server was declared dead, or has done so itself: it never acts again
	lost    bool // the directory has forgotten what it had acknowledged
	leaving bool
	left    bool
	busy    bool // a read or a write is under way
	read    bool // what stands there must be read first
	rev     uint64
	base    uint64 // the revision that the last write was to replace
	wrote   uint64 // that of the last write that succeeded
	counter uint64
	sent    time.Duration // when the last write was
	nextAt  time.Duration
	until   time.Duration // it is valid
	asked   time.Duration // when the read or write under way was begun
	alone   time.Duration // until then the directory is known not to answer
	accused bool          // a write has met a conflict: perhaps the server was declared dead
	taken   LeaseValue    // of the incarnation that has the number, while this server waits for it
	seen    sighting      // of that
	ended   bool          // that one's process, for sure
	former  Incarnation   // had it, is dead, and may have no tombstone yet
}

// sighting is since when, and until when, the same revision was read again and again.
type sighting struct {
	rev         uint64
	since, last time.Duration
}

// NewLease returns the lease of a server that has none yet.
func NewLease(me Incarnation, t Timing) *Lease { return &Lease{timing: t, me: me, read: true} }

// retryLease is the pause after a read or write that failed.
const retryLease = 100 * time.Millisecond

// ValidUntil returns the end of the lease, zero if it was never held or is over.
func (l *Lease) ValidUntil() time.Duration {
	if l.over || l.left || l.lost {
		return 0
	}
	return l.until
}

// AloneUntil returns until when a server that may serve without a lease does so: one that
// had a lease, and whose directory gave no answer a moment ago. It is zero for others. A
// process that was stopped has asked nothing meanwhile, so it has to ask first.
func (l *Lease) AloneUntil() time.Duration {
	if !l.held || l.over || l.left || l.lost || l.accused {
		return 0
	}
	return l.alone
}

// unanswered notes that the directory gave no answer in time. A request that lasted for too long
// says nothing: the process was stopped.
func (l *Lease) unanswered(now time.Duration) {
	if now-l.asked <= l.timing.Gap {
		l.alone = now + l.timing.Gap
	}
}

// Suspended tells that this server's clock has stood still, for an unknown time: the lease is
// valid again when a write that is sent from now on has succeeded.
func (l *Lease) Suspended(now time.Duration) {
	l.until, l.alone, l.nextAt = 0, 0, 0
	l.sent = now - l.timing.Validity
}

// Over reports that the server was declared dead, or has done so itself: Lost.
func (l *Lease) Over() bool { return l.over }

// Lost reports that a write has replaced a lower revision than that of a write before it: the store
// of the directory was emptied, or set back. Others may own what this server owns, and nothing there
// says so. It declares itself dead.
func (l *Lease) Lost() bool { return l.lost }

// Left reports that the server has given the lease up: Leave.
func (l *Lease) Left() bool { return l.left }

// Taken returns the incarnation that has the number of this server's node, the zero value if none.
func (l *Lease) Taken() Incarnation { return l.taken.Owner }

// Ended tells that the process of the incarnation that has the number has ended for sure.
func (l *Lease) Ended(i Incarnation) {
	if l.taken.Owner == i && i != (Incarnation{}) {
		l.ended = true
	}
}

// Leave gives the lease up, for good.
func (l *Lease) Leave() { l.leaving, l.nextAt = true, 0 }

// NextAt returns when Next has something to do.
func (l *Lease) NextAt() time.Duration { return l.nextAt }

// Next returns what to do now: Read, or Write of value if the revision is rev, or Declare
// to make the tombstone of value's owner. ok is false if there is nothing.
//
// A lease that says that its owner is dead is the only trace of that until there is a
// tombstone. So it is not written over before.
func (l *Lease) Next(now time.Duration) (do Verb, value LeaseValue, rev uint64, ok bool) {
	if l.busy || l.over || l.left || now < l.nextAt {
		return 0, LeaseValue{}, 0, false
	}
	l.busy, l.asked = true, now
	if l.taken != (LeaseValue{}) && (l.ended || l.seen.last-l.seen.since >= l.timing.DeclareAfter) {
		// All others may be gone, too, so that no other server declares it dead.
		value = LeaseValue{l.taken.Owner, l.taken.Counter, true}
		l.taken, l.ended, l.read = LeaseValue{}, false, true
		return Write, value, l.seen.rev, true
	}
	if l.read {
		return Read, LeaseValue{}, 0, true
	}
	if l.former != (Incarnation{}) {
		return Declare, LeaseValue{Owner: l.former}, 0, true
	}
	l.counter++
	l.sent, l.base = now, l.rev
	return Write, LeaseValue{l.me, l.counter, l.leaving || l.lost}, l.rev, true
}

// Done tells what came of what Next wanted. value and rev are those of Loaded; rev also
// that of Written.
func (l *Lease) Done(o Outcome, value LeaseValue, rev uint64, now time.Duration) {
	l.busy = false
	switch o {
	case Written:
		switch {
		case l.read: // it was another one's
			l.nextAt = now
		case l.former != Incarnation{}:
			l.former, l.nextAt = Incarnation{}, now
		default:
			l.rev = rev
			l.renewed()
		}
	case Loaded:
		l.loaded(value, rev, now)
	case Conflicted:
		l.accused, l.read, l.nextAt = true, true, now+retryLease
	case Uncertain:
		l.unanswered(now)
		l.read, l.nextAt = true, now+retryLease
	default:
		l.unanswered(now)
		l.nextAt = now + retryLease
	}
}

// renewed notes that the last write has succeeded.
func (l *Lease) renewed() {
	l.held, l.accused, l.taken = true, false, LeaseValue{}
	l.over = l.lost // that it is dead is what this write has said
	l.lost = l.lost || l.base < l.wrote
	l.wrote = l.rev
	l.left = l.leaving
	l.until, l.nextAt = l.sent+l.timing.Validity, l.sent+l.timing.Renew
	if l.leaving || l.lost {
		l.nextAt = 0
	}
}

func (l *Lease) loaded(v LeaseValue, rev uint64, now time.Duration) {
	mine := v.Owner == l.me
	switch {
	case mine && v.Dead && l.leaving && v.Counter == l.counter:
		l.left = true // the answer was lost
		return
	case mine && v.Dead, !mine && l.held && v.Owner != Incarnation{}:
		l.over = rev >= l.rev // else it is an old read, of a start before this one
		l.nextAt = now + retryLease
		return
	case !mine && !v.Dead && v.Owner != Incarnation{}:
		if rev != l.seen.rev || now-l.seen.last > l.timing.Gap {
			l.seen = sighting{rev: rev, since: now}
		}
		l.seen.last = now
		l.ended = l.ended && l.taken.Owner == v.Owner
		l.taken, l.nextAt = v, now+retryLease
		return
	}
	l.read, l.rev, l.nextAt = false, rev, now
	if !mine {
		l.former = v.Owner // the zero value if there was none
	}
	if mine && v.Counter == l.counter && l.held {
		l.renewed() // the answer was lost
	}
}
