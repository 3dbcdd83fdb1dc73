// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// fit makes the game's code fail at one place, once.
type fit struct {
	at    string
	how   string
	armed atomic.Bool
}

func (f *fit) strike(at string) {
	if at != f.at || !f.armed.CompareAndSwap(true, false) {
		return
	}
	if f.how == "panic" {
		panic("boom")
	}
	runtime.Goexit()
}

// lies tells to return an error whose methods panic.
func (f *fit) lies(at string) bool {
	return f.how == "bad error" && at == f.at && f.armed.CompareAndSwap(true, false)
}

// purse is data that encodes itself.
type purse struct{ coins int }

var theFit atomic.Pointer[fit] // of the test that runs, for what is decoded

func (p *purse) MarshalMsgpack() ([]byte, error) {
	theFit.Load().strike("encode")
	return codec.AppendBody(nil, p.coins)
}

func (p *purse) UnmarshalMsgpack(b []byte) error {
	theFit.Load().strike("decode")
	return codec.DecodeBody(b, &p.coins)
}

// badStore is a store that fails.
type badStore struct {
	framework.Store
	fit *fit
}

func (s *badStore) Put(ctx context.Context, id framework.ID, epoch uint32, record []byte, keep time.Duration) error {
	if s.fit.lies("Put") {
		return sold()
	}
	s.fit.strike("Put")
	return s.Store.Put(ctx, id, epoch, record, keep)
}

func (s *badStore) Take(ctx context.Context, id framework.ID, taker string) ([]byte, error) {
	if s.fit.lies("Take") {
		return nil, sold()
	}
	s.fit.strike("Take")
	return s.Store.Take(ctx, id, taker)
}

// TestPanicsWhileAPlayerMoves: of the game's code that carries a player to another server.
// They end no server, and the player plays on at one of them.
func TestPanicsWhileAPlayerMoves(t *testing.T) {
	for _, at := range []string{"Put", "Take"} {
		t.Run(at+" bad error", func(t *testing.T) { panicsWhileMoving(t, &fit{at: at, how: "bad error"}) })
	}
	for _, at := range []string{"Pack", "Unpack", "encode", "decode", "Put", "Take", "Pack of a part", "Unpack of a part"} {
		for _, how := range []string{"panic", "Goexit"} {
			t.Run(at+" "+how, func(t *testing.T) { panicsWhileMoving(t, &fit{at: at, how: how}) })
		}
	}
}

func panicsWhileMoving(t *testing.T, f *fit) {
	theFit.Store(f)
	f.armed.Store(true)
	var store framework.MemoryStore
	config := func(node uint16, address string) framework.Config {
		return framework.Config{
			Node: node, Secret: session.Secret{1, 2, 3}, Store: &badStore{&store, f}, Address: address, Session: quick,
			Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
				return framework.Identity{User: string(l.Ticket), Data: &purse{coins: 7}}, nil
			},
			Pack:   func(*framework.Player) []byte { f.strike("Pack"); return []byte{1} },
			Unpack: func(*framework.Player, []byte) { f.strike("Unpack") },
		}
	}
	routes := func(s *framework.Server) {
		framework.CarryData[*purse](s)
		s.AddHooks(framework.Hooks{
			Part:   "part",
			Pack:   func(*framework.Player) []byte { f.strike("Pack of a part"); return []byte{1} },
			Unpack: func(*framework.Player, []byte) { f.strike("Unpack of a part") },
		})
		framework.OnRequest(s, "coins", func(p *framework.Player, _ int) (int, error) {
			if data := framework.DataOf[*purse](p); data != nil {
				return data.coins, nil
			}
			return 0, nil // it did not move
		})
	}
	simulate(t, 1, memnet.Conditions{}, config(1, "tcp://10.0.0.1:7778"), routes, func(a *env) {
		b := serve(t, a.net, "10.0.0.2", config(2, "tcp://10.0.0.2:7778"), routes)
		defer b.end()
		c := a.dial("ann", transport.TCP)
		n := 0
		if err := c.Request(context.Background(), "coins", 1, &n); err != nil || n != 7 {
			t.Fatalf("%d, %v", n, err)
		}
		_ = a.srv.User("ann")[0].Move(b.addr(transport.TCP))
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		lost := f.at == "encode" || f.at == "decode" // package codec makes an error of it
		if err := c.Request(ctx, "coins", 1, &n); err != nil || (n != 7) != lost {
			t.Errorf("afterwards: %d, %v", n, err)
		}
		sa, sb := a.srv.Stats(), b.srv.Stats()
		if (sa.Panics+sb.Panics == 1) == lost || f.armed.Load() {
			t.Errorf("%d and %d panics, struck %v", sa.Panics, sb.Panics, !f.armed.Load())
		}
		if sa.Sessions+sb.Sessions != 1 {
			t.Errorf("%d and %d sessions", sa.Sessions, sb.Sessions)
		}
	})
}
