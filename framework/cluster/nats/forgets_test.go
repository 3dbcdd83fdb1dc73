// SPDX-License-Identifier: MIT

package nats

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster"
)

// logged is a log that is read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// count returns how many lines have a text.
func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// awaitThat waits until something is so.
func awaitThat(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

// TestDirectoryComesBackEmpty: the process that keeps the directory is started again without what
// it had. A server that had sessions ends them, and says why: the directory does not know of them
// any more, so that their users could play at other servers too.
func TestDirectoryComesBackEmpty(t *testing.T) {
	cfg := Config{Listen: freePort(t), Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)}
	one, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	two := start(t, Config{Join: []string{cfg.Listen}})
	var log logged
	a, ac := serveLogged(t, slog.NewTextHandler(&log, nil), cluster.Config{Bus: two})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ann := annAt(t, a)
	if err := ann.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	awaitThat(t, "the second renewal", func() bool { return ac.Stats().Renewals > 1 })
	one.Close()
	cfg.Dir = t.TempDir()
	one = start(t, cfg)
	awaitThat(t, "the server that was forgotten", func() bool { return ac.Stats().Declared == 1 })
	if n := log.count("the directory has forgotten"); n != 1 {
		t.Errorf("it is said %d times: %s", n, log.b.String())
	}
	b, bc := serve(t, cluster.Config{Bus: one})
	again := annAt(t, b)
	if err := again.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	awaitThat(t, "the end of the sessions that were forgotten", func() bool { return len(a.User("ann")) == 0 })
	if st := bc.Stats(); len(b.User("ann")) != 1 || st.Servers["up"] != 1 {
		t.Errorf("%d sessions, %v", len(b.User("ann")), st.Servers)
	}
}
