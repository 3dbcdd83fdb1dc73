// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestHandoffsRace has many clients claim one session at the same instant, from
// all loops, by token and by login, while it is pushed to, cut, moved and kicked.
// Whoever wins, the session has one owner: what is sent to it afterwards
// arrives at once, and when it is closed nothing is left (scenarios 29, 31, 54).
func TestHandoffsRace(t *testing.T) {
	for _, policy := range []framework.Duplicate{framework.DuplicateReplace, framework.DuplicateReject, framework.DuplicateAdopt} {
		t.Run(fmt.Sprint("policy=", policy), func(t *testing.T) {
			cfg := framework.Config{Loops: 4, Duplicate: policy, Session: session.Config{SendPackets: 200}, Secret: session.Secret{1}, Store: &framework.MemoryStore{}}
			simulate(t, 1, memnet.Conditions{}, cfg, nil, func(e *env) {
				for wave := range 40 {
					claimWave(e, fmt.Sprint("user", wave))
				}
			})
		})
	}
}

// TestHandoffToALoopThatStandsStill: while a session is on its way to a loop that the game
// keeps, another RESUME of it waits, and the loop of that one has nothing to do.
func TestHandoffToALoopThatStandsStill(t *testing.T) {
	var kept, release chan struct{}
	routes := func(s *framework.Server) {
		kept, release = make(chan struct{}), make(chan struct{}) // in the bubble
		framework.OnMessage(s, "keep", func(*framework.Player, int) {
			kept <- struct{}{}
			<-release
		}).Inline()
	}
	simulate(t, 1, memnet.Conditions{}, framework.Config{Loops: 3}, routes, func(e *env) {
		links, nonces := make([]*raw, 6), make([][]byte, 6) // on one loop after the other
		for i := range links {
			links[i], nonces[i] = e.raw()
		}
		ann, keeper, first, second := links[0], links[1], links[4], links[5]
		keeper.hello(nonces[1], "keeper", 1)
		keeper.read(codec.Welcome, new(any))
		ann.hello(nonces[0], "ann", 1)
		var welcome struct{ ID, Key []byte }
		ann.read(codec.Welcome, &welcome)
		token := session.Token(session.ID(welcome.ID), session.Key(welcome.Key), session.Key{})

		keeper.send("keep", []byte{1})
		<-kept
		first.write(codec.Header{Kind: codec.Resume}, resume(t, token, nonces[4], 1, 0))
		keeper.send("keep", []byte{1})
		release <- struct{}{}
		<-kept // first is decided, and the answer waits for its loop
		synctest.Wait()
		loop := func() uint64 {
			port := second.conn.LocalAddr().(*net.TCPAddr).Port
			return e.srv.Stats().Transport.Loops[port%3].WakeUps
		}
		before := loop()
		second.write(codec.Header{Kind: codec.Resume}, resume(t, token, nonces[5], 2, 0))
		for range 10_000 {
			runtime.Gosched()
		}
		if n := loop() - before; n > 10 {
			t.Errorf("its loop has woken %d times", n)
		}
		release <- struct{}{}
		second.read(codec.Resumed, new(any))
		first.read(codec.Bye, new(any))
	})
}

// claimant is a client and the highest number that it was pushed.
type claimant struct {
	c    *client.Client
	last atomic.Uint64
}

func (e *env) claimant(user, token string) *claimant {
	cl := &claimant{}
	cfg := e.dialers(client.Config{Ticket: func(context.Context) ([]byte, error) { return []byte(user), nil }, Token: token, DialTimeout: time.Second})
	c, err := client.New([]string{e.addr(carriers[rand.IntN(len(carriers))])}, cfg)
	if err != nil {
		e.t.Fatal(err)
	}
	cl.c = c
	client.OnMessage(c, "n", func(n uint64) { cl.last.Store(max(n, cl.last.Load())) })
	e.clients = append(e.clients, c)
	return cl
}

func claimWave(e *env, user string) {
	first := e.claimant(user, "")
	e.connect(first.c)
	all := []*claimant{first}
	for i := range 8 {
		token := first.c.Token()
		if i == 7 && rand.IntN(2) == 0 {
			token = "" // a login
		}
		all = append(all, e.claimant(user, token))
	}
	p := e.srv.User(user)[0]
	var doing sync.WaitGroup
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	for _, cl := range all[1:] {
		doing.Go(func() { _ = cl.c.Connect(ctx) })
	}
	doing.Go(func() {
		for n := range uint64(100) {
			_ = p.Push("n", n)
		}
	})
	switch rand.IntN(5) {
	case 3:
		doing.Go(func() { _ = p.Move("") }) // out into the store, and in again by whoever comes
	case 0:
		doing.Go(func() { p.Kick(session.Kicked, "") })
	case 1:
		doing.Go(first.c.Pause)
	case 2:
		doing.Go(first.c.Cut)
	}
	doing.Wait()
	time.Sleep(3 * time.Second) // and whoever is left is back
	for i, p := range e.srv.User(user) {
		if !p.Attached() {
			continue
		}
		n := uint64(1000 + i)
		if err := p.Push("n", n); err != nil {
			e.t.Errorf("%s: %v", user, err)
		}
		e.within(100*time.Millisecond, "what is pushed arrives", func() bool {
			for _, cl := range all {
				if cl.last.Load() == n {
					return true
				}
			}
			return !p.Attached()
		})
	}
	for _, cl := range all {
		doing.Go(func() { _ = cl.c.Close() })
	}
	doing.Wait()
	for _, p := range e.srv.User(user) {
		p.Kick(session.Gone, "")
	}
	e.within(10*time.Second, "everybody is gone", func() bool { return e.srv.Stats().Sessions == 0 })
	if s := e.srv.Stats(); s.Transport.Panics != 0 || s.Overloads != 0 {
		e.t.Errorf("%d panics, %d overloads", s.Transport.Panics, s.Overloads)
	}
}
