// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"errors"
	"fmt"
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

// inbox is what a client was sent on a route.
type inbox struct {
	mu  sync.Mutex
	got []string // guarded by mu
}

func (in *inbox) hear(text string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.got = append(in.got, text)
}

func (in *inbox) all() []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.got)
}

// listener makes a client with an open session that hears notes.
func (s *stack) listener(v *server, user string) (*client.Client, *inbox) {
	s.t.Helper()
	in := &inbox{}
	c := s.client(v, user, "")
	client.OnMessage(c, "note", in.hear)
	s.connect(c)
	_ = c.Send("say", uint64(0)) // a session whose client was never heard does not move
	time.Sleep(100 * time.Millisecond)
	return c, in
}

// TestPush: a message gets to a user at whichever server, in order, also in the midst of
// moves and a rolling restart. None is lost, and none comes twice.
func TestPush(t *testing.T) {
	play(t, 3, func(c *framework.Config) { c.Drain.Window = time.Second }, func(s *stack) {
		c, in := s.listener(s.servers[0], "ann")
		senders := []*cluster.Cluster{s.servers[1].c, s.servers[2].c}
		var sent [2]int
		var sending sync.WaitGroup
		ctx, stop := context.WithCancel(context.Background())
		for k, from := range senders {
			sending.Go(func() {
				for ; ctx.Err() == nil; sent[k]++ {
					if err := from.User("ann").Push("note", fmt.Sprintf("%d %04d", k, sent[k])); err != nil {
						t.Errorf("%d %d: %v", k, sent[k], err)
					}
					if sent[k]%4 == 3 {
						time.Sleep(50 * time.Millisecond)
					}
				}
			})
		}
		at := func(node uint16) func() bool {
			return func() bool { return s.servers[node-1].has("ann") && s.servers[node-1].User("ann")[0].Attached() }
		}
		for _, node := range []uint16{2, 3, 1} {
			time.Sleep(time.Second)
			if err := senders[0].User("ann").Move(ctx, node); err != nil {
				t.Errorf("to %d: %v", node, err)
			}
			s.within(20*time.Second, fmt.Sprint("at ", node), at(node))
		}
		time.Sleep(time.Second)
		if err := s.servers[0].Shutdown(ctx); err != nil { // of no sender
			t.Error(err)
		}
		s.within(20*time.Second, "at another server", func() bool { return at(2)() || at(3)() })
		time.Sleep(time.Second)
		stop()
		sending.Wait()
		s.servers = s.servers[1:]
		time.Sleep(3 * time.Second)
		got := in.all()
		for k := range senders {
			mine := slices.DeleteFunc(slices.Clone(got), func(m string) bool { return !strings.HasPrefix(m, fmt.Sprint(k, " ")) })
			if n := len(mine); n != sent[k] || !slices.IsSorted(mine) || len(slices.Compact(mine)) != n {
				t.Errorf("of server %d %d messages have come, of %d: %v", k+2, n, sent[k], mine)
			}
		}
		if st := c.Stats(); st.Opens != 1 || st.Resets != 0 || st.Resumes < 4 {
			t.Errorf("%+v", st)
		}
		if lost := s.undeliveredOf(); len(lost) > 0 {
			t.Errorf("undelivered: %q", lost)
		}
		for _, v := range s.servers {
			if st := v.c.MessageStats(); st.QueuedBytes != 0 || st.Sent != st.HandedOver || st.Moved == 0 {
				t.Errorf("%s: %+v", v.host, st)
			}
		}
	})
}

