// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// game is what two servers have in common, and what both of them saw.
type game struct {
	store framework.MemoryStore
	mu    sync.Mutex
	said  map[string][]uint64 // by user: what reached a handler, of either server
	state map[string]uint64   // by user: what went with it the last time
}

// config is that of one of the servers. What it knows of a player is how much
// that one has said, and goes with it.
func (g *game) config(node uint16, address string) framework.Config {
	return framework.Config{
		Loops: 2, Node: node, Secret: session.Secret{1, 2, 3}, Store: &g.store, Address: address, Session: quick,
		OnOpen: func(p *framework.Player) {
			if p.Data == nil {
				p.Data = new(uint64)
			}
		},
		Pack: func(p *framework.Player) []byte { return fmt.Append(nil, *p.Data.(*uint64)) },
		Unpack: func(p *framework.Player, b []byte) {
			n := new(uint64)
			_, _ = fmt.Sscan(string(b), n)
			p.Data = n
			g.mu.Lock()
			g.state[p.User()] = *n
			g.mu.Unlock()
		},
	}
}

func (g *game) routes(s *framework.Server) {
	framework.OnMessage(s, "say", func(p *framework.Player, n uint64) {
		g.mu.Lock()
		g.said[p.User()] = append(g.said[p.User()], n)
		g.mu.Unlock()
		*p.Data.(*uint64)++
		_ = p.Push("echo", n)
	})
	framework.OnRequest(s, "slow", func(p *framework.Player, n uint64) (uint64, error) {
		time.Sleep(3 * time.Second)
		return n + 1, nil
	})
}

// twoServers plays f with a second server on the same network.
func twoServers(t *testing.T, cond memnet.Conditions, change func(*framework.Config), f func(g *game, a, b *env)) {
	t.Helper()
	g := &game{said: map[string][]uint64{}, state: map[string]uint64{}}
	cfgA, cfgB := g.config(1, "tcp://10.0.0.1:7778"), g.config(2, "tcp://10.0.0.2:7778")
	if change != nil {
		change(&cfgA)
		change(&cfgB)
	}
	simulate(t, 1, cond, cfgA, g.routes, func(a *env) {
		b := serve(t, a.net, "10.0.0.2", cfgB, g.routes)
		defer b.end()
		f(g, a, b)
	})
}

// TestMoveUnderTraffic hands players to and fro between two servers, again and
// again, while they and both servers send: everything arrives once and in
// order, what the game knew goes along, and each server's hooks are whole
// (situations 62, 64).
func TestMoveUnderTraffic(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		cond := memnet.Conditions{Delay: 15 * time.Millisecond, Jitter: 5 * time.Millisecond}
		if carrier == transport.PlainKCP {
			cond.Loss = 0.02
		}
		twoServers(t, cond, nil, func(g *game, a, b *env) { moveToAndFro(t, g, a, b, carrier) })
	})
}

