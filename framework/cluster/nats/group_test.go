// SPDX-License-Identifier: MIT

package nats

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/session"
)

// TestGroup broadcasts to a member at another server over the real thing, and calls a server
// that has no players.
func TestGroup(t *testing.T) {
	one, two := pair(t)
	missed := func(tag string, n uint64) { t.Errorf("missed %d of %q", n, tag) }
	a, _ := serve(t, cluster.Config{Bus: one, OnMissed: missed})
	b, from := serve(t, cluster.Config{Bus: two, OnMissed: missed})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ann := annAt(t, a)
	var mu sync.Mutex
	var heard []int
	client.OnMessage(ann, "note", func(n int) {
		mu.Lock()
		heard = append(heard, n)
		mu.Unlock()
	})
	if err := ann.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); len(a.User("ann")) == 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	a.Group("red").Add(a.User("ann")[0])
	all := func(n int) bool {
		mu.Lock()
		defer mu.Unlock()
		return len(heard) > 0 && heard[len(heard)-1] >= n
	}
	n := 0
	for ; !all(0) && ctx.Err() == nil; n++ { // until its interest is known here
		if err := from.Group("red").Broadcast("note", n); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	for range 20 { // more at once may be more than may wait for a player
		for range 10 {
			if err := from.Group("red").Broadcast("note", n); err != nil {
				t.Fatal(err)
			}
			n++
		}
		for !all(n-1) && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}
	mu.Lock()
	got := slices.Clone(heard)
	mu.Unlock()
	if len(got) == 0 || got[len(got)-1] != n-1 || !slices.IsSorted(got) || got[len(got)-1]-got[0] != len(got)-1 {
		t.Errorf("heard %v of %d", got, n)
	}
	shop(ctx, t, one, from)
	if err := b.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := a.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// shop starts a server that listens to no address, and calls it.
func shop(ctx context.Context, t *testing.T, bus *Bus, from *cluster.Cluster) {
	c, err := cluster.New(cluster.Config{Bus: bus, Labels: []string{"shop"}})
	if err != nil {
		t.Fatal(err)
	}
	cluster.Handle(c, "double", func(_ context.Context, _ cluster.Member, n int) (int, error) { return 2 * n, nil })
	srv, err := framework.New(framework.Config{Cluster: c, Secret: session.Secret{1}, Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		err = srv.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	for ; ; time.Sleep(20 * time.Millisecond) { // until it is known there
		n, err := cluster.Call[int](ctx, from, cluster.Any("shop"), "double", 21)
		if err == nil && n == 42 {
			break
		}
		if !errors.Is(err, cluster.ErrNoNode) || ctx.Err() != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if err := srv.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	soon, cancel := context.WithTimeout(ctx, time.Second) // a call that meets a server on its way out has no answer
	defer cancel()
	if _, err := cluster.Call[int](soon, from, cluster.Any("shop"), "double", 21); err == nil {
		t.Error("a server that has left is called")
	}
}
