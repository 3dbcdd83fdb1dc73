// SPDX-License-Identifier: MIT

package nats

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/lifeline-go/lifeline/framework/internal/logtest"
)

// natsServer is a NATS server by itself, at an address, with options of its own.
func natsServer(t *testing.T, at string, change func(*server.Options)) *server.Server {
	t.Helper()
	name, port, err := hostPort("Listen", at)
	if err != nil {
		t.Fatal(err)
	}
	o := &server.Options{Host: name, Port: port, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true}
	change(o)
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.WaitForShutdown)
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
	return s
}

// TestSmallPayload: a NATS server that takes less at once than servers send is refused, and one that
// a connection comes back to is complained of. What was too large was tried for 30 s, and given up.
func TestSmallPayload(t *testing.T) {
	at, small := freePort(t), func(o *server.Options) { o.MaxPayload = 64 << 10 }
	s := natsServer(t, at, small)
	b, err := Start(Config{Join: []string{at}, Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		b.Close()
	}
	if !errors.Is(err, ErrPayload) || !strings.Contains(err.Error(), "65536") {
		t.Error(err)
	}
	s.Shutdown()
	s.WaitForShutdown()
	s = natsServer(t, at, func(*server.Options) {})
	var log logtest.Lines
	if b, err = Start(Config{Join: []string{at}, Logger: log.Logger()}); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s.Shutdown()
	s.WaitForShutdown()
	natsServer(t, at, small)
	awaitThat(t, "the complaint", func() bool { return log.Count(ErrPayload.Error()) == 1 })
}

// TestReplicas: what NATS can't do is refused at once, in words of Config.
func TestReplicas(t *testing.T) {
	at := []string{"127.0.0.1:4222"}
	three := []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}
	for _, c := range []struct {
		cfg Config
		ok  bool
	}{
		{Config{Join: at, Replicas: -1}, false}, {Config{Join: at, Replicas: 2}, false}, {Config{Join: at, Replicas: 7}, false}, {Config{Replicas: 3}, false},
		{Config{Peers: three, Peer: three[0], Dir: "dir", Replicas: 5}, false},
		{Config{Join: at}, true}, {Config{Join: at, Replicas: 5}, true}, {Config{Peers: three, Peer: three[0], Dir: "dir", Replicas: 1}, true},
	} {
		if _, err := c.cfg.withDefaults(); (err == nil) != c.ok || err != nil && !strings.Contains(err.Error(), "Replicas is ") {
			t.Errorf("%+v: %v", c.cfg, err)
		}
	}
}

// TestStartWaits: a NATS server that is about to start, or stands still, as one behind a balancer or
// on a machine that is overloaded, is waited for. Start gave up at once.
func TestStartWaits(t *testing.T) {
	at := freePort(t)
	ln, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() { // ends with ln, or with what Start does
		first, err := ln.Accept()
		if err != nil {
			return
		}
		_ = first.Close() // nothing is behind it yet
		second, err := ln.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, second) // it says nothing, until Start does not wait for it any more
		_ = second.Close()
		_ = ln.Close()
	}()
	var log logtest.Lines
	waited := make(chan error, 1)
	go func() {
		b, err := Start(Config{Join: []string{at}, Logger: log.Logger()})
		if err == nil {
			b.Close()
		}
		waited <- err
	}()
	for { // until the port is free
		if free, err := net.Listen("tcp", at); err == nil {
			_ = free.Close()
			break
		}
		select {
		case err := <-waited:
			t.Fatalf("Start did not wait: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	natsServer(t, at, func(*server.Options) {})
	if err := <-waited; err != nil {
		t.Error(err)
	}
	if log.Count("waiting for the directory") != 1 || log.Count("EOF") != 1 {
		t.Error(log.String())
	}
}