func moveToAndFro(t *testing.T, g *game, a, b *env, carrier transport.Carrier) {
	const players, moves = 4, 6
	rng := rand.New(rand.NewPCG(1, uint64(carrier)))
	var mu sync.Mutex
	echoed := map[string][]uint64{}
	clients := map[string]*client.Client{}
	sent := map[string]uint64{}
	for i := range players {
		user := fmt.Sprint("p", i)
		c := a.newClient(user, carrier)
		client.OnMessage(c, "echo", func(n uint64) {
			mu.Lock()
			echoed[user] = append(echoed[user], n)
			mu.Unlock()
		})
		clients[user] = c
		a.connect(c)
	}
	say := func() {
		for user, c := range clients {
			for range rng.IntN(8) {
				sent[user]++
				if err := c.Send("say", sent[user]); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(time.Duration(rng.IntN(40)) * time.Millisecond)
	}
	for range moves {
		for range 5 {
			say()
		}
		for user := range clients {
			from, to := a, b
			if len(a.srv.User(user)) == 0 {
				from, to = b, a
			}
			for _, p := range from.srv.User(user) {
				if err := p.Move(to.addr(carrier)); err != nil {
					t.Fatal(err)
				}
			}
			if rng.IntN(3) == 0 {
				clients[user].Cut() // it does not hear where to go
			}
		}
		for range 5 {
			say()
		}
		time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
	}
	a.within(time.Minute, "everything has come back", func() bool {
		mu.Lock()
		defer mu.Unlock()
		for user, n := range sent {
			if len(echoed[user]) < int(n) {
				return false
			}
		}
		return true
	})
	for user, c := range clients {
		wholeFrom(t, user+": reached a handler", g.said[user], 1, int(sent[user]))
		wholeFrom(t, user+": echoes", echoed[user], 1, int(sent[user]))
		if st := c.Stats(); st.Opens != 1 || st.Resets != 0 {
			t.Errorf("%s: %d sessions, %d resets", user, st.Opens, st.Resets)
		}
		if got := *append(a.srv.User(user), b.srv.User(user)...)[0].Data.(*uint64); got != sent[user] || g.state[user] == 0 {
			t.Errorf("%s: its servers counted %d of %d, %d went along", user, got, sent[user], g.state[user])
		}
	}
	arrived := a.srv.Stats().Arrived + b.srv.Stats().Arrived
	left := a.srv.Stats().Closes["moved"] + b.srv.Stats().Closes["moved"]
	if arrived != left || arrived < players*moves/2 {
		t.Errorf("%d have left, %d arrived", left, arrived)
	}
}

// TestMoveWaitsForTheHandler: what was accepted is handled here, and its answer
// goes along, however long that takes.
func TestMoveWaitsForTheHandler(t *testing.T) {
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprint("cut=", cut), func(t *testing.T) { moveWaits(t, cut) })
	}
}

func moveWaits(t *testing.T, cut bool) {
	twoServers(t, memnet.Conditions{Delay: 5 * time.Millisecond}, nil, func(_ *game, a, b *env) {
		c := a.dial("ann", transport.TCP)
		answer := make(chan uint64, 1)
		go func() {
			var n uint64
			if err := c.Request(context.Background(), "slow", uint64(41), &n); err != nil {
				t.Error(err)
			}
			answer <- n
		}()
		time.Sleep(time.Second)
		p := a.srv.User("ann")[0]
		_ = p.Move(b.addr(transport.TCP))
		time.Sleep(time.Second)
		if n := len(a.srv.User("ann")); n != 1 || p.Attached() {
			t.Errorf("the handler runs, and %d sessions are here, attached %v", n, p.Attached())
		}
		if cut {
			// It asks this server in between and is told to wait. As it does not
			// hear where to go, it may stay.
			c.Cut()
		}
		if n := <-answer; n != 42 {
			t.Errorf("the answer is %d", n)
		}
		here, there := len(a.srv.User("ann")), len(b.srv.User("ann"))
		if here+there != 1 || !cut && there != 1 {
			t.Errorf("%d sessions here, %d there", here, there)
		}
		if st := c.Stats(); st.Opens != 1 || st.Resets != 0 {
			t.Errorf("%d sessions, %d resets", st.Opens, st.Resets)
		}
		if hooks := a.of("ann"); !cut && fmt.Sprint(hooks) != "[open close moved: "+b.addr(transport.TCP)+"]" {
			t.Errorf("the first server's hooks are %v", hooks)
		}
		if err := p.Push("echo", 1); !errors.Is(err, session.ErrClosed) {
			t.Errorf("a push to who has left: %v", err)
		}
	})
}

