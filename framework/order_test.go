// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// Answers and pushes arrive in the order in which the server made them, and
// whoever waits in a handler does not wait for itself.
func TestAnswersKeepTheirOrder(t *testing.T) {
	simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, framework.Config{Session: quick}, func(s *framework.Server) {
		framework.OnRequest(s, "enter", func(p *framework.Player, n int) (int, error) {
			_ = p.Push("map", n)
			return n, nil
		})
		framework.OnRequest(s, "ping", func(_ *framework.Player, n int) (int, error) { return n, nil })
	}, func(e *env) {
		c, bg := e.newClient("ann", transport.TCP), context.Background()
		var have atomic.Int64
		client.OnMessage(c, "map", func(n int) { time.Sleep(100 * time.Millisecond); have.Store(int64(n)) })
		release := make(chan struct{})
		client.OnMessage(c, "ask", func(n int) { // asks in turn, and waits
			begin := time.Now()
			if err := c.Request(bg, "ping", n, nil); err != nil || time.Since(begin) > 100*time.Millisecond {
				t.Errorf("a request in a handler: %v after %v", err, time.Since(begin))
			}
			have.Store(int64(n))
		})
		client.OnMessage(c, "wait", func(n int) { <-release; have.Store(int64(n)) }) // for somebody else's request
		e.connect(c)
		p := e.srv.User("ann")[0]
		for n := 1; n <= 20; n++ {
			if err := c.Request(bg, "enter", n, nil); err != nil || have.Load() != int64(n) {
				t.Fatalf("answer %d came after map %d, %v", n, have.Load(), err)
			}
		}
		_ = p.Push("ask", 21)
		_ = p.Push("map", 22)
		time.Sleep(5 * time.Millisecond)
		if err := c.Request(bg, "ping", 1, nil); err != nil || have.Load() != 22 {
			t.Errorf("after both handlers: %d, %v", have.Load(), err)
		}

		// The handler waits, unseen, for a request that was made before it began.
		begin := time.Now()
		_ = p.Push("wait", 23)
		if err := c.Request(bg, "ping", 1, nil); err != nil || have.Load() == 23 || time.Since(begin) > 2*time.Second {
			t.Errorf("behind a handler that waits: %v after %v", err, time.Since(begin))
		}
		close(release)
		e.within(time.Second, "released", func() bool { return have.Load() == 23 })
	})
}
