// SPDX-License-Identifier: MIT

package nats

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/cluster"
)

// TestGroup broadcasts to a member at another server over the real thing.
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
	last := n + 500
	for ; n <= last; n++ {
		if err := from.Group("red").Broadcast("note", n); err != nil {
			t.Fatal(err)
		}
	}
	for !all(last) && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(heard) == 0 || !slices.IsSorted(heard) || heard[len(heard)-1]-heard[0] != len(heard)-1 {
		t.Errorf("heard %v of %d", heard, last)
	}
	if err := b.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := a.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}