// TestKickOvertakesMove: a player that is thrown out on its way out does not arrive. What
// was pushed before goes out first, at any moment of the move.
func TestKickOvertakesMove(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		for _, pause := range []time.Duration{0, 10 * time.Millisecond, time.Second, 4 * time.Second} {
			t.Run(fmt.Sprint("after=", pause), func(t *testing.T) {
				twoServers(t, memnet.Conditions{Delay: 5 * time.Millisecond}, nil, func(_ *game, a, b *env) {
					c := a.newClient("ann", carrier)
					var heard atomic.Int64
					client.OnMessage(c, "echo", func(uint64) { heard.Add(1) })
					a.connect(c)
					go func() { _ = c.Request(context.Background(), "slow", uint64(1), nil) }()
					time.Sleep(20 * time.Millisecond)
					p := a.srv.User("ann")[0]
					_ = p.Move(b.addr(carrier))
					time.Sleep(pause)
					var told error
					for n := range uint64(20) {
						if told = p.Push("echo", n); told != nil {
							break
						}
					}
					p.Kick(session.Banned, "")
					time.Sleep(30 * time.Second)
					var e *session.CloseError
					gone := errors.As(c.Err(), &e) && e.Code == session.Banned
					switch late := pause > 3*time.Second; {
					case late == gone:
						t.Errorf("the client's end is %v", c.Err())
					case late && told == nil:
						t.Error("a push to a player that is not here")
					case !late && heard.Load() != 20:
						t.Errorf("%d of 20 pushes came before the end, the last told %v", heard.Load(), told)
					case !late && len(b.srv.User("ann")) != 0:
						t.Error("a banned player arrived")
					}
				})
			})
		}
	})
}

// TestResumeAtTheWrongServer: a session lives at one server only, and the other
// knows where, by the store or by who opened it (situation 63).
func TestResumeAtTheWrongServer(t *testing.T) {
	peers := map[uint16]string{1: "tcp://10.0.0.1:7778", 2: "tcp://10.0.0.2:7778"}
	twoServers(t, memnet.Conditions{}, func(c *framework.Config) { c.Peers = peers }, func(g *game, a, b *env) {
		owner := a.dial("ann", transport.TCP)
		resume := func(e *env, token string) *client.Client {
			t.Helper()
			cfg := e.dialers(client.Config{Token: token})
			c, err := client.New([]string{e.addr(transport.TCP)}, cfg)
			if err != nil {
				t.Fatal(err)
			}
			e.clients = append(e.clients, c)
			e.connect(c)
			return c
		}
		second := resume(b, owner.Token()) // it never was there
		if st := second.Stats(); st.Resets != 1 || st.Opens != 0 || len(a.srv.User("ann")) != 1 || len(b.srv.User("ann")) != 0 {
			t.Fatalf("resumed at the wrong server: %+v, %d here, %d there", st, len(a.srv.User("ann")), len(b.srv.User("ann")))
		}
		_ = a.srv.User("ann")[0].Move(b.addr(transport.TCP))
		a.within(10*time.Second, "moved", func() bool { return len(b.srv.User("ann")) == 1 && second.Stats().Resumes == 1 })
		third := resume(a, second.Token()) // it was there, once
		if len(a.srv.User("ann")) != 0 || len(b.srv.User("ann")) != 1 || third.Stats().Resets != 1 {
			t.Error("resumed where it was once")
		}
		// A server that was asleep writes what it had: nobody must get that.
		id := third.ID()
		err := g.store.Put(context.Background(), id, 1, []byte("old"), time.Hour)
		if !errors.Is(err, framework.ErrFenced) {
			t.Errorf("the record of a former owner: %v", err)
		}
	})
}

// brokenStore refuses everything.
type brokenStore struct{}

var errBroken = errors.New("broken")

func (brokenStore) Put(context.Context, session.ID, uint32, []byte, time.Duration) error {
	return errBroken
}
func (brokenStore) Take(context.Context, session.ID, string) ([]byte, error) { return nil, errBroken }

// TestMoveWithoutAStore: a session that can't be stored ends, once, and its
// player logs in anew; one that can't be fetched is asked for again.
func TestMoveWithoutAStore(t *testing.T) {
	twoServers(t, memnet.Conditions{}, func(c *framework.Config) { c.Store = brokenStore{} }, func(_ *game, a, b *env) {
		c := a.dial("ann", transport.TCP)
		_ = a.srv.User("ann")[0].Move(b.addr(transport.TCP))
		a.within(30*time.Second, "logged in again", func() bool { return c.Stats().Opens == 2 })
		if hooks := a.all(); len(hooks) != 3 || hooks[2] != "ann open" {
			t.Errorf("hooks: %v", hooks)
		}
	})
	simulate(t, 1, memnet.Conditions{}, framework.Config{}, nil, func(e *env) {
		e.dial("ann", transport.TCP)
		if err := e.srv.User("ann")[0].Move("tcp://10.0.0.2:1"); !errors.Is(err, framework.ErrNoStore) {
			t.Errorf("moved into nothing: %v", err)
		}
	})
}

