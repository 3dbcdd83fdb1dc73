// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestBodiesAtTheirLimits: what is as large as may be arrives, over each carrier and in both
// directions, and what is a byte larger is refused where it is sent. The session goes on.
func TestBodiesAtTheirLimits(t *testing.T) {
	for _, max := range []int{1024, codec.DefaultMaxBody} {
		for _, route := range []string{"r", strings.Repeat("r", 31), strings.Repeat("r", 32), strings.Repeat("r", codec.MaxRouteName)} {
			t.Run(fmt.Sprint(max, " ", len(route)), func(t *testing.T) {
				onEach(t, func(t *testing.T, carrier transport.Carrier) { bodiesAtLimits(t, carrier, max, route) })
			})
		}
	}
}

func bodiesAtLimits(t *testing.T, carrier transport.Carrier, max int, route string) {
	cfg := framework.Config{Session: quick}
	cfg.Rate = framework.Rate{Messages: 1e6, Bytes: 1 << 30}
	cfg.Session.MaxBody, cfg.Session.SendBytes, cfg.Session.RecvBytes = max, 1<<20, 1<<20
	var handled, heard, last atomic.Int64
	simulate(t, 1, memnet.Conditions{}, cfg, func(s *framework.Server) {
		framework.OnRaw(s, route, func(_ *framework.Player, payload, dst []byte) ([]byte, error) {
			handled.Add(1)
			last.Store(int64(len(payload)))
			return codec.AppendBody(dst, len(payload))
		})
		framework.OnRequest(s, "give", func(_ *framework.Player, n int) ([]byte, error) { return make([]byte, n), nil })
	}, func(e *env) {
		c := e.newClient("ann", carrier)
		client.OnMessage(c, route, func(b []byte) { heard.Add(1); last.Store(int64(len(b))) })
		e.connect(c)
		p := e.srv.User("ann")[0]
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		refusedFrom, most := 0, 0
		for n := max - len(route) - 40; n <= max+2; n++ { // requests
			got := 0
			err := c.Request(ctx, route, make([]byte, n), &got)
			switch {
			case err == nil && refusedFrom == 0 && got >= n:
				most = n
			case err != nil && (errors.Is(err, codec.ErrTooLarge) || errors.As(err, new(*codec.Error))):
				if refusedFrom == 0 {
					refusedFrom = n
				}
			default:
				t.Fatalf("%d bytes: %d, %v", n, got, err)
			}
		}
		if most == 0 || refusedFrom != most+1 || most < max-len(route)-16 {
			t.Errorf("requests of %d bytes arrive, those of %d do not", most, refusedFrom)
		}
		most, refusedFrom = 0, 0
		for n := max - len(route) - 40; n <= max+2; n++ { // messages to the client
			before := heard.Load()
			err := p.Push(route, make([]byte, n))
			switch {
			case err == nil:
				e.within(10*time.Second, "it is heard", func() bool { return heard.Load() == before+1 })
				if last.Load() != int64(n) || refusedFrom != 0 {
					t.Errorf("%d of %d bytes were heard", last.Load(), n)
				}
				most = n
			case errors.Is(err, codec.ErrTooLarge):
				if refusedFrom == 0 {
					refusedFrom = n
				}
			default:
				t.Fatal(err)
			}
		}
		if most == 0 || refusedFrom != most+1 || most < max-len(route)-16 {
			t.Errorf("messages of %d bytes arrive, those of %d do not", most, refusedFrom)
		}
		for n := max - 40; n <= max+2; n++ { // answers
			var got []byte
			err := c.Request(ctx, "give", n, &got)
			if err == nil && len(got) != n || err != nil && !errors.As(err, new(*codec.Error)) {
				t.Errorf("an answer of %d bytes: %d, %v", n, len(got), err)
			}
		}
		if st := c.Stats(); st.Opens != 1 || st.Losses != 0 || len(e.srv.User("ann")) != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// TestEmptyBodies: nil is a body like any other.
func TestEmptyBodies(t *testing.T) {
	type empty struct{}
	var messages atomic.Int64
	simulate(t, 1, memnet.Conditions{}, framework.Config{Session: quick}, func(s *framework.Server) {
		framework.OnRequest(s, "pointer", func(_ *framework.Player, q *int) (*int, error) { return q, nil })
		framework.OnRequest(s, "slice", func(_ *framework.Player, q []int) ([]int, error) { return q, nil })
		framework.OnRequest(s, "struct", func(_ *framework.Player, q empty) (empty, error) { return q, nil })
		framework.OnRequest(s, "number", func(_ *framework.Player, q int) (int, error) { return q, nil })
		framework.OnRequest(s, "any", func(_ *framework.Player, q any) (any, error) { return q, nil })
		framework.OnRaw(s, "raw", func(_ *framework.Player, payload, dst []byte) ([]byte, error) { return nil, nil })
		framework.OnMessage(s, "message", func(_ *framework.Player, m *int) { messages.Add(1) })
		framework.AddRoom(s, "den", func(r *framework.Room) *framework.Room { return r })
	}, func(e *env) {
		c := e.dial("ann", transport.TCP)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, route := range []string{"pointer", "slice", "struct", "number", "any", "raw"} {
			err := c.Request(ctx, route, nil, nil)
			if err != nil && !errors.As(err, new(*codec.Error)) {
				t.Errorf("%s: %v", route, err)
			}
			var out any
			if err := c.Request(ctx, route, nil, &out); err != nil && !errors.As(err, new(*codec.Error)) && ctx.Err() != nil {
				t.Errorf("%s: %v", route, err)
			}
		}
		for _, route := range []string{framework.RouteJoin, framework.RouteLeave, framework.RouteWatch, framework.RouteList, framework.RouteFollow, framework.RouteUnfollow} {
			if err := c.Request(ctx, route, nil, nil); !errors.As(err, new(*codec.Error)) {
				t.Errorf("%s: %v", route, err)
			}
		}
		if err := c.Send("message", nil); err != nil {
			t.Error(err)
		}
		p := e.srv.User("ann")[0]
		if err := p.Push("nothing", nil); err != nil {
			t.Error(err)
		}
		e.within(10*time.Second, "the message is handled", func() bool { return messages.Load() == 1 })
		if st := c.Stats(); st.Opens != 1 || st.Losses != 0 || len(e.srv.User("ann")) != 1 || e.srv.Stats().Panics != 0 {
			t.Errorf("%+v, %d panics", st, e.srv.Stats().Panics)
		}
	})
}
