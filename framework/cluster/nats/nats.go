// SPDX-License-Identifier: MIT

// Package nats joins the servers of a cluster by NATS: core messages between them, and a
// directory in JetStream. A NATS server is part of one process, which the others join; or all
// join a cluster of NATS's own, so that no single machine is missed. No other package links
// NATS: a game that has one server has not a byte of it.
package nats

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
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
	// Join are the addresses, "10.0.0.7:4222", of NATS servers with JetStream: of one that
	// is part of another process, or of a cluster of NATS's own. If empty, a NATS server
	// is part of this process.
	Join []string
	// Listen is where others Join that one. If empty, they can't.
	Listen string
	// Dir is where it keeps the directory, so that a restart finds it. If empty, a
	// temporary folder.
	Dir string
	// Replicas is how many NATS servers have each entry: 3 in a cluster of 3 or more. If
	// zero, 1.
	Replicas int
	// TLS is of all connections between servers, Password what they show each other. Both
	// are required unless all addresses are of the loopback. If nil and empty, none.
	TLS      *tls.Config
	Password string
	// Patience is how long Start waits for the directory. If zero, 30 s.
	Patience time.Duration
	// Logger takes what the NATS server complains of. If nil, slog.Default().
	Logger *slog.Logger
}

// ErrUnsafe refuses a cluster whose servers talk in clear, or to anybody.
var ErrUnsafe = errors.New("cluster/nats: an address that is not of the loopback needs Config.TLS and Config.Password: what players are sent would be there for anybody to read")

// ErrNoDirectory says that there is no directory to be used.
var ErrNoDirectory = errors.New("cluster/nats: no directory answers: is JetStream on there, and are there as many servers as Config.Replicas?")

// Bus is a cluster.Bus.
type Bus struct {
	cfg    Config
	log    *complaints
	srv    *server.Server // nil if Config.Join
	nc     *nats.Conn
	js     jetstream.JetStream
	ctx    context.Context
	cancel context.CancelFunc

	temporary string // a folder to be removed

	mu    sync.Mutex
	blind []func() // of every watch, to begin it anew; guarded by mu
}

var validName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

