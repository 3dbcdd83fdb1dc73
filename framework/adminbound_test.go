// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener of connections in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial returns once the connection is accepted.
func (p pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p <- theirs
	return ours
}

// TestSilentAdminConnectionsAreBounded: of 300 only 64 take a file at once, each
// for ten seconds, and a body that does not come ends too.
func TestSilentAdminConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := New(Config{AdminToken: "a token of the operator", Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		bodies := make(chan error, 1)
		srv.AdminPage("/body", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			bodies <- err
		}))
		srv.AdminPage("/slow", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select { // as a profile
			case <-time.After(time.Minute):
				_, _ = io.WriteString(w, "ok")
			case <-r.Context().Done():
			}
		}))
		ln := make(pipes)
		srv.serveAdmin(ln)
		var accepted atomic.Int32
		for range 300 {
			go func() {
				ln.dial()
				accepted.Add(1)
			}()
		}
		synctest.Wait()
		if n := accepted.Load(); n != adminConns {
			t.Errorf("%d silent connections are open, want %d", n, adminConns)
		}
		time.Sleep(5*adminPatience + time.Second) // 300 are served in five rounds
		synctest.Wait()
		if n := accepted.Load(); n != 300 {
			t.Errorf("%d of 300 silent connections had their turn", n)
		}
		get := func(method, path, body string, length int) string {
			c := ln.dial()
			defer c.Close()
			go fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer a token of the operator\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", method, path, length, body)
			got, _ := io.ReadAll(c)
			first, _, _ := strings.Cut(string(got), "\r\n")
			return first
		}
		if got := get("GET", "/slow", "", 0); got != "HTTP/1.1 200 OK" {
			t.Errorf("a slow answer: %q", got)
		}
		begin := time.Now()
		get("POST", "/body", "never whole", 100)
		if err := <-bodies; err == nil || time.Since(begin) > adminPatience+time.Second {
			t.Errorf("a body that does not come: %v after %v", err, time.Since(begin))
		}
		_ = srv.admin.Close()
	})
}
