// SPDX-License-Identifier: MIT

package session

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

var seeds = flag.Int("seeds", 200, "how many seeds TestSimulation plays")

// TestSimulation plays seeded lives of a few players each: traffic both ways,
// cuts of every kind, half-open links, swallowed and repeated frames, kicks,
// goodbyes, overflows, other profiles, forged resumes, crashes of the server,
// moves to another
// server, clock steps and pauses of the process. The world's oracle checks after every
// step; at the end everything sent must have arrived. Scenario 57.
func TestSimulation(t *testing.T) {
	var total struct {
		cuts, resumes, ends int
		hours               float64
	}
	for seed := range uint64(*seeds) {
		w := newWorld(t, seed, simConfig(seed))
		ok := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			w.t = t
			simulate(w)
		})
		if !ok {
			t.Fatalf("replay with: go test ./session -run 'TestSimulation/seed=%d$' -seeds %d", seed, seed+1)
		}
		total.cuts += w.cuts
		total.resumes += w.resumes
		total.ends += w.ends
		total.hours += w.now.Hours()
	}
	t.Logf("%d seeds, %.1f virtual hours, %d cuts, %d resumes, %d sessions ended", *seeds, total.hours, total.cuts, total.resumes, total.ends)
}

func simConfig(seed uint64) Config {
	cfg := Config{Grace: 10 * time.Minute, MaxAge: -1}
	switch seed % 3 {
	case 1:
		cfg.Interval, cfg.Timeout = 2*time.Second, 8*time.Second
	case 2:
		cfg.first = 1<<32 - 3
		cfg.RecvPackets, cfg.SendPackets = 16, 200
	}
	if seed%5 == 0 {
		cfg.first = 1<<16 - 5
	}
	if seed%7 == 0 {
		cfg.Grace = 15 * time.Second
	}
	if seed%11 == 0 {
		cfg.MaxAge = time.Minute
	}
	return cfg
}

func simulate(w *world) {
	w.jitter = 60 * time.Millisecond
	for i := range 1 + w.rng.IntN(3) {
		w.player(fmt.Sprint("p", i))
	}
	for range 120 {
		i := w.rng.IntN(len(w.players))
		if p := w.players[i]; p.c.State() == Ended {
			w.players[i] = w.anew(p)
		}
		w.players[i].disturb()
		pause := 3 * time.Second
		if w.rng.IntN(2) == 0 {
			pause = 100 * time.Millisecond // while all of it is on its way
		}
		w.run(w.rngBelow(pause))
	}
	w.settle()
}

// anew is the player who starts the game again, or another one in his place.
func (w *world) anew(p *player) *player {
	q := w.player(p.user)
	w.players = w.players[:len(w.players)-1]
	return q
}

// disturb does one thing at random to a player.
func (p *player) disturb() {
	if w := p.w; w.rng.IntN(8) == 0 {
		p.upset()
		return
	}
	p.trouble()
}

// upset does what is rare.
func (p *player) upset() {
	w, st := p.w, p.seat
	live := st != nil && st.s.State() != Closed && st.srv == w.srv
	switch n := w.rng.IntN(100); {
	case n < 5 && live:
		st.close(Kicked)
	case n < 10 && live:
		st.close(Internal)
	case n < 14:
		p.c.Close()
	case n < 24:
		p.c.Pause(w.now) // until somebody hurries
	case n < 34 && live:
		_ = st.push(w.cfg.SendPackets + 1)
	case n < 44 && live:
		st.hold(w.rng.IntN(3) == 0)
	case n < 52:
		p.c.Hold(w.rng.IntN(3) == 0)
	case n < 64 && live:
		i := 1 + w.rng.IntN(3)
		st.tune(time.Duration(i)*2*time.Second, time.Duration(i)*7*time.Second)
	case n < 68:
		w.crash()
	case n < 74:
		w.migrate()
	case live:
		st.intrude()
	}
}

