// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

var churns = flag.Int("churns", 6, "how many seeds TestChurnLeavesNothing plays")

// mob is a room whose callbacks refuse, panic and take their time.
type mob struct {
	*framework.Room
	c *churn
}

// churn is what a test of it shares with its server.
type churn struct {
	quiet          atomic.Bool // no more mischief
	joined, left   atomic.Int64
	watched, ended atomic.Int64
	made, over     atomic.Int64
}

func (c *churn) mischief(p *framework.Player) {
	if c.quiet.Load() {
		return
	}
	switch n := rand.IntN(200); {
	case n < 2:
		panic("mischief")
	case n < 5 && p != nil:
		p.Kick(session.Kicked, "")
	case n < 8:
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Millisecond)
	}
}

func (r *mob) OnCreate() error {
	if rand.IntN(20) == 0 {
		return framework.Fail(1001, "not today")
	}
	r.c.mischief(nil)
	r.c.made.Add(1)
	r.Every(time.Second, func() { r.c.mischief(nil) })
	return nil
}

func (r *mob) OnJoin(p *framework.Player) error {
	if rand.IntN(10) == 0 {
		return framework.Fail(1001, "no")
	}
	r.c.mischief(p)
	_ = r.Publish(map[string]string{"n": fmt.Sprint(r.Len())})
	r.c.joined.Add(1)
	return nil
}

func (r *mob) OnLeave(p *framework.Player, _ framework.Reason) {
	r.c.left.Add(1)
	r.c.mischief(p)
}

func (r *mob) OnWatch(p *framework.Player) error {
	r.c.mischief(p)
	r.c.watched.Add(1)
	return nil
}

func (r *mob) OnUnwatch(p *framework.Player, _ framework.Reason) {
	r.c.ended.Add(1)
	r.c.mischief(p)
}

func (r *mob) OnDetach(p *framework.Player)   { r.c.mischief(p) }
func (r *mob) OnResume(p *framework.Player)   { r.c.mischief(p) }
func (r *mob) OnSnapshot(p *framework.Player) { r.c.mischief(p) }
func (r *mob) OnEnd(framework.Reason)         { r.c.over.Add(1); r.c.mischief(nil) }

// TestChurnLeavesNothing: players log in, join, watch, drop, come back, log in again from
// elsewhere and are thrown out, under every policy for duplicates, while the game's code fails
// now and then. When all is over every gauge is back at zero, what began has ended, and nothing
// is left in any table.
func TestChurnLeavesNothing(t *testing.T) {
	n := *churns
	if testing.Short() {
		n = min(n, 4)
	}
	for seed := range uint64(n) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { playChurn(t, seed) })
	}
}

