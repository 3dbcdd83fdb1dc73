// SPDX-License-Identifier: MIT

package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
)

// Close reports what the server has not, and nothing that it has.
func TestCloseReportsWhatWasNotHandled(t *testing.T) {
	eachCarrier(t, func(t *testing.T, carrier string) {
		srv := newServer(t, session.Config{})
		var rec recorder
		c := newClient(t, []string{srv.listen(carrier)}, client.Config{OnEvent: rec.note, CloseTimeout: time.Minute})
		connect(t, c)
		for i := range 40 {
			if err := c.Send("n", uint64(i+1)); err != nil {
				t.Fatal(err)
			}
		}
		begin := time.Now()
		_ = c.Close()
		<-c.Done()
		all := rec.all()
		if end := all[len(all)-1]; end.Kind != client.EventClosed || len(end.Undelivered) != 0 {
			t.Errorf("%v with %d undelivered", end.Kind, len(end.Undelivered))
		}
		if time.Since(begin) > 30*time.Second {
			t.Error("it waited for its own limit")
		}
		srv.do(func() { inOrder(t, "server", srv.last().got, 40) })
	})
}

// What is too large says by how much.
func TestTooLargeTellsSizeAndLimit(t *testing.T) {
	c := newClient(t, []string{"tcp://server:1"}, client.Config{})
	err := c.Send("n", make([]byte, 70_000))
	if !errors.Is(err, codec.ErrTooLarge) || !strings.Contains(err.Error(), "70008 bytes") || !strings.Contains(err.Error(), "takes 65536") {
		t.Error(err)
	}
}

// A handler may wait for an answer that came behind its message, as by a lock. Neither waits
// forever when the client is closed meanwhile.
func TestCloseLetsOutAnswersBehindAHandler(t *testing.T) {
	srv := newServer(t, calm)
	c := newClient(t, []string{srv.listen("tcp")}, client.Config{})
	runs, answered := make(chan struct{}), make(chan error, 1)
	client.OnMessage(c, "tick", func(uint64) {
		close(runs)
		<-answered
	})
	connect(t, c)
	go func() { answered <- c.Request(context.Background(), "push", 1, nil) }()
	<-runs
	until(t, "the answer is there", func() bool { return c.Stats().Received == 2 })
	_ = c.Close()
	select {
	case <-c.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the handler and the request wait for each other")
	}
}