// TestOffline: what is sent to a user without a session is told to the game, once for each.
func TestOffline(t *testing.T) {
	play(t, 2, nil, func(s *stack) {
		a, b := s.servers[0], s.servers[1]
		ctx := context.Background()
		time.Sleep(time.Second) // the first server hears of the second
		u := a.c.User("eve")
		for _, err := range []error{u.Push("note", "one"), u.Push("note", "two"), u.Kick(0, "")} {
			if err != nil {
				t.Error(err)
			}
		}
		_, err := u.Where(ctx)
		for what, err := range map[string]error{"where": err, "request": u.Request(ctx, "age", nil, nil), "move": u.Move(ctx, 2)} {
			if !errors.Is(err, cluster.ErrOffline) {
				t.Errorf("%s: %v", what, err)
			}
		}
		synctest.Wait() // what was looked up is told beside
		off := cluster.ErrOffline.Error()
		told := s.undeliveredOf()
		slices.Sort(told) // they may be told by several goroutines
		if got, want := fmt.Sprintf("%q", told), fmt.Sprintf("%q", []string{"eve : " + off, "eve note: " + off, "eve note: " + off}); got != want {
			t.Errorf("told %s, want %s", got, want)
		}
		if st := a.c.MessageStats(); st.Offline != 5 || st.QueuedBytes != 0 {
			t.Errorf("%+v", st)
		}

		// A user that was somewhere just now, and is no more.
		first := s.dial(b, "ann", "")
		_ = a.c.User("ann").Push("note", "here")
		time.Sleep(100 * time.Millisecond)
		_ = first.Close()
		time.Sleep(time.Second)
		_ = a.c.User("ann").Push("note", "gone")
		time.Sleep(2 * time.Second)
		if got := s.undeliveredOf(); len(got) != 4 || got[3] != "ann note: "+off {
			t.Errorf("told %q", got)
		}
	})
}

// TestKickAndWhere: one server ends a session of another, after what it has sent.
func TestKickAndWhere(t *testing.T) {
	play(t, 2, nil, func(s *stack) {
		a, b := s.servers[0], s.servers[1]
		ctx := context.Background()
		c, in := s.listener(a, "ann")
		for _, from := range s.servers {
			if at, err := from.c.User("ann").Where(ctx); err != nil || at != (cluster.Place{Node: 1, Attached: true}) {
				t.Errorf("%+v, %v", at, err)
			}
		}
		c.Pause()
		s.within(20*time.Second, "away", func() bool { return !a.User("ann")[0].Attached() })
		if at, err := b.c.User("ann").Where(ctx); err != nil || at != (cluster.Place{Node: 1}) {
			t.Errorf("%+v, %v", at, err)
		}
		c.Hurry()
		s.within(20*time.Second, "back", func() bool { return a.User("ann")[0].Attached() })
		u := b.c.User("ann")
		_, _ = u.Push("note", "last words"), u.Kick(1234, "go")
		s.within(10*time.Second, "ended", func() bool { return c.Err() != nil })
		var why *session.CloseError
		if !errors.As(c.Err(), &why) || why.Code != 1234 || why.Text != "go" || fmt.Sprint(in.all()) != "[last words]" {
			t.Errorf("%v, %q", c.Err(), in.all())
		}
		time.Sleep(time.Second)
		if at, err := b.c.User("ann").Where(ctx); !errors.Is(err, cluster.ErrOffline) {
			t.Errorf("%+v, %v", at, err)
		}
	})
}

