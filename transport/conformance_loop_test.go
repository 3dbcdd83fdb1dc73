// SPDX-License-Identifier: MIT

package transport

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// The rest of the suite: what a loop promises, on every carrier.

func TestPostKeepsOrderAndLosesNothing(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		tr := w.start(t, Config{Loops: 2}, &hooks{})
		l := tr.Loops()[len(tr.Loops())-1]
		const posters, each = 16, 2000
		var next [posters]int // the loop's own
		var ran atomic.Int64
		var wg sync.WaitGroup
		for p := range posters {
			wg.Go(func() {
				for i := range each {
					if err := l.Post(taskFunc(func(on *Loop) {
						if on != l || next[p] != i {
							t.Errorf("task %d of poster %d ran as number %d", i, p, next[p])
						}
						next[p]++
						ran.Add(1)
					})); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		eventually(t, "all tasks", func() bool { return ran.Load() == posters*each })
	})
}

// repost posts itself for ever.
type repost struct{ runs atomic.Int64 }

func (r *repost) Run(l *Loop) {
	r.runs.Add(1)
	l.Post(r)
}

func TestTaskThatPostsItselfStarvesNobody(t *testing.T) {
	for _, w := range []*world{{carrier: TCP}, {carrier: PlainKCP}, {carrier: WebSocket}} {
		tr := w.start(t, Config{Loops: 1}, &hooks{})
		r := new(repost)
		tr.Loops()[0].Post(r)
		c := w.dial(t, tr)
		c.write(beat)
		c.roundTrip("still here")
		eventually(t, "the task runs on", func() bool { return r.runs.Load() > 100 })
	}
}

func TestWakeAt(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		fired := make(chan time.Duration, 10)
		h := &hooks{timer: func(l *Loop) { fired <- l.Now() }}
		tr := w.start(t, Config{Loops: 1}, h)
		l := tr.Loops()[0]
		var from time.Duration
		onLoop(t, l, func() {
			from = l.Now()
			l.WakeAt(from + time.Hour)
			l.WakeAt(from + 30*time.Millisecond) // replaces it
		})
		if at := <-fired; at < from+30*time.Millisecond || w.mem && at > from+31*time.Millisecond {
			t.Errorf("fired after %v, want 30ms", at-from)
		}
		onLoop(t, l, func() { l.WakeAt(l.Now() + 20*time.Millisecond); l.WakeAt(Never) })
		time.Sleep(60 * time.Millisecond)
		if len(fired) != 0 {
			t.Error("a wish that was taken back came true")
		}
		onLoop(t, l, func() { l.WakeAt(0) }) // long past: in this batch or the next
		select {
		case <-fired:
		case <-time.After(20 * time.Second):
			t.Error("a time that has passed never came")
		}
	})
}

func TestPanicClosesOnlyItsLink(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		h := &hooks{}
		h.packet = func(k *Link, p codec.Packet) {
			if string(p.Body) == "panic" {
				panic("on purpose")
			}
			if p.Kind != codec.Heartbeat {
				k.Write(codec.AppendFrame(nil, p.Header, p.Body))
			}
		}
		h.close = func(k *Link, err error) {
			if err == ErrPanic {
				panic("again")
			}
		}
		tr := w.start(t, Config{Loops: 1}, h)
		good, bad := w.dial(t, tr), w.dial(t, tr)
		good.write(beat)
		bad.write(beat)
		good.roundTrip("a")
		bad.roundTrip("b")
		bad.write(frame([]byte("panic")))
		if err := h.closedWith(t); err != ErrPanic {
			t.Errorf("OnClose(%v), want ErrPanic", err)
		}
		good.roundTrip("c")
		tr.Loops()[0].Post(taskFunc(func(*Loop) { panic("task") }))
		good.roundTrip("d")
		if got := tr.Stats().Panics; got != 3 {
			t.Errorf("%d panics counted, want 3", got)
		}
	})
}

func TestStopClosesEveryLink(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		h := &hooks{}
		h.close = func(k *Link, err error) {
			if err := k.Loop().Post(taskFunc(func(*Loop) {})); err != ErrStopped {
				t.Errorf("Post in OnClose: %v, want ErrStopped", err)
			}
		}
		tr := w.start(t, Config{Loops: 2}, h)
		for range 20 {
			c := w.dial(t, tr)
			c.write(beat)
			c.roundTrip("hello")
		}
		var ran atomic.Int64
		for _, l := range tr.Loops() {
			for range 100 {
				l.Post(taskFunc(func(*Loop) { ran.Add(1) }))
			}
		}
		stop(t, tr)
		stop(t, tr)
		if ran.Load() != 100*int64(len(tr.Loops())) {
			t.Errorf("%d tasks posted before Stop ran, want %d", ran.Load(), 100*len(tr.Loops()))
		}
		if h.opened.Load() != 20 || h.closed.Load() != 20 {
			t.Errorf("%d opened, %d closed, want 20", h.opened.Load(), h.closed.Load())
		}
		for _, err := range h.errs {
			if err != ErrStopped {
				t.Errorf("OnClose(%v), want ErrStopped", err)
			}
		}
		if err := tr.Loops()[0].Post(taskFunc(func(*Loop) {})); err != ErrStopped {
			t.Errorf("Post after Stop: %v", err)
		}
		if s := tr.Stats(); s.Carriers["tcp"].Open+s.Carriers["plain-kcp"].Open+s.Carriers["ws"].Open != 0 {
			t.Errorf("open after Stop: %+v", s)
		}
	})
}

