// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// A client reads whatever its server may send, or is told at once that it can't:
// it never comes back to the same packet again and again.
func TestLargestBodyIsReadOrRefusedAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		cfg := framework.Config{Session: session.Config{MaxBody: 256 << 10, SendBytes: 1 << 20, RecvBytes: 1 << 20}}
		simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, cfg, nil, func(e *env) {
			c := e.newClient("ann", carrier)
			var got atomic.Int64
			client.OnMessage(c, "world", func(b []byte) { got.Store(int64(len(b))) })
			e.connect(c)
			e.within(time.Second, "heard", func() bool { return attached(e) == 1 })
			if err := e.players()[0].Push("world", make([]byte, 200_000)); err != nil {
				t.Fatal(err)
			}
			e.within(time.Minute, "the world", func() bool { return got.Load() == 200_000 })
			if n := c.Stats().Losses; n != 0 {
				t.Errorf("%d links lost for it", n)
			}

			small, err := client.New([]string{e.addr(carrier)}, e.dialers(client.Config{
				Ticket: func(context.Context) ([]byte, error) { return []byte("bob"), nil }, MaxReceive: 64 << 10,
			}))
			if err != nil {
				t.Fatal(err)
			}
			e.clients = append(e.clients, small)
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			var why *session.CloseError
			if err := small.Connect(ctx); !errors.As(err, &why) || why.Code != session.Version {
				t.Fatalf("a client that reads less connected: %v", err)
			}
			if s := small.Stats(); s.Dials != 1 {
				t.Errorf("it dialled %d times", s.Dials)
			}
			e.within(5*time.Second, "gone from the server", func() bool { return len(e.srv.Inspect(10, func(*framework.Info) bool { return true })) == 1 })
		})
	})
}
