// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/internal/logtest"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestLoginsBeyondTheirConcurrencyComeBack: as many hooks run at once as
// AuthConcurrency says and never one more; who comes meanwhile is told BUSY, comes
// back by himself and gets in. Who plays already notices nothing.
func TestLoginsBeyondTheirConcurrencyComeBack(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		const most, players = 3, 10
		var mu sync.Mutex
		running, worst := 0, 0
		cfg := framework.Config{Session: quick, AuthConcurrency: most, Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
			if string(l.Ticket) == "early" {
				return framework.Identity{User: "early"}, nil
			}
			mu.Lock()
			running++
			worst = max(worst, running)
			mu.Unlock()
			time.Sleep(2 * time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return framework.Identity{User: string(l.Ticket)}, nil
		}}
		simulate(t, 7, memnet.Conditions{Delay: 5 * time.Millisecond}, cfg, func(srv *framework.Server) {
			framework.OnRequest(srv, "ping", func(_ *framework.Player, n int) (int, error) { return n, nil })
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

// TestLoginsOfOneAddress: it has an eighth of the places, at least one. A proxy
// stands for many players and may have all.
func TestLoginsOfOneAddress(t *testing.T) {
	for from, want := range map[string]int{"192.0.2.1": 1, "198.51.100.7": 3} {
		cfg := framework.Config{
			Session: quick, AuthConcurrency: 8, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
			Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
				time.Sleep(2 * time.Second)
				return framework.Identity{User: string(l.Ticket)}, nil
			},
		}
		simulate(t, 7, memnet.Conditions{Delay: 5 * time.Millisecond}, cfg, nil, func(e *env) {
			var all sync.WaitGroup
			for i := range 3 {
				e.net.NextAddr(netip.MustParseAddr(from))
				c := e.newClient(fmt.Sprint("p", i), transport.KCP)
				all.Go(func() { _ = c.Connect(shortly(e.t, 3*time.Second)) })
				time.Sleep(100 * time.Millisecond)
			}
			if n := e.srv.Stats().Logins; n != want {
				e.t.Errorf("%d logins of %s at once, want %d", n, from, want)
			}
			all.Wait()
		})
	}
}

// TestLoginHasADeadline: a hook that waits for something slow ends with its
// context, and its player comes back; one that did not heed it is too late but
// not in vain.
func TestLoginHasADeadline(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		var mu sync.Mutex
		tries := map[string][]time.Duration{} // how long each hook ran
		cfg := framework.Config{Session: quick, AuthTimeout: 3 * time.Second, Authenticate: func(ctx context.Context, l framework.Login) (framework.Identity, error) {
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
			return framework.Identity{User: user}, err
		}}
		simulate(t, 7, memnet.Conditions{Delay: 5 * time.Millisecond}, cfg, nil, func(e *env) {
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
	cfg := framework.Config{Session: quick, Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
		hooks++
		time.Sleep(4 * time.Second)
		return framework.Identity{User: string(l.Ticket)}, nil
	}}
	simulate(t, 7, memnet.Conditions{Delay: 5 * time.Millisecond}, cfg, nil, func(e *env) {
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

// TestOnlyTheGamesOwnNoIsFinal: the code of Fail reaches the client as it is and
// ends it. Whatever else a hook returns, the server is to blame, and its client
// gets in once the trouble is over.
func TestOnlyTheGamesOwnNoIsFinal(t *testing.T) {
	wrapped := func(err error) error { return fmt.Errorf("login: %w", err) }
	for name, c := range map[string]struct {
		first func() error
		code  session.Code // 0: it comes back
		text  string       // of the refusal
		full  string       // how Stats counts it
		logs  bool
	}{
		"fail":                  {func() error { return framework.Fail(1000, "too old") }, 1000, "too old", "", false},
		"wrapped fail":          {func() error { return wrapped(framework.Fail(1<<32-1, "banned")) }, 1<<32 - 1, "banned", "", false},
		"another's code":        {func() error { return &codec.Error{Code: codec.ErrorReset, Text: "no"} }, session.Denied, "no", "", false},
		"close error":           {func() error { return wrapped(&framework.CloseError{Code: 1000, Text: "until noon"}) }, 1000, "until noon", "", false},
		"a close error of ours": {func() error { return &framework.CloseError{Code: session.Banned} }, 0, "the login could not be decided", "undecided", true},
		"a peer's close error":  {func() error { return &framework.CloseError{Code: 1000, Remote: true} }, 0, "the login could not be decided", "undecided", true},
		"later":                 {func() error { return wrapped(framework.Later(20*time.Second, "patching")) }, 0, "patching", "later", false},
		"some time":             {func() error { return framework.Later(0, "") }, 0, "", "later", false},
		"database":              {func() error { return io.ErrUnexpectedEOF }, 0, "the login could not be decided", "undecided", true},
		"panic":                 {func() error { panic("nil map") }, 0, "the login could not be decided", "undecided", true},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, carrier transport.Carrier) {
				var tries int
				var told []framework.Reason
				log := &logtest.Lines{}
				cfg := framework.Config{Session: quick, Logger: log.Logger(), Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
					if tries++; tries == 1 {
						return framework.Identity{User: "ann"}, c.first()
					}
					return framework.Identity{User: "ann"}, nil
				}, Observer: framework.Observer{Refused: func(_ netip.AddrPort, _ transport.Carrier, why framework.Reason) { told = append(told, why) }}}
				simulate(t, 7, memnet.Conditions{Delay: 5 * time.Millisecond}, cfg, nil, func(e *env) {
					var put client.Event
					cfg := e.dialers(client.Config{OnEvent: func(s client.Event) {
						if s.Kind == client.EventRefused {
							put = s
						}
					}})
					cl, err := client.New([]string{e.addr(carrier)}, cfg)
					if err != nil {
						t.Fatal(err)
					}
					e.clients = append(e.clients, cl)
					begin := time.Now()
					err = cl.Connect(shortly(e.t, time.Minute))
					took := time.Since(begin)
					st := e.srv.Stats()
					if logged := log.Count("login failed")+log.Count("panic in the game's code") > 0; logged != c.logs {
						t.Errorf("logged: %v\n%v", logged, log.String())
					}
					var end *session.CloseError
					if c.code != 0 {
						if !errors.As(err, &end) || end.Code != c.code || end.Text != c.text || !end.Remote || tries != 1 || st.Refused != 1 {
							t.Errorf("%v after %d tries, want %v: %s; refused %v", err, tries, c.code, c.text, st.Refusal)
						}
						return
					}
					least := 5 * time.Second
					if name == "later" {
						least = 20 * time.Second
					}
					synctest.Wait()
					if !errors.As(put.Err, &end) || end.Code != session.Busy || end.Text != c.text || put.Delay < least {
						t.Errorf("the app was told %+v", put)
					}
					if err != nil || took < least || took > least+least/4+time.Second || len(told) != 1 || told[0] != (framework.Reason{Code: session.Busy, Text: c.text, Detail: uint64(least.Milliseconds())}) || st.Full[c.full] != 1 {
						t.Errorf("%v after %v, told %v, full %v", err, took, told, st.Full)
					}
				})
			})
		})
	}
}

// TestCodesBelowTheGamesOwnAreNotTheGames: they would be taken for the
// framework's.
func TestCodesBelowTheGamesOwnAreNotTheGames(t *testing.T) {
	for _, code := range []codec.ErrorCode{0, 7, 205, 999} {
		wantPanic(t, fmt.Sprintf("framework: Fail with code %d: a game's codes start at 1000", code), func() { _ = framework.Fail(code, "") })
	}
}

// TestHookThatIgnoresItsContextKeepsNobodyOut: it gives its place back, is counted
// and logged, and its login is not in vain.
func TestHookThatIgnoresItsContextKeepsNobodyOut(t *testing.T) {
	log := &logtest.Lines{}
	cfg := framework.Config{Session: quick, Logger: log.Logger(), AuthConcurrency: 2, AuthTimeout: 4 * time.Second, Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
		if l.Ticket[0] == 'd' { // deaf
			time.Sleep(20 * time.Second)
		}
		return framework.Identity{User: string(l.Ticket)}, nil
	}}
	simulate(t, 7, memnet.Conditions{Delay: 5 * time.Millisecond}, cfg, nil, func(e *env) {
		var all sync.WaitGroup
		for _, user := range []string{"deaf", "dull"} {
			c := e.newClient(user, transport.TCP)
			all.Go(func() {
				if err := c.Connect(e.t.Context()); err != nil {
					e.t.Error(err)
				}
			})
		}
		time.Sleep(time.Second)
		early := e.newClient("ann", transport.TCP)
		if err := early.Connect(shortly(e.t, 2*time.Second)); err == nil {
			e.t.Error("both places are taken, and ann is in")
		}
		time.Sleep(2500 * time.Millisecond)
		if st := e.srv.Stats(); st.StrayLogins != 2 || st.Logins != 2 {
			e.t.Errorf("%d logins go on, %d of them after their time", st.Logins, st.StrayLogins)
		}
		bob := e.newClient("bob", transport.TCP)
		if err := bob.Connect(shortly(e.t, time.Second)); err != nil {
			e.t.Errorf("hooks that hang keep bob out: %v", err)
		}
		all.Wait()
		if st := e.srv.Stats(); st.StrayLogins != 0 || st.Logins != 0 || st.Sessions != 3 {
			e.t.Errorf("%d logins, %d after their time, %d sessions", st.Logins, st.StrayLogins, st.Sessions)
		}
		if log.Count("Authenticate has not returned in its time") != 1 {
			e.t.Errorf("logged %s", log.String())
		}
	})
}