// TestMoveMeetsANewLogin: whose user has logged in at the other server
// meanwhile is taken over there.
func TestMoveMeetsANewLogin(t *testing.T) {
	twoServers(t, memnet.Conditions{}, nil, func(_ *game, a, b *env) {
		c := a.dial("ann", transport.TCP)
		time.Sleep(time.Second) // of two logins at once neither is the newer one
		fresh := b.dial("ann", transport.TCP)
		_ = a.srv.User("ann")[0].Move(b.addr(transport.TCP))
		a.within(time.Minute, "the older one ends", func() bool { return c.Err() != nil })
		var e *session.CloseError
		if !errors.As(c.Err(), &e) || e.Code != session.TakenOver || fresh.Err() != nil || len(b.srv.User("ann")) != 1 {
			t.Errorf("the older session's client ended with %v, the newer one's with %v", c.Err(), fresh.Err())
		}
	})
}

// narrowStore takes its time, and notes how many sessions it is asked for at once.
type narrowStore struct {
	framework.Store
	asked, most atomic.Int32
}

func (d *narrowStore) Take(ctx context.Context, id session.ID, taker string) ([]byte, error) {
	d.most.Store(max(d.most.Load(), d.asked.Add(1)))
	defer d.asked.Add(-1)
	time.Sleep(100 * time.Millisecond)
	return d.Store.Take(ctx, id, taker)
}

// TestManyArriveAtOnce: the store is asked for a few sessions at a time, and clients wait for
// their turn instead of coming again.
func TestManyArriveAtOnce(t *testing.T) {
	const players, atOnce = 20, 2
	slow := &narrowStore{}
	twoServers(t, memnet.Conditions{}, func(c *framework.Config) {
		slow.Store, c.Store, c.AuthConcurrency = &framework.MemoryStore{}, slow, atOnce
	}, func(_ *game, a, b *env) {
		for i := range players {
			a.dial(fmt.Sprint("p", i), transport.TCP)
		}
		time.Sleep(time.Second) // until each was heard
		for i := range players {
			_ = a.srv.User(fmt.Sprint("p", i))[0].Move(b.addr(transport.TCP))
		}
		a.within(players/atOnce*100*time.Millisecond+time.Second, "moved", func() bool { return b.srv.Stats().Attached["tcp"] == players })
		if st := b.srv.Stats(); slow.most.Load() != atOnce || len(st.Full) > 0 {
			t.Errorf("%d at once, %v came too early", slow.most.Load(), st.Full)
		}
	})
}

func TestMemoryStoreHasOneTaker(t *testing.T) {
	var m framework.MemoryStore
	ctx, id := context.Background(), session.ID{1}
	var moved *session.CloseError
	if b, err := m.Take(ctx, id, "a"); b != nil || err != nil {
		t.Errorf("of nothing: %x, %v", b, err)
	}
	_ = m.Put(ctx, id, 5, []byte("five"), time.Hour)
	if b, err := m.Take(ctx, id, "a"); string(b) != "five" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := m.Take(ctx, id, "b"); b != nil || !errors.As(err, &moved) || moved.Code != session.Moved || moved.Text != "a" {
		t.Errorf("taken twice: %q, %v", b, err)
	}
	for epoch, want := range map[uint32]error{4: framework.ErrFenced, 5: framework.ErrFenced} {
		if err := m.Put(ctx, id, epoch, []byte("old"), time.Hour); !errors.Is(err, want) {
			t.Errorf("epoch %d: %v", epoch, err)
		}
	}
	if err := m.Put(ctx, id, 6, []byte("six"), time.Hour); err != nil {
		t.Error(err)
	}
	if b, _ := m.Take(ctx, id, "b"); !slices.Equal(b, []byte("six")) {
		t.Errorf("%q", b)
	}
	_ = m.Put(ctx, id, 9, []byte("nine"), -time.Second)
	if b, err := m.Take(ctx, id, "b"); b != nil || err != nil {
		t.Errorf("of what is too old: %q, %v", b, err)
	}
}

