// SPDX-License-Identifier: MIT

// Package nats joins the servers of a cluster by NATS: core messages between them, and a
// directory in JetStream. No other package links NATS: a game that has one server has not a
// byte of it. The directory is in one of three places (framework/cluster/SPEC.md 10):
//
//   - A NATS server is part of one process, and the others Join it. All pause while that one
//     is away: for development, and for games that can afford it.
//   - A NATS server is part of each of three or five processes, which are Peers. All play on
//     as long as more than half of these are there.
//   - NATS runs by itself, and all processes Join it.
package nats

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/lifeline-go/lifeline/framework/cluster"
)

// Config says how a server reaches the others. The zero value is a cluster of one process.
type Config struct {
	// Name begins the name of all that the cluster keeps in NATS: letters, digits and
	// dashes. Servers of another name are another cluster. If empty, "lifeline".
	Name string
	// Join are the addresses, "10.0.0.7:4222", of NATS servers with JetStream: those that
	// other processes Listen at, or a cluster of NATS's own. If empty, a NATS server is part
	// of this process, which takes a machine of 64 bits.
	Join []string
	// Listen is where other processes Join that one. If empty, they can't.
	Listen string
	// Peers are the addresses, "10.0.0.7:6222", at which the NATS servers of three or five
	// processes reach each other: the same list in each of them. They keep the directory
	// together. If empty, the NATS server of this process keeps it alone.
	Peers []string
	// Peer is the one of Peers that is this process's. A host that is a name must be one of
	// this machine's.
	Peer string
	// Dir is where the NATS server of this process keeps the directory, so that a restart
	// finds it. A process that is one of Peers needs one. Start waits while another process
	// has it. If empty, a temporary folder.
	Dir string
	// Replicas is how many NATS servers have each entry: 1, 3 or 5. If zero, 3 with Peers, and
	// 1 without: set it to 3 for a cluster of NATS's own.
	Replicas int
	// TLS is of all connections between servers, Password what they show each other. Both
	// are required unless all addresses are of the loopback. Among Peers each is the other's
	// client: the certificate is for both. If nil and empty, none.
	TLS      *tls.Config
	Password string
	// Patience is how long Start waits for the directory. If zero, 30 s.
	Patience time.Duration
	// Logger takes what the NATS server and the connection complain of. If nil, slog.Default().
	Logger *slog.Logger
}

var (
	// ErrUnsafe refuses a cluster whose servers talk in clear, or to anything that connects.
	ErrUnsafe = errors.New("cluster/nats: an address that is not of the loopback needs Config.TLS and Config.Password: what players are sent would be there for anybody to read")
	// ErrNoDirectory says that there is no directory to be used.
	ErrNoDirectory = errors.New("cluster/nats: no directory answers: is JetStream on there, are more than half of Config.Peers up, and are there as many servers as Config.Replicas?")
	// ErrPassword says that the others have another password.
	ErrPassword = errors.New("cluster/nats: Config.Password is not that of the others")
	// ErrName says that the NATS servers are those of another cluster.
	ErrName = errors.New("cluster/nats: Config.Name is not that of the others")
	// ErrForgotten says that the store of the directory was emptied. Servers do not make it anew
	// before one is started: the old one may come back, and nothing is lost then.
	ErrForgotten = errors.New("cluster/nats: the directory is not there any more: bring back what its store had, or restart a server, which makes it anew")
	// ErrPayload says that what servers write and tell each other may be too large for NATS.
	ErrPayload = errors.New("cluster/nats: max_payload of the NATS server is less than 1 MiB, which it is unless it is set: sessions, rooms and messages that are large would not get to other servers")
	// ErrDisk says that the disk of Config.Dir is full. Servers that keep the directory alone
	// pause; they go on by themselves when there is room.
	ErrDisk = errors.New("cluster/nats: the disk of Config.Dir is full")
)

// Bus is a cluster.Bus.
type Bus struct {
	cfg    Config
	log    *complaints
	srv    *server.Server // nil if Config.Join
	nc     *nats.Conn
	js     jetstream.JetStream
	ctx    context.Context
	cancel context.CancelFunc
	mended sync.WaitGroup // of mend and adjust

	temporary string   // a folder to be removed
	held      *os.File // Config.Dir, which no other process gets meanwhile; nil: none

	said rarely // what the connection complains of

	mu      sync.Mutex
	watches map[chan struct{}]bool // each takes one to begin anew; guarded by mu
}

var validName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

