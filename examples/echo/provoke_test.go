// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
)

// serve starts a server in test mode, and returns where its faults are.
func serve(t *testing.T) string {
	t.Helper()
	cfg := testConfig(framework.Config{TCP: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	srv, err := framework.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	routes(srv)
	provoke(srv)
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go relay(l, srv.Addr(framework.TCP).String()) // ends with l
	t.Cleanup(func() {
		_ = l.Close()
		_ = srv.Shutdown(context.Background())
	})
	return "tcp://" + l.Addr().String()
}

// player is a client that notes what it is told.
type player struct {
	*client.Client
	mu    sync.Mutex
	kinds []string
	ticks []int
}

func (p *player) saw(kind string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.kinds, kind)
}

func dial(t *testing.T, addr, ticket string) (*player, error) {
	t.Helper()
	p := new(player)
	c, err := client.New([]string{addr}, client.Config{
		MinDelay: time.Millisecond, MaxDelay: 20 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Ticket: func(context.Context) ([]byte, error) { return []byte(ticket), nil },
		OnEvent: func(e client.Event) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.kinds = append(p.kinds, e.Kind.String())
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Client = c
	client.OnMessage(c, "tick", func(m tick) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.ticks = append(p.ticks, m.N)
	})
	client.OnMessage(c, "numbered", func(Numbered) {})
	client.OnRequest(c, "double", func(n uint64) (uint64, error) { return 2 * n, nil })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err = c.Connect(ctx)
	t.Cleanup(func() { _ = c.Close() })
	return p, err
}

func ask[A any](t *testing.T, p *player, route string, v any) A {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var a A
	if err := p.Request(ctx, route, v, &a); err != nil {
		t.Fatalf("%s: %v", route, err)
	}
	return a
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// again tries what a machine that stalls may spoil, a few times.
func again(t *testing.T, what string, so func() bool) {
	t.Helper()
	for range 5 {
		if so() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func TestFaultsOfTheWireLoseNothing(t *testing.T) {
	addr := serve(t)
	for fault, resumes := range map[string]bool{"gap": true, "repeat": false, "cut": true, "garble": true} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			p, err := dial(t, addr, fault)
			if err != nil {
				t.Fatal(err)
			}
			ask[bool](t, p, "test.wire", Wire{fault, 40})
			if n := ask[int](t, p, "burst", burst{100}); n != 100 {
				t.Fatalf("burst of %d", n)
			}
			eventually(t, "all ticks", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.ticks) >= 100 })
			for i, n := range p.ticks {
				if n != i+1 {
					t.Fatalf("ticks %v", p.ticks)
				}
			}
			if got := p.Stats().Resumes > 0; got != resumes {
				t.Fatalf("%d resumes", p.Stats().Resumes)
			}
		})
	}
}

func TestWhatAServerMayDoIsProvoked(t *testing.T) {
	p, err := dial(t, serve(t), "ann")
	if err != nil {
		t.Fatal(err)
	}
	if !ask[bool](t, p, "test.tune", Tune{500, 2000}) {
		t.Error("no TUNE")
	}
	if n := ask[uint64](t, p, "test.ask", Ask{"double", 21}); n != 42 {
		t.Errorf("the client's answer came back as %d", n)
	}
	before := p.Stats().Resumes
	_ = p.Send("test.move", "")
	eventually(t, "it comes back from its move", func() bool { return p.Stats().Resumes > before })
	// HOLD: a handler sleeps, and what the client sends waits with the client.
	again(t, "the client holds", func() bool {
		_ = p.Send("test.sleep", uint32(700))
		for range 200 {
			_ = p.Send("test.sleep", uint32(0))
		}
		time.Sleep(200 * time.Millisecond)
		held := p.Stats().OutPackets >= 100
		eventually(t, "all is taken in the end", func() bool { return p.Stats().OutPackets == 0 })
		return held
	})
	// Overflow, while the client is away.
	again(t, "a reset", func() bool {
		_ = p.Send("test.flood", Flood{After: 150, Count: 300, Size: 10})
		eventually(t, "the wish was taken", func() bool { return p.Stats().OutPackets == 0 })
		before := p.Stats().Resumes
		p.Pause()
		time.Sleep(400 * time.Millisecond)
		p.Hurry()
		eventually(t, "it comes back", func() bool { return p.Stats().Resumes > before || p.saw("reset") })
		return p.saw("reset")
	})
	_ = p.Send("test.kick", Kick{201, "as you wish"})
	<-p.Done()
	var end *client.CloseError
	if err := p.Err(); !errors.As(err, &end) || end.Code != 201 || end.Text != "as you wish" {
		t.Errorf("it ended with %v", err)
	}
}

func TestTicketsProvokeRefusals(t *testing.T) {
	addr := serve(t)
	var end *client.CloseError
	if _, err := dial(t, addr, "refuse 1002 until Friday"); !errors.As(err, &end) || end.Code != 1002 || end.Text != "until Friday" {
		t.Errorf("refused with %v", err)
	}
	if p, err := dial(t, addr, "slow 50"); err != nil || !p.saw("opened") {
		eventually(t, "it gets in", func() bool { return p.saw("opened") })
	}
}