// TestRequestElsewhere: a server asks the client of another.
func TestRequestElsewhere(t *testing.T) {
	play(t, 2, nil, func(s *stack) {
		a, b := s.servers[0], s.servers[1]
		c := s.client(a, "ann", "")
		heard := &inbox{}
		client.OnMessage(c, "note", heard.hear)
		client.OnRequest(c, "double", func(n int) (int, error) {
			if n == 0 {
				return 0, framework.Fail(framework.GameError+1, "nothing to double")
			}
			return 2 * n, nil
		})
		client.OnRequest(c, "heard", func(struct{}) (int, error) { return len(heard.all()), nil })
		client.OnRequest(c, "never", func(struct{}) (int, error) {
			time.Sleep(time.Minute)
			return 0, nil
		})
		s.connect(c)
		for _, from := range s.servers {
			u, ctx := from.c.User("ann"), context.Background()
			var n int
			if err := u.Request(ctx, "double", 21, &n); err != nil || n != 42 {
				t.Errorf("%d, %v", n, err)
			}
			var no *framework.Error
			if err := u.Request(ctx, "double", 0, &n); !errors.As(err, &no) || no.Code != framework.GameError+1 || no.Text != "nothing to double" {
				t.Error(err)
			}
			if err := u.Request(ctx, "no such route", 0, &n); !errors.As(err, &no) || no.Code != framework.ErrorNoRoute {
				t.Error(err)
			}
			before := len(heard.all())
			for range 50 {
				_ = u.Push("note", "in order")
			}
			if err := u.Request(ctx, "heard", struct{}{}, &n); err != nil || n != before+50 {
				t.Errorf("the client was asked when it had heard %d more: %v", n-before, err)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := b.c.User("ann").Request(ctx, "never", struct{}{}, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if n := a.c.MessageStats().Requests; n != 0 {
			t.Errorf("%d requests wait", n)
		}
	})
}

// TestMoveByName sends users to servers, and refuses what can't be.
func TestMoveByName(t *testing.T) {
	play(t, 2, nil, func(s *stack) {
		a, b := s.servers[0], s.servers[1]
		ctx := context.Background()
		c, in := s.listener(a, "ann")
		id := c.ID()
		time.Sleep(time.Second)
		for _, to := range []*server{b, a, a} {
			node := uint16(1 + slices.Index(s.servers, to))
			if err := b.c.User("ann").Move(ctx, node); err != nil {
				t.Error(err)
			}
			s.within(5*time.Second, "moved", func() bool { return to.has("ann") && len(a.User("ann"))+len(b.User("ann")) == 1 })
			_ = a.c.User("ann").Push("note", fmt.Sprint("at ", node))
			time.Sleep(time.Second)
		}
		if err := b.c.User("ann").Move(ctx, 9); !errors.Is(err, cluster.ErrNode) {
			t.Error(err)
		}
		if got := fmt.Sprint(in.all()); got != "[at 2 at 1 at 1]" || c.ID() != id || c.Stats().Opens != 1 {
			t.Errorf("%s, %+v", got, c.Stats())
		}
	})
}

// TestBackpressure: what waits for a server that does not answer is bounded, and Push never
// blocks. When that server is declared dead the game is told of each message.
func TestBackpressure(t *testing.T) {
	play(t, 2, nil, func(s *stack) {
		a, b := s.servers[0], s.servers[1]
		c, _ := s.listener(a, "ann")
		defer c.Close()
		u := b.c.User("ann")
		_ = u.Push("note", "known")
		time.Sleep(time.Second)
		a.line.set(true)
		taken, begin := 0, time.Now()
		var err error
		for ; err == nil && taken < 10_000; taken++ {
			err = u.Push("note", strings.Repeat("x", 1000))
		}
		taken--
		st := b.c.MessageStats()
		if !errors.Is(err, cluster.ErrBackpressure) || time.Since(begin) != 0 || taken < 500 || st.QueuedBytes > 1<<20 || st.Backpressure != 1 {
			t.Errorf("%d messages were taken in %v: %v; %+v", taken, time.Since(begin), err, st)
		}
		if err := u.Push("note", strings.Repeat("x", 600<<10)); err == nil || errors.Is(err, cluster.ErrBackpressure) {
			t.Errorf("a message that is too large: %v", err)
		}
		s.within(time.Minute, "all told", func() bool { return len(s.undeliveredOf()) == taken })
		unknown := 0
		for _, text := range s.undeliveredOf() {
			if strings.HasSuffix(text, cluster.ErrUnknown.Error()) {
				unknown++
			}
		}
		if unknown == 0 || unknown > 70 { // what was in the batch that had no answer
			t.Errorf("of %d messages %d may have been handed over", taken, unknown)
		}
		if st := b.c.MessageStats(); st.QueuedBytes != 0 || st.Unknown != uint64(unknown) {
			t.Errorf("%+v", st)
		}
		a.line.set(false)
	})
}

// TestPushBeforeStart: a server that is not in the cluster sends nothing.
func TestPushBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := cluster.New(cluster.Config{Bus: new(cluster.Memory)})
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		_, err = c.User("ann").Where(ctx)
		for _, err := range []error{c.User("ann").Push("note", 1), c.User("ann").Kick(0, ""), err, c.Ban(ctx, "ann", time.Time{}, "")} {
			if !errors.Is(err, cluster.ErrUnreachable) {
				t.Error(err)
			}
		}
	})
}

