// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/transport"
)

// theServer is one that keeps the rules.
func theServer(t *testing.T) *framework.Server {
	t.Helper()
	srv, err := framework.New(framework.Config{TCP: "127.0.0.1:0", WebSocket: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // its sessions have no clients that it could wait for
		_ = srv.Shutdown(ctx)
	})
	return srv
}

func TestServerKeepsTheRules(t *testing.T) {
	srv := theServer(t)
	for scheme, carrier := range map[string]transport.Carrier{"tcp": transport.TCP, "ws": transport.WebSocket} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel() // most of it waits for an opening deadline
			if got := run([]string{"server", "-reaction", "5s", scheme + "://" + srv.Addr(carrier).String()}); got != exitFine {
				t.Fatalf("exit status %d", got)
			}
		})
	}
	if got := run([]string{"server", "tcp://127.0.0.1:1"}); got != exitBroken {
		t.Errorf("without a server: exit status %d", got)
	}
	for _, args := range [][]string{{"server"}, {"server", "kcp://127.0.0.1:1"}, {"server", "127.0.0.1:1"}} {
		if got := run(args); got != exitUsage {
			t.Errorf("%q: exit status %d", args, got)
		}
	}
}

// A relay in front of a good server makes a bad one of it.
func TestPlantedServerFaultsAreFound(t *testing.T) {
	to := theServer(t).Addr(transport.TCP).String()
	for name, relay := range map[string]func(codec.Packet) []codec.Packet{
		"greeting": func(p codec.Packet) []codec.Packet {
			if p.Kind == codec.Greeting {
				p = edit(p, 1, always(make([]byte, 16)))
			}
			return []codec.Packet{p}
		},
		"echo": func(p codec.Packet) []codec.Packet {
			if p.Flags&codec.Echo != 0 {
				p.Seq++
			}
			return []codec.Packet{p}
		},
		"parameters": func(p codec.Packet) []codec.Packet {
			if p.Kind == codec.Welcome {
				p = edit(p, 4, func(v any) any { v.([]any)[1] = 1; return v })
			}
			return []codec.Packet{p}
		},
		"version": func(p codec.Packet) []codec.Packet {
			if p.Kind == codec.Refused && number(mustBody(p.Body), 0) == 203 {
				p = edit(p, 0, always(7))
			}
			return []codec.Packet{p}
		},
		"route": func(p codec.Packet) []codec.Packet {
			if p.Kind == codec.Failure {
				p = edit(p, 1, always(1))
			}
			return []codec.Packet{p}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := &target{addr: "tcp://" + between(t, to, relay), ticket: name, wait: 2 * time.Second}
			for _, a := range attacks {
				if a.rule.name != name {
					continue
				}
				if err := a.do(target); err == nil {
					t.Fatal("it was not found")
				} else {
					t.Log(a.rule, err)
				}
			}
		})
	}
}

// between changes what a server writes on its way to a client.
func between(t *testing.T, to string, change func(codec.Packet) []codec.Packet) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() { // ends with l
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			go carry(server, client, func(b []byte) []byte { return b }) // both end with either
			go carry(client, server, func(b []byte) []byte {
				var out []byte
				for len(b) > 0 {
					p, n, err := codec.ParseFrame(b, 1<<20)
					if err != nil || n == 0 {
						return out // small frames come whole here
					}
					for _, p := range change(p) {
						out = codec.AppendFrame(out, p.Header, p.Body)
					}
					b = b[n:]
				}
				return out
			})
		}
	}()
	return l.Addr().String()
}

func carry(to, from net.Conn, change func([]byte) []byte) {
	defer to.Close()
	defer from.Close()
	for b := make([]byte, 64<<10); ; {
		n, err := from.Read(b)
		if _, bad := to.Write(change(b[:n])); err != nil || bad != nil {
			return
		}
	}
}
