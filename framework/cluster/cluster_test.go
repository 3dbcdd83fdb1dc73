// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/session"
)

// TestResumeAnywhere: a client that comes to the wrong server is sent to the owner of its
// session; and if it can't get there, its session comes to it.
func TestResumeAnywhere(t *testing.T) {
	for _, dialable := range []bool{true, false} {
		t.Run(fmt.Sprint("dialable=", dialable), func(t *testing.T) {
			change := func(c *framework.Config) {
				if !dialable {
					c.Address = ""
				}
			}
			play(t, 3, change, func(s *stack) {
				a, b := s.servers[0], s.servers[1]
				first := s.dial(a, "ann", "")
				id := first.ID()
				_ = first.Send("say", uint64(1))
				time.Sleep(time.Second)
				first.Cut()
				second := s.dial(b, "ann", first.Token())
				if second.ID() != id || second.Stats().Opens != 0 {
					t.Errorf("the session is %v, and was %v", second.ID(), id)
				}
				if a.has("ann") != dialable || b.has("ann") == dialable {
					t.Errorf("the first server has it: %v, the second: %v", a.has("ann"), b.has("ann"))
				}
				if n := s.logins(); n != 1 {
					t.Errorf("%d logins", n)
				}
			})
		})
	}
}

// TestLoginElsewhere plays every policy for a second login of a user at another server.
func TestLoginElsewhere(t *testing.T) {
	for policy, want := range map[framework.Duplicate]string{
		framework.DuplicateReplace: `["1 opens ann" "1 closes ann: taken over" "2 opens ann"]`,
		framework.DuplicateReject:  `["1 opens ann"]`,
		framework.DuplicateAllow:   `["1 opens ann" "2 opens ann"]`,
		framework.DuplicateAdopt:   `["1 opens ann" "1 closes ann: moved" "2 opens ann"]`,
	} {
		t.Run(fmt.Sprint("policy=", policy), func(t *testing.T) {
			play(t, 2, func(c *framework.Config) { c.Duplicate = policy }, func(s *stack) {
				a, b := s.servers[0], s.servers[1]
				first := s.dial(a, "ann", "")
				time.Sleep(time.Second)
				second := s.client(b, "ann", "")
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				err := second.Connect(ctx)
				var no *session.CloseError
				if reject := policy == framework.DuplicateReject; reject != (errors.As(err, &no) && no.Code == session.AlreadyIn) || !reject && err != nil {
					t.Errorf("the second login: %v", err)
				}
				time.Sleep(5 * time.Second)
				if got := fmt.Sprintf("%q", s.hooks()); got != want {
					t.Errorf("hooks %s, want %s", got, want)
				}
				if policy != framework.DuplicateAllow && a.has("ann") == b.has("ann") {
					t.Errorf("the first server has a session: %v, the second: %v", a.has("ann"), b.has("ann"))
				}
				if alone := policy == framework.DuplicateReplace || policy == framework.DuplicateAdopt; alone != (first.Err() != nil) {
					t.Errorf("the first client: %v", first.Err())
				}
			})
		})
	}
}

// TestRejectedUserIsLetInWhenAway: Reject keeps a user out only while it has a link.
func TestRejectedUserIsLetInWhenAway(t *testing.T) {
	play(t, 2, func(c *framework.Config) { c.Duplicate = framework.DuplicateReject }, func(s *stack) {
		a, b := s.servers[0], s.servers[1]
		first := s.dial(a, "ann", "")
		time.Sleep(time.Second)
		first.Pause()
		s.within(20*time.Second, "away", func() bool { return !a.User("ann")[0].Attached() })
		s.dial(b, "ann", "")
		if a.has("ann") || !b.has("ann") {
			t.Errorf("the first server has a session: %v, the second: %v", a.has("ann"), b.has("ann"))
		}
	})
}

