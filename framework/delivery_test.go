// SPDX-License-Identifier: MIT

package framework_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// declares is a server that sends on one route of each kind.
func declares(s *framework.Server) {
	s.Sends(framework.DeliverNewest, "state", "aim")
	s.Sends(framework.DropOldest, "chat")
	s.Sends(framework.DeliverAll, "loot")
}

// heard is what a client got, by route.
type heard struct {
	mu  sync.Mutex
	got map[string][]int
	all []string
}

func hears(c *client.Client, routes ...string) *heard {
	h := &heard{got: map[string][]int{}}
	for _, route := range routes {
		client.OnMessage(c, route, func(n int) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.got[route] = append(h.got[route], n)
			h.all = append(h.all, fmt.Sprint(route, n))
		})
	}
	return h
}

func (h *heard) of(route string) []int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.got[route])
}

// A player who is away for a while comes back to everything that matters, and of
// the rest to the newest, in the order in which it was sent.
func TestDeliveryToAPlayerWhoWasAway(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		simulate(t, 1, memnet.Conditions{Delay: 5 * time.Millisecond}, framework.Config{}, declares, func(e *env) {
			c := e.newClient("ann", carrier)
			h := hears(c, "state", "aim", "chat", "loot", "undeclared")
			e.connect(c)
			p := e.srv.User("ann")[0]
			c.Pause()
			e.within(time.Second, "ann is away", func() bool { return !p.Attached() })
			for n := range 5000 {
				_ = p.Push("state", n)
				if n%2 == 0 {
					_ = p.Push("aim", n)
				}
				_ = p.Push("chat", n)
				if n%100 == 0 {
					_ = p.Push("loot", n)
					_ = p.Push("undeclared", n)
				}
				if n%500 == 0 {
					time.Sleep(time.Millisecond) // the loop collects
				}
			}
			time.Sleep(time.Second)
			in := e.srv.Inspect(1, func(*framework.Info) bool { return true })[0]
			if in.Queued > 1024 || in.Dropped == 0 {
				t.Errorf("%+v", in)
			}
			c.Hurry()
			e.within(5*time.Second, "the last one has come", func() bool {
				got := h.of("chat")
				return len(got) > 0 && got[len(got)-1] == 4999
			})
			for _, route := range []string{"loot", "undeclared"} {
				if got := h.of(route); len(got) != 50 || !slices.IsSorted(got) {
					t.Errorf("of %s came %v", route, got)
				}
			}
			chat := h.of("chat")
			if n := len(chat); n < 500 || !slices.IsSorted(chat) {
				t.Errorf("%d chats came, sorted %v", n, slices.IsSorted(chat))
			}
			for route, want := range map[string]int{"state": 4999, "aim": 4998} {
				if got := h.of(route); !slices.Equal(got, []int{want}) {
					t.Errorf("of %s came %v", route, got)
				}
			}
			if st := e.srv.Stats(); st.Overflows != 0 || st.Resets != 0 || st.Dropped < 4999+2499+3000 {
				t.Errorf("%d overflows, %d resets, %d dropped", st.Overflows, st.Resets, st.Dropped)
			}
		})
	})
}

// A declared route may have a handler too; two declarations are a mistake.
func TestDeclaredRoutesAreListedOnce(t *testing.T) {
	srv, err := framework.New(framework.Config{})
	if err != nil {
		t.Fatal(err)
	}
	declares(srv)
	framework.OnMessage(srv, "chat", func(*framework.Player, int) {})
	for what, f := range map[string]func(){
		"a second declaration": func() { srv.Sends(framework.DeliverAll, "chat") },
		"a second handler":     func() { framework.OnMessage(srv, "chat", func(*framework.Player, int) {}) },
		"no name":              func() { srv.Sends(framework.DeliverAll, "") },
		"a long name":          func() { srv.Sends(framework.DeliverAll, strings.Repeat("x", 129)) },
		"no delivery":          func() { srv.Sends(3, "x") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is taken", what)
				}
			}()
			f()
		}()
	}
}

// Positions both ways over a line that loses and reorders: what comes, comes in
// the order sent, and where they travel beside the stream a loss delays nobody.
func TestPositionsComeInOrderAndOnTime(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		cond := memnet.Conditions{Delay: 20 * time.Millisecond, Jitter: 15 * time.Millisecond, Loss: 0.1, Duplicate: 0.05, Reorder: 0.1}
		track := func() (take func(int64), check func(what string, sent int, limit time.Duration)) {
			var mu sync.Mutex
			var got []int64
			var worst time.Duration
			take = func(at int64) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, at)
				worst = max(worst, time.Duration(time.Now().UnixNano()-at))
			}
			check = func(what string, sent int, limit time.Duration) {
				t.Helper()
				mu.Lock()
				defer mu.Unlock()
				for i := 1; i < len(got); i++ {
					if got[i] <= got[i-1] {
						t.Fatalf("%s: position %d of %v came after that of %v", what, i, got[i], got[i-1])
					}
				}
				if len(got) < sent/2 || len(got) > sent {
					t.Errorf("%s: %d of %d came", what, len(got), sent)
				}
				if carrier == transport.KCP && worst > limit {
					t.Errorf("%s: one came %v late", what, worst)
				}
			}
			return take, check
		}
		up, checkUp := track()
		down, checkDown := track()
		simulate(t, 3, cond, framework.Config{Session: quick}, func(s *framework.Server) {
			framework.OnMessage(s, "aim", func(_ *framework.Player, at int64) { up(at) })
			s.Sends(framework.DeliverNewest, "state")
		}, func(e *env) {
			c := e.newClient("ann", carrier)
			client.OnMessage(c, "state", down)
			e.connect(c)
			p := e.srv.User("ann")[0]
			const n = 400
			for range n {
				_ = p.Push("state", time.Now().UnixNano())
				_ = c.SendNewest("aim", time.Now().UnixNano())
				time.Sleep(25 * time.Millisecond)
			}
			time.Sleep(5 * time.Second)
			checkUp("up", n, 60*time.Millisecond)
			checkDown("down", n, 60*time.Millisecond)
		})
	})
}
