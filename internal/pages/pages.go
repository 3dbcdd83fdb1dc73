// SPDX-License-Identifier: MIT

// Package pages serves web pages beside a game: with few connections, each for a
// short time, so that who opens them and says nothing takes no file from players.
package pages

import (
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// Connections is how many there may be at once. Beyond it they are closed.
	Connections = 64
	// patience is how long a request may take to come, and a connection be idle.
	patience = 10 * time.Second
	// maxBody bounds the body of a request in bytes.
	maxBody = 1 << 20
	// maxHeader bounds its header.
	maxHeader = 16 << 10
)

// Server returns a server of h that Serve is to be called of with Limit's
// listener. Answers may take as long as they do: profiles need minutes.
func Server(h http.Handler) *http.Server {
	bounded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			// No ReadTimeout of the server: it would end the context of a profile.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(patience))
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		h.ServeHTTP(w, r)
	})
	return &http.Server{Handler: bounded, ReadHeaderTimeout: patience, IdleTimeout: patience, MaxHeaderBytes: maxHeader}
}

// Limit bounds the connections of a listener that are open at once.
func Limit(ln net.Listener) net.Listener { return &limited{Listener: ln} }

type limited struct {
	net.Listener

	mu   sync.Mutex
	open int
}

// Accept closes what is too much, at once: a file that is held for a moment.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.add(1) <= Connections {
			return &counted{Conn: c, l: l}, nil
		}
		l.add(-1)
		_ = c.Close()
	}
}

func (l *limited) add(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open += n
	return l.open
}

type counted struct {
	net.Conn
	l    *limited
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.l.add(-1) })
	return c.Conn.Close()
}
