// SPDX-License-Identifier: MIT

package gametest_test

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/gametest"
)

var runs = flag.Int("runs", 3, "how often TestMatchIsTheSameInEachRun plays its match")

// match is a game of some minutes at 20 Hz: who has walked farthest has won.
type match struct {
	*framework.Room
	at    map[string]int
	steps uint64
}

type state struct {
	N  uint64
	At []int
}

const stepsAMinute = 60 * 20

// matchMinutes is how long a match takes.
func matchMinutes() int {
	if testing.Short() {
		return 1
	}
	return 10
}

func newMatchServer(cfg framework.Config) (*framework.Server, error) {
	srv, err := framework.New(cfg)
	if err != nil {
		return nil, err
	}
	rooms := framework.AddRoom(srv, "match", func(r *framework.Room) *match {
		return &match{r, map[string]int{}, uint64(matchMinutes() * stepsAMinute)}
	}).Tick(50 * time.Millisecond)
	framework.OnRoomMessage(rooms, "walk", (*match).walk)
	return srv, nil
}

func (m *match) walk(p *framework.Player, steps int) { m.at[p.User()] += steps }

func (m *match) OnTick(t framework.Tick) {
	s := state{N: t.N}
	for _, p := range m.Members() {
		s.At = append(s.At, m.at[p.User()])
	}
	if t.N == m.steps {
		_ = m.Broadcast("result", s)
	} else if t.N < m.steps {
		_ = m.Broadcast("state", s)
	}
}

// playMatch plays ten players, cuts them at random, and returns
// all that any of them saw.
func playMatch(t *testing.T, seed uint64) (trace []string) {
	gametest.Options{Seed: seed, Conditions: gametest.Conditions{Delay: 20 * time.Millisecond}}.Run(t, newMatchServer, func(g *gametest.Game) {
		const n = 10
		for i := range n {
			g.Player(fmt.Sprint("p", i)).Join("match", "1")
		}
		var walked [n]int
		var away [n]time.Duration
		for g.Now() < time.Duration(matchMinutes())*time.Minute-10*time.Second {
			g.Sleep(time.Second)
			for i, p := range g.Players() {
				switch c := g.Rand.IntN(100); {
				case away[i] > 0:
					if away[i] -= time.Second; away[i] == 0 {
						p.Heal()
					}
				case c < 2:
					p.Cut()
					away[i] = time.Duration(1+g.Rand.IntN(45)) * time.Second
				case c < 5:
					p.Drop()
				case c < 60:
					walked[i] += c
					p.Send("walk", c)
				}
			}
		}
		for _, p := range g.Players() {
			p.Heal()
		}
		for _, p := range g.Players() {
			result := gametest.Next[state](p, "result")
			if !slices.Equal(result.At, walked[:]) {
				t.Errorf("%s was told %v, and %v is right", p.User, result.At, walked)
			}
			seen := gametest.All[state](p, "state")
			if last := seen[len(seen)-1]; last.N+1 != result.N || len(seen)+100 < int(result.N) {
				t.Errorf("%s saw %d states, the last is %d", p.User, len(seen), last.N)
			}
			trace = append(trace, p.Trace()...)
			if st := p.Client.Stats(); st.Opens != 1 || st.Resets != 0 {
				t.Errorf("%s: %+v", p.User, st)
			}
		}
	})
	return trace
}

// The same seed plays the same match, event by event and moment by moment,
// however often: run it with -runs 100.
func TestMatchIsTheSameInEachRun(t *testing.T) {
	n := *runs
	if testing.Short() {
		n = 2
	}
	first := playMatch(t, 1)
	for i := range n - 1 {
		again := playMatch(t, 1)
		for j := range min(len(first), len(again)) {
			if first[j] != again[j] {
				t.Fatalf("run %d, line %d: %s, and in the first run %s", i+2, j, again[j], first[j])
			}
		}
		if len(first) != len(again) {
			t.Fatalf("run %d: %d lines, and in the first run %d", i+2, len(again), len(first))
		}
	}
	if other := playMatch(t, 2); slices.Equal(first, other) {
		t.Error("another seed plays the same match")
	}
	lost := 0
	for _, line := range first {
		if slices.Contains([]string{client.EventLost.String()}, line[len(line)-4:]) {
			lost++
		}
	}
	t.Logf("%d lines, %d links lost", len(first), lost)
}
