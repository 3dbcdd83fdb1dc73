// SPDX-License-Identifier: MIT

//go:build linux || darwin

package nats

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOneProcessADir: a server that is started while the last one drains waits for it. Both
// wrote into the same files, and nearly all that either had acknowledged was lost.
func TestOneProcessADir(t *testing.T) {
	cfg := Config{Dir: filepath.Join(t.TempDir(), "directory"), Patience: time.Second, Logger: slog.New(slog.DiscardHandler)}
	last, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := Start(cfg); err == nil {
		b.Close()
		t.Error("two have it")
	} else if !strings.Contains(err.Error(), cfg.Dir) {
		t.Error(err)
	}
	put(t, last, "sessions/0123456789ab", "parked", 0)
	told := make(chan string, 10)
	cfg.Patience, cfg.Logger = time.Minute, slog.New(slog.NewTextHandler(lineWriter(told), nil))
	next := make(chan *Bus)
	go func() { // ends when the last one has
		b, err := Start(cfg)
		if err != nil {
			t.Error(err)
		}
		next <- b
	}()
	if line := <-told; !strings.Contains(line, "waiting") || !strings.Contains(line, cfg.Dir) {
		t.Error(line)
	}
	last.Close()
	b := <-next
	if b == nil {
		return
	}
	defer b.Close()
	if got, _, err := b.Get(t.Context(), "sessions/0123456789ab"); string(got) != "parked" {
		t.Errorf("%q, %v", got, err)
	}
}