func playChurn(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	c := &churn{}
	cfg := framework.Config{
		Loops: 1 + rng.IntN(3), Duplicate: framework.Duplicate(seed % 4), AuthTimeout: 2 * time.Second,
		AuthConcurrency: []int{8, 100}[rng.IntN(2)], Workers: []int{3, 1000}[rng.IntN(2)],
		Session: session.Config{Interval: time.Second, Timeout: 3 * time.Second, Grace: 10 * time.Second, SendPackets: 100},
		Authenticate: func(ctx context.Context, l framework.Login) (framework.Identity, error) {
			switch n := rand.IntN(20); {
			case c.quiet.Load():
			case n < 3:
				time.Sleep(time.Duration(rand.IntN(6000)) * time.Millisecond)
			case n == 4:
				<-ctx.Done()
				return framework.Identity{}, ctx.Err()
			case n == 5:
				panic("mischief")
			}
			return framework.Identity{User: string(l.Ticket)}, nil
		},
		OnOpen:   func(p *framework.Player) { c.mischief(p) },
		OnDetach: func(p *framework.Player) { c.mischief(p) },
		OnResume: func(p *framework.Player) { c.mischief(p) },
		OnClose:  func(p *framework.Player, _ framework.Reason) { c.mischief(p) },
	}
	var kinds []*framework.Rooms[*mob]
	routes := func(s *framework.Server) {
		fresh := func(r *framework.Room) *mob { c.mischief(nil); return &mob{r, c} }
		open := framework.AddRoom(s, "open", fresh).Seats(4).Spectators(2).Listed().Most(5)
		kept := framework.AddRoom(s, "kept", fresh).Grace(2 * time.Second).Linger(time.Second).Listed()
		kinds = append(kinds, open, kept)
		framework.OnRoomRequestAsync(open, "later", func(r *mob, p *framework.Player, n int, reply framework.Reply[int]) {
			framework.Async(r, func(ctx context.Context) (int, error) {
				time.Sleep(time.Duration(rand.IntN(3000)) * time.Millisecond)
				c.mischief(nil)
				return n, nil
			}, func(n int, err error) { c.mischief(nil); reply(n, err) })
		})
		framework.OnRequest(s, "ask", func(p *framework.Player, n int) (int, error) { c.mischief(p); return n, nil })
		framework.OnRequest(s, "now", func(p *framework.Player, n int) (int, error) {
			if !c.quiet.Load() && rand.IntN(50) == 0 {
				panic("mischief")
			}
			return n, nil
		}).Inline()
		framework.OnMessage(s, "tag", func(p *framework.Player, tag string) {
			if !s.Group(tag).Add(p) {
				s.Group(tag).Remove(p)
			}
			_ = s.Group(tag).By(p).Broadcast("tagged", tag)
		})
	}
	cond := memnet.Conditions{Delay: time.Duration(rng.IntN(30)) * time.Millisecond}
	simulate(t, seed, cond, cfg, routes, func(e *env) {
		all := make([]*client.Client, 10)
		for i := range 1200 {
			at := rng.IntN(len(all))
			if all[at] == nil || rng.IntN(40) == 0 {
				fresh := e.newClient(fmt.Sprint("user", at%6), carriers[rng.IntN(len(carriers))])
				go func() { _ = fresh.Connect(context.Background()) }()
				all[at] = fresh
			}
			stirChurn(e, kinds, all[at], rng, i)
			time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
		}
		c.quiet.Store(true)
		for _, c := range e.clients {
			_ = c.Close()
		}
		time.Sleep(3 * time.Minute) // what was begun has its time
		synctest.Wait()
		if left := e.srv.Left(); left != nil {
			t.Errorf("left: %q", left)
		}
		checkCounts(t, e.srv.Stats())
		if c.joined.Load() != c.left.Load() || c.watched.Load() != c.ended.Load() || c.made.Load() != c.over.Load() {
			t.Errorf("joined %d, left %d; watched %d, ended %d; made %d, over %d", c.joined.Load(), c.left.Load(), c.watched.Load(), c.ended.Load(), c.made.Load(), c.over.Load())
		}
		t.Logf("%d sessions, %d resumes, joined %d, watched %d, rooms %d, %d panics", e.srv.Stats().Opened, e.srv.Stats().Resumed, c.joined.Load(), c.watched.Load(), c.made.Load(), e.srv.Stats().Panics)
	})
}

// checkCounts: what was counted on the way in was counted on the way out.
func checkCounts(t *testing.T, st framework.Stats) {
	t.Helper()
	sum := func(of map[string]uint64) (n uint64) {
		for _, v := range of {
			n += v
		}
		return n
	}
	if st.Sessions != 0 || st.Detached != 0 || len(st.Attached) != 0 || st.Logins != 0 || st.StrayLogins != 0 {
		t.Errorf("%d sessions, %d detached, attached %v, %d logins, %d stray", st.Sessions, st.Detached, st.Attached, st.Logins, st.StrayLogins)
	}
	if st.Opened+st.Arrived != st.Ended || sum(st.Closes) != st.Ended {
		t.Errorf("%d opened, %d arrived, %d ended: %v", st.Opened, st.Arrived, st.Ended, st.Closes)
	}
	if st.Refusal["busy"] < sum(st.Full) { // more where a session was just ending
		t.Errorf("%d refused for a time, for a reason: %v", st.Refusal["busy"], st.Full)
	}
	if st.Transport.Panics != 0 {
		t.Errorf("%d panics of our own code", st.Transport.Panics)
	}
	for name, r := range st.Rooms {
		if r.Open != 0 || r.Players != 0 || r.Watched != 0 {
			t.Errorf("rooms of type %s: %+v", name, r)
		}
	}
}

