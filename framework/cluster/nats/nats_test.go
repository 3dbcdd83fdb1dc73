// SPDX-License-Identifier: MIT

package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/session"
)

func start(t *testing.T, cfg Config) *Bus {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	b, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// pair returns the buses of two servers: one has the NATS server, the other joins it.
func pair(t *testing.T) (one, two *Bus) {
	t.Helper()
	one = start(t, Config{Listen: freePort(t), Dir: t.TempDir()})
	return one, start(t, Config{Join: []string{one.cfg.Listen}})
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// TestBus is what package cluster relies on, seen from a server without the directory.
func TestBus(t *testing.T) {
	one, two := pair(t)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	const key = "sessions/0123456789ab"
	if b, rev, err := two.Get(ctx, key); len(b) != 0 || rev != 0 || err != nil {
		t.Fatalf("of nothing: %q, %d, %v", b, rev, err)
	}
	first, err := two.Put(ctx, key, []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.Put(ctx, key, []byte("two"), 0); !errors.Is(err, cluster.ErrConflict) {
		t.Errorf("made twice: %v", err)
	}
	second, err := one.Put(ctx, key, []byte("two"), first)
	if err != nil || second <= first {
		t.Fatalf("%d after %d: %v", second, first, err)
	}
	if _, err := two.Put(ctx, key, nil, first); !errors.Is(err, cluster.ErrConflict) {
		t.Errorf("removed by an old revision: %v", err)
	}
	gone, err := two.Put(ctx, key, nil, second)
	if b, rev, err2 := one.Get(ctx, key); err != nil || err2 != nil || len(b) != 0 || rev != gone {
		t.Errorf("removed: %q, revision %d of %d, %v, %v", b, rev, gone, err, err2)
	}
	if _, err := one.Put(ctx, key, []byte("again"), gone); err != nil {
		t.Errorf("made again: %v", err)
	}

	type change struct {
		name, value string
		rev         uint64
	}
	seen := make(chan change, 10)
	if _, err := one.Put(ctx, "leases/1", []byte("there"), 0); err != nil {
		t.Fatal(err)
	}
	if err := two.Watch(ctx, "leases", func(n string, v []byte, rev uint64) { seen <- change{n, string(v), rev} }, func() {}); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 1 {
		t.Errorf("Watch has returned, and %d values were told", len(seen))
	}
	rev, err := one.Put(ctx, "leases/2", []byte("new"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := <-seen, <-seen; a.name != "1" || b != (change{"2", "new", rev}) {
		t.Errorf("seen %+v, %+v", a, b)
	}

	if err := one.Serve(ctx, "1.00000001", func(q []byte) []byte { return append([]byte("re: "), q...) }); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) { // until the other server knows of it
		a, err := two.Ask(ctx, "1.00000001", []byte("hello"))
		if string(a) == "re: hello" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("answered %q, %v", a, err)
		}
	}
	if _, err := two.Ask(ctx, "9.00000001", nil); !errors.Is(err, cluster.ErrNoAnswer) {
		t.Errorf("asked nobody: %v", err)
	}
}

// TestSafe: servers talk in clear on the loopback only.
func TestSafe(t *testing.T) {
	for _, cfg := range []Config{{Listen: "10.0.0.7:7800"}, {Listen: ":7800"}, {Join: []string{"10.0.0.7:7800"}}, {Listen: "10.0.0.7:7800", Password: "secret"}} {
		if _, err := Start(cfg); !errors.Is(err, ErrUnsafe) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// TestStrangers: a server without the password is kept out, and told why.
func TestStrangers(t *testing.T) {
	at := freePort(t)
	start(t, Config{Listen: at, Password: "secret"})
	for _, password := range []string{"", "guess"} {
		_, err := Start(Config{Join: []string{at}, Password: password, Patience: 2 * time.Second, Logger: slog.New(slog.DiscardHandler)})
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("password %q: %v", password, err)
		}
	}
}

// TestDirectoryStays: it is there after a restart of the process that keeps it.
func TestDirectoryStays(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var rev uint64
	for i := range 2 {
		b, err := Start(cfg)
		if err != nil {
			t.Fatal(err)
		}
		got, at, err := b.Get(ctx, "dead/1.00000001")
		if want := []string{"", "there"}[i]; err != nil || string(got) != want || at != rev {
			t.Errorf("%q at revision %d, want %q at %d: %v", got, at, want, rev, err)
		}
		if rev, err = b.Put(ctx, "dead/1.00000001", []byte("there"), at); err != nil {
			t.Error(err)
		}
		b.Close()
	}
}

// TestRollingRestart moves a player with its traffic from one server to another over the
// real thing.
func TestRollingRestart(t *testing.T) {
	one, two := pair(t)
	var mu sync.Mutex
	var said []uint64
	serve := func(b *Bus) *framework.Server {
		c, err := cluster.New(cluster.Config{Bus: b})
		if err != nil {
			t.Fatal(err)
		}
		at := freePort(t)
		srv, err := framework.New(framework.Config{
			TCP: at, Address: "tcp://" + at, Cluster: c, Secret: session.Secret{1}, Logger: slog.New(slog.DiscardHandler),
			Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
				return framework.Identity{User: string(l.Ticket)}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		framework.OnMessage(srv, "say", func(_ *framework.Player, n uint64) {
			mu.Lock()
			said = append(said, n)
			mu.Unlock()
		})
		if err := srv.Start(); err != nil {
			t.Fatal(err)
		}
		return srv
	}
	a, b := serve(one), serve(two)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := client.New([]string{fmt.Sprint("tcp://", a.Addr(framework.TCP))}, client.Config{
		Ticket: func(context.Context) ([]byte, error) { return []byte("ann"), nil }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	down := make(chan error, 1)
	for n := range uint64(100) {
		if n == 20 {
			go func() { down <- a.Shutdown(ctx) }()
		}
		if err := c.Send("say", n+1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := <-down; err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		mu.Lock()
		got := slices.Clone(said)
		mu.Unlock()
		if len(got) >= 100 {
			if !slices.IsSorted(got) || got[0] != 1 || got[99] != 100 || len(got) != 100 {
				t.Errorf("handled %v", got)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatalf("handled %d of 100: %+v", len(got), c.Stats())
		}
	}
	if st := c.Stats(); st.Opens != 1 || st.Resets != 0 || len(b.User("ann")) != 1 {
		t.Errorf("%+v, %d sessions at the other server", st, len(b.User("ann")))
	}
	if err := b.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}
