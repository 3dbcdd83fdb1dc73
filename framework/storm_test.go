// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

var storms = flag.Int("storms", 8, "how many seeds TestStorm plays")

// storm is a server where everything goes wrong at once, and its book-keeping.
type storm struct {
	t     *testing.T
	rooms *framework.Rooms[*pit]

	mu     sync.Mutex
	serial int
	heard  map[string]uint64            // by player and client: the last that was handled
	seats  map[*framework.Player]string // by player: the room it is in, and whether it is told as present
	faults []string
}

// soul is what the storm knows of a player.
type soul struct {
	serial int
	mu     sync.Mutex
	pushed uint64
}

func (st *storm) fault(format string, args ...any) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.faults) < 10 {
		st.faults = append(st.faults, fmt.Sprintf(format, args...))
	}
}

// mischief is what any callback may do: nothing, wait, kick, leave, panic.
func (st *storm) mischief(p *framework.Player, block bool) {
	switch n := rand.IntN(400); {
	case n < 20 && block:
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Millisecond)
	case n < 22:
		p.Kick(session.Internal, "mischief")
	case n < 23:
		p.Kick(session.Kicked, strings.Repeat("out ", 200))
	case n < 26:
		_ = p.Leave()
	case n < 27:
		panic("mischief")
	case n < 36:
		st.push(p, rand.IntN(200))
	}
}

// push sends the next n of the player's numbered messages.
func (st *storm) push(p *framework.Player, n int) {
	s, ok := p.Data.(*soul)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		if p.Push("down", [2]uint64{uint64(s.serial), s.pushed + 1}) != nil {
			return
		}
		s.pushed++
	}
}

// up takes [client, n].
func (st *storm) up(p *framework.Player, m [2]uint64) {
	key := fmt.Sprint(p.Data.(*soul).serial, " ", m[0])
	st.mu.Lock()
	last, known := st.heard[key]
	st.heard[key] = m[1]
	st.mu.Unlock()
	if known && m[1] != last+1 {
		st.fault("player and client %s: %d after %d", key, m[1], last)
	}
}

// pit is the room of the storm. st is only read.
type pit struct {
	*framework.Room
	st *storm
}

// seat notes a step of a player in its room: to follows one of from.
func (r *pit) seat(p *framework.Player, to string, from ...string) {
	st := r.st
	st.mu.Lock()
	was := st.seats[p]
	st.seats[p] = r.Key() + to
	if to == "" {
		delete(st.seats, p)
	}
	st.mu.Unlock()
	for _, f := range from {
		if f == "" && was == "" || f != "" && was == r.Key()+f {
			return
		}
	}
	st.fault("room %s: %q after %q", r.Key(), to, was)
}

func (r *pit) OnJoin(p *framework.Player) error {
	r.st.mischief(p, true)
	if rand.IntN(10) == 0 {
		return framework.Fail(1001, "full")
	}
	r.seat(p, " in", "")
	return nil
}
func (r *pit) OnDetach(p *framework.Player) {
	r.seat(p, " away", " in")
	r.st.mischief(p, false)
}
func (r *pit) OnResume(p *framework.Player) {
	r.seat(p, " in", " away")
	r.st.mischief(p, false)
}
func (r *pit) OnLeave(p *framework.Player, _ framework.Reason) {
	r.seat(p, "", " in", " away")
	r.st.mischief(p, true)
}
func (r *pit) OnTick(t framework.Tick) {
	_ = r.Broadcast("tick", t.N)
	for _, p := range r.Members() {
		r.st.mischief(p, false)
	}
}

