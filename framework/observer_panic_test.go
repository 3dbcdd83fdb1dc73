// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestObserversThatAlwaysPanic: each is told of what happens, and all goes on.
func TestObserversThatAlwaysPanic(t *testing.T) {
	var struck [10]atomic.Int64
	strike := func(i int) {
		struck[i].Add(1)
		panic("boom")
	}
	cfg := framework.Config{Session: quick, Loops: 1}
	cfg.Session.SendPackets = 50
	cfg.Authenticate = func(_ context.Context, l framework.Login) (framework.Identity, error) {
		if string(l.Ticket) == "eve" {
			return framework.Identity{}, framework.Fail(1000, "no")
		}
		return framework.Identity{User: string(l.Ticket)}, nil
	}
	cfg.Observer = framework.Observer{
		Opened:     func(*framework.Player, bool) { strike(0) },
		Lost:       func(*framework.Player, string) { strike(1) },
		Resumed:    func(*framework.Player, bool) { strike(2) },
		Closed:     func(*framework.Player, framework.Reason) { strike(3) },
		Refused:    func(netip.AddrPort, framework.Carrier, framework.Reason) { strike(4) },
		Handled:    func(*framework.Player, string, time.Duration, error) { strike(5) },
		InlineLate: func(string, time.Duration) { strike(6) },
		TickLate:   func(string, framework.Tick, uint64) { strike(7) },
		Dropped:    func(*framework.Player, string, int) { strike(8) },
		Overflowed: func(*framework.Player, bool) { strike(9) },
	}
	simulate(t, 1, memnet.Conditions{}, cfg, func(s *framework.Server) {
		s.Sends(framework.DeliverNewest, "pos")
		framework.OnRequest(s, "now", func(p *framework.Player, n int) (int, error) { time.Sleep(time.Second); return n, nil }).Inline()
		framework.OnRequest(s, "ask", func(p *framework.Player, n int) (int, error) { return n, nil })
		rooms := framework.AddRoom(s, "lair", func(r *framework.Room) *lair {
			return &lair{r, func(string, *framework.Player) {}}
		}).Tick(50 * time.Millisecond)
		framework.OnRoomRequest(rooms, "slow", func(d *lair, p *framework.Player, n int) (int, error) {
			time.Sleep(time.Second)
			return n, nil
		})
	}, func(e *env) {
		bob, ann := e.dial("bob", transport.TCP), e.dial("ann", transport.TCP)
		eve := e.newClient("eve", transport.TCP)
		_ = eve.Connect(short())
		try := func(c *client.Client) {
			for _, route := range []string{"ask", "now"} {
				n := 0
				if err := c.Request(short(), route, 7, &n); err != nil || n != 7 {
					t.Errorf("%s: %d, %v", route, n, err)
				}
			}
			if err := c.Join(short(), "lair", "1"); err != nil {
				t.Errorf("join: %v", err)
			}
			if err := c.Request(short(), "slow", 7, nil); err != nil {
				t.Errorf("slow: %v", err)
			}
		}
		try(bob)
		try(ann)
		ann.Pause()
		time.Sleep(time.Second)
		p := e.srv.User("ann")[0]
		for i := range 5 {
			_ = p.Push("pos", i)
		}
		for i := range 100 {
			_ = p.Push("all", i)
		}
		time.Sleep(time.Second)
		ann.Hurry()
		time.Sleep(5 * time.Second)
		try(ann)
		_ = ann.Close()
		time.Sleep(time.Second)
		try(bob)
		for i := range 10 {
			if struck[i].Load() == 0 {
				t.Errorf("observer %d was not told", i)
			}
		}
	})
}

// TestGoexitOnALoopEndsTheProcess: its players would wait for ever. The test runs itself as
// another process.
func TestGoexitOnALoopEndsTheProcess(t *testing.T) {
	if at := os.Getenv("LIFELINE_TEST_GOEXIT"); at != "" {
		endALoop(t, at)
		return
	}
	for at, want := range map[string]string{
		"Opened": "Observer.Opened", "Lost": "Observer.Lost", "Resumed": "Observer.Resumed", "Closed": "Observer.Closed",
		"handler": "Inline handler of route now",
	} {
		c := exec.Command(os.Args[0], "-test.run=^TestGoexitOnALoopEndsTheProcess$", "-test.timeout=1m")
		c.Env = append(os.Environ(), "LIFELINE_TEST_GOEXIT="+at)
		out, err := c.CombinedOutput()
		if want = "panic: framework: " + want + ": runtime.Goexit was called"; err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, want %q in %.2000s", at, err, want, out)
		}
	}
}

func endALoop(t *testing.T, at string) {
	strike := func(here string) {
		if here == at {
			runtime.Goexit()
		}
	}
	cfg := framework.Config{Session: quick, Loops: 1, Observer: framework.Observer{
		Opened:  func(*framework.Player, bool) { strike("Opened") },
		Lost:    func(*framework.Player, string) { strike("Lost") },
		Resumed: func(*framework.Player, bool) { strike("Resumed") },
		Closed:  func(*framework.Player, framework.Reason) { strike("Closed") },
	}}
	simulate(t, 1, memnet.Conditions{}, cfg, func(s *framework.Server) {
		framework.OnMessage(s, "now", func(*framework.Player, int) { strike("handler") }).Inline()
	}, func(e *env) {
		c := e.dial("ann", transport.TCP)
		time.Sleep(time.Second) // while OnOpen is due a worker has it, which may end
		_ = c.Send("now", 1)
		time.Sleep(time.Second)
		c.Cut()
		time.Sleep(time.Minute)
		_ = c.Close()
		time.Sleep(time.Minute)
	})
}
