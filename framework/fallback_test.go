// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// firewall eats what a client sends, by carrier, without a word. Links that are
// open when it changes its mind stay as they are.
type firewall struct{ udp, tcp, ws atomic.Bool }

func (f *firewall) between(e *env, cfg client.Config) client.Config {
	cfg = e.dialers(cfg)
	dial, listen := cfg.Dial, cfg.ListenPacket
	type cutter interface{ Cut() }
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if f.tcp.Load() && addr == e.srv.Addr(transport.TCP).String() || f.ws.Load() && addr == e.srv.Addr(transport.WebSocket).String() {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		c, err := dial(ctx, network, addr)
		if err == nil && network == "plain-kcp" && f.udp.Load() {
			c.(cutter).Cut()
		}
		return c, err
	}
	cfg.ListenPacket = func() (net.PacketConn, error) {
		pc, err := listen()
		if err == nil && f.udp.Load() {
			pc.(cutter).Cut()
		}
		return pc, err
	}
	return cfg
}

var overUDP = []transport.Carrier{transport.PlainKCP, transport.KCP}

func TestBlockedUDPIsLeftWithinSecondsAndTriedAgainLater(t *testing.T) {
	for _, udp := range overUDP {
		t.Run(udp.String(), func(t *testing.T) {
			cond := memnet.Conditions{Delay: 30 * time.Millisecond}
			simulate(t, 1, cond, framework.Config{Loops: 2, Session: quick}, nil, func(e *env) {
				var f firewall
				f.udp.Store(true)
				c, err := client.New([]string{e.addr(udp), e.addr(transport.TCP), e.addr(transport.WebSocket)}, f.between(e, client.Config{}))
				if err != nil {
					e.t.Fatal(err)
				}
				e.clients = append(e.clients, c)
				began := time.Now()
				e.connect(c)
				if s := c.Stats(); s.Carrier != "tcp" || time.Since(began) > 2500*time.Millisecond {
					e.t.Fatalf("on %s after %v, want tcp within 2.5 s", s.Carrier, time.Since(began))
				}
				// back pulls the cable and tells what the client came back on, and when.
				back := func(want string, within time.Duration) {
					e.t.Helper()
					resumes := c.Stats().Resumes
					began := time.Now()
					c.Cut()
					e.within(10*time.Second, "back", func() bool { return c.Stats().Resumes > resumes })
					if s := c.Stats(); s.Carrier != want || time.Since(began) > within {
						e.t.Fatalf("back on %s after %v, want %s within %v", s.Carrier, time.Since(began), want, within)
					}
				}
				back("tcp", time.Second) // remembered
				time.Sleep(30 * time.Second)
				back("tcp", 2500*time.Millisecond) // tried again
				time.Sleep(30 * time.Second)
				back("tcp", time.Second) // remembered for longer
				f.udp.Store(false)
				time.Sleep(30 * time.Second)
				back(udp.String(), time.Second)
				f.udp.Store(true)
				back("tcp", 2500*time.Millisecond)
				f.udp.Store(false)
				c.Hurry() // another network
				back(udp.String(), time.Second)
				f.udp.Store(true)
				f.tcp.Store(true)
				back("ws", 9*time.Second) // TCP has as long as any dial has
				if s := c.Stats(); s.Opens != 1 || s.Resets != 0 {
					e.t.Errorf("%+v", s)
				}
			})
		})
	}
}

// TestAloneUDPHasItsTime: without another carrier there is nothing to hurry for.
func TestAloneUDPHasItsTime(t *testing.T) {
	for _, udp := range overUDP {
		cond := memnet.Conditions{Delay: time.Second} // its opening takes longer than Config.Fallback
		simulate(t, 1, cond, framework.Config{Session: quick}, nil, func(e *env) {
			c, err := client.New([]string{e.addr(udp)}, e.dialers(client.Config{}))
			if err != nil {
				e.t.Fatal(err)
			}
			e.clients = append(e.clients, c)
			e.connect(c)
			if s := c.Stats(); s.Dials != 1 {
				e.t.Errorf("%v: %+v", udp, s)
			}
		})
	}
}

// TestFromKCPToWebSocketToTCPAndBack: one session, with numbered messages both
// ways all the while (scenario 38).
func TestFromKCPToWebSocketToTCPAndBack(t *testing.T) {
	for _, udp := range overUDP {
		t.Run(udp.String(), func(t *testing.T) {
			var reached, echoed []uint64
			setup := func(s *framework.Server) {
				framework.OnMessage(s, "say", func(p *framework.Player, n uint64) {
					reached = append(reached, n)
					_ = p.Push("echo", n)
				})
			}
			var sent uint64
			cond := memnet.Conditions{Delay: 20 * time.Millisecond}
			simulate(t, 1, cond, framework.Config{Loops: 2, Session: quick}, setup, func(e *env) {
				var f firewall
				c, err := client.New([]string{e.addr(udp), e.addr(transport.WebSocket), e.addr(transport.TCP)}, f.between(e, client.Config{}))
				if err != nil {
					e.t.Fatal(err)
				}
				e.clients = append(e.clients, c)
				var came atomic.Int64
				client.OnMessage(c, "echo", func(n uint64) {
					echoed = append(echoed, n)
					came.Add(1)
				})
				e.connect(c)
				talk := func() {
					for range 50 {
						sent++
						if err := c.Send("say", sent); err != nil {
							e.t.Fatal(err)
						}
						time.Sleep(time.Millisecond)
					}
				}
				for _, step := range []struct {
					want    transport.Carrier
					udp, ws bool // eaten
				}{
					{udp, false, false}, {transport.WebSocket, true, false}, {transport.TCP, true, true}, {udp, false, false},
				} {
					f.udp.Store(step.udp)
					f.ws.Store(step.ws)
					if sent > 0 {
						time.Sleep(time.Minute) // what stood back has done so
						talk()
						c.Cut()
					}
					talk()
					e.within(20*time.Second, "on "+step.want.String(), func() bool { return c.Stats().Carrier == step.want.String() })
					talk()
				}
				e.within(20*time.Second, "everything has come back", func() bool { return came.Load() == int64(sent) })
				if s := c.Stats(); s.Opens != 1 || s.Resumes != 3 || s.Resets != 0 {
					e.t.Errorf("%d sessions, %d resumes, %d resets", s.Opens, s.Resumes, s.Resets)
				}
			})
			wholeFrom(t, "reached the server", reached, 1, int(sent))
			wholeFrom(t, "echoes", echoed, 1, int(sent))
		})
	}
}
