// SPDX-License-Identifier: MIT

package transport

import "time"

const (
	// maxDue links are served in one batch of timers. The others follow a
	// millisecond later: after a stall of the loop everything is due at once,
	// and resending all of it at once would be the next stall.
	maxDue    = 256
	dueSpread = time.Millisecond

	// maxCorrect entries are corrected after a batch: a loop that is busy wakes anyway.
	maxCorrect = 4

	// A socket that takes no more, and a stream that a link waits for, are
	// looked at again after minRetry, and less often while nothing moves.
	minRetry = time.Millisecond
	maxRetry = 5 * time.Millisecond
)

// timers are a loop's deadlines behind one of its driver. Owned by the
// loop. Links sit in a heap only while something is due for them, and their
// entries are lazy: one that has become too early is corrected when it comes up.
type timers struct {
	heap  []timerEntry
	wake  time.Duration // when the handler wants OnTimer
	armed time.Duration // when the driver wakes the loop
	retry time.Duration // next wait for a blocked socket
}

type timerEntry struct {
	at time.Duration
	k  *Link
}

func (t *timers) init() {
	t.wake, t.armed, t.retry = Never, Never, minRetry
}

// runTimers serves what is due.
func (l *Loop) runTimers() {
	t := &l.timers
	if t.armed <= l.now {
		l.lateness.sample(l.now, l.now-t.armed)
		t.armed = Never
	}
	extra := l.lateness.extra(l.now)
	for i, c := range l.datagrams {
		if c != nil {
			l.kcp[i].cfg.ExtraRTO = extra
			c.run()
		}
	}
	drained := l.runDue()
	if t.wake <= l.now {
		if !drained {
			l.below.Drain()
		}
		t.wake = Never
		l.callLoop(Handler.OnTimer)
	}
}

// runDue serves the links that are due. Answers that already wait in the
// socket come before verdicts: it reports whether it took those in.
func (l *Loop) runDue() (drained bool) {
	t := &l.timers
	for n := 0; n < maxDue && len(t.heap) > 0 && t.heap[0].at <= l.now; {
		k := t.heap[0].k
		at := k.dueAt(l.now)
		switch {
		case at == Never:
			t.remove(k)
		case at > l.now:
			t.heap[0].at = at
			t.down(0)
		case !drained:
			drained = true
			l.below.Drain() // and look again
		default:
			t.remove(k)
			l.due(k)
			n++
		}
	}
	return drained
}

// arm has the driver wake the loop at the earliest deadline.
func (l *Loop) arm() {
	t := &l.timers
	next, blocked := t.wake, false
	for i, c := range l.datagrams {
		if c != nil {
			next = min(next, c.due())
			blocked = blocked || l.kcp[i].blocked
		}
	}
	if t.correct(l.now, next); len(t.heap) > 0 {
		next = min(next, max(t.heap[0].at, l.now+dueSpread/4))
	}
	if len(l.dirty) > 0 || blocked {
		next = min(next, l.now+t.retry)
		t.retry = min(2*t.retry, maxRetry)
	} else {
		t.retry = minRetry
	}
	if l.stopping {
		next = Never
	}
	t.armed = next
	l.below.WakeAt(next)
}

// correct corrects the first entries of the heap, if they have become too early: they
// would wake the loop for nothing.
func (t *timers) correct(now, next time.Duration) {
	for n := 0; n < maxCorrect && len(t.heap) > 0 && t.heap[0].at < next; n++ {
		k := t.heap[0].k
		switch at := k.dueAt(now); {
		case at == Never:
			t.remove(k)
		case at > t.heap[0].at:
			t.heap[0].at = at
			t.down(0)
		default:
			return
		}
	}
}

// schedule makes sure that k comes up no later than at.
func (t *timers) schedule(k *Link, at time.Duration) {
	if at == Never {
		return // an entry that is too early costs one look
	}
	if k.heapAt == 0 {
		t.heap = append(t.heap, timerEntry{at, k})
		k.heapAt = int32(len(t.heap))
		t.up(len(t.heap) - 1)
		return
	}
	if i := int(k.heapAt - 1); at < t.heap[i].at {
		t.heap[i].at = at
		t.up(i)
	}
}

// remove takes k out of the heap, if it is there.
func (t *timers) remove(k *Link) {
	if k.heapAt == 0 {
		return
	}
	i, last := int(k.heapAt-1), len(t.heap)-1
	k.heapAt = 0
	moved := t.heap[last]
	t.heap[last] = timerEntry{}
	t.heap = t.heap[:last]
	if i == last {
		return
	}
	t.set(i, moved)
	t.up(i)
	t.down(int(moved.k.heapAt - 1))
}

func (t *timers) set(i int, e timerEntry) {
	t.heap[i] = e
	e.k.heapAt = int32(i + 1)
}

// The heap has four children to a node: half the depth of a binary one, and
// the four lie in one cache line.

func (t *timers) up(i int) {
	e := t.heap[i]
	for i > 0 {
		parent := (i - 1) / 4
		if t.heap[parent].at <= e.at {
			break
		}
		t.set(i, t.heap[parent])
		i = parent
	}
	t.set(i, e)
}

func (t *timers) down(i int) {
	e := t.heap[i]
	for {
		child := 4*i + 1
		if child >= len(t.heap) {
			break
		}
		for c := child + 1; c < min(child+4, len(t.heap)); c++ {
			if t.heap[c].at < t.heap[child].at {
				child = c
			}
		}
		if e.at <= t.heap[child].at {
			break
		}
		t.set(i, t.heap[child])
		i = child
	}
	t.set(i, e)
}
