// SPDX-License-Identifier: MIT

package client_test

import (
	"context"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
)

// garbled is a stream that gets bytes of another sender once its client has said goodbye.
type garbled struct {
	*net.TCPConn
	parted atomic.Bool
}

func (g *garbled) CloseWrite() error {
	g.parted.Store(true)
	return g.TCPConn.CloseWrite()
}

func (g *garbled) Read(b []byte) (int, error) {
	n, err := g.TCPConn.Read(b)
	if g.parted.Load() {
		clear(b)
		return len(b), nil
	}
	return n, err
}

// A record that can't be read after the goodbye ends the link as well.
func TestCloseOfASealedStreamEndsWithAnyRecord(t *testing.T) {
	srv, err := framework.New(framework.Config{SealedTCP: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = srv.Shutdown(within(t, 10*time.Second)) }()
	c, err := client.New([]string{"stcp://" + srv.Addr(framework.SealedTCP).String()}, quick(client.Config{
		ServerKey: srv.PublicKey(),
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &garbled{TCPConn: nc.(*net.TCPConn)}, nil
		},
	}))
	if err != nil {
		t.Fatal(err)
	}
	connect(t, c)
	closed := make(chan struct{})
	go func() { _ = c.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("Close does not return")
	}
}
