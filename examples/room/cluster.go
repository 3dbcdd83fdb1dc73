// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/framework/cluster/nats"
)

// Several servers of one machine as one: -cluster. They share a folder: the key that clients
// know, the secret of reconnect tokens, and the directory of who is where. Each has ports ten
// above those of the one before.

// number is the value of -cluster: which server this is, and how many keep the directory.
type number struct {
	n  uint16 // 0: it is alone
	of uint16 // 1: the first keeps it, and the others join; 3 or 5: each of so many does
}

func (c *number) String() string {
	if c.n == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", c.n, c.of)
}

// Set implements flag.Value.
func (c *number) Set(text string) error {
	first, of, many := strings.Cut(text, "/")
	if !many {
		of = "1"
	}
	n, err := strconv.ParseUint(first, 10, 10)
	o, err2 := strconv.ParseUint(of, 10, 10)
	switch {
	case errors.Join(err, err2) != nil || n == 0:
		return errors.New("want a number as 1 or 2, or 1/3, 2/3 and 3/3")
	case many && o != 3 && o != 5:
		return errors.New("3 or 5 servers keep the directory together: more than half of them must agree")
	case many && n > o:
		return fmt.Errorf("there are %d", o)
	}
	c.n, c.of = uint16(n), uint16(o)
	return nil
}

func (s *settings) clusterFlags() {
	flag.Var(&s.cluster, "cluster", "`number` of this server among several of this machine, which are one game: 1, 2 and so on, where the first keeps the directory; or 1/3, 2/3 and 3/3, where any one may stop")
	flag.StringVar(&s.dir, "dir", "", "`folder` that these servers share (default lifeline-room in the user's cache)")
	flag.StringVar(&s.public, "public", "127.0.0.1", "`host` that players dial to reach this server, if it is one of several")
	flag.StringVar(&s.directory, "directory", "", "`addresses`, separated by commas, of the servers that keep the directory (default those of 127.0.0.1 from 7779 on, in steps of ten)")
}

// step is how far the ports of two servers are apart.
const step = 10

// shiftPorts gives the server ports of its own, unless flags say which.
func (s *settings) shiftPorts() {
	if s.cluster.n == 0 {
		return
	}
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for _, name := range []string{"kcp", "plain-kcp", "tcp", "stcp", "ws", "http"} {
		if f := flag.Lookup(name); !given[name] {
			_ = f.Value.Set(shifted(f.DefValue, s.cluster.n))
		}
	}
	if s.directory == "" {
		at := []string{"127.0.0.1:7779"}
		for n := uint16(2); n <= s.cluster.of; n++ {
			at = append(at, shifted(at[0], n))
		}
		s.directory = strings.Join(at, ",")
	}
}

// shifted is what an address of server 1 is at server n.
func shifted(address string, n uint16) string {
	host, port, _ := net.SplitHostPort(address)
	p, _ := strconv.Atoi(port)
	return net.JoinHostPort(host, strconv.Itoa(p+step*int(n-1)))
}

// joinCluster makes the server one of several, if it is. leave is for when it has shut down.
func (s *settings) joinCluster(cfg *framework.Config, logger *slog.Logger) (leave func(), err error) {
	if s.cluster.n == 0 || s.routes {
		return func() {}, nil
	}
	if err := s.share(cfg); err != nil {
		return nil, err
	}
	bus, err := nats.Start(s.nats(logger))
	if err != nil {
		return nil, err
	}
	// With Dir the others know at once that the process of one has ended, however it did.
	if cfg.Cluster, err = cluster.New(cluster.Config{Bus: bus, Node: s.cluster.n, Dir: filepath.Join(s.dir, "processes")}); err != nil {
		bus.Close()
		return nil, err
	}
	cfg.Reopen = func(context.Context, string) (any, error) { return nil, nil } // there is nothing to know of a player
	cfg.Address = s.address()
	cfg.Origins = []string{"*"} // the page of one server goes on at another
	return bus.Close, nil
}

// nats says where the directory is.
func (s *settings) nats(logger *slog.Logger) nats.Config {
	at := strings.Split(s.directory, ",")
	cfg := nats.Config{Logger: logger, Dir: filepath.Join(s.dir, fmt.Sprintf("directory-%d-of-%d", s.cluster.n, s.cluster.of))}
	switch {
	case s.cluster.of > 1:
		cfg.Peers, cfg.Peer = at, at[min(int(s.cluster.n), len(at))-1]
	case s.cluster.n == 1:
		cfg.Listen = at[0]
	default:
		cfg.Join = at
	}
	return cfg
}

// address is what clients of each carrier dial to reach this server.
func (s *settings) address() string {
	ws := "ws"
	if s.cert != "" {
		ws = "wss"
	}
	var all []string
	for _, c := range [][2]string{{"kcp", s.kcp}, {"stcp", s.sealed}, {"plain-kcp", s.plain}, {"tcp", s.tcp}, {ws, s.ws}} {
		if _, port, err := net.SplitHostPort(c[1]); err == nil && port != "0" {
			all = append(all, c[0]+"://"+net.JoinHostPort(s.public, port))
		}
	}
	return strings.Join(all, " ")
}

// share takes what all servers must have alike from their folder. The first one makes it.
func (s *settings) share(cfg *framework.Config) (err error) {
	if s.dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return err
		}
		s.dir = filepath.Join(cache, "lifeline-room")
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if cfg.KeyFile == "" {
		cfg.KeyFile = filepath.Join(s.dir, "server.key") // made when the server starts
	}
	cfg.Secret, err = secretIn(filepath.Join(s.dir, "secret"))
	return err
}

// secretIn reads the secret of reconnect tokens from a file, and makes one if there is none.
// Of two servers that start at once, one writes, and both use what it wrote.
func secretIn(path string) (s framework.Secret, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeSecret(path); err == nil {
			b, err = os.ReadFile(path)
		}
	}
	if err == nil && copy(s[:], b) != len(s) {
		err = fmt.Errorf("%s has %d bytes, want %d", path, len(b), len(s))
	}
	return s, err
}

func makeSecret(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "secret.*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	var s framework.Secret
	_, _ = rand.Read(s[:]) // it never fails
	_, err = f.Write(s[:])
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// announceCluster prints what to do next.
func (s *settings) announceCluster() {
	if s.cluster.n == 0 {
		return
	}
	next := fmt.Sprintf("go run ./examples/room -cluster %d", s.cluster.n+1)
	if s.cluster.of > 1 {
		next = fmt.Sprintf("go run ./examples/room -cluster %d/%d", s.cluster.n%s.cluster.of+1, s.cluster.of)
	}
	fmt.Printf("cluster  this is server %d; another one: %s\n", s.cluster.n, next)
	switch {
	case s.cluster.of > 1:
		fmt.Println("         stop any one: its players go on at the others, and nothing is lost")
	case s.cluster.n > 1:
		fmt.Println("         stop this one: its players go on at the others, and nothing is lost")
	default:
		fmt.Println("         this one keeps the directory: while it is away the others pause")
	}
}
