// SPDX-License-Identifier: MIT

package session

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// Scenarios 61 and 65: a server crash.
func TestHerdLogsInAfreshAndSpread(t *testing.T) {
	w := newWorld(t, 1, Config{})
	const n = 300
	for i := range n {
		w.player(fmt.Sprint(i))
	}
	w.run(time.Minute)
	old := w.srv
	w.crash()
	at := w.now
	var back []time.Duration
	w.onLink = func(l *link) { back = append(back, w.now-at) }
	w.until(30*time.Second, func() bool { return w.srv.table.Len() == n })
	w.run(time.Second)
	for _, p := range w.players {
		if p.c.State() != Open || p.seat.srv != w.srv || p.dials != 2 || p.last.Code != Unknown {
			t.Fatalf("%v after %d links", p, p.dials)
		}
	}
	if old.table.Len() != n || w.resumes != 0 {
		t.Errorf("%d resumes of sessions that nobody knows", w.resumes)
	}
	slices.Sort(back)
	if q := back[n/4]; q < 80*time.Millisecond || q > 200*time.Millisecond || back[n-1] > 700*time.Millisecond {
		t.Errorf("a quarter was back after %v, all after %v: not spread over half a second", q, back[n-1])
	}
}

// Scenario 65: a server that says goodbye to all has its window.
func TestReconnectWindowIsUsed(t *testing.T) {
	w := newWorld(t, 1, Config{ReconnectWindow: 20 * time.Second})
	const n = 300
	for i := range n {
		w.player(fmt.Sprint(i))
	}
	w.run(time.Minute)
	at := w.now
	var back []time.Duration
	w.onLink = func(l *link) { back = append(back, w.now-at) }
	for _, p := range w.players {
		p.link.write(toClient, AppendBye(nil, &CloseError{Code: ShuttingDown}))
	}
	w.until(time.Minute, func() bool { return len(back) == n })
	slices.Sort(back)
	for i, want := range map[int]time.Duration{n / 4: 5 * time.Second, n / 2: 10 * time.Second, 3 * n / 4: 15 * time.Second} {
		if d := back[i] - want; d < -2*time.Second || d > 2*time.Second {
			t.Errorf("client %d of %d is back after %v, about %v would be spread", i, n, back[i], want)
		}
	}
}

// Scenario 65.
func TestBackoffIsFullJitter(t *testing.T) {
	const n = 400
	var sums [12]time.Duration
	for seed := range uint64(n) {
		w := newWorld(t, seed, Config{})
		p := w.player("a")
		p.noDial = true
		p.c.Check(0, w.wall)
		for i := range sums {
			p.c.LinkDown(w.now)
			d := p.c.Due() - w.now
			if most := min(30*time.Second, 500*time.Millisecond<<i); d < 0 || d > most {
				t.Fatalf("pause %d is %v, at most %v is allowed", i, d, most)
			}
			sums[i] += d
			w.advance(d)
			if p.c.Check(w.now, w.wall) != Dial {
				t.Fatal("no attempt")
			}
		}
	}
	for i, sum := range sums {
		mean, want := sum/n, min(30*time.Second, 500*time.Millisecond<<i)/2
		if mean < want*8/10 || mean > want*12/10 {
			t.Errorf("pause %d is %v on average, want about %v", i, mean, want)
		}
	}
}

// Scenario 65: only a stable link starts the pauses anew.
func TestBackoffIsResetByAStableLinkOnly(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	for i := range 6 {
		p.lose()
		if p.c.tries != uint(i+1) {
			t.Fatalf("after %d short links the count is %d", i+1, p.c.tries)
		}
		w.until(time.Minute, func() bool { return p.c.State() == Open })
		w.run(time.Second)
	}
	w.run(w.cfg.Timeout)
	p.lose()
	if p.c.tries != 1 || p.c.dialAt-w.now > 500*time.Millisecond {
		t.Errorf("after a stable link the count is %d, the pause %v", p.c.tries, p.c.dialAt-w.now)
	}
}

