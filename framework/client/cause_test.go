// SPDX-License-Identifier: MIT

package client_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport/seal"
)

// answers is a TCP server that says the same to everybody and then waits, or
// hangs up.
func answers(t *testing.T, say string, stay bool) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() { // ends with the listener
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(nc, say)
			if !stay {
				_ = nc.(*net.TCPConn).CloseWrite()
			}
			t.Cleanup(func() { _ = nc.Close() })
		}
	}()
	return l.Addr().String()
}

// silentUDP is a port that takes everything and says nothing.
func silentUDP(t *testing.T) string {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	return pc.LocalAddr().String()
}

// What is wrong before the first session is told in words that help: by the
// state, by Connect and by the log.
func TestWhyNobodyIsReached(t *testing.T) {
	page := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(page.Close)
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(secure.Close)
	host := func(s *httptest.Server) string { return s.Listener.Addr().String() }
	key, err := seal.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	greeting := string(session.AppendGreeting(nil, session.Nonce{}))
	const silent = 300 * time.Millisecond // where it is waited for in vain
	for _, c := range []struct{ name, addr, want string }{
		{"a wrong key, or nobody", "kcp://" + silentUDP(t), "its key is not the one in ServerKey"},
		{"nobody", "plain-kcp://" + silentUDP(t), "nobody answers: no server there"},
		{"a closed port", "tcp://127.0.0.1:1", "connection refused"},
		{"no such name", "tcp://no.such.host.invalid:1", "no.such.host.invalid"},
		{"a web server", "tcp://" + host(page), "it takes connections and then says nothing"},
		{"a server that hangs up", "tcp://" + answers(t, "", false), "ends the connection at once"},
		{"an SSH server", "tcp://" + answers(t, "SSH-2.0-OpenSSH_9.2p1\r\n", true), "does not speak Lifeline"},
		{"TCP for WebSocket", "ws://" + answers(t, greeting, true) + "/", "is the port one for tcp://"},
		{"another path", "ws://" + host(page) + "/", "status 404"},
		{"ws for wss", "ws://" + host(secure) + "/", "for wss://"},
		{"ws for wss, to a server like ours", "ws://" + answers(t, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", true) + "/", "is it wss:// instead"},
		{"wss for ws", "wss://" + host(page) + "/", "does not speak TLS"},
		{"a certificate that nobody knows", "wss://" + host(secure) + "/", "certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var rec recorder
			var log bytes.Buffer
			waits := 20 * time.Second
			if strings.Contains(c.addr, "kcp://") || c.name == "a web server" || c.name == "TCP for WebSocket" {
				waits = silent
			}
			cl := newClient(t, []string{c.addr}, client.Config{
				OnEvent: rec.note, DialTimeout: waits, OpeningTimeout: waits, MinDelay: time.Hour, MaxDelay: time.Hour,
				ServerKey: key.Public().String(), Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- cl.Connect(ctx) }()
			until(t, "a failed attempt", func() bool { return len(rec.failed()) > 0 })
			cancel()
			err := <-done
			<-cl.Done()
			if s := rec.failed()[0]; !strings.Contains(s.Err.Error(), c.want) || !strings.Contains(s.Err.Error(), c.addr) {
				t.Errorf("state: %v", s.Err)
			}
			if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Connect: %v", err)
			}
			if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), c.want) {
				t.Errorf("log: %s", log.String())
			}
		})
	}
}

// Each address has its own cause.
func TestEveryAddressTellsItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec recorder
		refuse := func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
		c := newClient(t, []string{"tcp://one:1", "tcp://two:2"}, client.Config{OnEvent: rec.note, Dial: refuse})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err := c.Connect(ctx)
		for _, want := range []string{"tcp://one:1", "tcp://two:2"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v lacks %s", err, want)
			}
		}
		<-c.Done()
	})
}

// The log is no flood: an hour without a server is a line now and then.
func TestFailedAttemptsAreLoggedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		srv := newServer(t, session.Config{})
		begin := time.Now()
		dial := pipes(srv, func() bool { return time.Since(begin) > time.Hour })
		var rec recorder
		c := newClient(t, []string{"tcp://server:1"}, client.Config{OnEvent: rec.note, Dial: dial, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err := c.Connect(context.Background()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		lines := strings.Count(log.String(), "level=WARN")
		if n := len(rec.failed()); n < 150 || lines > 121 || lines < 50 {
			t.Errorf("%d attempts failed, %d lines", n, lines)
		}
		if !strings.Contains(log.String(), "level=INFO msg=\"client: reached the server\"") {
			t.Error("the end of it is not logged")
		}
	})
}

// Every use of Connect and Close has its result.
func TestConnectAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, session.Config{})
		bg := context.Background()
		make := func() *client.Client {
			return newClient(t, []string{"tcp://server:1"}, client.Config{Dial: pipes(srv, always)})
		}
		c := make()
		connect(t, c)
		if err := c.Connect(bg); err == nil || errors.Is(err, session.ErrClosed) {
			t.Errorf("twice: %v", err)
		}
		if c.Err() != nil {
			t.Errorf("which ended it: %v", c.Err())
		}
		_ = c.Close()
		if err := c.Connect(bg); !errors.Is(err, session.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("Close twice: %v", err)
		}
		<-c.Done()

		c = make()
		_ = c.Close()
		<-c.Done()
		if err := c.Connect(bg); !errors.Is(err, session.ErrClosed) {
			t.Errorf("Close, then Connect: %v", err)
		}

		c = make()
		gone, cancel := context.WithCancel(bg)
		cancel()
		if err := c.Connect(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled before: %v", err)
		}
		<-c.Done()
		if err := c.Connect(bg); !errors.Is(err, session.ErrClosed) {
			t.Errorf("cancelled, then again: %v", err)
		}
		srv.do(func() {
			if len(srv.logins) != 1 {
				t.Errorf("%d logins", len(srv.logins))
			}
		})
	})
}
