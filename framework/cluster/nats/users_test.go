// SPDX-License-Identifier: MIT

package nats

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/session"
)

// TestUsers sends to a player from another server over the real thing: while its server is
// shut down, and until it is banned.
func TestUsers(t *testing.T) {
	one, two := pair(t)
	undelivered := func(user, route string, err error) { t.Errorf("%s %s: %v", user, route, err) }
	a, _ := serve(t, cluster.Config{Bus: one, OnUndelivered: undelivered})
	b, from := serve(t, cluster.Config{Bus: two, OnUndelivered: undelivered})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ann := annAt(t, a, b)
	var mu sync.Mutex
	var heard []int
	client.OnMessage(ann, "note", func(n int) {
		mu.Lock()
		heard = append(heard, n)
		mu.Unlock()
	})
	client.OnRequest(ann, "double", func(n int) (int, error) { return 2 * n, nil })
	if err := ann.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	u := from.User("ann")
	var n int
	if err := u.Request(ctx, "double", 21, &n); err != nil || n != 42 {
		t.Errorf("%d, %v", n, err)
	}
	down := make(chan error, 1)
	const all = 200
	for i := range all {
		if i == 50 {
			go func() { down <- a.Shutdown(ctx) }()
		}
		if err := u.Push("note", i); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	if err := <-down; err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		mu.Lock()
		got := slices.Clone(heard)
		mu.Unlock()
		if len(got) >= all || time.Now().After(end) {
			if len(got) != all || !slices.IsSorted(got) || len(slices.Compact(got)) != all {
				t.Errorf("heard %v; %+v, %+v", got, ann.Stats(), from.MessageStats())
			}
			break
		}
	}
	if at, err := u.Where(ctx); err != nil || !at.Attached || len(b.User("ann")) != 1 {
		t.Errorf("%+v, %v", at, err)
	}
	if err := from.Ban(ctx, "ann", time.Time{}, "cheats"); err != nil {
		t.Error(err)
	}
	select {
	case <-ann.Done():
	case <-ctx.Done():
	}
	var why *session.CloseError
	if !errors.As(ann.Err(), &why) || why.Code != session.Banned {
		t.Errorf("ended by %v", ann.Err())
	}
	if err := b.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}
