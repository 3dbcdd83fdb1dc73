// SPDX-License-Identifier: MIT

package agones_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework/agones"
)

// sidecar is Agones' SDK server as far as this package speaks to it. Guarded by mu.
type sidecar struct {
	mu     sync.Mutex
	state  string
	health int
	away   int // how many more calls are answered 503
}

func (s *sidecar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	if r.Method != http.MethodPost || string(body) != "{}" || r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, "no call of the SDK", http.StatusBadRequest)
		return
	}
	if s.away > 0 && r.URL.Path != "/health" {
		s.away--
		http.Error(w, "not yet", http.StatusServiceUnavailable)
		return
	}
	next := map[string]string{"/ready": "Ready", "/allocate": "Allocated", "/shutdown": "Shutdown"}[r.URL.Path]
	switch {
	case r.URL.Path == "/health":
		s.health++
	case next == "", s.state == "Shutdown":
		http.Error(w, "no such step", http.StatusNotFound)
		return
	default:
		s.state = next
	}
	_, _ = w.Write([]byte("{}"))
}

func (s *sidecar) is() (state string, health int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.health
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

var quiet = slog.New(slog.DiscardHandler)

func TestLifeOfAServer(t *testing.T) {
	s := &sidecar{away: 1} // it starts later than we
	web := httptest.NewServer(s)
	defer web.Close()
	var asked atomic.Int64
	g, err := agones.Start(agones.Config{URL: web.URL + "/", HealthEvery: time.Millisecond, Logger: quiet, Healthy: func() bool { asked.Add(1); return true }})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		call func(context.Context) error
		want string
	}{{g.Ready, "Ready"}, {g.Allocate, "Allocated"}, {g.Shutdown, "Shutdown"}} {
		if err := step.call(within(t)); err != nil {
			t.Fatal(err)
		}
		if state, _ := s.is(); state != step.want {
			t.Errorf("%s, want %s", state, step.want)
		}
		if step.want != "Shutdown" {
			_, before := s.is()
			until(t, "a sign of life", func() bool { _, n := s.is(); return n > before })
		}
	}
	last := asked.Load() // what was on its way may still arrive
	time.Sleep(20 * time.Millisecond)
	if n := asked.Load(); n != last {
		t.Errorf("%d signs of life after the end", n-last)
	}
	if err := g.Ready(within(t)); err == nil || !strings.Contains(err.Error(), "no such step") {
		t.Errorf("what the sidecar refuses is %v", err)
	}
}

func TestUnhealthyIsSilent(t *testing.T) {
	s := new(sidecar)
	web := httptest.NewServer(s)
	defer web.Close()
	var well atomic.Bool
	var asked atomic.Int64
	g, err := agones.Start(agones.Config{URL: web.URL, HealthEvery: time.Millisecond, Logger: quiet, Healthy: func() bool { asked.Add(1); return well.Load() }})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	until(t, "it is asked", func() bool { return asked.Load() > 5 })
	if _, n := s.is(); n != 0 {
		t.Errorf("%d signs of life while ill", n)
	}
	well.Store(true)
	until(t, "a sign of life", func() bool { _, n := s.is(); return n > 0 })
}

func TestNoSidecar(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	t.Setenv("AGONES_SDK_HTTP_PORT", port)
	g, err := agones.Start(agones.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := g.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "ready") {
		t.Errorf("without a sidecar: %v", err)
	}
	for _, cfg := range []agones.Config{{URL: "localhost:9358"}, {URL: "::"}, {HealthEvery: -1}} {
		if _, err := agones.Start(cfg); err == nil {
			t.Errorf("%+v passes", cfg)
		}
	}
}
