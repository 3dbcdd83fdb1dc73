// SPDX-License-Identifier: MIT

package nats

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/bustest"
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

// host is an address of this machine that no other process uses, where it has so many.
// Else the tests of two processes may choose the same port.
var host = func() string {
	pid := os.Getpid()
	at := net.IPv4(127, byte(1+pid>>16&127), byte(pid>>8), byte(pid)).String()
	ln, err := net.Listen("tcp", net.JoinHostPort(at, "0"))
	if err != nil {
		return "127.0.0.1"
	}
	_ = ln.Close()
	return at
}()

// taken are the ports that freePort has given.
var taken sync.Map

// freePort returns an address that is free, and that no connection gets by itself. It
// returns none twice.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		at := fmt.Sprint(host, ":", 28000+mathrand.IntN(4000))
		if _, given := taken.LoadOrStore(at, true); given {
			continue
		}
		if ln, err := net.Listen("tcp", at); err == nil {
			_ = ln.Close()
			return at
		}
	}
	t.Fatal("no port is free")
	return ""
}

// serve starts a game's server that is one of a cluster. Players log in by name.
func serve(t *testing.T, cfg cluster.Config, routes ...func(*framework.Server)) (*framework.Server, *cluster.Cluster) {
	t.Helper()
	return serveLogged(t, slog.New(slog.DiscardHandler), cfg, routes...)
}

