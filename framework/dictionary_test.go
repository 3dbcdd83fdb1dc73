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
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// Session/SPEC 3.12: what HELLO says decides whether routes travel as numbers.
func TestRoutesTravelAsTheClientUnderstandsThem(t *testing.T) {
	dict := []string{"news", "note", "room.join", "room.leave"}
	for name, tt := range map[string]struct {
		hash    []byte
		told    bool
		numbers bool
	}{
		"names only":         {nil, false, false},
		"no dictionary yet":  {[]byte{}, true, true},
		"another one":        {session.RoutesHash([]string{"x"}), true, true},
		"the present one":    {session.RoutesHash(dict), false, true},
		"a hash too short":   {session.RoutesHash(dict)[:7], true, true},
		"a hash far too big": {make([]byte, 1000), true, true},
	} {
		var noted atomic.Int64
		simulate(t, 1, memnet.Conditions{}, framework.Config{}, func(s *framework.Server) {
			framework.OnMessage(s, "note", func(_ *framework.Player, n int64) { noted.Add(n) })
			framework.OnMessage(s, "news", func(*framework.Player, int64) {})
		}, func(e *env) {
			r, nonce := e.raw()
			r.routes = tt.hash
			r.hello(nonce, "ann", 1)
			var welcome struct {
				ID, Key    []byte
				Base, Recv uint64
				Params     codec.Raw
				Routes     []string
			}
			r.read(codec.Welcome, &welcome)
			if told := welcome.Routes != nil; told != tt.told || told && !slices.Equal(welcome.Routes, dict) {
				t.Errorf("%s: told %v", name, welcome.Routes)
			}
			p := e.srv.User("ann")[0]
			for _, route := range []string{"news", "unlisted"} {
				if p.Push(route, 1) != nil || e.srv.Broadcast(route, 1) != nil {
					t.Fatal("not sent")
				}
				for range 2 {
					var body codec.Raw
					r.read(codec.Message|0x80, &body)
					got, _, err := codec.ParseMessage(body)
					want := route
					if tt.numbers && route == "news" {
						want = "#0"
					}
					if err != nil || got.String() != want {
						t.Errorf("%s: %v came as %v, %v", name, route, got, err)
					}
				}
			}
			// Whatever it said, both ways are understood from it.
			payload, _ := codec.AppendBody(nil, 1)
			r.write(codec.Header{Kind: codec.Message, Seq: 1}, codec.AppendMessage(nil, codec.NumberedRoute(1), payload))
			r.write(codec.Header{Kind: codec.Message, Seq: 2}, codec.AppendMessage(nil, codec.NamedRoute("note"), payload))
			r.write(codec.Header{Kind: codec.Message, Seq: 3}, codec.AppendMessage(nil, codec.NumberedRoute(4), payload))
			e.within(time.Second, "both are noted", func() bool { return noted.Load() == 2 && e.srv.Stats().NoRoute > 0 })
			if n := e.srv.Stats().NoRoute; n != 1 {
				t.Errorf("%s: %d packets without a route, want the one", name, n)
			}
			_ = r.conn.Close()
		})
	}
}

// counted is a value that counts how often it is encoded.
type countedValue struct{ n *atomic.Int64 }

func (c countedValue) MarshalMsgpack() ([]byte, error) {
	c.n.Add(1)
	return []byte{7}, nil
}

func TestBroadcastEncodesOnce(t *testing.T) {
	simulate(t, 1, memnet.Conditions{}, framework.Config{Loops: 2}, nil, func(e *env) {
		var got atomic.Int64
		for i := range 20 {
			c := e.newClient(strings.Repeat("x", i+1), transport.TCP)
			client.OnMessage(c, "news", func(n int) { got.Add(int64(n)) })
			e.connect(c)
		}
		r, nonce := e.raw() // goes by names, the others by numbers
		r.hello(nonce, "raw", 1)
		r.read(codec.Welcome, new(any))
		var encodes atomic.Int64
		if err := e.srv.Broadcast("news", countedValue{&encodes}); err != nil {
			t.Fatal(err)
		}
		e.within(time.Second, "all have it", func() bool { return got.Load() == 20*7 })
		var body codec.Raw
		r.read(codec.Message|0x80, &body)
		if n := encodes.Load(); n != 1 {
			t.Errorf("encoded %d times for 21 players", n)
		}
		_ = r.conn.Close()
	})
}

// An app that was restarted has lost the dictionary; RESET tells it again.
func TestRestartedAppLearnsTheDictionaryAgain(t *testing.T) {
	simulate(t, 1, memnet.Conditions{}, framework.Config{}, func(s *framework.Server) {
		framework.OnMessage(s, "news", func(*framework.Player, int) {})
	}, func(e *env) {
		first := e.dial("ann", transport.TCP)
		token := first.Token()
		first.Cut()
		first.Pause() // it is dead: it does not dial again
		var got atomic.Int64
		c, err := client.New([]string{e.addr(transport.TCP)}, e.dialers(client.Config{Token: token}))
		if err != nil {
			t.Fatal(err)
		}
		e.clients = append(e.clients, c)
		client.OnMessage(c, "news", func(n int) { got.Add(int64(n)) })
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.Connect(ctx); err != nil {
			t.Fatal(err)
		}
		_ = e.srv.User("ann")[0].Push("news", 5)
		e.within(time.Second, "the news arrives", func() bool { return got.Load() == 5 })
		if st := e.srv.Stats(); st.Opened != 1 || st.Resets != 1 {
			t.Errorf("%+v", st)
		}
		_ = first.Close()
	})
}
