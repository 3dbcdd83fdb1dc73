// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestResumeOnAnotherCarrier takes the player's carrier away again and again in
// the midst of traffic both ways: whatever it comes back on, everything arrives
// once and in order (scenario 38).
func TestResumeOnAnotherCarrier(t *testing.T) {
	for _, from := range carriers {
		for _, to := range carriers {
			if from != to {
				t.Run(fmt.Sprintf("%v to %v", from, to), func(t *testing.T) { changeCarrier(t, from, to) })
			}
		}
	}
}

func changeCarrier(t *testing.T, from, to transport.Carrier) {
	const rounds, burst = 6, 40
	var reached, echoed []uint64
	setup := func(s *framework.Server) {
		framework.OnMessage(s, "say", func(p *framework.Player, n uint64) {
			reached = append(reached, n)
			_ = p.Push("echo", n)
		})
	}
	cond := memnet.Conditions{Delay: 20 * time.Millisecond}
	simulate(t, 1, cond, framework.Config{Loops: 2, Session: quick}, setup, func(e *env) {
		var away atomic.Value // the address that can't be reached
		away.Store("")
		cfg := e.dialers(client.Config{Ticket: func(context.Context) ([]byte, error) { return []byte("ann"), nil }})
		dial := cfg.Dial
		cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == away.Load() {
				return nil, errors.New("unreachable")
			}
			return dial(ctx, network, addr)
		}
		listen := cfg.ListenPacket
		cfg.ListenPacket = func() (net.PacketConn, error) { // sealed KCP alone uses it here
			if e.srv.Addr(transport.KCP).String() == away.Load() {
				return nil, errors.New("unreachable")
			}
			return listen()
		}
		c, err := client.New([]string{e.addr(from), e.addr(to)}, cfg)
		if err != nil {
			t.Fatal(err)
		}
		e.clients = append(e.clients, c)
		var came atomic.Int32
		client.OnMessage(c, "echo", func(n uint64) {
			echoed = append(echoed, n)
			came.Add(1)
		})
		e.connect(c)
		var sent uint64
		for round := range rounds {
			now, next := from, to
			if round%2 == 1 {
				now, next = to, from
			}
			for i := range burst {
				sent++
				if err := c.Send("say", sent); err != nil {
					t.Fatal(err)
				}
				if i == burst/2 {
					time.Sleep(25 * time.Millisecond) // the first half has arrived, its echoes have not
				}
			}
			away.Store(strings.TrimPrefix(e.addr(now), now.String()+"://"))
			c.Cut()
			e.within(20*time.Second, "back on "+next.String(), func() bool {
				st := c.Stats()
				return st.Carrier == next.String() && st.Resumes == uint64(round+1)
			})
		}
		e.within(20*time.Second, "everything has come back", func() bool { return came.Load() == int32(sent) })
		if st := c.Stats(); st.Opens != 1 || st.Resumes != rounds || st.Resets != 0 {
			t.Errorf("%d sessions, %d resumes, %d resets", st.Opens, st.Resumes, st.Resets)
		}
	})
	wholeFrom(t, "reached the server", reached, 1, rounds*burst)
	wholeFrom(t, "echoes", echoed, 1, rounds*burst)
}

// TestRTTIsThatOfTheLink holds what the game is told of a player's round trip
// against the network's, on each carrier.
func TestRTTIsThatOfTheLink(t *testing.T) {
	const way = 30 * time.Millisecond
	setup := func(s *framework.Server) {
		framework.OnRequest(s, "ping", func(_ *framework.Player, n int) (int, error) { return n, nil }).Inline()
	}
	for _, carrier := range carriers {
		t.Run(carrier.String(), func(t *testing.T) {
			simulate(t, 1, memnet.Conditions{Delay: way}, framework.Config{Session: quick}, setup, func(e *env) {
				c := e.dial("ann", carrier)
				for n := range 5 {
					time.Sleep(2 * quick.Interval)
					if err := c.Request(context.Background(), "ping", n, new(int)); err != nil {
						t.Fatal(err)
					}
				}
				// A stock client acknowledges after what it has in hand, within its 10 ms.
				if got := e.players()[0].RTT(); got < 2*way || got > 2*way+20*time.Millisecond {
					t.Errorf("RTT %v, want %v", got, 2*way)
				}
			})
		})
	}
}
