// SPDX-License-Identifier: MIT

package session

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// verb is something that happens to a player, or to the world. n is all the
// chance there is in it; where it can't happen, nothing does.
type verb struct {
	often int // of all events, in relation to each other
	do    func(p *player, n int)
}

// verbs are what a course is made of.
var verbs = map[string]verb{
	// What happens every day.
	"send": {30, func(p *player, n int) {
		if q, _ := p.c.Queued(); q < 800 {
			p.send(1 + n%20)
		}
	}},
	"push": {26, func(p *player, n int) {
		if st := p.alive(); st != nil && st.s.out.len() < 150 {
			_ = st.push(1 + n%20)
		}
	}},
	"cut":   {8, func(p *player, _ int) { p.cut() }},  // neither end is told
	"lose":  {5, func(p *player, _ int) { p.lose() }}, // the client knows at once, the server not
	"leave": {2, (*player).leaveInFlight},
	"close": {4, func(p *player, _ int) { // both know
		if l := p.link; l != nil && l.seat != nil {
			l.closeByServer(LinkLost)
		}
	}},
	"cutafter": {4, func(p *player, n int) { // in the middle of a frame
		if l := p.link; l != nil {
			l.cutAfter[n%2] = l.passed[n%2] + 1 + n/2%60
		}
	}},
	"repeat": {3, func(p *player, n int) { // some counted frames come twice
		if l := p.link; l != nil {
			seen := 0
			l.duplicate = func(_ int, f []byte) bool {
				seen++
				return seen > n%4 && f[1]&0x80 != 0 && seen%3 == 0
			}
		}
	}},
	"swallow": {3, func(p *player, _ int) { p.swallowOne() }},
	"clock":   {2, func(p *player, n int) { p.w.wall = p.w.wall.Add(time.Duration(n%7200-3600) * time.Second) }},
	"pause": {2, func(p *player, n int) { // of the server's process
		p.w.advance(time.Duration(n%20_000) * time.Millisecond)
		p.w.act()
	}},
	"hurry":   {3, func(p *player, _ int) { p.c.Hurry(p.w.now) }},
	"carrier": {3, func(p *player, _ int) { p.knock = !p.knock }}, // of the next link: plain KCP, or one that is greeted at once

	// What is rare.
	"kick": {1, func(p *player, n int) {
		if st := p.alive(); st != nil {
			st.close([]Code{Kicked, Internal}[n%2])
		}
	}},
	"bye":    {1, func(p *player, _ int) { p.c.Close() }},
	"detach": {1, func(p *player, _ int) { p.c.Pause(p.w.now) }}, // until somebody hurries
	"flood": {1, func(p *player, _ int) {
		if st := p.alive(); st != nil {
			_ = st.push(p.w.cfg.SendPackets + 1)
		}
	}},
	"hold": {2, func(p *player, n int) {
		if st := p.alive(); st != nil && n%2 == 0 {
			st.hold(n/2%3 == 0)
		} else {
			p.c.Hold(n/2%3 == 0)
		}
	}},
	"tune": {1, func(p *player, n int) {
		if st := p.alive(); st != nil {
			i := time.Duration(1 + n%3)
			st.tune(i*2*time.Second, i*7*time.Second)
		}
	}},
	"crash": {1, func(p *player, _ int) { p.w.crash() }},
	"move":  {1, func(p *player, _ int) { p.w.migrate() }},
	"forge": {2, func(p *player, _ int) {
		if st := p.alive(); st != nil {
			st.intrude()
		}
	}},
	"replay": {2, func(p *player, _ int) {
		if st := p.alive(); st != nil {
			st.replayResume()
		}
	}},
	"login": {1, (*player).loginTwice},
}

// verbNames are in an order, so that a seed always draws the same.
var verbNames = slices.Sorted(maps.Keys(verbs))

func drawVerb(rng *rand.Rand) string {
	sum := 0
	for _, v := range verbs {
		sum += v.often
	}
	n := rng.IntN(sum)
	for _, name := range verbNames {
		if n -= verbs[name].often; n < 0 {
			return name
		}
	}
	panic("unreachable")
}

// alive is the player's living session at the present server, nil without one.
func (p *player) alive() *seat {
	if st := p.seat; st != nil && st.s.State() != Closed && st.srv == p.w.srv {
		return st
	}
	return nil
}

// leaveInFlight is a client that sends, gives its link up and comes back before
// what it sent arrives.
func (p *player) leaveInFlight(n int) {
	if q, _ := p.c.Queued(); q >= 800 || p.link == nil {
		return
	}
	p.send(1 + n%5)
	for i := range p.link.up[toServer].chunks {
		p.link.up[toServer].chunks[i].at += time.Duration(n%2000) * time.Millisecond
	}
	p.leave()
	p.c.Hurry(p.now())
}

// loginTwice is the same user on another device, which the game judges by one
// policy or another.
func (p *player) loginTwice(n int) {
	w := p.w
	if len(w.players) >= 6 {
		return
	}
	w.loginBy = func(string, *seat) policy { return policy(n % 4) }
	w.player(p.user)
}

// intrude asks for a session without having its key. Nothing may change.
func (st *seat) intrude() {
	w := st.srv.w
	l := w.forge()
	frame := (&ResumeRequest{ID: st.s.id, Attempt: st.s.attempt + 1, Recv: st.s.wrote, Lowest: 1}).append(nil)
	st.unmoved("a forged RESUME", func() {
		l.serverReceive(codec.Packet{Header: codec.Header{Kind: codec.Resume}, Body: bodyOf(w.t, frame)})
	})
	l.closed = true
}

// replayResume repeats the RESUME that the session was last resumed by: on a link
// of its own, for whose nonce it was not made.
func (st *seat) replayResume() {
	if st.asked == nil {
		return
	}
	l := st.srv.w.forge()
	st.unmoved("a recorded RESUME", func() { l.serverReceive(*st.asked) })
	l.closed = true
}

// unmoved checks that nothing of the session changes while f runs.
func (st *seat) unmoved(what string, f func()) {
	e, epoch, state, attempt, grace, link := st.s.endpoint, st.s.epoch, st.s.state, st.s.attempt, st.s.graceEnd, st.link
	hooks := len(st.hooks)
	f()
	if st.s.epoch != epoch || st.s.state != state || st.s.attempt != attempt || st.s.graceEnd != grace ||
		st.link != link || len(st.hooks) != hooks || st.s.recv != e.recv || st.s.acked != e.acked || st.s.next != e.next {
		st.srv.w.t.Fatalf("%s: %s changed something", st.user, what)
	}
}

// bodyOf returns the body of the one packet in a frame.
func bodyOf(t testing.TB, frame []byte) []byte {
	t.Helper()
	p, n, err := codec.ParseFrame(frame, 1<<20)
	if err != nil || n != len(frame) {
		t.Fatalf("not one frame: %d of %d, %v", n, len(frame), err)
	}
	return p.Body
}

// swallowOne makes the link lose one counted frame, as a faulty carrier does.
func (p *player) swallowOne() {
	if l := p.link; l != nil {
		done := false
		l.swallow = func(_ int, f []byte) bool {
			k, err := codec.ParseHeader(f[frameHead(f):])
			if done || err != nil || !k.Kind.Counted() {
				return false
			}
			done = true
			return true
		}
	}
}

func frameHead(f []byte) int {
	for i, b := range f {
		if b < 0x80 {
			return i + 1
		}
	}
	return len(f)
}
