// SPDX-License-Identifier: MIT

// Package bustest is what package cluster relies on in every cluster.Bus. Only tests use it.
package bustest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster"
)

// Run tries an empty bus from two servers. Both may be the same.
func Run(t *testing.T, one, two cluster.Bus) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	t.Run("store", func(t *testing.T) { store(ctx, t, one, two) })
	t.Run("watch", func(t *testing.T) { watch(ctx, t, one, two) })
	t.Run("questions", func(t *testing.T) { questions(ctx, t, one, two) })
	t.Run("subjects", func(t *testing.T) { subjects(ctx, t, one, two) })
}

// store: a value is written on the revision that was read, or not.
func store(ctx context.Context, t *testing.T, one, two cluster.Bus) {
	const key = "sessions/0123456789ab"
	if b, rev, err := two.Get(ctx, key); len(b) != 0 || rev != 0 || err != nil {
		t.Fatalf("of nothing: %q, %d, %v", b, rev, err)
	}
	first, err := two.Put(ctx, key, []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.Put(ctx, key, []byte("two"), 0); !errors.Is(err, cluster.ErrConflict) {
		t.Errorf("made twice: %v", err)
	}
	second, err := one.Put(ctx, key, []byte("two"), first)
	if err != nil || second <= first {
		t.Fatalf("%d after %d: %v", second, first, err)
	}
	if _, err := two.Put(ctx, key, nil, first); !errors.Is(err, cluster.ErrConflict) {
		t.Errorf("removed by an old revision: %v", err)
	}
	gone, err := two.Put(ctx, key, nil, second)
	if b, rev, err2 := one.Get(ctx, key); err != nil || err2 != nil || len(b) != 0 || rev != gone {
		t.Errorf("removed: %q, revision %d of %d, %v, %v", b, rev, gone, err, err2)
	}
	if _, err := one.Put(ctx, key, []byte("again"), gone); err != nil {
		t.Errorf("made again: %v", err)
	}
}

// watch: what is there is told at once, and then every change.
func watch(ctx context.Context, t *testing.T, one, two cluster.Bus) {
	type change struct {
		name, value string
		rev         uint64
	}
	seen := make(chan change, 10)
	if _, err := one.Put(ctx, "leases/1", []byte("there"), 0); err != nil {
		t.Fatal(err)
	}
	if err := two.Watch(ctx, "leases", func(n string, v []byte, rev uint64) { seen <- change{n, string(v), rev} }, func() {}); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 1 {
		t.Errorf("Watch has returned, and %d values were told", len(seen))
	}
	rev, err := one.Put(ctx, "leases/2", []byte("new"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := <-seen, <-seen; a.name != "1" || b != (change{"2", "new", rev}) {
		t.Errorf("seen %+v, %+v", a, b)
	}
}

// questions: one that none answers is known to be one.
func questions(ctx context.Context, t *testing.T, one, two cluster.Bus) {
	if err := one.Serve(ctx, "1.00000001", func(q []byte) []byte { return append([]byte("re: "), q...) }); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) { // until the other server knows of it
		a, err := two.Ask(ctx, "1.00000001", []byte("hello"))
		if string(a) == "re: hello" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("answered %q, %v", a, err)
		}
	}
	if _, err := two.Ask(ctx, "9.00000001", nil); !errors.Is(err, cluster.ErrNoServer) {
		t.Errorf("asked a name that no server has: %v", err)
	}
}

// subjects: what is published is heard once and in order, by all that have subscribed, and
// under no other subject.
func subjects(ctx context.Context, t *testing.T, one, two cluster.Bus) {
	const all = 100
	heard := make(chan string, 4*all)
	listen := func(ctx context.Context, b cluster.Bus, name, subject string) {
		t.Helper()
		if err := b.Subscribe(ctx, subject, func(m []byte) { heard <- name + " " + string(m) }); err != nil {
			t.Fatal(err)
		}
	}
	short, stop := context.WithCancel(ctx)
	listen(ctx, one, "one", "g.1")
	listen(short, two, "two", "g.1")
	listen(ctx, two, "other", "g.11")
	for reached := map[string]bool{}; len(reached) < 2; { // until two's interest is known to one
		if err := one.Publish("g.1", []byte("ready")); err != nil {
			t.Fatal(err)
		}
		select {
		case m := <-heard:
			reached[m] = true
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("nothing is heard")
		}
	}
	b := make([]byte, 8)
	for i := range all {
		copy(b, fmt.Sprintf("%08d", i)) // the bus does not keep it
		if err := one.Publish("g.1", b); err != nil {
			t.Fatal(err)
		}
	}
	next := map[string]int{}
	for next["one"] < all || next["two"] < all {
		select {
		case m := <-heard:
			var name string
			var i int
			if n, _ := fmt.Sscanf(m, "%s %d", &name, &i); n < 2 {
				continue // ready
			}
			if name == "other" || i != next[name] {
				t.Fatalf("heard %q, want %d", m, next[name])
			}
			next[name]++
		case <-ctx.Done():
			t.Fatalf("heard only %v of %d", next, all)
		}
	}
	stop()
	quiet := 0
	for end := time.Now().Add(10 * time.Second); quiet < 5; { // until two hears no more
		if time.Now().After(end) {
			t.Fatal("a subscription has ended, and hears")
		}
		_ = one.Publish("g.1", []byte("last"))
		quiet++
		for wait := true; wait; {
			select {
			case m := <-heard:
				if m == "two last" {
					quiet = 0
				}
			case <-time.After(20 * time.Millisecond):
				wait = false
			}
		}
	}
}
