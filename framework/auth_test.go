// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/transport"
)

// TestLoginsBeyondTheirConcurrencyComeBack: as many hooks run at once as
// AuthConcurrency says and never one more; who comes meanwhile is told BUSY, comes
// back by himself and gets in. Who plays already notices nothing.
func TestLoginsBeyondTheirConcurrencyComeBack(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		const most, players = 3, 10
		var mu sync.Mutex
		running, worst := 0, 0
		cfg := framework.Config{Session: quick, AuthConcurrency: most, Authenticate: func(_ context.Context, l framework.Login) (string, error) {
			if string(l.Ticket) == "early" {
				return "early", nil
			}
			mu.Lock()
			running++
			worst = max(worst, running)
			mu.Unlock()
			time.Sleep(2 * time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return string(l.Ticket), nil
		}}
		simulate(t, 7, transport.Conditions{Delay: 5 * time.Millisecond}, cfg, func(srv *framework.Server) {
			framework.Handle(srv, "ping", func(_ *framework.Player, n int) (int, error) { return n, nil })
		}, func(e *env) {
			early := e.dial("early", carrier)
			var all sync.WaitGroup
			for i := range players {
				c := e.newClient(fmt.Sprint("late", i), carrier)
				all.Go(func() {
					if err := c.Connect(e.t.Context()); err != nil {
						e.t.Errorf("did not get in: %v", err)
					}
				})
			}
			time.Sleep(time.Second)
			if st := e.srv.Stats(); st.Logins != most || st.Full["logins"] != players-most || st.Refusal["busy"] != players-most {
				t.Errorf("%d logins, full %v, refusals %v", st.Logins, st.Full, st.Refusal)
			}
			begin := time.Now()
			if err := early.Request(e.t.Context(), "ping", 1, nil); err != nil || time.Since(begin) > 100*time.Millisecond {
				t.Errorf("who plays already waits %v, %v", time.Since(begin), err)
			}
			all.Wait()
			if st := e.srv.Stats(); st.Sessions != players+1 || st.Logins != 0 || worst != most {
				t.Errorf("%d sessions, %d logins, at most %d at once", st.Sessions, st.Logins, worst)
			}
		})
	})
}

// TestLoginHasADeadline: a hook that waits for something slow ends with its
// context, and its player comes back; one that did not heed it is too late but
// not in vain.
func TestLoginHasADeadline(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		var mu sync.Mutex
		tries := map[string][]time.Duration{} // how long each hook ran
		cfg := framework.Config{Session: quick, AuthTimeout: 3 * time.Second, Authenticate: func(ctx context.Context, l framework.Login) (string, error) {
			user, begin := string(l.Ticket), time.Now()
			mu.Lock()
			first := len(tries[user]) == 0
			mu.Unlock()
			var err error
			switch {
			case user == "deaf":
				time.Sleep(4 * time.Second)
			case first:
				<-ctx.Done()
				err = fmt.Errorf("database: %w", ctx.Err())
			}
			mu.Lock()
			tries[user] = append(tries[user], time.Since(begin))
			mu.Unlock()
			return user, err
		}}
		simulate(t, 7, transport.Conditions{Delay: 5 * time.Millisecond}, cfg, nil, func(e *env) {
			for _, user := range []string{"ann", "deaf"} {
				e.connect(e.newClient(user, carrier))
			}
			mu.Lock()
			defer mu.Unlock()
			if got := tries["ann"]; len(got) != 2 || got[0] != 3*time.Second {
				t.Errorf("ann's hooks ran %v, want the first one 3s and one more", got)
			}
			if got := tries["deaf"]; len(got) != 1 {
				t.Errorf("the hook that does not heed its context ran %v", got)
			}
			if st := e.srv.Stats(); st.Full["undecided"] != 1 || st.Refusal["busy"] != 1 || st.Refusal["denied"] != 0 || st.Sessions != 2 {
				t.Errorf("full %v, refusals %v, %d sessions", st.Full, st.Refusal, st.Sessions)
			}
		})
	})
}

// TestLoginWhoseLinkIsLostIsNotAuthenticatedTwice: its client asks again on
// another link, and gets the answer to its first question there.
func TestLoginWhoseLinkIsLostIsNotAuthenticatedTwice(t *testing.T) {
	hooks := 0
	cfg := framework.Config{Session: quick, Authenticate: func(_ context.Context, l framework.Login) (string, error) {
		hooks++
		time.Sleep(4 * time.Second)
		return string(l.Ticket), nil
	}}
	simulate(t, 7, transport.Conditions{Delay: 5 * time.Millisecond}, cfg, nil, func(e *env) {
		c := e.newClient("ann", transport.TCP)
		done := make(chan error, 1)
		go func() { done <- c.Connect(e.t.Context()) }()
		time.Sleep(time.Second)
		c.Cut()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if st := e.srv.Stats(); hooks != 1 || st.Sessions != 1 || st.Opened != 1 || st.Transport.Carriers["tcp"].Opened != 2 {
			t.Errorf("%d hooks, %+v", hooks, st)
		}
	})
}