// intrude asks for a session without having its key. Nothing may change.
func (st *seat) intrude() {
	w := st.srv.w
	e, epoch, state, attempt, grace, link := st.s.end, st.s.epoch, st.s.state, st.s.attempt, st.s.graceEnd, st.link
	hooks := len(st.hooks)
	l := w.forge()
	l.serverReceive(codec.Packet{Header: codec.Header{Kind: codec.Resume}, Body: bodyOf(w.t, (&ResumeRequest{
		ID: st.s.id, Attempt: attempt + 1, Recv: st.s.wrote, Lowest: 1,
	}).append(nil))})
	l.closed = true
	if st.s.epoch != epoch || st.s.state != state || st.s.attempt != attempt || st.s.graceEnd != grace ||
		st.link != link || len(st.hooks) != hooks || st.s.recv != e.recv || st.s.acked != e.acked || st.s.next != e.next {
		w.t.Fatalf("%s: a forged RESUME changed something", st.user)
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

// trouble does what happens every day.
func (p *player) trouble() {
	w := p.w
	switch n := w.rng.IntN(100); {
	case n < 35:
		if q, _ := p.c.Queued(); q < 800 {
			p.send(1 + w.rng.IntN(20))
		}
	case n < 65:
		if p.seat != nil && p.seat.s.State() != Closed && p.seat.s.out.len() < 150 {
			_ = p.seat.push(1 + w.rng.IntN(20))
		}
	case n < 73:
		p.cut() // neither end is told
	case n < 78:
		p.lose() // the client knows at once, the server not
	case n < 80:
		if q, _ := p.c.Queued(); q < 800 && p.link != nil {
			p.send(1 + w.rng.IntN(5))
			late := w.rngBelow(2 * time.Second)
			for i := range p.link.up[toServer].chunks {
				p.link.up[toServer].chunks[i].at += late
			}
			p.leave()
			p.c.Hurry(p.now())
		}
	case n < 84:
		if l := p.link; l != nil && l.seat != nil {
			l.closeByServer(LinkLost) // both know
		}
	case n < 88:
		if l := p.link; l != nil {
			dir := w.rng.IntN(2)
			l.cutAfter[dir] = l.passed[dir] + 1 + w.rng.IntN(60) // in the middle of a frame
		}
	case n < 91:
		if l := p.link; l != nil {
			at, seen := w.rng.IntN(4), 0
			l.duplicate = func(_ int, f []byte) bool {
				seen++
				return seen > at && f[1]&0x80 != 0 && seen%3 == 0
			}
		}
	case n < 94:
		p.swallowOne()
	case n < 96:
		w.wall = w.wall.Add(time.Duration(w.rng.Int64N(int64(2*time.Hour))) - time.Hour)
	case n < 98:
		w.advance(time.Duration(w.rng.Int64N(int64(20 * time.Second)))) // the process stood still
		w.act()
	default:
		p.c.Hurry(w.now)
	}
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

// settle lets the network be quiet and expects everything to have arrived.
func (w *world) settle() {
	w.t.Helper()
	for i, p := range w.players {
		if p.link != nil {
			p.link.swallow, p.link.duplicate = nil, nil
		}
		if p.c.Hold(false); p.seat != nil && p.seat.s.State() != Closed {
			p.seat.hold(false)
		}
		if p.c.State() == Ended {
			p = w.anew(p)
			w.players[i] = p
		}
		p.c.Hurry(w.now)
	}
	quiet := func() bool {
		for i, p := range w.players {
			if p.c.State() == Ended {
				w.players[i] = w.anew(p) // a goodbye that came late
			}
			if p.c.State() != Open || p.seat == nil || p.c.out.len() > 0 || p.seat.s.out.len() > 0 || p.link == nil || p.link != p.seat.link {
				return false
			}
		}
		return true
	}
	w.until(5*time.Minute, quiet)
	for _, p := range w.players {
		if uint64(len(p.seat.got)) != p.sent || uint64(len(p.got)) != p.seat.sent {
			w.t.Fatalf("%s: %d of %d reached the server, %d of %d the client", p.user, len(p.seat.got), p.sent, len(p.got), p.seat.sent)
		}
	}
}