func (c Config) withDefaults() (Config, error) {
	if c.Name == "" {
		c.Name = "lifeline"
	}
	c.Replicas = max(c.Replicas, 1)
	if c.Patience == 0 {
		c.Patience = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if !validName.MatchString(c.Name) {
		return c, fmt.Errorf("cluster/nats: Name %q has other characters than letters, digits and dashes", c.Name)
	}
	for _, address := range append([]string{c.Listen}, c.Join...) {
		if (c.TLS == nil || c.Password == "") && !loopback(address) {
			return c, fmt.Errorf("%w: %s", ErrUnsafe, address)
		}
	}
	return c, nil
}

// loopback reports whether an address is none, or of this machine alone.
func loopback(address string) bool {
	if _, after, ok := strings.Cut(address, "://"); ok {
		address = after
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip := net.ParseIP(host)
	return address == "" || host == "localhost" || ip != nil && ip.IsLoopback()
}

// Start starts the NATS server, if it is part of this process, and returns once the
// directory answers.
func Start(cfg Config) (*Bus, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Bus{cfg: cfg, log: &complaints{log: cfg.Logger}}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	if err := b.connect(); err != nil {
		b.Close()
		return nil, err
	}
	if err := b.openBuckets(); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Close ends the connection and the NATS server. Shut the game's server down before.
func (b *Bus) Close() {
	b.cancel()
	if b.nc != nil {
		b.nc.Close()
	}
	if b.srv != nil {
		b.srv.Shutdown()
		b.srv.WaitForShutdown()
	}
	if b.temporary != "" {
		_ = os.RemoveAll(b.temporary)
	}
}

// user is the name by which servers log in at NATS.
const user = "lifeline"

// options are those of the NATS server in this process.
func (b *Bus) options() (*server.Options, error) {
	c := &b.cfg
	o := &server.Options{
		ServerName: c.Name, NoSigs: true, JetStream: true, StoreDir: c.Dir, SyncInterval: time.Second,
		TLSConfig: c.TLS, TLS: c.TLS != nil, DontListen: c.Listen == "",
	}
	if c.Password != "" {
		o.Username, o.Password = user, c.Password
	}
	if c.Listen == "" {
		return o, nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err == nil {
		o.Host = host
		o.Port, err = strconv.Atoi(port)
	}
	if err != nil {
		return nil, fmt.Errorf("cluster/nats: Listen: %w", err)
	}
	return o, nil
}

// connect starts the NATS server and connects to it.
func (b *Bus) connect() error {
	options := []nats.Option{
		nats.Name("lifeline"), nats.MaxReconnects(-1), nats.ReconnectWait(200 * time.Millisecond),
		nats.PingInterval(2 * time.Second), nats.MaxPingsOutstanding(2), nats.ReconnectHandler(func(*nats.Conn) { b.anew() }),
	}
	if b.cfg.Password != "" {
		options = append(options, nats.UserInfo(user, b.cfg.Password))
	}
	to := strings.Join(b.cfg.Join, ",")
	if b.cfg.TLS != nil {
		options = append(options, nats.Secure(b.cfg.TLS))
	}
	if to == "" {
		if err := b.serve(); err != nil {
			return err
		}
		options = append(options, nats.InProcessServer(b.srv))
	}
	var err error
	if b.nc, err = nats.Connect(to, options...); err != nil {
		return fmt.Errorf("cluster/nats: connect to %q: %w", to, err)
	}
	b.js, err = jetstream.New(b.nc)
	return err
}

// serve starts the NATS server.
func (b *Bus) serve() error {
	o, err := b.options()
	if err != nil {
		return err
	}
	if o.StoreDir == "" {
		if o.StoreDir, err = os.MkdirTemp("", "lifeline-cluster-"); err != nil {
			return fmt.Errorf("cluster/nats: %w", err)
		}
		b.temporary = o.StoreDir
	}
	if b.srv, err = server.NewServer(o); err != nil {
		return fmt.Errorf("cluster/nats: %w", err)
	}
	b.srv.SetLoggerV2(b.log, false, false, false)
	b.srv.Start()
	if !b.srv.ReadyForConnections(b.cfg.Patience) {
		return fmt.Errorf("cluster/nats: the NATS server does not start: %s", b.log.text())
	}
	return nil
}

// keep is how long an entry stays that is not written again. Sessions are not as old, and
// the tombstone of a server has to outlive what it owned.
var keep = map[string]time.Duration{"sessions": 48 * time.Hour, "dead": 96 * time.Hour}

// openBuckets makes the directory, or finds it.
func (b *Bus) openBuckets() error {
	ctx, cancel := context.WithTimeout(b.ctx, b.cfg.Patience)
	defer cancel()
	for _, bucket := range cluster.Buckets() {
		for {
			want := jetstream.KeyValueConfig{Bucket: b.bucket(bucket), History: 1, TTL: keep[bucket], Storage: jetstream.FileStorage, Replicas: b.cfg.Replicas}
			try, stop := context.WithTimeout(ctx, 3*time.Second)
			_, err := b.js.KeyValue(try, want.Bucket)
			if errors.Is(err, jetstream.ErrBucketNotFound) {
				_, err = b.js.CreateKeyValue(try, want)
			}
			stop()
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%w (%w) %s", ErrNoDirectory, err, b.log.text())
			case <-time.After(200 * time.Millisecond):
			}
		}
	}
	return nil
}

func (b *Bus) bucket(name string) string { return b.cfg.Name + "_" + name }

// split returns the subject and the stream of a key.
func (b *Bus) split(key string) (subject, stream string) {
	bucket, name, _ := strings.Cut(key, "/")
	return "$KV." + b.bucket(bucket) + "." + name, "KV_" + b.bucket(bucket)
}

// stored is the answer of the leader of a stream.
type stored struct {
	Message *struct {
		Seq    uint64 `json:"seq"`
		Header []byte `json:"hdrs"`
		Data   []byte `json:"data"`
	} `json:"message"`
	Error *jetstream.APIError `json:"error"`
}

// Get implements cluster.Bus. It asks the leader: a replica may be late.
func (b *Bus) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	subject, stream := b.split(key)
	q, _ := json.Marshal(map[string]string{"last_by_subj": subject})
	m, err := b.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, q)
	if err != nil {
		return nil, 0, fmt.Errorf("cluster/nats: get %s: %w", key, err)
	}
	var at stored
	switch err := json.Unmarshal(m.Data, &at); {
	case err != nil:
		return nil, 0, fmt.Errorf("cluster/nats: get %s: %w", key, err)
	case at.Error != nil && at.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, 0, nil
	case at.Error != nil:
		return nil, 0, fmt.Errorf("cluster/nats: get %s: %w", key, at.Error)
	case at.Message == nil:
		return nil, 0, fmt.Errorf("cluster/nats: get %s: an answer without a message", key)
	}
	return at.Message.Data, at.Message.Seq, nil // a key that was removed has no data
}

// Put implements cluster.Bus.
func (b *Bus) Put(ctx context.Context, key string, value []byte, rev uint64) (uint64, error) {
	subject, _ := b.split(key)
	m := nats.NewMsg(subject)
	m.Data = value
	if len(value) == 0 {
		m.Header.Set("KV-Operation", "DEL")
	}
	ack, err := b.js.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(rev))
	var no *jetstream.APIError
	switch {
	case err == nil:
		return ack.Sequence, nil
	case errors.As(err, &no) && strings.Contains(no.Description, "wrong last sequence"):
		return 0, cluster.ErrConflict
	}
	return 0, fmt.Errorf("cluster/nats: put %s: %w", key, err)
}

