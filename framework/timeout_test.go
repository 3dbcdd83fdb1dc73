// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/kcptest"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// hang keeps an app from saying anything, while the carrier below it lives on, as
// KCP does on a thread of its own and TCP in the kernel.
type hang struct{ on atomic.Bool }

func (h *hang) above(cfg client.Config) client.Config {
	dial, listen, speak := cfg.Dial, cfg.ListenPacket, cfg.KCP
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		return &hungConn{Conn: c, h: h, closed: make(chan struct{})}, err
	}
	cfg.ListenPacket = func() (net.PacketConn, error) {
		if h.on.Load() {
			return nil, errors.New("it hangs")
		}
		return listen()
	}
	cfg.KCP = func(pc net.PacketConn, server net.Addr, conv uint32, mtu int) net.Conn {
		// It must say nothing beside the stream either.
		return &hungConn{Conn: speak(pc, server, conv, mtu), h: h, closed: make(chan struct{}), blocks: true}
	}
	return cfg
}

type hungConn struct {
	net.Conn
	h      *hang
	once   sync.Once
	closed chan struct{}
	blocks bool // else it swallows
}

func (c *hungConn) Write(b []byte) (int, error) {
	switch {
	case !c.h.on.Load():
		return c.Conn.Write(b)
	case !c.blocks:
		return len(b), nil
	}
	<-c.closed
	return 0, net.ErrClosed
}

func (c *hungConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// Situation 10: the peer's machine answers, its app hangs. What the carrier says
// by itself is no life, and neither is what it acknowledges.
func TestHungAppIsFoundOnEveryCarrier(t *testing.T) {
	for name, pushes := range map[string]bool{"idle": false, "pushed to": true} {
		onEach(t, func(t *testing.T, carrier transport.Carrier) {
			var mu sync.Mutex
			var found time.Time
			cfg := framework.Config{Session: quick, OnDetach: func(*framework.Player) {
				mu.Lock()
				defer mu.Unlock()
				if found.IsZero() {
					found = time.Now()
				}
			}}
			simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, cfg, nil, func(e *env) {
				var h hang
				defer h.on.Store(false)
				c, err := client.New([]string{e.addr(carrier)}, h.above(e.dialers(client.Config{Ticket: func(context.Context) ([]byte, error) { return []byte("ann"), nil }})))
				if err != nil {
					t.Fatal(err)
				}
				e.clients = append(e.clients, c)
				e.connect(c)
				time.Sleep(5 * time.Second)
				h.on.Store(true)
				hung := time.Now()
				for range 20 {
					if pushes {
						for _, p := range e.players() {
							_ = p.Push("tick", 1)
						}
					}
					time.Sleep(time.Second)
				}
				mu.Lock()
				d := found.Sub(hung)
				mu.Unlock()
				late := 300 * time.Millisecond
				if carrier == transport.KCP {
					late += quick.Interval // it hangs with its next word in the stream
				}
				if d < quick.Timeout-quick.Interval-time.Second || d > quick.Timeout+late {
					t.Errorf("%s: found after %v, timeout %v", name, d, quick.Timeout)
				}
			})
		})
	}
}

// wedge keeps back all that is large in one direction: what it would be part of
// never arrives, while acknowledgements do. Of a stream it keeps back all.
type wedge struct{ up, down atomic.Bool }

const wedged = 400 // bytes of a datagram that still passes

func (w *wedge) between(e *env, cfg client.Config) client.Config {
	cfg = e.dialers(cfg)
	dial, listen := cfg.Dial, cfg.ListenPacket
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if network == "plain-kcp" {
			pc, err := e.net.ListenPacket()
			if err != nil {
				return nil, err
			}
			at := netip.MustParseAddrPort(addr)
			return kcptest.Dial(&wedgedSocket{pc, w}, net.UDPAddrFromAddrPort(at), uint32(time.Now().UnixNano())), nil
		}
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &wedgedStream{c, w, w.up.Load() || w.down.Load()}, nil
	}
	cfg.ListenPacket = func() (net.PacketConn, error) {
		pc, err := listen()
		return &wedgedSocket{pc, w}, err
	}
	return cfg
}

type wedgedSocket struct {
	net.PacketConn
	w *wedge
}

func (s *wedgedSocket) WriteTo(b []byte, to net.Addr) (int, error) {
	if s.w.up.Load() && len(b) > wedged {
		return len(b), nil
	}
	return s.PacketConn.WriteTo(b, to)
}

func (s *wedgedSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := s.PacketConn.ReadFrom(b)
		if err != nil || !s.w.down.Load() || n <= wedged {
			return n, from, err
		}
	}
}

// wedgedStream is spared if it was opened later.
type wedgedStream struct {
	net.Conn
	w      *wedge
	spared bool
}

func (s *wedgedStream) Write(b []byte) (int, error) {
	if s.w.up.Load() && !s.spared {
		return len(b), nil
	}
	return s.Conn.Write(b)
}

func (s *wedgedStream) Read(b []byte) (int, error) {
	for {
		n, err := s.Conn.Read(b)
		if err != nil || !s.w.down.Load() || s.spared {
			return n, err
		}
	}
}

// Situation 41c: one direction of the stream never moves again, while what the
// carrier says by itself passes. Both ends find it, and the client comes back
// another way.
func TestWedgedStreamIsLeft(t *testing.T) {
	const body = 4000
	for _, up := range []bool{true, false} {
		onEach(t, func(t *testing.T, carrier transport.Carrier) {
			var heard, told atomic.Int32
			setup := func(s *framework.Server) {
				framework.OnMessage(s, "m", func(_ *framework.Player, b []byte) { heard.Add(1) })
			}
			other := transport.TCP
			if carrier == other {
				other = transport.WebSocket
			}
			simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, framework.Config{Session: quick}, setup, func(e *env) {
				var w wedge
				cfg := w.between(e, client.Config{Ticket: func(context.Context) ([]byte, error) { return []byte("ann"), nil }})
				c, err := client.New([]string{e.addr(carrier), e.addr(other)}, cfg)
				if err != nil {
					t.Fatal(err)
				}
				client.OnMessage(c, "m", func([]byte) { told.Add(1) })
				e.clients = append(e.clients, c)
				e.connect(c)
				time.Sleep(5 * time.Second)
				began := time.Now()
				if up {
					w.up.Store(true)
					_ = c.Send("m", make([]byte, body))
				} else {
					w.down.Store(true)
					_ = e.players()[0].Push("m", make([]byte, body))
				}
				// SPEC 5.6: a question within an interval, the timeout, a second for
				// each 1,024 bytes that wait, and the way back.
				bound := quick.Interval*11/10 + quick.Timeout + (body/1024+1)*time.Second + 2*time.Second
				e.within(bound, "left", func() bool { return c.Stats().Losses > 0 })
				// Here the client can't see what its plain KCP hears.
				unseen := carrier == transport.PlainKCP && !up
				if unseen {
					w.down.Store(false)
				}
				e.within(3*time.Second, "delivered another way", func() bool { return heard.Load()+told.Load() == 1 })
				t.Logf("up %v: left and delivered after %v, on %s", up, time.Since(began), c.Stats().Carrier)
				stream := carrier == transport.TCP || carrier == transport.SealedTCP || carrier == transport.WebSocket // stuck, it is silent altogether
				if got := c.Stats().Carrier; got != other.String() && !unseen && !stream {
					t.Errorf("it came back on %s, which is as stuck as it was", got)
				}
			})
		})
	}
}
