// SPDX-License-Identifier: MIT

package session

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"
)

var (
	seeds  = flag.Int("seeds", defaultSeeds, "how many seeds TestSimulation plays")
	replay = flag.String("script", "", "a file that TestSimulation plays instead: what it printed when a seed failed")
)

// defaultSeeds make more than 10,000 cuts.
const defaultSeeds = 1600

// TestSimulation plays seeded lives of a few players each: traffic both ways,
// cuts of every kind, half-open links, swallowed, repeated and replayed frames,
// other carriers and profiles, kicks, goodbyes, second logins, overflows, forged
// resumes, crashes of the server, moves to another one, clock steps and pauses
// of the process. The world's oracle checks after every step; at the end
// everything sent must have arrived. Of a seed that fails the shortest course
// of events that still does is printed, to be played again with -script.
// Scenario 57.
func TestSimulation(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a world is small: it would be collected all the time
	if *replay != "" {
		text, err := os.ReadFile(*replay)
		if err != nil {
			t.Fatal(err)
		}
		c, err := parseCourse(string(text))
		if err != nil {
			t.Fatalf("%s: %v", *replay, err)
		}
		c.play(c.world(t))
		return
	}
	var total struct {
		cuts, resumes, ends, moves int
		hours                      float64
	}
	n := uint64(*seeds)
	if testing.Short() {
		n = max(n/3, 1)
	}
	for seed := range n {
		c := drawCourse(seed)
		w, failure := c.witnessed(t, faults{})
		if failure != "" {
			c, failure = c.shrink(t, faults{}, failure)
			file := filepath.Join(os.TempDir(), fmt.Sprintf("seed%d.txt", seed))
			_ = os.WriteFile(file, []byte(c.String()), 0o644)
			t.Fatalf("seed %d: %s\nShortest course, also in %s:\n%s\nReplay: go test ./session -run 'TestSimulation$' -script %s", seed, failure, file, c, file)
		}
		total.cuts += w.cuts
		total.resumes += w.resumes
		total.ends += w.ends
		total.moves += w.moves
		total.hours += w.now.Hours()
	}
	t.Logf("%d seeds, %.0f virtual hours, %d cuts, %d resumes, %d sessions moved, %d ended; nothing lost, repeated or out of order",
		n, total.hours, total.cuts, total.resumes, total.moves, total.ends)
	if n >= defaultSeeds && total.cuts < 10_000 {
		t.Errorf("only %d cuts", total.cuts)
	}
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

// drawCourse draws the events of a seed.
func drawCourse(seed uint64) *course {
	rng := rand.New(rand.NewPCG(seed, 2))
	c := &course{seed: seed, chance: seed, players: 1 + rng.IntN(3)}
	for range 120 {
		ev := event{who: rng.IntN(c.players), verb: drawVerb(rng), n: rng.IntN(1_000_000)}
		pause := 3 * time.Second
		if rng.IntN(2) == 0 {
			pause = 100 * time.Millisecond // while all of it is on its way
		}
		ev.wait = time.Duration(rng.Int64N(int64(pause))).Truncate(time.Millisecond)
		c.events = append(c.events, ev)
	}
	return c
}

// play plays a course to its end.
func (c *course) play(w *world) {
	w.jitter = 60 * time.Millisecond
	for i := range c.players {
		w.player(fmt.Sprint("p", i))
	}
	for _, ev := range c.events {
		i := ev.who % len(w.players)
		if p := w.players[i]; p.c.State() == Ended {
			w.players[i] = w.anew(p)
		}
		verbs[ev.verb].do(w.players[i], ev.n)
		w.run(ev.wait)
	}
	w.settle()
}

// anew is the player who starts the game again, or another one in his place.
func (w *world) anew(p *player) *player {
	q := w.player(p.user)
	w.players = w.players[:len(w.players)-1]
	return q
}

// settle lets the network be quiet and expects everything to have arrived.
func (w *world) settle() {
	w.t.Helper()
	w.loginBy = nil
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
