// SPDX-License-Identifier: MIT

package gametest_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/framework/gametest"
)

// world is a game of several servers, and what the test knows of their rooms.
type world struct {
	mu sync.Mutex
	// Guarded by mu.
	last   map[string]uint64 // by key: the highest generation of which anything ran
	ticks  map[uint16]int    // by node
	runs   []string          // rooms that were made
	closed []string          // sessions that have ended
	faults []string
}

// island is a room that is to run at one server at a time.
type island struct {
	*framework.Room
	w    *world
	node uint16
}

// acts is called by all that runs in a room: once anything of a later one of the key has run,
// nothing of an earlier one may.
func (i *island) acts(what string) {
	i.w.mu.Lock()
	defer i.w.mu.Unlock()
	if last := i.w.last[i.Key()]; i.Generation() < last {
		i.w.faults = append(i.w.faults, fmt.Sprintf("%s at node %d: generation %d of %s after %d", what, i.node, i.Generation(), i.Key(), last))
	}
	i.w.last[i.Key()] = max(i.w.last[i.Key()], i.Generation())
}

func (i *island) OnCreate() error {
	i.acts("OnCreate")
	i.w.mu.Lock()
	defer i.w.mu.Unlock()
	i.w.runs = append(i.w.runs, fmt.Sprintf("%s at %d", i.Key(), i.node))
	return nil
}

func (i *island) OnTick(t framework.Tick) {
	i.acts("OnTick")
	i.w.mu.Lock()
	i.w.ticks[i.node]++
	i.w.mu.Unlock()
	_ = i.Broadcast("tick", t.N)
}

func (i *island) OnJoin(*framework.Player) error { i.acts("OnJoin"); return nil }

func (i *island) Say(p *framework.Player, text string) {
	i.acts("Say")
	_ = i.Broadcast("said", fmt.Sprintf("%s at %d: %s", p.User(), i.node, text))
}

func (w *world) new(cfg framework.Config) (*framework.Server, error) {
	cfg.Reopen = func(context.Context, string) (any, error) { return nil, nil }
	node := cfg.Node
	cfg.OnClose = func(p *framework.Player, _ framework.Reason) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.closed = append(w.closed, fmt.Sprintf("%s at %d", p.User(), node))
	}
	cfg.Drain.Window = 2 * time.Second
	srv, err := framework.New(cfg)
	if err != nil {
		return nil, err
	}
	c := cfg.Cluster.(*cluster.Cluster)
	islands := framework.AddRoom(srv, "island", func(r *framework.Room) *island { return &island{r, w, node} }).Tick(50 * time.Millisecond)
	framework.OnRoomMessage(islands, "say", (*island).Say)
	framework.OnMessage(srv, "whisper", func(p *framework.Player, to string) { _ = c.User(to).Push("whispered", p.User()) })
	framework.OnMessage(srv, "all", func(_ *framework.Player, text string) { _ = c.Broadcast("news", text) })
	return srv, nil
}

func newWorld() *world { return &world{last: map[string]uint64{}, ticks: map[uint16]int{}} }

// ticked returns how often rooms of a node have ticked.
func (w *world) ticked(n *gametest.Node) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ticks[uint16(n.Number())]
}

// of returns one of the lists.
func (w *world) of(list *[]string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(*list)
}

// play runs a test on some servers, and reports what the rooms saw.
func (w *world) play(t *testing.T, o gametest.Options, test func(g *gametest.Game)) {
	t.Helper()
	o.Run(t, w.new, func(g *gametest.Game) {
		test(g)
		for _, f := range w.of(&w.faults) {
			g.T.Error(f)
		}
	})
}

