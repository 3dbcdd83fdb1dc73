// SPDX-License-Identifier: MIT

package client_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
)

// On a virtual clock an hour takes no time: what clients do over long times.

// pipes is a Dial that reaches srv by net.Pipe.
func pipes(srv *server, reachable func() bool) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		if !reachable() {
			return nil, syscall.EHOSTUNREACH
		}
		ours, theirs := net.Pipe()
		srv.open(theirs)
		return ours, nil
	}
}

func always() bool { return true }

func TestAnHourOfSilenceIsBridgedByHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, session.Config{})
		var rec recorder
		c := newClient(t, []string{"tcp://server:1"}, client.Config{OnEvent: rec.note, Dial: pipes(srv, always)})
		connect(t, c)
		before := c.Stats()
		time.Sleep(time.Hour)
		s := c.Stats()
		if rec.String() != "opened" || s.Losses != 0 {
			t.Fatalf("%v %+v", &rec, s)
		}
		// One ping and its echo an interval, 9 bytes each.
		if out := s.BytesOut - before.BytesOut; out < 9*300 || out > 9*420 {
			t.Fatalf("%d bytes went out", out)
		}
	})
}

func TestNobodyReachableForTheWholeGraceIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, session.Config{})
		var rec recorder
		var up atomic.Bool
		up.Store(true)
		c := newClient(t, []string{"tcp://server:1"}, client.Config{
			OnEvent: rec.note, Dial: pipes(srv, up.Load), Ticket: func(context.Context) ([]byte, error) { return []byte("me"), nil },
		})
		connect(t, c)
		up.Store(false)
		srv.do(func() { srv.last().detach() })
		failed := make(chan error, 1)
		go func() { failed <- c.Request(context.Background(), "echo", 1, nil) }()
		time.Sleep(5 * time.Minute)
		if rec.String() != "opened lost gone" {
			t.Fatalf("states %v", &rec)
		}
		var end *codec.Error
		if err := <-failed; !errors.As(err, &end) || end.Code != codec.ErrorReset {
			t.Fatalf("the request ended with %v", err)
		}
		if f := c.Stats().Failures; f < 10 || f > 60 {
			t.Fatalf("%d attempts in five minutes", f)
		}
		up.Store(true)
		time.Sleep(time.Minute)
		if rec.String() != "opened lost gone opened" || !slices.Equal(srv.logins, []string{"me", "me"}) {
			t.Fatalf("states %v, logins %q", &rec, srv.logins)
		}
	})
}

// An attempt that has opened a session has not failed, even if its link ends at once: the
// WELCOME and the BYE are read together.
func TestASessionThatOpenedIsNoFailedAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, session.Config{})
		srv.behind = session.AppendBye(nil, &session.CloseError{Code: session.ShuttingDown})
		var rec recorder
		c := newClient(t, []string{"tcp://server:1"}, client.Config{OnEvent: rec.note, Dial: pipes(srv, always)})
		connect(t, c)
		time.Sleep(time.Minute)
		if rec.String() != "opened lost resumed" || len(rec.failed()) != 0 {
			t.Fatalf("%v, failed attempts %v", &rec, rec.failed())
		}
	})
}

// A handler that blocks for longer than the timeout keeps the link.
func TestBlockedHandlerKeepsTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, session.Config{})
		n := 0
		c := newClient(t, []string{"tcp://server:1"}, client.Config{Dial: pipes(srv, always), InboxPackets: 10})
		client.OnMessage(c, "tick", func(uint64) {
			if n++; n == 1 {
				time.Sleep(5 * time.Minute)
			}
		})
		connect(t, c)
		srv.do(func() { srv.last().push(500) })
		time.Sleep(6 * time.Minute)
		_ = c.Close()
		<-c.Done()
		if s := c.Stats(); n != 500 || s.Losses != 0 {
			t.Fatalf("%d handled, %+v", n, s)
		}
	})
}

// FuzzServer feeds an open client with what no server sends. Whatever it is,
// the client neither panics nor hangs.
func FuzzServer(f *testing.F) {
	f.Add([]byte{})
	f.Add(codec.AppendFrame(nil, codec.Header{Kind: codec.Message, Seq: 1}, codec.AppendMessage(nil, codec.NamedRoute("tick"), []byte{1})))
	f.Add(codec.AppendFrame(nil, codec.Header{Kind: codec.Response, Seq: 1}, codec.AppendResponse(nil, 1, []byte{1})))
	f.Add(codec.AppendFrame(nil, codec.Header{Kind: codec.Request, Seq: 1}, codec.AppendRequest(nil, 1, codec.NamedRoute("x"), nil)))
	f.Add(codec.AppendFrame(nil, codec.Header{Kind: codec.Failure, Seq: 1}, []byte{0xc0}))
	f.Add(session.AppendBye(nil, &session.CloseError{Code: session.Left, Text: "bye"}))
	f.Add(session.AppendBye(nil, &session.CloseError{Code: session.Kicked}))
	f.Fuzz(func(t *testing.T, b []byte) {
		synctest.Test(t, func(t *testing.T) {
			srv := newServer(t, session.Config{})
			c := newClient(t, []string{"tcp://server:1"}, client.Config{Dial: pipes(srv, always)})
			client.OnMessage(c, "tick", func(uint64) {})
			connect(t, c)
			go func() { _ = c.Request(context.Background(), "never", 1, nil) }()
			synctest.Wait()
			srv.do(func() {
				srv.liar = true
				if k := srv.last().link; k != nil {
					k.write(b)
				}
			})
			time.Sleep(time.Minute)
		})
	})
}
