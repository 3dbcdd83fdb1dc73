// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/framework/social"
)

// friends is a player that watches others.
type friends struct {
	*client.Client
	*client.Friends
	told *inbox
}

// watcher logs a player in that watches users.
func (s *stack) watcher(v *server, user string, users ...string) *friends {
	s.t.Helper()
	f := &friends{Client: s.client(v, user, ""), told: &inbox{}}
	f.Friends = client.NewFriends(f.Client)
	f.OnChanged(func(u client.UserState) { f.told.hear(fmt.Sprint(u.User, " ", u.Presence, " ", u.Text)) })
	s.connect(f.Client)
	_ = f.Send("say", uint64(0)) // a session whose client was never heard does not move
	if _, err := f.Watch(context.Background(), users...); err != nil {
		s.t.Fatal(err)
	}
	return f
}

// sees reports whether its view has a user so.
func (f *friends) sees(user string, p client.Presence, text string) func() bool {
	return func() bool {
		return slices.Contains(f.All(), client.UserState{User: user, Presence: p, Text: text})
	}
}

// presences runs f with three servers that have presence.
func presences(t *testing.T, f func(s *stack, of []*social.PresenceOf)) {
	var of []*social.PresenceOf
	var c *cluster.Cluster // of the server that is made
	play(t, 0, func(cfg *framework.Config) { c = cfg.Cluster.(*cluster.Cluster) }, func(s *stack) {
		s.setup = func(_ uint16, srv *framework.Server) {
			of = append(of, social.NewPresence(srv, social.PresenceConfig{
				MayWatch: func(*framework.Player, string) bool { return true }, Others: c.Presence(),
			}))
		}
		for n := range uint16(3) {
			s.add(n + 1)
		}
		time.Sleep(time.Second)
		f(s, of)
	})
}

// TestPresence: a friend at another server is seen as one that is here, also while it moves,
// and so does the one that looks.
func TestPresence(t *testing.T) {
	presences(t, func(s *stack, of []*social.PresenceOf) {
		a, b := s.servers[0], s.servers[1]
		_, _ = s.listener(b, "joe")
		ann := s.watcher(a, "ann", "bob", "joe")
		if !ann.sees("bob", client.Offline, "")() || !ann.sees("joe", client.Online, "")() {
			t.Errorf("at first: %v", ann.All())
		}
		bob, _ := s.listener(b, "bob")
		s.within(time.Second, "bob online", ann.sees("bob", client.Online, ""))
		of[1].Set("bob", social.Status{Playing: true, Text: "2:1"})
		s.within(time.Second, "bob playing", ann.sees("bob", client.Playing, "2:1"))
		if got := of[0].Of("bob"); got != (social.UserState{User: "bob", Presence: social.Playing, Text: "2:1"}) {
			t.Errorf("the game sees %+v", got)
		}

		offline := fmt.Sprint("bob ", client.Offline, " ")
		for _, node := range []uint16{3, 1, 2} {
			if err := a.c.User("bob").Move(context.Background(), node); err != nil {
				t.Fatal(err)
			}
			s.within(20*time.Second, "bob has moved", func() bool { return s.servers[node-1].has("bob") && s.servers[node-1].User("bob")[0].Attached() })
			s.within(time.Second, "bob online after a move", ann.sees("bob", client.Online, ""))
		}
		if err := a.c.User("ann").Move(context.Background(), 3); err != nil {
			t.Fatal(err)
		}
		s.within(20*time.Second, "ann has moved", func() bool { return s.servers[2].has("ann") && s.servers[2].User("ann")[0].Attached() })
		time.Sleep(3 * time.Second)
		if got := ann.told.all(); slices.Contains(got, offline) {
			t.Errorf("told %q", got)
		}
		of[1].Set("bob", social.Status{Text: "in the hall"})
		s.within(time.Second, "bob in the hall, seen after ann's move", ann.sees("bob", client.Online, "in the hall"))
		bob.Pause()
		s.within(20*time.Second, "bob away", ann.sees("bob", client.Away, "in the hall"))
		bob.Hurry()
		s.within(20*time.Second, "bob back", ann.sees("bob", client.Online, "in the hall"))
		b.User("bob")[0].Kick(framework.CodeKicked, "")
		s.within(time.Second, "bob offline", ann.sees("bob", client.Offline, ""))
		if !ann.sees("joe", client.Online, "")() {
			t.Errorf("at last: %v", ann.All())
		}
		_ = ann.Client.Close()
		time.Sleep(8 * time.Second)
		for i, v := range s.servers {
			if st := v.Stats(); st.Cluster.Broadcasts.Subjects != 0 || st.Parts["presence"].Now["watches"] != 0 {
				t.Errorf("server %d, after all was unwatched: %+v, %+v", i+1, st.Cluster.Broadcasts, st.Parts["presence"])
			}
		}
	})
}

// TestPresenceOfAnyName: what is watched goes along as it is, also where the name is no text.
func TestPresenceOfAnyName(t *testing.T) {
	presences(t, func(s *stack, of []*social.PresenceOf) {
		const bob = "b\xffb"
		a, b := s.servers[0], s.servers[1]
		ann := s.watcher(a, "ann", bob)
		if err := a.c.User("ann").Move(context.Background(), 3); err != nil {
			t.Fatal(err)
		}
		s.within(20*time.Second, "ann has moved", func() bool { return s.servers[2].has("ann") && s.servers[2].User("ann")[0].Attached() })
		_, _ = s.listener(b, bob)
		s.within(3*time.Second, "bob online", ann.sees(bob, client.Online, ""))
	})
}

// TestPresenceAfterFaults: what was missed is asked for, and the users of a server that has
// died are offline.
func TestPresenceAfterFaults(t *testing.T) {
	presences(t, func(s *stack, _ []*social.PresenceOf) {
		a, b, c := s.servers[0], s.servers[1], s.servers[2]
		ann := s.watcher(a, "ann", "bob", "eve")
		_, _ = s.listener(b, "bob")
		_, _ = s.listener(c, "eve")
		s.within(time.Second, "both online", func() bool { return ann.sees("bob", client.Online, "")() && ann.sees("eve", client.Online, "")() })
		time.Sleep(3 * time.Second)
		a.line.set(true)
		b.User("bob")[0].Kick(framework.CodeKicked, "")
		time.Sleep(500 * time.Millisecond)
		a.line.set(false)
		if !ann.sees("bob", client.Online, "")() {
			t.Errorf("told before anything came: %v", ann.All())
		}
		s.within(3*time.Second, "bob offline, though that was missed", ann.sees("bob", client.Offline, ""))
		c.line.set(true)
		s.within(30*time.Second, "eve offline, as its server is dead", ann.sees("eve", client.Offline, ""))
	})
}