// Scenario 66.
func TestOneSocketAtATime(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.player("a")
	p.noDial = true
	w.run(time.Second)
	for range 10 {
		p.c.Hurry(w.now)
		w.run(100 * time.Millisecond)
	}
	if p.dials != 1 || p.c.State() != Dialing {
		t.Fatalf("%d sockets while one was being opened", p.dials)
	}
	p.noDial = false
	p.dial()
	for range 10 {
		p.c.Hurry(w.now)
		w.run(time.Millisecond)
	}
	w.until(time.Second, func() bool { return p.c.State() == Open })
	if p.dials != 1 {
		t.Errorf("%d sockets", p.dials)
	}
	w.run(time.Minute)
	// Error and close both fire.
	p.link = nil
	p.c.LinkDown(w.now)
	p.c.LinkDown(w.now)
	at := p.c.dialAt
	p.c.LinkDown(w.now)
	if p.c.tries != 1 || p.c.dialAt != at {
		t.Errorf("one loss counted %d times", p.c.tries)
	}
	p.back()
	if p.dials != 2 {
		t.Errorf("%d sockets", p.dials)
	}
	// One that nobody asked for does not end the one in use.
	p.c.LinkUp(w.now, w.wall, false)
	if got := p.c.Check(w.now, w.wall); got != Wait || p.c.State() != Open {
		t.Errorf("%v, %v", got, p.c.State())
	}
	// One that comes up when its client went to the background is closed.
	p.c.Pause(w.now)
	if got := p.c.Check(w.now, w.wall); got != Cut {
		t.Errorf("Pause: %v", got)
	}
	p.c.LinkUp(w.now, w.wall, false)
	if got := p.c.Check(w.now, w.wall); got != Cut {
		t.Errorf("a link for a paused client: %v", got)
	}
}

// Scenario 68.
func TestParametersChangeWithAResume(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	p.refuse = true
	p.lose()
	w.until(time.Minute, func() bool { return p.seat.s.State() == Detached })
	w.cfg.Grace, w.cfg.RecvPackets, w.cfg.ReconnectWindow = 5*time.Minute, 17, 9*time.Second
	p.seat.tune(3*time.Second, 12*time.Second)
	p.refuse = false
	p.back()
	got := p.c.Params()
	if got.Grace != 5*time.Minute || got.Packets != 17 || got.Window != 9*time.Second || got.Interval != 3*time.Second || got.Timeout != 12*time.Second {
		t.Errorf("%+v", got)
	}
	w.run(5 * time.Second)
	tap := p.tap()
	w.run(30 * time.Second)
	if n := tap.pings[toServer]; n < 9 || n > 11 || tap.other != [2]int{} {
		t.Errorf("%d beats in ten intervals, %v others", n, tap.other)
	}
}

// Scenario 68: a TUNE that was lost with its link, and one to a profile whose
// timeout is shorter than the silence it finds.
func TestTune(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	p.cut()
	p.seat.tune(3*time.Second, 12*time.Second)
	p.lose()
	p.back()
	if got := p.c.Params(); got.Timeout != 12*time.Second || p.seat.s.tuneDue {
		t.Errorf("%+v", got)
	}

	p = w.connected("b")
	w.until(time.Minute, func() bool { return w.now-p.seat.s.lastRecv > 9*time.Second })
	w.delay = time.Second // the next look comes before any answer
	p.seat.tune(2*time.Second, 8*time.Second)
	w.run(time.Minute)
	if len(p.changes) != 1 || len(p.seat.hooks) != 1 || p.c.Params().Interval != 2*time.Second {
		t.Errorf("a living link was judged by a timeout it had not heard of: %v %v", p, p.seat.hooks)
	}
	p.refuse = true
	p.cut()
	w.run(9*time.Second + 2*w.cfg.Tick)
	if p.seat.s.State() != Detached {
		t.Error("the new timeout is not kept")
	}

	for _, c := range [][2]time.Duration{{0, time.Second}, {time.Second, 1999 * time.Millisecond}, {-1, 1}, {time.Microsecond, time.Minute}, {1 << 62, 1 << 62}, {400 * time.Millisecond, 900 * time.Millisecond}} {
		if err := p.seat.s.Tune(c[0], c[1]); err != ErrProfile {
			t.Errorf("Tune(%v, %v): %v", c[0], c[1], err)
		}
	}
	if p.seat.s.interval != 2*time.Second {
		t.Error("a refused profile was applied")
	}
}

