// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