// TestSealedStaysSealed: a session that was opened on a sealed link is carried on
// by no other, and one that was not on any. Without the option all may.
func TestSealedStaysSealed(t *testing.T) {
	for _, strict := range []bool{true, false} {
		onEach(t, func(t *testing.T, carrier transport.Carrier) {
			simulate(t, 7, memnet.Conditions{Delay: 5 * time.Millisecond}, framework.Config{Session: quick, SealedStaysSealed: strict}, nil, func(e *env) {
				for _, first := range []transport.Carrier{transport.KCP, transport.TCP} {
					user := "ann of " + first.String()
					c := e.dial(user, first)
					id := c.ID()
					c.Pause() // and never back
					var kinds []string
					back, err := client.New([]string{e.addr(carrier)}, e.dialers(client.Config{Token: c.Token(), OnEvent: func(s client.Event) {
						if kinds = append(kinds, s.Kind.String()); s.Kind == client.EventRefused && s.Err.(*session.CloseError).Code != session.Unsealed {
							e.t.Errorf("refused: %v", s.Err)
						}
					}, Ticket: func(context.Context) ([]byte, error) { return []byte(user), nil }}))
					if err != nil {
						e.t.Fatal(err)
					}
					e.clients = append(e.clients, back)
					e.connect(back)
					synctest.Wait() // for OnEvent
					if refused := strict && first.Sealed() && !carrier.Sealed(); (back.ID() == id) == refused || refused && (kinds[0] != "refused" || e.srv.Stats().Refusal["unsealed"] != 3) {
						e.t.Errorf("from %v to %v, strict %v: session %v, was %v; %v, %v", first, carrier, strict, back.ID(), id, kinds, e.srv.Stats().Refusal)
					}
				}
			})
		})
	}
}
