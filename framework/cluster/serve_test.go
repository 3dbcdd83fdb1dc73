// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/cluster"
)

// TestServe cuts one server off that serves on: a player with a link notices nothing, and no
// other gets in. The price: once that server was declared dead, its user may be at another one
// as well, until it hears of it.
func TestServe(t *testing.T) {
	play(t, 0, nil, func(s *stack) {
		s.alone = cluster.Serve
		a, b := s.add(1), s.add(2)
		first := s.dial(a, "ann", "")
		time.Sleep(time.Second)
		a.line.set(true)
		s.within(16*time.Second, "without a lease", func() bool { return !a.c.HasLease() })
		_ = first.Send("say", uint64(1))
		s.within(time.Second, "handled", func() bool { return len(s.handled("ann")) == 1 })
		if got, state := probes(a.Server), look(t, a.Server, "").State; state != "isolated" || got != "isolated: it can't renew its lease in the cluster, and serves only players who are connected\n| ok" {
			t.Errorf("%s, %q", state, got)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if err := s.client(a, "bob", "").Connect(ctx); err == nil {
			t.Error("a login was let in without a lease")
		}
		cancel()
		s.within(20*time.Second, "declared dead", func() bool { return b.c.Stats().Deaths == 1 })
		s.dial(b, "ann", "")
		_ = first.Send("say", uint64(2))
		s.within(time.Second, "handled", func() bool { return slices.Equal(s.handled("ann"), []uint64{1, 2}) })
		if st := first.Stats(); st.Losses != 0 || !a.has("ann") || !b.has("ann") {
			t.Errorf("%+v", st)
		}
		a.line.set(false)
		s.within(5*time.Second, "fenced", func() bool { return !a.c.Valid() && a.Stats().Sessions == 0 })
		time.Sleep(5 * time.Second)
		if got := s.handled("ann"); !slices.Equal(got, []uint64{1, 2}) || !b.has("ann") {
			t.Errorf("handled %v", got)
		}
	})
}

// TestServeThroughAnOutage: while no server reaches the directory none is declared dead, and
// players play on for however long that takes.
func TestServeThroughAnOutage(t *testing.T) {
	play(t, 0, nil, func(s *stack) {
		s.alone = cluster.Serve
		a, b := s.add(1), s.add(2)
		c := s.dial(a, "ann", "")
		time.Sleep(time.Second)
		a.line.set(true)
		b.line.set(true)
		const n = 120
		for i := range uint64(n) {
			_ = c.Send("say", i+1)
			time.Sleep(time.Second)
		}
		if got := s.handled("ann"); len(got) != n {
			t.Errorf("%d of %d messages were handled", len(got), n)
		}
		a.line.set(false)
		b.line.set(false)
		time.Sleep(10 * time.Second)
		s.dial(b, "bob", "")
		if st := c.Stats(); st.Losses != 0 || !a.has("ann") || !a.c.HasLease() || !b.c.HasLease() || a.c.Stats().Deaths+b.c.Stats().Deaths != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestServedRoomsStandStill: without a lease a room of a key waits, as it may be opened
// elsewhere. A room for strangers goes on.
func TestServedRoomsStandStill(t *testing.T) {
	playRooms(t, 0, nil, nil, func(s *stack, _ *house) {
		s.alone = cluster.Serve
		a := s.add(1)
		s.add(2)
		keyed, strange := s.dial(a, "ann", ""), s.dial(a, "bob", "")
		s.join(keyed, "castle")
		s.join(strange, "")
		a.line.set(true)
		s.within(16*time.Second, "without a lease", func() bool { return !a.c.HasLease() })
		asks := func(c *client.Client) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			return c.Request(ctx, "who", 0, new([]string))
		}
		if err := asks(strange); err != nil {
			t.Errorf("a room for strangers: %v", err)
		}
		if err := asks(keyed); err == nil {
			t.Error("a room of a key goes on without a lease")
		}
		a.line.set(false)
		s.within(4*time.Second, "with a lease", a.c.HasLease)
		if err := asks(keyed); err != nil || keyed.Stats().Losses+strange.Stats().Losses != 0 {
			t.Errorf("after it: %v", err)
		}
	})
}
