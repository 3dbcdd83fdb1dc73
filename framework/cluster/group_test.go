// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster"
)

// addTo takes a user of a server into a group.
func (v *server) addTo(tag, user string) bool { return v.c.Group(tag).Add(v.User(user)[0]) }

// missedOf returns what OnMissed was told.
func (s *stack) missedOf() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.missed)
}

// of returns what begins so.
func (in *inbox) of(prefix string) (list []string) {
	for _, m := range in.all() {
		if text, ok := strings.CutPrefix(m, prefix); ok {
			list = append(list, text)
		}
	}
	return list
}

// TestGroup: a broadcast gets to the members at every server, in order for each sender, to
// no other player, and a subject is heard as long as a tag of it has members.
func TestGroup(t *testing.T) {
	play(t, 3, nil, func(s *stack) {
		heard := map[string]*inbox{}
		for i, user := range []string{"ann", "bob", "eve"} {
			_, heard[user] = s.listener(s.servers[i], user)
			if !s.servers[i].addTo("red", user) || s.servers[i].addTo("red", user) {
				t.Errorf("%s is not added once", user)
			}
		}
		_, heard["joe"] = s.listener(s.servers[1], "joe")
		time.Sleep(time.Second)
		var want []string
		for n := range 50 {
			want = append(want, fmt.Sprintf("%03d", n))
			for i, v := range s.servers {
				if err := v.c.Group("red").Broadcast("note", fmt.Sprintf("%d %03d", i, n)); err != nil {
					t.Error(err)
				}
			}
		}
		ann := s.servers[0].User("ann")[0]
		for what, err := range map[string]error{
			"group":       s.servers[0].c.Group("red").By(ann).Broadcast("note", "but ann", ann),
			"no members":  s.servers[0].c.Group("green").Broadcast("note", "none"),
			"all":         s.servers[2].c.Broadcast("note", "all"),
			"as a server": s.servers[2].Group("red").Broadcast("note", "here"), // framework.Group: those of one server
		} {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		time.Sleep(time.Second)
		for user, in := range heard {
			for i := range s.servers {
				if got := in.of(fmt.Sprint(i, " ")); user != "joe" && !slices.Equal(got, want) || user == "joe" && len(got) > 0 {
					t.Errorf("%s heard of server %d %v", user, i+1, got)
				}
			}
			rest := slices.DeleteFunc(in.all(), func(m string) bool { return m[1] == ' ' })
			slices.Sort(rest)
			wantRest := map[string]string{"ann": "[all]", "bob": "[all but ann]", "eve": "[all but ann here]", "joe": "[all]"}[user]
			if got := fmt.Sprint(rest); got != wantRest {
				t.Errorf("%s heard %s, want %s", user, got, wantRest)
			}
		}
		for i, v := range s.servers {
			if st := v.Stats().Cluster; st.Missed != 0 || st.Broadcasts.Subjects != 1 || st.Broadcasts.QueuedBytes != 0 ||
				st.Broadcasts.Sent != map[int]uint64{0: 52, 1: 50, 2: 51}[i] || st.Broadcasts.Received < 100 || st.Broadcasts.Unwanted+st.Broadcasts.Late+st.Broadcasts.Failed > 0 {
				t.Errorf("server %d: %+v", i+1, st.Broadcasts)
			}
		}

		// The last member leaves, by itself or with its session.
		if g := s.servers[0].c.Group("red"); g.Len() != 1 || !g.Remove(ann) || g.Remove(ann) || g.Len() != 0 {
			t.Error("ann is not removed once")
		}
		s.servers[1].User("bob")[0].Kick(framework.CodeKicked, "")
		time.Sleep(4 * time.Second)
		_ = s.servers[2].c.Group("red").Broadcast("note", "none")
		time.Sleep(4 * time.Second)
		for i, v := range s.servers[:2] {
			if st := v.Stats().Cluster.Broadcasts; st.Subjects != 0 || st.Unwanted != 1 {
				t.Errorf("server %d, without members: %+v", i+1, st)
			}
		}
		if got := slices.Concat(heard["ann"].of("none"), heard["bob"].of("none")); len(got) > 0 {
			t.Errorf("heard %v", got)
		}
		if got := s.missedOf(); len(got) > 0 {
			t.Errorf("missed %v", got)
		}
	})
}

// TestMissed: a server that was cut off knows what it has missed, also if that was the last.
func TestMissed(t *testing.T) {
	play(t, 3, nil, func(s *stack) {
		a, c := s.servers[0], s.servers[2]
		_, in := s.listener(c, "eve")
		c.addTo("red", "eve")
		time.Sleep(time.Second)
		tell := func(text string) {
			t.Helper()
			if err := errors.Join(a.c.Group("red").Broadcast("note", text), a.c.Broadcast("note", "all "+text)); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		tell("1")
		c.line.set(true)
		tell("2")
		tell("3")
		c.line.set(false)
		if got := s.missedOf(); len(got) > 0 {
			t.Errorf("missed %v, before the next has come", got)
		}
		tell("4")
		got := s.missedOf()
		slices.Sort(got) // two subjects have no order
		if fmt.Sprint(got) != `[3: 2 of "" 3: 2 of "red"]` {
			t.Errorf("missed %v", got)
		}
		c.line.set(true)
		_ = a.c.Group("red").Broadcast("note", "last")
		time.Sleep(100 * time.Millisecond)
		c.line.set(false)
		time.Sleep(time.Second)
		if got := s.missedOf(); len(got) != 3 || got[2] != `3: 1 of "red"` {
			t.Errorf("missed %v", got)
		}
		if got := fmt.Sprint(in.of("all "), slices.DeleteFunc(in.all(), func(m string) bool { return len(m) > 1 })); got != "[1 4] [1 4]" {
			t.Errorf("heard %v", in.all())
		}
		if st := c.Stats().Cluster; st.Missed != 5 {
			t.Errorf("%+v", st)
		}
	})
}

// TestGroupsMoveWithTheirPlayers: a player that goes to another server is in its groups there.
func TestGroupsMoveWithTheirPlayers(t *testing.T) {
	play(t, 2, nil, func(s *stack) {
		_, in := s.listener(s.servers[0], "ann")
		s.servers[0].addTo("red", "ann")
		s.servers[0].addTo("blue", "ann")
		if err := s.servers[1].c.User("ann").Move(context.Background(), 2); err != nil {
			t.Fatal(err)
		}
		s.within(20*time.Second, "at the other server", func() bool { return s.servers[1].has("ann") && s.servers[1].User("ann")[0].Attached() })
		time.Sleep(time.Second)
		for i, want := range []int{0, 1} {
			if g := s.servers[i].c; g.Group("red").Len() != want || g.Group("blue").Len() != want {
				t.Errorf("server %d has %d and %d members, want %d", i+1, g.Group("red").Len(), g.Group("blue").Len(), want)
			}
		}
		_ = s.servers[0].c.Group("red").Broadcast("note", "there")
		time.Sleep(time.Second)
		if got := fmt.Sprint(in.all()); got != "[there]" {
			t.Errorf("heard %s", got)
		}
	})
}

// TestBroadcastsNeverBlock: what the bus does not take waits up to a bound, and what is
// refused is known. Those that are here get all.
func TestBroadcastsNeverBlock(t *testing.T) {
	play(t, 2, nil, func(s *stack) {
		a, b := s.servers[0], s.servers[1]
		s.dial(b, "bob", "")
		b.addTo("red", "bob")
		time.Sleep(time.Second)
		held := make(chan struct{})
		a.line.mu.Lock()
		a.line.held = held
		a.line.mu.Unlock()
		taken := 0
		big := make([]byte, 60<<10)
		var err error
		for ; err == nil && taken < 1000; taken++ {
			err = a.c.Group("red").Broadcast("note", big)
		}
		if !errors.Is(err, cluster.ErrBackpressure) || taken < 100 || taken > 150 {
			t.Errorf("%d were taken: %v", taken, err)
		}
		if err := a.c.Group("red").Broadcast("note", make([]byte, 1<<20)); !errors.Is(err, codec.ErrTooLarge) {
			t.Errorf("a large one: %v", err)
		}
		close(held)
		time.Sleep(time.Second)
		if st := a.Stats().Cluster.Broadcasts; st.Backpressure != 1 || st.QueuedBytes != 0 || st.Sent != uint64(taken-1) {
			t.Errorf("%+v", st)
		}
		if st := b.Stats().Cluster; st.Broadcasts.Received != uint64(taken-1) || st.Missed != 0 {
			t.Errorf("%+v", st.Broadcasts)
		}
	})
}

// TestBroadcastOutside: a server that is in no cluster says so.
func TestBroadcastOutside(t *testing.T) {
	c, err := cluster.New(cluster.Config{Bus: new(cluster.Memory)})
	if err != nil {
		t.Fatal(err)
	}
	g := c.Group("red")
	if err := g.Broadcast("note", 1); !errors.Is(err, cluster.ErrUnreachable) || g.Len() != 0 {
		t.Errorf("%v", err)
	}
	if err := c.Broadcast("note", 1); !errors.Is(err, cluster.ErrUnreachable) {
		t.Errorf("%v", err)
	}
}
