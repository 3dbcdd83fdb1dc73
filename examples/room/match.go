// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/examples/room/swarm"
	"github.com/lifeline-go/lifeline/framework"
)

const (
	matchSeats = 4
	countdown  = 3 * time.Second // until a match begins: others may come
	gemCount   = 10
	reach      = 36  // how near a runner must be to a gem
	runs       = 520 // units a second: how fast a player may be
	strolls    = 190 // and how fast those are that the server plays
)

// Runner is one who plays, as all see it.
type Runner struct {
	ID      int
	X, Y    float32
	Dropped bool
	Gems    int
}

// Gem is worth a point to whoever walks over it.
type Gem struct {
	ID   int
	X, Y float32
}

// Round is what a match looks like at a moment: a lost one tells nothing that the next one
// does not.
type Round struct {
	Tick    uint64
	Left    float32 // seconds; all of them until it begins
	Players []Runner
	Gems    []Gem
}

// Lineup says who plays, and under which number you do.
type Lineup struct {
	ID      int
	Side    float32
	Step    float32 // ms
	Begins  float32 // in so many seconds; 0: it has begun
	Players []swarm.Name
}

// Got says who got a gem. They are numbered from 1, and none may be missing.
type Got struct {
	N  uint64
	By string
}

// Result is how a match ended, the best first.
type Result struct {
	Scores []Score
}

// Score is one line of a Result.
type Score struct {
	ID   int
	Name string
	Gems int
}

// Match is half a minute in which whoever gets the most gems wins. The server plays the
// seats that nobody has taken.
type Match struct {
	*framework.Room
	*game
	wait    time.Duration // until it begins
	left    time.Duration // from then on
	runners []*runner     // by number, which counts from 1
	gems    []Gem
	taken   uint64
	lastGem int
}

// runner is one who plays.
type runner struct {
	Runner
	name   string
	player *framework.Player // nil: the server plays
	to     swarm.Move        // where it wants to be
}

func (g *game) newMatch(r *framework.Room) *Match {
	m := &Match{Room: r, game: g, wait: countdown, left: g.length}
	for i, name := range []string{"Ada", "Grace", "Alan", "Edsger"} {
		a := math.Pi * (0.25 + 0.5*float64(i))
		x, y := float32(side/2+300*math.Cos(a)), float32(side/2+300*math.Sin(a))
		m.runners = append(m.runners, &runner{Runner: Runner{ID: i + 1, X: x, Y: y}, name: name, to: swarm.Move{X: x, Y: y}})
	}
	for range gemCount {
		m.addGem()
	}
	return m
}

func (m *Match) addGem() {
	m.lastGem++
	m.gems = append(m.gems, Gem{m.lastGem, 40 + rand.Float32()*(side-80), 40 + rand.Float32()*(side-80)})
}

// OnJoin gives a player one of the seats that the server has played so far.
func (m *Match) OnJoin(p *framework.Player) error {
	i := slices.IndexFunc(m.runners, func(r *runner) bool { return r.player == nil })
	m.runners[i].player, m.runners[i].name = p, p.User() // Seats leaves one
	m.lineUp()
	return nil
}

// lineUp tells everybody who plays.
func (m *Match) lineUp() {
	for _, p := range m.Members() {
		m.OnSnapshot(p)
	}
}

// OnSnapshot tells an app that knows nothing of the match, as it was started anew, who plays.
func (m *Match) OnSnapshot(p *framework.Player) {
	l := Lineup{ID: m.of(p).ID, Side: side, Step: float32(m.tick.Milliseconds()), Begins: float32(m.wait.Seconds())}
	for _, r := range m.runners {
		l.Players = append(l.Players, swarm.Name{ID: r.ID, Name: r.name})
	}
	_ = p.Push("lineup", l)
}

// of returns who a member is.
func (m *Match) of(p *framework.Player) *runner {
	return m.runners[slices.IndexFunc(m.runners, func(r *runner) bool { return r.player == p })]
}

// Go is where a player wants to be. It gets there as fast as it may.
func (m *Match) Go(p *framework.Player, to swarm.Move) {
	if to.X == to.X && to.Y == to.Y { // NaN is no place
		m.of(p).to = to
	}
}

// OnTick lets all walk and get gems, and shows everybody.
func (m *Match) OnTick(t framework.Tick) {
	if m.wait > 0 {
		if m.wait -= t.Step; m.wait <= 0 {
			m.wait = 0
			m.SetOpen(false) // from now on nobody gets in
		}
	} else {
		for _, r := range m.runners {
			m.run(r, float32(t.Step.Seconds()))
		}
		if m.left -= t.Step; m.left <= 0 {
			m.finish()
			return
		}
	}
	round := Round{Tick: t.N, Left: float32(m.left.Seconds()), Gems: m.gems}
	for _, r := range m.runners {
		round.Players = append(round.Players, r.Runner)
	}
	_ = m.Broadcast("round", round)
}

// run moves one who plays, and gives it the gems that it comes to.
func (m *Match) run(r *runner, dt float32) {
	speed := float32(runs)
	if r.player == nil {
		speed = strolls
		near := slices.MinFunc(m.gems, func(a, b Gem) int { return cmp.Compare(far(r, a), far(r, b)) })
		r.to = swarm.Move{X: near.X, Y: near.Y}
	}
	dx, dy := r.to.X-r.X, r.to.Y-r.Y
	if d := float32(math.Hypot(float64(dx), float64(dy))); d > 0 && !r.Dropped {
		f := min(1, speed*dt/d)
		r.X = min(max(r.X+dx*f, 0), side)
		r.Y = min(max(r.Y+dy*f, 0), side)
	}
	for i := 0; i < len(m.gems); i++ {
		if far(r, m.gems[i]) < reach {
			m.gems = slices.Delete(m.gems, i, i+1)
			m.addGem()
			m.taken++
			r.Gems++
			_ = m.Broadcast("got", Got{m.taken, r.name})
		}
	}
}

func far(r *runner, g Gem) float64 { return math.Hypot(float64(r.X-g.X), float64(r.Y-g.Y)) }

// finish tells all how it ended and lets them go. OnEnd follows.
func (m *Match) finish() {
	_ = m.Broadcast("result", m.result())
	m.Close(framework.RoomFinished, "time is up")
}

func (m *Match) result() (res Result) {
	for _, r := range m.runners {
		res.Scores = append(res.Scores, Score{r.ID, r.name, r.Gems})
	}
	slices.SortStableFunc(res.Scores, func(a, b Score) int { return b.Gems - a.Gems })
	return res
}

// OnDetach keeps the seat: the others see that its player is away.
func (m *Match) OnDetach(p *framework.Player) { m.of(p).Dropped = true }

// OnResume goes on: what the player has missed is on its way.
func (m *Match) OnResume(p *framework.Player) { m.of(p).Dropped = false }

// OnLeave lets the server play on for a player who leaves.
func (m *Match) OnLeave(p *framework.Player, _ framework.Reason) {
	r := m.of(p)
	r.player, r.Dropped = nil, false
}

// OnEnd is the last of all, whatever happened. A game writes its results here.
func (m *Match) OnEnd(why framework.Reason) {
	m.log.Info("match over", "match", m.Key(), "why", why, "result", m.result())
}
