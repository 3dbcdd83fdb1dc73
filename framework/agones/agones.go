// SPDX-License-Identifier: MIT

// Package agones tells Agones, which runs game servers on Kubernetes, what a server does: that it is
// ready for players, that it is in use, that it lives, that it has ended. It speaks to the SDK's
// sidecar over HTTP and needs no library of it.
//
//	g, err := agones.Start(agones.Config{})
//	...
//	srv.Start()
//	g.Ready(ctx)            // players may be sent here
//	g.Allocate(ctx)         // a match has begun: no scale-down ends it
//	srv.Shutdown(ctx)       // the match is over, or SIGTERM came
//	g.Shutdown(ctx)         // Agones may remove the pod
package agones

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Config says where the sidecar is. The zero value works in a pod of Agones.
type Config struct {
	// URL is where the sidecar's HTTP gateway is served. If empty, localhost at the port that
	// Agones names in AGONES_SDK_HTTP_PORT, or 9358.
	URL string
	// HealthEvery is the time between two signs of life. If zero, 2 s. Agones' own default takes a
	// server for dead after 5 s without, three times.
	HealthEvery time.Duration
	// Healthy is asked before each sign of life. While it says false there is none, and Agones ends
	// the server in the end. If nil, a process that runs is healthy.
	Healthy func() bool
	// Logger takes what goes wrong with signs of life. If nil, slog.Default().
	Logger *slog.Logger
}

// GameServer is this process as Agones sees it. Its methods are safe to call from any goroutine.
type GameServer struct {
	cfg    Config // immutable
	stop   context.CancelFunc
	ctx    context.Context
	ended  chan struct{} // closed when there are no more signs of life
	client http.Client

	failed bool // the last sign of life; owned by live
}

const (
	// callTimeout bounds one call. The sidecar is on the same machine.
	callTimeout = 5 * time.Second
	// retryEvery is how long it is until a sidecar that is not there is called again.
	retryEvery = 500 * time.Millisecond
)

// Start begins to give signs of life. The error is that of a URL which can't be one.
func Start(cfg Config) (*GameServer, error) {
	if cfg.URL == "" {
		cfg.URL = "http://localhost:" + cmp.Or(os.Getenv("AGONES_SDK_HTTP_PORT"), "9358")
	}
	if u, err := url.Parse(cfg.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("agones: URL %q is none like http://localhost:9358", cfg.URL)
	}
	if cfg.HealthEvery < 0 {
		return nil, fmt.Errorf("agones: HealthEvery %v is negative", cfg.HealthEvery)
	}
	cfg.HealthEvery = cmp.Or(cfg.HealthEvery, 2*time.Second)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	cfg.URL = strings.TrimSuffix(cfg.URL, "/")
	g := &GameServer{cfg: cfg, ended: make(chan struct{}), client: http.Client{Timeout: callTimeout}}
	g.ctx, g.stop = context.WithCancel(context.Background())
	go g.live() // ends with Close
	return g, nil
}

// Ready says that players may be sent here. It waits for the sidecar, which may start later than
// this process, until ctx ends.
func (g *GameServer) Ready(ctx context.Context) error { return g.call(ctx, "ready") }

// Allocate says that the server is in use: Agones does not remove it to have fewer.
func (g *GameServer) Allocate(ctx context.Context) error { return g.call(ctx, "allocate") }

// Shutdown says that the server has ended, and stops the signs of life. Agones then removes the pod,
// and this process gets SIGTERM.
func (g *GameServer) Shutdown(ctx context.Context) error {
	err := g.call(ctx, "shutdown")
	if err == nil {
		g.Close()
	}
	return err
}

// Close stops the signs of life. Agones is told nothing: without them it takes the server for dead.
func (g *GameServer) Close() {
	g.stop()
	<-g.ended
}

// errSidecar is an answer that says no.
var errSidecar = errors.New("the sidecar refuses")

// call tells the sidecar something, again and again while it is not there.
func (g *GameServer) call(ctx context.Context, what string) error {
	for {
		err := g.post(ctx, what)
		if err == nil || errors.Is(err, errSidecar) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", ctx.Err(), err)
		case <-time.After(retryEvery):
		}
	}
}

// post is one call. What the sidecar answers with a status below 500 is its last word.
func (g *GameServer) post(ctx context.Context, what string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.cfg.URL+"/"+what, strings.NewReader("{}"))
	if err != nil {
		return fmt.Errorf("agones: %s: %w", what, err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := g.client.Do(r)
	if err != nil {
		return fmt.Errorf("agones: %s: %w", what, err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	switch {
	case answer.StatusCode >= 500:
		return fmt.Errorf("agones: %s: status %d: %s", what, answer.StatusCode, text)
	case answer.StatusCode >= 300:
		return fmt.Errorf("agones: %s: %w: status %d: %s", what, errSidecar, answer.StatusCode, text)
	}
	return nil
}

// live gives signs of life until Close.
func (g *GameServer) live() {
	defer close(g.ended)
	every := time.NewTicker(g.cfg.HealthEvery)
	defer every.Stop()
	for {
		if g.cfg.Healthy == nil || g.cfg.Healthy() {
			g.note(g.post(g.ctx, "health"))
		}
		select {
		case <-every.C:
		case <-g.ctx.Done():
			return
		}
	}
}

// note logs the first of several signs of life that failed, and the first that did not again.
func (g *GameServer) note(err error) {
	was := g.failed
	g.failed = err != nil
	switch {
	case g.ctx.Err() != nil || was == g.failed:
	case g.failed:
		g.cfg.Logger.Warn("agones takes no sign of life", "error", err)
	default:
		g.cfg.Logger.Info("agones takes signs of life again")
	}
}