// Players of three servers, over each carrier, are in one room; they whisper and are told news
// across servers.
func TestSeveralServersAreOne(t *testing.T) {
	for _, c := range carriers {
		t.Run(c.String(), func(t *testing.T) {
			w := newWorld()
			w.play(t, gametest.Options{Servers: 3, Carrier: c}, func(g *gametest.Game) {
				var all []*gametest.Player
				for i, n := range g.Nodes() {
					p := n.Player(fmt.Sprint("p", i+1))
					if p.Node() != n {
						g.T.Errorf("%s is at %v", p.User, p.Node())
					}
					all = append(all, p)
				}
				g.Sleep(time.Second)
				all[0].Send("whisper", "p3")
				gametest.Expect(all[2], "whispered", "p1")
				all[1].Send("all", "rain")
				for _, p := range all {
					gametest.Expect(p, "news", "rain")
				}
				for _, p := range all {
					p.Join("island", "lagoon")
				}
				for _, p := range all {
					if p.Node().Number() != 1 || p.Client.Stats().Opens != 1 || p.Client.Stats().Carrier != carrierName(c) {
						g.T.Errorf("%s is at %d: %+v", p.User, p.Node().Number(), p.Client.Stats())
					}
				}
				all[2].Send("say", "hi")
				for _, p := range all {
					gametest.Expect(p, "said", "p3 at 1: hi")
				}
			})
			if got := fmt.Sprint(w.of(&w.runs)); got != "[lagoon at 1]" {
				t.Errorf("rooms: %s", got)
			}
		})
	}
}

// A server that is killed stands still at once, calls no hook, and its room is made anew at
// another one when it is dead. It comes back under its number.
func TestKill(t *testing.T) {
	w := newWorld()
	w.play(t, gametest.Options{Servers: 2}, func(g *gametest.Game) {
		one, two := g.Nodes()[0], g.Nodes()[1]
		ann, bob := two.Player("ann"), two.Player("bob")
		ann.Join("island", "lagoon")
		bob.Join("island", "lagoon")
		gametest.Next[uint64](ann, "tick")
		two.Kill()
		if two.Running() || ann.Node() != nil {
			g.T.Error("the killed server runs")
		}
		ticked := w.ticked(two)
		g.Sleep(10 * time.Second) // its lease is not over
		if n := w.ticked(two) - ticked; n > 1 {
			g.T.Errorf("%d ticks after the kill", n)
		}
		g.Within("reopened", func() bool { return ann.Node() == one && bob.Node() == one })
		if ann.Event(client.EventReset); ann.Client.Stats().Opens != 1 {
			g.T.Errorf("%+v", ann.Client.Stats())
		}
		g.Sleep(time.Second) // the client joins again by itself
		ann.Send("say", "where are we?")
		gametest.Expect(ann, "said", "ann at 1: where are we?")
		if got := w.of(&w.closed); len(got) != 0 {
			g.T.Errorf("hooks of the killed server: %q", got)
		}
		two.Restart()
		if p := two.Player("cid"); p.Node() != two {
			g.T.Error("cid is not at the new server")
		}
		two.Kill()
		two.Restart() // waits until it is declared dead
		if !two.Running() || g.Now() < 40*time.Second {
			g.T.Errorf("it runs: %v, at %v", two.Running(), g.Now())
		}
	})
	if got := fmt.Sprint(w.of(&w.runs)); got != "[lagoon at 2 lagoon at 1]" {
		t.Errorf("rooms: %s", got)
	}
}

