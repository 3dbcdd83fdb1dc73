// SPDX-License-Identifier: MIT

package transport

import (
	"log/slog"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/internal/linked"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// Never is the time of a timer that is not armed.
const Never = backend.Never

// clock and since are the only places where the package reads the time.
func clock() time.Time { return time.Now() }

// since reads the one clock that it needs, where clock reads two.
func since(t time.Time) time.Duration { return time.Since(t) }

// Loop is one event loop: every link, timer and callback of it runs on one
// goroutine. Owned by that goroutine, except for Post and Index, and for the
// queue, which has its own lock.
type Loop struct {
	Value any // the handler's state for this loop

	t     *shared
	h     Handler
	below backend.Driver
	index int
	queue queue[Task]

	depth    int  // nesting of begin: gnet calls OnClose from within Write, and see round
	stopping bool // Stop has reached this loop
	now      time.Duration
	began    time.Duration // the batch
	spare    []Task        // the batch before: its memory is used again

	timers     timers
	lateness   lateness
	datagrams  [carriers]datagramCarrier   // nil what is not served
	kcp        [carriers]*kcpLoop          // what those share
	accepts    [carriers]func() streamConn // makes the links of a carrier on streams
	streams    []*streamLink
	responders []*seal.Responder         // of the sealed carriers
	pending    linked.List[*pendingConn] // oldest first
	shaking    linked.List[*tlsStream]   // oldest first
	shakers    int                       // goroutines of handshakes, also of links that have closed
	dirty      []*Link                   // have something to send
	writable   []*Link                   // have room again, and their handler waits for it
	closed     []closedLink
	bufs       bufPool
	partials   partialBudget[*Link]
	stats      loopStats
}

// closedLink is a link whose OnClose is still to be called.
type closedLink struct {
	k   *Link
	err error
}

// Index returns the loop's place in Transport.Loops. Safe to call from any goroutine.
func (l *Loop) Index() int { return l.index }

// Now returns the time since Start, the same base for all loops, read once per batch.
func (l *Loop) Now() time.Duration { return l.now }

// Lateness returns how late this loop runs, as it measured it lately: what
// KCP adds to its retransmission timeouts. Zero while it is on time.
func (l *Loop) Lateness() time.Duration { return l.lateness.extra(l.now) }

// WakeAt asks for one OnTimer at or after at and replaces the earlier wish.
// Never asks for none. A time in the past counts as now: the loop is not late
// for a deadline that it was not told of.
func (l *Loop) WakeAt(at time.Duration) { l.timers.wake = max(at, l.now) }

// Task is work posted to a loop: a *T with a Run method is posted without allocation.
type Task interface{ Run(l *Loop) }

// Post hands t to the loop. Safe to call from any goroutine. Tasks of one
// goroutine run in the order they were posted. It returns ErrStopped once the
// loop takes no more; every task that was taken does run.
func (l *Loop) Post(t Task) error {
	if !l.queue.post(t) {
		return ErrStopped
	}
	return nil
}

// newLoop makes a loop without carriers.
func newLoop(t *shared, h Handler, index int) *Loop {
	l := &Loop{t: t, h: h, index: index}
	l.timers.init()
	l.lateness.init()
	l.partials.limit = t.cfg.receiveShare()
	return l
}

// boot runs once, before anything else on the loop.
func (l *Loop) boot() {
	l.begin()
	l.callLoop(Handler.OnLoop)
	l.end()
}

// begin opens a batch.
func (l *Loop) begin() {
	l.depth++
	if l.depth > 1 {
		return
	}
	l.queue.beginBatch()
	l.now = l.t.now()
	l.began = l.now
	for _, c := range l.kcp {
		if c != nil {
			c.blocked = false
		}
	}
	l.stats.wakeUps++
}

// refresh reads the time anew in a batch.
func (l *Loop) refresh() {
	l.now = max(l.now, l.t.now())
	l.lateness.took(l.now, l.now-l.began)
}

// end closes a batch: tasks, timers, OnClose and OnBatch, then the output.
func (l *Loop) end() {
	if l.depth > 1 {
		l.depth--
		return
	}
	for _, c := range l.datagrams {
		if c != nil {
			c.handed()
		}
	}
	l.runTasks()
	l.runTimers()
	l.tellWritable()
	l.tellClosed()
	l.callLoop(Handler.OnBatch)
	l.tellClosed() // of links that OnBatch closed
	l.refresh()
	l.flush()
	l.arm()
	l.stats.busy += l.t.now() - l.began
	l.publish()
	l.depth--
	// What is left goes into a batch of its own, so that I/O comes in between.
	l.queue.endBatch(len(l.closed)+len(l.writable) > 0)
}

// runTasks runs what was posted before it looked. A task that posts itself
// again runs in the next batch.
func (l *Loop) runTasks() {
	tasks, closed := l.queue.take(l.spare)
	l.stats.tasks += uint64(len(tasks))
	for i, t := range tasks {
		tasks[i] = nil
		l.runTask(t)
	}
	l.spare = tasks[:0]
	if closed && !l.stopping {
		l.stopping = true
		l.closeAll(ErrStopped)
	}
}

func (l *Loop) runTask(t Task) {
	defer l.guard(nil)
	t.Run(l)
}

// closeAll closes every link of the loop.
func (l *Loop) closeAll(err error) {
	for _, c := range l.datagrams {
		if c == nil {
			continue
		}
		for k := range c.links {
			k.Close(err)
		}
	}
	for _, k := range l.streams {
		k.Close(err)
	}
}

// ended reports whether Stop has done its work on this loop.
func (l *Loop) ended() bool { return l.stopping && len(l.closed) == 0 }

// tellClosed takes the closed links out of the loop and calls their OnClose.
// Links that OnClose closes in turn are told in the same pass, but not those
// that come of it without end.
func (l *Loop) tellClosed() {
	for round := 0; round < 4 && len(l.closed) > 0; round++ {
		list := l.closed
		l.closed = nil
		for _, c := range list {
			l.forget(c.k, c.err)
			if c.k.state&stateOpened != 0 {
				l.callClose(c.k, c.err)
			}
		}
		if l.closed == nil {
			clear(list)
			l.closed = list[:0]
		}
	}
}

// tellWritable calls OnWritable for links whose output went out in the batch before.
func (l *Loop) tellWritable() {
	list := l.writable
	l.writable = nil
	for _, k := range list {
		l.callWritable(k)
	}
	if l.writable == nil {
		clear(list)
		l.writable = list[:0]
	}
}

// flush sends what the links of the batch have to say: one coalesced datagram
// or one Write for each. Those whose socket takes no more wait, in their order.
func (l *Loop) flush() {
	rest := l.dirty[:0]
	for _, k := range l.dirty {
		if !l.flushLink(k) {
			rest = append(rest, k)
		}
	}
	clear(l.dirty[len(rest):])
	l.dirty = rest
	for _, c := range l.kcp {
		if c != nil {
			c.send()
		}
	}
}

// flushLink returns false when the link's socket takes no more.
func (l *Loop) flushLink(k *Link) (sent bool) {
	if k.state&stateClosed != 0 {
		k.state &^= stateDirty
		return true
	}
	defer l.guard(k)
	sent = true // also after a panic: the link is closed then
	sent = k.self.flush()
	if sent {
		k.state &^= stateDirty
	}
	return sent
}

// publish makes the loop's own counters visible.
func (l *Loop) publish() {
	s := &l.stats
	p := &s.public
	show(&p.wakeUps, s.wakeUps)
	show(&p.tasks, s.tasks)
	show(&p.packets, s.packets)
	show(&p.datagramsIn, s.datagramsIn)
	show(&p.datagramsOut, s.DatagramsOut)
	show(&p.blocked, s.blocked)
	show(&p.busy, uint64(s.busy))
	var retransmits, repeats uint64
	for _, c := range l.kcp {
		if c != nil {
			retransmits += c.cfg.Retransmits
			repeats += c.cfg.Repeats
		}
	}
	l.publishHandshakes()
	show(&p.retransmits, retransmits)
	show(&p.repeats, repeats)
	show(&p.late, uint64(l.Lateness()))
}

// guard is deferred around everything that runs for one link, or for none: a
// panic closes that link and nothing else.
func (l *Loop) guard(k *Link) {
	r := recover()
	if r == nil {
		return
	}
	l.stats.panics.Add(1)
	attrs := []any{slog.Int("loop", l.index), slog.Any("panic", r), slog.String("stack", string(debug.Stack()))}
	if k != nil {
		attrs = append(attrs, slog.String("link", k.addr.String()), slog.String("carrier", k.Carrier().String()))
		k.Close(ErrPanic)
	}
	l.t.log.Error("transport: panic", attrs...)
}

// callLoop calls what concerns no link.
func (l *Loop) callLoop(on func(Handler, *Loop)) {
	defer l.guard(nil)
	on(l.h, l)
}

func (l *Loop) callOpen(k *Link, nonce [16]byte) {
	defer l.guard(k)
	k.state |= stateOpened
	l.h.OnOpen(k, nonce)
}

func (l *Loop) callClose(k *Link, err error) {
	defer l.guard(nil)
	l.h.OnClose(k, err)
}

func (l *Loop) callWritable(k *Link) {
	if k.state&(stateClosed|stateFinishing|stateStarved) != stateStarved || !k.half() {
		return
	}
	defer l.guard(k)
	k.state &^= stateStarved
	l.h.OnWritable(k)
}

func (l *Loop) callMigrate(k *Link, from netip.AddrPort) {
	defer l.guard(k)
	l.h.OnMigrate(k, from)
}