func (c Config) withDefaults() (Config, error) {
	c.Name = cmp.Or(c.Name, "lifeline")
	c.Replicas = cmp.Or(c.Replicas, min(max(len(c.Peers), 1), 3))
	c.Patience = cmp.Or(c.Patience, 30*time.Second)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if !validName.MatchString(c.Name) {
		return c, fmt.Errorf("cluster/nats: Name %q has other characters than letters, digits and dashes", c.Name)
	}
	if err := c.checkPeers(); err != nil {
		return c, err
	}
	if err := c.checkRest(); err != nil {
		return c, err
	}
	if len(c.Join) == 0 && strconv.IntSize < 64 { // NATS's own counters are not aligned there
		return c, errors.New("cluster/nats: a NATS server within the process needs a machine of 64 bits: Join another one")
	}
	for _, address := range slices.Concat([]string{c.Listen}, c.Join, c.Peers) {
		if (c.TLS == nil || c.Password == "") && !loopback(address) {
			return c, fmt.Errorf("%w: %s", ErrUnsafe, address)
		}
	}
	return c, nil
}

func (c *Config) checkPeers() error {
	n := len(c.Peers)
	switch {
	case n == 0 && c.Peer == "":
		return nil
	case len(c.Join) > 0:
		return errors.New("cluster/nats: a process that is one of Peers does not Join others")
	case n != 3 && n != 5:
		return fmt.Errorf("cluster/nats: %d Peers, want 3 or 5: more than half of them must agree", n)
	case !slices.Contains(c.Peers, c.Peer):
		return fmt.Errorf("cluster/nats: Peer %q is none of Peers %q", c.Peer, c.Peers)
	case c.Dir == "":
		return errors.New("cluster/nats: a process that is one of Peers needs a Dir: the others rely on what it has written")
	}
	for i, peer := range c.Peers {
		if _, _, err := hostPort("Peers", peer); err != nil {
			return err
		}
		if slices.Contains(c.Peers[:i], peer) {
			return fmt.Errorf("cluster/nats: Peers has %q twice", peer)
		}
	}
	return nil
}

// checkRest finds what would not be noticed before others can't connect.
func (c *Config) checkRest() error {
	switch {
	case slices.Contains(c.Join, ""):
		return fmt.Errorf("cluster/nats: Join %q has an address that is empty", c.Join)
	case len(c.Join) > 0 && c.Listen != "":
		return fmt.Errorf("cluster/nats: Listen %q is for the NATS server of this process, and with Join there is none", c.Listen)
	case c.Replicas < 1 || c.Replicas > 5 || c.Replicas%2 == 0:
		return fmt.Errorf("cluster/nats: Replicas is %d, want 1, 3 or 5: more than half of them must agree", c.Replicas)
	case len(c.Join) == 0 && c.Replicas > max(len(c.Peers), 1):
		return fmt.Errorf("cluster/nats: Replicas is %d, and there are %d NATS servers", c.Replicas, max(len(c.Peers), 1))
	case c.Patience < time.Millisecond:
		return fmt.Errorf("cluster/nats: Patience is %v: does it lack its unit, as in 30 * time.Second?", c.Patience)
	case len(c.Join) == 0 && c.TLS != nil && len(c.TLS.Certificates) == 0 && c.TLS.GetCertificate == nil && c.TLS.GetConfigForClient == nil:
		return errors.New("cluster/nats: TLS has no certificate, and the NATS server of this process needs one")
	}
	return nil
}

