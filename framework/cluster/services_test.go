// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster"
)

type purchase struct {
	Item  string
	Price int
}

// shop registers handlers at each server. The last one has the label "shop", and no players.
func shop(t *testing.T, n uint16, change func(*framework.Config), f func(s *stack)) {
	var s *stack
	config := func(cfg *framework.Config) {
		if len(s.servers) == int(n)-1 {
			cfg.TCP, cfg.Address = "", ""
		}
		c := cfg.Cluster.(*cluster.Cluster)
		node := uint16(len(s.servers) + 1)
		cluster.Handle(c, "shop.buy", func(_ context.Context, from cluster.Member, q purchase) (string, error) {
			switch q.Item {
			case "nothing":
				return "", framework.Fail(1234, "it is sold out")
			case "secret":
				return "", errors.New("the password of the database is wrong")
			case "no error":
				var no *framework.Error
				return "", no // which is no nil
			case "bomb":
				panic("bang")
			case "elephant":
				return strings.Repeat("x", 1<<20), nil
			}
			return fmt.Sprintf("%s for %d from %d to %d", q.Item, q.Price, node, from.Node), nil
		})
		cluster.Handle(c, "wait", func(ctx context.Context, _ cluster.Member, d time.Duration) (time.Duration, error) {
			until, _ := ctx.Deadline()
			limit := time.Until(until)
			time.Sleep(d)
			if ctx.Err() != nil {
				s.note("%d waited for too long", node)
			}
			return limit, nil
		})
		if change != nil {
			change(cfg)
		}
	}
	play(t, 0, config, func(st *stack) {
		s = st
		s.labels = map[uint16][]string{n: {"shop", "eu"}}
		for node := range n {
			s.add(node + 1)
		}
		time.Sleep(time.Second)
		f(s)
	})
}

// buy calls from a server.
func (v *server) buy(to cluster.Target, item string) (string, error) {
	return cluster.Call[string](context.Background(), v.c, to, "shop.buy", purchase{item, 7})
}

// TestCall: a server calls another one by its number, its label, or a user.
func TestCall(t *testing.T) {
	shop(t, 3, nil, func(s *stack) {
		a, b, c := s.servers[0], s.servers[1], s.servers[2]
		ann := s.dial(b, "ann", "")
		_ = ann.Send("say", uint64(0)) // a session whose client was never heard does not move
		time.Sleep(100 * time.Millisecond)
		for _, x := range []struct {
			from *server
			to   cluster.Target
			want string
		}{
			{a, cluster.Node(2), "apple for 7 from 2 to 1"},
			{a, cluster.Node(1), "apple for 7 from 1 to 1"},
			{a, cluster.Any("shop"), "apple for 7 from 3 to 1"},
			{c, cluster.Any("eu"), "apple for 7 from 3 to 3"},
			{a, cluster.OwnerOf("ann"), "apple for 7 from 2 to 1"},
			{b, cluster.OwnerOf("ann"), "apple for 7 from 2 to 2"},
		} {
			if got, err := x.from.buy(x.to, "apple"); err != nil || got != x.want {
				t.Errorf("%v: %q, %v, want %q", x.to, got, err, x.want)
			}
		}
		if err := a.c.User("ann").Move(context.Background(), 1); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if got, err := c.buy(cluster.OwnerOf("ann"), "apple"); err != nil && !errors.Is(err, cluster.ErrUnreachable) {
				t.Errorf("on its way: %q, %v", got, err)
			}
		}
		if got, err := c.buy(cluster.OwnerOf("ann"), "apple"); err != nil || got != "apple for 7 from 1 to 3" {
			t.Errorf("after its move: %q, %v", got, err)
		}
		for _, m := range a.c.Members() {
			if want := map[bool]string{true: "[shop eu]", false: "[]"}[m.Node == 3]; fmt.Sprint(m.Labels) != want || (m.Address == "") != (m.Node == 3) {
				t.Errorf("%+v", m)
			}
		}
		if c.Addr(framework.TCP).IsValid() || c.Addr(framework.PlainKCP).IsValid() {
			t.Error("a server without addresses listens")
		}
	})
}

// TestCallsThatFail: each one ends with the error that says whether anything was called.
func TestCallsThatFail(t *testing.T) {
	var panics atomic.Int64
	config := func(c *framework.Config) { c.OnPanic = func(*framework.Player, string, any) { panics.Add(1) } }
	shop(t, 2, config, func(s *stack) {
		a, b := s.servers[0], s.servers[1]
		began := time.Now()
		for to, want := range map[cluster.Target]error{
			cluster.Node(9): cluster.ErrNoNode, cluster.Any("bank"): cluster.ErrNoNode, cluster.OwnerOf("eve"): cluster.ErrOffline,
		} {
			if got, err := a.buy(to, "apple"); !errors.Is(err, want) {
				t.Errorf("%v: %q, %v", to, got, err)
			}
		}
		if d := time.Since(began); d > 0 {
			t.Errorf("told after %v, want at once", d)
		}
		to := cluster.Any("shop")
		for item, want := range map[string]codec.Error{
			"nothing": {Code: 1234, Text: "it is sold out"}, "secret": {Code: codec.ErrorInternal, Text: "internal error"}, "bomb": {Code: codec.ErrorInternal, Text: "internal error"},
			"no error": {Code: codec.ErrorInternal, Text: "internal error"},
		} {
			var no *framework.Error
			if _, err := a.buy(to, item); !errors.As(err, &no) || *no != want {
				t.Errorf("%s: %v, want %v", item, err, want)
			}
		}
		var no *framework.Error
		if _, err := cluster.Call[string](context.Background(), a.c, to, "shop.sell", 1); !errors.As(err, &no) || no.Code != framework.ErrorNoRoute {
			t.Errorf("no handler: %v", err)
		}
		if _, err := cluster.Call[string](context.Background(), a.c, to, "shop.buy", "an apple"); !errors.As(err, &no) || no.Code != framework.ErrorBadRequest {
			t.Errorf("another type: %v", err)
		}
		if _, err := a.buy(to, "elephant"); !errors.Is(err, codec.ErrTooLarge) || !strings.Contains(err.Error(), "server 2") {
			t.Errorf("a large answer: %.200v", err)
		}
		if _, err := cluster.Call[string](context.Background(), a.c, to, "shop.buy", make([]byte, 1<<20)); !errors.Is(err, codec.ErrTooLarge) {
			t.Errorf("a large question: %v", err)
		}
		if panics.Load() != 2 || b.Stats().Panics != 2 {
			t.Errorf("%d panics were told, %d counted", panics.Load(), b.Stats().Panics)
		}
		if st := b.Stats().Cluster.Calls; st != (framework.ClusterCallStats{Served: 6, Failed: 6, Refused: 1}) {
			t.Errorf("%+v", st)
		}

		b.line.set(true) // paused
		time.Sleep(15 * time.Second)
		if _, err := b.buy(to, "apple"); !errors.Is(err, cluster.ErrUnreachable) {
			t.Errorf("paused: %v", err)
		}
		b.line.set(false)
		time.Sleep(3 * time.Second)
		if _, err := a.buy(to, "apple"); err != nil {
			t.Errorf("after the pause: %v", err)
		}
	})
}