// hooks are the server's part of the storm.
func (st *storm) config(rng *rand.Rand) framework.Config {
	cfg := framework.Config{
		Loops: 4, Workers: []int{1, 3, 1000}[rng.IntN(3)], Duplicate: framework.Duplicate(rng.IntN(4)),
		Secret: session.Secret{1}, Store: &framework.MemoryStore{},
		AuthConcurrency: []int{1, 100}[rng.IntN(2)], MaxSessions: []int{3, 1000}[rng.IntN(2)],
		Session: session.Config{
			Interval: time.Second, Timeout: 3 * time.Second, Grace: 4 * time.Second, MaxAge: time.Minute,
			MaxBody: 1024, SendPackets: 20 + rng.IntN(300), SendBytes: 1366 + rng.IntN(8192), RecvPackets: 1 + rng.IntN(20), RecvBytes: 1366 + rng.IntN(4096),
		},
		Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
			switch rand.IntN(20) {
			case 0, 1, 2, 3:
				time.Sleep(time.Duration(rand.IntN(8000)) * time.Millisecond)
			case 4:
				return framework.Identity{}, framework.Fail(1001, "not today")
			case 5:
				panic("mischief")
			}
			return framework.Identity{User: string(l.Ticket)}, nil
		},
		OnOpen: func(p *framework.Player) {
			st.mu.Lock()
			st.serial++
			p.Data = &soul{serial: st.serial}
			st.mu.Unlock()
			st.mischief(p, true)
		},
		OnDetach: func(p *framework.Player) { st.mischief(p, true) },
		OnResume: func(p *framework.Player) { st.mischief(p, true) },
		OnClose:  func(p *framework.Player, _ framework.Reason) { st.mischief(p, true) },
	}
	if rng.IntN(2) == 0 {
		cfg.BufferBytes = 4 * int64(cfg.Session.SendBytes) // for a dozen players
	}
	return cfg
}

func (st *storm) routes(s *framework.Server) {
	st.rooms = framework.AddRoom(s, "pit", func(r *framework.Room) *pit {
		if rand.IntN(20) == 0 {
			panic("mischief")
		}
		return &pit{r, st}
	}).Tick(200 * time.Millisecond).Heartbeat(framework.HeartbeatProfile{Interval: time.Second, Timeout: 2 * time.Second})
	framework.OnRoomMessage(st.rooms, "shout", func(r *pit, p *framework.Player, n uint64) {
		_ = r.Broadcast("heard", n)
		r.st.mischief(p, true)
	})
	framework.OnMessage(s, "up", func(p *framework.Player, m [2]uint64) {
		st.up(p, m)
		st.mischief(p, true)
	})
	framework.OnRequest(s, "ask", func(p *framework.Player, n int) (int, error) {
		st.mischief(p, true)
		return n, nil
	})
	framework.OnRequest(s, "now", func(p *framework.Player, n int) (int, error) {
		if p.Data == nil {
			st.fault("handled before OnOpen")
		}
		st.mischief(p, false)
		return n, nil
	}).Inline()
}

// victim is one client in the storm. Its fields belong to the test, those
// below to the client's delivery goroutine.
type victim struct {
	c    *client.Client
	id   uint64
	sent uint64

	st   *storm
	last map[uint64]uint64 // by player: the last message that came
	gap  bool              // a RESET was told: the next message may be any later one
}

func (v *victim) down(m [2]uint64) {
	if last, known := v.last[m[0]]; known && m[1] != last+1 && !(v.gap && m[1] > last) {
		v.st.fault("client %d of player %d: %d after %d", v.id, m[0], m[1], last)
	}
	v.last[m[0]], v.gap = m[1], false
}

func (st *storm) victim(e *env, id int, user string) *victim {
	v := &victim{id: uint64(id), st: st, last: map[uint64]uint64{}}
	cfg := e.dialers(client.Config{
		Ticket:  func(context.Context) ([]byte, error) { return []byte(user), nil },
		OnEvent: func(s client.Event) { v.gap = v.gap || s.Kind == client.EventReset },
	})
	c, err := client.New([]string{e.addr(carriers[id%len(carriers)])}, cfg)
	if err != nil {
		e.t.Fatal(err)
	}
	v.c = c
	client.OnMessage(c, "down", v.down)
	e.clients = append(e.clients, c)
	go func() { _ = c.Connect(context.Background()) }()
	return v
}

// TestStorm plays few users with many clients on four loops under every policy
// for duplicates, with kicks, panics, slow hooks, floods, cuts, moves between
// rooms and by the store, and shuts the server down in the middle of it. Whatever
// happened: hooks are in turn and end with OnClose, rooms see everybody in and
// out once, streams have no holes but those that a RESET told, and nothing is
// left (scenarios 53 to 59).
func TestStorm(t *testing.T) {
	for seed := range uint64(*storms) {
		if !t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { playStorm(t, seed) }) {
			return
		}
	}
}