func TestMaxLinks(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		h := &hooks{}
		tr := w.start(t, Config{MaxLinks: 4, Loops: 2}, h)
		var list []*client
		for range 4 {
			c := w.dial(t, tr)
			c.write(beat)
			c.roundTrip("hello")
			list = append(list, c)
		}
		if w.carrier == KCP {
			if _, _, err := w.dialSealed(tr); err == nil {
				t.Error("a handshake beyond MaxLinks was answered")
			}
		} else {
			extra := w.dial(t, tr)
			extra.Write(frame([]byte("anybody?")))
			if p, err := extra.next(200 * time.Millisecond); err == nil {
				t.Errorf("a link beyond MaxLinks got %v", p.Kind)
			}
			extra.Close()
		}
		if h.opened.Load() != 4 {
			t.Errorf("%d links opened, want 4", h.opened.Load())
		}
		eventually(t, "the refusal is counted", func() bool { return tr.Stats().Carriers[w.carrier.String()].TooManyLinks > 0 })
		for _, c := range list {
			c.roundTrip("still there")
		}
	})
}

func TestHandlerOrder(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		h := &hooks{}
		var booted atomic.Int64
		h.loop = func(l *Loop) { l.Value = l.Index(); booted.Add(1) }
		h.open = func(k *Link) {
			if k.Loop().Value != k.Loop().Index() {
				t.Error("OnOpen before OnLoop")
			}
			if k.Carrier() != w.carrier || !k.RemoteAddr().IsValid() {
				t.Errorf("link from %v over %v", k.RemoteAddr(), k.Carrier())
			}
			k.Write(frame([]byte("greeting"))) // what the server says first
		}
		wrote := map[*Loop]bool{}
		var mu sync.Mutex
		h.packet = func(k *Link, p codec.Packet) { k.Loop().Value = k }
		h.batch = func(l *Loop) {
			if k, ok := l.Value.(*Link); ok {
				k.Write(frame([]byte("from the batch")))
				l.Value = l.Index()
				mu.Lock()
				wrote[l] = true
				mu.Unlock()
			}
		}
		tr := w.start(t, Config{Loops: 2}, h)
		if booted.Load() != int64(len(tr.Loops())) {
			t.Error("OnLoop has not run when Start returns")
		}
		c := w.dial(t, tr)
		c.write(beat)
		if p := c.read(); string(p.Body) != "greeting" {
			t.Errorf("first packet %q", p.Body)
		}
		if p := c.read(); string(p.Body) != "from the batch" {
			t.Errorf("second packet %q", p.Body)
		}
	})
}

// TestLinksCloseEachOther closes from every callback, and links that are not
// the one being served.
func TestLinksCloseEachOther(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		var first *Link // the loop's own
		var refuse, domino bool
		batchCloses := false
		h := &hooks{}
		h.open = func(k *Link) {
			if refuse {
				k.Write(frame([]byte("go away")))
				k.Close(ErrFinished)
			}
			if first == nil {
				first = k
			}
		}
		h.packet = func(k *Link, p codec.Packet) {
			switch string(p.Body) {
			case "kick":
				first.Close(ErrFinished)
				first.Write(beat)
			case "batch":
				batchCloses = true
			case "refuse":
				refuse = true
			}
			if p.Kind != codec.Heartbeat {
				k.Write(codec.AppendFrame(nil, p.Header, p.Body))
			}
		}
		h.batch = func(l *Loop) {
			if batchCloses {
				batchCloses = false
				domino = true
				first.Close(ErrFinished)
			}
		}
		h.close = func(k *Link, err error) {
			if domino {
				for _, other := range linksOf(k.Loop()) {
					other.Close(ErrFinished)
				}
			}
		}
		tr := w.start(t, Config{Loops: 1}, h)
		dial := func() *client {
			c := w.dial(t, tr)
			c.write(beat)
			return c
		}
		victim := dial()
		victim.roundTrip("here")
		kicker := dial()
		kicker.roundTrip("kick")
		eventually(t, "the kick", func() bool { return h.closed.Load() == 1 })
		kicker.roundTrip("refuse")
		refused := w.dial(t, tr)
		refused.Write(beat)
		eventually(t, "the refusal", func() bool { return h.closed.Load() == 2 })
		onLoop(t, tr.Loops()[0], func() { refuse, first = false, nil })
		one, two := dial(), dial()
		one.roundTrip("one")
		two.roundTrip("two")
		kicker.write(frame([]byte("batch")))
		eventually(t, "all of them", func() bool { return h.closed.Load() == 5 })
		onLoop(t, tr.Loops()[0], func() { domino = false })
		last := dial()
		last.roundTrip("the loop lives")
		if h.opened.Load() != 6 || h.closed.Load() != 5 {
			t.Errorf("%d opened, %d closed; want 6 and 5", h.opened.Load(), h.closed.Load())
		}
	})
}

// linksOf returns the links of l.
func linksOf(l *Loop) (list []*Link) {
	for _, c := range l.datagrams {
		if c != nil {
			list = slices.AppendSeq(list, c.links)
		}
	}
	for _, k := range l.streams {
		list = append(list, &k.Link)
	}
	return list
}

// sealedLinksOf returns the links of l on sealed KCP.
func sealedLinksOf(l *Loop) (list []*sealedLink) {
	for k := range sealedOf(l).links {
		list = append(list, k.self.(*sealedLink))
	}
	return list
}