// Scenario 73.
func TestUnreachableServerSaysNothingAboutTheSession(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	id := p.c.ID()
	p.refuse = true
	p.link.closeByServer(LinkLost)
	w.run(w.cfg.Grace - time.Second)
	if p.dials < 6 || p.c.failures != 0 {
		t.Fatalf("%d attempts, %d failures", p.dials, p.c.failures)
	}
	p.refuse = false
	p.c.Hurry(w.now)
	p.back()
	if p.c.ID() != id || p.changes[len(p.changes)-1] != Resumed {
		t.Errorf("%v", p)
	}
	// For longer than timeout and grace it does.
	p.refuse = true
	p.link.closeByServer(LinkLost)
	w.run(w.cfg.Timeout + w.cfg.Grace + 31*time.Second)
	if p.last.Code != Expired || p.changes[len(p.changes)-1] != Ending {
		t.Errorf("%v", p)
	}
	p.refuse = false
	p.c.Hurry(w.now)
	p.back()
	if p.c.ID() == id {
		t.Error("the same session")
	}
}

// Scenario 74: three answers that are none to be resumed by. A link that died
// before its answer says nothing: the session is asked for until its grace must
// be over.
func TestThreeFailedResumesLogIn(t *testing.T) {
	for name, answer := range map[string]func(l *link){
		"dies":    func(l *link) { l.closeByServer(LinkLost) },
		"silence": func(l *link) {},
		"refused": func(l *link) { l.write(toClient, AppendRefused(nil, &CloseError{Code: ShuttingDown})) },
		"bye":     func(l *link) { l.write(toClient, AppendBye(nil, &CloseError{Code: SlowReader})) },
		"garbage": func(l *link) {
			l.write(toClient, codec.AppendFrame(nil, codec.Header{Kind: codec.Resumed}, []byte{0xc0}))
		},
	} {
		w := newWorld(t, 1, Config{})
		p := w.connected("a")
		id, asked := p.c.ID(), 0
		w.onLink = func(l *link) {
			l.swallow = func(dir int, f []byte) bool {
				if dir == toServer && frameKind(f) == codec.Resume {
					asked++
					answer(l)
					return true
				}
				return false
			}
		}
		p.lose()
		w.until(5*time.Minute, func() bool { return p.c.State() == Open })
		answered := name == "refused" || name == "bye"
		if answered != (asked == 3) || asked < 3 || answered == (p.last.Code == Expired) || p.c.ID() == id || w.srv.logins != 2 || !slices.Contains(p.changes, Ending) {
			t.Errorf("%s: asked %d times, %v", name, asked, p)
		}
	}
}

// Scenario 74: BUSY is no failure and says when.
func TestBusyIsWaitedFor(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.connected("a")
	id := p.c.ID()
	var at []time.Duration
	w.onLink = func(l *link) {
		at = append(at, w.now)
		l.swallow = func(dir int, f []byte) bool {
			if dir == toServer && frameKind(f) == codec.Resume && len(at) <= 6 {
				l.write(toClient, AppendRefused(nil, &CloseError{Code: Busy, Detail: 4000}))
				return true
			}
			return false
		}
	}
	p.lose()
	p.back()
	if len(at) != 7 || p.c.ID() != id {
		t.Errorf("%d links, %v", len(at), p)
	}
	for i := 1; i < len(at); i++ {
		if d := at[i] - at[i-1]; d < 4*time.Second || d > 5100*time.Millisecond {
			t.Errorf("came back after %v", d)
		}
	}
}

// SPEC 2.2: on plain KCP the client has to begin.
func TestKnock(t *testing.T) {
	w := newWorld(t, 1, Config{})
	p := w.player("a")
	p.knock = true
	knocks := 0
	w.onLink = func(l *link) {
		l.swallow = func(dir int, f []byte) bool {
			if dir == toServer && frameKind(f) == codec.Heartbeat && p.c.State() == Opening {
				knocks++
				return knocks < 4
			}
			return false
		}
	}
	w.until(3*time.Second, func() bool { return p.c.State() == Open })
	if knocks != 4 || w.now < 1500*time.Millisecond {
		t.Errorf("%d knocks in %v", knocks, w.now)
	}
}
