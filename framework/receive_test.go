// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestRawHandlersKeepWhatIsTheirs: what a raw handler returns may be what it
// was given or what it keeps; nobody writes to either.
func TestRawHandlersKeepWhatIsTheirs(t *testing.T) {
	for _, inline := range []bool{false, true} {
		kept, _ := codec.AppendBody(nil, strings.Repeat("k", 100))
		want := slices.Clone(kept)
		setup := func(s *framework.Server) {
			routes := []*framework.Route{
				framework.OnRaw(s, "mirror", func(_ *framework.Player, payload, _ []byte) ([]byte, error) { return payload, nil }),
				framework.OnRaw(s, "kept", func(*framework.Player, []byte, []byte) ([]byte, error) { return kept, nil }),
				framework.OnRequest(s, "twice", func(_ *framework.Player, q string) (string, error) { return q + q, nil }),
			}
			for _, r := range routes {
				if inline {
					r.Inline()
				}
			}
		}
		simulate(t, 1, memnet.Conditions{}, framework.Config{Loops: 1, Workers: 2}, setup, func(e *env) {
			c := e.dial("ann", transport.TCP)
			for i := range 50 {
				q := strings.Repeat(string(rune('a'+i%26)), 10+i)
				for route, want := range map[string]string{"mirror": q, "kept": strings.Repeat("k", 100), "twice": q + q} {
					var got string
					if err := c.Request(context.Background(), route, q, &got); err != nil || got != want {
						t.Fatalf("inline %v: %s of %q is %q, %v", inline, route, q, got, err)
					}
				}
			}
			if !slices.Equal(kept, want) {
				t.Errorf("inline %v: the handler's own answer was written to: %q", inline, kept)
			}
		})
	}
}

// TestWhatNoPeerTakesIsRefusedHere: an answer that can't be sent becomes one
// that can, and a route no peer accepts is the caller's error.
func TestWhatNoPeerTakesIsRefusedHere(t *testing.T) {
	long := strings.Repeat("é", 100_000)
	simulate(t, 1, memnet.Conditions{}, framework.Config{}, func(s *framework.Server) {
		framework.OnRequest(s, "long", func(*framework.Player, int) (int, error) { return 0, framework.Fail(1001, long) })
		framework.OnMessage(s, "quit", func(p *framework.Player, _ int) { p.Kick(1500, long) })
	}, func(e *env) {
		c := e.dial("ann", transport.TCP)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		wantCode(t, c.Request(ctx, "long", 1, nil), 1001)
		p := e.srv.User("ann")[0]
		for _, route := range []string{"", strings.Repeat("x", 1000)} {
			if p.Push(route, 1) == nil || e.srv.Broadcast(route, 1) == nil {
				t.Errorf("a route of %d bytes was taken", len(route))
			}
		}
		_ = c.Send("quit", 1)
		<-c.Done()
		if st := c.Stats(); st.Losses > 1 || st.Resumes > 0 {
			t.Errorf("the way out was not straight: %+v", st)
		}
	})
}

// TestDatagramsDoNotFillTheInbox: what is unreliable takes no room that a
// counted packet needs, however fast it comes.
func TestDatagramsDoNotFillTheInbox(t *testing.T) {
	var handled, counted atomic.Int64
	var release chan struct{}
	cfg := framework.Config{Session: session.Config{RecvPackets: 4}}
	simulate(t, 1, memnet.Conditions{}, cfg, func(s *framework.Server) {
		release = make(chan struct{})
		framework.OnMessage(s, "m", func(_ *framework.Player, n int) {
			if handled.Add(1) == 1 {
				<-release
			}
			counted.Add(int64(n))
		})
	}, func(e *env) {
		r, nonce := e.raw()
		r.hello(nonce, "ann", 1)
		r.read(codec.Welcome, new(any))
		payload, _ := codec.AppendBody(nil, 0)
		datagram := codec.AppendMessage(nil, codec.NumberedRoute(0), payload) // "m", the first by name
		payload, _ = codec.AppendBody(nil, 1)
		message := codec.AppendMessage(nil, codec.NamedRoute("m"), payload)
		for range 1000 {
			r.write(codec.Header{Kind: codec.Datagram}, datagram)
		}
		for seq := range uint16(4) { // a whole window
			r.write(codec.Header{Kind: codec.Message, Seq: seq + 1}, message)
		}
		time.Sleep(time.Second)
		close(release)
		time.Sleep(time.Second)
		if handled.Load() > 20 || counted.Load() != 4 || e.srv.Stats().Overloads != 0 {
			t.Errorf("%d handled, %d of 4 counted, %d cut", handled.Load(), counted.Load(), e.srv.Stats().Overloads)
		}
		_ = r.conn.Close()
	})
}

// TestNoHonestClientOverflowsItsInbox: whatever the window and the size of the
// bodies, and however often the link is lost, who keeps to the window and to
// HOLD is never cut for it, and nothing is lost.
func TestNoHonestClientOverflowsItsInbox(t *testing.T) {
	for _, window := range [][2]int{{1, 1400}, {3, 2048}, {100, 1400}, {2, 8192}, {7, 3000}} {
		cfg := framework.Config{Session: quick}
		cfg.Session.MaxBody, cfg.Session.RecvPackets, cfg.Session.RecvBytes = 1024, window[0], window[1]
		const n = 200
		var next atomic.Int64
		simulate(t, 1, memnet.Conditions{Delay: 3 * time.Millisecond}, cfg, func(s *framework.Server) {
			framework.OnMessage(s, "m", func(_ *framework.Player, m struct {
				N   int64
				Pad []byte
			}) {
				if !next.CompareAndSwap(m.N, m.N+1) {
					t.Errorf("window %v: %d where %d belongs", window, m.N, next.Load())
				}
				time.Sleep(20 * time.Millisecond)
			})
		}, func(e *env) {
			c := e.dial("ann", transport.TCP)
			for i := range n {
				size := 1000 // with its envelope nearly all that a body may have
				if i%3 == 0 {
					size = i
				}
				if err := c.Send("m", []any{i, make([]byte, size)}); err != nil {
					t.Fatal(err)
				}
			}
			for range 10 {
				time.Sleep(300 * time.Millisecond)
				c.Cut()
				c.Hurry()
			}
			e.within(time.Minute, "all of it is handled", func() bool { return next.Load() == n })
			if s := e.srv.Stats(); s.Overloads != 0 || s.Resumed == 0 {
				t.Errorf("window %v: %d cut, %d resumed", window, s.Overloads, s.Resumed)
			}
		})
	}
}
