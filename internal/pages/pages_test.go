// SPDX-License-Identifier: MIT

package pages

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
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

func (p pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p <- theirs
	return ours
}

// TestSilentConnectionsKeepNobodyOutForLong: 300 of them are 64, for ten seconds.
func TestSilentConnectionsKeepNobodyOutForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := make(pipes)
		bodies := make(chan error, 1)
		srv := Server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/body":
				_, err := io.Copy(io.Discard, r.Body)
				bodies <- err
			case "/slow":
				select {
				case <-time.After(time.Minute):
				case <-r.Context().Done():
					return
				}
			}
			_, _ = io.WriteString(w, "ok")
		}))
		go func() { _ = srv.Serve(Limit(ln)) }()
		var all []net.Conn
		for range 300 {
			all = append(all, ln.dial())
		}
		synctest.Wait()
		open := 0
		for _, c := range all {
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				open++
			}
		}
		if open != Connections {
			t.Errorf("%d are open, want %d", open, Connections)
		}
		time.Sleep(patience + time.Second)
		get := func(method, path, body string, length int) string {
			c := ln.dial()
			defer c.Close()
			go fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", method, path, length, body)
			got, _ := io.ReadAll(c)
			first, _, _ := strings.Cut(string(got), "\r\n")
			return first
		}
		if got := get("GET", "/", "", 0); got != "HTTP/1.1 200 OK" {
			t.Errorf("the silent ones are still there: %q", got)
		}
		if got := get("GET", "/slow", "", 0); got != "HTTP/1.1 200 OK" { // a profile
			t.Errorf("a slow answer: %q", got)
		}
		begin := time.Now()
		get("POST", "/body", "never whole", 100)
		if err := <-bodies; err == nil || time.Since(begin) > patience+time.Second {
			t.Errorf("a body that does not come: %v after %v", err, time.Since(begin))
		}
		_ = srv.Close()
	})
}
