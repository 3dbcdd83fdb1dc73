// SPDX-License-Identifier: MIT

package nats

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/lifeline-go/lifeline/framework/cluster"
)

// TestQuestionsDoNotWait: what is asked while the connection is away was not received, and is not
// when it is back: whoever asked has given up by then.
func TestQuestionsDoNotWait(t *testing.T) {
	cfg := Config{Listen: freePort(t), Dir: t.TempDir()}
	first, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Start(Config{Join: []string{cfg.Listen}})
	if err != nil {
		first.Close()
		t.Fatal(err)
	}
	defer second.Close()
	first.Close()
	for deadline := time.Now().Add(20 * time.Second); second.nc.IsConnected(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the connection stays")
		}
	}
	ask := func(question string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := second.Ask(ctx, "one", []byte(question))
		return err
	}
	if err := ask("early"); !errors.Is(err, cluster.ErrNoServer) {
		t.Errorf("asked while the connection is away: %v", err)
	}
	if first, err = Start(cfg); err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	heard := make(chan string, 100)
	if err := first.Serve(t.Context(), "one", func(q []byte) []byte { heard <- string(q); return q }); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ask("late") != nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the connection does not come back")
		}
	}
	if q := <-heard; q != "late" {
		t.Errorf("%q was received, and nobody waits for the answer", q)
	}
}

// TestComplaintsAreLogged: what the connection complains of comes where all is logged, and once
// for many alike. It went to stderr, past a logger that writes JSON, say.
func TestComplaintsAreLogged(t *testing.T) {
	lines := make(chan string, 100)
	b, err := Start(Config{Dir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(lineWriter(lines), nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for range 3 { // each is slow, and complains
		slow, err := b.nc.SubscribeSync("much")
		if err == nil {
			err = slow.SetPendingLimits(1, -1)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		if err := b.nc.Publish("much", nil); err != nil {
			t.Fatal(err)
		}
	}
	late := time.After(10 * time.Second)
	for said := ""; !strings.Contains(said, "slow consumer") || !strings.Contains(said, "much"); {
		select {
		case said = <-lines:
		case <-late:
			t.Fatal("nothing is logged")
		}
	}
	b.complain(b.nc, nil, nats.ErrSlowConsumer)
	for len(lines) > 0 {
		if line := <-lines; strings.Contains(line, "complains") {
			t.Errorf("logged again: %s", line)
		}
	}
}

// lineWriter gets what a logger writes.
type lineWriter chan<- string

func (l lineWriter) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// TestWhyItIsAway: while the connection can't be made again, each error says why. It was that
// nothing came in time, as of a directory that is slow, and the certificate that has ended was not
// named anywhere.
func TestWhyItIsAway(t *testing.T) {
	secure := certificate(t)
	cfg := Config{Listen: freePort(t), Dir: t.TempDir(), Password: "secret", TLS: secure, Logger: slog.New(slog.DiscardHandler)}
	one, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	two := start(t, Config{Join: []string{cfg.Listen}, Password: "secret", TLS: secure})
	one.Close()
	cfg.TLS = certificate(t) // that the other does not trust, as one that has ended
	start(t, cfg)
	awaitThat(t, "the reason", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, _, err = two.Get(ctx, "leases/1")
		return errors.Is(err, nats.ErrDisconnected) && strings.Contains(err.Error(), "x509")
	})
	t.Log(err)
}
