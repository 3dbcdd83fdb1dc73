// SPDX-License-Identifier: MIT

package transport

import "time"

const (
	// maxDue links are served in one batch of timers. The others follow a
	// millisecond later: after a stall of the loop everything is due at once,
	// and resending all of it at once would be the next stall.
	maxDue    = 256
	dueSpread = time.Millisecond

	// A socket that takes no more, and a stream that a link waits for, are
	// looked at again after minRetry, and less often while nothing moves.
	minRetry = time.Millisecond
	maxRetry = 5 * time.Millisecond
)

// timers are a loop's deadlines behind one timer of the runtime. Owned by the
// loop. Links sit in a heap only while something is due for them, and their
// entries are lazy: one that has become too early is corrected when it comes up.
type timers struct {
	heap  []timerEntry
	wake  time.Duration // when the handler wants OnTimer
	timer *time.Timer
	armed time.Duration // when timer fires, Never if it is not armed
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
func (l *Loop) runTimers(fired bool) {
	t := &l.timers
	if fired {
		if late := l.now - t.armed; late >= 0 { // else it fired while the batch ran: arm sets it again
			l.lateness.sample(l.now, late)
		}
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
		l.callLoop(hookTimer)
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

// arm sets the runtime's timer for the earliest deadline. One that is set for
// an earlier time stays: it costs one wake-up, and setting it anew costs
// every batch.
func (l *Loop) arm() {
	t := &l.timers
	next, blocked := t.wake, false
	for i, c := range l.datagrams {
		if c != nil {
			next = min(next, c.due())
			blocked = blocked || l.kcp[i].blocked
		}
	}
	if len(t.heap) > 0 {
		next = min(next, max(t.heap[0].at, l.now+dueSpread/4))
	}
	if len(l.dirty) > 0 || blocked {
		next = min(next, l.now+t.retry)
		t.retry = min(2*t.retry, maxRetry)
	} else {
		t.retry = minRetry
	}
	if next >= t.armed || l.stopping {
		return
	}
	t.armed = next
	if wait := max(next-l.now, 1); t.timer == nil { // never 0: in virtual time that would run it here
		t.timer = time.AfterFunc(wait, l.queue.onTimer)
	} else {
		t.timer.Reset(wait)
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
