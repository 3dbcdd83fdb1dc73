// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/internal/logtest"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// pose is a message of two fields.
type pose struct{ X, Y float64 }

// TestStrictTellsOfMessagesThatCameToNothing: each with its route, and with the field
// that does not fit. A server that is not strict only counts them.
func TestStrictTellsOfMessagesThatCameToNothing(t *testing.T) {
	for _, strict := range []bool{true, false} {
		onEach(t, func(t *testing.T, carrier transport.Carrier) {
			simulate(t, 1, memnet.Conditions{}, framework.Config{Strict: strict}, func(s *framework.Server) {
				rooms := framework.AddRoom(s, "hall", func(r *framework.Room) *framework.Room { return r })
				framework.OnRoomMessage(rooms, "shout", func(*framework.Room, *framework.Player, string) {})
				framework.OnMessage(s, "pose", func(*framework.Player, pose) {})
				framework.OnMessage(s, "small", func(*framework.Player, string) {}).Max(10)
				framework.OnRequest(s, "ask", func(_ *framework.Player, n int) (int, error) { return n, nil })
			}, func(e *env) {
				told := &diary{}
				cfg := e.dialers(client.Config{OnRefused: func(route string, err error) {
					told.add("%s: %v", route, err)
				}})
				c, err := client.New([]string{e.addr(carrier)}, cfg)
				if err != nil {
					t.Fatal(err)
				}
				e.clients = append(e.clients, c)
				e.connect(c)
				for _, m := range []struct {
					route string
					v     any
				}{{"shuot", "hi"}, {"shout", "hi"}, {"pose", []any{1.5, "two"}}, {"small", strings.Repeat("x", 100)}, {"ask", 1}, {"room.join", []string{"hall", "1"}}} {
					if err := c.Send(m.route, m.v); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Second)
				want := []string{
					"shuot: lifeline: nothing handles this route (code 2)",
					"small: lifeline: 102 bytes are too large, route small takes 10 (code 3)",
					"ask: lifeline: this route takes requests: the answer is dropped (code 2)",
					"room.join: lifeline: this route takes requests (code 2)",
					"shout: lifeline: join hall first (code 5)",
					"pose: lifeline: payload does not fit: field 2: not a number (type byte 0xa3) (code 3)",
				}
				if !strict {
					want = nil
				}
				got := told.all()
				for _, line := range want {
					if count(got, line) != 1 {
						t.Errorf("not told %q", line)
					}
				}
				if len(got) != len(want) {
					t.Errorf("told %q", got)
				}
				if st := e.srv.Stats(); st.NoRoute != 2 || st.NotJoined != 1 || st.TooLarge != 1 {
					t.Errorf("%d without a route, %d not joined, %d too large", st.NoRoute, st.NotJoined, st.TooLarge)
				}
			})
		})
	}
}

// TestStrictFindsMisspeltRoutes that the server sends on.
func TestStrictFindsMisspeltRoutes(t *testing.T) {
	log := &logtest.Lines{}
	simulate(t, 1, memnet.Conditions{}, framework.Config{Strict: true, Logger: log.Logger()}, func(s *framework.Server) {
		s.Sends(framework.DeliverAll, "news")
		framework.OnMessage(s, "echo", func(*framework.Player, int) {})
	}, func(e *env) {
		c := e.dial("ann", transport.TCP)
		p := e.srv.User("ann")[0]
		for route, ok := range map[string]bool{"news": true, "echo": true, "nwes": false} {
			if err := p.Push(route, 1); (err == nil) != ok {
				t.Errorf("Push %s: %v", route, err)
			}
			if err := e.srv.Broadcast(route, 1); (err == nil) != ok {
				t.Errorf("Broadcast %s: %v", route, err)
			}
		}
		if n := log.Count("a message is not sent"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		client.OnRequest(c, "sure", func(int) (bool, error) { return true, nil })
		var sure bool
		if err := p.Request(context.Background(), "sure", 0, &sure); err != nil || !sure {
			t.Errorf("a request of the server: %v", err) // the client says if it does not know it
		}
	})
}
