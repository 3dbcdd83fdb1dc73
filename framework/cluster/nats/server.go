// SPDX-License-Identifier: MIT

package nats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// The NATS server that is part of the process.

// serverPrefix begins the name of every NATS server that is part of a process. The name of
// its cluster follows.
const serverPrefix = "lifeline."

// syncEvery is how often what was written is made sure to be on the disk. NATS's own 2
// minutes lose that much when all machines lose power at once.
const syncEvery = time.Second

// options are those of the NATS server in this process.
func (b *Bus) options() (*server.Options, error) {
	c := &b.cfg
	o := &server.Options{
		ServerName: serverPrefix + c.Name, NoSigs: true, JetStream: true, StoreDir: c.Dir, SyncInterval: syncEvery,
		TLSConfig: c.TLS, TLS: c.TLS != nil, DontListen: c.Listen == "" && c.Peer == "",
		Host: "127.0.0.1", Port: server.RANDOM_PORT, // with Peers it opens its routes only once it listens
		ConnectErrorReports: 60, ReconnectErrorReports: 60, // of a peer that is away: once a minute
	}
	if c.Password != "" {
		o.Username, o.Password = user, c.Password
	}
	var err error
	if c.Listen != "" {
		if o.Host, o.Port, err = hostPort("Listen", c.Listen); err != nil {
			return nil, err
		}
	}
	if c.Peer == "" {
		return o, nil
	}
	// The name is what the others know it by, also after a restart.
	o.ServerName += "." + c.Peer
	o.Cluster = server.ClusterOpts{
		Name: c.Name, Username: o.Username, Password: o.Password, TLSConfig: c.TLS, TLSTimeout: 2,
		NoAdvertise: true, // Join says where NATS servers are
	}
	if o.Cluster.Host, o.Cluster.Port, err = hostPort("Peer", c.Peer); err != nil {
		return nil, err
	}
	for _, peer := range c.Peers {
		if peer != c.Peer {
			route := &url.URL{Scheme: "nats-route", Host: peer}
			if c.Password != "" {
				route.User = url.UserPassword(user, c.Password)
			}
			o.Routes = append(o.Routes, route)
		}
	}
	return o, nil
}