// slowStore answers a Take after a while.
type slowStore struct{ framework.MemoryStore }

func (s *slowStore) Take(ctx context.Context, id session.ID, taker string) ([]byte, error) {
	time.Sleep(time.Second)
	return s.MemoryStore.Take(ctx, id, taker)
}

// TestServerThatStopsKeepsNoSession: a session that comes while its server shuts
// down goes back into the store, and on to the next one.
func TestServerThatStopsKeepsNoSession(t *testing.T) {
	for _, late := range []time.Duration{200 * time.Millisecond, 800 * time.Millisecond} {
		t.Run(fmt.Sprint("after=", late), func(t *testing.T) {
			var store slowStore
			twoServers(t, memnet.Conditions{}, func(c *framework.Config) { c.Store = &store }, func(_ *game, a, b *env) {
				c := a.dial("ann", transport.TCP)
				id := c.ID()
				time.Sleep(100 * time.Millisecond) // who was never heard does not move
				_ = a.srv.User("ann")[0].Move(b.addr(transport.TCP))
				a.within(time.Minute, "asked for", func() bool { return c.Stats().Dials > 1 })
				time.Sleep(late)
				_ = b.srv.Shutdown(context.Background())
				a.within(time.Minute, "back at the first", func() bool { return len(a.srv.User("ann")) == 1 && c.Stats().Resumes > 0 })
				if st := c.Stats(); st.Opens != 1 || st.Resets != 0 || a.srv.User("ann")[0].ID() != id {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// TestDrainByTheStore shuts a server down in the midst of traffic: every player
// is at the other one afterwards, and has missed nothing (situations 62, 64).
func TestDrainByTheStore(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		const players, each = 12, 60
		change := func(c *framework.Config) {
			c.Drain = framework.Drain{Window: 3 * time.Second, Address: "tcp://10.0.0.2:7778 ws://10.0.0.2:7779/ plain-kcp://10.0.0.2:7777 kcp://10.0.0.2:7780 stcp://10.0.0.2:7781"}
		}
		twoServers(t, memnet.Conditions{Delay: 10 * time.Millisecond}, change, func(g *game, a, b *env) {
			var mu sync.Mutex
			echoed := map[string][]uint64{}
			var talking sync.WaitGroup
			clients := map[string]*client.Client{}
			for i := range players {
				user := fmt.Sprint("p", i)
				c := a.newClient(user, carrier)
				client.OnMessage(c, "echo", func(n uint64) {
					mu.Lock()
					echoed[user] = append(echoed[user], n)
					mu.Unlock()
				})
				clients[user] = c
				a.connect(c)
				talking.Go(func() {
					for n := range uint64(each) {
						if err := c.Send("say", n+1); err != nil {
							t.Error(err)
						}
						time.Sleep(100 * time.Millisecond)
					}
				})
			}
			time.Sleep(time.Second)
			start := time.Now()
			if err := a.srv.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			if d := time.Since(start); d > 8*time.Second {
				t.Errorf("shut down after %v, with a window of 3 s", d)
			}
			talking.Wait()
			b.within(time.Minute, "everything has come back", func() bool {
				mu.Lock()
				defer mu.Unlock()
				for user := range clients {
					if len(echoed[user]) < each {
						return false
					}
				}
				return true
			})
			for user, c := range clients {
				wholeFrom(t, user+": reached a handler", g.said[user], 1, each)
				wholeFrom(t, user+": echoes", echoed[user], 1, each)
				if st := c.Stats(); st.Opens != 1 || st.Resets != 0 || len(b.srv.User(user)) != 1 {
					t.Errorf("%s: %d sessions, %d resets, %d at the other server", user, st.Opens, st.Resets, len(b.srv.User(user)))
				}
			}
		})
	})
}
