// SPDX-License-Identifier: MIT

package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// Scenario 11.
func TestServerThatStoodStillAsksFirst(t *testing.T) {
	for _, wheelFirst := range []bool{false, true} {
		w := newWorld(t, 1, Config{})
		w.wheelFirst = wheelFirst
		for i := range 50 {
			w.player(fmt.Sprint(i))
		}
		gone := w.player("gone")
		w.run(2 * time.Minute)
		seat := gone.seat
		gone.refuse = true
		gone.cut()
		w.stalled = true
		for _, p := range w.players[:50] { // the clients' machine sleeps too, with beats on their way
			p.link.write(toServer, codec.AppendFrame(nil, codec.Header{}, nil))
			p.asleep = true
		}
		w.run(time.Minute)
		w.stalled = false
		for _, p := range w.players[:50] {
			p.asleep = false
			p.slept += time.Minute
		}
		w.run(5 * time.Second)
		for _, p := range w.players[:50] {
			if len(p.seat.hooks) != 1 {
				t.Fatalf("wheelFirst %v: %v after a pause of the process", wheelFirst, p.seat.hooks)
			}
		}
		w.run(w.cfg.Timeout * 4 / 10)
		if seat.s.State() != Detached {
			t.Errorf("wheelFirst %v: who really is gone was never found", wheelFirst)
		}
	}
}

// Scenario 11, the grace: it is longer by the time that nobody could come back.
func TestGraceIsProlongedByTheServersPause(t *testing.T) {
	w := newWorld(t, 1, Config{Grace: 20 * time.Second})
	p := w.connected("a")
	p.refuse = true
	p.link.closeByServer(LinkLost)
	seat := p.seat
	w.run(time.Second)
	w.stalled, w.wheelFirst = true, true
	w.run(30 * time.Second)
	w.stalled = false
	w.run(5 * time.Second)
	if seat.s.State() != Detached {
		t.Fatalf("%v although nobody could come back", seat.s.State())
	}
	w.run(20 * time.Second)
	if seat.s.State() != Closed {
		t.Error("the grace never ended")
	}
}

// Scenario 12.
func TestWallClockSteps(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour, 3 * time.Second, 365 * 24 * time.Hour} {
		w := newWorld(t, 1, Config{})
		p, away := w.connected("a"), w.connected("away")
		away.refuse = true
		away.cut()
		w.run(40 * time.Second)
		w.wall = w.wall.Add(step)
		w.run(10 * time.Second)
		if len(p.changes) != 1 || len(p.seat.hooks) != 1 {
			t.Errorf("step of %v: %v %v", step, p, p.seat.hooks)
		}
		away.refuse = false
		away.c.Hurry(w.now)
		w.until(time.Second, func() bool { return away.c.State() == Open })
		if got := away.changes[len(away.changes)-1]; got != Resumed {
			t.Errorf("step of %v: change %d where a resume was possible", step, got)
		}
	}
}

// Scenario 13.
func TestDeviceThatSleptAsksAtOnce(t *testing.T) {
	// Long: the server has given up both link and session.
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	p.send(1)
	w.run(time.Second)
	p.sleep(10 * time.Minute)
	w.run(10 * time.Second)
	if p.c.State() != Open || fmt.Sprint(p.changes) != fmt.Sprint([]ChangeKind{Opened, Lost, Ending, Opened}) {
		t.Errorf("after a long sleep: %v", p)
	}
	// Short: the link died meanwhile, and is found dead by the probe.
	p = w.connected("b")
	p.cut()
	p.sleep(20 * time.Second)
	if p.c.State() != Open {
		t.Fatal("a device that slept does not know yet")
	}
	w.run(probeLimit + time.Second)
	if p.c.State() != Open || p.changes[len(p.changes)-1] != Resumed {
		t.Errorf("after a short sleep: %v", p)
	}
	// Shorter still: the link lives.
	p = w.connected("c")
	p.sleep(20 * time.Second)
	w.run(time.Minute)
	if len(p.changes) != 1 {
		t.Errorf("a living link was left: %v", p)
	}
}

// Scenario 14.
func TestThrottledTimersAreNoReasonToDie(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	p.throttle = time.Minute
	w.run(30 * time.Minute)
	if len(p.changes) != 1 || len(p.seat.hooks) != 1 {
		t.Errorf("%v %v", p, p.seat.hooks)
	}
}
