// SPDX-License-Identifier: MIT

package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
)

// A ticket that can't be had makes the attempt fail; nobody logs in without.
func TestTicketThatCantBeFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, session.Config{})
		var rec recorder
		offline, tries := errors.New("offline"), 0
		c := newClient(t, []string{"tcp://server:1"}, client.Config{
			OnEvent: rec.note, Dial: pipes(srv, always),
			Ticket: func(context.Context) ([]byte, error) {
				if tries++; tries <= 3 {
					return nil, offline
				}
				return []byte("me"), nil
			},
		})
		connect(t, c)
		synctest.Wait()
		srv.do(func() {
			if !slices.Equal(srv.logins, []string{"me"}) {
				t.Errorf("logins %q", srv.logins)
			}
		})
		if rec.String() != "opened" || len(rec.failed()) != 3 {
			t.Errorf("%v, %d attempts failed", &rec, len(rec.failed()))
		}
		for _, s := range rec.failed() {
			if !errors.Is(s.Err, offline) || s.Delay <= 0 || s.Delay > 30*time.Second {
				t.Errorf("told %v, the next attempt in %v", s.Err, s.Delay)
			}
		}
	})
}

// One that is needed because the session is gone, while its link is up.
func TestTicketThatCantBeFetchedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, session.Config{Grace: 5 * time.Second})
		var rec recorder
		var down atomic.Bool
		var up atomic.Bool
		up.Store(true)
		c := newClient(t, []string{"tcp://server:1"}, client.Config{
			OnEvent: rec.note, Dial: pipes(srv, up.Load),
			Ticket: func(context.Context) ([]byte, error) {
				if down.Load() {
					return []byte("half a ticket"), errors.New("offline")
				}
				return []byte("me"), nil
			},
		})
		connect(t, c)
		up.Store(false)
		down.Store(true)
		srv.do(func() { srv.last().detach() })
		time.Sleep(10 * time.Second) // the server's grace is over
		up.Store(true)
		time.Sleep(2 * time.Minute)
		down.Store(false)
		time.Sleep(time.Minute)
		srv.do(func() {
			if !slices.Equal(srv.logins, []string{"me", "me"}) {
				t.Errorf("logins %q", srv.logins)
			}
		})
		if rec.String() != "opened lost gone opened" {
			t.Errorf("states %v", &rec)
		}
	})
}

// The pause after a ticket that was long in failing begins when it has failed, and the app
// is told of it.
func TestPauseAfterATicketThatTookLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, session.Config{Grace: 5 * time.Second})
		var rec recorder
		var up, down atomic.Bool
		up.Store(true)
		begun, failed := make(chan time.Time, 100), make(chan time.Time, 100)
		c := newClient(t, []string{"tcp://server:1"}, client.Config{
			OnEvent: rec.note, Dial: pipes(srv, up.Load), MinDelay: 500 * time.Millisecond, MaxDelay: time.Second,
			Ticket: func(context.Context) ([]byte, error) {
				if down.Load() {
					begun <- time.Now()
					time.Sleep(4 * time.Second) // the link is there for 5 s
					failed <- time.Now()
					return nil, errors.New("offline")
				}
				return []byte("me"), nil
			},
		})
		connect(t, c)
		up.Store(false)
		down.Store(true)
		srv.do(func() { srv.last().detach() })
		time.Sleep(10 * time.Second) // the server's grace is over
		n := len(rec.failed())
		up.Store(true)
		<-begun
		if pause := (<-begun).Sub(<-failed); pause <= 0 || len(rec.failed()) != n+1 {
			t.Errorf("the next attempt after %v, told %v", pause, rec.failed()[n:])
		}
		_ = c.Close()
		<-failed
	})
}

// A session that is resumed needs none, at the second attempt either.
func TestNoTicketToResumeAboveStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, session.Config{})
		var rec recorder
		var calls atomic.Int32
		c := newClient(t, []string{"tcp://server:1"}, client.Config{
			OnEvent: rec.note, Dial: pipes(srv, always),
			Ticket: func(ctx context.Context) ([]byte, error) {
				if calls.Add(1) > 1 {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return []byte("me"), nil
			},
		})
		connect(t, c)
		srv.do(func() { srv.stale = true; srv.last().detach() })
		time.Sleep(5 * time.Second)
		if rec.String() != "opened lost resumed" || calls.Load() != 1 {
			t.Errorf("%v, %d calls", &rec, calls.Load())
		}
	})
}

// After a refused login the next one has another ticket. One that was put off repeats its own.
func TestTicketAfterARefusedLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, session.Config{})
		srv.refuse, srv.later = &session.CloseError{Code: session.Busy}, []*session.CloseError{{Code: session.Internal}, nil}
		var calls atomic.Int32
		c := newClient(t, []string{"tcp://server:1"}, client.Config{
			Dial:   pipes(srv, always),
			Ticket: func(context.Context) ([]byte, error) { return fmt.Append(nil, calls.Add(1)), nil },
		})
		connect(t, c)
		srv.do(func() {
			if !slices.Equal(srv.logins, []string{"1", "1", "2"}) {
				t.Errorf("logins %q", srv.logins)
			}
		})
	})
}