// Start starts the NATS server, if it is part of this process, and returns once the
// directory answers.
func Start(cfg Config) (*Bus, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Bus{cfg: cfg, log: &complaints{log: cfg.Logger}, watches: map[chan struct{}]bool{}}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	if err = b.connect(); err == nil {
		err = b.openBuckets()
	}
	if err == nil {
		b.awaitCopies()
	}
	if err == nil {
		b.mended.Go(b.adjust) // ends when it is done, or with ctx
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Close ends the connection and the NATS server. Shut the game's server down before.
func (b *Bus) Close() {
	b.cancel()
	b.mended.Wait()
	if b.nc != nil {
		b.nc.Close()
	}
	if b.srv != nil {
		b.srv.Shutdown()
		b.srv.WaitForShutdown()
	}
	if b.held != nil {
		_ = b.held.Close()
	}
	if b.temporary != "" {
		_ = os.RemoveAll(b.temporary)
	}
}

// user is the name by which servers log in at NATS.
const user = "lifeline"

// connect starts the NATS server, if it is part of this process, and connects.
func (b *Bus) connect() error {
	options := []nats.Option{
		nats.Name("lifeline"), nats.MaxReconnects(-1), nats.ReconnectWait(200 * time.Millisecond),
		nats.PingInterval(2 * time.Second), nats.MaxPingsOutstanding(2), nats.ReconnectHandler(b.reconnected),
		nats.IgnoreAuthErrorAbort(), // else a password that is wrong for a second ends the connection for good
		nats.ErrorHandler(b.complain),
	}
	if b.cfg.Password != "" {
		options = append(options, nats.UserInfo(user, b.cfg.Password))
	}
	var err error
	if len(b.cfg.Join) == 0 {
		if err = b.serve(); err == nil {
			b.nc, err = nats.Connect("", append(options, nats.InProcessServer(b.srv))...)
		}
	} else {
		if b.cfg.TLS != nil {
			options = append(options, nats.Secure(b.cfg.TLS))
		}
		err = b.dial(options)
	}
	if err == nil {
		b.js, err = jetstream.New(b.nc)
	}
	return err
}

// complain logs what the connection complains of, once a minute at most. It would go to stderr:
// several lines every few seconds while the directory is away.
func (b *Bus) complain(_ *nats.Conn, sub *nats.Subscription, err error) {
	if !b.said.now() {
		return
	}
	if sub != nil {
		err = fmt.Errorf("%s: %w", sub.Subject, err)
	}
	b.cfg.Logger.Warn("the connection to the directory complains", "error", err)
}

// rarely bounds what is said again and again to once a minute. Safe to use from any goroutine.
type rarely struct{ said atomic.Bool }

// now reports whether it is to be said now.
func (r *rarely) now() bool {
	if r.said.Swap(true) {
		return false
	}
	time.AfterFunc(time.Minute, func() { r.said.Store(false) })
	return true
}

// dial connects to the NATS servers of others, and waits until there is one.
func (b *Bus) dial(options []nats.Option) (err error) {
	ctx, cancel := context.WithTimeout(b.ctx, b.cfg.Patience)
	defer cancel()
	to := strings.Join(b.cfg.Join, ",")
	for said := false; ; said = true {
		switch b.nc, err = nats.Connect(to, options...); {
		case err == nil:
			return errors.Join(b.checkServer(), checkPayload(b.nc))
		case errors.Is(err, nats.ErrAuthorization):
			return fmt.Errorf("%w: %w", ErrPassword, err)
		case !passes(err) || !pause(ctx, 200*time.Millisecond):
			return fmt.Errorf("cluster/nats: connect to %s: %w", to, err)
		}
		if !said {
			b.cfg.Logger.Info("waiting for the directory of the cluster", "at", to, "error", err)
		}
	}
}

// passes reports whether an error of a connection may be over by itself: whatever is of the network,
// and not of TLS.
func passes(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Op != "local error" && op.Op != "remote error"
	}
	return errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, io.EOF)
}

// checkServer refuses the NATS server of another cluster, where that is known.
func (b *Bus) checkServer() error {
	name, ours := strings.CutPrefix(b.nc.ConnectedServerName(), serverPrefix)
	name, _, _ = strings.Cut(name, ".")
	if ours && name != b.cfg.Name {
		return fmt.Errorf("%w: %q, and there it is %q", ErrName, b.cfg.Name, name)
	}
	return nil
}

// leastPayload is what a NATS server must take at once: cluster.Bus says so.
const leastPayload = 1 << 20

// checkPayload refuses a NATS server that takes less at once than others may send.
func checkPayload(nc *nats.Conn) error {
	if n := nc.MaxPayload(); n < leastPayload {
		return fmt.Errorf("%w: it is %d at %s", ErrPayload, n, nc.ConnectedAddr())
	}
	return nil
}

// reconnected is called when the connection is back, perhaps at another NATS server.
func (b *Bus) reconnected(nc *nats.Conn) {
	b.anew()
	if err := checkPayload(nc); err != nil {
		b.cfg.Logger.Error("the connection to the directory is back, and not as it must be", "error", err)
	}
}

// pause waits for d, and reports false if ctx ends before.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// keep is how long an entry stays that is not written again. Sessions are not as old. The
// tombstone of a server has to outlive what it owned, and rooms may be of any age.
var keep = map[string]time.Duration{"sessions": 48 * time.Hour}

