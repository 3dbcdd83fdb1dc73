// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestNothingRunsBeforeOnOpen: an inline handler waits, like all others, until
// the session before has ended and OnOpen has returned.
func TestNothingRunsBeforeOnOpen(t *testing.T) {
	var opened atomic.Int64
	var early atomic.Bool
	cfg := framework.Config{
		OnOpen:  func(*framework.Player) { opened.Add(1) },
		OnClose: func(*framework.Player, framework.Reason) { time.Sleep(2 * time.Second) },
	}
	simulate(t, 1, memnet.Conditions{}, cfg, func(s *framework.Server) {
		framework.OnRequest(s, "now", func(_ *framework.Player, n int) (int, error) {
			if n == 2 && opened.Load() < 2 {
				early.Store(true)
			}
			return n, nil
		}).Inline()
	}, func(e *env) {
		first := e.dial("ann", transport.TCP)
		if err := first.Request(context.Background(), "now", 1, nil); err != nil {
			t.Fatal(err)
		}
		second := e.dial("ann", transport.TCP)
		if err := second.Request(context.Background(), "now", 2, nil); err != nil {
			t.Fatal(err)
		}
		if early.Load() {
			t.Error("handled before OnOpen")
		}
	})
}

// TestSessionsOfAUserNeverOverlap: a session that has ended but whose OnClose
// has not returned still stands before the next one, whatever ended it.
func TestSessionsOfAUserNeverOverlap(t *testing.T) {
	for _, policy := range []framework.Duplicate{framework.DuplicateReplace, framework.DuplicateReject, framework.DuplicateAdopt} {
		cfg := framework.Config{Duplicate: policy, OnClose: func(*framework.Player, framework.Reason) { time.Sleep(3 * time.Second) }}
		simulate(t, 1, memnet.Conditions{}, cfg, nil, func(e *env) {
			_ = e.dial("ann", transport.TCP).Close()
			e.within(time.Second, "the first is gone", func() bool { return e.srv.Stats().Sessions == 0 })
			_ = e.dial("ann", transport.TCP).Close()
			e.within(time.Second, "the second is gone", func() bool { return e.srv.Stats().Sessions == 0 })
			e.dial("ann", transport.TCP)
			want := []string{"ann open", "ann close left", "ann open", "ann close left", "ann open"}
			e.within(10*time.Second, "the third is open", func() bool { return len(e.all()) == len(want) })
			if got := e.all(); !slices.Equal(got, want) {
				t.Errorf("policy %d: hooks %v, want %v", policy, got, want)
			}
		})
	}
}

// gate is a source of randomness that can be made to wait for the test.
type gate struct {
	shut    atomic.Bool
	waiting chan struct{}
	open    chan struct{}
	n       atomic.Uint64
}

func (g *gate) Read(b []byte) (int, error) {
	if g.shut.CompareAndSwap(true, false) {
		close(g.waiting)
		<-g.open
	}
	for i := range b {
		b[i] = byte(g.n.Add(1) * 0x9E3779B97F4A7C15 >> 56)
	}
	return len(b), nil
}

// TestNobodyIsAdmittedAfterShutdownBegan: a login that was decided just before
// opens no session that nobody would ever close.
func TestNobodyIsAdmittedAfterShutdownBegan(t *testing.T) {
	g := &gate{}
	cfg := framework.Config{Loops: 1, Rand: g, Authenticate: func(context.Context, framework.Login) (framework.Identity, error) {
		g.shut.Store(true) // the next to read is the maker of the session id
		return framework.Identity{User: "ann"}, nil
	}}
	simulate(t, 1, memnet.Conditions{}, cfg, func(*framework.Server) {
		g.waiting, g.open = make(chan struct{}), make(chan struct{}) // in the bubble
	}, func(e *env) {
		c := e.newClient("ann", transport.TCP)
		go func() { _ = c.Connect(context.Background()) }()
		<-g.waiting
		go func() {
			time.Sleep(time.Second)
			close(g.open)
		}()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.srv.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if n := e.srv.Stats().Opened; n != 0 {
			t.Errorf("%d sessions opened", n)
		}
	})
}

// TestLinkWhoseLoginMovedOnIsCut: a HELLO repeated on another link leaves no
// link behind that nobody will ever answer.
func TestLinkWhoseLoginMovedOnIsCut(t *testing.T) {
	for _, loops := range []int{1, 2} {
		cfg := framework.Config{Loops: loops, Authenticate: func(context.Context, framework.Login) (framework.Identity, error) {
			time.Sleep(time.Second)
			return framework.Identity{User: "ann"}, nil
		}}
		simulate(t, 1, memnet.Conditions{}, cfg, nil, func(e *env) {
			first, nonce := e.raw()
			first.hello(nonce, "ann", 1)
			time.Sleep(100 * time.Millisecond)
			second, nonce := e.raw()
			second.hello(nonce, "ann", 2)
			second.read(codec.Welcome, new(any))
			if !first.ended(20 * time.Second) {
				t.Error("the first link is still there")
			}
			_ = first.conn.Close()
			_ = second.conn.Close()
		})
	}
}

// TestContextAfterTheEnd asks for a context while the last callbacks run.
func TestContextAfterTheEnd(t *testing.T) {
	simulate(t, 1, memnet.Conditions{}, framework.Config{}, nil, func(e *env) {
		c := e.dial("ann", transport.TCP)
		p := e.srv.User("ann")[0]
		late := make(chan context.Context)
		p.OnClose(func() {
			go func() { late <- p.Context() }()
		})
		_ = c.Close()
		<-(<-late).Done()
	})
}
