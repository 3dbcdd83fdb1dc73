// SPDX-License-Identifier: MIT

package admin

import (
	"fmt"
	"io"
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
func (p pipes) Close() error {
	defer func() { _ = recover() }() // closed before
	close(p)
	return nil
}
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial returns once the connection is accepted.
func (p pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p <- theirs
	return ours
}

// TestSilentConnectionsAreBounded: of 300 only 64 take a file at once, each
// for ten seconds, and a body that does not come ends too.
func TestSilentConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mux := http.NewServeMux()
		bodies := make(chan error, 1)
		mux.HandleFunc("/body", func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			bodies <- err
		})
		mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
			select { // as a profile
			case <-time.After(time.Minute):
				_, _ = io.WriteString(w, "ok")
			case <-r.Context().Done():
			}
		})
		ln := make(pipes)
		srv := on(ln, time.Now)
		healthy := func() error { return nil }
		srv.Serve(Handler("a token of the operator", mux, Probes{healthy, healthy}, func(r *http.Request, why string) { t.Errorf("%s: %s", r.URL, why) }))
		var accepted atomic.Int32
		for range 300 {
			go func() {
				ln.dial()
				accepted.Add(1)
			}()
		}
		synctest.Wait()
		if n := accepted.Load(); n != maxConns {
			t.Errorf("%d silent connections are open, want %d", n, maxConns)
		}
		time.Sleep(5*patience + time.Second) // 300 are served in five rounds
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
		if err := <-bodies; err == nil || time.Since(begin) > patience+time.Second {
			t.Errorf("a body that does not come: %v after %v", err, time.Since(begin))
		}
		srv.Close()
	})
}
