// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/framework"
)

// What players send to provoke the server, by route.
type (
	// Tune, on "test.tune", asks for other heartbeats, in milliseconds.
	Tune struct{ Interval, Timeout uint32 }
	// Ask, on "test.ask", asks to be asked: a request on Route with N, whose
	// answer, a number, is the answer.
	Ask struct {
		Route string
		N     uint64
	}
	// Flood, on "test.flood", asks for Count messages of Size bytes on "numbered",
	// After so many milliseconds.
	Flood struct{ After, Count, Size uint32 }
	// Numbered is one of them.
	Numbered struct {
		N   uint64
		Pad []byte
	}
	// Kick, on "test.kick", asks for the end of the session.
	Kick struct {
		Code uint32
		Text string
	}
	// Wire, on "test.wire", asks for a fault of the stream behind the test address:
	// see README.md.
	Wire struct {
		Fault string
		N     uint32
	}
)

// testConfig makes limits small enough to be met.
func testConfig(cfg framework.Config) framework.Config {
	cfg.Session = framework.SessionConfig{Interval: time.Second, Timeout: 4 * time.Second, SendPackets: 200, RecvPackets: 16}
	cfg.Store = new(framework.MemoryStore)
	_, _ = rand.Read(cfg.Secret[:])
	cfg.Rate = framework.Rate{Messages: -1, Bytes: -1}
	cfg.Authenticate = authenticate
	return cfg
}

// authenticate does what the ticket says: "refuse CODE TEXT", "busy MS TEXT",
// "slow MS". Any other ticket is a name.
func authenticate(ctx context.Context, l framework.Login) (framework.Identity, error) {
	words := strings.SplitN(string(l.Ticket), " ", 3)
	n := 0
	if len(words) > 1 {
		n, _ = strconv.Atoi(words[1])
	}
	text := strings.Join(words[min(len(words), 2):], " ")
	switch words[0] {
	case "refuse":
		return framework.Identity{}, framework.Fail(framework.ErrorCode(max(n, 1000)), text)
	case "busy":
		return framework.Identity{}, framework.Later(time.Duration(n)*time.Millisecond, text)
	case "slow":
		select {
		case <-time.After(time.Duration(n) * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return framework.Identity{User: string(l.Ticket)}, nil
}

// mostFlood bounds what one message brings about.
const mostFlood = 10_000

// provoke adds the routes of the test mode.
func provoke(srv *framework.Server) {
	framework.OnRequest(srv, "test.tune", func(p *framework.Player, t Tune) (bool, error) {
		ms := time.Millisecond
		return true, p.SetHeartbeat(framework.HeartbeatProfile{Interval: time.Duration(t.Interval) * ms, Timeout: time.Duration(t.Timeout) * ms})
	})
	framework.OnRequest(srv, "test.ask", func(p *framework.Player, a Ask) (uint64, error) {
		var n uint64
		err := p.Request(p.Context(), a.Route, a.N, &n)
		var e *framework.Error
		if errors.As(err, &e) {
			return 0, framework.Fail(1000+e.Code, e.Text)
		}
		return n, err
	})
	framework.OnMessage(srv, "test.flood", func(p *framework.Player, f Flood) {
		time.AfterFunc(time.Duration(f.After)*time.Millisecond, func() {
			for i := range min(f.Count, mostFlood) {
				_ = p.Push("numbered", Numbered{uint64(i) + 1, make([]byte, min(f.Size, 60_000))})
			}
		})
	})
	// While it sleeps messages wait, and the 48th of them makes the server hold.
	framework.OnMessage(srv, "test.sleep", func(p *framework.Player, ms uint32) {
		select {
		case <-time.After(time.Duration(min(ms, 60_000)) * time.Millisecond):
		case <-p.Context().Done():
		}
	})
	framework.OnMessage(srv, "test.kick", func(p *framework.Player, k Kick) { p.Kick(framework.Code(k.Code), k.Text) })
	framework.OnMessage(srv, "test.move", func(p *framework.Player, address string) { _ = p.Move(address) })
	framework.OnRequest(srv, "test.wire", func(_ *framework.Player, w Wire) (bool, error) {
		if !faults[w.Fault] {
			return false, framework.Fail(1000, fmt.Sprintf("no such fault: %q", w.Fault))
		}
		return true, nil // the relay has seen it, too
	})
	framework.SendsAs[Numbered](srv, framework.DeliverAll, "numbered")
}
