// SPDX-License-Identifier: MIT

// Command probe is two servers that share a store, for the tests of the client:
// whatever a server may do to a client, its routes do on demand.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// Question is what the client wants to be asked.
type Question struct {
	Route string
	N     uint64
}

// Burst is messages that come After so many milliseconds.
type Burst struct{ After, Count, Size int }

// Numbered is one of them.
type Numbered struct {
	N   uint64
	Pad []byte
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	store := new(framework.MemoryStore)
	var servers [2]*framework.Server
	addr := func(i int) string { return fmt.Sprintf("ws://%v", servers[i].Addr(transport.WebSocket)) }
	for i := range servers {
		srv, err := framework.New(framework.Config{
			WebSocket: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler), Node: uint16(i), Store: store, Secret: session.Secret{1, 2, 3},
			Session:      session.Config{Interval: time.Second, Timeout: 4 * time.Second, SendPackets: 200},
			Authenticate: authenticate(),
		})
		if err != nil {
			log.Fatal(err)
		}
		servers[i] = srv
		routes(srv, func() string { return addr(1 - i) })
		if err := srv.Start(); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(addr(0), addr(1))
	<-ctx.Done()
	for _, srv := range servers {
		_ = srv.Shutdown(context.Background())
	}
}

// authenticate bans one, and lets another in the second time only.
func authenticate() func(context.Context, framework.Login) (string, error) {
	var early atomic.Bool
	return func(_ context.Context, l framework.Login) (string, error) {
		switch user := string(l.Ticket); {
		case user == "banned":
			return "", framework.Fail(1002, "until Friday")
		case user == "early" && !early.Swap(true):
			return "", framework.Later(100*time.Millisecond, "patching")
		default:
			return user, nil
		}
	}
}

func routes(srv *framework.Server, other func() string) {
	framework.OnRequest(srv, "echo", func(_ *framework.Player, n uint64) (uint64, error) { return n, nil })
	framework.OnRequest(srv, "ask", func(p *framework.Player, q Question) (uint64, error) {
		var n uint64
		err := p.Request(p.Context(), q.Route, q.N, &n)
		var e *codec.Error
		if errors.As(err, &e) {
			return 0, framework.Fail(codec.GameError+e.Code, e.Text)
		}
		return n, err
	})
	framework.OnMessage(srv, "say", func(p *framework.Player, n uint64) { _ = p.Push("said", n) })
	framework.OnMessage(srv, "burst", func(p *framework.Player, b Burst) {
		time.AfterFunc(time.Duration(b.After)*time.Millisecond, func() {
			for n := range b.Count {
				_ = p.Push("numbered", Numbered{uint64(n + 1), make([]byte, b.Size)})
			}
		})
	})
	framework.OnMessage(srv, "move", func(p *framework.Player, _ struct{}) { _ = p.Move(other()) })
	framework.OnMessage(srv, "kick", func(p *framework.Player, code uint32) { p.Kick(session.Code(code), "as you wish") })
	framework.OnRequest(srv, "tune", func(p *framework.Player, ms uint64) (bool, error) {
		d := time.Duration(ms) * time.Millisecond
		return true, p.SetHeartbeat(framework.HeartbeatProfile{Interval: d, Timeout: 4 * d})
	})
}