// Ticket may hang, with or without a look at its context.
func TestTicketThatHangs(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv := newServer(t, session.Config{})
			var rec recorder
			var running, calls atomic.Int32
			hang := make(chan struct{})
			c := newClient(t, []string{"tcp://server:1"}, client.Config{
				OnEvent: rec.note, Dial: pipes(srv, always), TicketTimeout: 2 * time.Second,
				Ticket: func(ctx context.Context) ([]byte, error) {
					if running.Add(1) > 1 {
						t.Error("two calls at once")
					}
					defer running.Add(-1)
					if calls.Add(1); !deaf {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					<-hang
					return []byte("late"), nil
				},
			})
			begin := time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if deaf {
				time.AfterFunc(30*time.Second, func() { close(hang) })
			}
			err := c.Connect(ctx)
			switch took := time.Since(begin); {
			case deaf && (err != nil || calls.Load() != 1 || took < 30*time.Second):
				t.Errorf("%v after %v and %d calls", err, took, calls.Load())
			case !deaf && (!errors.Is(err, context.DeadlineExceeded) || calls.Load() < 3):
				t.Errorf("%v after %d calls", err, calls.Load())
			}
			if f := rec.failed(); len(f) == 0 || !strings.Contains(f[0].Err.Error(), "no ticket") {
				t.Errorf("told %v", f)
			}
			_ = c.Close()
			<-c.Done()
		})
	}
}

// Close does not wait for a ticket.
func TestCloseWhileATicketIsFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		c := newClient(t, []string{"tcp://server:1"}, client.Config{
			Dial:   pipes(newServer(t, session.Config{}), always),
			Ticket: func(context.Context) ([]byte, error) { <-hang; return nil, nil },
		})
		go func() { _ = c.Connect(context.Background()) }()
		time.Sleep(time.Second)
		begin := time.Now()
		_ = c.Close()
		<-c.Done()
		if took := time.Since(begin); took > 0 {
			t.Errorf("after %v", took)
		}
		close(hang)
	})
}

// What no server takes would only be told as a link that breaks.
func TestLoginThatNoServerTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 65536 - 64
		srv := newServer(t, session.Config{})
		var rec recorder
		size := most
		c := newClient(t, []string{"tcp://server:1"}, client.Config{
			OnEvent: rec.note, Dial: pipes(srv, always), Info: "test",
			Ticket: func(context.Context) ([]byte, error) {
				size--
				return make([]byte, size+1), nil
			},
		})
		connect(t, c)
		synctest.Wait()
		srv.do(func() {
			if len(srv.logins) != 1 || len(srv.logins[0]) != most-len("test") {
				t.Errorf("%d logins", len(srv.logins))
			}
		})
		if f := rec.failed(); len(f) != 4 || !strings.Contains(f[0].Err.Error(), "65472 bytes of Config.Ticket and 4 of Config.Info") {
			t.Errorf("told %v", f)
		}
		_, err := client.New([]string{"tcp://server:1"}, client.Config{Info: string(make([]byte, most+1))})
		if err == nil || !strings.Contains(err.Error(), "Info has 65473 bytes") {
			t.Errorf("New: %v", err)
		}
	})
}

// A ticket is for one login, also where the minute of that ends while a link is dialled.
// A dial that takes longer than a ticket is fetched ahead says nothing, and fails.
func TestTicketAtTheEndOfItsMinute(t *testing.T) {
	for dial, want := range map[time.Duration]int{4 * time.Second: 0, 20 * time.Second: 1} {
		synctest.Test(t, func(t *testing.T) {
			srv := newServer(t, session.Config{})
			srv.refuse = &session.CloseError{Code: session.Busy}
			var rec recorder
			dials, calls := 0, 0
			reach := pipes(srv, always)
			c := newClient(t, []string{"tcp://server:1"}, client.Config{
				OnEvent: rec.note, MinDelay: time.Millisecond, MaxDelay: time.Millisecond, DialTimeout: time.Minute,
				Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
					if dials++; dials > 1 {
						time.Sleep(dial)
					}
					return reach(ctx, network, addr)
				},
				Ticket: func(context.Context) ([]byte, error) { calls++; return fmt.Append(nil, calls), nil },
			})
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
			defer cancel()
			_ = c.Connect(ctx)
			srv.do(func() {
				if n := len(slices.Compact(slices.Clone(srv.logins))); n != 2 || len(srv.pairs) != 2 || calls != 2 {
					t.Errorf("dials of %v: %d logins, tickets %q, %d calls", dial, len(srv.pairs), srv.logins, calls)
				}
			})
			if f := rec.failed(); len(f) != want || want > 0 && !strings.Contains(f[0].Err.Error(), "needs another ticket") {
				t.Errorf("dials of %v: told %v", dial, f)
			}
		})
	}
}

// A login on the link of a session that is gone is repeated with its ticket like any other.
func TestTicketOfALoginOnTheSameLinkIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, session.Config{Grace: 5 * time.Second})
		calls := 0
		var away atomic.Bool
		c := newClient(t, []string{"tcp://server:1"}, client.Config{
			Dial:   pipes(srv, func() bool { return !away.Load() }),
			Ticket: func(context.Context) ([]byte, error) { calls++; return fmt.Append(nil, calls), nil },
		})
		connect(t, c)
		away.Store(true)
		srv.do(func() { srv.last().detach() })
		time.Sleep(10 * time.Second) // the server's grace is over
		srv.do(func() {
			srv.refuse, srv.later = &session.CloseError{Code: session.Busy}, []*session.CloseError{nil}
		})
		away.Store(false)
		time.Sleep(time.Minute)
		srv.do(func() {
			if !slices.Equal(srv.logins, []string{"1", "2", "2"}) || calls != 2 {
				t.Errorf("logins %q, %d calls", srv.logins, calls)
			}
		})
	})
}
