// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// lone is a cluster of one server, whose lease the test has in its hand.
type lone struct {
	framework.Cluster
	host   framework.ClusterHost
	valid  atomic.Bool
	closed chan string
}

func (c *lone) Join(_ context.Context, h framework.ClusterHost) (uint16, error) {
	c.host = h
	return 1, nil
}
func (c *lone) Valid() bool                                                          { return c.valid.Load() }
func (c *lone) HasLease() bool                                                       { return c.valid.Load() }
func (c *lone) Drain()                                                               {}
func (c *lone) Leave(context.Context) error                                          { return nil }
func (c *lone) Elsewhere(framework.ID) (string, bool)                                { return "", false }
func (c *lone) TakeSeat(string, string, framework.ID) bool                           { return false }
func (c *lone) FindRoom(framework.RoomQuery, func(framework.RoomPlace, error))       {}
func (c *lone) ReserveSeats(context.Context, string, string, []string) error         { return nil }
func (c *lone) Lists(_ string, _ map[string]uint64, done func([]framework.RoomList)) { go done(nil) }
func (c *lone) BringUser(context.Context, string, string, string, bool) error        { return nil }
func (c *lone) CloseRoom(_, key string)                                              { c.closed <- key }
func (c *lone) RoomRuns(string, string)                                              {}
func (c *lone) HandOverRoom(context.Context, framework.RoomHandOver, func(error))    {}

func (c *lone) Claim(context.Context, string, framework.ID, []byte, framework.Duplicate) ([]byte, error) {
	return nil, nil
}
func (c *lone) Opened(framework.ID)                              {}
func (c *lone) Release(framework.ID)                             {}
func (c *lone) Park(context.Context, framework.ID, []byte) error { return nil }

// created tells of each room that it was made.
type created struct{ made *atomic.Int32 }

func (r *created) OnCreate() error {
	r.made.Add(1)
	return nil
}

// TestRoomIsMadeWithinTheLease: what a server has become the owner of is not made before the
// server may act, and never if another one may have it by then.
func TestRoomIsMadeWithinTheLease(t *testing.T) {
	var made atomic.Int32
	c := &lone{}
	c.valid.Store(true)
	synctest.Test(t, func(t *testing.T) {
		c.closed = make(chan string, 2)
		srv, err := framework.New(framework.Config{
			Cluster: c, Secret: framework.Secret{1}, TCP: "10.0.0.1:7777", Network: memnet.New(1, memnet.Conditions{}), Logger: slog.New(slog.DiscardHandler),
			Authenticate: func(context.Context, framework.Login) (framework.Identity, error) { return framework.Identity{}, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		framework.AddRoom(srv, "hall", func(*framework.Room) *created {
			made.Add(1)
			return &created{&made}
		})
		if err := srv.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			c.valid.Store(true) // Shutdown waits for rooms that wait for the lease
			if err := srv.Shutdown(context.Background()); err != nil {
				t.Errorf("shutdown: %v", err)
			}
		}()
		open := func(key string) {
			t.Helper()
			c.valid.Store(false)
			if err := c.host.OpenRoom("hall", key, 7, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			if n := made.Load(); n != 0 {
				t.Fatalf("%s: %d calls without a lease", key, n)
			}
		}
		open("late")
		c.valid.Store(true)
		time.Sleep(time.Second)
		if n := made.Swap(0); n != 2 {
			t.Errorf("%d calls with a lease, want the maker and OnCreate", n)
		}
		open("lost")
		c.host.Fence()
		if a, b := <-c.closed, <-c.closed; a == b || a+b != "latelost" && a+b != "lostlate" {
			t.Errorf("closed: %s and %s", a, b)
		}
		if n := made.Load(); n != 0 {
			t.Errorf("%d calls after the server was fenced", n)
		}
	})
}

// TestShutdownWithoutALease: no hook is called, so no session ends, and the error says why.
func TestShutdownWithoutALease(t *testing.T) {
	c := &lone{closed: make(chan string, 1)}
	c.valid.Store(true)
	cfg := framework.Config{Cluster: c, Secret: framework.Secret{1}, KeyFile: filepath.Join(t.TempDir(), "key")}
	cfg.Authenticate = func(context.Context, framework.Login) (framework.Identity, error) { return framework.Identity{}, nil }
	simulate(t, 1, memnet.Conditions{}, cfg, nil, func(e *env) {
		e.dial("", transport.TCP)
		c.valid.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := e.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "lease") {
			e.t.Error(err)
		}
		c.valid.Store(true)
	})
}