// TestCallsTakeTheirTime: the deadline travels, and a server that leaves ends what it serves.
func TestCallsTakeTheirTime(t *testing.T) {
	shop(t, 2, nil, func(s *stack) {
		a, b := s.servers[0], s.servers[1]
		wait := func(limit, d time.Duration) (time.Duration, error) {
			ctx := context.Background()
			if limit > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, limit)
				defer cancel()
			}
			return cluster.Call[time.Duration](ctx, a.c, cluster.Node(2), "wait", d)
		}
		for limit, want := range map[time.Duration]time.Duration{0: 30 * time.Second, 3 * time.Second: 3 * time.Second, time.Hour: 5 * time.Minute} {
			if got, err := wait(limit, time.Second); err != nil || got != want {
				t.Errorf("with %v the handler has %v, %v, want %v", limit, got, err, want)
			}
		}
		if _, err := wait(time.Second, 2*time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		time.Sleep(2 * time.Second)
		if got := s.hooks(); len(got) != 1 || got[0] != "2 waited for too long" {
			t.Errorf("%q", got)
		}
		if st := a.Stats().Cluster.Calls; st.Made != 4 || st.Unanswered != 1 {
			t.Errorf("%+v", st)
		}
		var calling sync.WaitGroup
		calling.Go(func() {
			if _, err := wait(0, 2*time.Second); err != nil {
				t.Errorf("while it leaves: %v", err)
			}
		})
		time.Sleep(time.Second)
		if err := b.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		s.servers = s.servers[:1]
		calling.Wait()
		if _, err := wait(0, 0); !errors.Is(err, cluster.ErrNoNode) {
			t.Errorf("after it left: %v", err)
		}
	})
}

// TestCallsEndWithTheirServer: a caller does not wait for a server that was declared dead.
func TestCallsEndWithTheirServer(t *testing.T) {
	shop(t, 2, nil, func(s *stack) {
		a, b := s.servers[0], s.servers[1]
		time.AfterFunc(time.Second, func() { b.line.set(true) })
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
		defer cancel()
		began := time.Now()
		_, err := cluster.Call[time.Duration](ctx, a.c, cluster.Node(2), "wait", time.Minute)
		if d := time.Since(began); !errors.Is(err, cluster.ErrUnknown) || d > 30*time.Second {
			t.Errorf("%v after %v", err, d)
		}
		time.Sleep(time.Minute) // until the handler has returned
	})
}

// TestCallsAreBounded: one too many is told so at once.
func TestCallsAreBounded(t *testing.T) {
	shop(t, 1, nil, func(s *stack) {
		a := s.servers[0]
		var calling sync.WaitGroup
		for range cluster.MaxCalls {
			calling.Go(func() {
				if _, err := cluster.Call[time.Duration](context.Background(), a.c, cluster.Node(1), "wait", time.Second); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(500 * time.Millisecond)
		var no *framework.Error
		if _, err := a.buy(cluster.Node(1), "apple"); !errors.As(err, &no) || no.Code != framework.ErrorBusy {
			t.Errorf("%v", err)
		}
		calling.Wait()
		if got, err := a.buy(cluster.Node(1), "apple"); err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if st := a.Stats().Cluster.Calls; st.Running != 0 || st.Refused != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// TestHandlePanics: what can't be meant is told at once.
func TestHandlePanics(t *testing.T) {
	c, err := cluster.New(cluster.Config{Bus: new(cluster.Memory)})
	if err != nil {
		t.Fatal(err)
	}
	ok := func(context.Context, cluster.Member, int) (int, error) { return 0, nil }
	cluster.Handle(c, "once", ok)
	for what, f := range map[string]func(){
		"twice":    func() { cluster.Handle(c, "once", ok) },
		"no route": func() { cluster.Handle(c, "", ok) },
		"a channel": func() {
			cluster.Handle(c, "channel", func(context.Context, cluster.Member, chan int) (int, error) { return 0, nil })
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", what)
				}
			}()
			f()
		}()
	}
	if _, err := cluster.Call[int](context.Background(), c, cluster.Node(1), "once", 1); !errors.Is(err, cluster.ErrUnreachable) {
		t.Errorf("before Start: %v", err)
	}
}
