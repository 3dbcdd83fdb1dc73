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