func hostPort(field, address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err == nil && (port < 1 || port > 65535) { // NATS would take another one for 0
		err = fmt.Errorf("port %d is outside 1 ... 65535", port)
	}
	if err != nil {
		return "", 0, fmt.Errorf("cluster/nats: %s %q: %w", field, address, err)
	}
	return host, port, nil
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

// serve starts the NATS server.
func (b *Bus) serve() error {
	if b.cfg.Dir == "" {
		dir, err := os.MkdirTemp("", "lifeline-cluster-")
		if err != nil {
			return fmt.Errorf("cluster/nats: %w", err)
		}
		b.temporary, b.cfg.Dir = dir, dir
	} else if err := b.hold(); err != nil {
		return err
	}
	o, err := b.options()
	if err != nil {
		return err
	}
	if b.srv, err = server.NewServer(o); err != nil {
		return fmt.Errorf("cluster/nats: %w", err)
	}
	b.srv.SetLoggerV2(b.log, false, false, false)
	b.srv.Start()
	if err := b.awaitServer(); err != nil {
		return err
	}
	b.mended.Go(b.mend) // ends with ctx
	return nil
}

// awaitServer waits until the NATS server runs, or says why it does not.
func (b *Bus) awaitServer() error {
	ctx, cancel := context.WithTimeout(b.ctx, b.cfg.Patience)
	defer cancel()
	for !b.srv.ReadyForConnections(100 * time.Millisecond) {
		if fatal := b.log.fatal(); fatal != nil || ctx.Err() != nil {
			return fmt.Errorf("cluster/nats: the NATS server does not start: %w", errors.Join(fatal, b.log.why()))
		}
	}
	if fatal := b.log.fatal(); fatal != nil {
		return fmt.Errorf("cluster/nats: the NATS server does not start: %w", fatal)
	}
	return nil
}

// mendEvery is how often it is looked whether a full disk has room again.
const mendEvery = 2 * time.Second

// mend begins JetStream anew that has stopped because the disk was full, when there is room
// again. Until then the server's clients wait.
func (b *Bus) mend() {
	for pause(b.ctx, mendEvery) {
		if !errors.Is(b.log.lasting(), ErrDisk) || !hasRoom(b.cfg.Dir) {
			continue
		}
		_ = b.srv.ShutdownJetStream() // if it has not stopped by itself
		if err := b.srv.EnableJetStream(&server.JetStreamConfig{StoreDir: b.cfg.Dir, SyncInterval: syncEvery}); err != nil {
			b.cfg.Logger.Error("the directory of the cluster does not start again", "error", err)
			continue
		}
		b.log.mended()
		b.anew()
		b.cfg.Logger.Info("the disk has room again: the directory of the cluster goes on", "dir", b.cfg.Dir)
	}
}

// room is how much must be free for a full disk to count as one that is not.
const room = 1 << 20

// hasRoom reports whether something can be written to a folder.
func hasRoom(dir string) bool {
	name := filepath.Join(dir, "room")
	defer os.Remove(name)
	f, err := os.Create(name)
	if err != nil {
		return false
	}
	_, err = f.Write(make([]byte, room))
	return errors.Join(err, f.Sync(), f.Close()) == nil
}

// complaints is the log of the NATS server. It remembers what the server complained of, in
// plainer words where there are.
type complaints struct {
	log *slog.Logger
	mu  sync.Mutex
	// Guarded by mu.
	known error // the last one for which there are plainer words
	last  error // the last one
	disk  error // that the disk is full, until mended
	ended error // it does not start
}

// plainer are the words for what NATS says.
var plainer = []struct {
	says string
	is   error
}{
	{"no space left", ErrDisk},
	{"out of space", ErrDisk},
	{"Authorization Violation", ErrPassword},
	{"Authentication error", ErrPassword},
	{"Cluster Name Conflict", ErrName},
	{"cluster name", ErrName},
}

// note remembers a complaint.
func (c *complaints) note(text string, fatal bool) {
	err := errors.New("nats: " + text)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range plainer {
		if strings.Contains(text, p.says) {
			err = fmt.Errorf("%w: %w", p.is, err)
			c.known = err
			if p.is == ErrDisk && c.disk == nil {
				c.disk = err
				c.log.Error("the directory of the cluster can't be written: make room, and it goes on by itself", "error", err)
			}
			break
		}
	}
	c.last = err
	if fatal {
		c.ended = err
	}
}

// why returns what explains a failure, nil if nothing does.
func (c *complaints) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return cmp.Or(c.disk, c.known, c.last)
}

// lasting returns what is wrong until it is mended.
func (c *complaints) lasting() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.disk
}

func (c *complaints) mended() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disk, c.known, c.last = nil, nil, nil
}

// fatal returns why the NATS server does not start, nil if it does.
func (c *complaints) fatal() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// Noticef tells of ends of routes, too, which are no complaints but may explain one.
func (c *complaints) Noticef(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); strings.Contains(text, "Conflict") {
		c.note(text, false)
	}
}

func (c *complaints) Debugf(string, ...any) {}
func (c *complaints) Tracef(string, ...any) {}

// Warnf leaves out what Config can't change: the password is there in clear, in memory.
func (c *complaints) Warnf(format string, args ...any) {
	if strings.Contains(format, "Plaintext passwords") {
		return
	}
	c.complain(slog.LevelWarn, fmt.Sprintf(format, args...), false)
}

func (c *complaints) Errorf(format string, args ...any) {
	c.complain(slog.LevelError, fmt.Sprintf(format, args...), false)
}

func (c *complaints) Fatalf(format string, args ...any) {
	c.complain(slog.LevelError, fmt.Sprintf(format, args...), true)
}

func (c *complaints) complain(level slog.Level, text string, fatal bool) {
	c.log.Log(context.Background(), level, "nats: "+text)
	c.note(text, fatal)
}
