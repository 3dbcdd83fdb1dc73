// SPDX-License-Identifier: MIT

package poll

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/panjf2000/gnet/v2"
)

// TestBusyLoopGivesWay has a loop work without a pause on the one processor
// that there is: others get it now and then, and not after every event.
func TestBusyLoopGivesWay(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	s := &busySink{}
	g := &loop{sink: s}
	const events = 120
	var ran atomic.Bool
	turns := 0
	for range events {
		s.now += yieldEvery / 4
		ran.Store(false)
		go ran.Store(true)
		g.after(gnet.None)
		if ran.Load() {
			turns++
		}
	}
	runtime.Gosched() // the last one
	if turns < events/5/2 || turns > events/4 {
		t.Errorf("others ran after %d of %d events, want one in 5", turns, events)
	}
}

// busySink is a loop that does nothing but let time pass.
type busySink struct {
	backend.Sink
	now time.Duration
}

func (s *busySink) Now() time.Duration { return s.now }
func (s *busySink) Ended() bool        { return false }

// TestRestartsThatAreFarApartWaitNoLonger: only engines that hardly run are waited for
// longer and longer.
func TestRestartsThatAreFarApartWaitNoLonger(t *testing.T) {
	wait := time.Duration(0)
	for _, c := range []struct{ ran, want time.Duration }{
		{time.Second, restartDelay},
		{time.Second, 2 * restartDelay},
		{0, 4 * restartDelay},
		{24 * time.Hour, restartDelay},
		{time.Second, 2 * restartDelay},
	} {
		if wait = restartAfter(wait, c.ran); wait != c.want {
			t.Errorf("waits %v after an engine that ran for %v, want %v", wait, c.ran, c.want)
		}
	}
	for range 20 {
		wait = restartAfter(wait, 0)
	}
	if wait != maxRestartDelay {
		t.Errorf("waits %v at last, want %v", wait, maxRestartDelay)
	}
}
