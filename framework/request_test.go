// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

func TestServerAsksItsClient(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, framework.Config{}, func(s *framework.Server) {
			// A handler may ask back whom it serves.
			framework.OnRequest(s, "play", func(p *framework.Player, n int) (int, error) {
				var card int
				err := p.Request(context.Background(), "pick", n, &card)
				return card, err
			})
			framework.OnMessage(s, "pick", func(*framework.Player, int) {}) // in the dictionary
		}, func(e *env) {
			c := e.newClient("ann", carrier)
			client.OnRequest(c, "pick", func(n int) (int, error) { return n + 1, nil })
			client.OnRequest(c, "no", func(int) (int, error) { return 0, &codec.Error{Code: 1234, Text: "no"} })
			client.OnRequest(c, "broken", func(int) (int, error) { return 0, errors.New("secret detail") })
			client.OnRequest(c, "slow", func(int) (int, error) { time.Sleep(3 * time.Second); return 1, nil })
			e.connect(c)
			var card int
			if err := c.Request(context.Background(), "play", 6, &card); err != nil || card != 7 {
				t.Fatalf("play: %d, %v", card, err)
			}
			p, ctx := e.srv.User("ann")[0], context.Background()
			wantCode(t, p.Request(ctx, "no", 1, &card), 1234)
			wantCode(t, p.Request(ctx, "broken", 1, &card), codec.ErrorInternal)
			wantCode(t, p.Request(ctx, "pick", "no number", &card), codec.ErrorBadRequest)
			wantCode(t, p.Request(ctx, "nowhere", 1, &card), codec.ErrorNoRoute)
			if err := p.Request(ctx, "pick", make([]byte, 1<<20), nil); !errors.Is(err, codec.ErrTooLarge) {
				t.Errorf("a large one: %v", err)
			}

			// The deadline ends it, and the answer that comes after it is nobody's.
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if err := p.Request(short, "slow", 1, &card); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a slow one: %v", err)
			}
			if err := p.Request(ctx, "pick", 1, &card); err != nil || card != 2 {
				t.Errorf("after the late answer: %d, %v", card, err)
			}
		})
	})
}

// A request outlives its link; whoever never answers costs half a minute.
func TestServersRequestOutlivesTheLink(t *testing.T) {
	simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, framework.Config{Session: quick}, nil, func(e *env) {
		c := e.newClient("ann", transport.TCP)
		var picks atomic.Int64
		client.OnRequest(c, "pick", func(n int) (int, error) { picks.Add(1); return n + 1, nil })
		e.connect(c)
		p := e.srv.User("ann")[0]
		c.Pause()
		e.within(time.Second, "detached", func() bool { return !p.Attached() })
		time.AfterFunc(10*time.Second, c.Hurry)
		var card int
		if err := p.Request(context.Background(), "pick", 6, &card); err != nil || card != 7 || picks.Load() != 1 {
			t.Errorf("%d after %d picks, %v", card, picks.Load(), err)
		}
		c.Pause()
		begin := time.Now()
		if err := p.Request(context.Background(), "pick", 6, &card); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 30*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// What ends the stream or the session ends the requests that wait in it.
func TestServersRequestsFailOnResetAndClose(t *testing.T) {
	simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, framework.Config{Session: quick}, nil, func(e *env) {
		c := e.newClient("ann", transport.TCP)
		client.OnRequest(c, "pick", func(n int) (int, error) { return n + 1, nil })
		e.connect(c)
		p := e.srv.User("ann")[0]
		c.Pause()
		e.within(time.Second, "detached", func() bool { return !p.Attached() })
		failed := make(chan error, 1)
		ask := func() { failed <- p.Request(context.Background(), "pick", 6, nil) }
		go ask() // ends with its request
		time.Sleep(time.Second)
		for i := range 3000 {
			_ = p.Push("flood", i)
		}
		c.Hurry()
		wantCode(t, <-failed, codec.ErrorReset)
		if err := p.Request(context.Background(), "pick", 6, nil); err != nil {
			t.Errorf("after the reset: %v", err)
		}

		c.Pause()
		e.within(time.Second, "detached", func() bool { return !p.Attached() })
		go ask()
		time.Sleep(time.Second)
		p.Kick(session.Kicked, "")
		if err := <-failed; !errors.Is(err, session.ErrClosed) {
			t.Errorf("at the end: %v", err)
		}
		if err := p.Request(context.Background(), "pick", 6, nil); !errors.Is(err, session.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// Answers that nobody asked for, and malformed ones.
func TestAnswersWithoutAQuestion(t *testing.T) {
	simulate(t, 1, memnet.Conditions{}, framework.Config{}, nil, func(e *env) {
		r, nonce := e.raw()
		r.hello(nonce, "ann", 1)
		r.read(codec.Welcome, new(any))
		r.write(codec.Header{Kind: codec.Response, Seq: 1}, codec.AppendResponse(nil, 1, nil))
		r.write(codec.Header{Kind: codec.Failure, Seq: 2}, codec.AppendFailure(nil, 7, 3, "no"))
		time.Sleep(time.Second)
		if st := e.srv.Stats(); st.Sessions != 1 || st.ProtocolErrors != 0 {
			t.Errorf("%+v", st)
		}
		r.write(codec.Header{Kind: codec.Response, Seq: 3}, []byte{0x91, 1})
		time.Sleep(time.Second)
		if st := e.srv.Stats(); st.Sessions != 1 || st.ProtocolErrors != 1 {
			t.Errorf("a malformed answer: %+v", st)
		}
		_ = r.conn.Close()
	})
}