// stirChurn does something with a client, or with what the server has of its user.
func stirChurn(e *env, kinds []*framework.Rooms[*mob], c *client.Client, rng *rand.Rand, i int) {
	k, key := kinds[rng.IntN(len(kinds))], fmt.Sprint(rng.IntN(6))
	background := func(f func(ctx context.Context)) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rng.IntN(3000))*time.Millisecond)
		go func() {
			defer cancel()
			f(ctx)
		}()
	}
	users := []string{fmt.Sprint("user", rng.IntN(6)), fmt.Sprint("user", rng.IntN(6))}
	var players []*framework.Player
	for _, user := range users {
		players = append(players, e.srv.User(user)...)
	}
	switch n := rng.IntN(100); {
	case n < 20:
		background(func(ctx context.Context) { _ = c.Join(ctx, k.Name(), key) })
	case n < 24:
		background(func(ctx context.Context) { _ = c.Join(ctx, k.Name(), "") })
	case n < 30:
		background(func(ctx context.Context) { _ = c.Request(ctx, framework.RouteWatch, [2]string{"open", key}, nil) })
	case n < 36:
		background(func(ctx context.Context) { _ = c.Request(ctx, framework.RouteLeave, []string{k.Name()}, nil) })
	case n < 42:
		background(func(ctx context.Context) { _ = c.Request(ctx, framework.RouteFollow, [2]string{k.Name(), ""}, nil) })
	case n < 50:
		background(func(ctx context.Context) { _ = c.Request(ctx, []string{"later", "ask", "now"}[i%3], i, nil) })
	case n < 54:
		_ = c.Send("tag", key)
	case n < 60:
		c.Cut()
	case n < 62:
		e.net.CutAll()
	case n < 65:
		c.Pause()
	case n < 70:
		c.Hurry()
	case n < 72:
		background(func(context.Context) { _ = c.Close() })
	case n < 76:
		background(func(ctx context.Context) { _ = k.Seat(ctx, key, players...) })
	case n < 80:
		background(func(ctx context.Context) { _ = k.Bring(ctx, key, users...) })
	case n < 83:
		background(func(ctx context.Context) { _ = k.Reserve(ctx, key, users...) })
	case n < 85:
		background(func(ctx context.Context) {
			if key, err := k.Open(ctx, struct{}{}); err == nil && len(players) > 0 {
				_ = k.Join(ctx, players[0], key)
			}
		})
	case n < 88:
		k.Post(key, func(r *mob) { r.Close(0, "over") })
	case n < 91:
		background(func(ctx context.Context) { _ = k.Do(ctx, key, func(r *mob) { _ = r.Broadcast("hello", r.Key()) }) })
	default:
		for _, p := range players {
			switch n {
			case 91:
				p.Kick(session.Kicked, "")
			case 92:
				_ = k.Move(p, key)
			case 93:
				_ = p.Leave()
			case 94:
				for j := range 200 {
					_ = p.Push("flood", j)
				}
			case 95:
				background(func(ctx context.Context) { _ = p.Request(ctx, "asked", 1, nil) })
			case 96:
				_ = k.JoinAsync(p, key)
			case 97:
				background(func(ctx context.Context) { _ = k.Watch(ctx, p, key) })
			}
		}
	}
}