// anew begins every watch anew: the connection was away.
func (b *Bus) anew() {
	b.mu.Lock()
	all := append([]func(){}, b.blind...)
	b.mu.Unlock()
	for _, f := range all {
		f()
	}
}

// Watch implements cluster.Bus.
func (b *Bus) Watch(ctx context.Context, bucket string, changed func(string, []byte, uint64), blind func()) error {
	restart := make(chan struct{}, 1)
	b.mu.Lock()
	b.blind = append(b.blind, func() {
		select {
		case restart <- struct{}{}:
		default:
		}
	})
	b.mu.Unlock()
	w, err := b.watchOnce(ctx, bucket, changed)
	if err != nil {
		return err
	}
	go func() { // ends with ctx
		for {
			over := b.follow(ctx, w, restart, changed)
			if over {
				return
			}
			blind()
			for w = nil; w == nil && ctx.Err() == nil; {
				if w, err = b.watchOnce(ctx, bucket, changed); err != nil {
					b.cfg.Logger.Warn("the directory can't be watched", "bucket", bucket, "error", err)
					time.Sleep(500 * time.Millisecond)
				}
			}
			blind()
		}
	}()
	return nil
}

// watchOnce begins to watch, and tells what is there.
func (b *Bus) watchOnce(ctx context.Context, bucket string, changed func(string, []byte, uint64)) (jetstream.KeyWatcher, error) {
	try, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	kv, err := b.js.KeyValue(try, b.bucket(bucket))
	if err != nil {
		return nil, err
	}
	w, err := kv.WatchAll(ctx)
	if err != nil {
		return nil, err
	}
	for {
		select {
		case e, ok := <-w.Updates():
			if !ok || e == nil {
				return w, nil
			}
			tell(e, changed)
		case <-try.Done():
			_ = w.Stop()
			return nil, try.Err()
		}
	}
}

func tell(e jetstream.KeyValueEntry, changed func(string, []byte, uint64)) {
	if e.Operation() == jetstream.KeyValuePut {
		changed(e.Key(), e.Value(), e.Revision())
	}
}

// follow tells changes until the watch must begin anew, or is over.
func (b *Bus) follow(ctx context.Context, w jetstream.KeyWatcher, restart <-chan struct{}, changed func(string, []byte, uint64)) (over bool) {
	defer func() { _ = w.Stop() }()
	for {
		select {
		case e, ok := <-w.Updates():
			if !ok {
				return ctx.Err() != nil
			}
			if e != nil {
				tell(e, changed)
			}
		case <-restart:
			return false
		case <-ctx.Done():
			return true
		}
	}
}

func (b *Bus) subject(name string) string { return b.cfg.Name + ".n." + name }

// Serve implements cluster.Bus.
func (b *Bus) Serve(ctx context.Context, name string, answer func([]byte) []byte) error {
	sub, err := b.nc.Subscribe(b.subject(name), func(m *nats.Msg) {
		go func() { // ends with the answer
			if a := answer(m.Data); a != nil {
				_ = m.Respond(a)
			}
		}()
	})
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = sub.Unsubscribe() })
	return b.nc.FlushTimeout(5 * time.Second)
}

// Ask implements cluster.Bus.
func (b *Bus) Ask(ctx context.Context, name string, question []byte) ([]byte, error) {
	m, err := b.nc.RequestWithContext(ctx, b.subject(name), question)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", cluster.ErrNoAnswer, err)
	}
	return m.Data, nil
}

// complaints is the log of the NATS server, of which the last complaint is remembered.
type complaints struct {
	log  *slog.Logger
	mu   sync.Mutex
	last string // guarded by mu
}

func (c *complaints) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

func (c *complaints) complain(level slog.Level, format string, args []any) {
	text := fmt.Sprintf(format, args...)
	c.mu.Lock()
	c.last = text
	c.mu.Unlock()
	c.log.Log(context.Background(), level, "nats: "+text)
}

func (c *complaints) Noticef(string, ...any)        {}
func (c *complaints) Debugf(string, ...any)         {}
func (c *complaints) Tracef(string, ...any)         {}
func (c *complaints) Warnf(format string, a ...any) { c.complain(slog.LevelWarn, format, a) }
func (c *complaints) Errorf(format string, a ...any) {
	c.complain(slog.LevelError, format, a)
}
func (c *complaints) Fatalf(format string, a ...any) {
	c.complain(slog.LevelError, format, a)
}
