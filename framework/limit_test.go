// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestFlooder: who sends more than Config.Rate for long is told, then closed;
// who sends at the rate never notices.
func TestFlooder(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		var heard atomic.Int64
		cfg := framework.Config{Session: quick, Rate: framework.Rate{Messages: 50, Burst: time.Second}}
		simulate(t, 5, memnet.Conditions{Delay: 5 * time.Millisecond}, cfg, func(srv *framework.Server) {
			framework.OnMessage(srv, "shout", func(_ *framework.Player, n int) { heard.Add(1) }).Inline()
			framework.OnRequest(srv, "ask", func(_ *framework.Player, n int) (int, error) { return n, nil })
		}, func(e *env) {
			calm, flooder := e.dial("calm", carrier), e.dial("flooder", carrier)
			ask := func() error {
				var n int
				return flooder.Request(e.t.Context(), "ask", 1, &n)
			}
			for range 40 {
				_ = flooder.Send("shout", 1)
			}
			if err := ask(); err != nil {
				t.Errorf("within the burst: %v", err)
			}
			for range 20 {
				_ = flooder.Send("shout", 1)
			}
			var told *codec.Error
			if err := ask(); !errors.As(err, &told) || told.Code != codec.ErrorBusy {
				t.Errorf("beyond the burst: %v, want BUSY", err)
			}
			if n := heard.Load(); n != 60 {
				t.Errorf("%d of 60 messages arrived: what is promised is promised", n)
			}
			time.Sleep(2 * time.Second)
			if err := ask(); err != nil {
				t.Errorf("after a rest: %v", err)
			}
			for range 200 {
				_ = flooder.Send("shout", 1)
			}
			e.within(10*time.Second, "the flooder is closed", func() bool { return flooder.Err() != nil })
			var why *session.CloseError
			if !errors.As(flooder.Err(), &why) || why.Code != session.Policy {
				t.Errorf("flooder: %v, want POLICY", flooder.Err())
			}
			if n := heard.Load(); n > 60+102 {
				t.Errorf("%d messages of the flooder were handled", n-60)
			}
			for i := range 500 { // ten seconds at exactly the rate
				var n int
				if err := calm.Request(e.t.Context(), "ask", i, &n); err != nil || n != i {
					t.Fatalf("at the rate, request %d: %d, %v", i, n, err)
				}
				time.Sleep(10 * time.Millisecond)
			}
			if s := e.srv.Stats(); s.RateLimited != 1 || s.Closes["policy"] != 1 {
				t.Errorf("%d refused, closes %v", s.RateLimited, s.Closes)
			}
		})
	})
}

// TestPlainKCPHasBoundsOfItsOwn: when it is full the other carriers are not.
func TestPlainKCPHasBoundsOfItsOwn(t *testing.T) {
	simulate(t, 5, memnet.Conditions{Delay: 5 * time.Millisecond}, framework.Config{Session: quick, MaxPlainLinks: 2}, nil, func(e *env) {
		e.dial("ann", transport.PlainKCP)
		e.dial("bob", transport.PlainKCP)
		if err := e.newClient("cid", transport.PlainKCP).Connect(shortly(e.t, 3*time.Second)); err == nil {
			e.t.Error("a third one got in over plain KCP")
		}
		e.dial("dan", transport.KCP)
		e.dial("eve", transport.TCP)
		if refused := e.srv.Stats().Transport.Carriers["plain-kcp"].TooManyLinks; refused == 0 {
			e.t.Error("nobody was refused")
		}
	})
}

// TestRefusedLinkOpensNoSession: of links that say HELLO together, those that are too many
// for their address cost the game no login and leave no session.
func TestRefusedLinkOpensNoSession(t *testing.T) {
	var logins atomic.Int64
	cfg := framework.Config{MaxPlainPerAddress: 2, Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
		logins.Add(1)
		return framework.Identity{User: string(l.Ticket)}, nil
	}}
	simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, cfg, nil, func(e *env) {
		const n = 6
		var dials sync.WaitGroup
		for i := range n {
			c := e.newClient(fmt.Sprint("user", i), transport.PlainKCP)
			e.net.NextAddr(netip.MustParseAddr("10.9.9.9"))
			dials.Go(func() { _ = c.Connect(shortly(e.t, time.Second)) })
			time.Sleep(time.Millisecond) // so that the address is its own
		}
		dials.Wait()
		s := e.srv.Stats()
		if refused := s.Transport.Carriers["plain-kcp"].TooManyLinks; refused != n-2 {
			t.Fatalf("%d links were refused, want %d", refused, n-2)
		}
		if s.Opened != 2 || logins.Load() != 2 {
			t.Errorf("%d logins, %d sessions were opened; want 2", logins.Load(), s.Opened)
		}
	})
}