// openBuckets makes the directory, or finds it.
func (b *Bus) openBuckets() error {
	ctx, cancel := context.WithTimeout(b.ctx, b.cfg.Patience)
	defer cancel()
	used := false // servers have been here, so that all buckets were
	for _, bucket := range cluster.Buckets() {
		for {
			made, err := b.openBucket(ctx, bucket)
			switch {
			case made && bucket == "meta":
				b.tellOthers(ctx)
			case made && used:
				b.cfg.Logger.Warn("a part of the directory was not there, and is made anew: unless this release is the first that has it, restart all servers, as it does not know what they have", "bucket", bucket)
			}
			if err == nil {
				used = used || bucket == "meta" && b.used(ctx)
				break
			}
			why := b.log.why()
			if errors.Is(why, ErrPassword) || errors.Is(why, ErrName) || !pause(ctx, 200*time.Millisecond) {
				return errors.Join(fmt.Errorf("%w (%w)", ErrNoDirectory, err), why)
			}
		}
	}
	return nil
}

// awaitCopies waits until this process has all that one of Peers must have. Until then the others
// can't do without each other: an operator that restarts them in turn takes the end of Start for the
// sign that the next one may go.
func (b *Bus) awaitCopies() {
	if b.cfg.Peer == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, b.cfg.Patience)
	defer cancel()
	for !b.hasCopies() {
		if !pause(ctx, 50*time.Millisecond) {
			b.cfg.Logger.Warn("this process does not have its copy of the directory yet: stop none of the other Peers", "dir", b.cfg.Dir)
			return
		}
	}
}

func (b *Bus) hasCopies() bool {
	const account = server.DEFAULT_GLOBAL_ACCOUNT
	for _, bucket := range cluster.Buckets() {
		stream := "KV_" + b.bucket(bucket)
		if b.srv.JetStreamIsStreamAssigned(account, stream) && !b.srv.JetStreamIsStreamCurrent(account, stream) {
			return false
		}
	}
	return b.srv.JetStreamIsCurrent()
}

// used reports whether a server has joined the cluster, which it does when all buckets are there.
func (b *Bus) used(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	value, _, err := b.Get(ctx, "meta/cluster")
	return err == nil && len(value) > 0
}

// openBucket finds a bucket, or makes it.
func (b *Bus) openBucket(ctx context.Context, bucket string) (made bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	want := jetstream.KeyValueConfig{Bucket: b.bucket(bucket), History: 1, TTL: keep[bucket], Storage: jetstream.FileStorage, Replicas: b.cfg.Replicas}
	if _, err = b.js.KeyValue(ctx, want.Bucket); errors.Is(err, jetstream.ErrBucketNotFound) {
		_, err = b.js.CreateKeyValue(ctx, want)
		made = err == nil
	}
	return made, err
}

// adjustEvery is how often it is tried to have the buckets as they should be.
const adjustEvery = time.Second

// adjust sees to it that the buckets are as this release and Config.Replicas want them. A
// process that Joins the others may have been the first that asked for one, and made it with
// fewer copies.
func (b *Bus) adjust() {
	said := false
	for _, bucket := range cluster.Buckets() {
		for {
			err := b.adjustOne(bucket)
			if err == nil {
				break
			}
			if !said && b.ctx.Err() == nil {
				said = true
				b.cfg.Logger.Warn("the directory may have fewer copies than Config.Replicas, until that many servers are there", "bucket", bucket, "error", err)
			}
			if !pause(b.ctx, adjustEvery) {
				return
			}
		}
	}
}

func (b *Bus) adjustOne(bucket string) error {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	s, err := b.js.Stream(ctx, "KV_"+b.bucket(bucket))
	if err != nil {
		return err
	}
	cfg := s.CachedInfo().Config
	if cfg.Replicas >= b.cfg.Replicas && cfg.MaxAge == keep[bucket] {
		return nil
	}
	cfg.Replicas, cfg.MaxAge = max(cfg.Replicas, b.cfg.Replicas), keep[bucket]
	_, err = b.js.UpdateStream(ctx, cfg)
	return err
}

// tellOthers says that this cluster has just begun where there is one of another name: a
// name may have been mistyped.
func (b *Bus) tellOthers(ctx context.Context) {
	var others []string
	for name := range b.js.KeyValueStoreNames(ctx).Name() {
		if other, ok := strings.CutSuffix(name, "_meta"); ok && other != b.cfg.Name {
			others = append(others, other)
		}
	}
	if len(others) > 0 {
		b.cfg.Logger.Warn("this cluster is new, and there are others here: is its name right?", "name", b.cfg.Name, "others", others)
	}
}
