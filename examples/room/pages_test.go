// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
)

// TestProbesAreServed: what orchestrators ask is there, beside the page. A server that has not
// begun to drain, and is alone, is ready and alive.
func TestProbesAreServed(t *testing.T) {
	srv, err := newServer(framework.Config{})
	if err != nil {
		t.Fatal(err)
	}
	site := httptest.NewServer(pagesOf(srv, false))
	defer site.Close()
	for _, path := range []string{"/healthz", "/livez"} {
		if err := probe(site.URL + path); err != nil {
			t.Error(err)
		}
	}
	if err := probe(site.URL + "/no-such-page"); err == nil {
		t.Error("a page that is not there is taken for a good answer")
	}
}

// TestSlowConnectionsEnd: a client that sends half a request, or reads no answer, keeps no probe out.
func TestSlowConnectionsEnd(t *testing.T) {
	srv, err := newServer(framework.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name, request := range map[string]string{
		"reads nothing": strings.Repeat("GET /room.js HTTP/1.1\r\nHost: x\r\n\r\n", 1000),
		"half a body":   "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			site := newSite(pagesOf(srv, false))
			site.ReadTimeout, site.WriteTimeout = site.ReadTimeout/20, site.WriteTimeout/20
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go new(settings).serve(site, listener) // ends with site.Close
			defer site.Close()
			for range 64 {
				c, err := net.Dial("tcp", listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if _, err := io.WriteString(c, request); err != nil {
					t.Fatal(err)
				}
			}
			asker := http.Client{Timeout: 10 * time.Second}
			res, err := asker.Get("http://" + listener.Addr().String() + "/livez")
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
		})
	}
}

// TestProbesAreServedWhileItDrains: a probe is told so then, and that the server need not be killed.
func TestProbesAreServedWhileItDrains(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("processes can't be interrupted")
	}
	const any = "127.0.0.1:0"
	tcp, pages := address(t), address(t)
	p := run(t, "-bots", "0", "-drain", "30s", "-kcp", any, "-stcp", any, "-plain-kcp", any, "-ws", any, "-tcp", tcp, "-http", pages)
	var players []*client.Client
	for _, name := range []string{"ann", "bob"} { // the second one is let go after half of the time
		c, err := client.Dial(t.Context(), []string{"tcp://" + tcp}, client.Config{
			Ticket: func(context.Context) ([]byte, error) { return []byte(name), nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		players = append(players, c)
	}
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	for probe("http://"+pages+"/healthz") == nil {
		time.Sleep(10 * time.Millisecond)
	}
	if err := probe("http://" + pages + "/healthz"); !strings.Contains(err.Error(), "503") {
		t.Error(err)
	}
	if err := probe("http://" + pages + "/livez"); err != nil {
		t.Error(err)
	}
	for _, c := range players {
		_ = c.Close()
	}
	<-p.ended
	if !p.cmd.ProcessState.Success() {
		t.Errorf("it ended with %v\n%s", p.cmd.ProcessState, p.said())
	}
}
