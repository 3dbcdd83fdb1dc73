// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestDataIsReleased: what a game keeps in Player.Data goes with the session, however that ends
// and whatever the player has done, though the server and its rooms go on.
func TestDataIsReleased(t *testing.T) {
	type load [1 << 20]byte
	ends := map[string]func(c *client.Client, p *framework.Player){
		"closed":  func(c *client.Client, _ *framework.Player) { _ = c.Close() },
		"kicked":  func(_ *client.Client, p *framework.Player) { p.Kick(0, "") },
		"expired": func(c *client.Client, _ *framework.Player) { c.Pause() },
	}
	for _, carrier := range []transport.Carrier{transport.KCP, transport.TCP, transport.WebSocket} {
		for how, end := range ends {
			t.Run(fmt.Sprint(carrier, " ", how), func(t *testing.T) {
				loads := make(chan weak.Pointer[load], 100) // more than there are
				cfg := framework.Config{Session: quick, Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
					d := new(load)
					loads <- weak.Make(d)
					return framework.Identity{User: string(l.Ticket), Data: d}, nil
				}}
				simulate(t, 1, memnet.Conditions{}, cfg, func(s *framework.Server) {
					rooms := framework.AddRoom(s, "den", func(r *framework.Room) *framework.Room { return r }).Linger(-1).Listed()
					framework.OnRoomRequest(rooms, "in", func(_ *framework.Room, p *framework.Player, n int) (int, error) { return n, nil })
					framework.OnRequest(s, "ask", func(p *framework.Player, n int) (int, error) {
						s.Group("all").Add(p)
						p.OnClose(func() { _ = p.Data })
						p.Context()
						return n, nil
					})
					framework.OnMessage(s, "now", func(*framework.Player, int) {}).Inline()
				}, func(e *env) {
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					defer cancel()
					for i := range 3 {
						c := e.dial(fmt.Sprint("ann", i), carrier)
						n := 0
						for _, err := range []error{
							c.Join(ctx, "den", "1"), c.Request(ctx, "ask", 1, &n), c.Request(ctx, "in", 1, &n), c.Send("now", 1),
							c.Room("den").Follow(ctx, "", func([]client.RoomInfo) {}),
						} {
							if err != nil {
								t.Fatal(err)
							}
						}
						p := e.srv.User(fmt.Sprint("ann", i))[0]
						_ = e.srv.Broadcast("news", 1)
						time.Sleep(time.Second)
						end(c, p)
					}
					time.Sleep(3 * time.Minute)
					if n := e.srv.Stats().Sessions; n != 0 {
						t.Fatalf("%d sessions", n)
					}
					e.mu.Lock()
					e.alive = nil
					e.mu.Unlock()
					for range 3 {
						runtime.GC()
					}
					kept := 0
					for len(loads) > 0 {
						if (<-loads).Value() != nil {
							kept++
						}
					}
					if kept > 0 {
						t.Errorf("the data of %d players is kept", kept)
					}
				})
			})
		}
	}
}
