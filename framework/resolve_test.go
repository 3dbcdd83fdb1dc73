// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// A name whose first addresses lead nowhere costs the moments that they have to
// answer, at the first dial only.
func TestNameWithDeadAddresses(t *testing.T) {
	for _, carrier := range []transport.Carrier{transport.KCP, transport.PlainKCP} {
		t.Run(carrier.String(), func(t *testing.T) {
			simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, framework.Config{Session: quick}, nil, func(e *env) {
				at := e.srv.Addr(carrier)
				cfg := e.dialers(client.Config{Ticket: func(context.Context) ([]byte, error) { return []byte("ann"), nil }})
				cfg.Dial = nil // it would be asked for the name
				lookups := 0
				cfg.Lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
					if lookups++; host != "game.example" {
						t.Errorf("asked for %q", host)
					}
					return []netip.Addr{netip.MustParseAddr("10.9.9.1"), at.Addr(), netip.MustParseAddr("10.9.9.2")}, nil
				}
				sockets, listen := atomic.Int32{}, cfg.ListenPacket
				cfg.ListenPacket = func() (net.PacketConn, error) { sockets.Add(1); return listen() }
				c, err := client.New([]string{fmt.Sprintf("%v://game.example:%d", carrier, at.Port())}, cfg)
				if err != nil {
					t.Fatal(err)
				}
				e.clients = append(e.clients, c)
				begin := time.Now()
				e.connect(c)
				if took := time.Since(begin); took < 250*time.Millisecond || took > 500*time.Millisecond {
					t.Errorf("the first dial took %v", took)
				}
				if n := sockets.Swap(0); n != 2 {
					t.Errorf("the first dial took %d sockets", n)
				}
				c.Cut()
				e.within(time.Minute, "back", func() bool { return c.Stats().Resumes == 1 })
				if n := sockets.Load(); n != 1 || lookups != 2 || c.Stats().Failures != 0 {
					t.Errorf("the second dial took %d sockets, %d lookups, %+v", n, lookups, c.Stats())
				}
			})
		})
	}
}