// serveLogged is serve with a log.
func serveLogged(t *testing.T, log *slog.Logger, cfg cluster.Config, routes ...func(*framework.Server)) (*framework.Server, *cluster.Cluster) {
	t.Helper()
	c, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	at := freePort(t)
	srv, err := framework.New(framework.Config{
		TCP: at, Address: "tcp://" + at, Cluster: c, Secret: session.Secret{1}, Logger: log,
		Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
			return framework.Identity{User: string(l.Ticket)}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, add := range routes {
		add(srv)
	}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	return srv, c
}

// annAt returns a client that logs in as ann at the first of some servers that answers.
func annAt(t *testing.T, servers ...*framework.Server) *client.Client {
	t.Helper()
	var at []string
	for _, srv := range servers {
		at = append(at, fmt.Sprint("tcp://", srv.Addr(framework.TCP)))
	}
	c, err := client.New(at, client.Config{
		Ticket: func(context.Context) ([]byte, error) { return []byte("ann"), nil }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestBus is what package cluster relies on, seen from a server without the directory too.
func TestBus(t *testing.T) {
	one, two := pair(t)
	bustest.Run(t, one, two)
}

// TestServerNeeds64Bits: on 32 some counters of NATS's server are not aligned, which ends
// the process.
func TestServerNeeds64Bits(t *testing.T) {
	_, err := Config{}.withDefaults()
	if strconv.IntSize < 64 && (err == nil || !strings.Contains(err.Error(), "64 bits")) || strconv.IntSize == 64 && err != nil {
		t.Error(err)
	}
	if _, err := (Config{Join: []string{"127.0.0.1:4222"}}).withDefaults(); err != nil {
		t.Errorf("one that joins: %v", err)
	}
}

// TestSafe: servers talk in clear on the loopback only.
func TestSafe(t *testing.T) {
	for _, cfg := range []Config{{Listen: "10.0.0.7:7800"}, {Listen: ":7800"}, {Join: []string{"10.0.0.7:7800"}}, {Listen: "10.0.0.7:7800", Password: "secret"},
		{Peers: []string{"127.0.0.1:1", "127.0.0.1:2", "10.0.0.7:3"}, Peer: "127.0.0.1:1", Dir: "dir"}} {
		if _, err := Start(cfg); !errors.Is(err, ErrUnsafe) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// TestRefusals: what keeps a server out, in a sentence that says what.
func TestRefusals(t *testing.T) {
	at := freePort(t)
	start(t, Config{Listen: at, Password: "secret"})
	three := []string{freePort(t), freePort(t), freePort(t)}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg  Config
		want error  // nil: any
		says string // part of the error
	}{
		"no password":      {Config{Join: []string{at}}, ErrPassword, "Config.Password"},
		"another password": {Config{Join: []string{at}, Password: "guess"}, ErrPassword, "Config.Password"},
		"another name":     {Config{Join: []string{at}, Password: "secret", Name: "other"}, ErrName, `"other", and there it is "lifeline"`},
		"nothing there":    {Config{Join: []string{freePort(t)}}, nats.ErrNoServers, "connect to " + host + ":"},
		"a port in use":    {Config{Listen: at}, nil, "address already in use"},
		"no folder":        {Config{Dir: file}, nil, "storage directory"},
		"no majority":      {Config{Peers: three, Peer: three[0], Dir: t.TempDir()}, ErrNoDirectory, "more than half of Config.Peers"},
		"two peers":        {Config{Peers: three[:2], Peer: three[0], Dir: t.TempDir()}, nil, "2 Peers, want 3 or 5"},
		"a stranger":       {Config{Peers: three, Peer: at, Dir: t.TempDir()}, nil, "is none of Peers"},
		"nowhere to write": {Config{Peers: three, Peer: three[0]}, nil, "needs a Dir"},
		"a peer twice":     {Config{Peers: []string{three[0], three[1], three[1]}, Peer: three[0], Dir: t.TempDir()}, nil, "twice"},
		"a peer's port":    {Config{Peers: []string{three[0], three[1], host}, Peer: three[0], Dir: t.TempDir()}, nil, "missing port"},
		"any port":         {Config{Listen: host + ":0"}, nil, "outside 1 ... 65535"},
		"an empty address": {Config{Join: strings.Split("", ",")}, nil, "empty"},
		"no server":        {Config{Join: []string{at}, Password: "secret", Listen: freePort(t)}, nil, "with Join there is none"},
		"no certificate":   {Config{Listen: freePort(t), Password: "secret", TLS: &tls.Config{}}, nil, "no certificate"},
		"both":             {Config{Peers: three, Peer: three[0], Join: []string{at}}, nil, "does not Join"},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.Patience, c.cfg.Logger = time.Second, slog.New(slog.DiscardHandler)
			b, err := Start(c.cfg)
			if err == nil {
				b.Close()
			}
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestPatienceHasAUnit: 30 is not 30 s.
func TestPatienceHasAUnit(t *testing.T) {
	if _, err := Start(Config{Patience: 30}); err == nil || !strings.Contains(err.Error(), "unit") {
		t.Error(err)
	}
}

// TestNothingToChangeIsNoComplaint: a password is required, and so NATS must not warn of it.
func TestNothingToChangeIsNoComplaint(t *testing.T) {
	var log bytes.Buffer
	b, err := Start(Config{Listen: freePort(t), Dir: t.TempDir(), Password: "secret", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	if log.Len() > 0 {
		t.Error(log.String())
	}
}

// peers starts three buses that keep the directory together.
func peers(t *testing.T, change func(*Config)) (cfgs []Config, all []*Bus) {
	t.Helper()
	list := []string{freePort(t), freePort(t), freePort(t)}
	for i := range list {
		cfg := Config{Peers: list, Peer: list[i], Dir: t.TempDir(), Patience: time.Minute, Logger: slog.New(slog.DiscardHandler)}
		if change != nil {
			change(&cfg)
		}
		cfgs = append(cfgs, cfg)
	}
	all = make([]*Bus, len(cfgs))
	var starting sync.WaitGroup
	for i, cfg := range cfgs {
		starting.Go(func() {
			b, err := Start(cfg)
			if err != nil {
				t.Error(err)
				return
			}
			all[i] = b
		})
	}
	starting.Wait()
	t.Cleanup(func() {
		for _, b := range all {
			if b != nil {
				b.Close()
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return cfgs, all
}

// put writes a key, however often that takes, and returns its revision.
func put(t *testing.T, b *Bus, key, value string, rev uint64) uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		try, stop := context.WithTimeout(ctx, time.Second)
		next, err := b.Put(try, key, []byte(value), rev)
		stop()
		if err == nil {
			return next
		}
		if errors.Is(err, cluster.ErrConflict) { // with this very write, whose answer was lost, or which is under way
			got, at := get(t, b, key)
			if got == value && at > rev {
				return at
			}
			if at != rev {
				t.Fatalf("put %s: it is %q at %d, not at %d", key, got, at, rev)
			}
		}
		if !pause(ctx, 50*time.Millisecond) {
			t.Fatal(err)
		}
	}
}

func get(t *testing.T, b *Bus, key string) (value string, rev uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		try, stop := context.WithTimeout(ctx, time.Second)
		got, rev, err := b.Get(try, key)
		stop()
		if err == nil {
			return string(got), rev
		}
		if !pause(ctx, 50*time.Millisecond) {
			t.Fatal(err)
		}
	}
}

// TestPeers: three processes keep the directory together, on TLS. Each of them goes away and
// comes back, one after the other, and what was written is there all the time. A process
// without a NATS server joins them.
func TestPeers(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for elections")
	}
	t.Parallel()
	secure := certificate(t)
	cfgs, all := peers(t, func(c *Config) {
		c.TLS, c.Password, c.Listen = secure, "a secret: @/?", freePort(t)
	})
	guest := start(t, Config{Join: []string{cfgs[0].Listen, cfgs[1].Listen, cfgs[2].Listen}, TLS: secure, Password: cfgs[0].Password, Replicas: 3})
	rev := put(t, guest, "sessions/0123456789ab", "0", 0)
	for i := range all {
		all[i].Close()
		rev = put(t, guest, "sessions/0123456789ab", fmt.Sprint(i+1), rev)
		rev = put(t, all[(i+1)%3], "sessions/0123456789ab", fmt.Sprint(i+10), rev)
		all[i] = start(t, cfgs[i])
		if got, at := get(t, all[i], "sessions/0123456789ab"); got != fmt.Sprint(i+10) || at != rev {
			t.Errorf("after its restart server %d has %q at revision %d, want %d at %d", i, got, at, i+10, rev)
		}
	}
}

// TestPeersAreReplaced: when Start is over the process has its copy of the directory, also if its Dir
// is lost, as on a new machine. So the next one may be replaced, and all is still there.
func TestPeersAreReplaced(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for elections")
	}
	t.Parallel()
	cfgs, all := peers(t, nil)
	rev := put(t, all[0], "sessions/0123456789ab", "there", 0)
	for i := range 2 {
		all[i].Close()
		cfgs[i].Dir = t.TempDir()
		all[i] = start(t, cfgs[i])
	}
	for i, b := range all {
		if got, at := get(t, b, "sessions/0123456789ab"); got != "there" || at != rev {
			t.Errorf("server %d has %q at revision %d, want it at %d", i, got, at, rev)
		}
	}
}

// TestCopies: a bucket that was made by a process that Joins the peers, as when all are started
// at once, has as many copies as the peers want.
func TestCopies(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for elections")
	}
	t.Parallel()
	cfgs, all := peers(t, func(c *Config) { c.Listen = freePort(t) })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	bucket := all[0].bucket("sessions")
	if err := all[0].js.DeleteKeyValue(ctx, bucket); err != nil {
		t.Fatal(err)
	}
	guest := start(t, Config{Join: []string{cfgs[0].Listen}})
	put(t, guest, "sessions/0123456789ab", "there", 0)
	all[2].Close()
	all[2] = start(t, cfgs[2])
	for n := 0; n != 3; {
		s, err := guest.js.Stream(ctx, "KV_"+bucket)
		if err == nil {
			n = s.CachedInfo().Config.Replicas
		}
		if n != 3 && !pause(ctx, 100*time.Millisecond) {
			t.Fatalf("%d copies, %v", n, err)
		}
	}
	if got, _ := get(t, guest, "sessions/0123456789ab"); got != "there" {
		t.Errorf("%q", got)
	}
}

// TestPeersRefuse: a process that is none of the peers' cluster is kept out, and told why.
func TestPeersRefuse(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for elections")
	}
	t.Parallel()
	cfgs, all := peers(t, func(c *Config) { c.Password = "secret" })
	all[2].Close()
	for _, c := range []struct {
		change func(*Config)
		want   error
	}{
		{func(c *Config) { c.Password = "guess" }, ErrPassword},
		{func(c *Config) { c.Name = "other" }, ErrName},
	} {
		cfg := cfgs[2]
		cfg.Dir, cfg.Patience = t.TempDir(), 10*time.Second
		c.change(&cfg)
		b, err := Start(cfg)
		if err == nil {
			b.Close()
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%v, want %v", err, c.want)
		}
	}
	put(t, all[0], "sessions/0123456789ab", "still there", 0)
}

// certificate makes one of this machine, for both ends of a connection.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(host)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, x, x, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if x, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(x)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs:      roots, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert,
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

// TestTombstonesStay: the entry of a room names its owner until a player joins it, so a
// tombstone has no end, also where a release before gave it one.
func TestTombstonesStay(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, before := range []time.Duration{0, 96 * time.Hour} {
		b := start(t, cfg)
		s, err := b.js.Stream(ctx, "KV_"+b.bucket("dead"))
		for err == nil && s.CachedInfo().Config.MaxAge != 0 && pause(ctx, 10*time.Millisecond) {
			_, err = s.Info(ctx)
		}
		if err != nil || s.CachedInfo().Config.MaxAge != 0 {
			t.Fatalf("it stays for %v, %v before: %v", s.CachedInfo().Config.MaxAge, before, err)
		}
		old := s.CachedInfo().Config
		old.MaxAge = 96 * time.Hour
		if _, err := b.js.UpdateStream(ctx, old); err != nil {
			t.Fatal(err)
		}
		b.Close()
	}
}

// TestPasswordComesBack: a server that was refused for a moment goes on, as when the servers of
// the directory were given another password by mistake.
func TestPasswordComesBack(t *testing.T) {
	cfg := Config{Listen: freePort(t), Dir: t.TempDir(), Password: "secret", Logger: slog.New(slog.DiscardHandler)}
	one, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	two := start(t, Config{Join: []string{cfg.Listen}, Password: "secret"})
	rev := put(t, two, "sessions/0123456789ab", "there", 0)
	one.Close()
	other := cfg
	other.Password = "another"
	if one, err = Start(other); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	one.Close()
	start(t, cfg)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		try, stop := context.WithTimeout(ctx, time.Second)
		got, at, err := two.Get(try, "sessions/0123456789ab")
		stop()
		if err == nil {
			if string(got) != "there" || at != rev {
				t.Errorf("%q at %d", got, at)
			}
			return
		}
		if !pause(ctx, 50*time.Millisecond) {
			t.Fatal("it does not come back: ", err)
		}
	}
}

// TestRollingRestart moves a player with its traffic from one server to another over the
// real thing.
func TestRollingRestart(t *testing.T) {
	one, two := pair(t)
	var mu sync.Mutex
	var said []uint64
	say := func(srv *framework.Server) {
		framework.OnMessage(srv, "say", func(_ *framework.Player, n uint64) {
			mu.Lock()
			said = append(said, n)
			mu.Unlock()
		})
	}
	a, _ := serve(t, cluster.Config{Bus: one}, say)
	b, _ := serve(t, cluster.Config{Bus: two}, say)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := annAt(t, a)
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
