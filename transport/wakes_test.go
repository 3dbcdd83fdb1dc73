// SPDX-License-Identifier: MIT

package transport

import (
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestLoopThatIsNotWokenIsFound takes from a loop what wakes it, as a mistake in
// queue or arm would: a server that speaks when its timer says so and when it
// is posted something falls silent, and the in-memory network shows it.
func TestLoopThatIsNotWokenIsFound(t *testing.T) {
	for name, tt := range map[string]struct {
		fault func(l *Loop) // on the loop
		whole bool
	}{
		"no fault": {func(*Loop) {}, true},
		"a wake-up is lost": {func(l *Loop) {
			q, lost := &l.queue, false
			q.mu.Lock()
			defer q.mu.Unlock()
			ring := q.waker
			q.waker = func() {
				if lost {
					ring()
				}
				lost = true
			}
		}, false},
		"the timer is not armed again": {func(l *Loop) { l.below = forgetful{l.below} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			memWorlds(t, memnet.Conditions{Delay: 5 * time.Millisecond}, func(t *testing.T, w *world) {
				ticks, posts := wokenFor(t, w, tt.fault)
				if whole := ticks == 30 && posts == 10; whole != tt.whole {
					t.Errorf("%d of 30 ticks and %d of 10 posts arrived", ticks, posts)
				}
			})
		})
	}
}

// forgetful is a driver that does not wake its loop in time.
type forgetful struct{ backend.Driver }

func (forgetful) WakeAt(time.Duration) {}

// wokenFor counts what arrives in half a minute of a tick a second and a post
// every three, after a fault.
func wokenFor(t *testing.T, w *world, fault func(*Loop)) (ticks, posts int) {
	var link *Link
	h := &hooks{timer: func(l *Loop) {
		if link != nil {
			link.Write(frame([]byte("tick")))
		}
		l.WakeAt(l.Now() + time.Second)
	}}
	tr := w.start(t, Config{Loops: 1}, h)
	c := w.dial(t, tr)
	c.write(beat)
	c.roundTrip("hello")
	l := tr.Loops()[0]
	onLoop(t, l, func() {
		for k := range h.live {
			link = k
		}
		l.WakeAt(l.Now() + time.Second)
	})
	onLoop(t, l, func() { fault(l) })
	for range 10 {
		time.Sleep(3 * time.Second)
		_ = l.Post(taskFunc(func(*Loop) { link.Write(frame([]byte("post"))) }))
	}
	for {
		p, err := c.next(500 * time.Millisecond)
		switch {
		case err != nil:
			return ticks, posts
		case string(p.Body) == "tick":
			ticks++
		case string(p.Body) == "post":
			posts++
		}
	}
}