// TestDrain restarts every server of three in turn, in the midst of traffic: nothing is
// lost, nothing comes twice, nobody logs in again.
func TestDrain(t *testing.T) {
	const players, each = 9, 300
	play(t, 3, func(c *framework.Config) { c.Drain.Window = 2 * time.Second }, func(s *stack) {
		var mu sync.Mutex
		echoed := map[string][]uint64{}
		var talking sync.WaitGroup
		for i := range players {
			user := fmt.Sprint("p", i)
			c := s.client(s.servers[i%3], user, "")
			client.OnMessage(c, "echo", func(n uint64) {
				mu.Lock()
				echoed[user] = append(echoed[user], n)
				mu.Unlock()
			})
			s.connect(c)
			talking.Go(func() {
				for n := range uint64(each) {
					if err := c.Send("say", n+1); err != nil {
						t.Error(err)
						return
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
		time.Sleep(time.Second)
		for i := range 3 {
			if err := s.servers[0].Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			s.servers = s.servers[1:]
			s.add(uint16(i + 1))
			time.Sleep(2 * time.Second)
		}
		talking.Wait()
		time.Sleep(3 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		for i, c := range s.clients {
			user := fmt.Sprint("p", i)
			for what, got := range map[string][]uint64{"handled": s.handled(user), "echoed": echoed[user]} {
				if len(got) != each || !slices.IsSorted(got) || got[0] != 1 || got[each-1] != each {
					t.Errorf("%s of %s: %d, %v", what, user, len(got), got)
				}
			}
			if st := c.Stats(); st.Opens != 1 || st.Resets != 0 || st.Resumes == 0 {
				t.Errorf("%s: %+v", user, st)
			}
		}
	})
}

// TestMovedAgainAndAgain: a player that is moved many times in a row is away for some round
// trips each time. None of its servers was out of reach, so its client never waits.
func TestMovedAgainAndAgain(t *testing.T) {
	play(t, 3, nil, func(s *stack) {
		c := s.dial(s.servers[0], "ann", "")
		time.Sleep(time.Second)
		var longest time.Duration
		for i := range 12 {
			from, to := s.servers[i%3], s.servers[(i+1)%3]
			at := time.Now()
			if err := from.User("ann")[0].Move("tcp://" + to.host + ":7778"); err != nil {
				t.Fatal(err)
			}
			s.within(20*time.Second, "moved", func() bool { return to.has("ann") && to.User("ann")[0].Attached() })
			longest = max(longest, time.Since(at))
		}
		time.Sleep(time.Second)
		if st := c.Stats(); longest > 300*time.Millisecond || st.Opens != 1 || st.Resets != 0 || st.Resumes != 12 {
			t.Errorf("the longest move took %v; %+v", longest, st)
		}
	})
}

// TestTooLargeToMove: a session with more than a directory takes at once does not hold its
// server up, and its client logs in where it likes.
func TestTooLargeToMove(t *testing.T) {
	pack := func(cfg *framework.Config) {
		cfg.Pack = func(*framework.Player) []byte { return make([]byte, 2<<20) }
	}
	play(t, 2, pack, func(s *stack) {
		a, b := s.servers[0], s.servers[1]
		c := s.dial(a, "ann", "")
		time.Sleep(time.Second)
		if err := a.User("ann")[0].Move("tcp://" + b.host + ":7778"); err != nil {
			t.Fatal(err)
		}
		s.within(5*time.Second, "told", func() bool {
			var why *session.CloseError
			return errors.As(c.Err(), &why) && why.Code == session.Internal || len(a.User("ann")) == 0
		})
		_ = c.Close()
		s.within(time.Second, "gone", func() bool { return len(a.User("ann")) == 0 })
		s.dial(b, "ann", "")
		if !b.has("ann") {
			t.Error("its user can't log in")
		}
	})
}

// TestDrainIsTold: the others hear that a server drains, also if its first request was lost.
func TestDrainIsTold(t *testing.T) {
	slowly := func(cfg *framework.Config) { cfg.Drain.Window = time.Minute }
	play(t, 2, slowly, func(s *stack) {
		a, b := s.servers[0], s.servers[1]
		s.dial(a, "ann", "") // one goes at once, the other one half a minute later
		s.dial(a, "bob", "")
		time.Sleep(time.Second)
		a.line.loseOne("members/")
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		down := make(chan error, 1)
		go func() { down <- a.Shutdown(ctx) }()
		s.within(5*time.Second, "told", func() bool { m := b.c.Members()[0]; return m.Node == 1 && m.Draining })
		if err := <-down; err != nil {
			t.Error(err)
		}
	})
}

// TestStartMeetsALostRequest: a server that starts asks again.
func TestStartMeetsALostRequest(t *testing.T) {
	for _, key := range []string{"meta/", "leases/", "members/"} {
		t.Run(key, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &line{Bus: new(cluster.Memory)}
				l.loseOne(key)
				c, err := cluster.New(cluster.Config{Bus: l})
				if err != nil {
					t.Fatal(err)
				}
				srv, err := framework.New(framework.Config{Cluster: c, Secret: session.Secret{1}, TCP: "10.0.0.1:7778", Logger: slog.New(slog.DiscardHandler), Network: network()})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				if err := srv.Start(); err != nil || time.Since(began) > 5*time.Second {
					t.Errorf("it took %v: %v", time.Since(began), err)
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				_ = srv.Shutdown(ctx)
				time.Sleep(2 * time.Second)
			})
		})
	}
}

// TestPause cuts a server off from the directory for so short a time that no other may take
// its sessions: its players wait, and go on.
func TestPause(t *testing.T) {
	play(t, 2, nil, func(s *stack) {
		a, b := s.servers[0], s.servers[1]
		c := s.dial(a, "ann", "")
		a.line.set(true)
		s.within(16*time.Second, "paused", func() bool { return !a.c.Valid() })
		_ = c.Send("say", uint64(1))
		time.Sleep(500 * time.Millisecond)
		if n := len(s.handled("ann")); n != 0 {
			t.Errorf("a server that may not act has handled %d messages", n)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if err := s.client(b, "ann", "").Connect(ctx); err == nil {
			t.Error("a second login was let in although the owner did not answer")
		}
		cancel()
		a.line.set(false)
		s.within(10*time.Second, "handled", func() bool { return len(s.handled("ann")) == 1 })
		if st := c.Stats(); st.Opens != 1 || st.Resets != 0 || !a.has("ann") {
			t.Errorf("%+v", st)
		}
	})
}

// TestDeath cuts a server off for good: the others declare it dead, its user logs in
// elsewhere, and when it finds out it has no session any more.
func TestDeath(t *testing.T) {
	play(t, 3, nil, func(s *stack) {
		a, b := s.servers[0], s.servers[1]
		c := s.dial(a, "ann", "")
		time.Sleep(time.Second)
		a.line.set(true)
		time.Sleep(13 * time.Second)
		second := s.client(b, "ann", "")
		_ = second.Connect(context.Background())
		if a.c.Valid() || !b.has("ann") {
			t.Errorf("the dead server may act: %v, the other has the session: %v", a.c.Valid(), b.has("ann"))
		}
		a.line.set(false)
		s.within(10*time.Second, "fenced", func() bool { return len(a.User("ann")) == 0 })
		if n := a.Stats().Sessions; n != 0 || a.c.Valid() {
			t.Errorf("%d sessions are left, and it may act: %v", n, a.c.Valid())
		}
		if live := len(b.c.Members()); live != 2 {
			t.Errorf("%d servers live", live)
		}
		s.dial(a, "bob", "") // knows no other server
		if b.has("bob") == s.servers[2].has("bob") {
			t.Error("a player who comes to the dead server is not sent to another")
		}
		_ = c.Close()
	})
}

// slow is a bus that takes a while to read.
type slow struct{ *cluster.Memory }

func (s slow) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	b, rev, err := s.Memory.Get(ctx, key)
	time.Sleep(10 * time.Millisecond)
	return b, rev, err
}

// TestJoinTogether: servers without a number that start at the same time have different
// ones, and have them soon, whether numbers were never taken, or are of servers that have left.
func TestJoinTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := slow{new(cluster.Memory)}
		const n = 5
		for range 2 {
			var wg sync.WaitGroup
			var some *cluster.Cluster
			servers := make([]*framework.Server, n)
			began := time.Now()
			for i := range n {
				c, err := cluster.New(cluster.Config{Bus: bus})
				if err != nil {
					t.Fatal(err)
				}
				some = c
				servers[i], err = framework.New(framework.Config{Cluster: c, Secret: session.Secret{1}, TCP: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler), Network: network()})
				if err != nil {
					t.Fatal(err)
				}
				wg.Go(func() {
					if err := servers[i].Start(); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("joined after %v", took)
			}
			time.Sleep(time.Second)
			var nodes []uint16
			for _, m := range some.Members() {
				nodes = append(nodes, m.Node)
			}
			slices.Sort(nodes)
			if !slices.Equal(nodes, []uint16{1, 2, 3, 4, 5}) {
				t.Errorf("numbers %v", nodes)
			}
			for _, srv := range servers {
				_ = srv.Shutdown(context.Background())
			}
		}
	})
}

// raced is a bus on which another server writes each tombstone first.
type raced struct{ *cluster.Memory }

func (r raced) Put(ctx context.Context, key string, value []byte, rev uint64) (uint64, error) {
	if strings.HasPrefix(key, "dead/") {
		_, _ = r.Memory.Put(ctx, key, value, rev)
	}
	return r.Memory.Put(ctx, key, value, rev)
}

// TestLeaveIsSeenFirst: another server may see that this one has left before this one has
// written that itself.
func TestLeaveIsSeenFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := cluster.New(cluster.Config{Bus: raced{new(cluster.Memory)}})
		if err != nil {
			t.Fatal(err)
		}
		srv, err := framework.New(framework.Config{Cluster: c, Secret: session.Secret{1}, TCP: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler), Network: network()})
		if err == nil {
			err = srv.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// TestJoin: what keeps a server out, in a sentence.
func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bus cluster.Memory
		start := func(node uint16, secret byte) (*framework.Server, error) {
			c, err := cluster.New(cluster.Config{Bus: &bus, Node: node})
			if err != nil {
				t.Fatal(err)
			}
			srv, err := framework.New(framework.Config{Cluster: c, Secret: session.Secret{secret}, TCP: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler), Network: network()})
			if err != nil {
				t.Fatal(err)
			}
			return srv, srv.Start()
		}
		one, err := start(0, 1)
		if err != nil {
			t.Fatal(err)
		}
		two, err := start(0, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := start(0, 2); !errors.Is(err, cluster.ErrSecret) {
			t.Errorf("another Secret: %v", err)
		}
		if _, err := start(2, 1); !errors.Is(err, cluster.ErrNumber) || !strings.Contains(err.Error(), "2, by 2.") {
			t.Errorf("a number that is taken: %v", err)
		}
		for _, srv := range []*framework.Server{two, one} {
			if err := srv.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}
		three, err := start(0, 1)
		if err != nil {
			t.Fatal(err)
		}
		_ = three.Shutdown(context.Background())
	})
}
