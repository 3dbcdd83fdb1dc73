// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

var seeds = flag.Int("seeds", 20, "how many seeds TestWholeStackLosesNothing plays")

// arena is the room of the simulation: everything said is numbered.
type arena struct {
	*framework.Room
	mu      *sync.Mutex
	said    *uint64 // by the room, to everybody
	seats   map[string][]string
	members map[string]uint64 // what the room had said when a player joined
}

func (a *arena) note(p *framework.Player, what string) {
	a.mu.Lock()
	a.seats[p.User()] = append(a.seats[p.User()], what)
	a.mu.Unlock()
}

func (a *arena) OnJoin(p *framework.Player) error {
	a.note(p, "open")
	a.mu.Lock()
	a.members[p.User()] = *a.said
	a.mu.Unlock()
	return nil
}
func (a *arena) OnDetach(p *framework.Player)                    { a.note(p, "detach") }
func (a *arena) OnResume(p *framework.Player)                    { a.note(p, "resume") }
func (a *arena) OnLeave(p *framework.Player, _ framework.Reason) { a.note(p, "close") }

func (a *arena) OnTick(framework.Tick) {
	a.mu.Lock()
	*a.said++
	n := *a.said
	a.mu.Unlock()
	_ = a.Broadcast("tick", n)
}

// actor is a player of the simulation and what it saw.
type actor struct {
	name string
	c    *client.Client
	mu   sync.Mutex
	sent uint64
	// What came: echoes of what it sent, pushes of its own, ticks of the room.
	echoes, pushes, ticks []uint64
	reached               []uint64 // the server's handler
}

func (a *actor) add(list *[]uint64) func(uint64) {
	return func(n uint64) {
		a.mu.Lock()
		*list = append(*list, n)
		a.mu.Unlock()
	}
}

func (a *actor) count(list *[]uint64) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(*list)
}

// TestWholeStackLosesNothing plays players over a bad in-memory network with
// several loops: traffic both ways, a room that never stops talking, cuts of
// one link or all, loss, reorder and duplication below KCP. In the end
// everybody has seen everything, once and in order (scenarios 19, 24, 28, 71).
func TestWholeStackLosesNothing(t *testing.T) {
	var cuts, resumes uint64
	for seed := range uint64(*seeds) {
		ok := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			c, r := playSeed(t, seed)
			cuts += c
			resumes += r
		})
		if !ok {
			t.Fatalf("replay with: go test ./framework -run 'TestWholeStackLosesNothing/seed=%d$' -seeds %d", seed, seed+1)
		}
	}
	t.Logf("%d seeds, %d cuts, %d resumes", *seeds, cuts, resumes)
}

func playSeed(t *testing.T, seed uint64) (cuts, resumes uint64) {
	rng := rand.New(rand.NewPCG(seed, 3))
	cond := memnet.Conditions{
		Delay: time.Duration(rng.IntN(60)) * time.Millisecond, Jitter: time.Duration(rng.IntN(30)) * time.Millisecond,
		Loss: float64(rng.IntN(10)) / 100, Duplicate: 0.02, Reorder: 0.02,
	}
	cfg := framework.Config{Loops: 1 + rng.IntN(4), Session: session.Config{Interval: 2 * time.Second, Timeout: 8 * time.Second, SendPackets: 8000, SendBytes: 1 << 20}}
	var mu sync.Mutex
	var said uint64
	seats, joined := map[string][]string{}, map[string]uint64{}
	actors := map[string]*actor{}
	setup := func(s *framework.Server) {
		rooms := framework.AddRoom(s, "arena", func(r *framework.Room) *arena {
			return &arena{Room: r, mu: &mu, said: &said, seats: seats, members: joined}
		}).Tick(50 * time.Millisecond)
		framework.OnRoomMessage(rooms, "say", func(_ *arena, p *framework.Player, n uint64) {
			a := actors[p.User()]
			a.add(&a.reached)(n)
			_ = p.Push("echo", n)
		})
		framework.OnMessage(s, "push", func(p *framework.Player, n uint64) { _ = p.Push("pushed", n) })
	}
	simulate(t, seed, cond, cfg, setup, func(e *env) {
		for i := range 2 + rng.IntN(4) {
			a := &actor{name: fmt.Sprint("p", i)}
			actors[a.name] = a
			a.c = e.newClient(a.name, carriers[rng.IntN(len(carriers))])
			client.OnMessage(a.c, "echo", a.add(&a.echoes))
			client.OnMessage(a.c, "pushed", a.add(&a.pushes))
			client.OnMessage(a.c, "tick", a.add(&a.ticks))
			e.connect(a.c)
			if err := a.c.Join(context.Background(), "arena", "1"); err != nil {
				t.Fatal(err)
			}
		}
		for range 150 {
			a := actors[fmt.Sprint("p", rng.IntN(len(actors)))]
			switch n := rng.IntN(100); {
			case n < 70:
				for range 1 + rng.IntN(5) {
					if a.c.Send("say", a.sent+1) == nil && a.c.Send("push", a.sent+1) == nil {
						a.sent++
					}
				}
			case n < 90:
				a.c.Cut()
			case n < 93:
				e.net.CutAll() // nobody is told anything
			default:
				a.c.Hurry()
			}
			time.Sleep(time.Duration(rng.IntN(400)) * time.Millisecond)
		}
		for _, a := range actors {
			a.c.Hurry()
		}
		e.within(2*time.Minute, "everything has arrived", func() bool {
			for _, a := range actors {
				if a.count(&a.echoes) < int(a.sent) || a.count(&a.pushes) < int(a.sent) {
					return false
				}
			}
			return true
		})
		for _, a := range actors {
			st := a.c.Stats()
			cuts += st.Losses
			resumes += st.Resumes
			_ = a.c.Close()
			if st.Opens != 1 || st.Resets != 0 {
				t.Errorf("%s: %d sessions, %d resets", a.name, st.Opens, st.Resets)
			}
		}
		e.within(3*time.Minute, "all have left", func() bool { return e.srv.Stats().Sessions == 0 })
	})
	for _, a := range actors {
		wholeFrom(t, a.name+": reached the server", a.reached, 1, int(a.sent))
		wholeFrom(t, a.name+": echoes", a.echoes, 1, int(a.sent))
		wholeFrom(t, a.name+": pushes", a.pushes, 1, int(a.sent))
		if len(a.ticks) == 0 {
			t.Errorf("%s saw no tick", a.name)
		} else {
			wholeFrom(t, a.name+": ticks", a.ticks, joined[a.name]+1, len(a.ticks))
		}
		checkHooks(t, a.name+" in the room", append(slices.Clone(seats[a.name][:len(seats[a.name])-1]), "close left"))
	}
	return cuts, resumes
}

// wholeFrom: got is first, first+1, ... without a hole, n of them.
func wholeFrom(t *testing.T, what string, got []uint64, first uint64, n int) {
	t.Helper()
	for i, v := range got {
		if v != first+uint64(i) {
			t.Errorf("%s: %d where %d belongs", what, v, first+uint64(i))
			return
		}
	}
	if len(got) != n {
		t.Errorf("%s: %d of %d", what, len(got), n)
	}
}