// A server that is cut off from the directory pauses, and goes on when it is healed in time.
func TestPartition(t *testing.T) {
	w := newWorld()
	w.play(t, gametest.Options{Servers: 3}, func(g *gametest.Game) {
		one, two := g.Nodes()[0], g.Nodes()[1]
		ann, bob := one.Player("ann"), two.Player("bob")
		ann.Join("island", "lagoon")
		one.Partition()
		g.Sleep(15 * time.Second)
		ticked := w.ticked(one)
		g.Sleep(2 * time.Second)
		if n := w.ticked(one) - ticked; n != 0 || ticked == 0 {
			g.T.Errorf("%d ticks of a server that has no lease", n)
		}
		one.Heal()
		g.Within("a tick", func() bool { return w.ticked(one) > ticked })
		bob.Join("island", "lagoon")
		if bob.Node() != one || ann.Client.Stats().Resumes != 0 {
			g.T.Errorf("bob is at %v; ann: %+v", bob.Node(), ann.Client.Stats())
		}

		// Two servers that don't hear each other, and the directory that hears both.
		cid := two.Player("cid")
		one.Partition(two)
		if cid.Client.Join(g.T.Context(), "island", "lagoon") == nil {
			g.T.Error("cid found the room of a server that does not answer")
		}
		if dan := g.Nodes()[2].Player("dan"); true {
			dan.Join("island", "lagoon")
		}
		one.Heal()
		cid.Join("island", "lagoon")

		// Long enough to be declared dead. Its players wait, as it answers their heartbeats.
		one.Partition()
		g.Sleep(time.Minute)
		if ann.Node() != one {
			g.T.Errorf("ann is at %v", ann.Node())
		}
		one.Heal()
		g.Within("all reopened", func() bool {
			return !slices.ContainsFunc(g.Players(), func(p *gametest.Player) bool { return p.Node() == nil || p.Node() == one })
		})
		one.Restart()
	})
}

// playWorld plays some minutes on three servers of which one is killed, one is cut off and
// each is drained, and returns what players saw.
func playWorld(t *testing.T, seed uint64) (trace []string) {
	const keys = 3
	w := newWorld()
	w.play(t, gametest.Options{Servers: 3, Seed: seed, Conditions: gametest.Conditions{Delay: 20 * time.Millisecond}}, func(g *gametest.Game) {
		for i := range 6 {
			p := g.Nodes()[i%3].Player(fmt.Sprint("p", i))
			p.Join("island", fmt.Sprint("i", i%keys))
		}
		steps := []func(n *gametest.Node){
			(*gametest.Node).Kill,
			func(n *gametest.Node) { n.Partition() },
			(*gametest.Node).Drain,
			func(n *gametest.Node) { n.Partition(g.Nodes()[g.Rand.IntN(3)]) },
		}
		g.Rand.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
		for _, step := range steps {
			n := g.Nodes()[g.Rand.IntN(3)]
			step(n)
			for range 10 + g.Rand.IntN(30) {
				g.Sleep(time.Second)
				for _, p := range g.Players() {
					if _, in := p.Client.Room("island").Key(); in {
						_ = p.Client.Send("say", "still here")
					}
				}
			}
			n.Heal()
			g.Sleep(3 * time.Second)
			if !n.Running() || n.Server.Stats().Sessions == 0 {
				n.Restart()
			}
		}
		g.Sleep(30 * time.Second)
		for i, p := range g.Players() {
			p.Join("island", fmt.Sprint("i", i%keys))
		}
		for i, p := range g.Players()[:keys] {
			if other := g.Players()[i+keys]; p.Node() != other.Node() {
				g.T.Errorf("%s is at node %d, and %s at %d", p.User, p.Node().Number(), other.User, other.Node().Number())
			}
		}
		for _, p := range g.Players() {
			trace = append(trace, p.Trace()...)
		}
		g.T.Logf("%v: %q, %d lines", g.Now(), w.of(&w.runs), len(trace))
	})
	return trace
}

// The same seed plays the same on several servers.
func TestServersAreTheSameInEachRun(t *testing.T) {
	n := max(*runs-1, 2)
	first := playWorld(t, 1)
	for i := range n - 1 {
		again := playWorld(t, 1)
		for j := range min(len(first), len(again)) {
			if first[j] != again[j] {
				t.Fatalf("run %d, line %d: %s, and in the first run %s", i+2, j, again[j], first[j])
			}
		}
		if len(first) != len(again) {
			t.Fatalf("run %d: %d lines, and in the first run %d", i+2, len(again), len(first))
		}
	}
}