// TestBan: a ban ends the session wherever it is, and keeps the user out of every server,
// until it is over.
func TestBan(t *testing.T) {
	play(t, 3, nil, func(s *stack) {
		a, b := s.servers[0], s.servers[1]
		ctx := context.Background()
		banned := func(err error, until time.Time) {
			t.Helper()
			var why *session.CloseError
			if !errors.As(err, &why) || why.Code != session.Banned || why.Text != "cheats" || why.Detail != uint64(until.Unix()) {
				t.Errorf("%v, want banned until %v", err, until.Unix())
			}
		}
		c := s.dial(a, "ann", "")
		bob := s.dial(a, "bob", "")
		until := time.Now().Add(time.Minute).Truncate(time.Second)
		if err := b.c.Ban(ctx, "ann", until, "cheats"); err != nil {
			t.Fatal(err)
		}
		s.within(2*time.Second, "out", func() bool { return c.Err() != nil })
		banned(c.Err(), until)
		for _, v := range s.servers {
			banned(s.client(v, "ann", "").Connect(ctx), until)
			if n := v.c.MessageStats().Bans; n != 1 {
				t.Errorf("%s knows %d bans", v.host, n)
			}
		}
		s.add(4) // knows it from the directory
		banned(s.client(s.servers[3], "ann", "").Connect(ctx), until)
		time.Sleep(time.Until(until) + time.Second)
		s.dial(b, "ann", "")

		for _, d := range []time.Duration{time.Hour, 2 * time.Hour} { // the second one counts
			if err := a.c.Ban(ctx, "ann", time.Now().Add(d), "cheats"); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.c.Unban(ctx, "ann"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		for _, v := range s.servers {
			s.dial(v, "ann", "")
			if n := v.c.MessageStats().Bans; n != 0 {
				t.Errorf("%s knows %d bans", v.host, n)
			}
		}
		if err := a.c.Ban(ctx, "ann", time.Now(), ""); err == nil {
			t.Error("a ban that is over")
		}
		if bob.Err() != nil {
			t.Errorf("another user: %v", bob.Err())
		}
	})
}

// TestBanMeetsMove: a session that is on its way between two servers when its user is banned
// does not go on.
func TestBanMeetsMove(t *testing.T) {
	play(t, 2, nil, func(s *stack) {
		a, b := s.servers[0], s.servers[1]
		c := s.dial(a, "ann", "")
		time.Sleep(time.Second)
		c.Pause() // so that it is parked
		s.within(20*time.Second, "away", func() bool { return !a.User("ann")[0].Attached() })
		if err := b.c.User("ann").Move(context.Background(), 2); err != nil {
			t.Fatal(err)
		}
		s.within(5*time.Second, "parked", func() bool { return !a.has("ann") })
		if at, err := a.c.User("ann").Where(context.Background()); err != nil || at.Node != 0 {
			t.Errorf("%+v, %v", at, err)
		}
		if err := a.c.Ban(context.Background(), "ann", time.Time{}, "cheats"); err != nil {
			t.Fatal(err)
		}
		c.Hurry()
		s.within(time.Minute, "out", func() bool { return c.Err() != nil })
		var why *session.CloseError
		if !errors.As(c.Err(), &why) || why.Code != session.Banned || why.Detail != 0 || a.has("ann") || b.has("ann") {
			t.Errorf("%v; at the first server %v, at the second %v", c.Err(), a.has("ann"), b.has("ann"))
		}
	})
}

// TestManyLookUps: the directory does not answer, and more users are to be looked up than at once.
// The server waits for that, and does not look again and again: then no time would pass here.
func TestManyLookUps(t *testing.T) {
	play(t, 2, nil, func(s *stack) {
		const users = 100
		a, b := s.servers[0], s.servers[1]
		for i := range users {
			_, _ = s.listener(b, fmt.Sprint("p", i))
		}
		a.line.setMute("sessions/")
		for i := range users {
			if err := a.c.User(fmt.Sprint("p", i)).Push("note", "hello"); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(2500 * time.Millisecond)
		a.line.setMute()
		time.Sleep(5 * time.Second)
		if got := a.Stats().Cluster.Messages; got.HandedOver != users {
			t.Errorf("%+v, undelivered %q", got, s.undeliveredOf())
		}
	})
}