func playStorm(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 5))
	st := &storm{t: t, heard: map[string]uint64{}, seats: map[*framework.Player]string{}}
	cond := memnet.Conditions{Delay: time.Duration(rng.IntN(30)) * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: float64(rng.IntN(5)) / 100}
	simulate(t, seed, cond, st.config(rng), st.routes, func(e *env) {
		all := make([]*victim, 12)
		for step := range 1500 {
			i := rng.IntN(len(all))
			if v := all[i]; v == nil || v.over() {
				all[i] = st.victim(e, step, fmt.Sprint("user", i%5))
			} else {
				st.stir(e, v, rng)
			}
			time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
		}
		st.drown(e)
		time.Sleep(10 * time.Second) // login hooks that nobody waits for
	})
	for p, seat := range st.seats {
		st.fault("%s never left: %q", p.User(), seat)
	}
	for _, f := range st.faults {
		t.Error(f)
	}
}

func (v *victim) over() bool {
	select {
	case <-v.c.Done():
		return true
	default:
		return false
	}
}

// stir does something to a client, or to its player on the server.
func (st *storm) stir(e *env, v *victim, rng *rand.Rand) {
	within, stop := context.WithTimeout(context.Background(), time.Duration(rng.IntN(2000))*time.Millisecond)
	background := func(f func()) {
		go func() {
			defer stop()
			f()
		}()
	}
	n, key := rng.IntN(100), fmt.Sprint(rng.IntN(3))
	players := e.srv.User(fmt.Sprint("user", rng.IntN(5)))
	switch {
	case n < 30:
		for range rng.IntN(30) {
			if err := v.c.Send("up", [2]uint64{v.id, v.sent + 1}); err == nil {
				v.sent++
			}
		}
		_ = v.c.Send("shout", v.sent)
	case n < 35:
		background(func() { _ = v.c.Request(within, "ask", 1, nil) })
	case n < 45:
		background(func() { _ = v.c.Request(within, "now", 1, nil) })
	case n < 55:
		background(func() { _ = v.c.Join(within, "pit", key) })
	case n < 60:
		background(func() { _ = v.c.Leave(within) })
	case n < 65:
		v.c.Cut()
	case n < 68:
		e.net.CutAll()
	case n < 70:
		v.c.Pause()
	case n < 78:
		v.c.Hurry()
	case n < 80:
		background(func() { _ = v.c.Close() })
	case n < 82:
		background(func() { _ = e.srv.Inspect(100, func(*framework.Info) bool { return true }) })
	case n < 85:
		_ = e.srv.Broadcast("all", n)
	default:
		for _, p := range players {
			switch {
			case n < 91:
				_ = p.Leave()
				background(func() { _ = st.rooms.Join(within, p, key) })
			case n < 96:
				_ = p.Move("") // to where it is already
			case n < 97:
				_ = p.SetHeartbeat(framework.HeartbeatProfile{Interval: time.Second, Timeout: 5 * time.Second})
			case n < 98:
				p.Kick(session.Kicked, "")
			default:
				p.Kick(session.Gone, "")
			}
		}
	}
	time.AfterFunc(3*time.Second, stop)
}

// drown shuts the server down while everybody goes on.
func (st *storm) drown(e *env) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour) // one worker may have a long queue
	defer cancel()
	results := make(chan error, 2)
	for range cap(results) {
		go func() { results <- e.srv.Shutdown(ctx) }()
	}
	_ = e.srv.Inspect(100, func(*framework.Info) bool { return true })
	for range cap(results) {
		if err := <-results; err != nil && !errors.Is(err, context.Canceled) {
			st.fault("shutdown: %v", err)
		}
	}
	if s := e.srv.Stats(); s.Arrived > s.Closes["moved"] || s.Closes["moved"] > 20 && s.Arrived == 0 {
		st.fault("%d have left, %d arrived", s.Closes["moved"], s.Arrived)
	}
	if s := e.srv.Stats(); s.Sessions != 0 || s.Transport.Panics != 0 || s.Overloads != 0 {
		st.fault("left behind: %+v", s)
	}
	for i := range 3 {
		if st.rooms.Post(fmt.Sprint(i), func(*pit) {}) {
			st.fault("room %d is still there", i)
		}
	}
}
